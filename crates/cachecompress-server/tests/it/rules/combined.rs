//! Rules of paths in the combinations that the suites of Node's file servers try: clean URLs, other
//! index names, an application, dotfiles, siblings.

use std::io::Write as _;

use crate::common::*;

const NAVIGATION: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A site with a page of each kind. The text of each file is its own path.
fn site_of_names() -> Site {
    let site = Site::new();
    for name in [
        "index.html",
        "blog.html",
        "about/index.htm",
        "contact/index.html",
        "data.html/index.html",
        "bundle.67329.js",
        "snow \u{2603}/index.html",
        "a<b>\"c'/index.html",
        "100%.html",
        ".hidden.html",
        ".hello",
        "foo/.world",
        ".well-known/about.html",
    ] {
        site.write(name, name.as_bytes());
    }
    site
}

/// Follows redirects from `target`, of which there may be two.
#[track_caller]
fn follow(server: &Server, protocol: Protocol, target: &str) -> (u16, String) {
    let mut path = target.to_owned();
    for _ in 0..3 {
        let request = Request::get(&path).header("accept", NAVIGATION);
        let response = server.fetch_over(protocol, &request);
        let Some(location) = response.header("location") else {
            return (response.status(), String::from_utf8(response.body).unwrap());
        };
        assert!(response.status() == 301 && location.starts_with('.'), "{target}: {location}");
        assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{target}: {location}");
        let body = String::from_utf8(response.body.clone()).unwrap();
        assert!(!body.contains("a<b>"), "{target}: a name is not escaped in {body}");
        path = cachecompress_test::page_paths::resolve(&path, location);
    }
    panic!("redirects from {target} do not end");
}

#[test]
fn pages_of_every_kind_stand_beside_an_application() {
    let site = site_of_names();
    for slash in ["auto", "always", "never"] {
        for clean in ["serve", "redirect"] {
            let flags = format!(
                "--spa --spa-except /api/**,/foo*/** --clean-urls {clean} --trailing-slash {slash} \
                 --index index.html,index.htm"
            );
            let server = start_with(&site, &flags);
            for (target, expected) in [
                ("/", "index.html"),
                ("/index.html", "index.html"),
                ("/blog", "blog.html"),
                ("/blog/", "blog.html"),
                ("/blog.html", "blog.html"),
                ("/about", "about/index.htm"),
                ("/about/index.htm", "about/index.htm"),
                ("/contact/", "contact/index.html"),
                ("/data.html", "data.html/index.html"),
                ("/data.html/index.html", "data.html/index.html"),
                ("/bundle.67329.js", "bundle.67329.js"),
                ("/snow%20%E2%98%83", "snow \u{2603}/index.html"),
                ("/a%3Cb%3E%22c'", "a<b>\"c'/index.html"),
                ("/100%25", "100%.html"),
                ("/.well-known/about", ".well-known/about.html"),
                // Paths of the application.
                ("/data", "index.html"),
                ("/barfoo", "index.html"),
                ("/about/foobar", "index.html"),
                ("/hello/world", "index.html"),
                ("/about%2Findex.htm", "404"),
                ("/404.css", "404"),
                ("/foo/404", "404"),
                ("/foobar/baz", "404"),
                ("/api/users", "404"),
            ] {
                for protocol in Protocol::ALL {
                    let (status, body) = follow(&server, protocol, target);
                    let context = format!("{target} with {flags}: {body}");
                    match expected {
                        "404" => assert_eq!(status, 404, "{context}"),
                        text => assert_eq!((status, &*body), (200, text), "{context}"),
                    }
                }
            }
            for target in ["/.hidden", "/.hidden.html", "/.hello", "/foo/.world", "/.hidden/"] {
                let (_, body) = follow(&server, Protocol::Http1, target);
                assert!(!body.starts_with('.') && !body.starts_with("foo/"), "{target}: {body}");
            }
        }
    }
}

#[test]
fn hidden_page_has_a_clean_path_only_when_allowed() {
    let site = site_of_names();
    for (flags, status) in [("", 404), ("--dotfiles allow", 200)] {
        let server = start_with(&site, &format!("--clean-urls redirect {flags}"));
        for target in ["/.hidden", "/.hello", "/foo/.world"] {
            let response = server.fetch(&Request::get(target));
            assert_eq!(response.status(), status, "{target} with {flags:?}");
        }
    }
}

/// The sibling of a page belongs to the page, whatever rule leads to it.
#[test]
fn sibling_of_a_page_is_sent_by_every_rule_that_leads_to_it() {
    let site = Site::new();
    site.write("_redirects", b"/forced /about.html 200!\n/gone /about.html 410\n");
    let mut coded = Vec::new();
    for (at, name) in (1..).zip(["index.html", "about.html", "404.html", "docs/index.htm"]) {
        let source = site::text(at, 20_000);
        coded.push(gzipped(&source));
        site.write(name, &source);
        site.write(&format!("{name}.gz"), &coded[coded.len() - 1]);
    }
    site.write("alone.js.gz", &gzipped(b"alone"));
    let flags = "--siblings verified --clean-urls serve --index index.html,index.htm \
                 --spa-except /none/** --spa";
    let server = start_with(&site, flags);
    for (target, status, of) in [
        ("/", 200, 0),
        ("/index.html", 200, 0),
        ("/users/7", 200, 0),
        ("/about", 200, 1),
        ("/about.html", 200, 1),
        ("/forced", 200, 1),
        ("/gone", 410, 1),
        ("/none/x", 404, 2),
        ("/docs/", 200, 3),
    ] {
        for protocol in Protocol::ALL {
            let request = Request::get(target).accept("gzip").header("accept", NAVIGATION);
            for _ in 0..2 {
                let response = server.fetch_over(protocol, &request);
                let got = (response.status(), response.coding());
                assert_eq!(got, (status, "gzip"), "{target}: {:?}", response.head);
                assert!(response.body == coded[of], "{target}: other bytes than the sibling's");
                server.until_idle();
            }
            let head = server.fetch_over(protocol, &request.clone().method("HEAD"));
            let length = coded[of].len().to_string();
            assert_eq!(head.header("content-length"), Some(&*length), "{target}");
            let plain = Request::get(target).header("accept", NAVIGATION);
            let plain = server.fetch_over(protocol, &plain);
            assert_eq!((plain.status(), plain.coding()), (status, "identity"), "{target}");
            assert!(plain.body == site::text(of as u64 + 1, 20_000), "{target}");
        }
    }
    assert_eq!(server.encodes(), 0, "siblings answer everything");
    let alone = server.fetch(&Request::get("/alone.js").accept("gzip"));
    assert_eq!(alone.status(), 404);
    let itself = server.fetch(&Request::get("/alone.js.gz").accept("gzip"));
    assert_eq!(itself.coding(), "identity");
    assert_eq!(itself.body, gzipped(b"alone"));
}
