//! Ranges of warm, cold and growing representations.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::Arc;

use cachecompress::ServeCompressed;
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{encodes, get, open, read, run};
use cachecompress_test::site::hex;
use http::{HeaderValue, StatusCode};

use crate::fixture::site::{GZIP, LEN, builder, service, warm};

#[test]
fn range_is_of_a_stored_coding_else_of_identity() {
    run(async {
        let (service, tag) = warm().await;
        let whole = get(&service, "/a.txt", &GZIP).await.bytes().to_vec();
        let len = whole.len();
        let ranged = [GZIP[0], ("range", "bytes=100-199")];
        let part = get(&service, "/a.txt", &ranged).await;
        assert_eq!((part.status.as_u16(), part.coding()), (206, "gzip"));
        assert_eq!(part.bytes(), &whole[100..200]);
        assert_eq!(part.field("content-range"), format!("bytes 100-199/{len}"));
        assert_eq!((part.field("etag"), part.field("vary")), (tag.as_str(), "Accept-Encoding"));
        // The entry's trailer and everything else behind the payload are out of reach.
        let tail = get(&service, "/a.txt", &[GZIP[0], ("range", "bytes=-1")]).await;
        assert_eq!(tail.bytes(), &whole[len - 1..]);
        let beyond = format!("bytes={}-{}", len - 1, len + 500);
        let beyond = get(&service, "/a.txt", &[GZIP[0], ("range", &beyond)]).await;
        assert_eq!(beyond.bytes(), &whole[len - 1..]);
        let outside = format!("bytes={len}-");
        let outside = get(&service, "/a.txt", &[GZIP[0], ("range", &outside)]).await;
        assert_eq!(outside.status, 416);
        assert_eq!(outside.field("content-range"), format!("bytes */{len}"));
        assert_eq!((outside.coding(), outside.bytes()), ("", &b""[..]));
        let several = get(&service, "/a.txt", &[GZIP[0], ("range", "bytes=0-1,4-5")]).await;
        assert_eq!((several.status.as_u16(), several.bytes()), (200, &whole[..]));

        let cold = self::service();
        let part = get(&cold, "/a.txt", &ranged).await;
        assert_eq!((part.status.as_u16(), part.coding(), part.cache()), (206, "", "range"));
        assert_eq!(part.bytes(), &hex(LEN, 2)[100..200]);
        assert_eq!(part.field("content-range"), format!("bytes 100-199/{LEN}"));
        let identity = get(&cold, "/a.txt", &[]).await;
        assert_eq!(part.field("etag"), identity.field("etag"));
        assert_eq!((part.field("vary"), encodes(&cold, "*")), ("Accept-Encoding", 0));
    });
}

#[test]
fn cold_download_resumes_with_its_tag() {
    run(async {
        let (service, tag) = warm().await;
        let whole = get(&service, "/a.txt", &GZIP).await.bytes().to_vec();
        let resume = |tag: &str| {
            let fields =
                [("accept-encoding", "br, gzip"), ("range", "bytes=500-"), ("if-range", tag)];
            fields.map(|(name, value)| (name, value.to_owned()))
        };
        let ask = async |service: &ServeCompressed, tag: &str| {
            let fields = resume(tag);
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            get(service, "/a.txt", &fields).await
        };
        let rest = ask(&service, &tag).await;
        assert_eq!((rest.status.as_u16(), rest.coding(), rest.field("etag")), (206, "gzip", &*tag));
        assert_eq!(rest.bytes(), &whole[500..], "though br is preferred");
        for other in [format!("W/{tag}"), "\"other\"".to_owned(), tag.replace("gzip", "zstd")] {
            let all = ask(&service, &other).await;
            assert_eq!(all.status, 200, "{other}");
            assert!(all.decoded() == hex(LEN, 2));
        }
        // A range of a representation that is not there becomes the whole negotiated one.
        let cold = ask(&self::service(), &tag).await;
        assert_eq!((cold.status.as_u16(), cold.coding()), (200, "br"));
        assert!(cold.decoded() == hex(LEN, 2));
        let identity = get(&service, "/a.txt", &[]).await;
        let rest = ask(&service, identity.field("etag")).await;
        assert_eq!((rest.status.as_u16(), rest.coding()), (206, ""));
        assert_eq!(rest.bytes(), &hex(LEN, 2)[500..]);
        let rest = ask(&service, identity.field("last-modified")).await;
        assert_eq!((rest.status.as_u16(), rest.coding()), (206, ""), "a date names identity");
    });
}

#[test]
fn range_of_a_growing_representation_is_of_identity() {
    run(async {
        let gate = Gate::new();
        let service = builder().encoder(coding(), Arc::new(Pack::gated(&gate))).build().unwrap();
        gate.open(1);
        let fields = [("accept-encoding", "x-pack"), ("range", "bytes=10-19")];
        let growing = open(&service, "/a.txt", &fields[..1]).await;
        let part = get(&service, "/a.txt", &fields).await;
        assert_eq!((part.status.as_u16(), part.coding(), part.cache()), (206, "", "range"));
        assert_eq!(part.bytes(), &hex(LEN, 2)[10..20]);
        let tag = growing.headers()["etag"].to_str().unwrap().to_owned();
        let resumed = open(&service, "/a.txt", &[fields[0], fields[1], ("if-range", &tag)]).await;
        assert_eq!(
            (resumed.status(), &resumed.headers()["content-encoding"]),
            (StatusCode::OK, &HeaderValue::from_static("x-pack"))
        );
        gate.open_wide();
        assert!(read(growing).await.decoded() == hex(LEN, 2));
        assert!(read(resumed).await.decoded() == hex(LEN, 2));
    });
}
