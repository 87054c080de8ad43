//! `--cors`: preflights and the fields of all other responses.

use cachecompress_test::server::{command, output};

use crate::common::*;

const APP: &str = "https://app.example.com";

fn site() -> Site {
    let site = Site::with("app.js", &site::text(1, 20_000));
    site.write("dir/index.html", &site::text(2, 900));
    site
}

fn from(request: Request, origin: &str) -> Request {
    if origin.is_empty() { request } else { request.header("origin", origin) }
}

fn vary(response: &Response) -> String {
    response.head.all("vary").join(", ")
}

#[test]
fn responses_of_every_status_say_who_may_read_them() {
    let site = site();
    let server = start_with(&site, &format!("--cors {APP} --cors http://localhost:3000"));
    let tag = server.until_hit(&Request::get("/app.js").accept("gzip")).etag().to_owned();
    let gzip = || Request::get("/app.js").accept("gzip");
    for (request, status) in [
        (gzip(), 200),
        (gzip().method("HEAD"), 200),
        (gzip().header("if-none-match", &tag), 304),
        (gzip().range("bytes=0-9"), 206),
        (gzip().range("bytes=99999-"), 416),
        (gzip().header("if-match", "\"x\""), 412),
        (Request::get("/dir"), 301),
        (Request::get("/none"), 404),
        (Request::get("/%zz"), 400),
        (Request::new("POST", "/app.js"), 405),
        (Request::new("OPTIONS", "/app.js"), 204),
    ] {
        for protocol in Protocol::ALL {
            for (origin, allowed) in [
                (APP, Some(APP)),
                ("http://localhost:3000", Some("http://localhost:3000")),
                ("https://app.example.com.evil", None),
                ("null", None),
                ("", None),
            ] {
                // The second response is a copy of the first, which another origin may have had.
                let response = server.fetch_over(protocol, &from(request.clone(), origin));
                assert_eq!(response.status(), status);
                let told = response.header("access-control-allow-origin");
                assert_eq!(told, allowed, "{status} for {origin}, {protocol:?}");
                assert_eq!(
                    response.head.all("access-control-allow-origin").len(),
                    usize::from(allowed.is_some())
                );
                let exposed = response.header("access-control-expose-headers");
                assert_eq!(exposed.is_some(), allowed.is_some());
                assert!(vary(&response).ends_with("Origin"), "{status}: {}", vary(&response));
            }
        }
    }
}

#[test]
fn responses_for_all_origins_do_not_vary_by_it() {
    let site = site();
    let server = start_with(&site, "--cors *");
    for origin in ["", APP] {
        let response = server.fetch(&from(Request::get("/app.js").accept("gzip"), origin));
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert_eq!(vary(&response), "Accept-Encoding");
        let exposed = response.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("Content-Range") && exposed.contains("ETag"), "{exposed}");
    }
    // A request that no site sees.
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send_raw(b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").unwrap();
    let refused = connection.receive("GET").unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn preflight_tells_methods_and_fields_to_allowed_origins() {
    let site = site();
    let server = start_with(&site, &format!("--cors {APP}"));
    let preflight = |origin: &str| {
        Request::new("OPTIONS", "/none")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "range,x-token")
    };
    for protocol in Protocol::ALL {
        let response = server.fetch_over(protocol, &preflight(APP));
        assert_eq!((response.status(), response.body.len()), (204, 0));
        let fields = "if-match, if-modified-since, if-none-match, if-range, if-unmodified-since, \
                      range, x-token";
        for (name, expected) in [
            ("access-control-allow-origin", Some(APP)),
            ("access-control-allow-methods", Some("GET, HEAD, OPTIONS")),
            ("access-control-allow-headers", Some(fields)),
            ("access-control-max-age", Some("7200")),
            ("allow", None),
        ] {
            assert_eq!(response.header(name), expected, "{name}");
        }
        assert_eq!(vary(&response), "Origin");
        let response = server.fetch_over(protocol, &preflight("https://other.example"));
        assert_eq!(response.status(), 204);
        assert!(
            !response
                .head
                .headers
                .iter()
                .any(|(name, _)| { name.to_ascii_lowercase().starts_with("access-control") })
        );
        assert_eq!(vary(&response), "Origin");
    }
    // Without the flag, OPTIONS is the site's.
    let plain = start(&site);
    assert_eq!(plain.fetch(&preflight(APP)).header("allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(plain.get("/app.js", "gzip").header("access-control-allow-origin"), None);
}

#[test]
fn malformed_origin_ends_the_start_with_a_sentence() {
    let site = site();
    for (origin, part) in [
        ("https://app.example.com/", "without a slash"),
        ("app.example.com", "https://app.example.com"),
        ("https://*.example.com", "no wildcards"),
    ] {
        let mut command = command(PROGRAM.as_ref());
        let output = output(command.arg("serve").arg(site.path()).arg("--cors").arg(origin));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("--cors") && stderr.contains(part), "{stderr}");
    }
}
