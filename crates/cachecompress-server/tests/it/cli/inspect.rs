//! `inspect`: the list of entries, and explanations that are held against a running server.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use cachecompress_test::server::{command, output};
use cachecompress_test::site::{hex, random};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::common::*;

/// The flags that the server and the explanation have in common.
const FLAGS: &str = "--siblings verified --immutable --cache-size 1MiB --list --spa-except /api/**";

const CLIENTS: [&str; 4] = ["", "gzip", "gzip, deflate, br, zstd", "gzip, identity;q=0"];

/// The paths of the table, with their ways and words of the sentences that explain them.
const PATHS: [(&str, &str, &str); 20] = [
    ("/text.txt", "file", "which is compressed"),
    ("/text.txt?v=1", "file", "which is compressed"),
    ("/logo.png", "file", "which is never compressed"),
    ("/tiny.txt", "file", "so short"),
    ("/huge.txt", "file", "too large to be compressed"),
    ("/noise.txt", "file", "saves less than 5 %"),
    ("/app.3f9c2b1a.js", "file", "a hash of its content"),
    ("/lib.css", "file", "copied from lib.css.gz"),
    ("/stale.css", "file", "stale.css.gz does not decode"),
    ("/docs/", "file", "docs/index.html"),
    ("/docs", "spelling", "another spelling"),
    ("/pictures/", "listing", "listing"),
    ("/old", "rule", "A rule of the site"),
    ("/_headers", "excluded", "holds rules of the site"),
    ("/.secret.css", "nowhere", "starts with a dot"),
    ("/server.toml", "nowhere", "keeps that file for itself"),
    ("/outside.txt", "nowhere", "a symlink that leads out"),
    ("/missing.js", "nowhere", "no such file"),
    ("/api/missing", "nowhere", "no such file"),
    ("/%zz", "malformed", "cannot be decoded"),
];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn site(outside: &Path) -> Site {
    let site = Site::new();
    for (path, bytes) in [
        ("text.txt", hex(5_000, 1)),
        ("logo.png", random(2, 9_000)),
        ("tiny.txt", b"tiny".to_vec()),
        ("huge.txt", hex(600_000, 3)),
        ("noise.txt", random(4, 90_000)),
        ("app.3f9c2b1a.js", hex(70_000, 5)),
        ("lib.css", hex(8_000, 6)),
        ("lib.css.gz", gzip(&hex(8_000, 6))),
        ("stale.css", hex(8_000, 7)),
        ("stale.css.gz", gzip(&hex(7_000, 7))),
        ("docs/index.html", hex(3_000, 8)),
        ("pictures/a.png", random(9, 100)),
        (".secret.css", hex(3_000, 10)),
        ("404.html", hex(2_000, 11)),
        ("server.toml", b"log-level = \"warn\"\n".to_vec()),
        (
            "_headers",
            b"/*.js\n  X-Frame-Options: DENY\n/docs/*\n  Cache-Control: no-store\n".to_vec(),
        ),
        ("_redirects", b"/old /text.txt 302\n".to_vec()),
    ] {
        site.write(path, &bytes);
    }
    let out = outside.join("out.txt");
    fs::write(&out, hex(3_000, 12)).unwrap();
    site.link("outside.txt", out);
    site
}

/// Runs `inspect` of this cache, with the flags of the server.
fn inspect(cache: &Path, site: Option<&Site>, arguments: &[&str]) -> (Option<i32>, String) {
    let mut inspect = command(Path::new(PROGRAM));
    inspect.arg("inspect");
    if let Some(site) = site {
        inspect.arg(site.path()).args(FLAGS.split_whitespace());
        inspect.arg("--config").arg(site.file("server.toml"));
    }
    inspect.arg("--cache-dir").arg(cache).args(arguments).env("HOME", cache);
    let output = output(&mut inspect);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn explained(cache: &Path, site: &Site, path: &str, accept: &str) -> Value {
    let arguments = [path, "--json", "--accept-encoding", accept];
    let (code, text) = inspect(cache, Some(site), &arguments);
    assert_eq!(code, Some(0), "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Holds the explained answer against the response of the server.
#[track_caller]
fn assert_agrees(explained: &Value, response: &Response, of: &str) {
    let answer = &explained["answers"][0];
    assert_eq!(answer["status"], response.status(), "{of}");
    let coding = answer["coding"].as_str().unwrap_or("identity");
    assert_eq!(coding, response.coding(), "{of}");
    let mut foreseen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in answer["headers"].as_object().unwrap() {
        foreseen.insert(name, value.as_str().unwrap());
    }
    let is_new = response.cache_status() == STORED;
    let names = ["date", "connection", "transfer-encoding"];
    let mut fields: BTreeMap<&str, String> = BTreeMap::new();
    for (name, _) in response.head.headers.iter().filter(|(name, _)| !names.contains(&&**name)) {
        fields.insert(name, response.head.all(name).join(", "));
    }
    // The length of a new encode is not foreseen.
    if is_new {
        assert!(!foreseen.contains_key("content-length"), "{of}");
        fields.remove("content-length");
    }
    let fields: BTreeMap<&str, &str> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(foreseen, fields, "{of}");
}

#[test]
fn explanations_agree_with_the_responses_of_a_running_server() {
    let (outside, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let site = site(outside.path());
    let config = site.file("server.toml");
    let server = launch(&site).args(FLAGS).arg("--config").arg(config).cache(cache.path()).start();
    for (path, route, words) in PATHS {
        for accept in CLIENTS {
            let of = format!("{path} for {accept:?}");
            let mut request = Request::get(path);
            if !accept.is_empty() {
                request = request.accept(accept);
            }
            for _ in ["first", "second"] {
                let before = explained(cache.path(), &site, path, accept);
                assert_eq!(before["route"], route, "{of}");
                let sentences = before["sentences"].to_string();
                // A client that refuses the file as it is has it compressed in any case.
                if !accept.contains("identity") || !words.contains("5 %") {
                    assert!(sentences.contains(words), "{of}: {sentences}");
                }
                assert_agrees(&before, &server.fetch(&request), &of);
                server.until_idle();
            }
        }
    }
}

#[test]
fn explanation_is_for_usual_clients_unless_one_is_named() {
    let (outside, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let site = site(outside.path());
    let (code, text) = inspect(cache.path(), Some(&site), &["/text.txt"]);
    assert_eq!(code, Some(0));
    for sentence in [
        "/text.txt is the file text.txt of ",
        "It has 5000 bytes of the type text/plain; charset=utf-8, which is compressed.\n",
        "br: not stored yet.\n",
        "For a browser over HTTPS (Accept-Encoding: gzip, deflate, br, zstd): br, made at the request",
        "For a browser over plain HTTP (Accept-Encoding: gzip, deflate): gzip, made at the request",
        "For a client that names no coding: as it is, 5000 bytes, because it accepts no coding",
        "longer than 50ms (--patience)",
    ] {
        assert!(text.contains(sentence), "{sentence:?} is not in {text}");
    }
    let (_, text) = inspect(cache.path(), Some(&site), &["/text.txt", "--accept-encoding", "zstd"]);
    assert_eq!(text.matches("For a ").count(), 1, "{text}");
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn list_has_every_entry_sorted_filtered_and_summed() {
    let (outside, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let site = site(outside.path());
    let server = launch(&site).cache(cache.path()).start();
    let mut lengths = BTreeMap::new();
    for path in ["/text.txt", "/app.3f9c2b1a.js", "/lib.css"] {
        for coding in ["br", "gzip"] {
            let response = server.get(path, coding);
            assert_eq!(response.coding(), coding);
            lengths.insert((path, coding), response.body.len() as u64);
        }
    }
    assert_eq!(server.get("/noise.txt", "gzip").coding(), "identity");
    server.until_idle();
    let json = |arguments: &[&str]| -> Value {
        let (code, text) = inspect(cache.path(), None, &[arguments, &["--json"]].concat());
        assert_eq!(code, Some(0), "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let all = json(&[]);
    let entries = all["entries"].as_array().unwrap();
    assert_eq!((entries.len(), all["totals"]["entries"].as_u64()), (7, Some(7)));
    assert_eq!(all["totals"]["verdicts"], 1);
    let encoded: u64 = lengths.values().sum();
    assert_eq!(all["totals"]["encoded_bytes"], encoded);
    let bytes: u64 = entries.iter().map(|entry| entry["bytes"].as_u64().unwrap()).sum();
    assert_eq!(all["totals"]["bytes"], bytes);
    let on_disk: u64 =
        cache_dir::entries(cache.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert_eq!(bytes, on_disk);
    let brotli = json(&["--filter", "br"]);
    let brotli = brotli["entries"].as_array().unwrap();
    assert!(brotli.len() == 3 && brotli.iter().all(|entry| entry["coding"] == "br"), "{brotli:?}");
    for entry in brotli {
        assert_eq!((&entry["level"], &entry["kind"]), (&5.into(), &"representation".into()));
        let ratio =
            entry["encoded_bytes"].as_f64().unwrap() / entry["source_bytes"].as_f64().unwrap();
        assert!((entry["ratio"].as_f64().unwrap() - ratio).abs() < 1e-9);
        assert!(
            entry["age_seconds"].as_u64().unwrap() < 3600 && entry["last_use"].as_f64() > Some(1e9)
        );
    }
    let digest = brotli[0]["digest"].as_str().unwrap();
    assert_eq!(json(&["--filter", &digest[..10]])["entries"].as_array().unwrap().len(), 2);
    assert_eq!(json(&["--filter", "unprofitable"])["totals"]["verdicts"], 1);
    for (sort, key, descends) in [("size", "bytes", true), ("age", "created", false)] {
        let list = json(&["--sort", sort]);
        let values = list["entries"].as_array().unwrap().iter();
        let mut values: Vec<f64> = values.map(|entry| entry[key].as_f64().unwrap()).collect();
        if descends {
            values.reverse();
        }
        assert!(values.is_sorted(), "{sort}: {values:?}");
    }
    assert_eq!(json(&["--sort", "ratio"])["entries"][0]["kind"], "unprofitable");

    let (code, text) = inspect(cache.path(), None, &["--sort", "ratio"]);
    assert_eq!(code, Some(0));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 9, "{text}");
    assert!(lines[0].starts_with("DIGEST ") && lines[1].contains("unprofitable"), "{text}");
    assert!(lines[8].starts_with("7 entries (") && lines[8].ends_with(", 1 verdicts"), "{text}");

    // A damaged header is a finding.
    let entry = cache_dir::entries(cache.path()).pop().unwrap();
    fs::write(&entry, b"damaged").unwrap();
    let (code, text) = inspect(cache.path(), None, &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains(&format!("{}: wrong length\n", entry.display())), "{text}");
    assert!(text.trim_end().ends_with(", 1 damaged"), "{text}");
}

#[test]
fn wrong_usage_of_inspect_and_purge_is_one_sentence() {
    let site = Site::with("index.html", b"x");
    let site = site.path().to_str().unwrap();
    for (arguments, words) in [
        (vec!["inspect", site], "needs the path of a file"),
        (vec!["inspect", site, "no path"], "is no path of a URL"),
        (vec!["inspect", site, "/", "--accept-encoding", "gzip\n"], "--accept-encoding"),
        (vec!["inspect", "--cache-dir", site], "there is no cache of cachecompress"),
        (vec!["inspect", "--sort", "colour"], "--sort"),
        (
            vec!["inspect", "--accept-encoding", "br"],
            "--accept-encoding explains a file, and needs DIR PATH",
        ),
        (vec!["inspect", "--host", "a"], "--host explains a file, and needs DIR PATH"),
        (vec!["inspect", site, "/", "--sort", "ratio"], "--sort is for the list of the cache"),
        (vec!["inspect", site, "/", "--filter", "br"], "--filter is for the list of the cache"),
        (vec!["purge"], "nothing is chosen"),
        (vec!["purge", site], "needs the paths of files"),
        (vec!["purge", site, "/[", "--cache-dir", site], "is no glob"),
        (vec!["purge", "--all", "--coding", "br"], "--all"),
        (vec!["purge", "--coding", "lzma"], "lzma"),
        (vec!["purge", "--digest", "abc"], "8 to 64 hexadecimal digits"),
        (vec!["purge", "--older-than", "long"], "--older-than"),
        (vec!["purge", "--all", "--cache-dir", site], "there is no cache of cachecompress"),
    ] {
        let output = output(command(Path::new(PROGRAM)).args(&arguments));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    }
}

/// The cache of another user was said not to exist.
#[test]
fn cache_of_another_user_is_told_from_none() {
    if !rustix::process::geteuid().is_root() {
        decode::skipped("becoming another user needs root");
        return;
    }
    let Some(setpriv) = cachecompress_test::tools::require("setpriv") else { return };
    let [place, cache] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The program may lie in a directory that other users may not enter.
    let program = place.path().join("cachecompress");
    fs::copy(PROGRAM, &program).unwrap();
    fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o700)).unwrap();
    for line in ["inspect", "verify", "gc", "purge --all"] {
        let mut command = command(&setpriv);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        command.args(line.split(' ')).arg("--cache-dir").arg(cache.path());
        let output = output(&mut command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {stderr}");
        assert!(stderr.contains("Permission denied"), "{line}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{line}: {stderr}");
    }
}

#[test]
fn host_names_the_site_where_there_are_several() {
    let (site, cache) = (Site::with("a.txt", &hex(3_000, 1)), tempfile::tempdir().unwrap());
    let config = format!(
        "[[sites]]\nhosts = [\"one.example\"]\nroot = \"{root}\"\ncache-control = \"no-store\"\n\
         [[sites]]\nhosts = [\"two.example\"]\nroot = \"{root}\"\ncache-control = \"max-age=2\"\n",
        root = site.path().display()
    );
    site.write("sites.toml", config.as_bytes());
    let ask = |host: &[&str]| {
        let mut inspect = command(Path::new(PROGRAM));
        inspect.arg("inspect").arg(site.path()).args(["/a.txt", "--json"]).args(host);
        inspect.arg("--config").arg(site.file("sites.toml")).arg("--cache-dir").arg(cache.path());
        output(&mut inspect)
    };
    for (host, value) in [("one.example", "no-store"), ("two.example", "max-age=2")] {
        let explained: Value = serde_json::from_slice(&ask(&["--host", host]).stdout).unwrap();
        assert_eq!(explained["answers"][0]["headers"]["cache-control"], value, "{host}");
    }
    let refused = ask(&[]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && stderr.contains("--host"), "{stderr}");
}

/// The explanation lacked the fields that the program adds, and took a browser for a script.
#[test]
fn explanation_has_what_the_program_adds_and_is_for_a_browser_that_navigates() {
    let (site, cache) = (Site::with("index.html", &hex(3_000, 1)), tempfile::tempdir().unwrap());
    site.write("app.3f9c2b1a.js", &hex(5_000, 2));
    let users = site.file("users");
    fs::write(&users, format!("ann:{}\n", bcrypt::hash("secret", 4).unwrap())).unwrap();
    let flags =
        ["--immutable", "--spa", "--cors", "https://a.example", "--cors", "https://b.example"];
    let server = launch(&site).args(&flags.join(" ")).arg("--basic-auth").arg(&users);
    let server = server.cache(cache.path()).start();
    for path in ["/app.3f9c2b1a.js", "/users/jane.doe", "/", "/missing.js", "/settings"] {
        let mut inspect = command(Path::new(PROGRAM));
        inspect.arg("inspect").arg(site.path()).args([path, "--json"]).args(flags);
        inspect.arg("--basic-auth").arg(&users).arg("--cache-dir").arg(cache.path());
        let output = output(&mut inspect);
        let mut explained: Value = serde_json::from_slice(&output.stdout).unwrap();
        let answers = explained["answers"].as_array().unwrap().clone();
        for (answer, navigates) in answers.into_iter().zip(["https", "http", ""]) {
            let mut request = Request::get(path).header("authorization", "Basic YW5uOnNlY3JldA==");
            if let Some(accept) = answer["accept_encoding"].as_str() {
                request = request.accept(accept);
            }
            if !navigates.is_empty() {
                request = request.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
            }
            if navigates == "https" {
                request = request.header("sec-fetch-mode", "navigate");
            }
            explained["answers"] = serde_json::json!([answer]);
            // An answer that this request makes was explained as not stored yet.
            let response = server.fetch(&request);
            if response.cache_status() == STORED {
                server.until_idle();
                continue;
            }
            assert_agrees(&explained, &response, &format!("{path} for {navigates:?}"));
        }
        let sentences = explained["sentences"].to_string();
        if path == "/app.3f9c2b1a.js" {
            assert!(sentences.contains("`Cache-Control: private, max-age=31536000"), "{sentences}");
        }
        if path == "/users/jane.doe" {
            assert!(sentences.contains("the page index.html of the application"), "{sentences}");
        }
    }
}
