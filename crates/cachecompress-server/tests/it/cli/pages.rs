//! The flags that lead requests to pages, and errors to theirs.

use cachecompress_test::page_paths::{ANSWERS, REQUESTS, TREES, resolve};

use crate::common::*;

const NAVIGATION: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

#[track_caller]
fn assert_answers(response: &Response, expected: &str, path: &str, context: &str) {
    let is_get = response.header("content-length") == Some(&response.body.len().to_string());
    match expected.strip_prefix('>') {
        Some(target) => {
            assert_eq!(response.status(), 301, "{context}: {:?}", response.head);
            let location = response.header("location").unwrap();
            assert!(location.ends_with("?q=1&r"), "{context}: {location}");
            assert_eq!(resolve(path, location), target, "{context}");
            assert_eq!(response.header("cache-control"), Some("no-cache"), "{context}");
        }
        None if expected == "-" => assert_eq!(response.status(), 404, "{context}"),
        None => {
            assert_eq!(response.status(), 200, "{context}: {:?}", response.head);
            assert!(!is_get || response.body == expected.as_bytes(), "{context}");
        }
    }
}

#[test]
fn answers_of_every_setting_are_those_of_the_table() {
    let site = Site::new();
    for tree in &TREES {
        for (path, text) in tree.files {
            site.write(&format!("{}/{path}", tree.name), text.as_bytes());
        }
    }
    for (clean, slash, rows) in &ANSWERS {
        let server = start_with(&site, &format!("--clean-urls {clean} --trailing-slash {slash}"));
        for (tree, row) in TREES.iter().zip(rows) {
            for (request, expected) in REQUESTS.iter().zip(row) {
                let path = format!("/{}/{request}?q=1&r", tree.name);
                let expected = match expected.strip_prefix('>') {
                    Some(target) => format!(">/{}/{target}", tree.name),
                    None => (*expected).to_owned(),
                };
                for protocol in Protocol::ALL {
                    for method in ["GET", "HEAD", "GET"] {
                        let request = Request::new(method, &path);
                        let response = server.fetch_over(protocol, &request);
                        let context = format!("{method} {path}, {clean}, {slash}, {protocol:?}");
                        assert_answers(&response, &expected, &path, &context);
                    }
                }
            }
        }
    }
}

#[test]
fn clean_path_has_the_representations_of_its_file() {
    let (site, page) = (Site::new(), site::text(1, 30_000));
    site.write("about.html", &page);
    let server = start_with(&site, "--clean-urls serve");
    let named = server.until_hit(&Request::get("/about.html").accept("br"));
    for protocol in Protocol::ALL {
        for _ in 0..2 {
            let clean = server.fetch_over(protocol, &Request::get("/about").accept("br"));
            assert_is(&clean, &page, "br");
            assert_eq!((clean.etag(), clean.cache_status()), (named.etag(), HIT));
            assert!(clean.header("content-type").unwrap().starts_with("text/html"));
        }
        let known = Request::get("/about").accept("br").header("if-none-match", named.etag());
        assert_eq!(server.fetch_over(protocol, &known).status(), 304);
        let part = server.fetch_over(protocol, &Request::get("/about").range("bytes=5-14"));
        assert_eq!((part.status(), &part.body[..]), (206, &page[5..15]));
    }
    assert_eq!((server.encodes(), server.entries()), (1, 1));
}

/// An answer that is remembered for a path must not outlive a change of the file that it is of.
#[test]
fn file_of_the_very_name_replaces_a_page_when_it_appears() {
    let site = Site::with("a.html", b"page");
    site.write("docs/index.htm", b"htm");
    let flags = "--clean-urls serve --index index.html,index.htm --revalidate 100ms";
    let server = start_with(&site, flags);
    for _ in 0..3 {
        assert_eq!(server.get("/a", "gzip").body, b"page");
        assert_eq!(server.get("/docs/", "gzip").body, b"htm");
    }
    site.write("a", b"file");
    site.write("docs/index.html", b"html");
    eventually("the file", || (server.get("/a", "gzip").body == b"file").then_some(()));
    eventually("the index", || (server.get("/docs/", "gzip").body == b"html").then_some(()));
    fs::remove_file(site.file("a")).unwrap();
    fs::remove_file(site.file("docs/index.html")).unwrap();
    eventually("the page", || (server.get("/a", "gzip").body == b"page").then_some(()));
    eventually("the other index", || (server.get("/docs/", "gzip").body == b"htm").then_some(()));
}

#[test]
fn index_names_are_tried_in_order() {
    let site = Site::with("index.htm", b"root");
    site.write("both/index.htm", b"htm");
    site.write("both/index.html", b"html");
    let server = start(&site);
    assert_eq!(server.get("/", "gzip").status(), 404, "index.html is the default");
    let by_variable = launch(&site).env("CACHECOMPRESS_INDEX", "index.html,index.htm").start();
    for server in [start_with(&site, "--index index.html,index.htm"), by_variable] {
        for protocol in Protocol::ALL {
            for (path, text) in [("/", "root"), ("/both/", "html"), ("/both/index.htm", "htm")] {
                let response = server.fetch_over(protocol, &Request::get(path));
                assert_eq!(
                    (response.status(), &response.body[..]),
                    (200, text.as_bytes()),
                    "{path}"
                );
            }
        }
    }
    let server = start_with(&site, "--index index.htm,index.html");
    assert_eq!(server.get("/both/", "gzip").body, b"htm");
}

#[test]
fn page_of_an_application_may_be_named_and_has_exceptions() {
    let (site, app) = (Site::with("index.html", b"index"), site::text(1, 3000));
    site.write("app.html", &app);
    site.write("api/v1.json", b"{}");
    let ask = |path: &str| Request::get(path).accept("br").header("accept", NAVIGATION);
    let flags = "--spa=/app.html --spa-except /api/** --spa-except *.internal,old/*";
    let by_variable = launch(&site)
        .env("CACHECOMPRESS_SPA", "/app.html")
        .env("CACHECOMPRESS_SPA_EXCEPT", "/api/**,*.internal,old/*")
        .start();
    for server in [start_with(&site, flags), by_variable] {
        for protocol in Protocol::ALL {
            for path in ["/users/7", "/users/7/?q", "/old", "/x/api/y"] {
                let response = server.fetch_over(protocol, &ask(path));
                assert_is(&response, &app, "br");
                let head = server.fetch_over(protocol, &ask(path).method("HEAD"));
                assert_eq!((head.status(), head.etag()), (200, response.etag()), "{path}");
                assert!(response.header("vary").unwrap().contains("Sec-Fetch-Mode"));
            }
            for path in
                ["/api/", "/api/users", "/%61pi/users", "/api%2Fusers", "/a.internal", "/old/x"]
            {
                assert_eq!(server.fetch_over(protocol, &ask(path)).status(), 404, "{path}");
            }
            assert_eq!(server.fetch_over(protocol, &ask("/")).body, b"index");
            assert_eq!(server.fetch_over(protocol, &ask("/api/v1.json")).body, b"{}");
            assert_eq!(server.fetch_over(protocol, &ask("/gone.js")).status(), 404);
        }
    }
    for (value, page) in [("on", Some("index")), ("off", None)] {
        let server = launch(&site).env("CACHECOMPRESS_SPA", value).start();
        let response = server.fetch(&ask("/users/7"));
        assert_eq!(response.status(), if page.is_some() { 200 } else { 404 }, "{value}");
        assert!(page.is_none_or(|page| response.body == page.as_bytes()), "{value}");
    }
}

#[test]
fn dotfiles_are_served_only_when_allowed() {
    let site = Site::with(".env", b"env");
    site.write("a/.git/config", b"config");
    site.write(".well-known/security.txt", b"contact");
    site.write(".well-known/.hidden", b"hidden");
    let hidden =
        [("/.env", "env"), ("/a/.git/config", "config"), ("/.well-known/.hidden", "hidden")];
    for (flags, status) in [("", 404), ("--dotfiles deny", 404), ("--dotfiles allow", 200)] {
        let server = start_with(&site, flags);
        for protocol in Protocol::ALL {
            for (path, text) in hidden {
                let response = server.fetch_over(protocol, &Request::get(path));
                assert_eq!(response.status(), status, "{path} with {flags:?}");
                assert!(status == 404 || response.body == text.as_bytes(), "{path}");
            }
            let known = server.fetch_over(protocol, &Request::get("/.well-known/security.txt"));
            assert_eq!((known.status(), &known.body[..]), (200, &b"contact"[..]));
        }
    }
}

#[track_caller]
fn assert_page(server: &Server, path: &str, page: &[u8]) {
    for protocol in Protocol::ALL {
        let request = Request::get(path).accept("gzip");
        let response = server.fetch_over(protocol, &request);
        assert_eq!(response.status(), 404, "{path}: {:?}", response.head);
        assert!(response.decoded() == page, "{path} over {protocol:?}");
        assert_eq!(response.header("cache-control"), Some("no-cache"), "{path}");
        for name in ["etag", "last-modified", "accept-ranges"] {
            assert_eq!(response.header(name), None, "{path}");
        }
        let head = server.fetch_over(protocol, &request.method("HEAD"));
        assert_eq!((head.status(), head.body.len()), (404, 0), "{path}");
        assert_eq!(head.header("content-type"), response.header("content-type"), "{path}");
    }
}

#[test]
fn nearest_page_of_a_404_is_found_and_may_be_overruled() {
    let site = Site::with("a.txt", b"a");
    site.write("de/tief/a.txt", b"a");
    let server = start_with(&site, "--revalidate 0s");
    assert_page(&server, "/x", b"404 Not Found\n");
    let (root, german) = (site::text(1, 3000), site::text(2, 3000));
    site.write("404.html", &root);
    site.write("de/404.html", &german);
    for (path, page) in [
        ("/x", &root),
        ("/de/x", &german),
        ("/de/tief/x", &german),
        ("/de/none/none/x", &german),
        ("/none/none/x", &root),
        ("/de/../x", &root),
        ("/../x", &root),
        ("/.git/x", &root),
    ] {
        assert_page(&server, path, page);
    }
    server.until_idle();
    let response = server.get("/de/x", "gzip");
    assert_eq!((response.coding(), response.cache_status()), ("gzip", HIT));
    for flag in ["--not-found /a.txt", "--not-found a.txt"] {
        assert_page(&start_with(&site, flag), "/de/x", b"a");
    }
}

/// A site with pages for errors, and the configuration that names them.
fn site_with_error_pages() -> (Site, Vec<(u16, Vec<u8>)>) {
    let site = Site::with("root/index.html", b"index");
    let mut file = "root = \"root\"\nmax-headers = 10\n[error-pages]\n".to_owned();
    let statuses = [400, 404, 405, 406, 412, 416, 431];
    let pages = statuses.map(|status| (status, site::text(u64::from(status), 3000)));
    for (status, page) in &pages {
        site.write(&format!("root/errors/{status}.html"), page);
        file.push_str(&format!("{status} = \"/errors/{status}.html\"\n"));
    }
    site.write("cachecompress.toml", file.as_bytes());
    (site, Vec::from(pages))
}

#[test]
fn error_has_the_page_of_the_configuration() {
    let (site, pages) = site_with_error_pages();
    let config = site.file("cachecompress.toml");
    let launch = Launch::new(PROGRAM, &site.file("root")).args(PATIENT);
    let server = launch.arg("--config").arg(config).start();
    let many = |request: Request| {
        (0..12).fold(request, |request, at| request.header(&format!("x-{at}"), "y"))
    };
    for (status, page) in &pages {
        let request = match status {
            400 => Request::get("/%zz"),
            404 => Request::get("/nowhere"),
            405 => Request::new("POST", "/"),
            406 => Request::get("/").accept("*;q=0"),
            412 => Request::get("/").header("if-match", "\"other\""),
            416 => Request::get("/").range("bytes=9999-"),
            // hyper answers by itself over HTTP/1.
            _ => many(Request::get("/")),
        };
        for protocol in Protocol::ALL {
            if *status == 431 && protocol == Protocol::Http1 {
                continue;
            }
            for _ in 0..2 {
                let response = server.fetch_over(protocol, &request);
                assert_eq!(response.status(), *status, "{:?}", response.head);
                assert!(response.decoded() == *page, "{status}: {:?}", response.head);
                assert_eq!(response.header("cache-control"), Some("no-cache"), "{status}");
                assert_eq!(response.header("etag"), None, "{status}");
                let allow = (*status == 405).then_some("GET, HEAD, OPTIONS");
                assert_eq!(response.header("allow"), allow, "{status}");
                let range = (*status == 416).then_some("bytes */5");
                assert_eq!(response.header("content-range"), range, "{status}");
            }
            if *status != 405 && *status != 416 {
                let head = server.fetch_over(protocol, &request.clone().method("HEAD"));
                assert_eq!((head.status(), head.body.len()), (*status, 0), "{status}");
            }
        }
    }
    let compressed = server.until_hit(&Request::get("/%zz").accept("gzip"));
    assert_eq!((compressed.status(), compressed.coding()), (400, "gzip"));
    // The program's own refusals have the pages as well.
    for target in ["*", "x:1"] {
        let mut connection = Connection::open(server.address()).unwrap();
        connection
            .send_raw(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .unwrap();
        let response = connection.receive("GET").unwrap();
        assert_eq!((response.status(), &response.body), (400, &pages[0].1), "{target}");
    }
}
