//! HEAD, 304 and refusals without a socket.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use cachecompress_test::service::{encodes, get, head, read, request, run, send};
use http::HeaderMap;

use crate::fixture::site::{GZIP, builder, service, warm};

/// Every field but those that may differ between two moments.
fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut fields: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    fields.sort();
    fields
}

#[test]
fn head_equals_get_in_every_field() {
    run(async {
        let (service, tag) = warm().await;
        let plain = get(&service, "/a.txt", &[]).await.field("etag").to_owned();
        for (path, wish) in [
            ("/a.txt", vec![]),
            ("/a.txt", vec![GZIP[0]]),
            ("/a.txt", vec![GZIP[0], ("if-none-match", &tag)]),
            ("/a.txt", vec![("if-none-match", &plain)]),
            ("/a.txt", vec![GZIP[0], ("if-match", "\"other\"")]),
            ("/a.txt", vec![("accept-encoding", "*;q=0")]),
            ("/tiny.txt", vec![GZIP[0]]),
            ("/empty.txt", vec![]),
            ("/assets/logo.png", vec![GZIP[0]]),
            ("/sub", vec![]),
            ("/nowhere", vec![]),
            ("/%zz", vec![]),
        ] {
            let with = get(&service, path, &wish).await;
            let without = head(&service, path, &wish).await;
            assert_eq!(with.status, without.status, "{path} {wish:?}");
            assert_eq!(fields(&with.headers), fields(&without.headers), "{path} {wish:?}");
        }
        // The rule holds for cold representations as well, here of two services.
        let with = get(&self::service(), "/own.txt", &[("accept-encoding", "br")]).await;
        let without = head(&self::service(), "/own.txt", &[("accept-encoding", "br")]).await;
        assert_eq!(fields(&with.headers), fields(&without.headers));
        // Range counts for GET only (RFC 9110 §14.2).
        let ranged = head(&service, "/a.txt", &[GZIP[0], ("range", "bytes=0-9")]).await;
        assert_eq!((ranged.status.as_u16(), ranged.field("content-range")), (200, ""));
    });
}

#[test]
fn head_has_no_body_whatever_the_status() {
    run(async {
        let service = service();
        for (path, wish) in [
            ("/a.txt", vec![]),
            ("/a.txt", vec![GZIP[0]]),
            ("/nowhere", vec![]),
            ("/%zz", vec![]),
            ("/a.txt", vec![("if-match", "\"other\"")]),
            ("/a.txt", vec![("accept-encoding", "*;q=0")]),
        ] {
            let answer = head(&service, path, &wish).await;
            assert!(answer.body.unwrap().is_empty(), "{} {path} {wish:?}", answer.status);
        }
    });
}

#[test]
fn not_modified_has_its_fields_and_needs_no_encode() {
    run(async {
        let (service, tag) = warm().await;
        let full = get(&service, "/a.txt", &GZIP).await;
        let cold = self::service();
        for service in [&service, &cold] {
            let answer = get(service, "/a.txt", &[GZIP[0], ("if-none-match", &tag)]).await;
            assert_eq!((answer.status.as_u16(), answer.cache()), (304, "hit"));
            for name in ["etag", "vary", "last-modified"] {
                assert_eq!(answer.field(name), full.field(name), "{name}");
            }
            for name in ["content-encoding", "content-length", "content-type", "content-range"] {
                assert!(!answer.headers.contains_key(name), "{name}");
            }
            assert!(answer.bytes().is_empty());
        }
        assert_eq!(encodes(&cold, "*"), 0);
        let since = [GZIP[0], ("if-modified-since", full.field("last-modified"))];
        let dated = get(&service, "/a.txt", &since).await;
        assert_eq!((dated.status.as_u16(), dated.field("etag")), (304, tag.as_str()));
    });
}

#[test]
fn refusals_have_their_fields() {
    run(async {
        let service = service();
        let none = get(&service, "/a.txt", &[("accept-encoding", "identity;q=0, x-other")]).await;
        assert_eq!((none.status.as_u16(), none.field("vary")), (406, "Accept-Encoding"));
        let failed = get(&service, "/a.txt", &[("if-match", "\"x\"")]).await;
        assert_eq!(failed.status, 412);
        let since = [("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT")];
        assert_eq!(get(&service, "/a.txt", &since).await.status, 412);
        let options = read(send(&service, request("OPTIONS", "/a.txt", &[])).await).await;
        assert_eq!((options.status.as_u16(), options.field("allow")), (204, "GET, HEAD, OPTIONS"));
        assert!(!options.headers.contains_key("content-length"));
        let moved = get(&service, "/sub?x=1", &[]).await;
        assert_eq!((moved.status.as_u16(), moved.field("location")), (301, "./sub/?x=1"));
        for (path, status) in [("/a.txt/", 301), ("/nowhere", 404), ("/%zz", 400), ("/a%00b", 404)]
        {
            let answer = get(&service, path, &[]).await;
            assert!(answer.status == status || path == "/a%00b" && answer.status == 400, "{path}");
            assert!(
                !answer.headers.contains_key("etag")
                    && !answer.headers.contains_key("cache-status")
            );
        }
    });
}

/// A cache that keeps the 404 of a script's fetch must not answer a navigation with it.
#[test]
fn not_found_in_spa_mode_varies_by_accept() {
    run(async {
        let service = builder().spa(true).build().unwrap();
        let answer = get(&service, "/users/7", &[("accept", "application/json")]).await;
        assert_eq!(answer.status, 404);
        let vary = answer.field("vary").to_ascii_lowercase();
        assert!(vary.contains("accept,") || vary.ends_with("accept"), "{vary:?}");
        assert!(vary.contains("sec-fetch-mode"), "{vary:?}");
    });
}
