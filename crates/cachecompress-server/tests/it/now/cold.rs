//! The first requests for a file, which one encode serves at once.

use std::collections::HashMap;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use crate::common::*;

const MIB: usize = 1 << 20;

/// The response to one of many clients. Equal bodies are kept once.
struct Seen {
    response: Response,
    body: Arc<Vec<u8>>,
}

/// Sends a request from `count` clients on connections of their own at the same moment.
fn crowd(server: &Server, count: usize, request: &Request) -> Vec<Seen> {
    let barrier = Arc::new(Barrier::new(count));
    let bodies = Arc::new(Mutex::new(HashMap::<[u8; 32], Arc<Vec<u8>>>::new()));
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let (barrier, bodies) = (Arc::clone(&barrier), Arc::clone(&bodies));
            let (address, request) = (server.address(), request.clone());
            thread::spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                barrier.wait();
                connection.send(&request).unwrap();
                let mut response = connection.receive("GET").unwrap();
                let body = std::mem::take(&mut response.body);
                let digest = decode::sha256(&body);
                let mut bodies = bodies.lock().unwrap();
                let body = Arc::clone(bodies.entry(digest).or_insert_with(|| Arc::new(body)));
                Seen { response, body }
            })
        })
        .collect();
    clients.into_iter().map(|client| client.join().unwrap()).collect()
}

/// Asserts that every client got exactly `source`. Returns the number of those that got it in
/// `coding`. Equal bodies are decoded once.
fn assert_all_exact(seen: &[Seen], source: &[u8], coding: &str) -> usize {
    let mut judged: Vec<(*const Vec<u8>, &str)> = Vec::new();
    let mut coded = 0;
    for one in seen {
        let response = &one.response;
        assert_eq!(response.status(), 200, "{:?}", response.head);
        assert_eq!(response.end, End::Clean, "{:?}", response.head);
        assert!([coding, "identity"].contains(&response.coding()), "{:?}", response.head);
        assert_tag(response.etag(), source, response.coding());
        assert_varies(response);
        coded += usize::from(response.coding() == coding);
        let this = (Arc::as_ptr(&one.body), response.coding());
        if !judged.contains(&this) {
            let decoded = decode::decode(response.coding(), &one.body).unwrap();
            assert!(decoded == source, "other bytes than the file's, {:?}", response.head);
            judged.push(this);
        }
    }
    assert!(judged.len() <= 2, "{} different bodies for one content", judged.len());
    coded
}

fn outcomes(seen: &[Seen], status: &str) -> usize {
    seen.iter().filter(|one| one.response.cache_status() == status).count()
}

#[test]
fn parallel_cold_requests_share_and_stream_one_encode() {
    let source = site::text(1, 30_000_000);
    let site = Site::with("app.js", &source);
    // Level 9 is slow enough that the first bytes must come long before the last.
    let server = start_with(&site, "--level zstd=9");
    let request = Request::get("/app.js").accept("zstd");
    let seen = crowd(&server, 60, &request);

    assert_eq!(assert_all_exact(&seen, &source, "zstd"), 60);
    assert_eq!(server.metric("cachecompress_encodes_total", &[("coding", "zstd")]), 1.0);
    assert_eq!(server.encodes(), 1);
    assert_eq!(outcomes(&seen, STORED), 1, "one of them leads");
    assert_eq!(outcomes(&seen, COLLAPSED) + outcomes(&seen, HIT), 59, "the others follow");
    for one in seen.iter().filter(|one| !one.response.is_hit()) {
        let response = &one.response;
        let first = response.first_byte.unwrap() - response.sent;
        let last = response.last_byte - response.sent;
        assert!(first * 2 <= last, "first byte after {first:?}, last after {last:?}");
    }

    let again = server.until_hit(&request);
    assert_is(&again, &source, "zstd");
    assert_eq!(again.body, *seen[0].body, "the stored bytes are the streamed ones");
    assert_eq!(again.framing, Framing::Length(again.body.len() as u64));
    assert_eq!(server.encodes(), 1);
}

#[test]
fn cold_crowd_shares_one_encode_with_the_default_patience() {
    let source = site::binary(2, 8_000_000);
    let site = Site::with("program", &source);
    let server = Launch::new(PROGRAM, site.path()).start();
    let seen = crowd(&server, 30, &Request::get("/program").accept("br, zstd, gzip"));
    let coding = seen
        .iter()
        .map(|one| one.response.coding())
        .find(|coding| *coding != "identity")
        .unwrap_or("zstd")
        .to_owned();
    assert_all_exact(&seen, &source, &coding);
    // A response without the coding states the reason.
    for one in seen.iter().filter(|one| one.response.coding() == "identity") {
        let status = one.response.cache_status();
        assert!(status.starts_with("cachecompress; fwd=bypass; detail="), "{status}");
    }
    assert_eq!(server.encodes(), 1);
}

#[test]
fn cold_crowd_shares_one_encode_in_each_coding() {
    let source = site::text(3, 4 * MIB + 12_345);
    let site = Site::with("page.html", &source);
    let server = start(&site);
    for coding in CODINGS {
        let seen = crowd(&server, 8, &Request::get("/page.html").accept(coding));
        assert_eq!(assert_all_exact(&seen, &source, coding), 8, "{coding}");
        assert_eq!(server.metric("cachecompress_encodes_total", &[("coding", coding)]), 1.0);
        if coding != "deflate" {
            let decoded = decode::decode_by_program(coding, &seen[0].body);
            assert!(decoded.is_none_or(|decoded| decoded == source), "{coding} by its program");
        }
    }
}

#[test]
fn first_byte_leaves_while_the_encode_runs() {
    let source = site::text(4, 24 * MIB);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--level gzip=9");
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(&Request::get("/app.js").accept("gzip")).unwrap();
    let head = connection.receive_head().unwrap();
    connection.wait_for_bytes(1).unwrap();
    let text = server.metrics();
    let metric = |name| cachecompress_test::server::sum(&text, name, &[]);
    assert_eq!(metric("cachecompress_inflight"), 1.0, "the encode runs");
    assert_eq!(metric("cachecompress_entries"), 0.0, "nothing is published yet");
    assert_eq!(head.get("content-length"), None, "the length is not known yet");
    let response = connection.receive_body("GET", head);
    assert_eq!(response.framing, Framing::Chunked);
    assert_is(&response, &source, "gzip");
}

#[test]
fn first_byte_leaves_while_the_encode_runs_over_http_2() {
    let source = site::text(5, 24 * MIB);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--level gzip=9");
    let request = Request::get("/app.js").accept("gzip");
    let response = server.fetch_over(Protocol::Http2, &request);
    assert_is(&response, &source, "gzip");
    assert_eq!(response.cache_status(), STORED);
    let first = response.first_byte.unwrap() - response.sent;
    let last = response.last_byte - response.sent;
    assert!(first * 2 <= last, "first byte after {first:?}, last after {last:?}");
}

/// An aborting client must spoil neither the answers to others (cherokee 1124) nor the entry
/// (keycloak 14510).
#[test]
fn first_client_hangs_up_without_harm_to_others() {
    let source = site::text(6, 16 * MIB);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--level gzip=9");
    let request = Request::get("/app.js").accept("gzip");
    let mut first = Connection::open(server.address()).unwrap();
    first.send(&request).unwrap();
    let head = first.receive_head().unwrap();
    assert_eq!(head.get("cache-status"), Some(STORED), "it leads");
    first.wait_for_bytes(1).unwrap();
    let address = server.address();
    let follower = {
        let request = request.clone();
        let mut connection = Connection::open(address).unwrap();
        connection.send(&request).unwrap();
        let head = connection.receive_head().unwrap();
        assert_eq!(head.get("cache-status"), Some(COLLAPSED), "it follows");
        thread::spawn(move || connection.receive_body("GET", head))
    };
    drop(first);
    let seen = crowd(&server, 5, &request);
    assert_eq!(assert_all_exact(&seen, &source, "gzip"), 5);
    assert_is(&follower.join().unwrap(), &source, "gzip");
    assert_is(&server.until_hit(&request), &source, "gzip");
    assert_eq!(server.encodes(), 1);
}

#[test]
fn next_client_hits_after_the_only_one_hung_up() {
    let source = site::text(7, 4 * MIB);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    let request = Request::get("/app.js").accept("gzip");
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(&request).unwrap();
    eventually("an encode begins", || (server.encodes() == 1).then_some(()));
    drop(connection);
    eventually("an entry", || (server.entries() == 1).then_some(()));
    let response = server.fetch(&request);
    assert_eq!(response.cache_status(), HIT);
    assert_is(&response, &source, "gzip");
    assert_eq!(server.encodes(), 1);
}

#[test]
fn client_that_does_not_read_delays_no_other_client() {
    let source = site::random(8, 3 * MIB);
    let text = site::text(8, 12 * MIB);
    let site = Site::with("app.js", &text);
    site.write("data.bin", &source);
    let server = start(&site);
    let request = Request::get("/app.js").accept("zstd");
    let mut idle = Connection::open(server.address()).unwrap();
    idle.send(&request).unwrap();
    let seen = crowd(&server, 3, &request);
    assert_eq!(assert_all_exact(&seen, &text, "zstd"), 3);
    assert_is(&server.get("/data.bin", "identity"), &source, "identity");
    // The idle client gets all of it when it reads at last.
    assert_is(&idle.receive("GET").unwrap(), &text, "zstd");
    assert_eq!(server.encodes(), 1);
}

#[test]
fn small_files_have_a_length_on_the_first_request() {
    let source = site::text(9, 40_000);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    for coding in CODINGS {
        let cold = server.get("/app.js", coding);
        assert_is(&cold, &source, coding);
        assert_eq!(cold.cache_status(), STORED, "{coding}");
        assert!(matches!(cold.framing, Framing::Length(_)), "{coding}: {:?}", cold.head);
        let warm = server.until_hit(&Request::get("/app.js").accept(coding));
        assert_is(&warm, &source, coding);
        assert_eq!(warm.body, cold.body, "{coding}");
        assert_eq!(warm.etag(), cold.etag(), "{coding}");
    }
    assert_eq!(server.encodes(), 4);
    assert_eq!(server.entries(), 4);
}

/// An encode holds its encoder, its decoder, and the bytes between the two. The length of the
/// source and the speed of the readers change nothing of that.
#[cfg(target_os = "linux")]
#[test]
fn encode_memory_does_not_grow_with_the_source() {
    for (coding, bound) in [("zstd", 24), ("gzip", 8), ("br", 36)] {
        let more_at_peak = |mib| {
            let source = site::binary(11, mib * MIB);
            let site = Site::with("program", &source);
            // One source is spread over at most so many threads.
            let server = start_with(&site, "--encode-threads 2");
            let request = Request::get("/program").accept(coding);
            let idle = server.memory().peak / 1024;
            let mut slow = Connection::open(server.address()).unwrap();
            slow.send(&request).unwrap();
            let response = server.fetch(&request);
            assert_is(&response, &source, coding);
            let more = server.memory().peak / 1024 - idle;
            println!("{coding}: {more} MiB more than {idle} MiB, for a source of {mib} MiB");
            assert_is(&slow.receive("GET").unwrap(), &source, coding);
            assert_eq!(server.encodes(), 1);
            more
        };
        let (small, large) = (more_at_peak(16), more_at_peak(64));
        assert!(large <= small + 8, "{coding}: {small} MiB, then {large} MiB");
        assert!(large <= bound, "{coding}: {large} MiB, more than {bound}");
    }
}

/// HTTP/1.0 has no chunks, so the end of a growing body could not be told from an abort.
#[test]
fn http_1_0_never_joins_a_growing_body() {
    let source = site::text(10, 48 * MIB);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--level gzip=9 --patience 200ms");
    let mut leader = Connection::open(server.address()).unwrap();
    // The leader refuses identity, so that it outwaits the patience on a busy machine.
    leader.send(&Request::get("/app.js").accept("gzip, identity;q=0")).unwrap();
    let head = leader.receive_head().unwrap();
    let old = Request::get("/app.js").accept("gzip").http10();
    let response = server.fetch(&old);
    assert_is(&response, &source, "identity");
    assert_eq!(response.framing, Framing::Length(source.len() as u64));
    assert_is(&leader.receive_body("GET", head), &source, "gzip");
    let response = server.until_hit(&old);
    assert_is(&response, &source, "gzip");
    assert!(matches!(response.framing, Framing::Length(_)), "{:?}", response.head);
    assert_eq!(server.encodes(), 1);
}

#[test]
fn cold_files_requested_at_once_are_exact() {
    let site = Site::new();
    let files: Vec<Vec<u8>> = (0..24)
        .map(|at| match at % 3 {
            0 => site::text(at, 200_000 + at as usize * 1111),
            1 => site::binary(at, 300 + at as usize * 40_000),
            _ => site::text(at, 5000 + at as usize),
        })
        .collect();
    for (at, bytes) in files.iter().enumerate() {
        site.write(&format!("{at}.json"), bytes);
    }
    let server = Launch::new(PROGRAM, site.path()).start();
    thread::scope(|scope| {
        for (at, bytes) in files.iter().enumerate() {
            let server = &server;
            scope.spawn(move || {
                for accept in ["br", "gzip, br;q=0.1", "zstd"] {
                    let response = server.get(&format!("/{at}.json"), accept);
                    assert_eq!(response.status(), 200);
                    assert!(response.decoded() == *bytes, "{at}: {:?}", response.head);
                    assert_tag(response.etag(), bytes, response.coding());
                }
            });
        }
    });
    // The library may have been too busy for some; nothing was encoded twice.
    server.until_idle();
    assert!(server.encodes() <= 3 * files.len() as u64, "{}", server.encodes());
}
