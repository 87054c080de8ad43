//! Requests for files on a disk that hangs, which delay no other request.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use cachecompress::fs::MemoryDisk;
use cachecompress::source::Found;
use cachecompress::{Cache, Error, Memory, ServeCompressed, Source, SourcePath};
use cachecompress_test::gate::Gate;
use cachecompress_test::made::MadeFile;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{LONG, get, get_as, head, open, read, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;
use cachecompress_test::{FaultDisk, Op};
use flate2::Compression;
use flate2::write::GzEncoder;

/// A number above that of readers and of hashers in normal operation.
const HUNG: usize = 12;

/// A source whose disk hangs until the gate is opened. Lookups of paths that begin with `look`
/// hang, and reads of paths that begin with `read`.
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

/// The bytes of a file. Files whose names end in `l` are too long to be read during the lookup.
fn source_of(name: &str) -> Vec<u8> {
    hex(if name.ends_with('l') { 200_000 } else { 3_000 }, name.len() as u64)
}

/// Four files on a hanging disk (mostly a network's) held all four readers. Every other request
/// that had to look at a file waited, and the server stood still.
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
            // The hanging files hold as many threads as they may.
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
                let hung = hung.await.unwrap();
                // The source had a few seconds to answer.
                assert!(hung.status == 503 || hung.bytes() == source_of(&name(at)), "{kind}");
            }
        });
    }
}

/// A source with a mount that hangs: lookups beneath `dead` do not return.
#[derive(Debug)]
struct Mounted(Arc<Gate>);

impl Source for Mounted {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        let name = path.to_string_lossy().into_owned();
        if name.starts_with("dead") {
            self.0.pass();
        }
        Ok(Found::File(Arc::new(MadeFile::new(source_of(&name))).source()))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

fn mounted(gate: &Arc<Gate>) -> ServeCompressed {
    let builder = ServeCompressed::builder(Mounted(Arc::clone(gate))).patience(LONG);
    builder.revalidate(Duration::ZERO).build().unwrap()
}

/// More names beneath a mount that hangs than there are threads stopped every lookup of the site, and
/// were never answered themselves.
#[test]
fn names_on_a_mount_that_hangs_leave_threads_to_the_site() {
    for below in [|at| format!("/dead/{at}"), |at| format!("/dead/{at}/a/b.txt")] {
        run(async move {
            let gate = Gate::new();
            let service = mounted(&gate);
            let hung: Vec<_> = (0..200)
                .map(|at| {
                    let service = service.clone();
                    tokio::spawn(async move { get(&service, &below(at), &[]).await })
                })
                .collect();
            // Four threads read at first, and others once those hang.
            until(|| gate.arrived() > 4).await;
            for path in ["/a.txt", "/css/a.css", "/css/deep/b.css", "/js/a.js"] {
                let answer = get(&service, path, &[]).await;
                assert!(answer.bytes() == source_of(&path[1..]), "{path}");
            }
            for hung in hung {
                let answer = hung.await.unwrap();
                assert_eq!((answer.status.as_u16(), answer.field("retry-after")), (503, "1"));
            }
            assert!(gate.arrived() < 20, "{} threads hang", gate.arrived());
            gate.open_wide();
            let answer = get(&service, &below(1000), &[]).await;
            assert_eq!(answer.status, 200, "it is looked up again once the mount answers");
        });
    }
}

/// Lookups of clients that left were made all the same, before those of others.
#[test]
fn client_that_leaves_gives_its_place_in_the_queue_up() {
    run(async {
        let gate = Gate::new();
        let service = mounted(&gate);
        let leaving: Vec<_> = (0..500)
            .map(|at| {
                let service = service.clone();
                tokio::spawn(async move { get(&service, &format!("/dead/{at}"), &[]).await })
            })
            .collect();
        until(|| gate.arrived() > 4).await;
        for leaving in leaving {
            leaving.abort();
            assert!(leaving.await.is_err());
        }
        gate.open_wide();
        assert_eq!(get(&service, "/dead/last", &[]).await.status, 200);
        assert!(gate.arrived() < 30, "{} lookups were made for nobody", gate.arrived());
    });
}

/// Two long files on two devices. The first byte of one passes a gate.
#[derive(Debug)]
struct TwoDevices([Arc<MadeFile>; 2]);

impl Source for TwoDevices {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        let is_held = path.to_string_lossy() == "held.bin";
        Ok(Found::File(self.0[usize::from(is_held)].source()))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

/// Bodies that are read from a device that hangs held all threads as well.
#[test]
fn bodies_from_a_device_that_hangs_leave_threads_to_the_site() {
    for (range, parts) in [("", 300_000), ("bytes=0-9,-9", 19)] {
        run(async move {
            let gate = Gate::new();
            let file = |device| MadeFile::repeated(b'a', 300_000).device(device);
            let held = file(2).held(Some(Arc::clone(&gate)));
            let files = TwoDevices([Arc::new(file(1)), Arc::new(held)]);
            let service = ServeCompressed::builder(files).patience(LONG).build().unwrap();
            gate.open(1);
            assert_ne!(get(&service, "/free.bin", &[]).await.field("etag"), "");
            let hashed = head(&service, "/held.bin", &[]).await;
            assert_ne!(hashed.field("etag"), "", "its hash has passed the gate");
            let hung: Vec<_> = (0..100)
                .map(|_| {
                    let service = service.clone();
                    let fields = [("range", range)];
                    tokio::spawn(async move { get(&service, "/held.bin", &fields).await })
                })
                .collect();
            until(|| gate.arrived() > 5).await;
            for _ in 0..5 {
                assert_eq!(get(&service, "/free.bin", &[]).await.bytes().len(), 300_000);
            }
            assert!(gate.arrived() < 20, "{} threads hang", gate.arrived());
            gate.open_wide();
            for hung in hung {
                let answer = hung.await.unwrap();
                let bytes = answer.bytes().iter().filter(|byte| **byte == b'a').count();
                assert!((parts..parts + 100).contains(&bytes), "{range}: {bytes}");
            }
        });
    }
}

/// Files of `.svgz`, each read by its lookup. Those beneath `dead` lie on a device that hangs.
#[derive(Debug)]
struct Drawings(Arc<Gate>);

impl Source for Drawings {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        let is_held = path.to_string_lossy().starts_with("dead");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(b"<svg/>").unwrap();
        let file = MadeFile::new(gzip.finish().unwrap()).device(1 + u64::from(is_held));
        Ok(Found::File(Arc::new(file.held(is_held.then(|| Arc::clone(&self.0)))).source()))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

/// One file is decoded at a time, and one whose device hung held all others up.
#[test]
fn svgz_on_a_device_that_hangs_delays_no_other() {
    run(async {
        let gate = Gate::new();
        let source = Drawings(Arc::clone(&gate));
        let service = ServeCompressed::builder(source).patience(LONG).build().unwrap();
        let hanging = service.clone();
        let hung = tokio::spawn(async move { get(&hanging, "/dead/a.svgz", &[]).await });
        until(|| gate.arrived() > 0).await;
        assert_eq!(get(&service, "/b.svgz", &[]).await.bytes(), b"<svg/>");
        gate.open_wide();
        assert_eq!(hung.await.unwrap().bytes(), b"<svg/>");
    });
}

/// Each lookup that waited for another file to be decoded held a thread, and the rest of the site waited.
#[test]
fn svgz_that_waits_to_be_decoded_is_decoded_in_its_turn() {
    run(async {
        let gate = Gate::new();
        let source = Drawings(Arc::clone(&gate));
        let service = ServeCompressed::builder(source).patience(LONG).build().unwrap();
        let ask = |at: usize| {
            let service = service.clone();
            tokio::spawn(async move { get(&service, &format!("/dead{at}.svgz"), &[]).await })
        };
        let first = ask(0);
        until(|| gate.arrived() > 0).await;
        let waiting: Vec<_> = (1..60).map(ask).collect();
        for at in 0..10 {
            assert_eq!(get(&service, &format!("/{at}.txt"), &[]).await.status, 200);
        }
        assert_eq!(gate.arrived(), 1, "one is decoded at a time");
        gate.open_wide();
        for answer in waiting.into_iter().chain([first]) {
            assert_eq!(answer.await.unwrap().bytes(), b"<svg/>");
        }
    });
}

/// Threads that may hang read the stored bytes that are not in memory. The serving thread never
/// does, so a runtime of one thread answers other requests meanwhile.
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

        // More reads hang than there are readers in normal operation.
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
