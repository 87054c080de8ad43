//! Several sites with a certificate each.

use std::io::Write as _;

use rustix::process::Signal;

use super::pki::*;
use crate::common::*;

/// A configuration of two sites with the certificates of these pairs.
fn write_config(path: &Path, pairs: [&Pair; 2]) {
    let [first, second] = pairs.map(|pair| {
        let [cert, key] = [&pair.cert, &pair.key].map(|path| path.display());
        format!("[sites.tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n")
    });
    let text = format!(
        "[[sites]]\nhosts = [\"a.test\"]\n{first}\n\
         [[sites]]\nhosts = [\"b.test\", \"*.b.test\"]\n{second}"
    );
    fs::write(path, text).unwrap();
}

#[test]
fn site_shows_its_own_certificate_and_answers_for_no_other() {
    let site = Site::with("app.js", b"page");
    let authority = Authority::new();
    let first = authority.issue("first", &["a.test", "unknown.test", "localhost"]);
    let second = authority.issue("second", &["b.test", "x.y.b.test"]);
    let third = authority.issue("third", &["b.test"]);
    // A key in the site is no file of it.
    let inside = site.file("inside.key");
    fs::copy(&second.key, &inside).unwrap();
    let second = Pair { key: inside, ..second };
    let file = authority.path().join("sites.toml");
    write_config(&file, [&first, &second]);
    let server = launch(&site).arg("--config").arg(&file).start();

    let config = authority.client(&[b"http/1.1"]);
    let connect = |name: &str| TlsClient::connect_as(name, server.address(), &config).unwrap();
    for (name, pair) in
        [("a.test", &first), ("unknown.test", &first), ("b.test", &second), ("x.y.b.test", &second)]
    {
        assert_eq!(connect(name).certificate(), pair.der(), "{name}");
    }
    for (name, host, target, status) in [
        ("a.test", "a.test", "/app.js", 200),
        ("a.test", "b.test", "/app.js", 421),
        ("b.test", "A.test:443", "/app.js", 421),
        ("b.test", "z.b.test", "/app.js", 200),
        ("b.test", "b.test", "/inside.key", 404),
    ] {
        let mut client = connect(name);
        let close = "Connection: close";
        write!(client.0, "GET {target} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n\r\n").unwrap();
        let (answer, _) = client.rest();
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(expected.as_bytes()), "{name} {host} {target}");
    }

    write_config(&file, [&first, &third]);
    server.signal(Signal::HUP);
    eventually("the other certificate", || {
        (connect("b.test").certificate() == third.der()).then_some(())
    });
    assert_eq!(connect("a.test").certificate(), first.der());
}
