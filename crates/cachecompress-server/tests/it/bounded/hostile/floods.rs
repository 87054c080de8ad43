//! Very many requests, and very large ones.

use super::*;
use cachecompress_test::wait::read_once;

/// Sends `requests` over a few connections, pipelined, and hands each answer's head on.
fn pipeline(
    server: &Server,
    connections: usize,
    requests: usize,
    request: impl Fn(usize) -> String + Sync,
    check: impl Fn(usize, &str, &[u8]) + Sync,
) {
    let each = requests / connections;
    std::thread::scope(|scope| {
        for part in 0..connections {
            let (request, check) = (&request, &check);
            let mut stream = connect(server.address());
            let mut writer = stream.try_clone().unwrap();
            scope.spawn(move || {
                for batch in (part * each..(part + 1) * each).collect::<Vec<_>>().chunks(64) {
                    let text: String = batch.iter().map(|index| request(*index)).collect();
                    writer.write_all(text.as_bytes()).unwrap();
                }
            });
            scope.spawn(move || {
                let mut answers = Answers::new(&mut stream);
                for index in part * each..(part + 1) * each {
                    let (head, body) = answers.next();
                    check(index, &head, &body);
                }
            });
        }
    });
}

/// A quick reader of successive answers with a length.
struct Answers<'a> {
    stream: &'a mut TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

impl<'a> Answers<'a> {
    fn new(stream: &'a mut TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), start: 0 }
    }

    fn fill(&mut self) {
        if self.start > 1 << 20 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let mut piece = [0; 64 * 1024];
        let count = read_once(&mut self.stream, &mut piece).unwrap();
        assert!(
            count > 0,
            "the connection ended: {:?}",
            String::from_utf8_lossy(&self.buffer[self.start..])
        );
        self.buffer.extend_from_slice(&piece[..count]);
    }

    fn next(&mut self) -> (String, Vec<u8>) {
        let end = loop {
            let unread = &self.buffer[self.start..];
            if let Some(end) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.fill();
        };
        let head = self.buffer[self.start..self.start + end].to_vec();
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        self.start += end;
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() - self.start < length {
            self.fill();
        }
        let body = self.buffer[self.start..self.start + length].to_vec();
        self.start += length;
        (head, body)
    }
}

#[test]
fn unknown_paths_leave_nothing_behind() {
    let index = site::text(1, 300);
    let site = Site::with("index.html", &index);
    let server = start_with(&site, "--spa");
    let _ = server.get("/", "identity");
    let before = server.memory().now;
    let request = |number: usize| {
        // Navigations, which are half of the requests, get the index. The others get 404.
        let accept = if number.is_multiple_of(2) { "text/html" } else { "image/png" };
        format!("GET /{number}/x HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\n\r\n")
    };
    pipeline(&server, 2, 100_000, request, |number, head, body| {
        if number.is_multiple_of(2) {
            assert!(head.starts_with("http/1.1 200 ") && body == index, "{number}: {head}");
        } else {
            assert!(head.starts_with("http/1.1 404 "), "{number}: {head}");
        }
    });
    let grown = server.memory().now.saturating_sub(before) / MIB;
    println!("100,000 paths: {grown} MiB more than before");
    assert!(grown < 32, "{grown} MiB are kept");
    assert_eq!(server.entries(), 0);
    assert_memory(&server, "100,000 paths", 64);
}

#[test]
fn query_strings_share_one_entry() {
    let source = site::text(2, 900);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    let first = server.until_hit(&Request::get("/app.js").accept("br"));
    let tag = format!("\r\netag: {}\r\n", first.etag().to_ascii_lowercase());
    let request = |number: usize| {
        format!("GET /app.js?v={number} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\n\r\n")
    };
    pipeline(&server, 2, 100_000, request, |number, head, body| {
        assert!(head.starts_with("http/1.1 200 ") && head.contains(&tag), "{number}: {head}");
        assert!(head.contains("\r\ncache-status: cachecompress; hit\r\n"), "{number}: {head}");
        assert!(body == first.body, "{number}");
    });
    assert_eq!((server.encodes(), server.entries()), (1, 1));
    assert_memory(&server, "100,000 query strings", 64);
}

/// The spelling `number` of one wish. Spellings differ in case, order, white space, weights,
/// parameters, unknown codings, empty members, and the number of lines.
fn spelling(number: usize) -> (String, &'static str) {
    let coding = ["br", "gzip", "zstd", "deflate"][number % 4];
    let name: String = coding
        .chars()
        .enumerate()
        .map(|(at, c)| if number >> (4 + at) & 1 == 1 { c.to_ascii_uppercase() } else { c })
        .collect();
    let space = ["", " ", "\t", "  "][number / 7 % 4];
    let others = ["", "x-unknown, ", "identity;q=0.1, ", ",, ,", "*;q=0, "][number / 11 % 5];
    let weight = ["", ";q=1", ";q=1.0", ";q=0.9", "; Q=0.999", ";q=1.000"][number / 5 % 6];
    let refused: Vec<_> = ["br", "gzip", "zstd"]
        .iter()
        .filter(|other| **other != coding)
        .map(|other| format!("{other};q=0"))
        .collect();
    let line = match number % 3 {
        0 => format!("Accept-Encoding:{space}{others}{name}{space}{weight}\r\n"),
        1 => format!("accept-encoding: {name}{weight}{space},{others}{}\r\n", refused.join(",")),
        _ => format!("ACCEPT-ENCODING: {name}{weight}\r\nAccept-Encoding: u{number};q=0.5\r\n"),
    };
    (line, coding)
}

/// A search for a word in the field takes `gzip;q=0` for gzip.
#[test]
fn spellings_of_accept_encoding_share_their_entries() {
    let source = site::text(3, 2000);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    let bodies = CODINGS.map(|coding| {
        let warm = server.until_hit(&Request::get("/app.js").accept(coding));
        assert_is(&warm, &source, coding);
        (coding, warm.body)
    });
    let request =
        |number: usize| format!("GET /app.js HTTP/1.1\r\nHost: h\r\n{}\r\n", spelling(number).0);
    let distinct: std::collections::BTreeSet<_> = (0..10_000).map(|n| spelling(n).0).collect();
    println!("{} distinct spellings", distinct.len());
    assert!(distinct.len() > 4000);
    pipeline(&server, 2, 10_000, request, |number, head, body| {
        let (line, coding) = spelling(number);
        let sent = head.split("\r\n").find_map(|line| line.strip_prefix("content-encoding: "));
        assert_eq!(sent, Some(coding), "{line:?}: {head}");
        assert!(bodies.iter().any(|(name, warm)| *name == coding && *warm == body), "{line:?}");
    });
    assert_eq!((server.encodes(), server.entries()), (4, 4), "one for each coding");
    for refused in ["gzip;q=0", "br;q=0, gzip;q=0.000", "xgzip, brr, zstdx", "gzip;q=0;q=1"] {
        let answer = server.get("/app.js", refused);
        assert_is(&answer, &source, "identity");
    }
    assert_memory(&server, "10,000 spellings", 64);
}

/// Each request has a remembered answer of its own. There is no room for all of them.
#[test]
fn response_cache_stays_within_its_memory() {
    let source = site::text(9, 3000);
    let site = Site::with("app.js", &source);
    for (room, bound) in [("0", 64), ("1MiB", 64), ("64MiB", 128)] {
        let server = start_with(&site, &format!("--memory-cache {room}"));
        let hit = server.until_hit(&Request::get("/app.js").accept("br"));
        let tag = hit.etag();
        // Every other request has a long list of tags.
        let request = |number: usize| {
            let list = if number.is_multiple_of(2) {
                format!("If-None-Match: \"{number}{}\", {tag}\r\n", "x".repeat(500))
            } else {
                String::new()
            };
            format!(
                "GET /app.js HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br, x-{number}\r\n{list}\r\n"
            )
        };
        pipeline(&server, 2, 100_000, request, |number, head, body| {
            if number.is_multiple_of(2) {
                assert!(head.starts_with("http/1.1 304 ") && body.is_empty(), "{number}: {head}");
            } else {
                assert!(head.starts_with("http/1.1 200 ") && body == hit.body, "{number}: {head}");
            }
        });
        assert_memory(&server, &format!("100,000 wishes in {room}"), bound);
    }
}

/// A request asked for the same bytes very many times (CVE-2011-3192, CVE-2025-62727). A range of
/// an empty file stopped the server (GHSA-gcqf-3g44-vc9p).
#[test]
fn floods_of_ranges_cost_no_more_than_the_file() {
    let source = site::random(4, 1_000_000);
    let site = Site::with("big.bin", &source);
    site.write("empty.bin", b"");
    site.write("app.js", &site::text(5, 100_000));
    let server = start(&site);
    let many = |each: &str, count: usize| format!("bytes={}", vec![each; count].join(","));
    let steps: Vec<_> = (0..1300).map(|step| format!("{step}-")).collect();
    for ranges in [
        many("0-", 10_000),
        many("0-999999", 6000),
        many("-1", 10_000),
        many("5-4", 10_000),
        format!("bytes={}", steps.join(",")),
        "bytes=0-18446744073709551615".to_owned(),
        "bytes=18446744073709551615-18446744073709551615".to_owned(),
        "bytes=-18446744073709551616".to_owned(),
        format!("bytes={}-", "9".repeat(30_000)),
        format!("bytes={}-1", "0".repeat(30_000)),
        ",".repeat(60_000),
        "bytes=".to_owned(),
        "bytes=-0".to_owned(),
        "bytes=-".to_owned(),
    ] {
        for target in ["/big.bin", "/empty.bin", "/app.js"] {
            for protocol in Protocol::ALL {
                let request = Request::get(target).accept("gzip").range(&ranges);
                let Ok(answer) = (match protocol {
                    Protocol::Http1 => {
                        cachecompress_test::client::fetch(server.address(), &request)
                    }
                    Protocol::Http2 => cachecompress_test::http2::fetch(server.address(), &request),
                }) else {
                    panic!("no answer to {} bytes of Range on {target}", ranges.len());
                };
                let told = &ranges[..ranges.len().min(40)];
                assert!(
                    [200, 206, 416, 431].contains(&answer.status()),
                    "{told}: {:?}",
                    answer.head
                );
                assert!(answer.is_clean() && answer.body.len() <= source.len(), "{told}");
            }
        }
    }
    // Each of thousands of small ranges is exact.
    let request = |number: usize| {
        let at = number * 97 % 999_000;
        format!("GET /big.bin HTTP/1.1\r\nHost: h\r\nRange: bytes={at}-{}\r\n\r\n", at + 9)
    };
    pipeline(&server, 2, 5_000, request, |number, head, body| {
        let at = number * 97 % 999_000;
        assert!(head.starts_with("http/1.1 206 "), "{head}");
        assert!(*body == source[at..at + 10], "{number}");
    });
    assert_memory(&server, "ranges", 64);
}

#[test]
fn heads_beyond_the_limits_are_refused_and_kept_nowhere() {
    let source = site::text(6, 5000);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    let start = "GET /app.js HTTP/1.1\r\nHost: h\r\n";
    let fields = |count: usize| (0..count).map(|n| format!("x{n}: y\r\n")).collect::<String>();
    let long = "x".repeat(1 << 20);
    let floods = [
        format!("{start}{}\r\n", fields(100)),
        format!("{start}{}\r\n", fields(10_000)),
        format!("{start}X: {long}\r\n\r\n"),
        format!("{start}{long}: x\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("{long}{long}"),
        format!("{start}Cookie: {long}"),
    ];
    for flood in &floods {
        let told = &flood[..flood.len().min(60)];
        let mut stream = connect(server.address());
        // The server may have had enough before all of it is sent.
        let _ = stream.write_all(flood.as_bytes());
        let answer = String::from_utf8_lossy(&rest(&mut stream)).into_owned();
        let status = answer.get(9..12).unwrap_or("none");
        assert!(["431", "414", "400"].contains(&status), "{told:?}: {answer:?}");
    }
    // Many clients send an endless line at once. None may send more than a head and the discarded
    // bytes.
    let piece = vec![b'a'; 64 * 1024];
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut stream = connect(server.address());
                let mut sent = 0;
                while stream.write_all(&piece).is_ok() {
                    sent += piece.len();
                    assert!(sent < 256 << 20, "{sent} bytes were taken");
                }
            });
        }
    });
    // Heads at the limits are served. HTTP/2 has the same limits.
    let most = (0..98).fold(Request::get("/app.js").accept("gzip"), |request, n| {
        request.header(&format!("x{n}"), &"y".repeat(250))
    });
    for protocol in Protocol::ALL {
        assert_is(&server.fetch_over(protocol, &most), &source, "gzip");
    }
    let beyond =
        (0..200).fold(Request::get("/app.js"), |request, n| request.header(&format!("x{n}"), "y"));
    assert_eq!(server.fetch_over(Protocol::Http2, &beyond).status(), 431);
    assert_memory(&server, "large heads", 64);
    let server = start_with(&site, "--max-headers 5 --max-header-bytes 8KiB");
    let six =
        (0..6).fold(Request::get("/app.js"), |request, n| request.header(&format!("x{n}"), "y"));
    let long = Request::get("/app.js").header("x", &"y".repeat(9000));
    for protocol in Protocol::ALL {
        assert_eq!(server.fetch_over(protocol, &six).status(), 431, "{protocol:?}");
        assert_eq!(server.fetch_over(protocol, &long).status(), 431, "{protocol:?}");
        assert_is(
            &server.fetch_over(protocol, &Request::get("/app.js").accept("gzip")),
            &source,
            "gzip",
        );
    }
}

#[test]
fn pipelined_floods_are_answered_in_order() {
    let source = site::text(7, 200);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "");
    let request = |number: usize| match number % 3 {
        0 => "GET /app.js HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        1 => format!("HEAD /none{number} HTTP/1.1\r\nHost: h\r\n\r\n"),
        _ => "GET /app.js HTTP/1.1\r\nHost: h\r\nRange: bytes=0-0\r\n\r\n".to_owned(),
    };
    // A HEAD's answer announces a length that does not come, so a GET takes its place here.
    let request = |number: usize| request(if number % 3 == 1 { number - 1 } else { number });
    pipeline(&server, 4, 40_000, request, |number, head, body| {
        let whole = number % 3 != 2;
        assert!(head.starts_with(if whole { "http/1.1 200 " } else { "http/1.1 206 " }), "{head}");
        assert!(*body == source[..if whole { source.len() } else { 1 }], "{number}");
    });
    assert_memory(&server, "pipelined floods", 64);
}

#[test]
fn floods_whose_answers_are_not_read_are_not_read_either() {
    let site = Site::with("app.js", &site::text(7, 200));
    site.write("big.bin", &site::random(8, 1 << 20));
    // Its clients are given up soon, so that their writes end.
    let server = start_with(&site, "--write-timeout 1s");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut stream = connect(server.address());
                let requests = "GET /big.bin HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000);
                let mut sent = 0;
                while stream.write_all(requests.as_bytes()).is_ok() {
                    sent += requests.len();
                    assert!(sent < 256 << 20, "{sent} bytes of requests were taken");
                }
            });
        }
    });
    assert_eq!(server.get("/app.js", "identity").status(), 200);
    assert_memory(&server, "floods without readers", 64);
}
