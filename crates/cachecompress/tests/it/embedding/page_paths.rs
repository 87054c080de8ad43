//! Clean URLs, trailing slashes, index files, and the page of an application.

use cachecompress::{Builder, CleanUrls, ErrorKind, Memory, ServeCompressed, TrailingSlash};
use cachecompress_test::page_paths::{ANSWERS, REQUESTS, TREES, resolve};
use cachecompress_test::service::{LONG, get, head, run};
use cachecompress_test::site::hex;

/// The site with every tree of the table.
fn trees() -> Memory {
    let files = TREES.iter().flat_map(|tree| tree.files.iter().map(move |file| (tree, file)));
    files.fold(Memory::new(), |files, (tree, (path, text))| {
        files.file(format!("{}/{path}", tree.name), *text)
    })
}

fn with(builder: Builder, clean: &str, slash: &str) -> ServeCompressed {
    let clean = match clean {
        "off" => CleanUrls::Off,
        "serve" => CleanUrls::Serve,
        _ => CleanUrls::Redirect,
    };
    let slash = match slash {
        "auto" => TrailingSlash::Auto,
        "always" => TrailingSlash::Always,
        _ => TrailingSlash::Never,
    };
    builder.clean_urls(clean).trailing_slash(slash).build().unwrap()
}

#[test]
fn answers_of_every_setting_are_those_of_the_table() {
    run(async {
        for (clean, slash, rows) in &ANSWERS {
            let service = with(ServeCompressed::builder(trees()), clean, slash);
            for (tree, row) in TREES.iter().zip(rows) {
                for (request, expected) in REQUESTS.iter().zip(row) {
                    let path = format!("/{}/{request}?q=1&r", tree.name);
                    let context = format!("{path} with {clean} and {slash}");
                    // The second answer may be a remembered one.
                    for answer in [get(&service, &path, &[]).await, get(&service, &path, &[]).await]
                    {
                        let status = answer.status.as_u16();
                        match expected.strip_prefix('>') {
                            Some(target) => {
                                assert_eq!(status, 301, "{context}");
                                let location = answer.field("location");
                                assert!(location.ends_with("?q=1&r"), "{context}: {location}");
                                let target = format!("/{}/{target}", tree.name);
                                assert_eq!(resolve(&path, location), target, "{context}");
                                assert_eq!(answer.field("cache-control"), "no-cache", "{context}");
                            }
                            None if *expected == "-" => assert_eq!(status, 404, "{context}"),
                            None => {
                                assert_eq!(status, 200, "{context}");
                                assert_eq!(answer.bytes(), expected.as_bytes(), "{context}");
                            }
                        }
                        let head = head(&service, &path, &[]).await;
                        assert_eq!(head.status, answer.status, "{context}");
                        assert_eq!(head.field("location"), answer.field("location"), "{context}");
                    }
                    let (mut path, mut steps) = (path.clone(), 0);
                    loop {
                        let answer = get(&service, &path, &[]).await;
                        if answer.status != 301 {
                            break;
                        }
                        path = resolve(&path, answer.field("location"));
                        steps += 1;
                        assert!(steps <= 2, "{context} ends nowhere");
                    }
                }
            }
        }
    });
}

#[test]
fn redirect_stays_on_this_host_and_keeps_the_spelling() {
    run(async {
        let files = Memory::new()
            .file("evil.example/index.html", "I")
            .file("evil.example.html", "H")
            .file("a b/c%.html", "C")
            .file("index.html", "root")
            .file("docs/index.html", "docs");
        let builder = || ServeCompressed::builder(files.clone());
        let service = with(builder(), "redirect", "never");
        for (path, location) in [
            ("//evil.example/", "../evil.example"),
            ("//evil.example.html", "./evil.example"),
            ("//evil.example.html/", "../evil.example"),
            ("/x/..//evil.example/", "../evil.example"),
            ("/evil%2Eexample/", "../evil%2Eexample"),
            ("/a%20b/c%25.html", "./c%25"),
            ("/a%20b/c%25.html?x=//y", "./c%25?x=//y"),
            ("/a%20b/c%25/", "../c%25"),
            ("/index.html", "./"),
            ("/index.html?q", "./?q"),
            ("//index.html", "./"),
            ("/index", "./"),
            ("/index/", "../"),
            ("/docs/index.html", "../docs"),
            ("/docs/index", "../docs"),
            ("/docs//index.html", "../../docs"),
        ] {
            let answer = get(&service, path, &[]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.field("location")),
                (301, location),
                "{path}"
            );
        }
        let service = with(builder(), "redirect", "always");
        for (path, location) in [
            ("//evil.example", "./evil.example/"),
            ("/a%20b/c%25.html", "./c%25/"),
            ("/a%20b/c%25", "./c%25/"),
            ("/docs/index.html", "./"),
            ("/docs/index", "./"),
        ] {
            let answer = get(&service, path, &[]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.field("location")),
                (301, location),
                "{path}"
            );
        }
        assert_eq!(get(&service, "/evil.example/", &[]).await.bytes(), b"I");
        for path in ["/a%20b/c%25/", "/docs/", "/"] {
            assert_eq!(get(&service, path, &[]).await.status, 200, "{path}");
        }
    });
}

/// An index beside a page of its directory's name must stay within reach.
#[test]
fn page_whose_path_another_has_keeps_its_own_name() {
    run(async {
        let files =
            Memory::new().file("a.html", "H").file("a/index.html", "I").file("a.htm", "second");
        let service = with(ServeCompressed::builder(files), "redirect", "never");
        for (path, text) in [("/a", "H"), ("/a/index", "I"), ("/a.htm", "second")] {
            assert_eq!(get(&service, path, &[]).await.bytes(), text.as_bytes(), "{path}");
        }
        assert_eq!(get(&service, "/a/index.html", &[]).await.field("location"), "./index");
    });
}

#[test]
fn excluded_page_has_no_clean_path() {
    run(async {
        let files = Memory::new().file("a.html", "H").file("b.html", "H").file("c/index.html", "I");
        let builder = ServeCompressed::builder(files).exclude("a.html").exclude("c");
        let service = with(builder, "redirect", "auto");
        for path in ["/a", "/a/", "/a.html", "/c", "/c/", "/c/index", "/c/index.html"] {
            assert_eq!(get(&service, path, &[]).await.status, 404, "{path}");
        }
        assert_eq!(get(&service, "/b", &[]).await.status, 200);
    });
}

#[test]
fn rules_of_a_page_are_those_of_its_file() {
    run(async {
        let page = hex(9_000, 1);
        let files = Memory::new().file("about.html", page.clone()).file("x/index.html", "I");
        let service = ServeCompressed::builder(files)
            .patience(LONG)
            .clean_urls(CleanUrls::Serve)
            .header("**/*.html", "x-kind", "page")
            .build()
            .unwrap();
        let named = get(&service, "/about.html", &[("accept-encoding", "gzip")]).await;
        let clean = get(&service, "/about", &[("accept-encoding", "gzip")]).await;
        for name in ["content-type", "etag", "x-kind", "vary", "content-encoding"] {
            assert_eq!(clean.field(name), named.field(name), "{name}");
        }
        assert!(clean.decoded() == page && clean.field("x-kind") == "page");
        assert_eq!(get(&service, "/x/", &[]).await.field("x-kind"), "page");
        let tag = clean.field("etag").to_owned();
        let fields = [("accept-encoding", "gzip"), ("if-none-match", &*tag)];
        assert_eq!(get(&service, "/about", &fields).await.status, 304);
        assert_eq!(get(&service, "/about", &[("range", "bytes=0-3")]).await.bytes(), &page[..4]);
    });
}

#[test]
fn index_names_are_tried_in_order() {
    run(async {
        let files = Memory::new()
            .file("index.htm", "root")
            .file("both/index.htm", "htm")
            .file("both/index.html", "html")
            .file("other/default.html", "other");
        let builder = || ServeCompressed::builder(files.clone());
        let service = builder().index(["index.html", "index.htm"]).build().unwrap();
        for (path, text) in [("/", "root"), ("/both/", "html")] {
            assert_eq!(get(&service, path, &[]).await.bytes(), text.as_bytes(), "{path}");
        }
        assert_eq!(get(&service, "/other/", &[]).await.status, 404);
        let service = builder().index(["index.htm", "index.html"]).build().unwrap();
        assert_eq!(get(&service, "/both/", &[]).await.bytes(), b"htm");
        let service = builder().index(Vec::<String>::new()).build().unwrap();
        assert_eq!(get(&service, "/both/", &[]).await.status, 404);
    });
}

#[test]
fn page_of_an_application_answers_in_place_of_the_index() {
    run(async {
        let files = Memory::new()
            .file("index.html", "index")
            .file("app.html", "app")
            .file("api/v1.json", "{}");
        let builder = || ServeCompressed::builder(files.clone());
        let service = builder().spa_page("/app.html").exclude("app.html").build().unwrap();
        for path in ["/users/7", "/none/"] {
            let answer = get(&service, path, &[("accept", "text/html")]).await;
            assert_eq!((answer.status.as_u16(), answer.bytes()), (200, &b"app"[..]), "{path}");
            assert_eq!(answer.field("vary"), "Accept-Encoding, Accept, Sec-Fetch-Mode");
            assert_eq!(get(&service, path, &[("accept", "image/png")]).await.status, 404);
        }
        assert_eq!(get(&service, "/", &[]).await.bytes(), b"index");
        assert_eq!(get(&service, "/gone.js", &[("accept", "text/html")]).await.status, 404);
        let service = builder().spa_page("gone.html").build().unwrap();
        assert_eq!(get(&service, "/users/7", &[]).await.status, 404);
        for path in ["", "/", "a/../b"] {
            let error = builder().spa_page(path).build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        }
    });
}

#[test]
fn exception_of_an_application_is_404_in_every_spelling() {
    run(async {
        let files = Memory::new().file("index.html", "app").file("api/v1.json", "{}");
        let service = ServeCompressed::builder(files)
            .spa(true)
            .spa_except("/api/**")
            .spa_except("*.internal")
            .build()
            .unwrap();
        let html = [("accept", "text/html"), ("sec-fetch-mode", "navigate")];
        for path in [
            "/api/users",
            "/api/",
            "/api//users/7/",
            "//api/users",
            "/%61pi/users",
            "/x/../api/users",
            "/api/a%2Fb",
            "/api%2Fusers",
            "/x.internal",
            "/x.internal/deep",
        ] {
            let answer = get(&service, path, &html).await;
            assert_eq!(answer.status, 404, "{path}");
            assert!(!answer.headers.contains_key("vary"), "{path} is 404 for everybody");
        }
        assert_eq!(get(&service, "/api/v1.json", &[]).await.bytes(), b"{}");
        for path in ["/apix", "/x/api/users", "/users/api", "/y/x.internal"] {
            assert_eq!(get(&service, path, &html).await.bytes(), b"app", "{path}");
        }
    });
    for glob in ["a[", "", "/", "a//b"] {
        let error = ServeCompressed::builder(Memory::new()).spa_except(glob).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{glob}");
    }
}
