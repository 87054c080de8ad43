//! Floods of HTTP/2's frames.

use cachecompress_test::frames::{self, Frame, kind};

use super::*;

/// PROTOCOL_ERROR and ENHANCE_YOUR_CALM (RFC 9113 §7).
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const CALM: u32 = 11;

fn is_goaway(frame: &Frame) -> bool {
    frame.kind == kind::GOAWAY
}

/// The error code with which the server ended `stream`, if there is one.
fn end_of(stream: &mut TcpStream) -> Option<u32> {
    let code = frames::read_until(stream, is_goaway).map(|frame| frame.code());
    let _ = rest(stream);
    code
}

/// Each flood of frames ends its own connection (CVE-2023-44487 and its relatives).
#[test]
fn floods_of_frames_end_their_connection_and_nothing_else() {
    let source = site::text(1, 50_000);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--write-timeout 1s --idle-timeout 2s");
    server.until_hit(&Request::get("/app.js").accept("gzip"));
    let before = server.descriptors();
    let rapid_reset: Vec<u8> = (0..50_000u32)
        .flat_map(|index| {
            let stream = 2 * index + 1;
            let mut pair = frames::get(stream, "/app.js", &[]);
            pair.extend(frames::frame(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes()));
            pair
        })
        .collect();
    // The client has the server reset its streams, as their heads are against the rules.
    let made_to_reset: Vec<u8> = (0..50_000u32)
        .flat_map(|index| frames::get(2 * index + 1, "/app.js", &[("connection", "close")]))
        .collect();
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")];
    let mut continuations = frames::frame(kind::HEADERS, 1, 1, &frames::block(&fields));
    let mut empty_continuations = continuations.clone();
    for number in 0..20_000 {
        let more = frames::block(&[(&format!("x{number}"), &"y".repeat(100))]);
        continuations.extend(frames::frame(kind::CONTINUATION, 0, 1, &more));
        empty_continuations.extend(frames::frame(kind::CONTINUATION, 0, 1, &[]));
    }
    for (what, flood, codes) in [
        ("rapid reset", &rapid_reset, &[CALM][..]),
        ("made to reset", &made_to_reset, &[CALM]),
        ("continuations", &continuations, &[CALM, PROTOCOL_ERROR]),
        ("empty continuations", &empty_continuations, &[CALM, PROTOCOL_ERROR]),
    ] {
        let mut stream = frames::connect(server.address(), &[]).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let code = std::thread::scope(|scope| {
            scope.spawn(move || {
                let _ = writer.write_all(flood);
            });
            end_of(&mut stream)
        });
        println!("{what}: ended with {code:?}");
        // A reset may overtake the GOAWAY.
        assert!(code.is_none_or(|code| codes.contains(&code)), "{what}: {code:?}");
    }
    assert_eq!(server.encodes(), 1);
    until_free(&server, before);
    let answer = server.fetch_over(Protocol::Http2, &Request::get("/app.js").accept("gzip"));
    assert_is(&answer, &source, "gzip");
    assert_memory(&server, "floods of frames", 64);
}

/// Clients send frames that ask for an answer, and read none (CVE-2019-9512, CVE-2019-9515). Others
/// send answers without a question. Each was a warning in the log, 80 MB of them in four seconds.
#[test]
fn unread_answers_to_pings_and_settings_do_not_pile_up() {
    let source = site::text(2, 50_000);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--write-timeout 1s --idle-timeout 2s");
    let before = server.descriptors();
    let ping = frames::frame(kind::PING, 0, 0, b"and here").repeat(4000);
    let settings = frames::settings(&[(4, 65_535)]).repeat(4000);
    let window = frames::frame(kind::WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()).repeat(4000);
    let answers = frames::frame(kind::PING, 1, 0, b"and here").repeat(4000);
    let unknown = frames::frame(0xf0, 0, 0, &[0; 100]).repeat(100);
    std::thread::scope(|scope| {
        for (what, flood) in [
            ("pings", &ping),
            ("settings", &settings),
            ("windows", &window),
            ("answers", &answers),
            ("unknown", &unknown),
            // Several clients together keep the server reading all the time.
            ("more unknown", &unknown),
            ("still more unknown", &unknown),
        ] {
            let server = &server;
            scope.spawn(move || {
                let mut stream = frames::connect(server.address(), &[]).unwrap();
                let (started, mut sent) = (Instant::now(), 0);
                while stream.write_all(flood).is_ok() {
                    sent += flood.len();
                    assert!(
                        started.elapsed() < PATIENCE,
                        "{what}: still served after {sent} bytes"
                    );
                }
                println!("{what}: ended after {sent} bytes and {:?}", started.elapsed());
            });
        }
    });
    until_free(&server, before);
    let answer = server.fetch_over(Protocol::Http2, &Request::get("/app.js").accept("gzip"));
    assert_is(&answer, &source, "gzip");
    assert_memory(&server, "pings and settings", 64);
}

#[test]
fn streams_beyond_the_limit_are_refused_and_those_within_served() {
    let big = site::random(3, 4 << 20);
    let site = Site::with("big.bin", &big);
    let server = start_with(&site, "--max-streams 10");
    // The client opens no window, so its streams stay under way.
    let mut stream = frames::connect(server.address(), &[(4, 0)]).unwrap();
    let first = frames::read_until(&mut stream, |frame| frame.kind == kind::SETTINGS).unwrap();
    let told = first.payload.chunks(6).find(|setting| setting[..2] == [0, 3]);
    assert_eq!(told.map(|setting| setting[2..].to_vec()), Some(vec![0, 0, 0, 10]));
    // The limit holds once the client has acknowledged it.
    stream.write_all(&frames::frame(kind::SETTINGS, 1, 0, &[])).unwrap();
    for index in 0..30 {
        stream.write_all(&frames::get(2 * index + 1, "/big.bin", &[])).unwrap();
    }
    let mut refused = std::collections::BTreeSet::new();
    while refused.len() < 20 {
        let reset = |frame: &Frame| frame.kind == kind::RST_STREAM;
        let frame = frames::read_until(&mut stream, reset).expect("a refusal");
        assert_eq!(frame.code(), REFUSED_STREAM);
        refused.insert(frame.stream);
    }
    assert!(refused.iter().all(|stream| *stream > 20), "{refused:?}");
    assert_memory(&server, "many streams", 48);
}

/// Few connections use every stream, and open no window, or open all of it and never read the
/// socket. The memory that they hold is bounded.
#[test]
fn streams_that_wait_for_their_client_hold_little_memory() {
    let site = Site::with("big.bin", &site::random(4, 4 << 20));
    let server = start(&site);
    let before = server.descriptors();
    let mut streams: Vec<_> = (0..16)
        .map(|_| {
            let mut stream = frames::connect(server.address(), &[(4, 1)]).unwrap();
            for index in 0..128 {
                stream.write_all(&frames::get(2 * index + 1, "/big.bin", &[])).unwrap();
            }
            stream
        })
        .collect();
    // Every stream has its head and one byte.
    for stream in &mut streams {
        for _ in 0..128 {
            let one = |frame: &Frame| frame.kind == kind::DATA && frame.payload.len() == 1;
            assert!(frames::read_until(stream, one).is_some());
        }
    }
    let wide = i32::MAX as u32;
    let more = (wide - 65_535).to_be_bytes();
    let deaf: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = frames::connect(server.address(), &[(4, wide)]).unwrap();
            // The requests go out at once, as the server reads none while its socket is full.
            let mut all: Vec<u8> =
                (0..128).flat_map(|at| frames::get(2 * at + 1, "/big.bin", &[])).collect();
            all.extend(frames::frame(kind::WINDOW_UPDATE, 0, 0, &more));
            stream.write_all(&all).unwrap();
            stream
        })
        .collect();
    eventually("every stream has its file", || {
        (server.descriptors() >= before + 24 * 129).then_some(())
    });
    assert_eq!(server.get("/nowhere", "gzip").status(), 404);
    // A stream may hold the present piece and the next one, 64 KiB each.
    assert_memory(&server, "3,072 streams that wait for their client", 3072 * 136 / MIB + 48);
    drop(deaf);
    drop(streams);
    until_free(&server, before);
}
