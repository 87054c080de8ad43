//! Header rules on whole responses: each status, cold and warm, GET and HEAD.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use cachecompress::{
    Builder, Error, ErrorKind, HeaderRule, Memory, ServeCompressed, Source, SourcePath,
    source::Found,
};
use cachecompress_test::service::{LONG, get, head, read, request, run, send, settled};
use cachecompress_test::site::hex;
use http::HeaderMap;

const GZIP: (&str, &str) = ("accept-encoding", "gzip");

/// A service over a small site, with `rules`.
fn service(rules: impl IntoIterator<Item = HeaderRule>) -> ServeCompressed {
    let files = Memory::new()
        .file("index.html", hex(3_000, 1))
        .file("docs/index.html", hex(3_000, 2))
        .file("app.js", hex(3_000, 3))
        .file("404.html", hex(3_000, 4));
    let builder = ServeCompressed::builder(files).patience(LONG).default_cache_control("no-cache");
    rules.into_iter().fold(builder, Builder::header_rule).build().unwrap()
}

#[test]
fn index_page_has_the_rules_of_both_its_paths_cold_and_warm() {
    run(async {
        let service = service([
            HeaderRule::new("/").set("x-path", "root"),
            HeaderRule::new("/index.html").set("x-file", "index"),
            HeaderRule::new("/docs/*").set("x-docs", "1").unset("cache-control"),
        ]);
        for (path, expected) in [
            ("/", ["root", "index", "", "no-cache"]),
            ("/index.html", ["", "index", "", "no-cache"]),
            ("/docs/", ["", "", "1", ""]),
            ("/docs/index.html", ["", "", "1", ""]),
            ("/app.js", ["", "", "", "no-cache"]),
        ] {
            for _ in 0..3 {
                for answer in
                    [get(&service, path, &[GZIP]).await, head(&service, path, &[GZIP]).await]
                {
                    let fields = ["x-path", "x-file", "x-docs", "cache-control"];
                    assert_eq!(fields.map(|name| answer.field(name)), expected, "{path}");
                    assert_eq!(answer.headers.get_all("vary").iter().count(), 1);
                }
                settled(&service).await;
            }
        }
    });
}

#[test]
fn rule_applies_to_each_status_that_it_is_for() {
    run(async {
        let rules = || {
            [
                HeaderRule::new("/**").set("x-file", "1").set("cache-control", "max-age=9"),
                HeaderRule::new("/**").set("x-always", "1").set("expires", "0").always(true),
            ]
        };
        let service = service(rules());
        let tag = get(&service, "/app.js", &[]).await.field("etag").to_owned();
        let tag = ("if-none-match", &*tag);
        for (path, fields, status, on_file) in [
            ("/app.js", &[][..], 200, true),
            ("/app.js", &[("range", "bytes=0-9")], 206, true),
            ("/app.js", &[("range", "bytes=0-9,20-29")], 206, true),
            ("/app.js", &[tag], 304, true),
            ("/app.js", &[("range", "bytes=9999-")], 416, false),
            ("/app.js", &[("if-match", "\"other\"")], 412, false),
            ("/app.js", &[("accept-encoding", "identity;q=0")], 406, false),
            ("/docs", &[], 301, false),
            ("/nowhere", &[], 404, false),
            ("/%zz", &[], 400, false),
        ] {
            for _ in 0..2 {
                let answer = get(&service, path, fields).await;
                assert_eq!(answer.status, status, "{path} {fields:?}");
                assert_eq!(answer.field("x-always"), "1", "{status}");
                assert_eq!(answer.field("x-file"), if on_file { "1" } else { "" }, "{status}");
                let control = answer.field("cache-control");
                assert_eq!(control == "max-age=9", on_file, "{status}: {control}");
                assert_eq!(answer.field("expires"), if on_file { "0" } else { "" }, "{status}");
                assert!(answer.headers.get_all("cache-control").iter().count() < 2, "{status}");
            }
        }
        for method in ["OPTIONS", "POST"] {
            let answer = read(send(&service, request(method, "/app.js", &[])).await).await;
            assert_eq!((answer.field("x-always"), answer.field("x-file")), ("1", ""), "{method}");
            assert_eq!(answer.field("allow"), "GET, HEAD, OPTIONS");
        }
        let mut fields = HeaderMap::new();
        service.apply_header_rules("/any", &mut fields);
        assert_eq!((fields.len(), &fields["x-always"]), (1, &"1".parse().unwrap()));
    });
}

#[test]
fn not_modified_leaves_out_the_metadata_of_the_representation_only() {
    run(async {
        let service = service([HeaderRule::new("/**")
            .set("content-disposition", "attachment")
            .set("content-type", "text/own")
            .set("content-security-policy", "default-src 'self'")
            .set("access-control-allow-origin", "*")
            .set("vary", "cookie")]);
        let full = get(&service, "/app.js", &[]).await;
        let unchanged = get(&service, "/app.js", &[("if-none-match", full.field("etag"))]).await;
        assert_eq!(unchanged.status, 304);
        for (name, is_sent) in [
            ("content-disposition", false),
            ("content-type", false),
            ("content-security-policy", true),
            ("access-control-allow-origin", true),
            ("cache-control", true),
            ("etag", true),
        ] {
            assert!(full.headers.contains_key(name), "{name}");
            assert_eq!(unchanged.headers.contains_key(name), is_sent, "{name}");
        }
        for answer in [full, unchanged] {
            let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
            assert_eq!(vary, ["Accept-Encoding", "cookie"]);
        }
    });
}

#[test]
fn type_by_a_rule_is_that_of_the_parts_of_several_ranges() {
    run(async {
        let service = service([HeaderRule::new("/app.js").set("content-type", "text/own")]);
        let answer = get(&service, "/app.js", &[("range", "bytes=0-9,20-29")]).await;
        assert!(answer.field("content-type").starts_with("multipart/byteranges"));
        let body = String::from_utf8(answer.bytes().to_vec()).unwrap();
        assert_eq!(body.matches("Content-Type: text/own").count(), 2, "{body}");
    });
}

/// A remembered response goes to connections of both kinds.
#[test]
fn field_for_tls_is_sent_over_tls_only_cold_and_warm() {
    run(async {
        let service = service([HeaderRule::new("/**").security(true)]);
        let secure = service.clone().over_tls(true);
        for path in ["/app.js", "/nowhere", "/docs"] {
            for _ in 0..3 {
                for (service, expected) in [(&service, ""), (&secure, "max-age=31536000")] {
                    let answer = get(service, path, &[]).await;
                    assert_eq!(answer.field("strict-transport-security"), expected, "{path}");
                    assert_eq!(answer.field("content-security-policy"), "frame-ancestors 'self'");
                    let mut fields = HeaderMap::new();
                    service.apply_header_rules(path, &mut fields);
                    assert_eq!(fields.len(), if expected.is_empty() { 3 } else { 4 });
                }
            }
        }
    });
}

/// A source whose files cannot be read.
#[derive(Debug)]
struct Unreadable(ErrorKind);

impl Source for Unreadable {
    fn lookup(&self, _: &SourcePath) -> Result<Found, Error> {
        Err(Error::new(self.0, "no"))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

#[test]
fn failure_of_the_source_has_the_rules_that_are_always() {
    run(async {
        for (kind, status) in
            [(ErrorKind::PermissionDenied, 403), (ErrorKind::Io, 500), (ErrorKind::Busy, 503)]
        {
            let service = ServeCompressed::builder(Unreadable(kind))
                .header_rule(HeaderRule::new("/a").set("x-always", "1").always(true))
                .header_rule(HeaderRule::new("/a").set("x-file", "1"))
                .build()
                .unwrap();
            let (parts, ()) = request("GET", "/x", &[]).into_parts();
            for answer in
                [get(&service, "/a", &[]).await, read(service.serve("a", &parts).await).await]
            {
                assert_eq!(answer.status, status);
                assert_eq!((answer.field("x-always"), answer.field("x-file")), ("1", ""));
            }
            assert_eq!(get(&service, "/b", &[]).await.field("x-always"), "");
        }
    });
}

#[test]
fn file_that_a_handler_chooses_has_the_rules_of_its_own_path() {
    run(async {
        let service = service([
            HeaderRule::new("/app.js").set("x-file", "1"),
            HeaderRule::new("/download").set("x-requested", "1"),
        ]);
        let (parts, ()) = request("GET", "/download", &[]).into_parts();
        let by_path = read(service.serve("app.js", &parts).await).await;
        let brought = read(service.serve_source("app.js", "text".to_owned(), &parts).await).await;
        for answer in [by_path, brought] {
            assert_eq!((answer.field("x-file"), answer.field("x-requested")), ("1", ""));
        }
    });
}
