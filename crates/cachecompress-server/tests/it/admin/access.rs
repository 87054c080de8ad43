//! The hosts, the methods, the token and the fields of the admin listener.

use super::*;

const PATHS: [&str; 6] =
    ["/", "/metrics", "/api/v1/status", "/api/v1/config", "/api/v1/openapi.json", "/missing"];

#[track_caller]
fn status_for(server: &Server, protocol: Protocol, path: &str, host: &str) -> u16 {
    let request = Request::get(path).to_host(host);
    let answer = match protocol {
        Protocol::Http1 => cachecompress_test::client::fetch(server.admin(), &request),
        Protocol::Http2 => cachecompress_test::http2::fetch(server.admin(), &request),
    };
    answer.unwrap().status()
}

/// A page whose name was made to lead here (DNS rebinding) reads nothing.
#[test]
fn unknown_host_is_misdirected_and_known_ones_are_answered() {
    let site = Site::with("a.txt", b"a");
    let server = launch(&site).args("--admin-host Admin.Example").start();
    for protocol in Protocol::ALL {
        for host in ["evil.example", "evil.example:80", "x.admin.example", "localhost.evil.example"]
        {
            for path in PATHS {
                let status = status_for(&server, protocol, path, host);
                assert_eq!(status, 421, "{protocol:?} {host} {path}");
            }
            for path in ["/healthz", "/readyz"] {
                let status = status_for(&server, protocol, path, host);
                assert_eq!(status, 200, "{protocol:?} {host} {path}");
            }
        }
        for host in [
            "127.0.0.1",
            "192.0.2.1:9",
            "[::1]",
            "[::1]:9",
            "localhost",
            "LOCALHOST.:9",
            "admin.example",
            "admin.example.:443",
        ] {
            let status = status_for(&server, protocol, "/api/v1/status", host);
            assert_eq!(status, 200, "{protocol:?} {host}");
        }
    }
    let refusal = ask(&server, &Request::get("/").to_host("evil.example:80"));
    let sentence = json(&refusal)["error"].to_string();
    assert!(
        sentence.contains("evil.example:80") && sentence.contains("--admin-host"),
        "{sentence}"
    );
}

#[test]
fn target_that_is_a_url_tells_the_host() {
    let site = Site::with("a.txt", b"a");
    let server = start(&site);
    let target = "http://evil.example/api/v1/status";
    assert_eq!(ask(&server, &Request::get(target)).status(), 421);
    let known = Request::get("http://localhost/api/v1/status").to_host("evil.example");
    assert_eq!(ask(&server, &known).status(), 200, "RFC 9112 §3.2.2");
}

#[test]
fn missing_host_is_a_bad_request_but_over_http10_and_for_health() {
    let site = Site::with("a.txt", b"a");
    let server = start(&site);
    let status = |request: Request| ask(&server, &request).status();
    assert_eq!(status(Request::get("/api/v1/status").without_host()), 400);
    assert_eq!(status(Request::get("/api/v1/status").header("host", "localhost")), 400, "two");
    assert_eq!(status(Request::get("/api/v1/status").http10().without_host()), 200);
    assert_eq!(status(Request::get("/healthz").without_host()), 200);
    assert_eq!(status(Request::get("/readyz").to_host("not a host")), 200);
}

#[test]
fn change_needs_the_token() {
    let site = Site::with("a.txt", b"a");
    let without = start(&site);
    let refusal = post(&without, "/api/v1/reload", TOKEN, "");
    assert_eq!(refusal.status(), 403);
    assert!(json(&refusal)["error"].as_str().unwrap().contains("--admin-token-file"));

    let secret = Secret::new();
    let server = with_token(&site, &secret).start();
    let status = |fields: &[(&str, &str)]| {
        let request = Request::new("POST", "/api/v1/reload");
        let request =
            fields.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = post_with(&server, &request, "");
        let challenge = answer.header("www-authenticate").unwrap_or_default().to_owned();
        assert_eq!(answer.status() == 401, challenge.starts_with("Bearer"), "{challenge}");
        answer.status()
    };
    let right = format!("Bearer {TOKEN}");
    for wrong in [
        "Bearer a-token-of-the-test",
        "Bearer a-token-of-the-testS",
        "Bearer A-TOKEN-OF-THE-TESTS",
        "Bearer ",
        "Bearer",
        TOKEN,
        "Basic YTphLXRva2VuLW9mLXRoZS10ZXN0cw==",
    ] {
        assert_eq!(status(&[("authorization", wrong)]), 401, "{wrong}");
    }
    assert_eq!(status(&[]), 401);
    assert_eq!(status(&[("cookie", &format!("token={TOKEN}"))]), 401);
    assert_eq!(status(&[("authorization", &right), ("authorization", &right)]), 401, "two");
    assert_eq!(status(&[("authorization", &right)]), 200);
    assert_eq!(status(&[("authorization", &format!("bEARER  {TOKEN}"))]), 200);
    assert_eq!(get(&server, "/api/v1/status")["configuration"]["generation"], 2);
}

#[test]
fn token_is_read_again_on_reload() {
    let secret = Secret::new();
    let site = Site::with("a.txt", b"a");
    let server = with_token(&site, &secret).start();
    let next = "another-token-of-the-tests";
    fs::write(secret.file(), next).unwrap();
    assert_eq!(post(&server, "/api/v1/reload", next, "").status(), 401, "not yet");
    assert_eq!(post(&server, "/api/v1/reload", TOKEN, "").status(), 200);
    assert_eq!(post(&server, "/api/v1/reload", TOKEN, "").status(), 401, "no more");
    fs::write(secret.file(), "short").unwrap();
    let refusal = post(&server, "/api/v1/reload", next, "");
    assert_eq!(refusal.status(), 422);
    let sentence = json(&refusal)["error"].to_string();
    assert!(sentence.contains("--admin-token-file") && !sentence.contains("short"), "{sentence}");
    assert_eq!(
        get(&server, "/api/v1/status")["configuration"]["last_error"],
        json(&refusal)["error"]
    );
    assert_eq!(post(&server, "/api/v1/warm", next, "").status(), 202, "the last good one counts");
}

#[test]
fn token_is_never_served() {
    let site = Site::with("a.txt", b"a");
    site.write("token", format!("{TOKEN}\n").as_bytes());
    let server = launch(&site).arg("--admin-token-file").arg(site.path().join("token")).start();
    assert_eq!(server.get("/token", "gzip").status(), 404);
    assert_eq!(post(&server, "/api/v1/reload", TOKEN, "").status(), 200);
    let settings = get(&server, "/api/v1/config").to_string();
    assert!(settings.contains("admin-token-file") && !settings.contains(TOKEN), "{settings}");
}

#[test]
fn unusable_token_ends_the_start() {
    let site = Site::with("a.txt", b"a");
    site.write("short", b"short");
    for (file, code, reason) in
        [("missing", 1, "there is no such file"), ("short", 2, "16 to 1024 characters")]
    {
        let mut serve = cachecompress_test::server::command(Path::new(PROGRAM));
        serve.arg("serve").arg(site.path()).args(["--listen", "127.0.0.1:0", "--cache-size", "0"]);
        serve.arg("--admin-token-file").arg(site.path().join(file));
        let output = cachecompress_test::server::output(&mut serve);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains("--admin-token-file") && stderr.contains(reason), "{stderr}");
    }
}

/// A page of another origin may send a simple request and read nothing. For anything else the browser
/// asks first, and gets no permission.
#[test]
fn page_of_another_origin_gets_no_permission() {
    let secret = Secret::new();
    let site = Site::with("a.txt", b"a");
    let server = with_token(&site, &secret).start();
    let preflight = Request::new("OPTIONS", "/api/v1/reload")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization");
    let simple = Request::new("POST", "/api/v1/reload")
        .header("origin", "https://evil.example")
        .header("content-type", "text/plain");
    let look = Request::get("/api/v1/status").header("origin", "https://evil.example");
    for (answer, status) in [
        (ask(&server, &preflight), 405),
        (post_with(&server, &simple, "{}"), 401),
        (ask(&server, &look), 200),
    ] {
        assert_eq!(answer.status(), status, "{answer:?}");
        let permissions =
            answer.head.headers.iter().filter(|(name, _)| name.starts_with("access-control"));
        assert_eq!(permissions.count(), 0, "{answer:?}");
    }
    assert_eq!(get(&server, "/api/v1/status")["configuration"]["generation"], 0);
}

#[test]
fn responses_are_neither_stored_nor_framed_nor_guessed_at() {
    let secret = Secret::new();
    let site = Site::with("a.txt", b"a");
    let server = with_token(&site, &secret).start();
    let looks = PATHS.iter().chain(&["/healthz", "/readyz"]).map(|path| Request::get(path));
    let others = [
        Request::get("/").to_host("evil.example"),
        Request::new("DELETE", "/api/v1/status"),
        Request::new("POST", "/api/v1/warm").header("content-length", "0"),
        Request::head("/"),
    ];
    for request in looks.chain(others) {
        let mut connection = Connection::open(server.admin()).unwrap();
        connection.send(&request).unwrap();
        let answer = connection.receive(&request.method).unwrap();
        let field = |name| answer.header(name).unwrap_or_default().to_owned();
        assert_eq!(field("cache-control"), "no-store", "{request:?}");
        assert_eq!(field("x-content-type-options"), "nosniff", "{request:?}");
        assert_eq!(field("cross-origin-resource-policy"), "same-origin", "{request:?}");
        let policy = field("content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{request:?} {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{request:?} {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{request:?} {policy}");
    }
}

#[test]
fn other_methods_are_told_the_ones_that_there_are() {
    let site = Site::with("a.txt", b"a");
    let server = start(&site);
    for (method, path, allowed) in [
        ("POST", "/api/v1/status", "GET, HEAD"),
        ("PUT", "/healthz", "GET, HEAD"),
        ("GET", "/api/v1/reload", "POST"),
        ("OPTIONS", "/api/v1/warm", "POST"),
    ] {
        let answer = ask(&server, &Request::new(method, path).header("content-length", "0"));
        assert_eq!(
            (answer.status(), answer.header("allow")),
            (405, Some(allowed)),
            "{method} {path}"
        );
    }
}
