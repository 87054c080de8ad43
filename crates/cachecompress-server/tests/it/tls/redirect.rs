//! `--redirect-from`: plain HTTP is sent to HTTPS.

use cachecompress_test::{client, http2};

use super::pki::*;
use crate::common::*;

fn fetch(server: &Server, protocol: Protocol, request: &Request) -> Response {
    match protocol {
        Protocol::Http1 => client::fetch(server.redirect(), request),
        Protocol::Http2 => http2::fetch(server.redirect(), request),
    }
    .unwrap()
}

fn start_redirecting(site: &Site, authority: &Authority, arguments: &str) -> Server {
    let pair = authority.issue("site", &["localhost"]);
    launch_tls(site, &pair).args("--redirect-from 127.0.0.1:0").args(arguments).start()
}

#[test]
fn plain_requests_are_sent_to_the_same_place_over_https() {
    let site = Site::with("app.js", b"page");
    let authority = Authority::new();
    let server = start_redirecting(&site, &authority, "");
    let expected = format!("https://{}/a//b%20c?x=1&y", server.address());
    for protocol in Protocol::ALL {
        for (method, status) in [("GET", 301), ("HEAD", 301), ("POST", 308), ("OPTIONS", 308)] {
            let answer = fetch(&server, protocol, &Request::new(method, "/a//b%20c?x=1&y"));
            assert_eq!(answer.status(), status, "{method} {protocol:?}");
            assert_eq!(answer.header("location"), Some(&*expected), "{method} {protocol:?}");
            assert!(answer.is_clean() && answer.body.is_empty());
        }
    }
    let mut bad = Request::get("/").header("host", "a b");
    bad.host = false;
    assert_eq!(fetch(&server, Protocol::Http1, &bad).status(), 400);
    let mut none = Request::get("/");
    none.host = false;
    assert_eq!(fetch(&server, Protocol::Http1, &none).status(), 400);
    let other = Request::get("/x").header("host", "Other.test:80");
    let other = Request { host: false, ..other };
    let location = format!("https://Other.test:{}/x", server.address().port());
    let answer = fetch(&server, Protocol::Http1, &other);
    assert_eq!(answer.header("location"), Some(&*location));
}

#[test]
fn proofs_for_authorities_are_served_without_tls() {
    let site = Site::with(".well-known/acme-challenge/tok_-en", b"tok.thumb");
    let authority = Authority::new();
    let log = authority.path().join("log");
    let server = start_redirecting(&site, &authority, &format!("--access-log {}", log.display()));
    let get = |path: &str| fetch(&server, Protocol::Http1, &Request::get(path));
    let proof = get("/.well-known/acme-challenge/tok_-en");
    assert_eq!((proof.status(), &proof.body[..]), (200, &b"tok.thumb"[..]));
    assert_eq!(get("/.well-known/acme-challenge/other").status(), 404);
    assert_eq!(get("/.well-known/acme-challenge/../app.js").status(), 301);
    assert_eq!(get("/app.js").status(), 301);
    let lines = eventually("four lines", || {
        fs::read_to_string(&log).ok().filter(|text| text.lines().count() == 4)
    });
    assert!(lines.contains("\"GET /app.js HTTP/1.1\" 301 "), "{lines}");
}

#[test]
fn proofs_for_authorities_need_no_password_and_nothing_stands_in_for_them() {
    let site = Site::with(".well-known/acme-challenge/tok_-en", b"tok.thumb");
    site.write("index.html", b"secret");
    site.write("_redirects", b"/.well-known/acme-challenge/rewritten /index.html 200!");
    let authority = Authority::new();
    let users = authority.path().join("users");
    fs::write(&users, format!("ann:{}\n", bcrypt::hash("secret", 4).unwrap())).unwrap();
    let flags = format!("--spa --basic-auth {}", users.display());
    let server = start_redirecting(&site, &authority, &flags);
    for protocol in Protocol::ALL {
        let get = |path: &str| fetch(&server, protocol, &Request::get(path));
        let proof = get("/.well-known/acme-challenge/tok_-en");
        assert_eq!((proof.status(), &proof.body[..]), (200, &b"tok.thumb"[..]));
        for path in ["other", "rewritten"] {
            let answer = get(&format!("/.well-known/acme-challenge/{path}"));
            assert_eq!(answer.status(), 404, "{path}");
            assert!(!answer.body.windows(6).any(|window| window == b"secret"));
        }
        assert_eq!(get("/index.html").status(), 301);
        let connect = fetch(&server, Protocol::Http1, &Request::new("OPTIONS", "*"));
        assert_eq!(connect.status(), 204);
    }
}
