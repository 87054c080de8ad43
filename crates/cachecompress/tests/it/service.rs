//! The service as an application embeds it, and HTTP as far as it shows without a socket.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cachecompress::codec::{Gzip, PIECE};
use cachecompress::semantics::{ContentCoding, SourcePath};
use cachecompress::source::{Found, SourceFile};
use cachecompress::{
    Body, Builder, Cache, Error, ErrorKind, Memory, Outcome, Preference, RequestOptions,
    ServeCompressed, Shutdown, Source,
};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{
    LONG, encodes, get, get_as, head, open, read, request, run, send, settled,
};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Service, service_fn};

const LEN: usize = 3 * PIECE;
const GZIP: [(&str, &str); 1] = [("accept-encoding", "gzip")];

fn modified() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000)
}

fn site() -> Memory {
    Memory::new()
        .file("index.html", SourceFile::new(hex(9_000, 1)).modified(modified()))
        .file("a.txt", SourceFile::new(hex(LEN, 2)).modified(modified()))
        .file("assets/app.3f9c2b1a.js", hex(9_000, 3))
        .file("assets/logo.png", hex(9_000, 4))
        .file("tiny.txt", "tiny")
        .file("empty.txt", "")
        .file("own.txt", SourceFile::new(hex(9_000, 5)).entity_tag("release-7"))
        .file("sub/index.html", hex(9_000, 6))
}

fn builder() -> Builder {
    ServeCompressed::builder(site()).patience(LONG)
}

fn service() -> ServeCompressed {
    builder().build().unwrap()
}

/// A service that has `/a.txt` in gzip already, and its tag in that coding.
async fn warm() -> (ServeCompressed, String) {
    let service = service();
    let first = get(&service, "/a.txt", &GZIP).await;
    assert!(first.decoded() == hex(LEN, 2));
    settled(&service).await;
    let tag = first.field("etag").to_owned();
    (service, tag)
}

#[test]
fn the_service_its_body_and_its_future_are_what_servers_ask_for() {
    fn for_servers<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn body<T: http_body::Body<Data = Bytes> + Send + 'static>(_: &T) {}
    fn future<T: Future + Send + 'static>(future: T) -> T {
        future
    }

    // No runtime is running here.
    let mut service = service();
    for_servers(&service);
    for_servers(&service.clone().fallback(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    })));
    body(&Body::empty());
    let future = future(service.call(request("GET", "/a.txt", &[])));
    let answer: Result<Response<Body>, Infallible> = run(future);
    assert_eq!(answer.unwrap().status(), 200);
}

#[test]
fn a_fallback_answers_what_leads_nowhere_and_nothing_else() {
    run(async {
        let service = service().fallback(service_fn(|request: Request<()>| async move {
            let body = format!("{} {}", request.method(), request.uri());
            let response =
                Response::builder().status(418).header("x-asked", &request.headers()["x-ask"]);
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
        }));
        let answer = get(&service, "/api/x?y=1", &[("x-ask", "me")]).await;
        assert_eq!((answer.status.as_u16(), answer.field("x-asked")), (418, "me"));
        assert_eq!(answer.bytes(), b"GET /api/x?y=1");
        for (path, status) in [("/a.txt", 200), ("/sub", 308), ("/sub/", 200), ("/%zz", 400)] {
            assert_eq!(get(&service, path, &[]).await.status, status, "{path}");
        }
        let post = read(send(&service, request("POST", "/a.txt", &[])).await).await;
        assert_eq!((post.status.as_u16(), post.field("allow")), (405, "GET, HEAD, OPTIONS"));
    });
}

#[test]
fn a_fallbacks_failing_body_fails() {
    run(async {
        let service = service().fallback(service_fn(|_: Request<()>| async {
            let body = Full::new(Bytes::from_static(b"more than the limit"));
            let broken = http_body_util::Limited::new(body, 3);
            Ok::<_, Infallible>(Response::new(broken))
        }));
        let answer = get(&service, "/nowhere", &[]).await;
        assert_eq!(answer.body.unwrap_err().kind(), ErrorKind::Aborted);
    });
}

#[test]
fn unknown_navigations_get_the_index_of_a_single_page_application() {
    run(async {
        let service = builder().spa(true).build().unwrap();
        let navigation = [("accept", "text/html,*/*;q=0.8"), ("accept-encoding", "gzip")];
        let mut tags = Vec::new();
        for path in ["/", "/users/7", "/users/8?tab=1", "/deep/er/route"] {
            let answer = get(&service, path, &navigation).await;
            assert_eq!((answer.status.as_u16(), answer.coding()), (200, "gzip"), "{path}");
            assert!(answer.field("content-type").starts_with("text/html"));
            assert!(answer.decoded() == hex(9_000, 1));
            let expected = if path == "/" {
                "Accept-Encoding"
            } else {
                "Accept-Encoding, Accept, Sec-Fetch-Mode"
            };
            assert_eq!(answer.field("vary"), expected, "{path}");
            tags.push(answer.field("etag").to_owned());
            settled(&service).await;
        }
        assert!(tags.iter().all(|tag| *tag == tags[0]), "one representation");
        assert_eq!((encodes(&service, "*"), service.metrics().entries), (1, 1), "one entry");
        assert_eq!(get(&service, "/app.js", &[("accept", "*/*")]).await.status, 404);
        let fetched = [("accept", "text/html"), ("sec-fetch-mode", "cors")];
        assert_eq!(get(&service, "/users/7", &fetched).await.status, 404);
        let navigated = [("accept", "*/*"), ("sec-fetch-mode", "navigate")];
        assert_eq!(get(&service, "/users/7", &navigated).await.status, 200);
    });
}

#[test]
fn fields_go_with_globs_and_the_preset_and_the_most_specific_wins() {
    run(async {
        let kind = HeaderName::from_static("x-kind");
        let service = builder()
            .default_cache_control(HeaderValue::from_static("no-cache"))
            .immutable(true)
            .header("**/*.txt", kind.clone(), HeaderValue::from_static("text"))
            .header("/assets/*.png", CACHE_CONTROL, HeaderValue::from_static("max-age=60"))
            .build()
            .unwrap();
        for (path, control, kind) in [
            ("/", "no-cache", ""),
            ("/a.txt", "no-cache", "text"),
            ("/assets/app.3f9c2b1a.js", "public, max-age=31536000, immutable", ""),
            ("/assets/logo.png", "max-age=60", ""),
        ] {
            let answer = get(&service, path, &[]).await;
            assert_eq!(
                (answer.field("cache-control"), answer.field("x-kind")),
                (control, kind),
                "{path}"
            );
            let fields = [("if-none-match", answer.field("etag"))];
            let unchanged = get(&service, path, &fields).await;
            assert_eq!(
                (unchanged.status.as_u16(), unchanged.field("cache-control")),
                (304, control)
            );
            assert_eq!(unchanged.field("x-kind"), "", "no field of the representation on a 304");
        }
        let plain = get(&self::service(), "/a.txt", &[]).await;
        assert!(!plain.headers.contains_key("cache-control"), "none of the library's own");
    });
}

#[test]
fn one_request_may_override_codings_and_fields() {
    run(async {
        let service = service();
        let ask = async |options: RequestOptions| {
            let mut request = request("GET", "/own.txt", &[("accept-encoding", "br, gzip, zstd")]);
            request.extensions_mut().insert(options);
            read(send(&service, request).await).await
        };
        assert_eq!(ask(RequestOptions::new()).await.coding(), "br");
        let only = ask(RequestOptions::new().codings([ContentCoding::GZIP])).await;
        assert_eq!((only.coding(), only.field("vary")), ("gzip", "Accept-Encoding"));
        let none = ask(RequestOptions::new().codings([])).await;
        assert_eq!((none.coding(), none.cache()), ("", "identity"));
        assert_eq!(none.field("vary"), "Accept-Encoding");
        let private = HeaderValue::from_static("private");
        let attachment = HeaderValue::from_static("attachment");
        let options = RequestOptions::new()
            .header(CACHE_CONTROL, private)
            .header(CONTENT_DISPOSITION, attachment);
        let with = ask(options).await;
        assert_eq!(with.field("cache-control"), "private");
        assert_eq!(with.field("content-disposition"), "attachment");
        let after = get_as(&service, "/own.txt", "br").await;
        assert!(!after.headers.contains_key("cache-control"), "for one request only");
    });
}

#[test]
fn an_applications_own_tag_is_sent_and_known_in_every_coding() {
    run(async {
        let service = service();
        let plain = get(&service, "/own.txt", &[]).await;
        assert_eq!(plain.field("etag"), "\"release-7\"");
        let coded = get(&service, "/own.txt", &GZIP).await;
        let tag = coded.field("etag").to_owned();
        assert!(tag.starts_with("\"release-7-gzip-") && tag.ends_with('"'), "{tag}");
        for known in
            ["\"release-7\"", tag.as_str(), &format!("W/{tag}"), "\"x\", \"release-7\"", "*"]
        {
            let fields = [GZIP[0], ("if-none-match", known)];
            let answer = get(&service, "/own.txt", &fields).await;
            assert_eq!(answer.status, 304, "{known}");
            assert!(answer.bytes().is_empty());
        }
        for unknown in ["\"release-8\"", "\"release-7-gzip\"", "\"release-7-br-x\"", "\"release\""]
        {
            let fields = [GZIP[0], ("if-none-match", unknown)];
            assert_eq!(get(&service, "/own.txt", &fields).await.status, 200, "{unknown}");
        }
        let refused = [("accept-encoding", "br"), ("if-none-match", tag.as_str())];
        assert_eq!(get(&service, "/own.txt", &refused).await.status, 200);
        let matched = [GZIP[0], ("if-match", tag.as_str())];
        assert_eq!(get(&service, "/own.txt", &matched).await.field("etag"), tag);
        let failed = [GZIP[0], ("if-match", "W/\"release-7\"")];
        assert_eq!(get(&service, "/own.txt", &failed).await.status, 412, "strong comparison");
    });
}

#[test]
fn the_original_length_goes_with_whole_coded_answers() {
    run(async {
        let service = builder().original_length(true).build().unwrap();
        let name = "x-original-content-length";
        for _ in 0..2 {
            assert_eq!(get(&service, "/a.txt", &GZIP).await.field(name), LEN.to_string());
            settled(&service).await;
            assert_eq!(head(&service, "/a.txt", &GZIP).await.field(name), LEN.to_string());
        }
        assert!(!get(&self::service(), "/a.txt", &GZIP).await.headers.contains_key(name));
    });
}

#[test]
fn nosniff_and_cache_status_can_be_switched_off() {
    run(async {
        let service = builder().nosniff(false).cache_status(false).build().unwrap();
        for fields in [&[][..], &GZIP, &[("range", "bytes=0-1")]] {
            let answer = get(&service, "/a.txt", fields).await;
            assert!(!answer.headers.contains_key("x-content-type-options"));
            assert!(!answer.headers.contains_key("cache-status"));
            assert!(answer.served.is_some());
        }
        let on = get(&self::service(), "/a.txt", &GZIP).await;
        assert_eq!((on.field("x-content-type-options"), on.cache()), ("nosniff", "stored"));
        assert_eq!(on.served.unwrap().source_len, Some(LEN as u64));
    });
}

#[test]
fn what_is_never_compressed_says_nothing_of_the_cache() {
    run(async {
        let service = service();
        let answer = get(&service, "/assets/logo.png", &GZIP).await;
        for name in ["cache-status", "vary", "content-encoding"] {
            assert!(!answer.headers.contains_key(name), "{name}");
        }
        let tiny = get(&service, "/tiny.txt", &GZIP).await;
        assert_eq!(
            (tiny.coding(), tiny.cache(), tiny.field("vary")),
            ("", "small", "Accept-Encoding")
        );
        let empty = get(&service, "/empty.txt", &GZIP).await;
        assert_eq!((empty.bytes(), empty.field("content-length")), (&b""[..], "0"));
        assert_eq!(encodes(&service, "*"), 0);
    });
}

#[test]
fn a_path_that_the_application_chose_is_served_whatever_the_requests_own() {
    run(async {
        let service = service();
        let parts = |method: &str, fields: &[(&str, &str)]| {
            request(method, "/downloads/7?token=x", fields).into_parts().0
        };
        let answer = read(service.serve("a.txt", &parts("GET", &GZIP)).await).await;
        assert_eq!((answer.status.as_u16(), answer.coding()), (200, "gzip"));
        assert!(answer.decoded() == hex(LEN, 2));
        let fields = [("if-none-match", answer.field("etag")), GZIP[0]];
        assert_eq!(service.serve("a.txt", &parts("GET", &fields)).await.status(), 304);
        let part =
            read(service.serve("a.txt", &parts("GET", &[("range", "bytes=5-9")])).await).await;
        assert_eq!((part.status.as_u16(), part.bytes()), (206, &hex(LEN, 2)[5..10]));
        let head = read(service.serve("a.txt", &parts("HEAD", &[])).await).await;
        assert_eq!((head.status.as_u16(), head.body.unwrap().len()), (200, 0));
        assert_eq!(service.serve("a.txt", &parts("POST", &[])).await.status(), 405);
        for nowhere in ["sub", "", "b.txt", "../a.txt", "sub/../a.txt", "a.txt/x", "a%2etxt"] {
            let status = service.serve(nowhere, &parts("GET", &[])).await.status();
            assert_eq!(status, 404, "{nowhere:?}");
        }
    });
}

/// A source that cannot be read.
#[derive(Debug)]
struct Broken;

impl Source for Broken {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        match path.file_name() {
            b"panic.txt" => panic!("the source panics on purpose"),
            b"gone.txt" => Ok(Found::Nothing),
            _ => Err(Gzip::new(99).unwrap_err()),
        }
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Err(Gzip::new(99).unwrap_err())
    }
}

#[test]
fn try_call_shows_what_call_answers_with_an_error_status() {
    run(async {
        let service = ServeCompressed::builder(Broken).patience(LONG).build().unwrap();
        let error = service.try_call(request("GET", "/a.txt", &[])).await.unwrap_err();
        assert!(error.to_string().contains("level 99"), "the cause is told: {error}");
        assert_eq!(service.try_call(request("GET", "/gone.txt", &[])).await.unwrap().status(), 404);
        assert_eq!(service.try_call(request("GET", "/%zz", &[])).await.unwrap().status(), 400);
        let answer = get(&service, "/a.txt", &GZIP).await;
        assert_eq!(
            (answer.status.as_u16(), answer.served.unwrap().outcome),
            (500, Some(Outcome::Error))
        );
        let panicked = get(&service, "/panic.txt", &[]).await;
        assert!(panicked.status.is_server_error());
        assert!(service.paths().is_err());
        // The threads that it panicked on still work.
        for _ in 0..20 {
            get(&service, "/panic.txt", &[]).await;
        }
        assert_eq!(get(&service, "/gone.txt", &[]).await.status, 404);
    });
}

#[test]
fn the_figures_add_up() {
    run(async {
        let (service, tag) = warm().await;
        let coded = get(&service, "/a.txt", &GZIP).await.bytes().len() as u64;
        get(&service, "/a.txt", &[]).await;
        get(&service, "/a.txt", &[GZIP[0], ("if-none-match", &tag)]).await;
        get(&service, "/nowhere", &[]).await;
        get(&service, "/a.txt", &[("accept-encoding", "*;q=0")]).await;
        head(&service, "/a.txt", &GZIP).await;
        get(&service, "/assets/logo.png", &[("range", "bytes=0-99")]).await;
        let metrics = service.metrics();
        let count =
            |of: Outcome| metrics.requests.iter().find(|(outcome, _)| *outcome == of).unwrap().1;
        assert_eq!(count(Outcome::Miss), 1);
        assert_eq!(count(Outcome::Hit), 2);
        assert_eq!(count(Outcome::Identity), 2);
        assert_eq!(count(Outcome::NotModified), 1);
        assert_eq!(count(Outcome::Error), 2);
        assert_eq!(count(Outcome::Bypass) + count(Outcome::Collapsed), 0);
        assert_eq!(metrics.requests.iter().map(|(_, count)| count).sum::<u64>(), 8);
        assert_eq!(metrics.sent_bytes, 2 * coded + LEN as u64 + 100);
        assert_eq!(metrics.source_bytes, 3 * LEN as u64 + 100);
        assert_eq!((metrics.entries, metrics.inflight, metrics.queue_length), (1, 0, 0));
        assert!(metrics.entry_bytes > coded && metrics.entry_bytes < coded + 4096);
        let gzip = metrics.encodes.iter().find(|of| of.coding == "gzip").unwrap();
        assert!(gzip.started == 1 && gzip.cpu > Duration::ZERO);
        assert_eq!(metrics.encodes.len(), 4);
    });
}

#[test]
fn wrong_configuration_fails_with_a_sentence_that_names_it() {
    let unknown = ContentCoding::new("x-unknown").unwrap();
    let pack = || Arc::new(Pack::new());
    let any = HeaderValue::from_static("x");
    for (builder, named) in [
        (builder().level(ContentCoding::GZIP, 10), "10"),
        (builder().level(ContentCoding::BROTLI, -1), "-1"),
        (builder().level(ContentCoding::ZSTD, 99), "99"),
        (builder().level(unknown.clone(), 1), "x-unknown"),
        (builder().preference(Preference::List(vec![unknown.clone()])), "x-unknown"),
        (builder().header("a/[", CACHE_CONTROL, any), "a/["),
        (builder().index(["a/b.html".to_owned()]), "a/b.html"),
        (builder().index(["..".to_owned()]), ".."),
        (builder().encoder(ContentCoding::IDENTITY, pack()), "identity"),
        (builder().encoder_before(unknown.clone(), coding(), pack()), "x-unknown"),
    ] {
        let error = builder.build().unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Config, "{text}");
        assert!(text.contains(named), "{named} is not in: {text}");
        let one_sentence = !text.contains('\n') && !text.contains(". ") && !text.ends_with('.');
        assert!(one_sentence && text.len() < 250, "{text}");
    }
    assert_eq!(Cache::builder("").build().unwrap_err().kind(), ErrorKind::Config);
}

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
        // On a cold one as well: two services, each asked once.
        let with = get(&self::service(), "/own.txt", &[("accept-encoding", "br")]).await;
        let without = head(&self::service(), "/own.txt", &[("accept-encoding", "br")]).await;
        assert_eq!(fields(&with.headers), fields(&without.headers));
        // Range counts for GET only (RFC 9110 §14.2).
        let ranged = head(&service, "/a.txt", &[GZIP[0], ("range", "bytes=0-9")]).await;
        assert_eq!((ranged.status.as_u16(), ranged.field("content-range")), (200, ""));
    });
}

#[test]
fn a_range_of_a_complete_coding_is_of_that_coding_and_of_a_cold_one_of_identity() {
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
        // The trailer of the entry, and everything else behind the payload, is out of reach.
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
fn a_download_that_began_cold_can_be_resumed_with_its_tag() {
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
        // Named, but not there: all of what negotiation leads to.
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
fn a_range_of_a_growing_representation_is_answered_from_identity() {
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

#[test]
fn a_304_carries_what_a_cache_needs_and_is_decided_without_an_encode() {
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
        assert_eq!((moved.status.as_u16(), moved.field("location")), (308, "./sub/?x=1"));
        for (path, status) in [("/a.txt/", 404), ("/nowhere", 404), ("/%zz", 400), ("/a%00b", 404)]
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

/// The names of this process's threads that are the library's.
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods, reason = "where the system lists a process's threads")]
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    tasks
        .map(name)
        .filter(|name| name.starts_with("cc-") || name.starts_with("cachecompress"))
        .count()
}

/// Runs in a process of its own, where no other test has threads.
#[cfg(target_os = "linux")]
#[test]
fn the_services_threads_start_with_work_and_end_with_its_last_handle() {
    const NAME: &str = "service::the_services_threads_start_with_work_and_end_with_its_last_handle";
    const ALONE: &str = "CACHECOMPRESS_TEST_ALONE";

    if std::env::var_os(ALONE).is_none() {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", NAME]).env(ALONE, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    run(async {
        let services: Vec<_> = (0..3).map(|_| service()).collect();
        assert_eq!(threads(), 0, "nothing was asked for yet");
        let mut bodies = Vec::new();
        for service in &services {
            get(service, "/a.txt", &GZIP).await;
            bodies.push(open(service, "/a.txt", &[("accept-encoding", "br")]).await);
            service.warm(service.paths().unwrap(), |_| {}).await;
        }
        assert!(threads() > 0);
        let handles = services.clone();
        drop(services);
        assert!(get(&handles[0], "/a.txt", &GZIP).await.decoded() == hex(LEN, 2));
        drop(handles);
        for body in bodies {
            assert!(read(body).await.decoded() == hex(LEN, 2), "a body needs no service");
        }
        until(|| threads() == 0).await;
        let service = service();
        get(&service, "/a.txt", &GZIP).await;
        service.shutdown(Shutdown::Finish).await;
        drop(service);
        until(|| threads() == 0).await;
    });
}

/// A cache that keeps the 404 of a script's fetch must not answer a navigation with it.
#[test]
fn the_404_of_a_single_page_application_says_what_it_depends_on() {
    run(async {
        let service = builder().spa(true).build().unwrap();
        let answer = get(&service, "/users/7", &[("accept", "application/json")]).await;
        assert_eq!(answer.status, 404);
        let vary = answer.field("vary").to_ascii_lowercase();
        assert!(vary.contains("accept,") || vary.ends_with("accept"), "{vary:?}");
        assert!(vary.contains("sec-fetch-mode"), "{vary:?}");
    });
}

#[test]
fn nosniff_switched_off_is_off_for_errors_too() {
    run(async {
        let service = builder().nosniff(false).build().unwrap();
        let answer = get(&service, "/nowhere", &[]).await;
        assert_eq!(answer.status, 404);
        assert!(!answer.headers.contains_key("x-content-type-options"));
    });
}

/// What a response says of itself (`Served::outcome`: how it was counted) is what was counted.
#[test]
fn every_answer_is_counted_as_it_says() {
    run(async {
        let service = service();
        let mut said = std::collections::HashMap::new();
        for (method, path) in [
            ("GET", "/a.txt"),
            ("GET", "/sub"),
            ("OPTIONS", "/a.txt"),
            ("POST", "/a.txt"),
            ("GET", "/nowhere"),
            ("HEAD", "/tiny.txt"),
        ] {
            let answer = read(send(&service, request(method, path, &[])).await).await;
            if let Some(outcome) = answer.served.unwrap().outcome {
                *said.entry(outcome).or_insert(0) += 1;
            }
        }
        for (outcome, count) in service.metrics().requests {
            assert_eq!(count, said.get(&outcome).copied().unwrap_or(0), "{}", outcome.as_str());
        }
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
