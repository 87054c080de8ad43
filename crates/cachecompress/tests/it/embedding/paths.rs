//! The paths that a service answers, hides, and has a page for.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use cachecompress::source::Found;
use cachecompress::{
    Directory, Error, ErrorKind, Memory, Outcome, RequestOptions, ServeCompressed, Source,
    SourcePath,
};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Fault, Pack};
use cachecompress_test::service::{LONG, get, get_as, head, read, request, run, send, settled};
use cachecompress_test::site::hex;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use tower::service_fn;
use tower::util::BoxCloneService;

use crate::fixture::site::{GZIP, service};
use crate::fixture::stored::in_memory;

type Answered = Result<Response<Full<Bytes>>, Infallible>;

/// Answers with the method, the path and the names of the conditions of a request.
async fn echo(request: Request<()>) -> Answered {
    let conditions = request
        .headers()
        .keys()
        .filter(|name| name.as_str().starts_with("if-") || *name == http::header::RANGE);
    let conditions: Vec<_> = conditions.map(http::HeaderName::as_str).collect();
    let text = format!("{} {} {conditions:?}", request.method(), request.uri());
    let response = Response::builder().status(202).header("x-echo", "yes");
    Ok(response.body(Full::new(Bytes::from(text))).unwrap())
}

#[test]
fn directory_and_file_need_no_builder() {
    let directory = tempfile::tempdir().unwrap();
    let files = Directory::new(directory.path()).unwrap();
    drop(files);
    write(directory.path(), "index.html", "the index");
    write(directory.path(), ".hidden.txt", "on purpose");
    run(async {
        let site = ServeCompressed::new(directory.path()).unwrap();
        assert_eq!(get(&site, "/", &[]).await.bytes(), b"the index");
        assert_eq!(get(&site, "/.hidden.txt", &[]).await.status, 404);
        let file = ServeCompressed::file(directory.path().join(".hidden.txt")).unwrap();
        for path in ["/", "/any/where", "/..%2f", "/%zz", "/index.html"] {
            let answer = get(&file, path, &[]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.bytes()),
                (200, &b"on purpose"[..]),
                "{path}"
            );
            assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8");
        }
        assert_eq!(read(send(&file, request("POST", "/", &[])).await).await.status, 405);
    });
    for name in ["missing.txt", ".", "missing/index.html"] {
        let error = ServeCompressed::file(directory.path().join(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    assert_eq!(ServeCompressed::new("/no/such/place").unwrap_err().kind(), ErrorKind::NotFound);
}

#[allow(clippy::disallowed_methods, reason = "the tests fill a directory as an operator would")]
fn write(directory: &std::path::Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).unwrap();
}

#[test]
fn page_of_a_404_is_compressed_and_has_no_validator() {
    run(async {
        let page = hex(9_000, 1);
        let files = Memory::new().file("404.html", page.clone()).file("a.txt", "a");
        let service = ServeCompressed::builder(files)
            .patience(LONG)
            .not_found("/404.html")
            .default_cache_control("max-age=3600")
            .header("**", "x-frame-options", "DENY")
            .header("*.html", "cache-control", "max-age=7")
            .header("*.html", "expires", "Thu, 01 Dec 2094 16:00:00 GMT")
            .build()
            .unwrap();
        let current = get(&service, "/404.html", &GZIP).await;
        assert_eq!(current.status, 200);
        settled(&service).await;
        for fields in [
            &[][..],
            &[("if-none-match", "*")],
            &[("if-none-match", current.field("etag"))],
            &[("if-match", "\"other\"")],
            &[("range", "bytes=0-9")],
        ] {
            let fields = [fields, &GZIP].concat();
            let answer = get(&service, "/nowhere", &fields).await;
            assert_eq!(answer.status, 404, "{fields:?}");
            assert!(answer.decoded() == page, "{fields:?}");
            assert_eq!((answer.coding(), answer.cache()), ("gzip", "hit"));
            assert_eq!(answer.field("content-type"), "text/html; charset=utf-8");
            assert_eq!(answer.field("vary"), "Accept-Encoding");
            assert_eq!(answer.field("x-frame-options"), "DENY");
            assert_eq!(answer.field("cache-control"), "no-cache");
            for name in ["etag", "last-modified", "accept-ranges", "expires"] {
                assert!(!answer.headers.contains_key(name), "{name} with {fields:?}");
            }
            assert_eq!(answer.served.unwrap().outcome, Some(Outcome::Error));
        }
        let answer = head(&service, "/nowhere", &GZIP).await;
        assert_eq!((answer.status.as_u16(), answer.coding()), (404, "gzip"));
        assert!(answer.field("content-length").parse::<u64>().unwrap() > 1000);
        assert_eq!(get(&service, "/nowhere", &[("accept-encoding", "*;q=0")]).await.status, 404);
        let (parts, ()) = request("GET", "/x", &[]).into_parts();
        assert!(read(service.serve("missing", &parts).await).await.decoded() == page);
        assert_eq!(get(&service, "/a.txt", &[]).await.bytes(), b"a");
        let response = service.try_call(request("GET", "/nowhere", &[])).await.unwrap();
        assert_eq!(read(response).await.bytes(), page);
    });
}

#[test]
fn page_of_a_404_gives_way_to_a_fallback_and_may_be_missing() {
    run(async {
        let files = || Memory::new().file("404.html", "our page").file("index.html", "index");
        let builder = || ServeCompressed::builder(files()).not_found("404.html");
        let service = builder().fallback(service_fn(echo)).build().unwrap();
        assert_eq!(get(&service, "/nowhere", &[]).await.status, 202);
        let service = ServeCompressed::builder(Memory::new()).not_found("404.html").build();
        let answer = get(&service.unwrap(), "/nowhere", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.bytes()), (404, &b"404 Not Found\n"[..]));
        // In SPA mode the page is for those who do not navigate, and a cache must tell them apart.
        let service = builder().spa(true).build().unwrap();
        let answer = get(&service, "/nowhere", &[("accept", "image/png")]).await;
        assert_eq!((answer.status.as_u16(), answer.bytes()), (404, &b"our page"[..]));
        assert_eq!(answer.field("vary"), "Accept-Encoding, Accept, Sec-Fetch-Mode");
        assert_eq!(get(&service, "/x", &[("accept", "text/html")]).await.bytes(), b"index");
        for path in ["", "/", "a/../b"] {
            let error = builder().not_found(path).build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        }
    });
}

#[test]
fn excluded_path_is_hidden_in_every_spelling() {
    run(async {
        let files = Memory::new()
            .file("index.html", "template")
            .file("404.html", "page")
            .file("docs/index.html", "docs")
            .file("private/deep/key.txt", "key")
            .file("drafts/deep/plan.txt", "plan")
            .file("app.js", "run()")
            .file("app.js.map", "map");
        let service = ServeCompressed::builder(files)
            .exclude("index.html")
            .exclude("/404.html")
            .exclude("private/**")
            .exclude("drafts")
            .exclude("**/*.map")
            .not_found("404.html")
            .spa(true)
            .build()
            .unwrap();
        let navigation = [("accept", "text/html")];
        for path in [
            "/",
            "/index.html",
            "//index.html",
            "/%69ndex.html",
            "/.//index.html",
            "/x/%2e%2e/index.html",
            "/index.html?q",
            "/404.html",
            "/private",
            "/private/",
            "/private/deep",
            "/private/deep/key.txt",
            "/drafts/deep/plan.txt",
            "/drafts",
            "/private//deep/key.txt",
            "/app.js.map",
            "/anywhere",
        ] {
            let answer = get(&service, path, &navigation).await;
            assert!([400, 404].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
            assert!(answer.status == 400 || answer.bytes() == b"page", "{path}");
        }
        for (path, text) in [("/docs/", "docs"), ("/app.js", "run()"), ("/docs/index.html", "docs")]
        {
            assert_eq!(get(&service, path, &[]).await.bytes(), text.as_bytes(), "{path}");
        }
        let (parts, ()) = request("GET", "/x", &[]).into_parts();
        assert_eq!(read(service.serve("index.html", &parts).await).await.bytes(), b"template");
        let paths = service.paths().unwrap();
        let paths: Vec<_> = paths.iter().filter_map(SourcePath::as_str).collect();
        // The page of a 404 is sent, so it is warmed.
        assert_eq!(paths, ["404.html", "app.js", "docs/index.html"]);
    });
    for glob in ["a[", "", "/", "./index.html", "//index.html", "a//", "a/../b"] {
        let error = ServeCompressed::builder(Memory::new()).exclude(glob).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{glob}: it would hide nothing");
    }
}

#[test]
fn only_file_answers_whatever_the_path() {
    run(async {
        let files = || Memory::new().file("app.html", "shell").file("b.txt", "b");
        let service = ServeCompressed::builder(files()).only("app.html").build().unwrap();
        for path in ["/", "/b.txt", "/deep/er", "*"] {
            assert_eq!(get(&service, path, &[]).await.bytes(), b"shell", "{path}");
        }
        let service = ServeCompressed::builder(files()).only("gone.html").build().unwrap();
        assert_eq!(get(&service, "/b.txt", &[]).await.status, 404);
    });
}

#[test]
fn fallback_gets_other_methods_only_if_wanted() {
    run(async {
        let builder = || ServeCompressed::builder(Memory::new().file("a.txt", "a"));
        let plain = builder().fallback(service_fn(echo)).build().unwrap();
        let all = builder()
            .call_fallback_on_method_not_allowed(true)
            .fallback(service_fn(echo))
            .build()
            .unwrap();
        for (method, path) in [("POST", "/a.txt"), ("DELETE", "/x"), ("OPTIONS", "/a.txt")] {
            let answer = read(send(&plain, request(method, path, &[])).await).await;
            assert_eq!(answer.status, if method == "OPTIONS" { 204 } else { 405 });
            let answer = read(send(&all, request(method, path, &[])).await).await;
            assert_eq!(answer.status, 202);
            assert_eq!(answer.bytes(), format!("{method} {path} []").as_bytes());
        }
        assert_eq!(get(&all, "/a.txt", &[]).await.bytes(), b"a");
        // Without a fallback the setting does nothing.
        let none = builder().call_fallback_on_method_not_allowed(true).build().unwrap();
        assert_eq!(read(send(&none, request("POST", "/a.txt", &[])).await).await.status, 405);
    });
}

#[test]
fn response_of_a_not_found_service_is_a_whole_404() {
    run(async {
        let services = [
            service().not_found_service(service_fn(echo)),
            crate::fixture::site::builder().not_found_service(service_fn(echo)).build().unwrap(),
        ];
        for service in services {
            let fields = [("if-none-match", "*"), ("range", "bytes=0-1"), ("if-range", "\"a\"")];
            let answer = get(&service, "/nowhere", &fields).await;
            assert_eq!((answer.status.as_u16(), answer.field("x-echo")), (404, "yes"));
            assert_eq!(answer.bytes(), b"GET /nowhere []");
            assert_eq!(get(&service, "/a.txt", &[]).await.status, 200);
            let answer = head(&service, "/nowhere", &[]).await;
            assert_eq!((answer.status.as_u16(), answer.bytes()), (404, &b""[..]));
        }
        let fallback = service().fallback(service_fn(echo));
        let answer = get(&fallback, "/nowhere", &[("range", "bytes=0-1")]).await;
        assert_eq!(answer.bytes(), b"GET /nowhere [\"range\"]");
    });
}

/// axum wants a service that is `Sync`, and `BoxCloneService` is not.
#[test]
fn fallback_need_not_be_sync() {
    fn fits_axum<T: Clone + Send + Sync + 'static>(service: T) -> T {
        service
    }

    run(async {
        let boxed: BoxCloneService<Request<()>, Response<Full<Bytes>>, Infallible> =
            BoxCloneService::new(service_fn(echo));
        let service = fits_axum(service().fallback(boxed));
        assert_eq!(get(&service.clone(), "/nowhere", &[]).await.status, 202);
        let by_reference = tower::ServiceExt::oneshot(&service, request("GET", "/nowhere", &[]));
        assert_eq!(by_reference.await.unwrap().status(), 202);
    });
}

#[test]
fn field_of_a_200_is_not_sent_with_a_416() {
    run(async {
        let service = ServeCompressed::builder(Memory::new().file("a.txt", hex(3_000, 1)))
            .default_cache_control("max-age=60")
            .header("*", "content-disposition", "attachment")
            .original_length(true)
            .build()
            .unwrap();
        let mut request = request("GET", "/a.txt", &[("range", "bytes=9999-")]);
        let own = http::HeaderValue::from_static("1");
        let options = RequestOptions::new();
        let options = options.header(http::HeaderName::from_static("x-own"), own);
        request.extensions_mut().insert(options);
        let answer = read(send(&service, request).await).await;
        assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE);
        let mut expected = HeaderMap::new();
        for (name, value) in [
            ("accept-ranges", "bytes"),
            ("cache-status", "cachecompress; fwd=bypass; detail=identity"),
            ("content-length", "0"),
            ("content-range", "bytes */3000"),
            ("vary", "Accept-Encoding"),
            ("x-content-type-options", "nosniff"),
        ] {
            expected.insert(name, value.parse().unwrap());
        }
        assert_eq!(answer.headers, expected);
        assert_eq!(
            get_as(&service, "/a.txt", "identity").await.field("cache-control"),
            "max-age=60"
        );
    });
}

/// A source that has nothing but a page that cannot be read.
#[derive(Debug)]
struct Unreadable(ErrorKind);

impl Source for Unreadable {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        match path.as_str() {
            Some("404.html") => Err(Error::new(self.0, "no")),
            _ => Ok(Found::Nothing),
        }
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

#[test]
fn page_that_cannot_be_sent_leaves_a_plain_404() {
    run(async {
        for kind in [ErrorKind::PermissionDenied, ErrorKind::Io] {
            let service = ServeCompressed::builder(Unreadable(kind)).not_found("404.html");
            let answer = get(&service.build().unwrap(), "/nowhere", &[]).await;
            assert_eq!((answer.status.as_u16(), answer.bytes()), (404, &b"404 Not Found\n"[..]));
        }
        let page = hex(9_000, 1);
        let broken = in_memory(&Pack::broken(Fault::Error, 0), &[("404.html", &page)]);
        let service = broken.not_found("404.html").build().unwrap();
        for accept in ["x-pack, identity;q=0", "identity;q=0"] {
            let answer = get(&service, "/nowhere", &[("accept-encoding", accept)]).await;
            assert_eq!((answer.status.as_u16(), answer.field("vary")), (404, "Accept-Encoding"));
        }
    });
}

#[test]
fn page_of_a_404_keeps_to_the_request_and_its_options() {
    run(async {
        let page = hex(900_000, 1);
        let files = Memory::new().file("404.html", page.clone()).file("a.html", hex(9_000, 2));
        let builder = ServeCompressed::builder(files).patience(LONG).not_found("404.html");
        let service = builder
            .header("**", "expires", "Thu, 01 Dec 2094 16:00:00 GMT")
            .header("**", "last-modified", "Thu, 01 Dec 1994 16:00:00 GMT")
            .build()
            .unwrap();
        for path in ["/a.html", "/nowhere"] {
            let mut request = request("GET", path, &GZIP);
            request.extensions_mut().insert(RequestOptions::new().codings([]));
            assert_eq!(read(send(&service, request).await).await.coding(), "", "{path}");
        }
        let mut old = request("GET", "/nowhere", &GZIP);
        *old.version_mut() = http::Version::HTTP_10;
        let answer = read(send(&service, old).await).await;
        assert_eq!((answer.field("expires"), answer.field("last-modified")), ("", ""));
        assert!(answer.decoded() == page);
    });
}

/// A service that counts on `poll_ready`.
#[derive(Clone)]
struct Wary(Arc<AtomicUsize>, bool);

impl tower::Service<Request<()>> for Wary {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Answered>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.0.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.1 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.1), "called before it was ready");
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

#[test]
fn fallback_is_called_once_it_is_ready() {
    run(async {
        let service = service().fallback(Wary(Arc::default(), false));
        for _ in 0..3 {
            assert_eq!(get(&service, "/nowhere", &[]).await.status, 200);
        }
    });
}

/// An encoded slash can be no file's, and a client router may have it.
#[test]
fn navigation_to_a_path_of_no_file_gets_the_index() {
    run(async {
        let files = Memory::new().file("index.html", "app").file("items/a", "a");
        let service = ServeCompressed::builder(files).spa(true).build().unwrap();
        for path in ["/items/a%2Fb", "/items/%5C", "/x/%2e%2e/y", "/items/1"] {
            let answer = get(&service, path, &[("accept", "text/html")]).await;
            assert_eq!((answer.status.as_u16(), answer.bytes()), (200, &b"app"[..]), "{path}");
            assert_eq!(answer.field("vary"), "Accept-Encoding, Accept, Sec-Fetch-Mode");
            for fields in [&[][..], &[("accept", "*/*")], &[("sec-fetch-mode", "navigate")]] {
                assert_eq!(get(&service, path, fields).await.bytes(), b"app", "{path} {fields:?}");
            }
            for accept in ["image/png", "text/html;q=0", "text/html; q=0.000"] {
                let answer = get(&service, path, &[("accept", accept)]).await;
                assert_eq!(answer.status, 404, "{path} {accept}");
                assert_eq!(answer.field("vary"), "Accept, Sec-Fetch-Mode");
                assert_eq!(answer.field("cache-control"), "no-cache");
            }
        }
        let html = [("accept", "text/html")];
        assert_eq!(get(&service, "/v1.2", &html).await.bytes(), b"app");
        let answer = get(&service, "/v1.2", &[("accept", "*/*")]).await;
        assert_eq!((answer.status.as_u16(), answer.field("vary")), (404, "Accept, Sec-Fetch-Mode"));
        for path in ["/gone.js", "/items/a%2Fgone.css", "/../items"] {
            let answer = get(&service, path, &html).await;
            assert_eq!(answer.status, 404, "{path}");
            assert!(
                !answer.headers.contains_key("vary"),
                "{path}: nothing else is sent to anybody"
            );
        }
        assert_eq!(get(&service, "/%zz", &[("accept", "text/html")]).await.status, 400);
        let files = Memory::new().file("index.html", "app");
        let typed = ServeCompressed::builder(files).spa(true).media_type("v9", "text/x-own");
        let typed = typed.build().unwrap();
        assert_eq!(get(&typed, "/v1.2", &html).await.bytes(), b"app");
        assert_eq!(get(&typed, "/gone.v9", &html).await.status, 404, "the site knows its type");
    });
}

/// axum sends an exact size of a HEAD's body as the length of GET's.
#[test]
fn head_of_an_unknown_length_has_no_exact_size() {
    run(async {
        let gate = Gate::new();
        let (text, short) = (hex(900_000, 1), hex(9_000, 2));
        let service = in_memory(&Pack::gated(&gate), &[("a.txt", &text), ("b.txt", &short)]);
        let service = service.build().unwrap();
        let accept = [("accept-encoding", "x-pack")];
        gate.open(1);
        let response = send(&service, request("HEAD", "/a.txt", &accept)).await;
        assert!(!response.headers().contains_key("content-length"));
        assert_eq!(response.body().size_hint().exact(), None);
        assert!(response.body().is_end_stream());
        gate.open_wide();
        let response = send(&service, request("HEAD", "/b.txt", &[])).await;
        assert_eq!(response.headers()["content-length"], "9000");
        assert_eq!(response.body().size_hint().exact(), Some(0));
    });
}
