//! Several sites by host, over sockets, and files that none of them serves.

#![cfg(unix)]

use std::os::unix::fs::symlink;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::common::*;

const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A directory with the roots `one`, `two` and `three`, each with a page of its own, and a file
/// that makes them sites.
fn sites() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for root in ["one", "two", "three"] {
        fs::create_dir(dir.path().join(root)).unwrap();
        fs::write(dir.path().join(root).join("index.html"), page(root)).unwrap();
        fs::write(dir.path().join(root).join("same.js"), page("the same")).unwrap();
    }
    configure(
        &dir,
        "[[sites]]\nhosts = [\"one.example\"]\nroot = \"one\"\n\
         [[sites]]\nhosts = [\"two.example\", \"*.two.example\"]\nroot = \"two\"\n\
         cache-control = \"max-age=2\"\n\
         [[sites]]\nhosts = [\"three.two.example\"]\nroot = \"three\"\nspa = true\n",
    );
    dir
}

fn page(text: &str) -> Vec<u8> {
    format!("<p>{text}\n").repeat(300).into_bytes()
}

fn configure(dir: &TempDir, text: &str) {
    fs::write(dir.path().join("c.toml"), text).unwrap();
}

fn start(dir: &TempDir) -> Server {
    let file = dir.path().join("c.toml");
    Launch::by_file(PROGRAM, &file).args(PATIENT).args("--log-level info").start()
}

fn reload(server: &Server) {
    let told = || server.stderr().matches("reloaded the configuration").count();
    let before = told();
    server.signal(Signal::HUP);
    eventually("the reload", || (told() > before).then_some(()));
}

/// Asks for a host, once cold and once warm, by GET and by HEAD.
#[track_caller]
fn assert_site(server: &Server, host: &str, root: &str) {
    for protocol in BOTH {
        for coding in ["gzip", "identity"] {
            for _ in 0..2 {
                let get = Request::get("/").to_host(host).accept(coding);
                let answer = server.fetch_over(protocol, &get);
                assert!(answer.decoded() == page(root), "{host:?} is {root}: {answer:?}");
                let head = server.fetch_over(protocol, &get.method("HEAD"));
                assert_eq!((head.status(), head.etag()), (200, answer.etag()), "{host:?}");
            }
        }
    }
}

#[test]
fn host_chooses_the_site() {
    let dir = sites();
    let server = start(&dir);
    for (host, root) in [
        ("one.example", "one"),
        ("two.example", "two"),
        ("TWO.example:8443", "two"),
        ("two.example.", "two"),
        ("a.b.two.example", "two"),
        ("three.two.example", "three"),
        ("x.three.two.example", "two"),
        ("one.example.two", "one"),
        ("127.0.0.1", "one"),
        ("[::1]:80", "one"),
    ] {
        assert_site(&server, host, root);
    }
    let old = server.fetch(&Request::get("/").http10().without_host());
    assert!(old.decoded() == page("one"));
    let old = server.fetch(&Request::get("/").http10().to_host("two.example"));
    assert!(old.decoded() == page("two"));
    // RFC 9112 \u{a7}3.2.2: the URL goes before Host.
    let url = server.fetch(&Request::get("http://two.example/").to_host("one.example"));
    assert!(url.decoded() == page("two"));
}

#[test]
fn site_has_rules_of_its_own_and_the_cache_of_all() {
    let dir = sites();
    let server = start(&dir);
    for (host, cache_control, unknown) in [
        ("one.example", "no-cache", 404),
        ("two.example", "max-age=2", 404),
        ("three.two.example", "no-cache", 200),
    ] {
        let get =
            |target| Request::get(target).to_host(host).accept("br").header("accept", "text/html");
        let answer = server.fetch(&get("/same.js"));
        assert_eq!(answer.header("cache-control"), Some(cache_control));
        assert_is(&answer, &page("the same"), "br");
        assert_eq!(server.fetch(&get("/none")).status(), unknown, "{host}");
        server.until_idle();
    }
    // Two pages are encoded: that of the three sites, and the index of the third.
    assert_eq!(server.encodes(), 2);
}

/// A kept connection is no way to see the sites of before.
#[test]
fn reload_changes_the_sites_of_connections_that_there_are() {
    let dir = sites();
    let server = start(&dir);
    let mut kept = Connection::open(server.address()).unwrap();
    let mut ask = |host: &str| {
        kept.send(&Request::get("/").to_host(host).accept("identity")).unwrap();
        kept.receive("GET").unwrap()
    };
    assert!(ask("two.example").body == page("two"));
    // The last one is the site of the same number as the only one after the reload.
    assert!(ask("one.example").body == page("one"));
    configure(&dir, "root = \"three\"\ncache-control = \"max-age=3\"\n");
    reload(&server);
    for host in ["one.example", "two.example", "127.0.0.1"] {
        let answer = ask(host);
        assert!(answer.body == page("three"), "{host}");
        assert_eq!(answer.header("cache-control"), Some("max-age=3"));
    }
}

/// Each connection kept the sites of its beginning, with their open roots, for as long as it lived.
#[cfg(target_os = "linux")]
#[test]
fn connections_that_go_on_keep_no_earlier_sites() {
    const ROUNDS: usize = 12;
    let dir = sites();
    let server = start(&dir);
    let mut kept = Vec::new();
    let ask = |connection: &mut Connection| {
        connection.send(&Request::get("/").to_host("two.example")).unwrap();
        assert!(connection.receive("GET").unwrap().body == page("two"));
    };
    let mut before = 0;
    for round in 0..ROUNDS {
        let mut connection = Connection::open(server.address()).unwrap();
        ask(&mut connection);
        kept.push(connection);
        if round == 1 {
            before = server.descriptors();
        }
        reload(&server);
    }
    // The sites of a few reloads may still be on their way out.
    let most = before + (ROUNDS - 2) + 6;
    eventually("the sites of before to go", || {
        kept.iter_mut().for_each(ask);
        (server.descriptors() <= most).then_some(())
    });
}

/// A preflight over HTTP/2 was answered by the rules of the first site.
#[test]
fn replies_of_the_program_have_the_rules_of_the_site() {
    let dir = sites();
    let file = fs::read_to_string(dir.path().join("c.toml")).unwrap();
    configure(
        &dir,
        &file.replace("root = \"two\"\n", "root = \"two\"\ncors = [\"https://a.example\"]\n"),
    );
    let server = start(&dir);
    for protocol in BOTH {
        for (host, allowed) in
            [("one.example", None), ("www.two.example", Some("https://a.example"))]
        {
            let preflight = Request::new("OPTIONS", "/same.js")
                .to_host(host)
                .header("origin", "https://a.example")
                .header("access-control-request-method", "GET");
            let answer = server.fetch_over(protocol, &preflight);
            assert_eq!(answer.status(), 204);
            let origin = answer.header("access-control-allow-origin");
            assert_eq!(origin, allowed, "{host} over {protocol:?}");
            // A response to any other OPTIONS has the origin, too.
            let methods = answer.header("access-control-allow-methods");
            assert_eq!(methods.is_some(), allowed.is_some(), "{host} over {protocol:?}");
        }
    }
}

/// Answers of a mixture of two configurations.
#[test]
fn answers_during_reloads_are_of_one_configuration() {
    let dir = sites();
    let of = |root: &str| {
        format!(
            "[[sites]]\nhosts = [\"a.example\"]\nroot = \"one\"\n\
             [[sites]]\nhosts = [\"b.example\"]\nroot = \"{root}\"\ncache-control = \"private, x-{root}\"\n"
        )
    };
    configure(&dir, &of("two"));
    let server = start(&dir);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..2)
            .map(|asker| {
                let (server, is_over) = (&server, &is_over);
                scope.spawn(move || {
                    let coding = ["identity", "gzip"][asker];
                    let mut kept = Connection::open(server.address()).unwrap();
                    let mut seen = std::collections::BTreeSet::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let request = Request::get("/").to_host("b.example").accept(coding);
                        kept.send(&request).unwrap();
                        let answer = kept.receive("GET").unwrap();
                        let rule = answer.header("cache-control").unwrap().to_owned();
                        let root = rule.strip_prefix("private, x-").unwrap();
                        assert!(answer.is_clean() && answer.decoded() == page(root), "{rule}");
                        seen.insert(rule);
                    }
                    seen.len()
                })
            })
            .collect();
        for round in 0..20 {
            configure(&dir, &of(["three", "two"][round % 2]));
            reload(&server);
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(askers.into_iter().all(|asker| asker.join().unwrap() == 2), "both were seen");
    });
}

#[test]
fn root_that_cannot_be_read_is_named_with_its_site() {
    let dir = sites();
    fs::remove_dir_all(dir.path().join("two")).unwrap();
    let mut command = cachecompress_test::server::command(Path::new(PROGRAM));
    command.args(["serve", "--listen", "127.0.0.1:0", "--cache-size", "0", "--config", "c.toml"]);
    let output = cachecompress_test::server::output(command.current_dir(dir.path()));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("two, the `root` of the site of two.example: there is no"), "{stderr}");
}

#[test]
fn configuration_is_served_by_no_site_and_under_no_name() {
    let dir = sites();
    let file = dir.path().join("c.toml");
    let root = |name: &str| dir.path().join(name);
    symlink(&file, root("one/link.toml")).unwrap();
    fs::hard_link(&file, root("two/hard.toml")).unwrap();
    symlink("..", root("three/up")).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    configure(&dir, &format!("symlinks = \"follow\"\n{text}"));
    let server = start(&dir);
    let names = [
        ("one.example", "/link.toml"),
        ("two.example", "/hard.toml"),
        ("three.two.example", "/up/c.toml"),
        ("three.two.example", "/up/one/link.toml"),
        ("three.two.example", "/up/one/../c.toml"),
    ];
    let assert_hidden = || {
        for (host, name) in names {
            for protocol in BOTH {
                let request = Request::get(name).to_host(host).accept("gzip");
                let answer = server.fetch_over(protocol, &request);
                assert_eq!(answer.status(), 404, "{name}");
                let plain = server.fetch_over(protocol, &request.method("HEAD"));
                assert_eq!(plain.status(), 404, "{name}");
            }
        }
    };
    assert_hidden();
    let page = Request::get("/up/one/index.html").to_host("three.two.example");
    assert_eq!(server.fetch(&page).status(), 200, "the other files are there");
    // As an editor saves it.
    fs::write(root("next"), fs::read(&file).unwrap()).unwrap();
    fs::rename(root("next"), &file).unwrap();
    fs::remove_file(root("two/hard.toml")).unwrap();
    fs::hard_link(&file, root("two/hard.toml")).unwrap();
    assert_hidden();
    reload(&server);
    assert_hidden();
}

/// The cache's files would be served, and compressed in turn.
#[test]
fn cache_in_the_root_of_a_second_site_is_hidden() {
    let dir = sites();
    let cache = dir.path().join("two/cache");
    let file = dir.path().join("c.toml");
    let server = Launch::by_file(PROGRAM, &file).args(PATIENT).cache(&cache).start();
    assert_site(&server, "two.example", "two");
    server.until_idle();
    assert!(cache.join("CACHEDIR.TAG").exists());
    let tag = Request::get("/cache/CACHEDIR.TAG").to_host("two.example");
    assert_eq!(server.fetch(&tag).status(), 404);
}
