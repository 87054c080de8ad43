//! The service as an application embeds it, and HTTP without a socket.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cachecompress::codec::Gzip;
use cachecompress::source::Found;
use cachecompress::{
    Body, Cache, Detail, Error, ErrorKind, Outcome, Preference, RequestOptions, ServeCompressed,
    Source,
};
use cachecompress::{ContentCoding, SourcePath};
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{
    LONG, encodes, get, get_as, head, read, request, run, send, settled,
};
use cachecompress_test::site::hex;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use tower::{Service as _, service_fn};

use crate::fixture::site::{GZIP, LEN, builder, service, warm};

#[test]
fn service_body_and_future_fit_servers() {
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
fn fallback_answers_only_paths_that_lead_nowhere() {
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
        for (path, status) in [("/a.txt", 200), ("/sub", 301), ("/sub/", 200), ("/%zz", 400)] {
            assert_eq!(get(&service, path, &[]).await.status, status, "{path}");
        }
        let post = read(send(&service, request("POST", "/a.txt", &[])).await).await;
        assert_eq!((post.status.as_u16(), post.field("allow")), (405, "GET, HEAD, OPTIONS"));
    });
}

#[test]
fn failing_body_of_a_fallback_fails() {
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
fn unknown_navigations_get_the_index_in_spa_mode() {
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
fn most_specific_header_rule_wins() {
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
            assert_eq!(unchanged.field("x-kind"), kind, "a cache learns of the rule");
        }
        let plain = get(&self::service(), "/a.txt", &[]).await;
        assert!(!plain.headers.contains_key("cache-control"), "the library sets no Cache-Control");
    });
}

#[test]
fn request_options_override_codings_and_fields() {
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
fn application_tag_is_sent_and_matched_in_every_coding() {
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
fn original_length_goes_with_whole_coded_answers() {
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
fn incompressible_type_has_no_cache_status() {
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
fn path_option_overrides_the_path_of_the_request() {
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
fn try_call_returns_the_error_behind_an_error_status() {
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
        // The threads that had the panic still work.
        for _ in 0..20 {
            get(&service, "/panic.txt", &[]).await;
        }
        assert_eq!(get(&service, "/gone.txt", &[]).await.status, 404);
    });
}

#[test]
fn metrics_add_up() {
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
        let bypasses = |of| metrics.bypasses.iter().find(|(detail, _)| *detail == of).unwrap().1;
        // A picture has no Cache-Status, and a 406 goes past nothing.
        assert_eq!((bypasses(Detail::Identity), bypasses(Detail::Range)), (1, 0));
        assert_eq!(metrics.bypasses.iter().map(|(_, count)| count).sum::<u64>(), 1);
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
        (builder().index([".."]), ".."),
        (builder().index(["/index.html"]), "/index.html"),
        (builder().index(["index.html/"]), "index.html/"),
        (builder().header("b/*", "bad name", "x"), "b/*"),
        (builder().header("c/*", "x-name", "bad\nvalue"), "c/*"),
        (builder().default_cache_control("bad\0value"), "Cache-Control"),
        (builder().immutable_paths("d/["), "d/["),
        (builder().exclude("e/["), "e/["),
        (builder().only("a/../b"), "a/../b"),
        (builder().not_found("./c"), "./c"),
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

#[test]
fn nosniff_switched_off_is_off_for_errors() {
    run(async {
        let service = builder().nosniff(false).build().unwrap();
        let answer = get(&service, "/nowhere", &[]).await;
        assert_eq!(answer.status, 404);
        assert!(!answer.headers.contains_key("x-content-type-options"));
    });
}

/// The outcome in `Served` is the one that was counted.
#[test]
fn answers_are_counted_under_their_own_outcome() {
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
fn patience_may_be_endless() {
    run(async {
        for patience in [Duration::from_secs(u64::MAX / 4), Duration::MAX] {
            let service = builder().patience(patience).build().unwrap();
            assert_eq!(get(&service, "/a.txt", &GZIP).await.coding(), "gzip", "{patience:?}");
        }
    });
}
