//! SIGHUP, which puts the configuration into force that there is now.

#![cfg(unix)]

use rustix::process::Signal;

use crate::common::*;

/// The number of lines of the log that have `text`.
fn told(server: &Server, text: &str) -> usize {
    server.stderr().matches(text).count()
}

fn reload(server: &Server, told_of: &str) {
    let before = told(server, told_of);
    server.signal(Signal::HUP);
    eventually("the reload", || (told(server, told_of) > before).then_some(()));
}

#[test]
fn reload_ends_no_connection_no_answer_and_no_cache() {
    let source = site::text(7, 30_000);
    let site = Site::with("app.js", &source);
    let big = site.path().join("big.bin");
    fs::File::create(&big).unwrap().set_len(32 << 20).unwrap();
    let server = launch(&site).args("--log-level info").start();
    server.until_hit(&Request::get("/app.js").accept("br"));
    let (mut slow, mut kept) =
        (Connection::open(server.address()).unwrap(), Connection::open(server.address()).unwrap());
    slow.send(&Request::get("/big.bin")).unwrap();
    let head = slow.receive_head().unwrap();
    kept.send(&Request::get("/app.js").accept("br")).unwrap();
    assert!(kept.receive("GET").unwrap().is_hit());
    for _ in 0..5 {
        reload(&server, "reloaded the configuration");
        for version in [Protocol::Http1, Protocol::Http2] {
            let answer = server.fetch_over(version, &Request::get("/app.js").accept("br"));
            assert!(answer.is_hit(), "{answer:?}");
        }
        kept.send(&Request::get("/app.js").accept("br")).unwrap();
        assert_is(&kept.receive("GET").unwrap(), &source, "br");
    }
    let body = slow.receive_body("GET", head);
    assert!(body.is_clean() && body.body.len() == 32 << 20);
    assert_eq!(server.encodes(), 1, "the cache is the same");
}

#[test]
fn reload_that_fails_changes_nothing() {
    let source = site::text(8, 3_000);
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("site");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("app.js"), &source).unwrap();
    let server = Launch::new(PROGRAM, &root).args(PATIENT).args("--log-level info").start();
    assert_is(&server.get("/app.js", "gzip"), &source, "gzip");
    fs::rename(&root, outer.path().join("moved")).unwrap();
    reload(&server, "cannot reload: cannot serve");
    assert!(server.stderr().contains("nothing has changed"), "{}", server.stderr());
    assert_is(&server.get("/app.js", "gzip"), &source, "gzip");
    fs::rename(outer.path().join("moved"), &root).unwrap();
    reload(&server, "reloaded the configuration");
    assert_is(&server.get("/app.js", "gzip"), &source, "gzip");
}
