//! Promise 2: the same content in the same coding is encoded once per cache directory.

#![cfg(unix)]

use std::thread;

use crate::common::*;

#[test]
fn restart_encodes_nothing_and_keeps_tags_and_bytes() {
    let text = site::text(1, 700_000);
    let binary = site::binary(1, 90_000);
    let site = Site::with("app.js", &text);
    site.write("tool", &binary);
    let mut server = start(&site);
    let mut before = Vec::new();
    for target in ["/app.js", "/tool"] {
        for coding in CODINGS {
            let request = Request::get(target).accept(coding);
            let _ = server.fetch(&request);
            before.push((request.clone(), server.until_hit(&request)));
        }
    }
    assert_eq!(server.encodes(), 8);
    server.stop();

    let server = server.again();
    for (request, before) in &before {
        let after = server.fetch(request);
        assert_eq!(after.cache_status(), HIT, "{request:?}");
        assert_eq!(after.etag(), before.etag());
        assert_eq!(after.header("last-modified"), before.header("last-modified"));
        assert!(after.body == before.body, "{request:?}");
        assert!(after.is_clean());
    }
    assert_eq!(server.encodes(), 0);
}

/// `kill -9` leaves entries as good as SIGTERM does.
#[test]
fn published_entry_hits_after_kill_9() {
    let source = site::text(2, 500_000);
    let site = Site::with("app.js", &source);
    let mut server = start(&site);
    let request = Request::get("/app.js").accept("br");
    let _ = server.fetch(&request);
    let before = server.until_hit(&request);
    server.kill();
    let server = server.again();
    let after = server.fetch(&request);
    assert_eq!(after.cache_status(), HIT);
    assert!(after.body == before.body);
    assert_eq!(server.encodes(), 0);
}

#[test]
fn new_mtime_and_inode_cause_no_second_encode() {
    let source = site::text(3, 300_000);
    let site = Site::with("app.js", &source);
    site.age("app.js");
    let server = start(&site);
    let request = Request::get("/app.js").accept("gzip");
    let _ = server.fetch(&request);
    let before = server.until_hit(&request);

    // A redeploy writes every file anew.
    site.replace_by_rename("app.js", &source);
    let after = eventually("the new mtime is noticed", || {
        let after = server.fetch(&request);
        assert_is(&after, &source, "gzip");
        assert_eq!(after.cache_status(), HIT);
        assert_eq!(after.etag(), before.etag());
        (after.header("last-modified") != before.header("last-modified")).then_some(after)
    });
    assert!(after.body == before.body);
    assert_eq!(server.encodes(), 1);
}

#[test]
fn second_path_of_the_same_bytes_causes_no_second_encode() {
    let source = site::text(4, 300_000);
    let site = Site::with("v1/app.js", &source);
    site.write("v2/copy of app.js", &source);
    let server = start(&site);
    let _ = server.get("/v1/app.js", "zstd");
    let first = server.until_hit(&Request::get("/v1/app.js").accept("zstd"));
    let second = server.get("/v2/copy%20of%20app.js", "zstd");
    assert_eq!(second.cache_status(), HIT);
    assert_is(&second, &source, "zstd");
    assert_eq!(second.etag(), first.etag());
    assert_eq!((server.encodes(), server.entries()), (1, 1));
}

#[test]
fn redeploy_during_a_restart_causes_no_second_encode() {
    let source = site::text(5, 100_000);
    let site = Site::with("app.js", &source);
    let mut server = start(&site);
    let request = Request::get("/app.js").accept("br");
    let _ = server.fetch(&request);
    server.until_hit(&request);
    server.stop();
    site.replace_by_rename("app.js", &source);
    let server = server.again();
    assert_eq!(server.fetch(&request).cache_status(), HIT);
    assert_eq!(server.encodes(), 0);
}

#[test]
fn processes_on_one_cache_directory_encode_once() {
    let source = site::text(6, 24 << 20);
    let site = Site::with("app.js", &source);
    let cache = tempfile::tempdir().unwrap();
    let begin = || launch(&site).cache(cache.path()).args("--level gzip=9").start();
    let (one, other) = (begin(), begin());
    let request = Request::get("/app.js").accept("gzip");

    let mut leader = Connection::open(one.address()).unwrap();
    leader.send(&request).unwrap();
    let head = leader.receive_head().unwrap();
    assert_eq!(head.get("cache-status"), Some(STORED));
    // The other process does not get the key's lock, and answers identity at once.
    let meanwhile = other.fetch(&request);
    assert_is(&meanwhile, &source, "identity");
    let status = meanwhile.cache_status();
    assert!(status.starts_with("cachecompress; fwd=bypass; detail="), "{status}");
    let led = leader.receive_body("GET", head);
    assert_is(&led, &source, "gzip");

    let hit = other.until_hit(&request);
    assert_is(&hit, &source, "gzip");
    assert!(hit.body == led.body);
    assert_eq!(hit.etag(), led.etag());
    other.until_idle();
    assert_eq!(one.encodes() + other.encodes(), 1);
}

#[test]
fn processes_under_load_encode_each_file_once() {
    let site = Site::new();
    let files: Vec<_> = (0..12u64).map(|at| site::text(at, 60_000 + at as usize * 999)).collect();
    for (at, bytes) in files.iter().enumerate() {
        site.write(&format!("{at}.css"), bytes);
    }
    let cache = tempfile::tempdir().unwrap();
    let begin = || launch(&site).cache(cache.path()).start();
    let servers = [begin(), begin()];
    thread::scope(|scope| {
        for server in &servers {
            for (at, bytes) in files.iter().enumerate() {
                scope.spawn(move || {
                    let request = Request::get(&format!("/{at}.css")).accept("br");
                    let response = server.until_hit(&request);
                    assert_is(&response, bytes, "br");
                });
            }
        }
    });
    assert_eq!(servers.iter().map(Server::encodes).sum::<u64>(), files.len() as u64);
}

#[test]
fn kill_9_in_mid_encode_leaves_no_litter() {
    let source = site::text(7, 24 << 20);
    let site = Site::with("app.js", &source);
    let mut server = start_with(&site, "--level gzip=9");
    let request = Request::get("/app.js").accept("gzip");
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(&request).unwrap();
    let head = connection.receive_head().unwrap();
    connection.wait_for_bytes(1).unwrap();
    assert_eq!(server.entries(), 0);
    server.kill();
    let broken = connection.receive_body("GET", head);
    assert!(!broken.is_clean(), "a killed server cannot end a body cleanly");

    // The tag file remains, and perhaps locks of the dead process. A lock's length is its claim,
    // and takes no room.
    for path in site::files_below(&server.cache()) {
        let taken = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap());
        let tag = path.file_name().unwrap() == "CACHEDIR.TAG";
        assert!(tag || taken == 0, "{taken} blocks of litter in {}", path.display());
    }
    let server = server.again();
    let response = server.fetch(&request);
    assert_is(&response, &source, "gzip");
    assert_eq!(response.cache_status(), STORED, "a dead process's lock stops no encode");
    assert_is(&server.until_hit(&request), &source, "gzip");
    assert_eq!(server.encodes(), 1);
}

#[test]
fn sigterm_lets_running_downloads_finish() {
    let source = site::random(8, 12 << 20);
    let site = Site::with("data.bin", &source);
    let mut server = start(&site);
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(&Request::get("/data.bin")).unwrap();
    let head = connection.receive_head().unwrap();
    server.signal(rustix::process::Signal::TERM);
    eventually("new connections are refused", || {
        Connection::open(server.address()).is_err().then_some(())
    });
    assert!(server.is_running());
    assert_is(&connection.receive_body("GET", head), &source, "identity");
    drop(connection);
    assert!(server.wait().success());
}

#[test]
fn second_signal_ends_a_download_at_once() {
    let site = Site::with("data.bin", &site::random(9, 32 << 20));
    let mut server = start(&site);
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(&Request::get("/data.bin")).unwrap();
    let _ = connection.receive_head().unwrap();
    server.signal(rustix::process::Signal::TERM);
    eventually("new connections are refused", || {
        Connection::open(server.address()).is_err().then_some(())
    });
    let begun = Instant::now();
    server.signal(rustix::process::Signal::INT);
    let _ = server.wait();
    // The time is less than the 10 s that the download would have been given.
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}
