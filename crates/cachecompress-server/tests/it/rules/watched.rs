//! The files of rules are read again when they change.

use crate::common::*;

/// Files are looked at often, so that a change is seen soon.
const SOON: &str = "--revalidate 200ms";

/// Waits until `/a` leads to `location`, or nowhere.
#[track_caller]
fn until(server: &Server, location: Option<&str>) {
    eventually(&format!("/a leads to {location:?}"), || {
        let response = server.get("/a", "");
        (response.header("location") == location).then_some(())
    });
}

#[test]
fn changed_rules_are_in_force_without_a_signal() {
    let site = Site::with("_redirects", b"/a /one\n");
    site.write("page.html", &site::text(1, 3000));
    let server = start_with(&site, SOON);
    until(&server, Some("/one"));
    let page = server.until_hit(&Request::get("/page.html").accept("br"));
    let mut held = Connection::open(server.address()).unwrap();
    held.send(&Request::get("/a")).unwrap();
    assert_eq!(held.receive("GET").unwrap().header("location"), Some("/one"));

    site.write("_redirects", b"/a /two\n/b /page.html 200\n");
    until(&server, Some("/two"));
    let rewritten = server.get("/b", "br");
    assert_eq!((rewritten.etag(), rewritten.is_hit()), (page.etag(), true), "one cache for both");
    held.send(&Request::get("/a")).unwrap();
    assert_eq!(held.receive("GET").unwrap().header("location"), Some("/two"), "on its connection");

    fs::remove_file(site.file("_redirects")).unwrap();
    until(&server, None);
    site.write("_redirects", b"/a /three\n/c /d Country=de\n");
    until(&server, Some("/three"));
    site.write("_headers", b"/*\n  X-From: the file\n");
    eventually("the header rule is in force", || {
        let response = server.get("/page.html", "br");
        (response.header("x-from") == Some("the file")).then_some(())
    });
    assert!(server.stderr().contains("_redirects:2: skipped: \"Country=de\""));
    assert_eq!(server.encodes(), 1, "nothing is encoded again");
}

#[test]
fn wrong_rules_leave_the_last_good_ones_in_force_and_are_told_once() {
    let site = Site::with("_redirects", b"/a /one\n");
    let server = start_with(&site, SOON);
    until(&server, Some("/one"));
    for (wrong, sentence) in [
        (&b"/a /two\n/b\n"[..], "_redirects:2: there is no target behind \"/b\""),
        (b"/a /two\n/two /a\n", "redirects lead in a ring: _redirects:1: "),
        (b"/a /\xff\n", "_redirects is no UTF-8"),
    ] {
        site.write("_redirects", wrong);
        eventually("the wrong file is told", || server.stderr().contains(sentence).then_some(()));
        assert_eq!(server.get("/a", "").header("location"), Some("/one"));
    }
    site.write("_redirects", b"/a /good\n");
    until(&server, Some("/good"));
    let stderr = server.stderr();
    let told = stderr.matches("the rules of before stay in force").count();
    assert_eq!(told, 3, "{stderr}");
}

#[test]
fn reload_keeps_the_last_good_rules_of_a_site_and_changes_all_else() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let configure = |more: &str, second: &str| {
        let first = format!("[[sites]]\nhosts = [\"one.example\"]\nroot = \"one\"\n{more}");
        let second = format!("[[sites]]\nhosts = [\"{second}\"]\nroot = \"two\"\n");
        write("c.toml", &format!("revalidate = \"1h\"\n{first}{second}"));
    };
    for root in ["one", "two"] {
        fs::create_dir(dir.path().join(root)).unwrap();
        write(&format!("{root}/_redirects"), &format!("/a /{root}\n"));
    }
    configure("", "two.example");
    let server =
        Launch::by_file(PROGRAM, &dir.path().join("c.toml")).args("--log-level info").start();
    let leads_to = |host: &str| {
        let answer = server.fetch(&Request::get("/a").to_host(host));
        answer.header("location").map(str::to_owned)
    };
    let reload = |sentence: &str| {
        let told = || server.stderr().matches(sentence).count();
        let before = told();
        server.signal(rustix::process::Signal::HUP);
        eventually(sentence, || (told() > before).then_some(()));
    };
    let sentence = "the site of one.example: _redirects:2: there is no target behind";
    for (wrong, sentence) in
        [(&b"/a /b\n/b\n"[..], sentence), (b"/\xff /b\n", "_redirects is no UTF-8")]
    {
        fs::write(dir.path().join("one/_redirects"), wrong).unwrap();
        write("two/_redirects", "/a /new\n");
        configure("", "new.example");
        reload("reloaded the configuration");
        assert_eq!(leads_to("one.example").as_deref(), Some("/one"));
        assert_eq!(leads_to("new.example").as_deref(), Some("/new"), "{}", server.stderr());
        assert_eq!(server.stderr().matches(sentence).count(), 1, "{}", server.stderr());
    }
    assert_eq!(server.stderr().matches("the rules of before stay in force").count(), 2);
    // A mistake that is not in the files is one of the configuration.
    configure("[[sites.redirects]]\nfrom = \"/c\"\nto = \"/c\"\n", "third.example");
    reload("nothing has changed");
    assert_eq!(leads_to("new.example").as_deref(), Some("/new"));
    configure("", "new.example");
    write("one/_redirects", "/a /good\n");
    reload("reloaded the configuration");
    assert_eq!(leads_to("one.example").as_deref(), Some("/good"));
    // A start has no rules of before.
    write("one/_redirects", "/a\n");
    let mut serve = cachecompress_test::server::command(Path::new(PROGRAM));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--cache-size", "0", "--config"]);
    let output = cachecompress_test::server::output(serve.arg(dir.path().join("c.toml")));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the site of one.example: _redirects:1: "), "{said}");
    assert_eq!(output.status.code(), Some(2), "{said}");
}

#[test]
fn rules_follow_a_root_that_is_replaced() {
    let site = Site::new();
    site.write("one/_redirects", b"/a /one\n");
    site.write("two/_redirects", b"/a /two\n");
    let link = |to: &str| {
        let (new, current) = (site.file("new"), site.file("current"));
        std::os::unix::fs::symlink(site.file(to), &new).unwrap();
        fs::rename(new, current).unwrap();
    };
    link("one");
    let server = Launch::new(PROGRAM, &site.file("current")).args(SOON).start();
    until(&server, Some("/one"));
    link("two");
    until(&server, Some("/two"));
    fs::remove_dir_all(site.file("two")).unwrap();
    site.write("built/_redirects", b"/a /built\n");
    fs::rename(site.file("built"), site.file("two")).unwrap();
    until(&server, Some("/built"));
    assert!(!server.stderr().contains("ERROR"), "{}", server.stderr());
}
