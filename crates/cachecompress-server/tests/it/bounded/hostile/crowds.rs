//! Very many clients at once, and few descriptors.

use cachecompress_test::frames;
use cachecompress_test::wait::read_once;

use super::*;

/// As many idle connections as two processes on this machine may have, in three states.
#[test]
fn idle_connections_cost_little_and_delay_no_request() {
    let own = raise_own_limit();
    let source = site::text(1, 40_000);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--max-connections 10000");
    let before = server.descriptors();
    // The server's share is half of its limit, which is ours, too.
    let count = usize::try_from(own / 2).unwrap().saturating_sub(100).min(9_900);
    let mut crowd = Vec::with_capacity(count);
    let mut answer = [0; 8192];
    for index in 0..count {
        let mut stream = connect(server.address());
        match index % 3 {
            0 => {}
            1 => {
                stream.write_all(b"HEAD /app.js HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
                assert!(read_once(&mut stream, &mut answer).unwrap() > 0);
            }
            _ => {
                stream.write_all(frames::PREFACE).unwrap();
                stream.write_all(&frames::settings(&[])).unwrap();
                assert!(read_once(&mut stream, &mut answer).unwrap() > 0);
            }
        }
        crowd.push(stream);
        if index % 1000 == 0 {
            assert_is(&server.get("/app.js", "gzip"), &source, "gzip");
        }
    }
    eventually("all are accepted", || (server.descriptors() >= count).then_some(()));
    println!("{count} idle connections");
    for protocol in Protocol::ALL {
        for _ in 0..20 {
            let request = Request::get("/app.js").accept("gzip");
            assert_is(&server.fetch_over(protocol, &request), &source, "gzip");
        }
    }
    // About 10 KiB for each, 30 of those that speak HTTP/2.
    assert_memory(&server, "idle crowd", 320);
    drop(crowd);
    until_free(&server, before);
}

/// Text that is made quickly and compresses to five eighths, so that it fills any socket.
fn quick_text(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = site::random(seed, length);
    bytes.iter_mut().for_each(|byte| *byte = b'A' + *byte % 32);
    bytes
}

#[test]
fn slow_readers_hold_little_memory_and_delay_no_client() {
    raise_own_limit();
    const EACH: usize = 1000;
    let warm = quick_text(2, 30_000_000);
    let site = Site::with("warm.js", &warm);
    let cold = quick_text(3, 30_000_000);
    site.write("cold.js", &cold);
    // A busy machine may take longer for a crowd than a client may stall.
    let server = start_with(&site, "--write-timeout 1h");
    let fast = |name: &str, coding: &str| Request::get(name).accept(coding);
    server.until_hit(&fast("/warm.js", "gzip"));
    let before = server.descriptors();

    let readers = |name: &str, coding: &str| -> Vec<TcpStream> {
        let request =
            format!("GET {name} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {coding}\r\n\r\n");
        (0..EACH).map(|_| send(server.address(), request.as_bytes())).collect()
    };
    let mut crowd = Vec::new();
    for (what, name, coding, source) in [
        ("identity", "/warm.js", "identity", &warm),
        ("warm gzip", "/warm.js", "gzip", &warm),
        ("cold zstd", "/cold.js", "zstd", &cold),
    ] {
        let readers = readers(name, coding);
        // Each has its first bytes, and lets the rest wait.
        for mut stream in &readers {
            let mut first = [0; 1024];
            stream.read_exact(&mut first).unwrap();
            assert!(first.starts_with(b"HTTP/1.1 200 OK\r\n"));
        }
        crowd.extend(readers);
        let all = crowd.len();
        let started = Instant::now();
        assert_is(&server.fetch(&fast(name, coding)), source, coding);
        println!("a fast client among {all} slow ones: 30 MB in {:?}", started.elapsed());
        // Two pieces of 64 KiB, 24 KiB for the connection itself, and 64 MiB.
        let bound = (all as u64 * 152) / MIB + 64;
        assert_memory(&server, &format!("{all} slow readers, the last of {what}"), bound);
    }
    // No client made the server encode again.
    assert_eq!(server.encodes(), 2);
    drop(crowd);
    until_free(&server, before);
}

/// The kernel kept 128 connections until they were accepted. Those of a larger crowd waited for
/// seconds, also once it had gone. Half of the descriptors were for connections, but each stream of
/// an HTTP/2 connection could hold a file of its own. Two clients could use up all of 256.
#[test]
fn few_descriptors_are_shared_and_never_used_up() {
    let big = site::random(4, 8 << 20);
    let site = Site::with("big.bin", &big);
    let source = site::text(5, 400_000);
    site.write("app.js", &source);
    let server = launch(&site).args("--write-timeout 2s").open_files(256).start();
    server.until_hit(&Request::get("/app.js").accept("gzip"));
    let before = server.descriptors();

    // Every stream of three connections asks for the large file and takes none of it.
    let greedy: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = frames::connect(server.address(), &[(4, 0)]).unwrap();
            for index in 0..128 {
                stream.write_all(&frames::get(2 * index + 1, "/big.bin", &[])).unwrap();
            }
            stream
        })
        .collect();
    // A crowd that exceeds the free descriptors comes beside it.
    let crowd: Vec<_> = (0..400).map(|_| connect(server.address())).collect();
    let most = eventually("the greedy have all they can get", || {
        Some(server.descriptors()).filter(|open| *open > 120)
    });
    println!("{most} descriptors of 256 at the height of it");
    drop(crowd);
    // A client may get no turn meanwhile, and then 503. No client hangs and no connection breaks.
    let answer = server.get("/app.js", "gzip");
    match answer.status() {
        503 => assert_eq!(answer.header("retry-after"), Some("1")),
        _ => assert_is(&answer, &source, "gzip"),
    }
    // Every client is served once the greedy ones are given up.
    eventually("turns are free again", || {
        let answer = server.get("/app.js", "gzip");
        (answer.status() == 200).then(|| assert_is(&answer, &source, "gzip"))
    });
    drop(greedy);
    until_free(&server, before);
    let stderr = server.stderr();
    assert!(!stderr.contains("cannot accept") && !stderr.contains("os error 24"), "{stderr}");
    assert_memory(&server, "few descriptors", 64);
}

/// The time that a request waits for its turn.
const TURN: Duration = Duration::from_secs(1);

#[test]
fn requests_beyond_the_limit_wait_and_then_get_503() {
    let big = site::random(6, 8 << 20);
    let site = Site::with("big.bin", &big);
    site.write("app.js", &site::text(7, 5000));
    let server = start_with(&site, "--max-open-files 4");
    let ask = b"GET /big.bin HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut holders: Vec<_> = (0..4).map(|_| send(server.address(), ask)).collect();
    for holder in &mut holders {
        let mut first = [0; 12];
        holder.read_exact(&mut first).unwrap();
    }
    for protocol in Protocol::ALL {
        let refused = server.fetch_over(protocol, &Request::get("/app.js").accept("gzip"));
        assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("1")));
    }
    // A request that waits gets the turn of a holder that leaves, and is refused only if that took
    // longer than a request waits.
    loop {
        let (waited, took) = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| server.get("/app.js", "gzip"));
            let left = Instant::now();
            holders.pop();
            (waiting.join().unwrap(), left.elapsed())
        });
        if waited.status() == 200 {
            break;
        }
        assert!(took > TURN, "{} after {took:?}", waited.status());
        assert!(!holders.is_empty(), "no turn of a holder that left was taken");
    }
}

#[test]
fn connections_beyond_the_limit_wait_for_others_to_end() {
    let site = Site::with("app.js", &site::text(8, 5000));
    let server = start_with(&site, "--max-connections 8");
    let before = server.descriptors();
    let mut crowd: Vec<_> = (0..40).map(|_| connect(server.address())).collect();
    for stream in &mut crowd {
        stream.write_all(b"HEAD /app.js HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
    // The order of the connections depends on the accepting threads.
    let mut served = Vec::new();
    let limit = Instant::now() + PATIENCE;
    while served.len() < 8 && Instant::now() < limit {
        take_served(&mut crowd, &mut served);
    }
    std::thread::sleep(Duration::from_millis(200));
    take_served(&mut crowd, &mut served);
    assert_eq!(served.len(), 8, "served at once");
    assert!(server.descriptors() <= before + 8 + 8, "{}", server.descriptors());
    drop(served);
    let mut first = [0; 12];
    crowd[0].set_nonblocking(false).unwrap();
    // The place of this connection in line is unknown, so all others have to have their turn.
    let (one, others) = crowd.split_first_mut().unwrap();
    for other in others {
        other.shutdown(std::net::Shutdown::Both).unwrap();
    }
    one.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

/// Moves the answered connections of `crowd` to `served`.
fn take_served(crowd: &mut Vec<TcpStream>, served: &mut Vec<TcpStream>) {
    let has_answer = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        stream.peek(&mut [0]).is_ok()
    };
    served.extend(crowd.extract_if(.., has_answer));
}

/// CVE-2009-1891: work for clients that had left went on without a bound.
#[test]
fn clients_that_ask_and_hang_up_leave_bounded_work() {
    let site = Site::new();
    for file in 0..200 {
        site.write(&format!("{file}.js"), &site::text(100 + file, 100_000));
    }
    site.write("app.js", &site::text(9, 5000));
    let arguments = "--queue 8 --encode-threads 2 --level br=11 --patience 50ms";
    let server = Launch::new(PROGRAM, site.path()).args(arguments).start();
    let before = server.descriptors();
    for file in 0..200 {
        let request = format!("GET /{file}.js HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\n\r\n");
        drop(send(server.address(), request.as_bytes()));
        if file % 20 == 19 {
            let queue = server.metric("cachecompress_queue_length", &[]);
            assert!(queue <= 8.0, "{queue} encodes wait");
        }
    }
    let answer = server.get("/app.js", "gzip");
    assert_eq!(answer.status(), 200);
    server.until_idle();
    // Eight encodes wait and two run. Some of them end meanwhile, and others take their places.
    println!("{} encodes for 200 clients that left", server.encodes());
    assert!(server.encodes() < 100, "{} encodes", server.encodes());
    until_free(&server, before);
    assert_memory(&server, "clients that hang up", 192);
}

/// The 65th connection waited until one of the others left.
#[test]
fn idle_admin_connections_keep_nobody_from_healthz() {
    let site = Site::with("app.js", &site::text(8, 300));
    let server = start_with(&site, "--header-timeout 1h --idle-timeout 1h");
    let before = server.descriptors();
    let mut crowd: Vec<_> = (0..150)
        .map(|number| {
            let start = if number % 2 == 0 { &b"GET / HT"[..] } else { b"" };
            send(server.admin(), start)
        })
        .collect();
    for _ in 0..100 {
        let answer = cachecompress_test::client::fetch(server.admin(), &Request::get("/healthz"));
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert!(server.descriptors() < before + 80, "{before} {}", server.descriptors());
    // The newest of the crowd may still ask; the oldest was closed.
    assert!(rest(&mut crowd[0]).is_empty());
}
