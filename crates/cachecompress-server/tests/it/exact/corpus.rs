//! Real input: npm packages as their authors ship them, and the Rust compiler itself.
//!
//! Both tests print what they measured; `--nocapture` shows it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cachecompress_test::server::sum;
use cachecompress_test::tools;

use crate::common::*;

/// The number of clients that ask at once.
const CLIENTS: usize = 3;

/// The length up to which sources are encoded without a sample first, so that an encode of them may
/// save too little.
const UNSAMPLED: usize = 64 * 1024;

const UNPROFITABLE: &str = "cachecompress; fwd=bypass; detail=unprofitable";
const SMALL: &str = "cachecompress; fwd=bypass; detail=small";

/// A file of the corpus.
struct File {
    target: String,
    bytes: Vec<u8>,
    digest: [u8; 32],
}

/// The responses for one content in one coding.
#[derive(Default)]
struct Made {
    /// The number of first answers that led to an encode.
    led: usize,
    /// The number of first answers that joined an encode or came from an entry.
    shared: usize,
    /// Whether an encode was started and saved too little.
    unprofitable: bool,
    source: usize,
    sent: usize,
}

#[test]
fn npm_packages_are_exact_and_encoded_once() {
    let Some(corpus) = tools::corpus() else { return };
    let files = files_of(&corpus);
    let distinct: HashSet<[u8; 32]> = files.iter().map(|file| file.digest).collect();
    assert!(files.len() > 500, "a corpus of {} files", files.len());
    assert!(distinct.len() < files.len(), "no content occurs twice, which a test here is about");

    let server = Launch::new(PROGRAM, &corpus).args(PATIENT).start();
    println!("{} files, {} contents", files.len(), distinct.len());
    println!("coding    seconds   encodes  identity      source        sent   of it");
    let plain = identity_of(&server, &files);
    println!("{:8} {:8.1}", "identity", plain.as_secs_f64());
    for coding in CODINGS {
        let start = Instant::now();
        let (made, passed) = ask_for_all(&server, &files, coding);
        let started = server.metric("cachecompress_encodes_total", &[("coding", coding)]);
        report(coding, start.elapsed(), started, passed, &made);
        assert!(made.values().all(|one| one.led <= 1), "{coding}: one content, two leaders");
        let encoded = made.values().filter(|one| one.led == 1 || one.unprofitable).count();
        assert_eq!(started, encoded as f64, "{coding}: encodes, and contents that were encoded");
        assert!(encoded > 400 && encoded < files.len(), "{coding}: {encoded} encodes");
        let again: usize = made.values().map(|one| one.shared).sum();
        assert!(again > 0, "{coding}: a content under a second path was not taken from the cache");
    }
    server.until_idle();
    assert_eq!(server.metric("cachecompress_damaged_entries_total", &[]), 0.0);
    assert_eq!(server.metric("cachecompress_evictions_total", &[]), 0.0);
    assert_eq!(server.stderr(), "", "nothing to warn of");
}

/// The 150 MB of the compiler: under the 256 MiB up to which a source is hashed before its first
/// byte leaves, and under a quarter of the cache's default bound of 1 GiB, so every coding is made.
/// All four together take some twelve seconds here, most of it the encoders' own work.
#[test]
fn compiler_is_streamed_and_then_hit_in_every_coding() {
    let Some(library) = compiler() else { return };
    let source = fs::read(&library).unwrap();
    assert!(source.len() > 50_000_000, "{} has {} bytes", library.display(), source.len());
    let target = format!("/{}", library.file_name().unwrap().to_str().unwrap());
    let server = Launch::new(PROGRAM, library.parent().unwrap()).args(PATIENT).start();
    println!("{target}: {} bytes", source.len());
    println!("coding  first byte  last byte  CPU of encode        sent   of it  second time");
    // A browser's field; the server prefers zstd for a source of this length.
    for (accept, coding) in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip", "gzip"),
        ("br", "br"),
        ("deflate", "deflate"),
    ] {
        let request = Request::get(&target).accept(accept);
        let entries = server.entries();
        let mut connection = Connection::open(server.address()).unwrap();
        connection.send(&request).unwrap();
        let sent = Instant::now();
        let head = connection.receive_head().unwrap();
        connection.wait_for_bytes(1).unwrap();
        let first = sent.elapsed();
        let text = server.metrics();
        let metric = |name: &str| sum(&text, name, &[]);
        assert_eq!(head.get("cache-status"), Some(STORED), "{coding}");
        assert_eq!(head.get("content-length"), None, "{coding}: the length is not known yet");
        assert_eq!(metric("cachecompress_inflight"), 1.0, "{coding}: the encode runs");
        assert_eq!(metric("cachecompress_entries"), entries as f64, "{coding}: none for it yet");

        let cold = connection.receive_body("GET", head);
        assert_eq!(cold.framing, Framing::Chunked, "{coding}");
        assert_is(&cold, &source, coding);
        let start = Instant::now();
        let warm = server.fetch(&request);
        let again = start.elapsed();
        assert_eq!(warm.cache_status(), HIT, "{coding}");
        assert_eq!(warm.framing, Framing::Length(cold.body.len() as u64), "{coding}");
        assert_eq!(warm.etag(), cold.etag(), "{coding}");
        assert!(warm.is_clean() && warm.body == cold.body, "{coding}: other bytes than streamed");
        println!(
            "{coding:7} {:8.2} s {:8.2} s {:12.2} s {:>11} {:5.1} % {:10.2} s",
            first.as_secs_f64(),
            (cold.last_byte - sent).as_secs_f64(),
            server.metric("cachecompress_encode_seconds_total", &[("coding", coding)]),
            cold.body.len(),
            share(cold.body.len(), source.len()),
            again.as_secs_f64(),
        );
    }
    assert_eq!(server.encodes(), 4);
}

/// Every file under `directory`, sorted by path.
fn files_of(directory: &Path) -> Vec<File> {
    let mut files = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap();
            let path = entry.path();
            let inside = path.strip_prefix(directory).unwrap().to_str().unwrap();
            let target = format!("/{}", inside.replace('%', "%25").replace(' ', "%20"));
            files.insert(inside.to_owned(), File { target, digest: decode::sha256(&bytes), bytes });
        }
    }
    files.into_values().collect()
}

/// Asks for every file from a few connections at once, in the order of their paths.
fn for_each(server: &Server, files: &[File], ask: impl Fn(&mut Connection, &File) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = Connection::open(server.address()).unwrap();
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    ask(&mut connection, file);
                }
            });
        }
    });
}

fn get(connection: &mut Connection, file: &File, accept: &str) -> Response {
    connection.send(&Request::get(&file.target).accept(accept)).unwrap();
    connection.receive("GET").unwrap_or_else(|error| panic!("{}: {error}", file.target))
}

fn identity_of(server: &Server, files: &[File]) -> Duration {
    let start = Instant::now();
    for_each(server, files, |connection, file| {
        for _ in 0..2 {
            let response = get(connection, file, "identity");
            assert_is(&response, &file.bytes, "identity");
            assert!(is_explained(&response), "{}: {:?}", file.target, response.head);
        }
    });
    assert_eq!(server.encodes(), 0);
    start.elapsed()
}

/// Asks for every file twice. Returns the responses for each content, and the number of files that
/// were sent as they are.
fn ask_for_all(server: &Server, files: &[File], coding: &str) -> (HashMap<[u8; 32], Made>, usize) {
    let made = Mutex::new(HashMap::<[u8; 32], Made>::new());
    let passed = AtomicUsize::new(0);
    for_each(server, files, |connection, file| {
        let cold = get(connection, file, coding);
        // The second request may still join the flight that has just ended.
        let warm = eventually("an end of the flight", || {
            Some(get(connection, file, coding)).filter(|warm| warm.cache_status() != COLLAPSED)
        });
        assert_is(&cold, &file.bytes, cold.coding());
        assert!([coding, "identity"].contains(&cold.coding()), "{:?}", cold.head);
        assert_eq!(warm.status(), 200, "{}: {:?}", file.target, warm.head);
        assert_eq!((warm.coding(), warm.etag()), (cold.coding(), cold.etag()), "{}", file.target);
        assert!(warm.is_clean() && warm.body == cold.body, "{}: other bytes", file.target);
        let why = cold.cache_status();
        let coded = cold.coding() != "identity";
        let expected = match coded {
            true => [STORED, COLLAPSED, HIT].contains(&why) && warm.is_hit(),
            false => [UNPROFITABLE, SMALL].contains(&why) && warm.cache_status() == why,
        };
        assert!(expected, "{}: {why:?}, then {:?}", file.target, warm.cache_status());
        let mut made = made.lock().unwrap();
        let one = made.entry(file.digest).or_default();
        if !coded {
            passed.fetch_add(1, Ordering::Relaxed);
            one.unprofitable = why == UNPROFITABLE && file.bytes.len() <= UNSAMPLED;
            return;
        }
        one.led += usize::from(why == STORED);
        one.shared += usize::from(why != STORED);
        one.source += file.bytes.len();
        one.sent += cold.body.len();
    });
    (made.into_inner().unwrap(), passed.into_inner())
}

/// Whether an identity response states the reason.
fn is_explained(response: &Response) -> bool {
    response.cache_status().starts_with("cachecompress; fwd=bypass; detail=")
}

fn report(
    coding: &str,
    took: Duration,
    encodes: f64,
    passed: usize,
    made: &HashMap<[u8; 32], Made>,
) {
    let source: usize = made.values().map(|one| one.source).sum();
    let sent: usize = made.values().map(|one| one.sent).sum();
    println!(
        "{coding:8} {:8.1} {encodes:9} {passed:9} {source:11} {sent:11} {:5.1} %",
        took.as_secs_f64(),
        share(sent, source),
    );
}

fn share(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

/// The compiler's shared library. If the toolchain has none of that name, prints a loud line and
/// returns `None`.
fn compiler() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let directory = PathBuf::from(sysroot.unwrap_or_default().trim()).join("lib");
    let found = fs::read_dir(&directory).into_iter().flatten().flatten().find(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("librustc_driver-")
    });
    if found.is_none() {
        decode::skipped(&format!("no librustc_driver in {}", directory.display()));
    }
    found.map(|entry| entry.path())
}
