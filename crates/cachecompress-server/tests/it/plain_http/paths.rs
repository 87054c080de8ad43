//! Request targets, which get the right file or the right refusal, and nothing outside the root.

use crate::common::*;

const SECRET: &[u8] = b"the secret beside the root";

/// A site whose root has a secret beside it, in the parent directory.
fn site_beside_a_secret() -> (Site, Launch) {
    let site = Site::new();
    site.write("secret.txt", SECRET);
    site.write("root-secret/x.txt", SECRET);
    site.write("root/app.js", &site::text(1, 3000));
    site.write("root/dir/index.html", b"<p>dir");
    site.write("root/dir/x.txt", b"x");
    site.write("root/evil.example/sub/index.html", b"<p>sub");
    site.write("root/empty/.keep", b"");
    site.write("root/.env", SECRET);
    site.write("root/.git/config", SECRET);
    site.write("root/dir/.hidden/x.txt", SECRET);
    site.write("root/.well-known/security.txt", b"Contact: mailto:a@example.org");
    site.write("root/.well-known/.hidden", SECRET);
    let launch = Launch::new(PROGRAM, &site.file("root")).args(PATIENT);
    (site, launch)
}

/// Sends the target as it is, as no library would.
#[track_caller]
fn raw(server: &Server, target: &[u8]) -> Response {
    let mut connection = Connection::open(server.address()).unwrap();
    let request =
        [b"GET ", target, b" HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"].concat();
    connection.send_raw(&request).unwrap();
    connection.receive("GET").unwrap_or_else(|error| panic!("{error}, {target:?}"))
}

#[track_caller]
fn assert_no_secret(response: &Response) {
    let shown = decode::decode(response.coding(), &response.body).unwrap_or_default();
    assert!(!shown.windows(SECRET.len()).any(|window| window == SECRET), "{:?}", response.head);
}

#[test]
fn paths_that_lead_out_of_the_root_are_404_and_leak_nothing() {
    let (_site, launch) = site_beside_a_secret();
    let server = launch.start();
    for target in [
        "/../secret.txt",
        "/..",
        "/../",
        "/../app.js",
        "/dir/../../secret.txt",
        "/dir/../../root/app.js",
        "/dir/./../../app.js",
        "/%2e%2e/secret.txt",
        "/%2E%2E/secret.txt",
        "/.%2e/secret.txt",
        "/%2e./secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%2fsecret.txt",
        "/dir%2fx.txt",
        "/dir%2Fx.txt",
        "/..%5csecret.txt",
        "/dir%5cx.txt",
        "/dir%5Cx.txt",
        "/%2fetc/passwd",
        "//etc/passwd",
        "///etc/passwd",
        "/%252e%252e/secret.txt",
        "/..;/secret.txt",
        // Prefix matching of roots (CVE-2025-58751).
        "/../root-secret/x.txt",
    ] {
        for protocol in Protocol::ALL {
            let response = server.fetch_over(protocol, &Request::get(target));
            assert_eq!(response.status(), 404, "{target} over {protocol:?}");
            assert_no_secret(&response);
        }
    }
    // Overlong UTF-8 of `.` and `/`, and bytes that are no UTF-8.
    for target in ["/%c0%ae%c0%ae/secret.txt", "/..%c0%afsecret.txt", "/%e0%80%ae/x", "/%ff%fe"] {
        for protocol in Protocol::ALL {
            let response = server.fetch_over(protocol, &Request::get(target));
            assert!([400, 404].contains(&response.status()), "{target}: {:?}", response.head);
            assert_no_secret(&response);
        }
    }
    assert_eq!(raw(&server, b"/..\\secret.txt").status() / 100, 4);
}

#[test]
fn bad_escapes_and_nul_are_400() {
    let (_site, launch) = site_beside_a_secret();
    let server = launch.start();
    for target in [
        "/%",
        "/%2",
        "/%zz",
        "/app.js%",
        "/%g0",
        "/%-1",
        "/a%00b",
        "/%00",
        "/app.js%00.png",
        "/% 20",
    ] {
        if !target.contains(' ') {
            for protocol in Protocol::ALL {
                let response = server.fetch_over(protocol, &Request::get(target));
                assert_eq!(response.status(), 400, "{target} over {protocol:?}");
            }
        }
        assert_eq!(raw(&server, target.as_bytes()).status(), 400, "{target}");
    }
    // A bad escape in the query is none of our business.
    assert_eq!(server.get("/app.js?%zz", "gzip").status(), 200);
}

#[test]
fn repeated_slashes_merge() {
    let (_site, launch) = site_beside_a_secret();
    let server = launch.start();
    for protocol in Protocol::ALL {
        for target in ["//app.js", "/dir//x.txt", "///dir///x.txt", "//dir/"] {
            let response = server.fetch_over(protocol, &Request::get(target));
            assert_eq!(response.status(), 200, "{target} over {protocol:?}");
        }
    }
}

/// apt asks for `/./Packages` of a flat repository.
#[test]
fn every_spelling_of_a_path_gets_one_file_with_one_tag() {
    let (site, launch) = site_beside_a_secret();
    let source = site::text(1, 3000);
    let server = launch.args("--spa").start();
    let plain = server.until_hit(&Request::get("/app.js").accept("gzip"));
    let tag = plain.header("etag").unwrap();
    for target in [
        "/./app.js",
        "/%2e/app.js",
        "/%2E/./app.js",
        "//app.js",
        "/%61pp.js",
        "/a%70p%2ejs",
        "/dir/../app.js",
        "/dir/%2e%2e/app.js",
        "/dir/.%2E/app.js",
        "/dir/%2e./app.js",
        "/none/../app.js",
        "/dir//../../app.js",
        "/dir/x%2Fy/../../app.js",
        "/.git/../app.js",
        "/app.js?query",
    ] {
        for protocol in Protocol::ALL {
            let response = server.fetch_over(protocol, &Request::get(target).accept("gzip"));
            assert_is(&response, &source, "gzip");
            assert_eq!((response.header("etag"), response.cache_status()), (Some(tag), HIT));
        }
    }
    for (target, like) in [("/dir/.", "/dir/"), ("/dir/x/..", "/dir/"), ("/dir/./", "/dir/")] {
        for protocol in Protocol::ALL {
            let fetch = |target| server.fetch_over(protocol, &Request::get(target));
            let (spelled, plain) = (fetch(target), fetch(like));
            assert_is(&spelled, b"<p>dir", "identity");
            assert_eq!(spelled.header("etag"), plain.header("etag"), "{target}");
        }
    }
    // A hidden path stays hidden, in an application too.
    for target in ["/dir/../.env", "/dir/../.git/config", "/../app.js", "/%2e%2e/"] {
        let response = server.get(target, "gzip");
        assert_eq!(response.status(), 404, "{target}");
        assert_no_secret(&response);
    }
    assert_eq!((server.encodes(), server.entries()), (1, 1));
    drop(site);
}

#[test]
fn directory_without_slash_redirects_and_keeps_the_query() {
    let (_site, launch) = site_beside_a_secret();
    let server = launch.start();
    for protocol in Protocol::ALL {
        for method in ["GET", "HEAD"] {
            for (target, location) in [
                ("/dir", "./dir/"),
                ("/dir?a=b&c", "./dir/?a=b&c"),
                ("/dir?", "./dir/?"),
                // A redirect to `//evil.example/sub` would lead to another host.
                ("//evil.example/sub", "./sub/"),
                ("//evil.example", "./evil.example/"),
                ("/evil%2Eexample", "./evil%2Eexample/"),
                ("/dir/..//evil.example", "./evil.example/"),
                ("/evil.example/./sub", "./sub/"),
            ] {
                let response = server.fetch_over(protocol, &Request::new(method, target));
                assert_eq!(response.status(), 301, "{target}: {:?}", response.head);
                assert_eq!(response.header("cache-control"), Some("no-cache"));
                assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
                let link = format!("<a href=\"{}\">", location.replace('&', "&amp;"));
                let page = String::from_utf8_lossy(&response.body);
                assert!(method == "HEAD" || page.contains(&link), "{page}");
                let length = response.header("content-length").unwrap();
                assert!(method == "HEAD" || length == page.len().to_string(), "{length}");
                assert_ne!(length, "0");

                let got = response.header("location").unwrap();
                assert_eq!(got, location, "{target}");
            }
        }
        let index = server.fetch_over(protocol, &Request::get("/dir/"));
        assert_is(&index, b"<p>dir", "identity");
        assert!(index.header("content-type").unwrap().starts_with("text/html"));
        for (target, location) in [
            ("/app.js/", "../app.js"),
            ("/dir/x.txt/?q", "../x.txt?q"),
            ("/dir/index.html//", "../../index.html"),
            ("/app%2Ejs/", "../app%2Ejs"),
        ] {
            let response = server.fetch_over(protocol, &Request::get(target));
            assert_eq!(response.status(), 301, "{target}: {:?}", response.head);
            assert_eq!(response.header("location"), Some(location), "{target}");
        }
        for target in ["/empty/", "/none", "/none/"] {
            let response = server.fetch_over(protocol, &Request::get(target));
            assert_eq!(response.status(), 404, "{target}: {:?}", response.head);
        }
    }
}

#[test]
fn dotfiles_are_404_and_well_known_is_not() {
    let (_site, launch) = site_beside_a_secret();
    let server = launch.start();
    for protocol in Protocol::ALL {
        for target in [
            "/.env",
            "/%2eenv",
            "/.git/config",
            "/.git/",
            "/.git",
            "/dir/.hidden/x.txt",
            "/empty/.keep",
        ] {
            let response = server.fetch_over(protocol, &Request::get(target));
            assert_eq!(response.status(), 404, "{target}");
            assert_no_secret(&response);
        }
        let known = server.fetch_over(protocol, &Request::get("/.well-known/security.txt"));
        assert_is(&known, b"Contact: mailto:a@example.org", "identity");
    }
}

/// Other servers followed symlinks out of the root (CVE-2025-67487), also of siblings
/// (CVE-2024-42367).
#[cfg(unix)]
#[test]
fn symlinks_are_followed_inside_and_404_outside() {
    let (site, launch) = site_beside_a_secret();
    let source = site::text(1, 3000);
    site.link("root/inside.js", "app.js");
    site.link("root/inside-dir", "dir");
    site.link("root/chain.js", "inside.js");
    site.link("root/absolute.txt", site.file("secret.txt"));
    site.link("root/relative.txt", "../secret.txt");
    site.link("root/up", "..");
    site.link("root/top", "/");
    site.link("root/over.txt", "dir/../../secret.txt");
    site.link("root/loop", "loop");
    site.link("root/dangling", "nothing");
    site.link("root/proc.txt", "/proc/self/environ");
    // A sibling that would be taken for the compressed form of a file.
    site.link("root/app.js.gz", "../secret.txt");
    site.link("root/app.js.br", "../secret.txt");
    let server = launch.start();
    for protocol in Protocol::ALL {
        let ask = |target| server.fetch_over(protocol, &Request::get(target).accept("gzip"));
        assert_is(&ask("/inside.js"), &source, "gzip");
        assert_is(&ask("/chain.js"), &source, "gzip");
        assert_is(&ask("/inside-dir/x.txt"), b"x", "identity");
        assert_is(&ask("/app.js"), &source, "gzip");
        for target in [
            "/absolute.txt",
            "/relative.txt",
            "/up/secret.txt",
            "/up/",
            "/top/etc/passwd",
            "/over.txt",
            "/loop",
            "/dangling",
            "/proc.txt",
            "/app.js.gz",
            "/app.js.br",
        ] {
            let response = ask(target);
            assert_eq!(response.status(), 404, "{target}: {:?}", response.head);
            assert_no_secret(&response);
        }
    }
    assert_eq!(server.encodes(), 1, "links lead to the same bytes");
}

#[cfg(unix)]
#[test]
fn symlinks_follow_their_flag_and_a_refused_one_is_told_once() {
    let (site, launch) = site_beside_a_secret();
    site.link("root/absolute.txt", site.file("root/dir/x.txt"));
    site.link("root/out\u{1b}[31m\nx", site.file("root-secret"));
    let asked = ["/absolute.txt", "/out%1b[31m%0ax/x.txt", "/out%1b[31m%0ax/none", "/dir/x.txt"];
    for (flag, statuses, told) in [
        ("within", [200, 404, 404, 200], 1),
        ("follow", [200, 200, 404, 200], 0),
        ("deny", [404, 404, 404, 200], 2),
    ] {
        let launch = launch.clone().args("--revalidate 0s");
        let mut server = launch.arg("--symlinks").arg(flag).start();
        for _ in 0..3 {
            let got = asked.map(|target| server.get(target, "gzip").status());
            assert_eq!(got, statuses, "{flag}");
        }
        server.stop();
        let log = eventually("the log's lines", || {
            let log = server.stderr();
            (log.matches("is not followed").count() >= told).then_some(log)
        });
        let lines: Vec<_> = log.lines().filter(|line| line.contains("is not followed")).collect();
        assert_eq!(lines.len(), told, "{flag}: {log}");
        assert!(lines.iter().all(|line| line.contains("WARN")), "{log}");
        assert!(!log.contains('\u{1b}'), "{log:?}");
        let named = r"root/out\u{1b}[31m\nx";
        assert_eq!(told > 0, log.contains(named), "{log}");
    }
}

#[cfg(unix)]
#[test]
fn special_file_is_404_and_blocks_no_request() {
    let (site, launch) = site_beside_a_secret();
    let fifo = site.file("root/fifo");
    let status = std::process::Command::new("mkfifo").arg(&fifo).status();
    if !status.is_ok_and(|status| status.success()) {
        return decode::skipped("no mkfifo");
    }
    let _socket = std::os::unix::net::UnixListener::bind(site.file("root/socket")).unwrap();
    let server = launch.start();
    for target in ["/fifo", "/socket"] {
        assert_eq!(server.get(target, "gzip").status(), 404, "{target}");
    }
}

/// The file names need escapes, which have several spellings.
#[test]
fn names_with_odd_characters_are_found_and_share_one_entry() {
    let source = site::text(2, 2000);
    let site = Site::new();
    for name in
        ["a b.js", "ü.js", "100%.js", "a+b.js", "q?.js", "h#.js", "a;b.js", "日本.js", "~'().js"]
    {
        site.write(name, &source);
    }
    let server = start(&site);
    for target in [
        "/a%20b.js",
        "/%61%20b%2ejs",
        "/%C3%BC.js",
        "/%c3%bc.js",
        "/100%25.js",
        "/a+b.js",
        "/a%2Bb.js",
        "/q%3f.js",
        "/h%23.js",
        "/a;b.js",
        "/a%3bb.js",
        "/%E6%97%A5%E6%9C%AC.js",
        "/~'().js",
        "/%7E%27%28%29.js",
    ] {
        for protocol in Protocol::ALL {
            let request = Request::get(target).accept("br");
            let response = server.fetch_over(protocol, &request);
            assert_is(&response, &source, "br");
        }
    }
    assert_eq!((server.encodes(), server.entries()), (1, 1));
}

/// A request path that becomes a file name (as base64 or escaped) outgrows 255 bytes.
#[test]
fn long_paths_are_cached_like_any_other() {
    let source = site::text(3, 5000);
    let part = "directory-with-a-long-name-of-sixty-characters-in-all-abcdef";
    let deep: String = (0..8).map(|at| format!("{part}{at}/")).collect();
    let longest = "n".repeat(252) + ".js";
    let site = Site::new();
    site.write(&format!("{deep}app.js"), &source);
    site.write(&longest, &site::text(4, 5000));
    let server = start(&site);
    let wanted = [(format!("/{deep}app.js"), source), (format!("/{longest}"), site::text(4, 5000))];
    for (target, source) in &wanted {
        assert!(target.len() > 255);
        let request = Request::get(target).accept("gzip");
        assert_is(&server.fetch(&request), source, "gzip");
        assert_is(&server.until_hit(&request), source, "gzip");
        let response = server.fetch_over(Protocol::Http2, &request);
        assert_eq!(response.cache_status(), HIT);
    }
    assert_eq!((server.encodes(), server.entries()), (2, 2));
}

#[test]
fn paths_of_6000_characters_are_404() {
    let (_site, launch) = site_beside_a_secret();
    let server = launch.start();
    for target in [
        format!("/{}", "a".repeat(6000)),
        format!("/{}x.txt", "dir/".repeat(1500)),
        format!("/{}app.js", "a/".repeat(3000)),
        format!("/{}", "%61".repeat(2000)),
        format!("/dir/{}", "n".repeat(256)),
    ] {
        for protocol in Protocol::ALL {
            let response = server.fetch_over(protocol, &Request::get(&target));
            assert_eq!(response.status(), 404, "{} characters over {protocol:?}", target.len());
        }
    }
    assert_eq!(server.get("/app.js", "gzip").status(), 200);
}

#[test]
fn garbage_instead_of_a_target_is_refused() {
    let (_site, launch) = site_beside_a_secret();
    let mut server = launch.start();
    for target in ["app.js", "..", "dir/../../secret.txt", "\u{1}", "http://", "/a b"] {
        let mut connection = Connection::open(server.address()).unwrap();
        connection
            .send_raw(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .unwrap();
        // The server answers 4xx, or closes.
        if let Ok(response) = connection.receive("GET") {
            assert_eq!(response.status() / 100, 4, "{target:?}: {:?}", response.head);
            assert_no_secret(&response);
        }
    }
    assert!(server.is_running());
}

#[test]
fn error_answers_are_never_stored_as_something_else() {
    let (site, launch) = site_beside_a_secret();
    let server = launch.args("--revalidate 0s").start();
    let missing = server.get("/late.js", "gzip");
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.header("etag"), None);
    site.write("root/late.js", &site::text(5, 1000));
    assert_is(&server.get("/late.js", "gzip"), &site::text(5, 1000), "gzip");
}
