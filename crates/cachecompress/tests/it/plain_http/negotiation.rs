//! Codings, conditions and ranges that depend on one another.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use cachecompress::{Cache, ContentCoding, Preference, RequestOptions, ServeCompressed};
use cachecompress_test::pack::Pack;
use cachecompress_test::service::{
    Answer, encodes, get, get_as, read, request, run, send, settled,
};
use cachecompress_test::site::hex;
use http::HeaderValue;
use http::header::{ACCEPT_LANGUAGE, VARY};

use crate::fixture::stored::{PACK, builder, service};

async fn with_options(
    service: &ServeCompressed,
    path: &str,
    fields: &[(&str, &str)],
    options: RequestOptions,
) -> Answer {
    let mut request = request("GET", path, fields);
    request.extensions_mut().insert(options);
    read(send(service, request).await).await
}

/// All values of `Vary`, in lower case.
fn vary(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all(VARY).iter();
    let members = values.flat_map(|value| value.to_str().unwrap().split(','));
    members.map(|member| member.trim().to_ascii_lowercase()).collect()
}

/// A 304 kept one value of each field. If a rule or a request's options added another value to
/// `Vary`, that one was kept, and caches learned that the coding does not matter.
#[test]
fn not_modified_varies_by_coding_beside_other_fields() {
    run(async {
        let source = hex(9_000, 1);
        let language = HeaderValue::from_static("Accept-Language");
        let builder = || builder(&Pack::new(), &[("a.txt", &source)], &Cache::in_memory(1 << 20));
        let ruled = builder().header("**", VARY, language.clone()).build().unwrap();
        let plain = builder().build().unwrap();
        let own = RequestOptions::new().header(VARY, language);
        for (service, options) in [(&ruled, RequestOptions::new()), (&plain, own)] {
            let full = with_options(service, "/a.txt", &[PACK], options.clone()).await;
            let tag = full.field("etag").to_owned();
            let fields = [PACK, ("if-none-match", &*tag)];
            let unchanged = with_options(service, "/a.txt", &fields, options).await;
            assert_eq!((full.status.as_u16(), unchanged.status.as_u16()), (200, 304));
            for answer in [&full, &unchanged] {
                let vary = vary(answer);
                for name in ["accept-encoding", ACCEPT_LANGUAGE.as_str()] {
                    let count = vary.iter().filter(|member| *member == name).count();
                    assert_eq!(count, 1, "{name} of {vary:?} in a {}", answer.status);
                }
            }
        }
    });
}

/// A client that refuses identity got 503 for a file that no cache would take, however often it
/// came back as `Retry-After` told it to.
#[test]
fn impossible_coding_is_406_and_not_503() {
    run(async {
        let source = hex(300_000, 1);
        let files: [(&str, &[u8]); 2] = [("large.txt", &source), ("a.txt", &source[..9_000])];
        let service = service(&files, &Cache::in_memory(1 << 20));
        for accept in ["x-pack, identity;q=0", "gzip, *;q=0"] {
            let refused = get(&service, "/large.txt", &[("accept-encoding", accept)]).await;
            assert_eq!(refused.status, 406, "{accept}");
            assert_eq!(refused.field("vary"), "Accept-Encoding");
        }
        let plain = get(&service, "/large.txt", &[PACK]).await;
        assert_eq!((plain.status.as_u16(), plain.coding(), plain.cache()), (200, "", "large"));

        let unknown =
            || RequestOptions::new().codings([ContentCoding::new("x-without-encoder").unwrap()]);
        for (accept, status) in [
            ("x-without-encoder, identity;q=0", 406),
            ("*, identity;q=0", 406),
            ("x-without-encoder", 200),
            ("gzip", 200),
        ] {
            let fields = [("accept-encoding", accept)];
            let answer = with_options(&service, "/a.txt", &fields, unknown()).await;
            assert_eq!((answer.status.as_u16(), answer.coding()), (status, ""), "{accept}");
            if status == 200 {
                assert_eq!(answer.cache(), "identity", "{accept}");
            }
        }
        assert_eq!(encodes(&service, "*"), 0);
    });
}

/// `If-Match` names one representation. If a range of it could not be had, the answer was another
/// representation, which the condition was to rule out.
#[test]
fn cold_pinned_range_becomes_the_whole_representation() {
    run(async {
        let source = hex(200_000, 1);
        let files: [(&str, &[u8]); 1] = [("a.txt", &source)];
        let warm = service(&files, &Cache::in_memory(8 << 20));
        for coding in ["gzip", "br", "zstd"] {
            let whole = get_as(&warm, "/a.txt", coding).await;
            let fields = [
                ("accept-encoding", "br, zstd, gzip"),
                ("if-match", whole.field("etag")),
                ("range", "bytes=10-19"),
            ];
            let cold = service(&files, &Cache::in_memory(8 << 20));
            let all = get(&cold, "/a.txt", &fields).await;
            assert_eq!((all.status.as_u16(), all.coding()), (200, coding));
            assert_eq!(all.field("etag"), whole.field("etag"));
            assert!(all.bytes() == whole.bytes());
            settled(&cold).await;
            let part = get(&cold, "/a.txt", &fields).await;
            assert_eq!((part.status.as_u16(), part.coding()), (206, coding));
            assert_eq!(part.bytes(), &whole.bytes()[10..20]);
            assert_eq!(encodes(&cold, "*"), 1, "and no other was encoded");
        }
        let plain = get(&warm, "/a.txt", &[]).await;
        let fields = [
            ("accept-encoding", "br, zstd, gzip"),
            ("if-match", plain.field("etag")),
            ("range", "bytes=10-19"),
        ];
        let part = get(&warm, "/a.txt", &fields).await;
        assert_eq!((part.status.as_u16(), part.coding()), (206, ""));
        assert_eq!(part.bytes(), &source[10..20]);
    });
}

/// A tag of a coding that the service can make, but does not offer, was taken for the tag of a
/// present representation, and had it encoded.
#[test]
fn tag_of_a_coding_not_offered_matches_nothing() {
    run(async {
        let source = hex(200_000, 1);
        let files: [(&str, &[u8]); 1] = [("a.txt", &source)];
        let other = service(&files, &Cache::in_memory(8 << 20));
        let tag = get_as(&other, "/a.txt", "br").await.field("etag").to_owned();
        let list = Preference::List(vec![ContentCoding::GZIP]);
        let service = builder(&Pack::new(), &files, &Cache::in_memory(8 << 20)).preference(list);
        let service = service.build().unwrap();
        for accept in ["br", "br, gzip", "br, identity;q=0", "gzip"] {
            let fields = [("accept-encoding", accept), ("if-match", &*tag)];
            assert_eq!(get(&service, "/a.txt", &fields).await.status, 412, "{accept}");
            let ranged = [fields[0], fields[1], ("range", "bytes=0-9")];
            assert_eq!(get(&service, "/a.txt", &ranged).await.status, 412, "{accept}");
        }
        settled(&service).await;
        assert_eq!(encodes(&service, "*"), 0);
    });
}
