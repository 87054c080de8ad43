//! Range, If-Range and the preconditions, on identity, coded and cold representations.

use crate::common::*;

const CODED: &str = "gzip";

/// A server with `/app.js` complete in gzip, and its whole coded answer.
fn warm() -> (Site, Server, Vec<u8>, Response) {
    let source = site::text(1, 400_000);
    let site = Site::with("app.js", &source);
    site.age("app.js");
    let server = start(&site);
    let request = Request::get("/app.js").accept(CODED);
    let _ = server.fetch(&request);
    let whole = server.until_hit(&request);
    assert_is(&whole, &source, CODED);
    (site, server, source, whole)
}

/// Asserts that a 206 or 304 carries the fields of the 200, RFC 9110 §15.3.7 and §15.4.5 (caddy
/// 5849: 304 and 206 without Vary).
#[track_caller]
fn assert_carries(response: &Response, of: &Response) {
    for name in ["etag", "vary", "cache-control"] {
        assert_eq!(response.head.all(name), of.head.all(name), "{name} of {:?}", response.head);
    }
}

/// Offsets count in the representation that the answer has (envoy 46199, fastify-compress 402:
/// identity offsets over a coded body).
#[test]
fn range_of_a_coded_representation_is_a_part_of_its_bytes() {
    let (_site, server, source, coded) = warm();
    let identity = server.get("/app.js", "identity");
    for (accept, whole) in [(CODED, &coded), ("identity", &identity)] {
        let length = whole.body.len();
        let end = length - 1;
        for (range, from, to) in [
            ("bytes=0-0".to_owned(), 0, 0),
            ("bytes=0-99".to_owned(), 0, 99),
            ("bytes=100-".to_owned(), 100, end),
            ("bytes=-1".to_owned(), end, end),
            ("bytes=-500".to_owned(), length - 500, end),
            (format!("bytes=-{}", length * 2), 0, end),
            (format!("bytes=5-{}", length * 2), 5, end),
            (format!("bytes={end}-{end}"), end, end),
            ("bytes=7-7,".to_owned(), 7, 7),
            ("BYTES=3-4".to_owned(), 3, 4),
            ("bytes=0-99999999999999999999999".to_owned(), 0, end),
        ] {
            for protocol in Protocol::ALL {
                let request = Request::get("/app.js").accept(accept).range(&range);
                let request = request.header("if-range", whole.etag());
                let part = server.fetch_over(protocol, &request);
                assert_eq!(part.status(), 206, "{range}: {:?}", part.head);
                assert_eq!(
                    part.header("content-range").unwrap(),
                    format!("bytes {from}-{to}/{length}"),
                    "{range}"
                );
                assert_eq!(part.header("content-length").unwrap(), (to - from + 1).to_string());
                assert_eq!(part.coding(), accept);
                assert!(part.is_clean() && part.body == whole.body[from..=to], "{range}");
                assert_carries(&part, whole);
            }
        }
    }
    assert!(identity.body == source);
}

/// A range leaked cache metadata (CVE-2017-7529). An empty one caused a panic
/// (GHSA-gcqf-3g44-vc9p).
#[test]
fn unsatisfiable_range_is_416_with_the_length() {
    let (site, server, _, coded) = warm();
    site.write("empty.txt", b"");
    let length = coded.body.len();
    for protocol in Protocol::ALL {
        for range in [
            format!("bytes={length}-"),
            format!("bytes={length}-{length}"),
            "bytes=-0".into(),
            format!("bytes={}-", u64::MAX),
        ] {
            let request = Request::get("/app.js").accept(CODED).range(&range);
            let request = request.header("if-range", coded.etag());
            let response = server.fetch_over(protocol, &request);
            assert_eq!(response.status(), 416, "{range}: {:?}", response.head);
            assert_eq!(response.header("content-range").unwrap(), format!("bytes */{length}"));
            assert!(response.body.len() < 200);
        }
        let empty = server.fetch_over(protocol, &Request::get("/empty.txt").range("bytes=0-"));
        assert_eq!(empty.status(), 416, "{:?}", empty.head);
        assert_eq!(empty.header("content-range"), Some("bytes */0"));
    }
}

#[test]
fn malformed_ranges_get_the_whole() {
    let (_site, server, source, coded) = warm();
    for range in [
        "bytes=",
        "bytes=-",
        "bytes=5-1",
        "bytes=a-b",
        "bytes 0-1",
        "items=0-1",
        "bytes=0-1-2",
        "0-1",
        "bytes=1",
        "bytes=0x0-0x5",
        "bytes=+1-2",
        "bytes=0-1,5-4",
        "bytes=0-1,x",
    ] {
        for protocol in Protocol::ALL {
            let request = Request::get("/app.js").accept(CODED).range(range);
            let response = server.fetch_over(protocol, &request);
            assert_is(&response, &source, CODED);
            assert!(response.body == coded.body, "{range}");
            assert_eq!(response.header("content-range"), None);
        }
    }
}

/// A range was one of gzip after anybody had fetched the file with gzip, and one of identity before.
/// Clients that send Range with their usual Accept-Encoding joined parts of both (psf/requests 2632,
/// nginx `slice`, `curl --compressed -C -`).
#[test]
fn range_is_of_identity_before_and_after_others_fetch_the_file() {
    let source = site::text(11, 400_000);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    let accepts = ["gzip", "gzip, deflate, br, zstd", "*", "gzip, identity;q=0.1"];
    for when in ["cold", "warm"] {
        for accept in accepts {
            for protocol in Protocol::ALL {
                let request = Request::get("/app.js").accept(accept).range("bytes=3000-3099");
                let part = server.fetch_over(protocol, &request);
                assert_eq!((part.status(), part.coding()), (206, "identity"), "{when} {accept}");
                assert!(part.body == source[3000..3100], "{when} {accept}");
                assert_eq!(part.etag(), identity_tag(&source));
                assert_varies(&part);
            }
        }
        let refuses = Request::get("/app.js").accept("gzip, identity;q=0").range("bytes=3000-3099");
        assert_is(&server.fetch(&refuses), &source, CODED);
        for coding in CODINGS {
            server.until_hit(&Request::get("/app.js").accept(coding));
        }
    }
}

/// The parts of a response with several ranges, or all of its bytes as the only part.
fn parts(response: &Response) -> Vec<multipart::Part> {
    assert_eq!((response.status(), response.coding()), (206, "identity"), "{:?}", response.head);
    assert_eq!(response.header("content-range"), None);
    assert_eq!(response.header("content-length").unwrap(), response.body.len().to_string());
    multipart::parts(response.header("content-type").unwrap(), &response.body)
}

#[test]
fn several_ranges_are_sent_as_multipart() {
    let (site, server, source, coded) = warm();
    site.write("large.bin", &site::random(12, 3_000_000));
    let large = fs::read(site.file("large.bin")).unwrap();
    let whole = server.get("/app.js", "identity");
    for (target, source) in [("/app.js", &source), ("/large.bin", &large)] {
        let end = source.len() - 1;
        for (range, expected) in [
            ("bytes=0-9,20-29", vec![(0, 9), (20, 29)]),
            // Adobe's viewer asks for the end of a PDF and for pages anywhere.
            (
                "bytes=-1024,0-1023, 200000-265535",
                vec![(end - 1023, end), (0, 1023), (200_000, 265_535)],
            ),
            ("bytes=500-599, 0-99, 550-700, 90-99", vec![(500, 700), (0, 99)]),
            ("bytes=9-9,0-0,9999999999-", vec![(9, 9), (0, 0)]),
        ] {
            for protocol in Protocol::ALL {
                let request = Request::get(target).accept("gzip, br").range(range);
                let response = server.fetch_over(protocol, &request);
                let told: Vec<_> =
                    parts(&response).iter().map(|part| (part.first, part.last)).collect();
                assert_eq!(told, expected, "{range}");
                for part in parts(&response) {
                    assert!(part.bytes == source[part.first..=part.last], "{range}");
                    assert_eq!(part.of, source.len());
                }
                if target == "/app.js" {
                    assert_carries(&response, &whole);
                    assert!(parts(&response)[0].media_type.starts_with("text/javascript"));
                }
            }
        }
    }
    for protocol in Protocol::ALL {
        let ask = |range: &str, validator: &str| {
            let request = Request::get("/app.js").accept(CODED).range(range);
            server.fetch_over(protocol, &request.header("if-range", validator))
        };
        let several = ask("bytes=0-9,20-29", coded.etag());
        assert!(several.status() == 200 && several.body == coded.body, "{:?}", several.head);
        assert_eq!(parts(&ask("bytes=0-9,20-29", whole.etag())).len(), 2);
        assert_eq!(parts(&ask("bytes=0-9,20-29", whole.header("last-modified").unwrap())).len(), 2);
        assert_eq!(ask("bytes=0-9,20-29", "\"other\"").status(), 200);
        let one = Request::get("/app.js").range("bytes=5-9,0-4");
        let one = server.fetch_over(protocol, &one);
        assert_eq!((one.status(), &one.body[..]), (206, &source[..10]));
        assert_eq!(one.header("content-range").unwrap(), format!("bytes 0-9/{}", source.len()));
        let none = Request::get("/app.js").range("bytes=9999999-,-0");
        assert_eq!(server.fetch_over(protocol, &none).status(), 416);
        let head = Request::head("/app.js").range("bytes=0-9,20-29");
        let head = server.fetch_over(protocol, &head);
        assert_eq!(head.header("content-length").unwrap(), source.len().to_string());
    }
}

/// Overlapping ranges hurt other servers (CVE-2011-3192, CVE-2025-62727).
#[test]
fn several_ranges_send_no_more_bytes_than_the_file() {
    let (_site, server, source, _) = warm();
    let list = |count: usize, each: &dyn Fn(usize) -> String| {
        format!("bytes={}", (0..count).map(each).collect::<Vec<_>>().join(","))
    };
    for protocol in Protocol::ALL {
        let ask = |range: &str| {
            let response = server.fetch_over(protocol, &Request::get("/app.js").range(range));
            assert!(response.is_clean() && response.body.len() <= source.len());
            response
        };
        let most = ask(&list(64, &|at| format!("{}-{}", at * 100, at * 100 + 9)));
        assert_eq!(parts(&most).len(), 64);
        let more = ask(&list(65, &|at| format!("{}-{}", at * 100, at * 100 + 9)));
        assert!(more.status() == 200 && more.body == source);
        let all = ask(&list(1000, &|at| format!("{at}-")));
        assert!(all.status() == 206 && all.body == source);
        assert_eq!(ask("bytes=0-,5-0,5-1,5-2,5-3").status(), 200);
        let nearly = ask("bytes=0-199999,200001-");
        assert!(nearly.status() == 200 && nearly.body == source, "with their heads");
    }
}

#[test]
fn several_ranges_abort_when_the_file_changes_under_them() {
    // Longer than the sockets' buffers, so that the end is not sent yet.
    let source = site::random(13, 24 << 20);
    let site = Site::with("app.bin", &source);
    let server = start(&site);
    let request = Request::get("/app.bin").range("bytes=1000000-,100-199,0-9");
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(&request).unwrap();
    let head = connection.receive_head().unwrap();
    assert_eq!(head.status, 206);
    site.replace_in_place("app.bin", &site::random(14, 24 << 20));
    let response = connection.receive_body("GET", head);
    assert!(!response.is_clean(), "a mixture ends cleanly");
}

#[test]
fn range_is_ignored_on_head_and_on_errors() {
    let (_site, server, _, coded) = warm();
    for protocol in Protocol::ALL {
        let request = Request::head("/app.js").accept(CODED).range("bytes=0-9");
        let response = server.fetch_over(protocol, &request);
        assert_eq!(response.status(), 200, "{:?}", response.head);
        assert_eq!(response.header("content-length").unwrap(), coded.body.len().to_string());
        let missing = server.fetch_over(protocol, &Request::get("/none").range("bytes=0-9"));
        assert_eq!(missing.status(), 404);
    }
}

#[test]
fn range_is_of_identity_while_the_file_is_encoded() {
    let source = site::text(2, 12 << 20);
    let site = Site::with("app.js", &source);
    for protocol in Protocol::ALL {
        let server = start_with(&site, "--level gzip=9");
        let request = Request::get("/app.js").accept(CODED).range("bytes=1000-1999");
        let ask = || {
            let part = server.fetch_over(protocol, &request);
            assert_eq!((part.status(), part.coding()), (206, "identity"), "{:?}", part.head);
            assert_eq!(part.etag(), identity_tag(&source));
            let range = format!("bytes 1000-1999/{}", source.len());
            assert_eq!(part.header("content-range"), Some(range.as_str()));
            assert!(part.body == source[1000..2000]);
            assert_varies(&part);
        };
        ask();
        assert_eq!(server.encodes(), 0, "a range starts no encode");
        let mut leader = Connection::open(server.address()).unwrap();
        leader.send(&Request::get("/app.js").accept(CODED)).unwrap();
        let head = leader.receive_head().unwrap();
        ask();
        let whole = leader.receive_body("GET", head);
        assert_is(&whole, &source, CODED);
        server.until_hit(&Request::get("/app.js").accept(CODED));
        ask();
        assert_eq!(server.encodes(), 1, "{protocol:?}");
    }
}

/// A browser or `curl -C` resumes after a broken connection. The two parts are one body.
#[test]
fn cold_download_resumes_where_it_broke_off() {
    let source = site::binary(3, 12 << 20);
    let site = Site::with("program", &source);
    let server = start_with(&site, "--level gzip=9");
    let accept = "gzip;q=0.9, br, zstd;q=0.8";
    let cases = [("gzip", "gzip"), (accept, "br"), ("identity", "identity")];
    for (accept, coding) in cases {
        let mut first = Connection::open(server.address()).unwrap();
        first.send(&Request::get("/program").accept(accept)).unwrap();
        let head = first.receive_head().unwrap();
        let mut part = Vec::new();
        let tag = head.get("etag").unwrap().to_owned();
        let got = head.get("content-encoding").unwrap_or("identity").to_owned();
        if accept != "gzip;q=0.9, br, zstd;q=0.8" {
            assert_eq!(got, coding);
        }
        let body = first.receive_body("GET", head).body;
        part.extend_from_slice(&body[..body.len() / 3]);
        if coding != "identity" {
            server.until_idle();
        }
        let rest = Request::get("/program")
            .accept(accept)
            .range(&format!("bytes={}-", part.len()))
            .header("if-range", &tag);
        for protocol in Protocol::ALL {
            let rest = server.fetch_over(protocol, &rest);
            assert_eq!(rest.status(), 206, "{:?}", rest.head);
            assert_eq!(rest.etag(), tag);
            assert_eq!(rest.coding(), got);
            let whole = [&part[..], &rest.body[..]].concat();
            assert!(decode::decode(&got, &whole).unwrap() == source, "{accept}");
        }
    }
}

#[test]
fn if_range_selects_the_representation_that_its_tag_names() {
    let (site, server, source, coded) = warm();
    let identity = server.get("/app.js", "identity");
    let ask = |accept: &str, validator: &str| {
        let request = Request::get("/app.js").accept(accept).range("bytes=0-99");
        let request = request.header("if-range", validator);
        let answers = Protocol::ALL.map(|protocol| server.fetch_over(protocol, &request));
        assert_eq!(answers[0].status(), answers[1].status());
        assert!(answers[0].body == answers[1].body);
        let [answer, _] = answers;
        answer
    };
    // br would be preferred. The tag names the representation of the client's part.
    let part = ask("br, gzip", coded.etag());
    assert_eq!((part.status(), part.coding()), (206, CODED));
    assert!(part.body == coded.body[..100]);
    let part = ask("br, gzip", identity.etag());
    assert_eq!((part.status(), part.coding()), (206, "identity"));
    assert!(part.body == source[..100]);
    // A tag in a coding that is not acceptable is no match, nor is a weak or another one.
    for validator in [
        format!("W/{}", identity.etag()),
        format!("W/{}", coded.etag()),
        "\"other\"".into(),
        coded.etag().replace("-gzip-", "-br-"),
        "not a tag".into(),
    ] {
        let whole = ask("gzip", &validator);
        assert_is(&whole, &source, CODED);
    }
    assert_is(&ask("identity", coded.etag()), &source, "identity");
    // A date counts for identity only, and only the exact one.
    let date = identity.header("last-modified").unwrap().to_owned();
    assert_eq!(ask("identity", &date).status(), 206);
    assert_eq!(ask("identity", "Thu, 01 Jan 2099 00:00:00 GMT").status(), 200);
    let with_coding = ask("gzip", &date);
    assert_eq!((with_coding.status(), with_coding.coding()), (206, "identity"));
    assert!(with_coding.body == source[..100]);
    assert_is(&ask("gzip, identity;q=0", &date), &source, CODED);
    // The old tag of a changed file gets the whole new file.
    let new = site::text(9, 400_000);
    site.replace_by_rename("app.js", &new);
    eventually("the new file", || {
        let whole = ask("identity", identity.etag());
        (whole.status() == 200 && whole.decoded() == new).then_some(())
    });
}

/// One strong tag for all codings (h2o 2896, inert 7, whitenoise).
#[test]
fn codings_have_strong_tags_of_their_own() {
    let (_site, server, source, _) = warm();
    let mut tags = Vec::new();
    for coding in CODINGS.iter().chain(&["identity"]) {
        let response = server.get("/app.js", coding);
        assert_tag(response.etag(), &source, coding);
        tags.push(response.etag().to_owned());
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 5);
}

#[test]
fn if_none_match_is_304_with_the_tag_that_matched() {
    let (_site, server, source, coded) = warm();
    let identity = identity_tag(&source);
    let old_id = format!("\"{}-gzip-AAAAAAAA\"", tag_digest(&source));
    let br = format!("\"{}-br-AAAAAAAA\"", tag_digest(&source));
    let other = "\"AAAAAAAAAAAAAAAAAAAAAA\"";
    let tag = coded.etag();
    let encodes = server.encodes();
    let cases: &[(&str, String, Option<&str>)] = &[
        ("gzip", tag.to_owned(), Some(tag)),
        ("gzip", format!("W/{tag}"), Some(tag)),
        ("gzip", format!("{other}, {tag}"), Some(tag)),
        ("gzip", format!("\"a,b\" ,, {tag}"), Some(tag)),
        // A tag of ours that names this content with another id, in an acceptable coding.
        ("gzip", old_id.clone(), Some(&old_id)),
        ("gzip", identity.clone(), Some(&identity)),
        ("br, gzip", tag.to_owned(), Some(tag)),
        ("br, gzip", br.clone(), Some(&br)),
        ("identity", identity.clone(), Some(&identity)),
        // The coding is not acceptable, so its tag does not match.
        ("gzip", br.clone(), None),
        ("identity", tag.to_owned(), None),
        ("gzip, identity;q=0", identity.clone(), None),
        ("gzip", other.to_owned(), None),
        ("gzip", "\"\"".to_owned(), None),
        ("gzip", "garbage".to_owned(), None),
    ];
    for (accept, value, matched) in cases {
        for protocol in Protocol::ALL {
            for method in ["GET", "HEAD"] {
                let request = Request::new(method, "/app.js").accept(accept);
                let request = request.header("if-none-match", value);
                let response = server.fetch_over(protocol, &request);
                let Some(matched) = matched else {
                    assert_eq!(response.status(), 200, "{accept}; {value}: {:?}", response.head);
                    continue;
                };
                assert_eq!(response.status(), 304, "{accept}; {value}: {:?}", response.head);
                assert_eq!(response.etag(), *matched);
                assert!(response.body.is_empty());
                assert_varies(&response);
                assert_eq!(response.header("cache-control"), coded.header("cache-control"));
                assert_eq!(response.cache_status(), HIT);
            }
        }
    }
    let star = Request::get("/app.js").accept("gzip").header("if-none-match", "*");
    assert_eq!(server.fetch(&star).status(), 304);
    assert_eq!(server.encodes(), encodes, "a 304 encodes nothing");
}

#[test]
fn preconditions_are_evaluated_in_the_order_of_rfc_9110() {
    let (_site, server, source, coded) = warm();
    let tag = coded.etag();
    let identity = identity_tag(&source);
    let modified = coded.header("last-modified").unwrap();
    let (past, future) = ("Sat, 01 Jan 2000 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT");
    let other = "\"other\"";
    let weak = format!("W/{tag}");
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("if-match", tag)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", other)], 412),
        (&[("if-match", &weak)], 412),
        (&[("if-unmodified-since", past)], 412),
        (&[("if-unmodified-since", future)], 200),
        (&[("if-match", tag), ("if-unmodified-since", past)], 200),
        (&[("if-match", other), ("if-none-match", tag)], 412),
        (&[("if-match", tag), ("if-none-match", tag)], 304),
        (&[("if-modified-since", modified)], 304),
        (&[("if-modified-since", future)], 304),
        (&[("if-modified-since", past)], 200),
        (&[("if-modified-since", "yesterday")], 200),
        // If-None-Match overrules the date.
        (&[("if-none-match", other), ("if-modified-since", modified)], 200),
        (&[("if-none-match", tag), ("if-modified-since", past)], 304),
        (&[("if-none-match", tag), ("range", "bytes=0-9")], 304),
        (&[("if-match", other), ("range", "bytes=0-9")], 412),
        (&[("if-match", tag), ("range", "bytes=0-9")], 206),
        (&[("if-none-match", &identity), ("if-match", other)], 412),
    ];
    for (headers, status) in cases {
        for protocol in Protocol::ALL {
            let mut request = Request::get("/app.js").accept(CODED);
            for (name, value) in *headers {
                request = request.header(name, value);
            }
            let response = server.fetch_over(protocol, &request);
            assert_eq!(response.status(), *status, "{headers:?}: {:?}", response.head);
        }
    }
    // A missing file is 412 or 404, but never 200 or 304.
    let none = Request::get("/none").header("if-none-match", "*");
    assert_eq!(server.fetch(&none).status(), 404);
}

#[test]
fn not_modified_needs_no_cached_representation() {
    let source = site::text(5, 200_000);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    let tag = format!("\"{}-br-AAAAAAAA\"", tag_digest(&source));
    for protocol in Protocol::ALL {
        let request = Request::get("/app.js").accept("br").header("if-none-match", &tag);
        let response = server.fetch_over(protocol, &request);
        assert_eq!((response.status(), response.etag()), (304, tag.as_str()));
    }
    assert_eq!(server.encodes(), 0);
}

/// A 304 by date was for another content: Nix, zip and others set the same time for every version.
#[test]
fn file_with_the_time_of_a_build_tool_has_no_date() {
    let source = site::text(15, 5_000);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--revalidate 0s");
    // Bazel, Nix, zip, Gradle, npm.
    for (version, seconds) in [0, 1, 315_532_800, 318_211_200, 499_162_500].into_iter().enumerate()
    {
        let source = site::text(version as u64, 5_000);
        site.write("new.js", &source);
        site.set_modified("new.js", SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        fs::rename(site.file("new.js"), site.file("app.js")).unwrap();
        for protocol in Protocol::ALL {
            for (name, value) in [
                ("x-none", ""),
                ("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT"),
                ("if-unmodified-since", "Sat, 01 Jan 1972 00:00:00 GMT"),
                ("if-range", "Thu, 01 Jan 1970 00:00:01 GMT"),
                ("if-range", "Tue, 01 Jan 1980 00:00:00 GMT"),
            ] {
                let mut request = Request::get("/app.js").accept("identity").header(name, value);
                if name == "if-range" {
                    request = request.range("bytes=0-9");
                }
                let response = server.fetch_over(protocol, &request);
                assert_is(&response, &source, "identity");
                assert_eq!(response.header("last-modified"), None, "{seconds}: {name}");
                assert_eq!(response.etag(), identity_tag(&source));
            }
        }
    }
}

#[test]
fn last_modified_is_never_later_than_date() {
    let site = Site::with("app.js", &site::text(6, 1000));
    site.set_modified("app.js", SystemTime::now() + Duration::from_secs(86_400));
    let server = start(&site);
    let response = server.get("/app.js", "gzip");
    let date = response.header("date").unwrap();
    // Tomorrow's day of the month would stand in both if it leaked through.
    if let Some(modified) = response.header("last-modified") {
        assert_eq!(modified[..16], date[..16], "{modified} is later than {date}");
    }
}
