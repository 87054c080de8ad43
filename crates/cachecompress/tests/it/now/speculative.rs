//! Encodes that begin while their source is still hashed.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use cachecompress::codec::PIECE;
use cachecompress::fs::{DiskFile, FileKind, Fingerprint, Stat};
use cachecompress::source::{Found, SourceFile};
use cachecompress::{Builder, Cache, Error, ServeCompressed, Source, SourcePath};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Fault, Pack, coding};
use cachecompress_test::service::{self, Answer, LONG, encodes, get_as, request, send};
use cachecompress_test::site::hex;
use cachecompress_test::wait::{HELD, until};
use tokio::task::JoinHandle;

/// Runs a test on at least two cores, because nothing is encoded ahead on one.
fn run(test: impl Future<Output = ()>) {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        service::run(test);
    } else {
        cachecompress_test::decode::skipped("two cores are needed");
    }
}

/// A length a little above the least that is encoded ahead.
const LEN: usize = (8 << 20) + 1000;
const PIECES: u64 = LEN.div_ceil(PIECE) as u64;

static BEFORE: LazyLock<Vec<u8>> = LazyLock::new(|| hex(LEN, 1));
static AFTER: LazyLock<Vec<u8>> = LazyLock::new(|| hex(LEN, 2));

/// Large files whose hashes can be held.
#[derive(Clone, Debug, Default)]
struct Files(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<bool>,
    let_go: Condvar,
    hashing: AtomicUsize,
    changed: AtomicBool,
    /// Whether the files have changed without a change of their fingerprints.
    changed_silently: AtomicBool,
}

impl Files {
    /// Holds the hashes from now on.
    fn hold(&self) {
        *self.0.held.lock().unwrap() = true;
    }

    fn let_go(&self) {
        *self.0.held.lock().unwrap() = false;
        self.0.let_go.notify_all();
    }

    /// The number of hashes that have begun.
    fn hashing(&self) -> usize {
        self.0.hashing.load(SeqCst)
    }

    fn wait(&self) {
        let held = self.0.held.lock().unwrap();
        drop(self.0.let_go.wait_timeout_while(held, HELD, |held| *held).unwrap());
    }

    fn file(&self, name: &str) -> LargeFile {
        let len = if name.contains("short") { 8 << 20 >> 1 } else { LEN };
        LargeFile {
            files: self.clone(),
            len,
            inode: name.len() as u64,
            is_held: !name.contains("short"),
            is_new: name.contains("new"),
            is_other: name.contains("other"),
        }
    }
}

#[derive(Debug)]
struct LargeFile {
    files: Files,
    len: usize,
    inode: u64,
    is_held: bool,
    is_new: bool,
    is_other: bool,
}

impl LargeFile {
    fn fingerprint(&self) -> Fingerprint {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let old = 1_600_000_000_000_000_000 + i128::from(self.files.0.changed.load(SeqCst));
        // The age of a file whose next change may not show in its times.
        let time = if self.is_new { (now as i128) - 1_000_000_000 } else { old };
        let size = self.len as u64;
        Fingerprint { device: 1, inode: self.inode, size, modified: time, changed: time }
    }
}

impl Source for Files {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        let file = self.file(&path.to_string_lossy());
        let fingerprint = file.fingerprint();
        let mut file = SourceFile::from_disk_file(Arc::new(file), fingerprint);
        // Without a time there is no Last-Modified, and identity has one validator.
        file.modified = None;
        Ok(Found::File(file))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

impl DiskFile for LargeFile {
    fn stat(&self) -> io::Result<Stat> {
        Ok(Stat { kind: FileKind::Regular, fingerprint: self.fingerprint() })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // An encode reads pieces, and a hash reads more at once.
        if buffer.len() > PIECE && self.is_held {
            self.files.0.hashing.fetch_add(usize::from(offset == 0), SeqCst);
            self.files.wait();
        }
        let shared = &self.files.0;
        let is_other =
            self.is_other || shared.changed.load(SeqCst) || shared.changed_silently.load(SeqCst);
        let bytes = if is_other { &AFTER } else { &BEFORE };
        let rest = bytes[..self.len].get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

fn builder(files: &Files, pack: &Pack, cache: &Cache) -> Builder {
    ServeCompressed::builder(files.clone())
        .encoder(coding(), Arc::new(pack.clone()))
        .cache(cache.clone())
        .encode_threads(2)
        .patience(LONG)
}

fn service(files: &Files, pack: &Pack, cache: &Cache) -> ServeCompressed {
    builder(files, pack, cache).build().unwrap()
}

fn cache() -> Cache {
    Cache::in_memory(256 << 20)
}

/// A request under way.
fn ask(service: &ServeCompressed, path: &'static str) -> JoinHandle<Answer> {
    let service = service.clone();
    tokio::spawn(async move { get_as(&service, path, "x-pack").await })
}

/// An encoder whose pieces are counted and not held.
fn counted() -> (Pack, Arc<Gate>) {
    let gate = Gate::new();
    gate.open_wide();
    (Pack::gated(&gate), gate)
}

/// A service over `files`, and a request for `/a.txt` under way whose hash is held.
fn ask_with_held_hash(files: &Files, pack: &Pack) -> (ServeCompressed, JoinHandle<Answer>) {
    let service = service(files, pack, &cache());
    files.hold();
    let asked = ask(&service, "/a.txt");
    (service, asked)
}

/// Asks for `path` while its hash is held, and asserts that `ahead` encodings begin meanwhile.
async fn ask_counted(
    (files, pack): (&Files, &Pack),
    service: &ServeCompressed,
    path: &'static str,
    ahead: usize,
) -> Answer {
    let begun = pack.begun();
    files.hold();
    let (hashing, asked) = (files.hashing(), ask(service, path));
    until(|| files.hashing() > hashing && pack.begun() >= begun + ahead).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(pack.begun(), begun + ahead, "{path}");
    files.let_go();
    asked.await.unwrap()
}

#[test]
fn speculative_encode_is_taken_over_after_the_hash() {
    run(async {
        let (pack, gate) = counted();
        let files = Files::default();
        let warmed = service(&files, &pack, &cache());
        let path = SourcePath::root().join("a.txt");
        assert_eq!(warmed.warm([path], |_| {}).await.failed, 0);
        assert_eq!(gate.arrived(), PIECES);
        let expected = get_as(&warmed, "/a.txt", "x-pack").await;
        assert_eq!(expected.cache(), "hit");

        let (pack, gate) = counted();
        let (service, asked) = ask_with_held_hash(&files, &pack);
        // The last piece is left for the encode that is proven.
        until(|| gate.arrived() == PIECES - 1).await;
        assert!(!asked.is_finished(), "nothing leaves that has no name");
        files.let_go();
        let answer = asked.await.unwrap();
        assert!(answer.bytes() == expected.bytes(), "the same bytes, whenever it begins");
        assert_eq!((gate.arrived(), pack.begun()), (PIECES, 2), "nothing is encoded twice");
        assert_eq!(get_as(&service, "/a.txt", "x-pack").await.cache(), "hit");
    });
}

/// A start with a full cache. Without the rule, every first request for a large file would encode
/// for nothing.
#[test]
fn useless_speculative_encode_stops_others_until_one_is_needed() {
    run(async {
        let (files, cache) = (Files::default(), cache());
        let stored = service(&files, &counted().0, &cache);
        get_as(&stored, "/stored.txt", "x-pack").await;

        let pack = Pack::new();
        let service = service(&files, &pack, &cache);
        let fixture = (&files, &pack);
        for (path, ahead) in [
            ("/stored.txt", 2),
            // The same bytes at other paths.
            ("/stored-too.txt", 0),
            ("/stored-as-well.txt", 0),
            ("/stored-here.txt", 0),
        ] {
            let answer = ask_counted(fixture, &service, path, ahead).await;
            assert_eq!(answer.cache(), "hit", "{path}");
        }
        // Another content has to be encoded.
        let begun = pack.begun();
        let short = get_as(&service, "/short.txt", "x-pack").await;
        assert_eq!((short.cache(), pack.begun()), ("stored", begun + 2));
        for (path, ahead) in [("/other.txt", 0), ("/another.txt", 2)] {
            let answer = ask_counted(fixture, &service, path, ahead).await;
            assert!(answer.decoded() == *AFTER, "{path}");
        }
    });
}

#[test]
fn speculative_encode_stops_when_its_client_leaves() {
    run(async {
        let gate = Gate::new();
        let (files, pack) = (Files::default(), Pack::gated(&gate));
        let service = service(&files, &pack, &cache());
        let idle = Arc::strong_count(&pack.begun);
        files.hold();
        let asked = ask(&service, "/a.txt");
        until(|| gate.arrived() == 1).await;
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        files.let_go();
        // No request waits for this hash; the next one waits for another.
        let identity = get_as(&service, "/a.txt", "identity").await;
        assert!(identity.bytes() == *BEFORE);
        gate.open(2);
        until(|| Arc::strong_count(&pack.begun) == idle).await;
        assert!(gate.arrived() < 4, "it stops at the next piece");
    });
}

#[test]
fn speculative_encode_of_a_changed_file_is_dropped() {
    run(async {
        let (pack, gate) = counted();
        let files = Files::default();
        let (_service, asked) = ask_with_held_hash(&files, &pack);
        until(|| gate.arrived() > 3).await;
        files.0.changed.store(true, SeqCst);
        files.let_go();
        assert!(asked.await.unwrap().decoded() == *AFTER);
        assert_eq!(pack.begun(), 4, "both begin twice, the sample and the file");
    });
}

/// A mapped file, or one on a network, may change without a trace. The encoder was blamed for that,
/// by a verdict that outlived the process.
#[test]
fn encoder_is_not_blamed_for_a_silent_change_of_its_source() {
    run(async {
        for while_hashed in [true, false] {
            let gate = Gate::new();
            let (files, pack, cache) = (Files::default(), Pack::gated(&gate), cache());
            let first = service(&files, &pack, &cache);
            files.hold();
            let asked = ask(&first, "/a.txt");
            gate.open(3);
            until(|| gate.arrived() > 3).await;
            if while_hashed {
                files.0.changed_silently.store(true, SeqCst);
                files.let_go();
            } else {
                files.let_go();
                while encodes(&first, "x-pack") == 0 {
                    gate.open(1);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                files.0.changed_silently.store(true, SeqCst);
            }
            gate.open_wide();
            asked.await.unwrap().is_exact_or_aborted(&AFTER);
            for service in [first, service(&files, &pack, &cache)] {
                let answer = get_as(&service, "/a.txt", "x-pack").await;
                assert_eq!(answer.coding(), "x-pack", "{while_hashed}, {}", answer.cache());
                assert!(answer.decoded() == *AFTER);
            }
        }
    });
}

/// Each speculative encode may keep 8 MiB.
#[test]
fn speculative_encodes_run_one_at_a_time() {
    run(async {
        let gate = Gate::new();
        // The encoder's output comes at its end, so no response begins before.
        let (files, pack) = (Files::default(), Pack { late: true, ..Pack::gated(&gate) });
        let service = builder(&files, &pack, &cache()).encode_threads(3).build().unwrap();
        files.hold();
        let first = ask(&service, "/a.txt");
        until(|| gate.arrived() == 1).await;
        files.let_go();
        while encodes(&service, "x-pack") == 0 {
            gate.open(1);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The encode has been taken over. Threads to hash and to encode are free.
        files.hold();
        let (hashing, second) = (files.hashing(), ask(&service, "/aa.txt"));
        until(|| files.hashing() > hashing).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(pack.begun(), 2);
        files.let_go();
        gate.open_wide();
        for asked in [first, second] {
            assert!(asked.await.unwrap().decoded() == *BEFORE);
        }
        // The next encode may begin.
        files.hold();
        let (begun, third) = (pack.begun(), ask(&service, "/aaa.txt"));
        until(|| pack.begun() == begun + 2).await;
        files.let_go();
        assert!(third.await.unwrap().decoded() == *BEFORE);
    });
}

#[test]
fn failed_speculative_encode_fails_the_encode_after_it() {
    run(async {
        for fault in [Fault::ErrorAtBegin, Fault::Error, Fault::Panic, Fault::DropByte] {
            let (files, pack) = (Files::default(), Pack::broken(fault, 1));
            let (service, asked) = ask_with_held_hash(&files, &pack);
            until(|| pack.begun() == 2).await;
            files.let_go();
            asked.await.unwrap().is_exact_or_aborted(&BEFORE);
            let after = get_as(&service, "/a.txt", "x-pack").await;
            assert_eq!((after.coding(), after.cache()), ("", "encoder"), "{fault:?}");
            assert!(after.bytes() == *BEFORE, "{fault:?}");
        }
    });
}

#[test]
fn speculative_encode_without_a_decoder_is_hashed() {
    run(async {
        let (pack, gate) = counted();
        let pack = Pack { decoder: false, ..pack };
        let files = Files::default();
        let (_service, asked) = ask_with_held_hash(&files, &pack);
        until(|| gate.arrived() > 3).await;
        files.let_go();
        assert!(asked.await.unwrap().decoded() == *BEFORE);
        assert_eq!((gate.arrived(), pack.begun()), (PIECES, 2));
    });
}

/// The requests differ in the method, the type, the age of the file, and the fields.
#[test]
fn speculative_encode_does_not_begin_for_unlikely_coding() {
    run(async {
        let accept = ("accept-encoding", "x-pack");
        let files = Files::default();
        for (method, path, fields) in [
            ("GET", "/a.txt", &[][..]),
            ("GET", "/a.txt", &[("accept-encoding", "x-pack;q=0, gzip;q=0")]),
            ("GET", "/a.png", &[accept]),
            ("GET", "/new.txt", &[accept]),
            ("HEAD", "/a.txt", &[accept]),
            ("GET", "/a.txt", &[accept, ("range", "bytes=0-1")]),
            ("GET", "/a.txt", &[accept, ("if-none-match", "\"x\"")]),
            ("GET", "/a.txt", &[accept, ("if-match", "\"x\"")]),
            ("GET", "/a.txt", &[accept, ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")]),
        ] {
            let pack = Pack::new();
            let service = service(&files, &pack, &cache());
            files.hold();
            let (hashing, clone) = (files.hashing(), service.clone());
            let request = request(method, path, fields);
            let asked = tokio::spawn(async move { send(&clone, request).await });
            until(|| files.hashing() > hashing).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(pack.begun(), 0, "{method} {path} {fields:?}");
            files.let_go();
            asked.await.unwrap();
        }
    });
}

#[test]
fn encode_does_not_wait_for_a_speculative_one() {
    run(async {
        let gate = Gate::new();
        let (files, pack) = (Files::default(), Pack::gated(&gate));
        let (service, ahead) = ask_with_held_hash(&files, &pack);
        until(|| gate.arrived() == 1).await;
        // The speculative encode has the only thread for large files.
        let short = ask(&service, "/other-short.txt");
        until(|| service.metrics().queue_length == 1).await;
        gate.open(1);
        until(|| pack.begun() == 4).await;
        gate.open_wide();
        assert!(!short.await.unwrap().decoded().is_empty());
        files.let_go();
        assert!(ahead.await.unwrap().decoded() == *BEFORE);
    });
}

/// The encode's output would wait in memory for longer than it saves.
#[test]
fn speculative_encode_does_not_begin_for_a_hash_that_waits() {
    run(async {
        let (files, pack) = (Files::default(), Pack::new());
        let service = service(&files, &pack, &cache());
        files.hold();
        let clone = service.clone();
        let first = tokio::spawn(async move { get_as(&clone, "/a.txt", "identity").await });
        until(|| files.hashing() == 1).await;
        let second = ask(&service, "/aa.txt");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(pack.begun(), 0);
        files.let_go();
        for asked in [first, second] {
            assert!(asked.await.unwrap().decoded() == *BEFORE);
        }
    });
}

/// A waiting speculative encode would fill the queue of encodes that requests wait for.
#[test]
fn speculative_encode_does_not_wait_for_a_thread() {
    run(async {
        let gate = Gate::new();
        let (files, pack) = (Files::default(), Pack::gated(&gate));
        let service = service(&files, &pack, &cache());
        let short = ask(&service, "/other-short.txt");
        until(|| gate.arrived() == 1).await;
        files.hold();
        let (hashing, asked) = (files.hashing(), ask(&service, "/a.txt"));
        until(|| files.hashing() > hashing).await;
        assert_eq!(service.metrics().queue_length, 0);
        files.let_go();
        gate.open_wide();
        for asked in [short, asked] {
            assert!(!asked.await.unwrap().decoded().is_empty());
        }
        assert_eq!(pack.begun(), 4, "two files, each with its sample");
    });
}
