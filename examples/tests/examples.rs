//! Runs the examples as their readers would, and asks them over a socket.
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cachecompress_test::client::{Connection, Protocol, Request, Response, fetch};
use cachecompress_test::decode::CODINGS;
use cachecompress_test::http2;
use cachecompress_test::site::{Site, binary, files_below, text};
use cachecompress_test::wait::{PATIENCE, eventually};
use tempfile::TempDir;

const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/site");
const TOKEN: (&str, &str) = ("authorization", "Bearer secret");

/// A running example with a cache of its own, killed when dropped.
struct Example {
    child: Child,
    address: SocketAddr,
    cache: TempDir,
}

impl Example {
    fn start(program: &str, directory: Option<&Path>) -> Self {
        Self::start_with(program, &directory.into_iter().collect::<Vec<_>>())
    }

    fn start_with(program: &str, arguments: &[&Path]) -> Self {
        let cache = TempDir::with_prefix("cache-").unwrap();
        let child = Command::new(program)
            .arg("0")
            .arg(cache.path().join("cache"))
            .args(arguments)
            .env("DOWNLOAD_TOKEN", "secret")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Held before anything can fail, so that no child is left behind.
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut example = Self { child, address: nowhere, cache };
        let mut line = String::new();
        BufReader::new(example.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://");
        example.address = address.expect("an address").parse().unwrap();
        example
    }

    fn fetch(&self, request: &Request) -> Response {
        fetch(self.address, request).unwrap()
    }

    /// Asks until the answer comes from the cache. A busy machine may run out of patience and
    /// answer identity first, but every answer on the way decodes to `source`.
    #[track_caller]
    fn until_hit(&self, request: &Request, source: &[u8]) -> Response {
        eventually("a hit", || {
            let response = self.fetch(request);
            assert_eq!(response.status(), 200, "{:?}", response.head);
            assert!(response.decoded() == source, "other bytes: {:?}", response.head);
            response.is_hit().then_some(response)
        })
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn site_file(name: &str) -> Vec<u8> {
    fs::read(Path::new(SITE).join(name)).unwrap()
}

/// Every coding of one file: exact, then a hit; HEAD says the same as GET.
#[track_caller]
fn assert_compressed_once(example: &Example, target: &str, source: &[u8]) {
    for coding in CODINGS {
        let request = Request::get(target).accept(coding);
        let hit = example.until_hit(&request, source);
        assert_eq!(hit.coding(), coding);
        assert!(hit.body.len() < source.len() / 2);
        assert_eq!(hit.header("vary"), Some("Accept-Encoding"));

        let head = example.fetch(&request.clone().method("HEAD"));
        assert_eq!((head.status(), head.body.len()), (200, 0));
        let fields = |response: &Response| {
            let mut fields = response.head.headers.clone();
            fields.retain(|(name, _)| name != "date");
            fields
        };
        assert_eq!(fields(&head), fields(&hit));

        let again = example.fetch(&request.header("if-none-match", hit.etag()));
        assert_eq!((again.status(), again.header("etag")), (304, Some(hit.etag())));
    }
    let plain = example.fetch(&Request::get(target));
    assert_eq!((plain.coding(), plain.body.as_slice()), ("identity", source));
}

#[test]
fn axum_embedded_serves_its_ui_beneath_a_prefix() {
    let example = Example::start(env!("CARGO_BIN_EXE_axum_embedded"), None);
    assert_compressed_once(&example, "/assets/tides.json", &site_file("tides.json"));
    let script = example.fetch(&Request::get("/assets/app.3f9c2b1a.js"));
    assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(script.decoded(), site_file("app.3f9c2b1a.js"));

    let redirect = example.fetch(&Request::get("/assets/docs?page=2"));
    let location = redirect.header("location");
    assert_eq!((redirect.status(), location), (301, Some("./docs/?page=2")), "from /assets/docs");
    let index = example.fetch(&Request::get("/assets/docs/"));
    assert_eq!((index.status(), index.decoded()), (200, site_file("docs/index.html")));
    let redirect = example.fetch(&Request::get("/assets"));
    assert_eq!((redirect.status(), redirect.header("location")), (308, Some("/assets/")));
    let index = example.fetch(&Request::get("/assets/"));
    assert_eq!((index.status(), index.decoded()), (200, site_file("index.html")));

    for target in ["/assets/none", "/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml"] {
        assert_eq!(example.fetch(&Request::get(target)).status(), 404, "{target}");
    }
}

#[test]
fn axum_embedded_leaves_other_paths_to_routes_and_application() {
    let example = Example::start(env!("CARGO_BIN_EXE_axum_embedded"), None);
    let greeting = example.fetch(&Request::get("/api/greeting/you").accept("br"));
    assert_eq!((greeting.coding(), greeting.body.as_slice()), ("identity", &b"Hello, you!"[..]));
    assert_eq!(greeting.cache_status(), "", "only static files are cached");

    let page = Request::get("/some/view").header("accept", "text/html").accept("br");
    let view = example.fetch(&page);
    assert_eq!(view.status(), 200);
    let index = view.decoded();
    assert!(index.starts_with(b"<!doctype html>"));
    let root = example.until_hit(&Request::get("/").accept("br"), &index);
    assert_eq!(root.etag_digest(), view.etag_digest(), "one entry for all views");
    assert_eq!(example.fetch(&Request::get("/some/view.json")).status(), 404);
}

#[test]
fn axum_sendfile_sends_the_bytes_that_are_stored() {
    let tool = binary(3, 4_000_000);
    let site = Site::with("tool", &tool);
    site.write("tides.json", &site_file("tides.json"));
    let example = Example::start(env!("CARGO_BIN_EXE_axum_sendfile"), Some(site.path()));
    assert_compressed_once(&example, "/tides.json", &site_file("tides.json"));
    for coding in CODINGS {
        let request = Request::get("/tool").accept(coding);
        let hit = example.until_hit(&request, &tool);
        let middle = hit.body.len() / 2;
        let rest = request.range(&format!("bytes={middle}-")).header("if-range", hit.etag());
        let rest = example.fetch(&rest);
        assert_eq!(rest.status(), 206);
        assert!(rest.body == hit.body[middle..], "{coding}");
    }

    // sendfile works on one connection, beside a route. HTTP/2 has no use for it.
    let mut connection = Connection::open(example.address).unwrap();
    for target in ["/tool", "/api/health", "/tool", "/none", "/tides.json", "/tool"] {
        connection.send(&Request::get(target).accept("gzip")).unwrap();
    }
    for expected in
        [Some(&tool), None, Some(&tool), None, Some(&site_file("tides.json")), Some(&tool)]
    {
        let response = connection.receive("GET").unwrap();
        if let Some(expected) = expected {
            assert!(response.is_hit() && response.decoded() == *expected, "{:?}", response.head);
        }
    }
    let over2 = http2::fetch(example.address, &Request::get("/tool").accept("gzip")).unwrap();
    assert!(over2.is_hit() && over2.decoded() == tool);
}

/// The mappings are what `sendfile` sends from; without them, all of the above would hold too.
#[cfg(target_os = "linux")]
#[test]
fn axum_sendfile_maps_stored_entries() {
    let tool = binary(3, 4_000_000);
    let site = Site::with("tool", &tool);
    let example = Example::start(env!("CARGO_BIN_EXE_axum_sendfile"), Some(site.path()));
    example.until_hit(&Request::get("/tool").accept("gzip"), &tool);
    let maps = fs::read_to_string(format!("/proc/{}/maps", example.child.id())).unwrap();
    let cache = example.cache.path().to_str().unwrap();
    assert!(maps.contains(cache), "no entry is mapped:\n{maps}");
}

#[test]
fn axum_shared_tier_imports_what_another_replica_has_stored() {
    let source = text(16, 8 << 20);
    let site = Site::with("large.js", &source);
    let store = TempDir::with_prefix("store-").unwrap();
    let replica = || {
        let program = env!("CARGO_BIN_EXE_axum_shared_tier");
        Example::start_with(program, &[site.path(), store.path()])
    };
    let request = Request::get("/large.js").accept("br");
    let first = replica();
    let encoded = first.until_hit(&request, &source);
    eventually("a stored object", || {
        let objects = files_below(&store.path().join("v1/e"));
        objects.iter().any(|object| object.extension().is_none()).then_some(())
    });
    // On a busy machine the answer of the store may come after the encode of one replica.
    eventually("a replica that imports", || {
        let second = replica();
        let answer = second.fetch(&request);
        assert!(answer.status() == 200 && answer.decoded() == source, "{:?}", answer.head);
        let is_imported = answer.cache_status().ends_with("; detail=tier");
        is_imported.then(|| assert!(answer.body == encoded.body, "other bytes"))
    });
}

#[test]
fn bare_hyper_serves_a_directory_over_both_versions() {
    let example = Example::start(env!("CARGO_BIN_EXE_bare_hyper"), None);
    let tides = site_file("tides.json");
    assert_compressed_once(&example, "/tides.json", &tides);
    for protocol in Protocol::ALL {
        let request = Request::get("/tides.json").accept("gzip, zstd");
        let response = match protocol {
            Protocol::Http1 => example.fetch(&request),
            Protocol::Http2 => http2::fetch(example.address, &request).unwrap(),
        };
        assert!(response.is_hit() && response.decoded() == tides, "{protocol:?}");
        assert_eq!(response.coding(), "zstd", "zstd is preferred to gzip for small files");
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert_eq!(response.header("cache-control"), Some("no-cache"));
    }
    let page = example.fetch(&Request::get("/"));
    assert_eq!((page.status(), page.header("access-control-allow-origin")), (200, None));
    let redirect = example.fetch(&Request::get("/docs"));
    assert_eq!((redirect.status(), redirect.header("location")), (301, Some("./docs/")));
}

#[test]
fn bare_hyper_sends_the_sites_own_404_page() {
    let example = Example::start(env!("CARGO_BIN_EXE_bare_hyper"), None);
    let page = site_file("404.html");
    let missing = Request::get("/none").accept("br");
    eventually("a coded 404", || {
        let response = example.fetch(&missing);
        assert_eq!((response.status(), response.decoded()), (404, page.clone()));
        assert_eq!(response.header("etag"), None);
        (response.coding() == "br").then_some(())
    });
    let conditional = missing.clone().header("if-none-match", "*").range("bytes=0-1");
    let again = example.fetch(&conditional);
    assert_eq!((again.status(), again.decoded()), (404, page), "an error is never 304 or 206");
    let head = example.fetch(&missing.method("HEAD"));
    assert_eq!((head.status(), head.body.len()), (404, 0));
}

#[test]
fn download_server_asks_for_the_token_before_anything_else() {
    let site = Site::with("agent", &binary(1, 300_000));
    let example = Example::start(env!("CARGO_BIN_EXE_download_server"), Some(site.path()));
    for target in ["/download/agent", "/download/none"] {
        let request = Request::get(target);
        for refused in [
            request.clone(),
            request.clone().header("authorization", "Bearer wrong"),
            request.clone().header("authorization", "Bearer"),
            request.clone().header("authorization", "Basic secret"),
        ] {
            let response = example.fetch(&refused);
            assert_eq!(response.status(), 401, "{refused:?}");
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            assert_eq!(response.header("etag"), None);
        }
        let expected = if target.ends_with("agent") { 200 } else { 404 };
        let admitted = example.fetch(&request.header("authorization", "bearer secret"));
        assert_eq!(admitted.status(), expected);
    }
}

#[test]
fn download_server_sends_the_decoded_length_and_resumes() {
    let agent = binary(2, 3_000_000);
    let site = Site::with("releases/1.4.0/agent", &agent);
    site.write("latest/agent", &agent);
    site.age("releases/1.4.0/agent");
    site.age("latest/agent");
    let example = Example::start(env!("CARGO_BIN_EXE_download_server"), Some(site.path()));
    let get = |target: &str| Request::get(target).header(TOKEN.0, TOKEN.1);

    let request = get("/download/releases/1.4.0/agent").accept("zstd");
    let hit = example.until_hit(&request, &agent);
    assert_eq!(hit.coding(), "zstd");
    assert_eq!(hit.header("x-original-content-length"), Some("3000000"));
    assert_eq!(hit.header("content-length"), Some(hit.body.len().to_string().as_str()));
    assert_eq!(hit.header("content-disposition"), Some("attachment"));
    assert_eq!(hit.header("cache-control"), Some("private, max-age=31536000, immutable"));
    let head = example.fetch(&request.clone().method("HEAD"));
    assert_eq!(head.header("x-original-content-length"), Some("3000000"));

    let latest = example.until_hit(&get("/download/latest/agent").accept("zstd"), &agent);
    assert_eq!(latest.etag(), hit.etag(), "the same bytes by another name");
    assert_eq!(latest.header("cache-control"), Some("private, no-cache"));

    let middle = hit.body.len() / 2;
    let rest = request.range(&format!("bytes={middle}-")).header("if-range", hit.etag());
    let rest = example.fetch(&rest);
    assert_eq!((rest.status(), rest.body.as_slice()), (206, &hit.body[middle..]));

    for target in ["/download/..%2fCargo.toml", "/download/%2e%2e/x", "/download/latest"] {
        assert_eq!(example.fetch(&get(target)).status(), 404, "{target}");
    }
}

/// Whether the process has a handler for a signal; `true` where the system does not tell.
#[cfg(unix)]
fn catches(id: u32, signal: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{id}/status")) else { return true };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & (1 << (signal - 1)) != 0)
}

/// The name and the state of each thread of a process, which tell a lost wake-up (all of them
/// sleep) from a want of time (some run, or wait for the disk).
#[cfg(unix)]
fn threads(id: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let told = tasks.map(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        format!("{}: {}", field("Name:"), field("State:"))
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(unix)]
#[test]
fn axum_embedded_ends_in_order() {
    let mut example = Example::start(env!("CARGO_BIN_EXE_axum_embedded"), None);
    // The one request's encode may still be on its way to the disk.
    example.fetch(&Request::get("/assets/tides.json").accept("br"));
    // The task that waits for the signal may be polled after the first request.
    eventually("a handler for SIGINT", || catches(example.child.id(), 2).then_some(()));
    let id = rustix::process::Pid::from_child(&example.child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = example.child.try_wait().unwrap() {
            break status;
        }
        // A program that is at its end may wait for the disk: the entry's bytes are synced there.
        assert!(began.elapsed() < PATIENCE, "the example runs on: {}", threads(example.child.id()));
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{status}");
}
