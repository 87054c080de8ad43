//! Responses without a wait, which need no lookup on another thread.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cachecompress::source::Found;
use cachecompress::{Error, ServeCompressed, Source, SourcePath};
use cachecompress_test::gate::Gate;
use cachecompress_test::made::{LONG_AGO, MadeFile};
use cachecompress_test::service::{LONG, get, run};
use cachecompress_test::wait::until;

/// A source of one file, `/file.bin`, or none, which counts its lookups.
#[derive(Clone, Debug, Default)]
struct Counted {
    file: Arc<Mutex<Option<Arc<MadeFile>>>>,
    /// Whether a lookup without a wait finds nothing out.
    waits: bool,
    lookups: Arc<AtomicUsize>,
    /// The gate that holds the reads of the file.
    gate: Option<Arc<Gate>>,
}

/// A length above that of answers from memory.
const LARGE: u64 = 300_000;
impl Counted {
    fn put(&self, byte: u8, time: i128) {
        self.put_long(byte, 10, time);
    }

    fn put_long(&self, byte: u8, len: u64, time: i128) {
        let made = MadeFile::repeated(byte, len).changed(time).held(self.gate.clone());
        *self.file.lock().unwrap() = Some(Arc::new(made));
    }

    fn found(&self, path: &SourcePath) -> Found {
        match &*self.file.lock().unwrap() {
            Some(made) if path.as_bytes() == b"file.bin" => Found::File(made.source()),
            _ => Found::Nothing,
        }
    }

    fn lookups(&self) -> usize {
        self.lookups.swap(0, Ordering::SeqCst)
    }

    /// A service that looks the file up at every request.
    fn serve(&self) -> ServeCompressed {
        ServeCompressed::builder(self.clone()).revalidate(Duration::ZERO).build().unwrap()
    }
}

impl Source for Counted {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        Ok(self.found(path))
    }

    fn lookup_nowait(&self, path: &SourcePath) -> Option<Found> {
        (!self.waits).then(|| self.found(path))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

#[test]
fn missing_path_is_not_looked_up() {
    run(async {
        let source = Counted::default();
        let service = source.serve();
        for path in ["/file.bin", "/missing", "/deep/er/missing"] {
            assert_eq!(get(&service, path, &[]).await.status, 404);
        }
        assert_eq!(source.lookups(), 0);
        source.put(b'a', LONG_AGO);
        assert_eq!(get(&service, "/file.bin", &[]).await.bytes(), [b'a'; 10]);
        *source.file.lock().unwrap() = None;
        assert_eq!(get(&service, "/file.bin", &[]).await.status, 404);
        assert_eq!(source.lookups(), 1);
    });
}

#[test]
fn file_is_looked_up_when_it_is_new_or_changed() {
    run(async {
        let source = Counted::default();
        let service = source.serve();
        source.put(b'a', LONG_AGO);
        for _ in 0..3 {
            assert_eq!(get(&service, "/file.bin", &[]).await.bytes(), [b'a'; 10]);
        }
        assert_eq!(source.lookups(), 1);
        source.put(b'b', LONG_AGO + 1);
        for _ in 0..3 {
            assert_eq!(get(&service, "/file.bin", &[]).await.bytes(), [b'b'; 10]);
        }
        assert_eq!(source.lookups(), 1);
    });
}

/// The fingerprint does not vouch for the bytes, which may have changed again within one tick of
/// the file system's clock.
#[test]
fn unrested_file_is_looked_up_and_read_each_time() {
    run(async {
        let source = Counted::default();
        let service = source.serve();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = i128::try_from(now.as_nanos()).unwrap();
        for byte in *b"abc" {
            source.put(byte, now);
            assert_eq!(get(&service, "/file.bin", &[]).await.bytes(), [byte; 10]);
            assert_eq!(source.lookups(), 1);
        }
    });
}

#[test]
fn source_without_nowait_is_looked_up_for_every_request() {
    run(async {
        let source = Counted { waits: true, ..Counted::default() };
        let service = source.serve();
        source.put(b'a', LONG_AGO);
        for _ in 0..3 {
            assert_eq!(get(&service, "/file.bin", &[]).await.bytes(), [b'a'; 10]);
            assert_eq!(get(&service, "/missing", &[]).await.status, 404);
        }
        assert_eq!(source.lookups(), 6);
    });
}

#[test]
fn unchanged_large_file_is_opened_without_a_lookup() {
    run(async {
        let source = Counted::default();
        let service = source.serve();
        source.put_long(b'a', LARGE, LONG_AGO);
        let identity = [("accept-encoding", "identity")];
        assert!(get(&service, "/file.bin", &identity).await.bytes() == [b'a'; LARGE as usize]);
        source.lookups();
        for _ in 0..3 {
            let part = get(&service, "/file.bin", &[("range", "bytes=5-8")]).await;
            assert_eq!((part.status.as_u16(), part.bytes()), (206, &b"aaaa"[..]));
        }
        assert_eq!(source.lookups(), 0);
        source.put_long(b'b', LARGE, LONG_AGO + 1);
        assert!(get(&service, "/file.bin", &identity).await.bytes() == [b'b'; LARGE as usize]);
        assert_ne!(source.lookups(), 0);
    });
}

/// A file is hashed while it is removed. Within `revalidate` it may still be served. After the
/// first 404 the hash must not bring it back.
#[test]
fn slow_lookup_does_not_bring_back_a_removed_file() {
    run(async {
        let gate = Gate::new();
        let source = Counted { gate: Some(Arc::clone(&gate)), ..Counted::default() };
        source.put(b'a', LONG_AGO);
        let service = ServeCompressed::builder(source.clone()).revalidate(LONG).build().unwrap();
        let ask = || {
            let service = service.clone();
            tokio::spawn(async move { get(&service, "/file.bin", &[]).await.status.as_u16() })
        };
        let first = ask();
        until(|| gate.arrived() > 0).await;
        *source.file.lock().unwrap() = None;
        let second = ask();
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.open_wide();
        first.await.unwrap();
        let (second, third) = (second.await.unwrap(), ask().await.unwrap());
        assert_eq!(second, third, "it was gone, and came back");
    });
}
