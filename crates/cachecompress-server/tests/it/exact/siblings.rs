//! Files that somebody else has encoded, over sockets.

use std::io::Write as _;

use crate::common::*;

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Asks with GET and HEAD over both protocols; returns the tag.
#[track_caller]
fn tag_of(server: &Server, path: &str, source: &[u8], coded: &[u8]) -> String {
    let mut tags = Vec::new();
    for protocol in Protocol::ALL {
        let request = Request::get(path).accept("gzip");
        let response = server.fetch_over(protocol, &request);
        assert_is(&response, source, "gzip");
        assert!(response.body == coded, "other bytes than the file's");
        tags.push(response.etag().to_owned());
        let head = server.fetch_over(protocol, &Request::head(path).accept("gzip"));
        assert_eq!((head.status(), head.coding()), (200, "gzip"));
        tags.push(head.etag().to_owned());
        server.until_idle();
    }
    tags.dedup();
    assert_eq!(tags.len(), 1, "{tags:?}");
    tags.remove(0)
}

#[test]
fn sibling_is_sent_with_the_flag_also_after_a_restart_and_by_a_replica() {
    let source = site::text(1, 200_000);
    let coded = gzipped(&source);
    let site = Site::with("app.js", &source);
    site.write("app.js.gz", &coded);
    let cache = tempfile::tempdir().unwrap();
    let restart = || launch(&site).args("--siblings verified").cache(cache.path()).start();
    let first = restart();
    let tag = tag_of(&first, "/app.js", &source, &coded);
    let range =
        Request::get("/app.js").accept("gzip").range("bytes=10-19").header("if-range", &tag);
    let replica = start_with(&site, "--siblings verified --prove off --level gzip=1");
    assert_eq!(tag_of(&replica, "/app.js", &source, &coded), tag);
    drop(first);
    let second = restart();
    let part = second.fetch(&range);
    assert_eq!((part.status(), &*part.body, part.etag()), (206, &coded[10..20], &*tag));
    assert_eq!(tag_of(&second, "/app.js", &source, &coded), tag);
    assert_eq!((second.encodes(), replica.encodes()), (0, 0));
    let itself = second.get("/app.js.gz", "gzip");
    assert!(itself.body == coded && itself.coding() == "identity");

    let off = start(&site);
    assert_ne!(off.get("/app.js", "gzip").etag(), tag);
}

#[test]
fn stale_sibling_is_named_in_the_log_once() {
    let source = site::text(2, 200_000);
    let site = Site::with("app.js", &source);
    site.write("app.js.gz", &gzipped(&site::text(3, 200_000)));
    let server = start_with(&site, "--siblings verified --revalidate 0");
    for protocol in [Protocol::ALL, Protocol::ALL].as_flattened() {
        let response = server.fetch_over(*protocol, &Request::get("/app.js").accept("gzip"));
        assert_is(&response, &source, "gzip");
    }
    let log = server.stderr();
    let named: Vec<_> = log.lines().filter(|line| line.contains("app.js.gz")).collect();
    assert_eq!(named.len(), 1, "{log}");
    assert!(named[0].contains("WARN") && named[0].contains("another version"), "{named:?}");
}

#[test]
fn encoded_name_is_served_with_the_flag() {
    let source = site::text(4, 200_000);
    let coded = gzipped(&source);
    let site = Site::with("Build/game.wasm.gz", &coded);
    let server = start_with(&site, "--encoded-names on");
    for path in ["/Build/game.wasm.gz", "/Build/game.wasm"] {
        tag_of(&server, path, &source, &coded);
        for protocol in Protocol::ALL {
            let plain = server.fetch_over(protocol, &Request::get(path));
            assert_is(&plain, &source, "identity");
            assert_eq!(plain.header("content-type"), Some("application/wasm"));
            let part = server.fetch_over(protocol, &Request::get(path).range("bytes=-7"));
            assert_eq!((part.status(), &*part.body), (206, &source[199_993..]));
        }
    }
    assert_eq!(server.encodes(), 0);
    let off = start(&site);
    assert!(off.get("/Build/game.wasm.gz", "gzip").body == coded);
    assert_eq!(off.get("/Build/game.wasm", "gzip").status(), 404);
}
