//! What can be told at a glance is told without a look-up.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cachecompress::fs::{DiskFile, FileKind, Fingerprint, Stat};
use cachecompress::semantics::SourcePath;
use cachecompress::source::{Content, Found, Glance, SourceFile};
use cachecompress::{Error, ServeCompressed, Source};
use common::{get, run};

/// A source of one file, `/file.bin`, or none; it counts its look-ups.
#[derive(Clone, Debug, Default)]
struct Counted {
    file: Arc<Mutex<Option<Made>>>,
    /// Whether a glance tells anything.
    blind: bool,
    lookups: Arc<AtomicUsize>,
}

/// A file of nothing but its byte, which was changed at `time`.
#[derive(Clone, Copy, Debug)]
struct Made {
    byte: u8,
    time: i128,
}

const LEN: u64 = 10;
/// Long ago, in nanoseconds since 1970.
const OLD: i128 = 1_600_000_000_000_000_000;

impl Made {
    fn fingerprint(self) -> Fingerprint {
        Fingerprint { device: 1, inode: 1, size: LEN, modified: self.time, changed: self.time }
    }
}

impl DiskFile for Made {
    fn stat(&self) -> io::Result<Stat> {
        Ok(Stat { kind: FileKind::Regular, fingerprint: self.fingerprint() })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = buffer.len().min(usize::try_from(LEN.saturating_sub(offset)).unwrap());
        buffer[..len].fill(self.byte);
        Ok(len)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn reserve(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn publish(&self, _: &std::path::Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn touch(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Counted {
    fn put(&self, byte: u8, time: i128) {
        *self.file.lock().unwrap() = Some(Made { byte, time });
    }

    fn find(&self, path: &SourcePath) -> Option<Made> {
        if path.as_bytes() == b"file.bin" { *self.file.lock().unwrap() } else { None }
    }

    fn lookups(&self) -> usize {
        self.lookups.swap(0, Ordering::SeqCst)
    }

    /// One that looks at every request.
    fn serve(&self) -> ServeCompressed {
        ServeCompressed::builder(self.clone()).revalidate(Duration::ZERO).build().unwrap()
    }
}

impl Source for Counted {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let Some(made) = self.find(path) else { return Ok(Found::Nothing) };
        let content = Content::File { file: Arc::new(made), fingerprint: made.fingerprint() };
        Ok(Found::File(SourceFile { content, ..SourceFile::new("") }))
    }

    fn glance(&self, path: &SourcePath) -> Glance {
        match self.find(path) {
            _ if self.blind => Glance::Unknown,
            Some(made) => Glance::File(made.fingerprint()),
            None => Glance::Nothing,
        }
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

#[test]
fn a_path_that_leads_nowhere_is_not_looked_up() {
    run(async {
        let source = Counted::default();
        let service = source.serve();
        for path in ["/file.bin", "/missing", "/deep/er/missing"] {
            assert_eq!(get(&service, path, &[]).await.status, 404);
        }
        assert_eq!(source.lookups(), 0);
        source.put(b'a', OLD);
        assert_eq!(get(&service, "/file.bin", &[]).await.bytes(), [b'a'; 10]);
        *source.file.lock().unwrap() = None;
        assert_eq!(get(&service, "/file.bin", &[]).await.status, 404);
        assert_eq!(source.lookups(), 1);
    });
}

#[test]
fn a_file_is_looked_up_when_it_is_new_or_has_changed() {
    run(async {
        let source = Counted::default();
        let service = source.serve();
        source.put(b'a', OLD);
        for _ in 0..3 {
            assert_eq!(get(&service, "/file.bin", &[]).await.bytes(), [b'a'; 10]);
        }
        assert_eq!(source.lookups(), 1);
        source.put(b'b', OLD + 1);
        for _ in 0..3 {
            assert_eq!(get(&service, "/file.bin", &[]).await.bytes(), [b'b'; 10]);
        }
        assert_eq!(source.lookups(), 1);
    });
}

/// Its fingerprint does not vouch for its bytes: it may have changed again within the same tick of
/// the file system's clock.
#[test]
fn a_file_that_has_not_rested_is_looked_up_and_read_each_time() {
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
fn what_cannot_be_told_at_a_glance_is_looked_up() {
    run(async {
        let source = Counted { blind: true, ..Counted::default() };
        let service = source.serve();
        source.put(b'a', OLD);
        for _ in 0..3 {
            assert_eq!(get(&service, "/file.bin", &[]).await.bytes(), [b'a'; 10]);
            assert_eq!(get(&service, "/missing", &[]).await.status, 404);
        }
        assert_eq!(source.lookups(), 6);
    });
}
