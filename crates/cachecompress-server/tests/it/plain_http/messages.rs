//! Methods, HEAD, HTTP/1.0, pipelining, targets and Host.

use crate::common::*;

fn site_of_all_kinds() -> (Site, Vec<u8>) {
    let source = site::text(1, 120_000);
    let site = Site::with("app.js", &source);
    site.write("index.html", &site::text(2, 4000));
    site.write("tiny.txt", b"tiny");
    site.write("empty.txt", b"");
    site.write("photo.png", &site::random(1, 70_000));
    site.write("large.bin", &site::random(2, 3_000_000));
    site.write("dir/index.html", &site::text(3, 900));
    (site, source)
}

/// Headers that may differ between two answers about one representation.
fn comparable(response: &Response) -> Vec<(String, String)> {
    let may_differ = ["transfer-encoding", "cache-status", "date", "connection"];
    let mut headers: Vec<_> = response
        .head
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(name, _)| !may_differ.contains(&name.as_str()))
        .collect();
    headers.sort();
    headers
}

#[test]
fn head_equals_get_in_every_header_over_both_protocols() {
    let (site, _) = site_of_all_kinds();
    let server = start(&site);
    let targets = [
        "/app.js",
        "/",
        "/tiny.txt",
        "/empty.txt",
        "/photo.png",
        "/large.bin",
        "/dir/",
        "/dir",
        "/none",
        "/..",
        "/%zz",
        "/app.js/",
    ];
    for target in targets {
        for accept in ["gzip", "br", "zstd", "deflate", "identity", "identity;q=0"] {
            let get = Request::get(target).accept(accept);
            let _ = server.fetch(&get);
            server.until_idle();
            let one = server.fetch(&get);
            for protocol in Protocol::ALL {
                let head = server.fetch_over(protocol, &get.clone().method("HEAD"));
                let two = server.fetch_over(protocol, &get);
                assert!(head.is_clean() && head.body.is_empty(), "{:?}", head.head);
                assert_eq!(head.status(), one.status(), "{target}, {accept}");
                assert_eq!(comparable(&head), comparable(&one), "{target}, {accept}");
                assert_eq!(comparable(&two), comparable(&one), "{target}, {accept}, {protocol:?}");
                assert!(two.body == one.body, "{target}, {accept}, {protocol:?}");
            }
        }
    }
}

#[test]
fn cold_head_names_the_representation_of_the_next_get() {
    let (site, source) = site_of_all_kinds();
    let server = start(&site);
    for protocol in Protocol::ALL {
        let accept = if protocol == Protocol::Http1 { "gzip" } else { "br" };
        let head = server.fetch_over(protocol, &Request::head("/app.js").accept(accept));
        assert_eq!(head.status(), 200);
        assert_varies(&head);
        assert_tag(head.etag(), &source, head.coding());
        if head.coding() != "identity" {
            let get = server.fetch_over(protocol, &Request::get("/app.js").accept(accept));
            assert_eq!(get.etag(), head.etag());
        }
    }
}

#[test]
fn ok_responses_carry_their_header_fields() {
    let (site, _) = site_of_all_kinds();
    let server = start(&site);
    let types = [
        ("/app.js", "text/javascript"),
        ("/", "text/html"),
        ("/tiny.txt", "text/plain"),
        ("/photo.png", "image/png"),
    ];
    for (target, kind) in types {
        for protocol in Protocol::ALL {
            let response = server.fetch_over(protocol, &Request::get(target).accept("gzip"));
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{target}");
            assert_eq!(response.header("cache-control"), Some("no-cache"), "{target}");
            assert!(response.header("content-type").unwrap().starts_with(kind), "{target}");
            for name in [
                "content-type",
                "etag",
                "last-modified",
                "date",
                "cache-control",
                "accept-ranges",
                "x-content-type-options",
            ] {
                assert_eq!(response.head.all(name).len(), 1, "{name} of {target}");
            }
            let conditional = Request::get(target).accept("gzip");
            let conditional = conditional.header("if-none-match", response.etag());
            assert_eq!(server.fetch_over(protocol, &conditional).status(), 304);
        }
    }
}

#[test]
fn methods_but_get_and_head_are_405_and_options_is_204() {
    let (site, _) = site_of_all_kinds();
    let server = start(&site);
    let allow = |response: &Response| response.header("allow").map(str::to_owned);
    let expected = Some("GET, HEAD, OPTIONS".to_owned());
    for protocol in Protocol::ALL {
        for target in ["/app.js", "/", "/photo.png"] {
            for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get"] {
                let request = Request::new(method, target).accept("gzip");
                let request = if protocol == Protocol::Http1 {
                    request.header("content-length", "0")
                } else {
                    request
                };
                let response = server.fetch_over(protocol, &request);
                assert_eq!(response.status(), 405, "{method} {target}: {:?}", response.head);
                assert_eq!(allow(&response), expected, "{method}");
                assert_eq!(response.header("etag"), None);
            }
            let options = server.fetch_over(protocol, &Request::new("OPTIONS", target));
            assert_eq!(options.status(), 204, "{:?}", options.head);
            assert_eq!(allow(&options), expected);
            assert_eq!(options.header("content-length"), None, "RFC 9110 §8.6");
        }
    }
    let whole_server = server.fetch(&Request::new("OPTIONS", "*"));
    assert_eq!(whole_server.status(), 204, "{:?}", whole_server.head);
}

#[test]
fn get_with_a_body_keeps_the_connection_in_step() {
    let (site, source) = site_of_all_kinds();
    let server = start(&site);
    let mut connection = Connection::open(server.address()).unwrap();
    connection
        .send_raw(b"GET /app.js HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nGET / bogus")
        .unwrap();
    assert_is(&connection.receive("GET").unwrap(), &source, "identity");
    // The connection is closed, or the next request is understood.
    if connection.send(&Request::get("/tiny.txt")).is_ok()
        && let Ok(response) = connection.receive("GET")
    {
        assert_is(&response, b"tiny", "identity");
    }
}

#[test]
fn http_1_0_gets_a_length_and_no_chunks() {
    let (site, source) = site_of_all_kinds();
    let server = start(&site);
    for (target, accept) in
        [("/app.js", "gzip"), ("/app.js", "identity"), ("/large.bin", "br"), ("/tiny.txt", "br")]
    {
        for _ in 0..3 {
            let request = Request::get(target).accept(accept).http10();
            let mut connection = Connection::open(server.address()).unwrap();
            connection.send(&request).unwrap();
            let response = connection.receive("GET").unwrap();
            assert_eq!(response.status(), 200);
            assert!(matches!(response.framing, Framing::Length(_)), "{:?}", response.head);
            assert_eq!(response.header("transfer-encoding"), None);
            let expected = fs::read(site.file(&target[1..])).unwrap();
            assert!(response.decoded() == expected, "{:?}", response.head);
            assert!(connection.is_closed(), "HTTP/1.0 without keep-alive ends with the answer");
        }
    }
    let old_without_host = Request::get("/app.js").http10().without_host();
    assert_is(&server.fetch(&old_without_host), &source, "identity");
}

#[test]
fn http_1_1_without_host_is_400() {
    let (site, _) = site_of_all_kinds();
    let server = start(&site);
    let response = server.fetch(&Request::get("/app.js").without_host());
    assert_eq!(response.status(), 400, "{:?}", response.head);
    let twice = Request::get("/app.js").header("host", "another");
    assert_eq!(server.fetch(&twice).status(), 400, "two Host lines, RFC 9112 §3.2");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (site, _) = site_of_all_kinds();
    let server = start(&site);
    let targets = ["/app.js", "/tiny.txt", "/large.bin", "/none", "/photo.png", "/empty.txt", "/"];
    let accepts = ["gzip", "br", "identity"];
    // The first round is cold, the second warm.
    for _ in 0..2 {
        let mut connection = Connection::open(server.address()).unwrap();
        let mut requests = Vec::new();
        for (at, target) in targets.iter().cycle().take(35).enumerate() {
            let method = if at % 5 == 4 { "HEAD" } else { "GET" };
            requests.push(Request::new(method, target).accept(accepts[at % 3]));
        }
        for request in &requests {
            connection.send(request).unwrap();
        }
        for request in &requests {
            let response = connection.receive(&request.method).unwrap();
            if request.target == "/none" {
                assert_eq!(response.status(), 404, "{request:?}");
                continue;
            }
            assert_eq!(response.status(), 200, "{request:?}: {:?}", response.head);
            if request.method == "GET" {
                let name = request.target.trim_start_matches('/');
                let name = if name.is_empty() { "index.html" } else { name };
                assert!(response.decoded() == fs::read(site.file(name)).unwrap(), "{request:?}");
            }
        }
    }
}

#[test]
fn connection_serves_many_requests() {
    let (site, source) = site_of_all_kinds();
    let server = start(&site);
    let mut connection = Connection::open(server.address()).unwrap();
    for at in 0..200 {
        let coding = CODINGS[at % CODINGS.len()];
        connection.send(&Request::get("/app.js").accept(coding)).unwrap();
        assert_is(&connection.receive("GET").unwrap(), &source, coding);
    }
    connection.send(&Request::get("/tiny.txt").header("connection", "close")).unwrap();
    assert_is(&connection.receive("GET").unwrap(), b"tiny", "identity");
    assert!(connection.is_closed());
}

#[test]
fn absolute_form_targets_are_understood() {
    let (site, source) = site_of_all_kinds();
    let server = start(&site);
    let address = server.address();
    for target in [
        format!("http://{address}/app.js"),
        "http://other.example/app.js?x".into(),
        "HTTP://other.example/app.js".into(),
    ] {
        assert_is(&server.get(&target, "gzip"), &source, "gzip");
    }
    let index = fs::read(site.file("index.html")).unwrap();
    assert!(server.get("http://other.example", "gzip").decoded() == index);
    let redirect = server.get("http://other.example/dir?q", "gzip");
    assert_eq!(redirect.status(), 301);
    assert_eq!(redirect.header("location"), Some("./dir/?q"));
    assert_eq!(server.get("http://other.example/../app.js", "gzip").status(), 404);
    assert_is(&server.get("http://other.example/x/../app.js", "gzip"), &source, "gzip");
    assert_eq!(server.encodes(), 2, "however it is named, it is the same file");
}

#[test]
fn streams_of_one_http_2_connection_are_exact() {
    let (site, _) = site_of_all_kinds();
    let server = start(&site);
    let targets =
        ["/app.js", "/tiny.txt", "/large.bin", "/photo.png", "/empty.txt", "/dir/index.html"];
    let requests: Vec<_> = targets
        .iter()
        .cycle()
        .take(48)
        .enumerate()
        .map(|(at, target)| Request::get(target).accept(CODINGS[at % CODINGS.len()]))
        .collect();
    let answers = cachecompress_test::http2::fetch_all(server.address(), &requests).unwrap();
    for (request, answer) in requests.iter().zip(answers) {
        let response = answer.unwrap();
        assert_eq!(response.status(), 200, "{request:?}");
        let expected = fs::read(site.file(&request.target[1..])).unwrap();
        assert!(response.decoded() == expected, "{request:?}: {:?}", response.head);
        assert_tag(response.etag(), &expected, response.coding());
        for name in ["connection", "transfer-encoding", "keep-alive"] {
            assert_eq!(response.header(name), None, "{name} has no place in HTTP/2");
        }
    }
}

#[test]
fn garbage_is_refused_and_harms_no_other_client() {
    let (site, source) = site_of_all_kinds();
    let mut server = start(&site);
    for bytes in [
        &b"\r\n\r\n\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\xff\xff\xff\xff\xff\xff",
    ] {
        let mut connection = Connection::open(server.address()).unwrap();
        connection.send_raw(bytes).unwrap();
        let _ = connection.finish_sending();
        if let Ok(response) = connection.receive("GET") {
            assert!(response.status() >= 400, "{:?}", response.head);
        }
    }
    let many: String = (0..5000).map(|at| format!("x-{at}: {}\r\n", "v".repeat(100))).collect();
    let mut connection = Connection::open(server.address()).unwrap();
    let request = format!("GET /app.js HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    // The server may stop reading in the middle.
    if connection.send_raw(request.as_bytes()).is_ok()
        && let Ok(response) = connection.receive("GET")
    {
        assert_eq!(response.status() / 100, 4, "headers are bounded: {:?}", response.head);
    }
    assert!(server.is_running());
    assert_is(&server.get("/app.js", "gzip"), &source, "gzip");
}
