//! Request bodies, which the server never reads.

use cachecompress_test::frames;
use cachecompress_test::wait::read_once;

use super::*;

/// The final status lines among the received bytes.
fn statuses(answer: &[u8]) -> Vec<u16> {
    String::from_utf8_lossy(answer)
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|rest| rest[..3].parse().unwrap())
        .collect()
}

#[test]
fn request_body_is_skipped_and_never_read_as_a_request() {
    let site = Site::with("app.js", &site::text(1, 3000));
    let server = start(&site);
    let close = "HEAD /app.js HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let smuggled = "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
    let length = smuggled.len();
    let with = |fields: &str, body: &str| {
        let head = format!("HEAD /app.js HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        let mut stream = send(server.address(), format!("{head}{body}{close}").as_bytes());
        statuses(&rest(&mut stream))
    };
    // The body is skipped and the next request answered, or the connection ends: never the
    // request inside the body, which would be a 404.
    let chunked = format!("{length:x}\r\n{smuggled}\r\n0\r\n\r\n");
    for (fields, body) in [
        (format!("Content-Length: {length}"), smuggled.to_owned()),
        ("Transfer-Encoding: chunked".to_owned(), chunked.clone()),
        (format!("Expect: 100-continue\r\nContent-Length: {length}"), smuggled.to_owned()),
        ("Expect: 100-continue\r\nTransfer-Encoding: chunked".to_owned(), chunked.clone()),
    ] {
        let seen = with(&fields, &body);
        assert!(seen == [200] || seen == [200, 200], "{fields}: {seen:?}");
    }
    // An ambiguous head is refused, or read in the safe way with nothing after it.
    for (fields, body) in [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ("Transfer-Encoding: xchunked", "0\r\n\r\n"),
        ("Content-Length: 4\r\nContent-Length: 5", "12345"),
        ("Content-Length: +5", "12345"),
        ("Content-Length: 5, 6", "12345"),
        ("Content-Length: 18446744073709551616", ""),
        ("Content-Length: -1", ""),
        ("Transfer-Encoding: chunked", "-1\r\n\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "ffffffffffffffffff\r\n\r\n0\r\n\r\n"),
    ] {
        let body = format!("{body}{smuggled}");
        let seen = with(fields, &body);
        assert!(!seen.contains(&404), "{fields}: the body's request was answered: {seen:?}");
        assert!(seen.len() <= 1, "{fields}: {seen:?}");
    }
    assert_eq!(server.get("/app.js", "gzip").status(), 200);
}

/// The server must not read a huge body to its end. A reset must not cost the client its answer.
#[test]
fn huge_request_body_gets_its_answer_and_then_the_end() {
    let site = Site::with("app.js", &site::text(2, 3000));
    let server = start(&site);
    let before = server.descriptors();
    let chunk = [b'x'; 4096];
    // A client that stops at the answer gets all of it, and a clean end.
    let head = "GET /app.js HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    let mut polite = send(server.address(), &[head.as_bytes(), &[b'x'; 300_000]].concat());
    let mut answer = Vec::new();
    polite.read_to_end(&mut answer).expect("an end, not a reset");
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.len() > 3000);
    // A reset would have come right behind the end, and these would fail.
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(20));
        polite.write_all(b"x").expect("the server discards the rest");
    }
    drop(polite);
    for (fields, expect) in [
        ("Content-Length: 9000000000000000000", false),
        ("Transfer-Encoding: chunked", false),
        ("Content-Length: 9000000000000000000\r\nExpect: 100-continue", true),
    ] {
        let head = format!("GET /app.js HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        let mut stream = send(server.address(), head.as_bytes());
        let mut sent = 0u64;
        if !expect {
            if fields.contains("chunked") {
                let _ = stream.write_all(b"fffffffffffff\r\n");
            }
            // Some clients write a part of the body before they read the answer.
            for _ in 0..64 {
                if stream.write_all(&chunk).is_err() {
                    break;
                }
                sent += chunk.len() as u64;
            }
        }
        let mut connection = stream.try_clone().unwrap();
        let mut head = vec![0; 64 * 1024];
        let count = read_once(&mut connection, &mut head).unwrap();
        let answer = String::from_utf8_lossy(&head[..count]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{fields}: {answer}");
        assert!(!answer.contains("100 Continue"), "asked for an unwanted body: {answer}");
        if expect {
            continue;
        }
        let started = Instant::now();
        while stream.write_all(&chunk).is_ok() {
            sent += chunk.len() as u64;
            assert!(sent < 1 << 30 && started.elapsed() < PATIENCE, "{sent} bytes were taken");
        }
        println!("{fields}: gave up after {sent} bytes");
    }
    until_free(&server, before);
    assert_memory(&server, "huge bodies", 48);
}

#[test]
fn http_2_requests_with_endless_bodies_are_answered_and_stopped() {
    let site = Site::with("app.js", &site::text(3, 3000));
    let server = start(&site);
    let mut stream = frames::connect(server.address(), &[]).unwrap();
    let fields =
        [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/app.js")];
    let head = frames::block(&fields);
    let open = frames::frame(frames::kind::HEADERS, frames::END_HEADERS, 1, &head);
    stream.write_all(&open).unwrap();
    let end = |frame: &frames::Frame| {
        frame.stream == 1
            && frame.kind == frames::kind::DATA
            && frame.flags & frames::END_STREAM > 0
    };
    assert!(frames::read_until(&mut stream, end).is_some(), "no answer");
    let reset = |frame: &frames::Frame| frame.kind == frames::kind::RST_STREAM;
    let reset = frames::read_until(&mut stream, reset).expect("told to stop");
    assert_eq!((reset.stream, reset.code()), (1, 0), "NO_ERROR");
    // A client that goes on sending gets no window for it.
    let mut sent = 0u64;
    let piece = frames::frame(frames::kind::DATA, 0, 1, &[0; 16_384]);
    while stream.write_all(&piece).is_ok() {
        sent += 16_384;
        assert!(sent < 256 << 20, "{sent} bytes were taken");
    }
    println!("gave up after {sent} bytes");
    assert_memory(&server, "endless HTTP/2 body", 48);
}
