//! The rules of `_redirects` over a socket.

use cachecompress_test::server;

use crate::common::*;

/// A site in the manner of Netlify's documentation.
const REDIRECTS: &str = "\
# Redirects from what the browser requests to what we serve
/home              /
/blog/my-post.php  /blog/my-post # an old leftover
/cuties            https://www.petsofnetlify.com
/authors/c%C3%A9line  /authors/about-c%C3%A9line
/my-redirect       /              302
/ecommerce         /store-closed.html  404
/pass-through      /index.html    200
/retired           /store-closed.html  410
/news/:month/:date/:year/:slug  /blog/:year/:month/:date/:slug
/news/*            /blog/:splat
/articles id=:id tag=:tag  /posts/:tag/:id  301
/articles id=:id   /posts/:id     301
/shadowed.txt      /never
/forced.txt        /taken 302!
/en/*              /en/404.html   404
/china             /zh            302  Country=ch,tw
/api/*             https://api.example.com/:splat 200
/app/*             /app/index.html 200
";

fn netlify_site() -> Site {
    let site = Site::new();
    site.write("_redirects", REDIRECTS.as_bytes());
    site.write("index.html", &site::text(1, 3000));
    site.write("store-closed.html", &site::text(2, 3000));
    site.write("shadowed.txt", b"here");
    site.write("forced.txt", b"here");
    site.write("en/404.html", b"nothing in English");
    site.write("app/index.html", &site::text(3, 3000));
    site.write("app/style.css", &site::text(4, 3000));
    site
}

fn shown(response: &Response) -> String {
    match response.header("location") {
        Some(location) => format!("{} {location}", response.status()),
        None => response.status().to_string(),
    }
}

#[test]
fn rules_of_netlify_hold_over_every_protocol() {
    let site = netlify_site();
    let server = start(&site);
    for protocol in Protocol::ALL {
        for (target, expected) in [
            ("/home", "301 /"),
            ("/home/?a=b&c", "301 /?a=b&c"),
            ("/Home", "404"),
            ("/blog/my-post.php", "301 /blog/my-post"),
            ("/cuties", "301 https://www.petsofnetlify.com"),
            ("/authors/c%c3%a9line", "301 /authors/about-c%C3%A9line"),
            ("/my-redirect", "302 /"),
            ("/ecommerce", "404"),
            ("/pass-through", "200"),
            ("/retired", "410"),
            ("/news/02/12/2004/my-story", "301 /blog/2004/02/12/my-story"),
            ("/news/a/b/", "301 /blog/a/b/"),
            ("/news", "301 /blog/"),
            ("/articles?tag=web&id=7", "301 /posts/web/7?tag=web&id=7"),
            ("/articles?id=7", "301 /posts/7?id=7"),
            ("/articles", "404"),
            ("/shadowed.txt", "200"),
            ("/forced.txt", "302 /taken"),
            ("/en/nope", "404"),
            ("/china", "404"),
            ("/api/users", "404"),
            ("/app/deep/link", "200"),
            ("/app/style.css", "200"),
            ("/news/%2Fevil.example", "301 /blog/%2Fevil.example"),
            ("/news//evil.example", "301 /blog/evil.example"),
            ("/news/..%2f..%5c", "301 /blog/..%2f..%5c"),
            ("/news/%zz", "400"),
            ("/x/../home", "301 /"),
        ] {
            for _ in 0..2 {
                let request = Request::get(target).accept("br");
                let response = server.fetch_over(protocol, &request);
                assert_eq!(shown(&response), expected, "{target}");
                let head = server.fetch_over(protocol, &request.method("HEAD"));
                assert_eq!((shown(&head), head.body.len()), (expected.to_owned(), 0), "{target}");
                for name in ["content-type", "cache-control", "etag", "content-length"] {
                    if response.header("content-encoding").is_none() {
                        assert_eq!(head.header(name), response.header(name), "{target} {name}");
                    }
                }
            }
        }
        let page = |target: &str| {
            server.fetch_over(protocol, &Request::get(target).accept("br")).decoded()
        };
        assert_eq!(page("/pass-through"), site::text(1, 3000));
        assert_eq!(page("/ecommerce"), site::text(2, 3000));
        assert_eq!(page("/retired"), site::text(2, 3000));
        assert_eq!(page("/app/deep/link"), site::text(3, 3000));
        assert_eq!(page("/en/nope"), b"nothing in English");
    }
    for line in
        ["_redirects:17: skipped: \"Country=ch,tw\": countries are", "_redirects:18: skipped"]
    {
        assert!(server.stderr().contains(line), "{}", server.stderr());
    }
}

#[cfg(unix)]
#[test]
fn files_of_rules_are_never_served_under_the_names_of_links() {
    for flag in ["--site-rules on", "--site-rules off"] {
        let site = netlify_site();
        site.write("_headers", b"# none\n");
        std::os::unix::fs::symlink("_headers", site.file("h.txt")).unwrap();
        fs::hard_link(site.file("_redirects"), site.file("r.txt")).unwrap();
        let server = start_with(&site, flag);
        for target in ["/h.txt", "/r.txt"] {
            for protocol in Protocol::ALL {
                let response = server.fetch_over(protocol, &Request::get(target));
                assert_eq!(response.status(), 404, "{flag} {target}");
            }
        }
    }
}

#[test]
fn files_of_rules_are_never_served_however_they_are_asked_for() {
    for flag in ["--site-rules on", "--site-rules off"] {
        let site = netlify_site();
        site.write("_headers", b"# none\n");
        site.write("docs/_redirects", b"a page about redirects");
        let server = start_with(&site, flag);
        for target in [
            "/_redirects",
            "/_headers",
            "/%5fredirects",
            "/%5F%72edirects",
            "//_redirects",
            "/./_redirects",
            "/x/../_headers",
            "/_redirects/",
            "/_redirects?x",
        ] {
            for protocol in Protocol::ALL {
                let response = server.fetch_over(protocol, &Request::get(target));
                assert_eq!(response.status(), 404, "{flag} {target}");
            }
        }
        assert_eq!(server.get("/docs/_redirects", "").body, b"a page about redirects");
        let expected = if flag.ends_with("on") { 301 } else { 404 };
        assert_eq!(server.get("/home", "").status(), expected, "{flag}");
    }
}

#[test]
fn wrong_file_of_rules_ends_the_start_with_a_sentence() {
    for (text, sentence) in [
        (&b"/a /b\n/c\n"[..], "_redirects:2: there is no target behind \"/c\""),
        (
            b"/a /b\n/b /a\n",
            "redirects lead in a ring: _redirects:1: the rule from \"/a\" to \"/b\"",
        ),
        (b"/a/ /a\n", "_redirects:1: the rule from \"/a/\" to \"/a\" leads to itself"),
        (b"\xff /a\n", "_redirects is no UTF-8"),
    ] {
        let site = Site::with("_redirects", text);
        let output = server::output(
            server::command(PROGRAM.as_ref())
                .arg("serve")
                .arg(site.path())
                .args(["--listen", "127.0.0.1:0"]),
        );
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(sentence), "{stderr}");
        let server = start_with(&site, "--site-rules off");
        assert_eq!(server.get("/a", "").status(), 404);
    }
}

#[test]
fn rules_of_cloudflare_go_before_files_over_every_protocol() {
    let site = Site::with("root/index.html", b"index");
    site.write("root/page.html", b"page");
    site.write("root/taken.txt", b"taken");
    let rules = "\
/home302 /
/querystrings /?query=string 301
/twitch https://twitch.tv
/trailing /trailing/ 301
/notrailing/ /nottrailing 301
/page/ /page2/#fragment 301
/taken.txt /free
/a /page.html 200
/b /a 200
/* /index.html 200
/blog/* https://blog.my.domain/:splat
/products/:code/:name /products?code=:code&name=:name
";
    site.write("root/_redirects", rules.as_bytes());
    let config = site.file("cachecompress.toml");
    fs::write(&config, "root = \"root\"\n[site-rules]\ndialect = \"cloudflare\"\n").unwrap();
    let server = Launch::new(PROGRAM, &site.file("root")).arg("--config").arg(&config).start();
    for protocol in Protocol::ALL {
        for (target, expected) in [
            ("/home302", "302 /"),
            ("/home302/", "404"),
            ("/querystrings?own=1", "301 /?query=string"),
            ("/twitch?x", "302 https://twitch.tv?x"),
            ("/trailing", "301 /trailing/"),
            ("/trailing/", "404"),
            ("/notrailing/", "301 /nottrailing"),
            ("/notrailing", "404"),
            ("/page/?x", "301 /page2/?x#fragment"),
            ("/taken.txt", "302 /free"),
            ("/a", "200"),
            ("/b", "404"),
            ("/other", "404"),
            ("/blog/a/b", "302 https://blog.my.domain/a/b"),
            ("/blog", "404"),
            ("/products/7/a%26b", "302 /products?code=7&name=a%26b"),
            ("/", "200"),
        ] {
            let response = server.fetch_over(protocol, &Request::get(target));
            assert_eq!(shown(&response), expected, "{target}");
        }
    }
    assert!(server.stderr().contains("_redirects:10: skipped: Cloudflare ignores"));
}

#[test]
fn tables_come_behind_the_file_and_check_names_what_is_skipped() {
    let site = Site::with("root/_redirects", b"/a /file\n/b /c 302 Country=us\n");
    let config = site.file("cachecompress.toml");
    let tables = "root = \"root\"\n[[redirects]]\nfrom = \"/a\"\nto = \"/table\"\n\n[[redirects]]\n\
                  from = \"/b/*\"\nto = \"/:splat\"\nstatus = 308\n";
    fs::write(&config, tables).unwrap();
    let launch = Launch::new(PROGRAM, &site.file("root")).arg("--config").arg(&config);
    let server = launch.start();
    assert_eq!(shown(&server.get("/a", "")), "301 /file");
    assert_eq!(shown(&server.get("/b/x", "")), "308 /x");

    let check = || {
        let mut command = server::command(PROGRAM.as_ref());
        let output = server::output(command.args(["config", "check", "--config"]).arg(&config));
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    site.write("root/_headers", b"/*\n  X-A: 1\nhttps://a.example/*\n  X-B: 1\n");
    let (code, text) = check();
    assert!(text.contains("_headers:3: skipped: the rules of one host"), "{text}");
    fs::remove_file(site.file("root/_headers")).unwrap();
    assert!(text.contains("_redirects:2: skipped: \"Country=us\": countries"), "{text}");
    assert_eq!(code, 0, "{text}");
    fs::write(&config, format!("{tables}[site-rules]\nstrict = true\n")).unwrap();
    let (code, text) = check();
    assert!(text.contains("_redirects:2: ") && text.contains("is strict"), "{text}");
    assert_eq!(code, 1, "{text}");
    // Every line that is wrong is named, and those that are skipped beside them.
    site.write("root/_redirects", b"/a\n/b /c 302 Country=us\n/d\n");
    fs::write(&config, tables).unwrap();
    let (code, text) = check();
    for line in ["_redirects:1: there", "_redirects:2: skipped", "_redirects:3: there"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert_eq!(code, 1, "{text}");
    fs::write(&config, format!("{tables}\n[[redirects]]\nfrom = \"/x\"\nto = \"/x/\"\n")).unwrap();
    let (code, text) = check();
    assert!(
        text.contains("cachecompress.toml:13:6: the rule cannot lead there: the rule from"),
        "{text}"
    );
    assert_eq!(code, 1, "{text}");
}
