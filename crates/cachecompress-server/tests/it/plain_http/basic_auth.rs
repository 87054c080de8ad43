//! `--basic-auth`: nobody without a password learns anything of a site.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use cachecompress_test::server::{command, output};

use crate::common::*;

fn basic(text: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(text))
}

/// A site with a file, a directory, redirects and pages, and a file of its users.
fn guarded(users: &[(&str, &str, u32)]) -> (Site, PathBuf) {
    let site = Site::with("app.3f9c2b1a.js", &site::text(1, 20_000));
    site.write("dir/index.html", &site::text(2, 900));
    site.write("404.html", b"<p>lost</p>");
    site.write("_redirects", b"/old /new 301!");
    let file = site.path().join("users");
    write_users(&file, users);
    (site, file)
}

fn write_users(file: &Path, users: &[(&str, &str, u32)]) {
    let line = |(user, password, cost): &(&str, &str, u32)| {
        format!("{user}:{}\n", bcrypt::hash(password, *cost).unwrap())
    };
    fs::write(file, users.iter().map(line).collect::<String>()).unwrap();
}

fn with_users(site: &Site, file: &Path) -> Launch {
    launch(site).arg("--basic-auth").arg(file)
}

/// The head of a response without what differs from one to the next.
fn shape(response: &Response) -> Vec<(String, String)> {
    let varies = |name: &str| name.eq_ignore_ascii_case("date");
    response.head.headers.iter().filter(|(name, _)| !varies(name)).cloned().collect()
}

#[test]
fn request_without_a_right_password_learns_nothing() {
    let (site, file) = guarded(&[("ann", "secret", 4)]);
    let server = with_users(&site, &file).args("--immutable").start();
    let right = basic("ann:secret");
    let script = Request::get("/app.3f9c2b1a.js").accept("gzip");
    let tag = server.until_hit(&script.clone().header("authorization", &right)).etag().to_owned();
    let wrong = [
        String::new(),
        basic("ann:wrong"),
        basic("eve:secret"),
        basic("ann"),
        "Basic".to_owned(),
        "Basic ###".to_owned(),
        "Bearer secret".to_owned(),
        basic(&"x".repeat(4000)),
    ];
    for protocol in Protocol::ALL {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT"] {
            let mut shapes = Vec::new();
            for (request, authorized) in [
                (script.clone(), 200),
                (script.clone().header("if-none-match", &tag), 304),
                (script.clone().range("bytes=0-9"), 206),
                (script.clone().range("bytes=99999-"), 416),
                (Request::get("/dir"), 301),
                (Request::get("/old"), 301),
                (Request::get("/none"), 404),
                (Request::get("/%zz"), 400),
                (Request::get("/users"), 404),
            ] {
                let request = request.method(method);
                for wrong in &wrong {
                    let mut request = request.clone();
                    if !wrong.is_empty() {
                        request = request.header("authorization", wrong);
                    }
                    let response = server.fetch_over(protocol, &request);
                    assert_eq!(response.status(), 401, "{method} {} {wrong}", request.target);
                    let challenge = response.header("www-authenticate").unwrap();
                    assert_eq!(challenge, "Basic realm=\"restricted\", charset=\"UTF-8\"");
                    assert_eq!(response.head.all("cache-control"), ["no-store"]);
                    shapes.push((shape(&response), response.body));
                }
                if method == "GET" {
                    let request = request.header("authorization", &right);
                    let response = server.fetch_over(protocol, &request);
                    assert_eq!(response.status(), authorized, "{method} {}", request.target);
                    assert!(response.header("www-authenticate").is_none());
                }
            }
            shapes.dedup();
            assert_eq!(shapes.len(), 1, "{method}: {shapes:?}");
        }
    }
    let twice = script.header("authorization", &right).header("authorization", &right);
    assert_eq!(server.fetch(&twice).status(), 401);
}

#[test]
fn responses_for_users_are_kept_from_shared_caches() {
    let (site, file) = guarded(&[("ann", "secret", 4)]);
    let server = with_users(&site, &file).args("--immutable").start();
    let right = basic("ann:secret");
    let get = |path: &str| Request::get(path).accept("gzip").header("authorization", &right);
    let tag = server.until_hit(&get("/app.3f9c2b1a.js")).etag().to_owned();
    for protocol in Protocol::ALL {
        for (request, status, expected) in [
            (get("/app.3f9c2b1a.js"), 200, "private, max-age=31536000, immutable"),
            (
                get("/app.3f9c2b1a.js").header("if-none-match", &tag),
                304,
                "private, max-age=31536000, immutable",
            ),
            (get("/dir/"), 200, "private, no-cache"),
        ] {
            let response = server.fetch_over(protocol, &request);
            assert_eq!(response.status(), status);
            assert_eq!(response.head.all("cache-control"), [expected]);
        }
    }
}

#[test]
fn preflight_needs_no_password_and_a_refusal_may_be_read() {
    let (site, file) = guarded(&[("ann", "secret", 4)]);
    let server = with_users(&site, &file).args("--cors https://a").start();
    let preflight = Request::new("OPTIONS", "/none")
        .header("origin", "https://a")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization");
    for protocol in Protocol::ALL {
        let response = server.fetch_over(protocol, &preflight);
        assert_eq!(response.status(), 204);
        assert!(
            response.header("access-control-allow-headers").unwrap().ends_with("authorization")
        );
        let refused = server.fetch_over(protocol, &Request::get("/").header("origin", "https://a"));
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.header("access-control-allow-origin"), Some("https://a"));
    }
    assert_eq!(client_get(server.admin(), "/healthz").status(), 200);
}

fn client_get(address: std::net::SocketAddr, path: &str) -> Response {
    cachecompress_test::client::fetch(address, &Request::get(path)).unwrap()
}

#[test]
fn flood_of_wrong_passwords_is_bounded_and_leaves_others_served() {
    let (site, file) = guarded(&[("ann", "secret", 10)]);
    let server = with_users(&site, &file).start();
    let right = basic("ann:secret");
    let known = Request::get("/dir/").header("authorization", &right);
    assert_eq!(server.fetch(&known).status(), 200);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stopped = Stop(&stop);
        let floods: Vec<_> = (0..16)
            .map(|thread| {
                let (server, stop) = (&server, &stop);
                scope.spawn(move || {
                    let mut statuses = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let wrong = basic(&format!("ann:{thread}-{}", statuses.len()));
                        let request = Request::get("/dir/").header("authorization", &wrong);
                        let response = server.fetch(&request);
                        if response.status() == 503 {
                            assert_eq!(response.header("retry-after"), Some("1"));
                        }
                        statuses.push(response.status());
                    }
                    statuses
                })
            })
            .collect();
        for _ in 0..200 {
            assert_eq!(server.fetch(&known).status(), 200);
        }
        drop(stopped);
        let statuses: Vec<_> = floods.into_iter().flat_map(|flood| flood.join().unwrap()).collect();
        assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
        assert!(statuses.contains(&503), "one address has eight checks at once");
    });
}

#[cfg(unix)]
#[test]
fn reload_reads_the_users_and_a_wrong_file_leaves_them() {
    let (site, file) = guarded(&[("ann", "secret", 4)]);
    let server = with_users(&site, &file).args("--log-level info").start();
    let status = |text: &str| {
        server.fetch(&Request::get("/dir/").header("authorization", &basic(text))).status()
    };
    let reload = |told: &str| {
        let count = |server: &Server| server.stderr().matches(told).count();
        let before = count(&server);
        server.signal(rustix::process::Signal::HUP);
        eventually("the reload", || (count(&server) > before).then_some(()));
    };
    assert_eq!((status("ann:secret"), status("bob:secret")), (200, 401));
    fs::write(&file, "ann:hunter2\n").unwrap();
    reload("users:1: the password of `ann` is plain or in crypt");
    assert_eq!((status("ann:secret"), status("ann:hunter2")), (200, 401));
    write_users(&file, &[("bob", "secret", 4), ("ann", "new", 4)]);
    reload("reloaded the configuration");
    assert_eq!((status("bob:secret"), status("ann:new"), status("ann:secret")), (200, 200, 401));
    assert!(!server.stderr().contains("hunter2"));
}

#[cfg(unix)]
#[test]
fn file_that_everybody_may_read_is_warned_of_and_never_served() {
    use std::os::unix::fs::PermissionsExt as _;

    let (site, file) = guarded(&[("ann", "secret", 4)]);
    let start = |mode| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        with_users(&site, &file).start()
    };
    let sentence = format!("every user of this machine may read {} (--basic-auth)", file.display());
    let warned = |server: &Server| server.stderr().contains(&sentence);
    assert!(!warned(&start(0o640)), "a group is the operator's wish");
    let server = start(0o644);
    assert!(warned(&server), "{}", server.stderr());
    for path in ["/users", "/./users", "/%75sers", "/users/"] {
        let request = Request::get(path).header("authorization", &basic("ann:secret"));
        assert_eq!(server.fetch(&request).status(), 404, "{path}");
    }
}

#[test]
fn access_log_names_the_user() {
    let (site, file) = guarded(&[("a b", "secret", 4)]);
    let directory = tempfile::tempdir().unwrap();
    for format in ["combined", "json"] {
        let log = directory.path().join(format);
        let server = with_users(&site, &file).args(&format!("--access-log-format {format}"));
        let server = server.arg("--access-log").arg(&log).start();
        for text in ["a b:secret", "a b:wrong"] {
            let request = Request::get("/dir/").header("authorization", &basic(text));
            let _ = server.fetch(&request);
        }
        let text = eventually("two lines", || {
            fs::read_to_string(&log).ok().filter(|text| text.lines().count() == 2)
        });
        let lines: Vec<_> = text.lines().collect();
        let parts = match format {
            "json" => ["\"user\":\"a b\"", "\"user\":null"],
            _ => ["127.0.0.1 - a\\x20b [", "127.0.0.1 - - ["],
        };
        assert!(lines[0].contains(parts[0]) && lines[1].contains(parts[1]), "{text}");
    }
}

#[test]
fn refusal_has_the_page_and_the_header_rules_of_the_site() {
    let (site, file) = guarded(&[("ann", "secret", 4)]);
    site.write("denied.html", b"<h1>ask ann</h1>");
    let config = tempfile::tempdir().unwrap();
    let path = config.path().join("cachecompress.toml");
    let text = format!(
        "root = {:?}\nbasic-auth = {file:?}\n[error-pages]\n401 = \"/denied.html\"\n\
         [[headers]]\nfor = \"/**\"\nalways = true\nvalues = {{ x-ours = \"1\", cache-control = \
         \"public, max-age=9\" }}\n",
        site.path()
    );
    fs::write(&path, text).unwrap();
    let server = Launch::by_file(PROGRAM, &path).start();
    for protocol in Protocol::ALL {
        for range in [None, Some("bytes=0-1")] {
            let request = Request::get("/dir/").header("if-none-match", "*");
            let request = range.map_or(request.clone(), |range| request.range(range));
            let refused = server.fetch_over(protocol, &request);
            assert_eq!(refused.status(), 401);
            assert_eq!(refused.decoded(), b"<h1>ask ann</h1>");
            assert_eq!(refused.header("x-ours"), Some("1"));
            assert_eq!(refused.head.all("cache-control"), ["no-store"]);
            assert!(refused.header("www-authenticate").is_some());
        }
        let right = Request::get("/dir/").header("authorization", &basic("ann:secret"));
        let response = server.fetch_over(protocol, &right);
        assert_eq!(response.head.all("cache-control"), ["private, max-age=9"]);
    }
}

#[test]
fn wrong_file_ends_the_start_with_its_place() {
    let (site, file) = guarded(&[("ann", "secret", 4)]);
    let hash = bcrypt::hash("secret", 4).unwrap();
    for (text, code, part) in [
        (Some(String::new()), 2, ": it has no user"),
        (Some("\nann:{SHA}hunter2".to_owned()), 2, ":2: the password of `ann` is in SHA-1"),
        (Some(format!("ann:{hash}\nann:{hash}")), 2, ":2: the user `ann` stands here again"),
        (Some(format!("ann:{}", hash.replace("$04$", "$31$"))), 2, "the cost 31; 4 to 14"),
        (None, 1, "there is no such file"),
    ] {
        match &text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let mut command = command(PROGRAM.as_ref());
        let output = output(command.arg("serve").arg(site.path()).arg("--basic-auth").arg(&file));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains("--basic-auth") && stderr.contains(part), "{stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
}
