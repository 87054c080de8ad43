//! The pages of errors.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cachecompress::source::Found;
use cachecompress::{
    Error, ErrorKind, Memory, Metrics, Outcome, ServeCompressed, Source, SourcePath,
};
use cachecompress_test::service::{Answer, LONG, get, head, read, request, run, send, settled};
use cachecompress_test::site::hex;
use http::StatusCode;

/// A source with files that cannot be read.
#[derive(Debug)]
struct Broken(Memory);

impl Source for Broken {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        match path.as_str() {
            Some("secret.txt") => Err(Error::new(ErrorKind::PermissionDenied, "no")),
            Some("broken.txt") => Err(Error::new(ErrorKind::Io, "no")),
            Some("busy.txt") => Err(Error::new(ErrorKind::Busy, "no")),
            _ => self.0.lookup(path),
        }
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.0.paths()
    }
}

const STATUSES: [u16; 9] = [400, 403, 404, 405, 406, 412, 416, 500, 503];

fn page(status: u16) -> Vec<u8> {
    [format!("<title>{status}</title>").as_bytes(), &hex(9_000, u64::from(status))].concat()
}

fn service() -> ServeCompressed {
    let files = Memory::new().file("a.txt", hex(9_000, 1)).file("plain.html", "plain");
    let files = STATUSES
        .into_iter()
        .fold(files, |files, status| files.file(format!("errors/{status}.html"), page(status)));
    let builder = ServeCompressed::builder(Broken(files))
        .patience(LONG)
        .exclude("errors")
        .default_cache_control("max-age=3600")
        .header("errors/*", "x-page", "yes");
    let builder = STATUSES.into_iter().fold(builder, |builder, status| {
        builder.error_page(status, format!("/errors/{status}.html"))
    });
    builder.build().unwrap()
}

/// A request that ends in each of the statuses.
async fn ask(service: &ServeCompressed, status: u16, gzip: bool) -> Answer {
    let (method, path, field) = match status {
        400 => ("GET", "/%zz", None),
        403 => ("GET", "/secret.txt", None),
        404 => ("GET", "/nowhere", None),
        405 => ("POST", "/a.txt", None),
        406 => ("GET", "/a.txt", Some(("accept-encoding", "*;q=0"))),
        412 => ("GET", "/a.txt", Some(("if-match", "\"other\""))),
        416 => ("GET", "/a.txt", Some(("range", "bytes=9999-"))),
        500 => ("GET", "/broken.txt", None),
        _ => ("GET", "/busy.txt", None),
    };
    let mut fields = Vec::from_iter(field);
    if gzip && status != 406 {
        fields.push(("accept-encoding", "gzip"));
    }
    read(send(service, request(method, path, &fields)).await).await
}

#[test]
fn error_of_every_status_has_its_page_and_its_own_fields() {
    run(async {
        let service = service();
        for status in STATUSES {
            for gzip in [false, true, true] {
                let answer = ask(&service, status, gzip).await;
                settled(&service).await;
                assert_eq!(answer.status, status);
                assert!(answer.decoded() == page(status), "{status}");
                assert_eq!(answer.coding(), if gzip && status != 406 { "gzip" } else { "" });
                assert_eq!(answer.field("content-type"), "text/html; charset=utf-8", "{status}");
                assert_eq!(answer.field("cache-control"), "no-cache", "{status}");
                assert_eq!(answer.field("vary"), "Accept-Encoding", "{status}");
                assert_eq!(answer.field("x-page"), "yes", "{status}");
                for name in ["etag", "last-modified"] {
                    assert!(!answer.headers.contains_key(name), "{name} of {status}");
                }
                let own = match status {
                    405 => ("allow", "GET, HEAD, OPTIONS"),
                    416 => ("content-range", "bytes */9000"),
                    503 => ("retry-after", "1"),
                    _ => ("x-content-type-options", "nosniff"),
                };
                assert_eq!(answer.field(own.0), own.1, "{status}");
                assert_eq!(answer.served.unwrap().outcome, Some(Outcome::Error), "{status}");
            }
        }
        let answer = ask(&service, 404, true).await;
        assert_eq!(answer.cache(), "hit");
        let head = head(&service, "/%zz", &[("accept-encoding", "gzip")]).await;
        assert_eq!((head.status.as_u16(), head.body.as_ref().unwrap().len()), (400, 0));
        assert!(head.field("content-length").parse::<u64>().unwrap() > 1000);
    });
}

#[test]
fn error_with_a_page_counts_once() {
    run(async {
        let service = service();
        for status in STATUSES {
            let errors = |metrics: &Metrics| {
                let of = metrics.requests.iter().find(|(outcome, _)| *outcome == Outcome::Error);
                of.map_or(0, |(_, count)| *count)
            };
            let all =
                |metrics: &Metrics| metrics.requests.iter().map(|(_, count)| count).sum::<u64>();
            let before = service.metrics();
            ask(&service, status, true).await;
            let after = service.metrics();
            assert_eq!(errors(&after), errors(&before) + 1, "{status}");
            assert_eq!(all(&after), all(&before) + 1, "{status}");
        }
    });
}

#[test]
fn handler_refuses_with_the_page_of_a_status() {
    run(async {
        let files = Memory::new().file("login.html", "log in");
        let service =
            ServeCompressed::builder(files).error_page(StatusCode::UNAUTHORIZED, "login.html");
        let service = service.build().unwrap();
        for method in ["GET", "POST"] {
            let (parts, ()) = request(method, "/x", &[]).into_parts();
            let answer = read(service.serve_error(StatusCode::UNAUTHORIZED, &parts).await).await;
            assert_eq!((answer.status.as_u16(), answer.bytes()), (401, &b"log in"[..]));
            let answer = read(service.serve_error(StatusCode::FORBIDDEN, &parts).await).await;
            assert_eq!((answer.status.as_u16(), answer.bytes()), (403, &b"403 Forbidden\n"[..]));
        }
    });
}

#[test]
fn status_that_has_no_page_is_refused_by_name() {
    for status in [200, 301, 304, 402, 418, 429, 502, 99, 1000] {
        let builder = ServeCompressed::builder(Memory::new()).error_page(status, "page.html");
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{status}");
        if (100..1000).contains(&status) {
            let message = error.to_string();
            assert!(message.contains(&status.to_string()), "{message}");
            assert!(message.contains("400, 401, 403, 404, 405"), "{message}");
        }
    }
    let builder = ServeCompressed::builder(Memory::new()).error_page(503, "../x");
    assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Config);
}

/// A source of files that change, which counts its lookups.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<Mutex<Memory>>, Arc<AtomicU64>);

impl Source for Counted {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.lock().unwrap().lookup(path)
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.0.lock().unwrap().paths()
    }
}

fn counted(files: Memory) -> Counted {
    Counted(Arc::new(Mutex::new(files)), Arc::default())
}

fn pages() -> Memory {
    Memory::new()
        .file("404.html", "root")
        .file("de/404.html", "de")
        .file("de/tief/unten/a.txt", "a")
        .file("private/404.html", "private")
        .file("en/a.txt", "a")
}

#[test]
fn missing_path_has_the_nearest_page() {
    run(async {
        let builder = ServeCompressed::builder(pages()).nearest_not_found(true);
        let service = builder.exclude("private/**").exclude("404.html").build().unwrap();
        for (path, text) in [
            ("/x", "root"),
            ("/x/y/z", "root"),
            ("/404.html", "root"),
            ("/en/x", "root"),
            ("/en/", "root"),
            ("/de/x", "de"),
            ("/de/", "de"),
            ("/de/none/x", "de"),
            ("/de/tief/unten/x", "de"),
            ("/de/a.txt/x", "de"),
            ("/de/../x", "root"),
            ("/x/../de/y", "de"),
            ("//de//y", "de"),
            ("/de/a%2Fb", "root"),
            ("/../x", "root"),
            ("/private/x", "root"),
        ] {
            for _ in 0..2 {
                let answer = get(&service, path, &[]).await;
                assert_eq!(answer.status, 404, "{path}");
                assert_eq!(answer.bytes(), text.as_bytes(), "{path}");
                assert_eq!(answer.field("cache-control"), "no-cache");
                assert!(!answer.headers.contains_key("etag"));
            }
            assert_eq!(head(&service, path, &[]).await.status, 404, "{path}");
        }
        let paths = service.paths().unwrap();
        let paths: Vec<_> = paths.iter().filter_map(SourcePath::as_str).collect();
        assert_eq!(paths, ["404.html", "de/404.html", "de/tief/unten/a.txt", "en/a.txt"]);
        let named = ServeCompressed::builder(pages()).nearest_not_found(true).not_found("en/a.txt");
        assert_eq!(get(&named.build().unwrap(), "/de/x", &[]).await.bytes(), b"a");
        let service = ServeCompressed::builder(Memory::new()).nearest_not_found(true).build();
        let answer = get(&service.unwrap(), "/de/x", &[]).await;
        assert_eq!(answer.bytes(), b"404 Not Found\n");
    });
}

/// A crowd of requests for paths of many missing directories must not cost a lookup for each of them.
#[test]
fn deep_missing_path_costs_one_lookup_more() {
    run(async {
        let source = counted(pages());
        let builder = ServeCompressed::builder(source.clone()).revalidate(LONG);
        let service = builder.nearest_not_found(true).build().unwrap();
        get(&service, "/x", &[]).await;
        get(&service, "/de/tief/unten/x", &[]).await;
        for (at, prefix) in [("a", "/"), ("b", "/de/tief/unten/")] {
            let before = source.1.load(Ordering::Relaxed);
            let answer = get(&service, &format!("{prefix}{at}{}", "/none".repeat(30)), &[]).await;
            assert_eq!(answer.status, 404);
            let cost = source.1.load(Ordering::Relaxed) - before;
            assert!(cost <= 2, "{cost} lookups below {prefix}");
        }
    });
}

#[test]
fn nearest_page_that_appears_or_goes_is_noticed() {
    run(async {
        let source = counted(Memory::new().file("a/b.txt", "b").file("404.html", "root"));
        let builder = ServeCompressed::builder(source.clone()).revalidate(Duration::ZERO);
        let service = builder.nearest_not_found(true).build().unwrap();
        assert_eq!(get(&service, "/a/x", &[]).await.bytes(), b"root");
        *source.0.lock().unwrap() = Memory::new().file("a/404.html", "a");
        assert_eq!(get(&service, "/a/x", &[]).await.bytes(), b"a");
        *source.0.lock().unwrap() = Memory::new();
        assert_eq!(get(&service, "/a/x", &[]).await.bytes(), b"404 Not Found\n");
    });
}

#[test]
fn page_of_an_error_is_as_the_applications_404_varies() {
    run(async {
        let files = Memory::new().file("index.html", "app").file("404.html", "page");
        let service = ServeCompressed::builder(files).spa(true).nearest_not_found(true);
        let service = service.build().unwrap();
        let answer = get(&service, "/x", &[("accept", "image/png")]).await;
        assert_eq!((answer.status.as_u16(), answer.bytes()), (404, &b"page"[..]));
        assert_eq!(answer.field("vary"), "Accept-Encoding, Accept, Sec-Fetch-Mode");
    });
}
