//! The digest that a request asks for, RFC 9530.

#![cfg(feature = "gzip")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cachecompress::Digest;
use cachecompress_test::service::{get, head, run};
use cachecompress_test::site::hex;

use crate::fixture::site::{LEN, warm};

const WANT: (&str, &str) = ("want-repr-digest", "sha-256=10");

#[test]
fn repr_digest_is_that_of_the_whole_file_if_it_is_wanted() {
    run(async {
        let service = warm().await.0;
        let digest = STANDARD.encode(Digest::of(&hex(LEN, 2)).as_bytes());
        let expected = format!("sha-256=:{digest}:");
        for (fields, status) in [
            (&[][..], 200),
            (&[("range", "bytes=100-199")], 206),
            (&[("range", "bytes=0-9,20-29")], 206),
        ] {
            let answer = get(&service, "/a.txt", &[fields, &[WANT]].concat()).await;
            assert_eq!((answer.status.as_u16(), answer.field("repr-digest")), (status, &*expected));
            assert_eq!(head(&service, "/a.txt", &[WANT]).await.field("repr-digest"), expected);
            // It must not come from the cache of whole responses, nor stay away by it.
            assert_eq!(get(&service, "/a.txt", fields).await.field("repr-digest"), "");
        }
    });
}

/// The digest of a coded representation is that of its coded bytes (RFC 9530 §3). The file's own would be
/// taken for it.
#[test]
fn coded_response_has_no_repr_digest() {
    run(async {
        let (service, _) = warm().await;
        let coded = get(&service, "/a.txt", &[("accept-encoding", "gzip"), WANT]).await;
        assert_eq!((coded.coding(), coded.field("repr-digest")), ("gzip", ""));
        let outside = get(&service, "/a.txt", &[("range", "bytes=9999999-"), WANT]).await;
        assert_eq!((outside.status.as_u16(), outside.field("repr-digest")), (416, ""));
    });
}
