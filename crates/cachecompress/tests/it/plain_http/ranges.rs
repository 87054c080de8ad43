//! Ranges of warm, cold and growing representations.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::Arc;

use cachecompress::{Memory, RequestOptions, ServeCompressed};
use cachecompress_test::gate::Gate;
use cachecompress_test::multipart;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{
    chunk, encodes, get, head as head_of, open, read, request, run, send, settled,
};
use cachecompress_test::site::{Site, hex};
use http::{HeaderValue, StatusCode};

use crate::fixture::site::{GZIP, LEN, builder, service, warm};

/// A range was one of identity on a cold cache, and one of gzip after somebody else had fetched the
/// file. Clients that send Range with their usual Accept-Encoding joined parts of both.
#[test]
fn range_is_of_identity_whatever_is_stored() {
    run(async {
        let (warm, cold) = (warm().await.0, self::service());
        let tag = get(&cold, "/a.txt", &[]).await.field("etag").to_owned();
        let encodes_before = encodes(&warm, "*");
        for service in [&cold, &warm] {
            for accept in
                ["gzip", "gzip, deflate, br, zstd", "identity", "*", "identity;q=0.1, gzip"]
            {
                let ask = async |range: &str| {
                    get(service, "/a.txt", &[("accept-encoding", accept), ("range", range)]).await
                };
                let part = ask("bytes=100-199").await;
                assert_eq!((part.status.as_u16(), part.coding()), (206, ""), "{accept}");
                assert_eq!(part.bytes(), &hex(LEN, 2)[100..200]);
                assert_eq!(part.field("content-range"), format!("bytes 100-199/{LEN}"));
                assert_eq!((part.field("etag"), part.field("vary")), (&*tag, "Accept-Encoding"));
                let detail = if accept == "identity" { "identity" } else { "range" };
                assert_eq!(part.cache(), detail, "{accept}");
                let outside = ask(&format!("bytes={LEN}-")).await;
                assert_eq!(outside.status, 416);
                assert_eq!(outside.field("content-range"), format!("bytes */{LEN}"));
                assert_eq!((outside.coding(), outside.bytes()), ("", &b""[..]));
            }
        }
        assert_eq!((encodes(&cold, "*"), encodes(&warm, "*")), (0, encodes_before));
    });
}

#[test]
fn range_is_ignored_when_identity_is_refused() {
    run(async {
        let refuses = [("accept-encoding", "gzip, identity;q=0")];
        for service in [warm().await.0, self::service()] {
            for range in ["bytes=100-199", "bytes=0-9,20-29", "bytes=9999999-"] {
                let whole = get(&service, "/a.txt", &[refuses[0], ("range", range)]).await;
                assert_eq!((whole.status.as_u16(), whole.coding()), (200, "gzip"), "{range}");
                assert!(whole.decoded() == hex(LEN, 2));
                assert_eq!(whole.field("content-range"), "");
            }
        }
    });
}

#[test]
fn range_of_a_coding_is_of_its_stored_bytes_when_a_validator_names_it() {
    run(async {
        let (service, tag) = warm().await;
        let whole = get(&service, "/a.txt", &GZIP).await.bytes().to_vec();
        let len = whole.len();
        for condition in ["if-range", "if-match"] {
            let ask = async |range: &str| {
                get(&service, "/a.txt", &[GZIP[0], (condition, &tag), ("range", range)]).await
            };
            let part = ask("bytes=100-199").await;
            assert_eq!((part.status.as_u16(), part.coding()), (206, "gzip"), "{condition}");
            assert_eq!(part.bytes(), &whole[100..200]);
            assert_eq!(part.field("content-range"), format!("bytes 100-199/{len}"));
            assert_eq!((part.field("etag"), part.field("vary")), (tag.as_str(), "Accept-Encoding"));
            // The entry's trailer and everything else behind the payload are out of reach.
            let tail = ask("bytes=-1").await;
            assert_eq!(tail.bytes(), &whole[len - 1..]);
            let beyond = ask(&format!("bytes={}-{}", len - 1, len + 500)).await;
            assert_eq!(beyond.bytes(), &whole[len - 1..]);
            let outside = ask(&format!("bytes={len}-")).await;
            assert_eq!(outside.status, 416);
            assert_eq!(outside.field("content-range"), format!("bytes */{len}"));
            assert_eq!((outside.coding(), outside.bytes()), ("", &b""[..]));
            for several in ["bytes=0-1,4-5", "bytes=0-1,1-2", "bytes=0-1,9999999-"] {
                let several = ask(several).await;
                assert_eq!((several.status.as_u16(), several.bytes()), (200, &whole[..]));
            }
        }
    });
}

/// Services over a small and a large file, in memory and on a disk, with the bytes of each.
fn services(sites: &[Site; 2]) -> Vec<(ServeCompressed, Vec<u8>)> {
    let mut services = Vec::new();
    for (site, (len, seed)) in sites.iter().zip([(9_000, 1), (700_000, 2)]) {
        let bytes = hex(len, seed);
        site.write("a.txt", &bytes);
        let memory = ServeCompressed::builder(Memory::new().file("a.txt", bytes.clone()));
        services.push((memory.build().unwrap(), bytes.clone()));
        services.push((ServeCompressed::new(site.path()).unwrap(), bytes));
    }
    services
}

/// The offsets of the parts that answer `range`; `None` for the whole file.
async fn parts_of(
    service: &ServeCompressed,
    source: &[u8],
    range: &str,
) -> Option<Vec<(usize, usize)>> {
    let fields = [("accept-encoding", "gzip, br"), ("range", range)];
    let answer = get(service, "/a.txt", &fields).await;
    assert_eq!((answer.field("accept-ranges"), answer.field("vary")), ("bytes", "Accept-Encoding"));
    if answer.status == 200 {
        assert!(answer.decoded() == source);
        return None;
    }
    assert_eq!((answer.status.as_u16(), answer.coding()), (206, ""));
    let identity = get(service, "/a.txt", &[]).await;
    assert_eq!(answer.field("etag"), identity.field("etag"));
    assert_eq!(answer.field("last-modified"), identity.field("last-modified"));
    assert!(answer.bytes().len() <= source.len(), "more bytes than the file has");
    let content_range = answer.field("content-range");
    if let Some(range) = content_range.strip_prefix("bytes ") {
        assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8");
        let (range, of) = range.split_once('/').unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        assert_eq!(of, source.len().to_string());
        assert!(answer.bytes() == &source[first..=last]);
        return Some(vec![(first, last)]);
    }
    assert_eq!(content_range, "", "RFC 9110 §15.3.7.2 forbids it beside several parts");
    assert_eq!(answer.field("content-length"), answer.bytes().len().to_string());
    let parts = multipart::parts(answer.field("content-type"), answer.bytes());
    assert!(parts.len() > 1);
    for part in &parts {
        assert_eq!(
            (part.media_type.as_str(), part.of),
            ("text/plain; charset=utf-8", source.len())
        );
        assert!(part.bytes == source[part.first..=part.last]);
    }
    Some(parts.iter().map(|part| (part.first, part.last)).collect())
}

#[test]
fn several_ranges_are_parts_of_identity_in_the_order_of_the_request() {
    run(async {
        let sites = [Site::new(), Site::new()];
        for (service, source) in services(&sites) {
            let end = source.len() - 1;
            for _ in ["cold", "warm"] {
                for (range, expected) in [
                    ("bytes=0-9,20-29", vec![(0, 9), (20, 29)]),
                    ("bytes=20-29, 0-9", vec![(20, 29), (0, 9)]),
                    ("bytes=-5,3000-3999,0-0", vec![(end - 4, end), (3000, 3999), (0, 0)]),
                    // Joined, in the place of the first.
                    ("bytes=50-59,500-509,55-70,71-80", vec![(50, 80), (500, 509)]),
                    ("bytes=80-89,5-9,0-4", vec![(80, 89), (0, 9)]),
                    ("bytes=5-9,0-4", vec![(0, 9)]),
                    ("bytes=0-,10-19", vec![(0, end)]),
                    // Ranges without bytes are dropped.
                    ("bytes=0-9,99999999-,20-29,-0", vec![(0, 9), (20, 29)]),
                    ("bytes=99999999-,7-8", vec![(7, 8)]),
                ] {
                    let parts = parts_of(&service, &source, range).await;
                    assert_eq!(parts, Some(expected), "{range}");
                }
                let _ = get(&service, "/a.txt", &GZIP).await;
                settled(&service).await;
            }
            let nothing = [("range", "bytes=99999999-,-0")];
            let nothing = get(&service, "/a.txt", &nothing).await;
            assert_eq!(nothing.status, 416);
            assert_eq!(nothing.field("content-range"), format!("bytes */{}", source.len()));
            let head = [("range", "bytes=0-9,20-29")];
            let head = head_of(&service, "/a.txt", &head).await;
            assert_eq!((head.status.as_u16(), head.body.unwrap().len()), (200, 0));
        }
    });
}

/// Overlapping ranges made Apache (CVE-2011-3192) and others send gigabytes for one file.
#[test]
fn several_ranges_never_cost_more_than_the_file() {
    run(async {
        let sites = [Site::new(), Site::new()];
        for (service, source) in services(&sites) {
            let list = |count: usize, each: &dyn Fn(usize) -> String| {
                format!("bytes={}", (0..count).map(each).collect::<Vec<_>>().join(","))
            };
            let apart = |at: usize| format!("{}-{}", at * 10, at * 10);
            let most = parts_of(&service, &source, &list(64, &apart)).await;
            assert_eq!(most.map(|parts| parts.len()), Some(64));
            assert_eq!(parts_of(&service, &source, &list(65, &apart)).await, None);
            let halves = format!("bytes=0-{},{}-", source.len() / 2 - 1, source.len() / 2 + 1);
            assert_eq!(parts_of(&service, &source, &halves).await, None, "with their heads");
            let all = Some(vec![(0, source.len() - 1)]);
            let overlapping = |at: usize| format!("{at}-");
            assert_eq!(parts_of(&service, &source, &list(1000, &overlapping)).await, all);
            let endless = list(100_000, &|_| "0-".to_owned());
            assert_eq!(parts_of(&service, &source, &endless).await, None, "none of it is read");
        }
    });
}

/// The parts have the type of the file, whoever chose it.
#[test]
fn parts_have_the_type_of_the_whole_file() {
    run(async {
        let ruled = HeaderValue::from_static("text/x-ruled");
        let service = builder().header("a.txt", http::header::CONTENT_TYPE, ruled).build().unwrap();
        for own in [None, Some("text/x-own")] {
            let mut request = request("GET", "/a.txt", &[("range", "bytes=0-9,20-29")]);
            if let Some(own) = own {
                let own = HeaderValue::from_static(own);
                let options = RequestOptions::new().header(http::header::CONTENT_TYPE, own);
                request.extensions_mut().insert(options);
            }
            let answer = read(send(&service, request).await).await;
            let parts = multipart::parts(answer.field("content-type"), answer.bytes());
            let expected = own.unwrap_or("text/x-ruled");
            assert!(parts.iter().all(|part| part.media_type == expected), "{parts:?}");
        }
    });
}

/// The last bytes of the last part are held back until the file is known to be the same.
#[test]
fn several_ranges_abort_when_the_file_changes_under_them() {
    run(async {
        let site = Site::with("a.txt", &hex(700_000, 3));
        let service = ServeCompressed::new(site.path()).unwrap();
        let ask = || open(&service, "/a.txt", &[("range", "bytes=600000-,10-19,30-39")]);
        let unchanged = read(ask().await).await;
        let parts = multipart::parts(unchanged.field("content-type"), unchanged.bytes());
        assert_eq!(parts.len(), 3);

        let mut response = ask().await;
        let head = chunk(response.body_mut()).await;
        assert!(head.starts_with(b"\r\n--"));
        let _ = chunk(response.body_mut()).await;
        site.replace_in_place("a.txt", &hex(700_000, 4));
        assert!(read(response).await.body.is_err(), "a mixture ends cleanly");
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
