//! Downloads that cannot be had: one sentence each.

use super::stage::*;
use crate::common::*;
use crate::tls::pki::Authority;

#[test]
fn each_failure_is_one_sentence() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let server = start(&Site::with("tool", b"content"));
    let nowhere = format!("http://{}/nowhere", server.address());
    let odd = Origin::start(|_| response("200 OK", &[("content-encoding", "compress")], b"x"));
    let unknown = Origin::start(|_| response("204 No Content", &[], b""));
    for (url, sentence) in [
        (
            "http://nowhere.invalid/tool",
            "cannot find the host nowhere.invalid: Name or service not known".to_owned(),
        ),
        (&url_of(closed), format!("cannot connect to {closed}: connection refused")),
        (&nowhere, format!("{nowhere}: the server answers 404 Not Found")),
        (&odd.url(), "the server sends the coding compress, unasked".to_owned()),
        (&unknown.url(), format!("{}: the server answers 204 No Content", unknown.url())),
    ] {
        let stage = Stage::with(b"old");
        let run = stage.get(url, &["--retries", "0"]);
        run.assert_fails(1, &[]);
        assert_eq!(run.stderr, format!("cachecompress: {sentence}\n"));
        assert_eq!((stage.content(), stage.names()), (b"old".to_vec(), vec!["tool".to_owned()]));
    }
}

#[test]
fn wrong_usage_is_told_before_anything_is_asked() {
    let stage = Stage::new();
    fs::create_dir(stage.path().join("directory")).unwrap();
    for (words, part) in [
        (&["get", "http://127.0.0.1:1/a", "-o", "-"][..], "get writes no stdout"),
        (&["get", "http://127.0.0.1:1/a", "-o", "directory"], "directory is no regular file"),
        (&["get", "http://127.0.0.1:1/a", "-o", "/dev/null"], "/dev/null is no regular file"),
        (&["get", "http://127.0.0.1:1/a"], "--output <FILE>"),
        (&["get", "file:///etc/passwd", "-o", "a"], "write a URL with http or https"),
        (&["get", "tool", "-o", "a"], "write a URL with http or https"),
        (&["get", "http://127.0.0.1:1/a", "-o", "a", "--cacert", "none.pem"], "none.pem"),
    ] {
        let mut get = cachecompress_test::server::command(Path::new(PROGRAM));
        let run = Run::of(get.args(words).current_dir(stage.path()));
        run.assert(2, &[part]);
        assert_eq!(stage.names(), ["directory"]);
    }
}

#[cfg(unix)]
#[test]
fn directory_that_cannot_be_written_is_named() {
    let stage = Stage::new();
    let missing = stage.path().join("no/where");
    fs::create_dir(stage.path().join("no")).unwrap();
    fs::remove_dir(stage.path().join("no")).unwrap();
    let mut get = cachecompress_test::server::command(Path::new(PROGRAM));
    let run = Run::of(get.args(["get", "http://127.0.0.1:1/a", "-o"]).arg(&missing));
    let shown = missing.display();
    run.assert_fails(1, &[&format!("cannot write beside {shown}: No such file or directory")]);
}

#[test]
fn https_is_trusted_by_the_authority_of_cacert_alone() {
    let authority = Authority::new();
    let pair = authority.issue("site", &["localhost"]);
    let bytes = site::text(1, 50_000);
    let site = Site::with("tool", &bytes);
    let tls = format!("--tls-cert {} --tls-key {}", pair.cert.display(), pair.key.display());
    let server = start_with(&site, &tls);
    let port = server.address().port();
    let url = format!("https://localhost:{port}/tool");
    let stage = Stage::new();
    stage.get(&url, &[]).assert_fails(1, &["cannot trust localhost", "--cacert FILE"]);
    let ca = authority.ca();
    let cacert = ["--cacert", ca.to_str().unwrap()];
    stage.get(&url, &cacert).assert(0, &["created tool"]);
    assert!(stage.content() == bytes);
    // The certificate is that of another name.
    let other = format!("https://127.0.0.1:{port}/tool");
    stage.get(&other, &cacert).assert_fails(1, &["cannot trust 127.0.0.1"]);
    // Plain HTTP where TLS is expected.
    let plain = start(&site);
    let url = format!("https://localhost:{}/tool", plain.address().port());
    stage.get(&url, &["--retries", "0"]).assert_fails(1, &["localhost"]);
}

#[test]
fn redirect_from_https_to_http_is_refused() {
    let authority = Authority::new();
    let pair = authority.issue("site", &["localhost"]);
    let site = Site::with("_redirects", b"/tool http://127.0.0.1:1/tool 302\n");
    let tls = format!("--tls-cert {} --tls-key {}", pair.cert.display(), pair.key.display());
    let server = start_with(&site, &tls);
    let url = format!("https://localhost:{}/tool", server.address().port());
    let stage = Stage::new();
    let ca = authority.ca();
    let run = stage.get(&url, &["--cacert", ca.to_str().unwrap()]);
    run.assert_fails(1, &["is redirected from https to http"]);
}
