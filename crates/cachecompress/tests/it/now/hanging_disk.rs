//! Files on a disk that hangs: what lies on it waits, and nothing else does.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use cachecompress::fs::MemoryDisk;
use cachecompress::semantics::SourcePath;
use cachecompress::source::Found;
use cachecompress::{Cache, Error, Memory, ServeCompressed, Source};
use cachecompress_test::gate::Gate;
use cachecompress_test::made::MadeFile;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{LONG, get, get_as, open, read, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;
use cachecompress_test::{FaultDisk, Op};

/// More than the readers, and the hashers, that there are without any trouble.
const HUNG: usize = 12;

/// A source whose disk hangs until the gate is opened, for paths that begin so: `look…` when they
/// are looked up, `read…` when they are read.
#[derive(Debug)]
struct Slow(Arc<Gate>);

impl Source for Slow {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        let name = path.to_string_lossy().into_owned();
        if name.starts_with("look") {
            self.0.pass();
        }
        let gate = name.starts_with("read").then(|| Arc::clone(&self.0));
        let file = MadeFile::new(source_of(&name)).inode(name.len() as u64).held(gate);
        Ok(Found::File(Arc::new(file).source()))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

/// Those whose names end in `l` are too long to be read where they are looked up.
fn source_of(name: &str) -> Vec<u8> {
    hex(if name.ends_with('l') { 200_000 } else { 3_000 }, name.len() as u64)
}

/// Four files on a disk that hung (a network's, mostly) held all four readers, and with them every
/// other request that had to look at a file: the server stood still.
#[test]
fn hanging_files_delay_no_other_file() {
    for kind in ["look", "read", "lookl", "readl"] {
        run(async move {
            let gate = Gate::new();
            let service = ServeCompressed::builder(Slow(Arc::clone(&gate)))
                .encoder(coding(), Arc::new(Pack::new()))
                .cache(Cache::in_memory(64 << 20))
                .patience(LONG)
                .revalidate(Duration::ZERO)
                .build()
                .unwrap();
            let (long, ending) = (kind.ends_with('l'), if kind.ends_with('l') { "l" } else { "" });
            let name = |at: usize| format!("{}{at}{ending}", &kind[..4]);
            let hung: Vec<_> = (0..HUNG)
                .map(|at| {
                    let (service, path) = (service.clone(), format!("/{}", name(at)));
                    tokio::spawn(async move { get(&service, &path, &[]).await })
                })
                .collect();
            // As many threads as can be held are held.
            let held = if long && kind.starts_with("read") { 2 } else { 3 };
            until(|| gate.arrived() >= held).await;
            let begun = Instant::now();
            for path in ["a", "b.txt", "c.txtl"] {
                for coding in ["x-pack", "identity"] {
                    let fields = [("accept-encoding", coding)];
                    let answer = read(open(&service, &format!("/{path}"), &fields).await).await;
                    assert!(answer.decoded() == source_of(path), "{kind}: {path}");
                }
            }
            println!("{kind}: others were answered in {:?}", begun.elapsed());
            assert!(!hung.iter().any(tokio::task::JoinHandle::is_finished), "{kind}");
            gate.open_wide();
            for (at, hung) in hung.into_iter().enumerate() {
                assert!(hung.await.unwrap().bytes() == source_of(&name(at)), "{kind}");
            }
        });
    }
}

/// Stored bytes that are not in memory are read by threads that may hang, never by the one that
/// serves: on a runtime of one thread, all else is answered while they do.
#[test]
fn hanging_entries_delay_no_request_on_the_same_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let gate = Gate::new();
        let left = Arc::new(AtomicUsize::new(0));
        let disk = FaultDisk::new(MemoryDisk::new());
        let (hang, to_hang) = (Arc::clone(&gate), Arc::clone(&left));
        disk.fail(move |_, op| match op {
            // Nothing is in the page cache.
            Op::FileReadNowait => Some(io::Error::from(io::ErrorKind::WouldBlock)),
            Op::FileRead => {
                let one_less = |left: usize| left.checked_sub(1);
                if to_hang.fetch_update(SeqCst, SeqCst, one_less).is_ok() {
                    hang.pass();
                }
                None
            }
            _ => None,
        });
        let files = [("slow.txt", 300_000), ("warm.txt", 300_000), ("short.txt", 3_000)];
        let source = files.iter().fold(Memory::new(), |site, (name, len)| {
            site.file(name, hex(*len, *len as u64 + name.len() as u64))
        });
        let content = |name: &str| {
            let (name, len) = files.into_iter().find(|(file, _)| *file == name).unwrap();
            hex(len, len as u64 + name.len() as u64)
        };
        let cache = Cache::builder("/cache").disk(Arc::new(disk)).build().unwrap();
        let service = ServeCompressed::builder(source).cache(cache).patience(LONG).build().unwrap();
        for (name, _) in files {
            let path = format!("/{name}");
            get_as(&service, &path, "gzip").await;
            settled(&service).await;
            let hit = get_as(&service, &path, "gzip").await;
            assert_eq!((hit.coding(), hit.cache()), ("gzip", "hit"));
        }

        // More than there are readers without any trouble.
        left.store(HUNG, SeqCst);
        let hung: Vec<_> = (0..HUNG)
            .map(|_| {
                let service = service.clone();
                tokio::spawn(async move { get_as(&service, "/slow.txt", "gzip").await })
            })
            .collect();
        until(|| gate.arrived() == HUNG as u64).await;
        for round in 0..1000 {
            let name = ["warm.txt", "short.txt"][round % 2];
            let coding = if round % 10 < 8 { "gzip" } else { "identity" };
            let answer = get_as(&service, &format!("/{name}"), coding).await;
            assert!(answer.decoded() == content(name), "{name}");
        }
        assert!(!hung.iter().any(tokio::task::JoinHandle::is_finished), "nothing hung");
        gate.open_wide();
        for hung in hung {
            assert!(hung.await.unwrap().decoded() == content("slow.txt"));
        }
    });
}
