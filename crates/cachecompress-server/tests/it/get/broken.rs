//! Downloads that break off, and their resumption.

use std::process::Stdio;

use cachecompress_test::proxy::{Fault, FaultyProxy};
use cachecompress_test::server::command;
use cachecompress_test::tools::require;

use super::stage::*;
use crate::common::*;

/// A site with the file, a server whose cache has its coding, and a proxy before it.
struct Chain {
    site: Site,
    server: Server,
    proxy: FaultyProxy,
    bytes: Vec<u8>,
}

impl Chain {
    fn start(bytes: Vec<u8>) -> Self {
        let site = Site::with("tool", &bytes);
        site.age("tool");
        let server = start(&site);
        let chain = Self { proxy: FaultyProxy::start(server.address()), site, server, bytes };
        chain.warm();
        chain
    }

    /// Waits until the coding of the file is stored. Its length is known then, and it has ranges.
    fn warm(&self) {
        let request = Request::get("/tool").accept("dcb, dcz, zstd, br, gzip");
        eventually("what is stored", || {
            let response = self.server.fetch(&request);
            let is_settled = response.cache_status() == HIT || response.coding() == "identity";
            is_settled.then_some(())
        });
    }

    fn url(&self) -> String {
        url_of(self.proxy.address())
    }
}

#[test]
fn connection_that_breaks_again_and_again_is_resumed_each_time() {
    for bytes in [site::binary(1, 2_000_000), site::random(2, 500_000)] {
        let chain = Chain::start(bytes);
        chain.proxy.set_for("GET", "/tool", Fault::ResetAfter(100_000));
        let stage = Stage::with(b"old");
        let whole = chain.server.fetch(&Request::get("/tool").accept("zstd, br, gzip")).body.len();
        let report = stage.report(&chain.url(), &["--retries", "3"]);
        assert!(stage.content() == chain.bytes, "{report}");
        let breaks = (whole - 1) / 100_000;
        assert!(breaks >= 3, "{whole}");
        assert!(report["retries"].as_u64().unwrap() >= breaks as u64, "{report}");
        assert_eq!(report["received"], whole, "no byte comes twice: {report}");
        assert_eq!(stage.names(), ["tool"]);
    }
}

#[test]
fn closed_connection_is_no_end() {
    let chain = Chain::start(site::binary(1, 2_000_000));
    chain.proxy.set_for("GET", "/tool", Fault::CloseAfter(50_000));
    let stage = Stage::new();
    let run = stage.get(&chain.url(), &["--retries", "0"]);
    run.assert_fails(1, &["the connection broke off"]);
    assert_eq!(stage.names(), [PART, PART_OF], "{run:?}");
}

#[test]
fn killed_run_is_resumed_by_the_next_one() {
    for bytes in [site::binary(1, 2_000_000), site::random(2, 2_000_000)] {
        kill_and_resume(&Chain::start(bytes));
    }
}

fn kill_and_resume(chain: &Chain) {
    chain.proxy.set(Fault::Rate(100_000));
    let stage = Stage::with(b"old");
    let mut child = stage
        .command(&chain.url(), &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let part = stage.path().join(PART);
    eventually("some bytes", || (part.metadata().ok()?.len() > 50_000).then_some(()));
    let second = stage.get(&chain.url(), &[]);
    second.assert_fails(1, &["another run fetches tool"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(stage.content(), b"old");
    let kept = part.metadata().unwrap().len();
    chain.proxy.set(Fault::Pass);
    let report = stage.report(&chain.url(), &[]);
    assert!(stage.content() == chain.bytes);
    assert_eq!(report["resumed"], kept, "{report}");
    assert_eq!(stage.names(), ["tool"]);
}

#[test]
fn interrupted_run_keeps_what_has_come() {
    let chain = Chain::start(site::binary(1, 2_000_000));
    chain.proxy.set(Fault::Rate(100_000));
    let stage = Stage::with(b"old");
    let mut get = stage.command(&chain.url(), &["--json"]);
    let child = get.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let part = stage.path().join(PART);
    eventually("some bytes", || (part.metadata().ok()?.len() > 50_000).then_some(()));
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["status"], "interrupted");
    assert_eq!(stage.content(), b"old");
    chain.proxy.set(Fault::Pass);
    assert!(stage.report(&chain.url(), &[])["resumed"].as_u64().unwrap() > 50_000);
    assert!(stage.content() == chain.bytes);
}

#[test]
fn kept_bytes_of_another_version_are_dropped() {
    let chain = Chain::start(site::binary(1, 2_000_000));
    chain.proxy.set_for("GET", "/tool", Fault::ResetAfter(100_000));
    let stage = Stage::new();
    stage.get(&chain.url(), &["--retries", "0"]).assert_fails(1, &["broke off"]);
    assert_eq!(stage.names(), [PART, PART_OF]);
    chain.proxy.set(Fault::Pass);
    let new = site::binary(9, 1_500_000);
    chain.site.replace_by_rename("tool", &new);
    let tag = identity_tag(&new);
    eventually("the new version", || {
        (chain.server.fetch(&Request::get("/tool")).etag() == tag).then_some(())
    });
    let report = stage.report(&chain.url(), &[]);
    assert!(stage.content() == new);
    assert_eq!((&report["resumed"], stage.names()), (&0.into(), vec!["tool".to_owned()]));
}

/// A file of another URL would have been joined to it.
#[test]
fn kept_bytes_of_another_url_are_dropped() {
    let chain = Chain::start(site::binary(1, 2_000_000));
    chain.proxy.set_for("GET", "/tool", Fault::ResetAfter(100_000));
    let stage = Stage::new();
    stage.get(&chain.url(), &["--retries", "0"]).assert_fails(1, &["broke off"]);
    let report = stage.report(&url_of(chain.server.address()), &[]);
    assert_eq!(report["resumed"], 0);
    assert!(stage.content() == chain.bytes);
}

/// The last byte had come when the run was killed. No range begins behind it.
#[test]
fn whole_that_is_kept_is_not_fetched_again() {
    let chain = Chain::start(site::random(1, 400_000));
    chain.proxy.set_for("GET", "/tool", Fault::ResetAfter(300_000));
    let stage = Stage::new();
    stage.get(&chain.url(), &["--retries", "0"]).assert_fails(1, &["broke off"]);
    fs::write(stage.path().join(PART), &chain.bytes).unwrap();
    let note = fs::read_to_string(stage.path().join(PART_OF)).unwrap();
    fs::write(stage.path().join(PART_OF), note.replace("300000", "400000")).unwrap();
    chain.proxy.set(Fault::Pass);
    let report = stage.report(&chain.url(), &[]);
    assert_eq!((&report["received"], &report["resumed"]), (&1.into(), &399_999.into()));
    assert!(stage.content() == chain.bytes);
}

#[test]
fn damaged_kept_bytes_are_noticed_and_fetched_again() {
    let chain = Chain::start(site::binary(1, 2_000_000));
    chain.proxy.set_for("GET", "/tool", Fault::ResetAfter(200_000));
    let stage = Stage::with(b"old");
    stage.get(&chain.url(), &["--retries", "0"]).assert_fails(1, &["broke off"]);
    let mut kept = fs::read(stage.path().join(PART)).unwrap();
    let middle = kept.len() / 2;
    kept[middle..middle + 100].fill(0);
    fs::write(stage.path().join(PART), kept).unwrap();
    chain.proxy.set(Fault::Pass);
    let run = stage.get(&chain.url(), &[]);
    run.assert(0, &["beginning anew", "updated tool"]);
    assert!(stage.content() == chain.bytes);
}

#[test]
fn damaged_body_never_becomes_the_file() {
    for (bytes, at) in [(site::binary(1, 300_000), 20_000), (site::random(2, 300_000), 299_999)] {
        let chain = Chain::start(bytes);
        chain.proxy.set_for("GET", "/tool", Fault::FlipFrom(at));
        let stage = Stage::with(b"old");
        let run = stage.get(&chain.url(), &[]);
        run.assert_fails(1, &[]);
        let told = ["the response is damaged", "the wrong bytes came"];
        assert!(told.iter().any(|part| run.stderr.contains(part)), "{run:?}");
        assert_eq!(stage.content(), b"old");
        assert_eq!(stage.names(), ["tool"]);
    }
}

#[test]
fn wrong_digest_is_named_and_the_file_stays() {
    let digest = format!("sha-256={}", byte_sequence(b"other"));
    let origin = Origin::start(move |_| {
        response("200 OK", &[("repr-digest", &digest), ("etag", "\"a\"")], b"content")
    });
    let stage = Stage::with(b"old");
    let run = stage.get(&origin.url(), &[]);
    run.assert_fails(1, &["the wrong bytes came", &sha256_hex(b"content"), "repr-digest"]);
    assert_eq!(stage.content(), b"old");
}

#[test]
fn stalled_download_ends_after_its_timeout() {
    let chain = Chain::start(site::binary(1, 2_000_000));
    chain.proxy.set_for("GET", "/tool", Fault::Trickle);
    let stage = Stage::with(b"old");
    chain.proxy.set(Fault::BlackHole);
    let run = stage.get(&chain.url(), &["--timeout", "300ms", "--retries", "1"]);
    run.assert_fails(1, &["the server sent nothing for 300ms", "given up after 2 tries"]);
    assert_eq!(stage.names(), ["tool"]);
}

/// A body stalls after its head, which no timeout of connections or heads notices.
#[test]
fn stalled_body_is_resumed() {
    use std::io::Write as _;
    let bytes = site::random(1, 200_000);
    let body = bytes.clone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut stalled = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            let mut head = [0; 4096];
            let read = std::io::Read::read(&mut &stream, &mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
            let fields = [("etag", "\"a\"")];
            let half = body.len() / 2;
            let whole = response("200 OK", &fields, &body);
            let rest = response(
                "206 Partial Content",
                &[("etag", "\"a\""), ("content-range", "bytes 100000-199999/200000")],
                &body[half..],
            );
            let answer = match head.contains("range: bytes=100000-") {
                _ if head.starts_with("head") => response("200 OK", &fields, b""),
                true => rest,
                false => whole[..whole.len() - half].to_vec(),
            };
            drop((&stream).write_all(&answer));
            stalled.push(stream);
        }
    });
    let stage = Stage::new();
    let report = stage.report(&url_of(address), &["--timeout", "500ms"]);
    assert!(stage.content() == bytes);
    assert_eq!((&report["retries"], &report["received"]), (&1.into(), &200_000.into()));
}

#[test]
fn server_that_is_busy_is_asked_again() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let origin = Origin::start(move |asked| match count.fetch_add(1, Ordering::SeqCst) {
        0 => response("503 Service Unavailable", &[("retry-after", "1")], b""),
        1 => response("502 Bad Gateway", &[], b""),
        _ => response("200 OK", &[], if asked.is("HEAD") { b"" } else { b"content" }),
    });
    let stage = Stage::new();
    let run = stage.get(&origin.url(), &[]);
    run.assert(0, &["503 Service Unavailable; trying again in 1s", "502 Bad Gateway", "created"]);
}

/// Without a strong tag nothing tells that two responses are of one file.
#[test]
fn broken_download_without_a_strong_tag_begins_anew() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let origin = Origin::start(move |asked| {
        let whole = response("200 OK", &[("etag", "W/\"a\"")], b"content");
        match asked.is("HEAD") {
            true => response("200 OK", &[], b""),
            false if count.fetch_add(1, Ordering::SeqCst) == 0 => whole[..whole.len() - 3].to_vec(),
            false => whole,
        }
    });
    let stage = Stage::new();
    let report = stage.report(&origin.url(), &[]);
    assert_eq!((&report["retries"], &report["received"]), (&1.into(), &11.into()));
    assert_eq!(stage.content(), b"content");
    assert!(origin.asked().iter().all(|asked| asked.field("range").is_none()));
}

/// Each try had brought bytes, so that none counted as the last one.
#[test]
fn download_that_always_breaks_at_the_same_place_is_given_up() {
    let origin = Origin::start(|asked| match asked.is("HEAD") {
        true => response("405 Method Not Allowed", &[], b""),
        false => {
            let whole = response("200 OK", &[("etag", "\"a\"")], b"content");
            whole[..whole.len() - 3].to_vec()
        }
    });
    let stage = Stage::new();
    let run = stage.get(&origin.url(), &["--retries", "2"]);
    run.assert_fails(1, &["the connection broke off", "given up after 3 tries"]);
    let asked = origin.asked();
    assert_eq!(asked.iter().filter(|asked| asked.is("GET")).count(), 3);
}

#[test]
fn full_disk_is_named_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount("size=1m") else { return };
    let chain = Chain::start(site::binary(1, 2_000_000));
    fs::write(disk.path().join("tool"), b"old").unwrap();
    let run = Run::of(&mut command_in(disk.path(), &chain.url(), &[]));
    run.assert_fails(1, &["cannot write tool: No space left on device"]);
    assert_eq!(fs::read(disk.path().join("tool")).unwrap(), b"old");
    assert_eq!(site::files_below(disk.path()).len(), 1);
}

/// A server of others: what it sends cannot be verified, and is resumed by its strong tag.
#[test]
fn download_from_nginx_is_resumed() {
    let Some(nginx) = require("nginx") else { return };
    let bytes = site::binary(1, 500_000);
    let site = Site::with("tool", &bytes);
    let home = Stage::new();
    let listen = cachecompress_test::port::free_port([127, 0, 0, 1].into());
    let address = ([127, 0, 0, 1], listen).into();
    let (shown, root) = (home.path().display(), site.path().display());
    let settings = format!(
        "daemon off; master_process off; pid {shown}/pid; error_log {shown}/error.log;\n\
         events {{}}\n\
         http {{\n\
         types {{ image/png png; }} default_type application/octet-stream;\n\
         access_log off; client_body_temp_path {shown}/body; proxy_temp_path {shown}/proxy;\n\
         fastcgi_temp_path {shown}/f; uwsgi_temp_path {shown}/u; scgi_temp_path {shown}/s;\n\
         server {{ listen {address}; root {root}; gzip on; gzip_types application/octet-stream; }}\n\
         }}\n"
    );
    fs::write(home.path().join("nginx.conf"), settings).unwrap();
    let mut started = command(&nginx);
    started.args(["-c", "nginx.conf", "-p"]).arg(home.path()).stdin(Stdio::null());
    let mut server = started.stderr(Stdio::null()).spawn().unwrap();
    eventually("nginx listens", || std::net::TcpStream::connect(address).ok());
    let proxy = FaultyProxy::start(address);
    let stage = Stage::with(b"old");
    // Compressed by nginx it has a weak tag, and no range.
    let coded = stage.report(&url_of(proxy.address()), &[]);
    let is_coded = stage.content() == bytes;
    // A type that it does not compress.
    site.write("tool.png", &bytes);
    let url = url_of(proxy.address()) + ".png";
    proxy.set_for("GET", "/tool.png", Fault::ResetAfter(100_000));
    let first = stage.get(&url, &["--retries", "0"]);
    let second = stage.report(&url, &[]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(is_coded, "{coded}");
    assert_eq!((&coded["coding"], &coded["verified"]), (&"gzip".into(), &().into()));
    first.assert_fails(1, &["broke off"]);
    assert!(stage.content() == bytes, "{second}");
    assert_eq!(second["verified"], serde_json::Value::Null);
    assert!(second["resumed"].as_u64().unwrap() > 0, "{second}");
}
