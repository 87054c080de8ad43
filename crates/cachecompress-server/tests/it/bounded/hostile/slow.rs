//! Clients that are slow to ask, between requests, or to read.

use cachecompress_test::frames;
use cachecompress_test::wait::read_once;

use super::*;

#[test]
fn slow_and_missing_heads_end_their_connections() {
    let source = site::text(1, 5000);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--header-timeout 1s --idle-timeout 1h --write-timeout 1h");
    let _ = server.get("/app.js", "gzip");
    let before = server.descriptors();

    let request = b"GET /app.js HTTP/1.1\r\nHost: h\r\n";
    let mut silent = Vec::new();
    for start in [&b""[..], b"G", request, b"\r\n", &frames::PREFACE[..10], &frames::PREFACE[..23]]
    {
        silent.extend((0..20).map(|_| send(server.address(), start)));
    }
    // Dripping clients send a byte now and then, half of them after a whole request.
    let dripping: Vec<_> = [false, true]
        .into_iter()
        .flat_map(|kept_alive| (0..20).map(move |_| kept_alive))
        .map(|kept_alive| {
            let mut stream = connect(server.address());
            if kept_alive {
                stream.write_all(b"HEAD /app.js HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
                let mut head = [0; 4096];
                assert!(read_once(&mut stream, &mut head).unwrap() > 0);
                stream.write_all(b"GET / ").unwrap();
            }
            stream
        })
        .collect();
    let started = Instant::now();
    let mut left = dripping.len();
    while left > 0 {
        assert!(started.elapsed() < PATIENCE, "{left} of them drip on");
        left = dripping.iter().filter(|stream| (&mut &**stream).write_all(b"x").is_ok()).count();
        // A punctual client is served between two drops.
        assert_is(&server.get("/app.js", "gzip"), &source, "gzip");
        std::thread::sleep(Duration::from_millis(50));
    }
    for stream in &mut silent {
        assert!(rest(stream).is_empty(), "an answer to half a request");
    }
    assert!(started.elapsed() > Duration::from_millis(900), "too early");
    until_free(&server, before);
    assert_memory(&server, "slow heads", 48);
}

/// hyper's own timeout for heads ran while a connection lay idle, so that `--header-timeout`
/// would have cut what `--idle-timeout` allows.
#[test]
fn header_timeout_leaves_idle_connections_alone() {
    let source = site::text(2, 5000);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--header-timeout 1s --idle-timeout 1h");
    let mut connection = Connection::open(server.address()).unwrap();
    let request = Request::get("/app.js").accept("gzip");
    for pause in [0, 2500, 0] {
        std::thread::sleep(Duration::from_millis(pause));
        connection.send(&request).unwrap();
        assert_is(&connection.receive("GET").unwrap(), &source, "gzip");
    }
}

/// The deadline was judged before the socket was read, so that a machine that had slept closed the
/// connections of clients that had asked in time.
#[cfg(unix)]
#[test]
fn request_that_came_while_the_program_slept_is_answered() {
    use rustix::process::Signal;

    let source = site::text(9, 5000);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--header-timeout 1s --idle-timeout 1s --threads 1");
    let request = Request::get("/app.js").accept("gzip");
    let mut idle = Connection::open(server.address()).unwrap();
    idle.send(&request).unwrap();
    assert_is(&idle.receive("GET").unwrap(), &source, "gzip");
    let new = Connection::open(server.address()).unwrap();
    let mut half = connect(server.address());
    half.write_all(b"GET /app.js HTTP/1.1\r\nHo").unwrap();
    // Once this is answered, the connections before it are accepted.
    let _ = server.get("/app.js", "gzip");
    server.signal(Signal::STOP);
    let mut asking = [idle, new];
    for connection in &mut asking {
        connection.send(&request).unwrap();
    }
    half.write_all(b"st: h\r\nConnection: close\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    server.signal(Signal::CONT);
    for connection in &mut asking {
        assert_is(&connection.receive("GET").unwrap(), &source, "gzip");
    }
    assert!(rest(&mut half).starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn idle_connections_end_after_their_time_and_http_2_says_so() {
    let site = Site::with("app.js", &site::text(3, 5000));
    let server = start_with(&site, "--idle-timeout 1s --header-timeout 1h --write-timeout 1h");
    let _ = server.get("/app.js", "gzip");
    let before = server.descriptors();
    let started = Instant::now();

    let mut kept_alive: Vec<_> = (0..20)
        .map(|_| {
            let mut connection = Connection::open(server.address()).unwrap();
            connection.send(&Request::head("/app.js")).unwrap();
            assert_eq!(connection.receive("HEAD").unwrap().status(), 200);
            connection
        })
        .collect();
    // The connections are one after a request, one without any, and one that keeps sending pings.
    let mut http2: Vec<_> =
        (0..3).map(|_| frames::connect(server.address(), &[]).unwrap()).collect();
    http2[0].write_all(&frames::get(1, "/app.js", &[])).unwrap();
    let mut pinging = http2[2].try_clone().unwrap();
    let pings = std::thread::spawn(move || {
        let ping = frames::frame(frames::kind::PING, 0, 0, b"farewell");
        while started.elapsed() < PATIENCE && pinging.write_all(&ping).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
        started.elapsed()
    });

    for connection in &mut kept_alive {
        assert!(connection.is_closed() && started.elapsed() < PATIENCE);
    }
    for stream in &mut http2 {
        let goaway = frames::read_until(stream, |frame| frame.kind == frames::kind::GOAWAY);
        assert_eq!(goaway.expect("a GOAWAY before the end").code(), 0, "NO_ERROR");
        let _ = rest(stream);
    }
    assert!(pings.join().unwrap() < PATIENCE, "pings keep a connection alive");
    assert!(started.elapsed() > Duration::from_millis(900), "too early");
    until_free(&server, before);
    assert_memory(&server, "idle", 48);
}

/// A client that read nothing was held until it left, and its file with it. That was so over
/// HTTP/1.1, and over HTTP/2 with a full socket or a full window.
#[test]
fn clients_that_take_nothing_are_given_up() {
    let source = site::random(4, 24 << 20);
    let site = Site::with("big.bin", &source);
    let server = start_with(&site, "--write-timeout 1s --header-timeout 1h --idle-timeout 1h");
    let _ = server.get("/", "gzip");
    let before = server.descriptors();
    let started = Instant::now();

    let request = b"GET /big.bin HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut http1: Vec<_> = (0..20).map(|_| send(server.address(), request)).collect();
    let asks = |window: u32, requests: u32| {
        let mut stream = frames::connect(server.address(), &[(4, window)]).unwrap();
        for index in 0..requests {
            stream.write_all(&frames::get(2 * index + 1, "/big.bin", &[])).unwrap();
        }
        stream
    };
    // This client has a huge window, and never reads its socket.
    let mut deaf = asks(i32::MAX as u32, 1);
    deaf.write_all(&frames::frame(frames::kind::WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes()))
        .unwrap();
    // Windows of no byte, of one byte, and of the usual size are never opened again. Each stream is
    // reset, and the connection lives.
    for window in [0, 1, 65_535] {
        let mut stream = asks(window, 10);
        let mut reset = std::collections::BTreeSet::new();
        while reset.len() < 10 {
            let is_reset = |frame: &frames::Frame| frame.kind == frames::kind::RST_STREAM;
            let frame = frames::read_until(&mut stream, is_reset).expect("a reset");
            reset.insert(frame.stream);
        }
        stream.write_all(&frames::frame(frames::kind::PING, 0, 0, b"and here")).unwrap();
        let pong = |frame: &frames::Frame| frame.kind == frames::kind::PING && frame.flags == 1;
        assert!(frames::read_until(&mut stream, pong).is_some(), "the connection is gone");
    }
    eventually("files and sockets are given back", || {
        (server.descriptors() <= before + 2).then_some(())
    });
    assert!(started.elapsed() > Duration::from_millis(900), "too early");
    for stream in http1.iter_mut().chain([&mut deaf]) {
        assert!(rest(stream).len() < source.len(), "all of it arrived");
    }
    assert_memory(&server, "clients that take nothing", 64);
}

/// The kernel took megabytes for a client ahead of its reading, and woke the writer only when a
/// third of them was free. A client that read steadily seemed to take nothing for seconds.
#[test]
fn slow_but_steady_downloads_live() {
    let source = site::random(5, 6 << 20);
    let site = Site::with("big.bin", &source);
    let server = start_with(&site, "--write-timeout 2s --header-timeout 2s --idle-timeout 2s");
    std::thread::scope(|scope| {
        scope.spawn(|| steadily_over_http1(&server, &source));
        scope.spawn(|| steadily_over_http2(&server, &source));
    });
    assert_memory(&server, "steady downloads", 48);
}

/// The time of slow reading, before clients make haste.
const SLOWLY: Duration = Duration::from_secs(7);

fn steadily_over_http1(server: &Server, source: &[u8]) {
    let started = Instant::now();
    let mut stream = send(server.address(), b"GET /big.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut seen = Vec::new();
    let mut piece = vec![0; 256 * 1024];
    while !seen.ends_with(&source[source.len() - 16..]) {
        let slowly = started.elapsed() < SLOWLY;
        let most = if slowly { 3 * 1024 } else { piece.len() };
        let count = read_once(&mut stream, &mut piece[..most]).unwrap();
        assert!(count > 0, "broken off after {} bytes and {:?}", seen.len(), started.elapsed());
        seen.extend_from_slice(&piece[..count]);
        if slowly {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(seen.ends_with(source));
}

fn steadily_over_http2(server: &Server, source: &[u8]) {
    use frames::kind;
    let started = Instant::now();
    let mut stream = frames::connect(server.address(), &[]).unwrap();
    stream.write_all(&frames::get(1, "/big.bin", &[])).unwrap();
    let mut seen = Vec::new();
    while seen.len() < source.len() {
        let frame = frames::read(&mut stream).unwrap();
        assert_ne!(frame.kind, kind::RST_STREAM, "after {} bytes", seen.len());
        if frame.kind != kind::DATA {
            continue;
        }
        let window = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
        seen.extend_from_slice(&frame.payload);
        if frame.flags & frames::END_STREAM > 0 {
            break;
        }
        for id in [0, 1] {
            stream.write_all(&frames::frame(kind::WINDOW_UPDATE, 0, id, &window)).unwrap();
        }
        if started.elapsed() < SLOWLY {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    assert!(seen == source);
}

/// No deadline of the client runs while its body waits for an encoder.
#[test]
fn encoder_slower_than_the_timeouts_costs_no_answer() {
    let source = site::text(6, 4_000_000);
    let site = Site::with("app.js", &source);
    // The timeouts are as long as a busy machine may keep the client from its next act.
    let short = "--write-timeout 1s --header-timeout 1s --idle-timeout 1s --level br=11";
    let server = start_with(&site, short);
    let request = Request::get("/app.js").accept("br, identity;q=0");
    std::thread::scope(|scope| {
        for protocol in Protocol::ALL {
            let (server, request, source) = (&server, &request, &source);
            scope.spawn(move || {
                let started = Instant::now();
                assert_is(&server.fetch_over(protocol, request), source, "br");
                let took = started.elapsed();
                println!("{protocol:?}: {took:?}");
                assert!(took > Duration::from_millis(1500), "the encode was too fast to tell");
            });
        }
    });
    assert_eq!(server.encodes(), 1);
}
