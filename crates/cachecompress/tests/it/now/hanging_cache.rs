//! A cache whose disk hangs, which costs no more than the compression.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the test changes entries as another process may"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use cachecompress::fs::{MemoryDisk, RealDisk};
use cachecompress::source::Found;
use cachecompress::{Cache, Error, Memory, ServeCompressed, Shutdown, Source, SourcePath};
use cachecompress_test::cache_dir;
use cachecompress_test::gate::Gate;
use cachecompress_test::service::{Answer, LONG, get, get_as, head, open, read, run};
use cachecompress_test::site::hex;
use cachecompress_test::wait::{PATIENCE, until};
use cachecompress_test::{FaultDisk, Op};
use tokio::task::JoinHandle;

/// The calls that a cache makes while it serves.
const CALLS: [Op; 18] = [
    Op::CreatePrivateDir,
    Op::CreateUnnamed,
    Op::Open,
    Op::Stat,
    Op::List,
    Op::RemoveFile,
    Op::RemoveUnused,
    Op::TryLock,
    Op::LockAnnounce,
    Op::LockRelease,
    Op::IsLocal,
    Op::FileStat,
    Op::FileRead,
    Op::FileWrite,
    Op::FileReserve,
    Op::FileSetLen,
    Op::FilePublish,
    Op::FileClose,
];
/// Calls that nobody waits for, and which may take long on a healthy disk, or that come hourly.
const LONG_CALLS: [Op; 2] = [Op::FileSync, Op::FileTouch];
/// A number above that of the threads of a pool.
const CROWD: usize = 80;
/// The number of files that are stored before the disk hangs. Not all have room in a small cache.
const STORED: usize = 10;

/// A service over a cache whose disk hangs in one call, from a moment on.
struct Hanging {
    service: ServeCompressed,
    gate: Arc<Gate>,
    hangs: Arc<AtomicBool>,
    /// Bodies from the cache, which may end when the disk does.
    bodies: Vec<JoinHandle<(Answer, String)>>,
}

fn content(name: &str) -> Vec<u8> {
    let number = name.bytes().fold(7, |sum, byte| sum * 31 % 65_521 + u64::from(byte));
    hex(if name.contains("short") { 4_000 } else { 200_000 }, number)
}

fn site() -> Memory {
    let stored = (0..STORED).map(|at| format!("{at}.txt"));
    let cold = (0..2 * CROWD).map(|at| format!("cold{at}-short.txt"));
    stored.chain(cold).fold(Memory::new(), |site, name| site.file(&*name, content(&name)))
}

impl Hanging {
    /// A disk that hangs in `call` from the moment when `hangs` is set.
    fn disk(call: Op, gate: &Arc<Gate>, hangs: &Arc<AtomicBool>) -> Arc<FaultDisk> {
        let (gate, hangs) = (Arc::clone(gate), Arc::clone(hangs));
        Arc::new(FaultDisk::watched(RealDisk, move |op| {
            if op == call && hangs.load(Ordering::SeqCst) {
                gate.pass();
            }
        }))
    }

    async fn new(call: Op, directory: &Path) -> Self {
        let (gate, hangs) = (Gate::new(), Arc::new(AtomicBool::new(false)));
        let disk = Self::disk(call, &gate, &hangs);
        let evicts = [Op::RemoveUnused, Op::FileClose].contains(&call);
        let bound = if evicts { 1_200_000 } else { 1 << 30 };
        // Entries are closed all the time.
        let cache = Cache::builder(directory).disk(disk).open_entries(2).max_bytes(bound);
        let cache = cache.build().unwrap();
        let service = ServeCompressed::builder(site()).cache(cache).build().unwrap();
        for at in 0..STORED {
            hits(&service, &format!("{at}.txt")).await;
        }
        for entry in cache_dir::entries(directory) {
            let file = std::fs::File::options().write(true).open(entry).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
        }
        Self { service, gate, hangs, bodies: Vec::new() }
    }

    /// Sends a request; returns the reason for identity, if it got that.
    async fn ask(&mut self, name: &str, fields: &[(&str, &str)]) -> String {
        let response = open(&self.service, &format!("/{name}"), fields).await;
        let is_coded = response.headers().contains_key("content-encoding");
        let name = name.to_owned();
        let body = tokio::spawn(async move { (read(response).await, name) });
        if is_coded {
            self.bodies.push(body);
            return String::new();
        }
        let (answer, name) = body.await.unwrap();
        let whole = content(&name);
        match answer.status.as_u16() {
            206 => assert!(answer.bytes() == &whole[5..=99]),
            _ => assert!(answer.bytes() == whole, "{name}: {}", answer.status),
        }
        answer.cache().to_owned()
    }

    /// One round of requests of all kinds.
    async fn round(&mut self, round: usize) {
        let gzip = ("accept-encoding", "gzip");
        let stored = format!("{}.txt", round % STORED);
        self.ask(&stored, &[gzip]).await;
        self.ask(&stored, &[gzip, ("range", "bytes=5-99")]).await;
        self.ask(&stored, &[]).await;
        assert_eq!(head(&self.service, &format!("/{stored}"), &[gzip]).await.status, 200);
        self.ask(&format!("cold{}-short.txt", round % CROWD), &[gzip]).await;
    }

    /// Whether the cache is out of use, before and after three requests. Each of them must tell so.
    async fn is_out_of_use(&mut self, call: Op) -> bool {
        if self.service.metrics().cache_available {
            return false;
        }
        let gzip = ("accept-encoding", "gzip");
        let cold = format!("cold{}-short.txt", CROWD + 1);
        let stored = self.ask("0.txt", &[gzip]).await;
        let encoded = self.ask(&cold, &[gzip]).await;
        let insists = [("accept-encoding", "gzip, identity;q=0")];
        let refused = get(&self.service, &format!("/{cold}"), &insists).await;
        if self.service.metrics().cache_available {
            return false;
        }
        assert_eq!((&*stored, &*encoded), ("disk", "disk"), "{call:?}");
        assert_eq!(refused.status, 503, "{call:?}");
        true
    }
}

/// Asks for a file until the answer is stored.
async fn hits(service: &ServeCompressed, name: &str) {
    loop {
        let answer = get_as(service, &format!("/{name}"), "gzip").await;
        assert!(answer.decoded() == content(name));
        if answer.cache() == "hit" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Changes a stored entry, so that it is found damaged and removed.
fn damage(directory: &Path) {
    let entry = cache_dir::entries(directory).pop().unwrap();
    let mut bytes = std::fs::read(&entry).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&entry, bytes).unwrap();
}

/// Serves while `call` hangs, on one thread, which a hang there would stop.
async fn case(call: Op) {
    let directory = tempfile::tempdir().unwrap();
    let mut hanging = Hanging::new(call, directory.path()).await;
    hanging.hangs.store(true, Ordering::SeqCst);
    damage(directory.path());
    let is_long = LONG_CALLS.contains(&call);
    let mut round = 0;
    // On a busy machine another call may last as if it hung, so that the cache comes back once more.
    while hanging.gate.arrived() == 0 || !is_long && !hanging.is_out_of_use(call).await {
        hanging.round(round).await;
        round += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hanging.hangs.store(false, Ordering::SeqCst);
    hanging.gate.open_wide();
    hits(&hanging.service, "1.txt").await;
    hits(&hanging.service, &format!("cold{}-short.txt", CROWD + 2)).await;
    for body in hanging.bodies {
        let (answer, name) = body.await.unwrap();
        let is_exact = || answer.status == 206 || answer.decoded() == content(&name);
        assert!(answer.body.is_ok() && is_exact(), "{call:?}: a body continues with the disk");
    }
}

#[test]
fn cache_that_hangs_in_any_call_costs_the_coding_only() {
    let (sender, ended) = mpsc::channel();
    for call in CALLS.into_iter().chain(LONG_CALLS) {
        let sender = sender.clone();
        thread::Builder::new()
            .name(format!("{call:?}"))
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(case(call));
                sender.send(call).unwrap();
            })
            .unwrap();
    }
    drop(sender);
    let mut left: Vec<_> = CALLS.into_iter().chain(LONG_CALLS).collect();
    while !left.is_empty() {
        let call = ended.recv_timeout(PATIENCE);
        let call = call.unwrap_or_else(|_| panic!("these stop the service: {left:?}"));
        left.retain(|other| *other != call);
    }
}

/// A write that a busy disk held up for two seconds had everything go out uncompressed.
#[test]
fn slow_write_costs_no_stored_entry() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let mut writing = Hanging::new(Op::FileWrite, directory.path()).await;
        writing.hangs.store(true, Ordering::SeqCst);
        let cold = "cold0-short.txt";
        assert_eq!(writing.ask(cold, &[("accept-encoding", "gzip")]).await, "patience");
        until(|| writing.gate.arrived() > 0).await;
        // Longer than a read may take.
        tokio::time::sleep(Duration::from_millis(3000)).await;
        assert!(writing.service.metrics().cache_available);
        hits(&writing.service, "0.txt").await;
        writing.gate.open_wide();
        hits(&writing.service, cold).await;
    });
}

/// The trial of a disk ended with an `fdatasync`, which waits for all that others have written.
#[test]
fn slow_sync_prolongs_no_outage() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let [reads, touches, syncs] = [Gate::new(), Gate::new(), Gate::new()];
        let hangs = Arc::new(AtomicBool::new(false));
        let gates = [&reads, &touches, &syncs].map(Arc::clone);
        let is_held = Arc::clone(&hangs);
        let disk = FaultDisk::watched(RealDisk, move |op| match op {
            Op::Open if is_held.swap(false, Ordering::SeqCst) => gates[0].pass(),
            // Only a trial touches a file here.
            Op::FileTouch => gates[1].pass(),
            Op::FileSync => gates[2].pass(),
            _ => {}
        });
        let cache = Cache::builder(directory.path()).disk(Arc::new(disk)).open_entries(2);
        let service = ServeCompressed::builder(site()).cache(cache.build().unwrap());
        let service = service.memory_cache(0).build().unwrap();
        for at in 0..STORED {
            hits(&service, &format!("{at}.txt")).await;
        }
        hangs.store(true, Ordering::SeqCst);
        while hangs.load(Ordering::SeqCst) {
            for at in 0..STORED {
                get_as(&service, &format!("/{at}.txt"), "gzip").await;
            }
        }
        until(|| touches.arrived() > 0).await;
        assert!(!service.metrics().cache_available);
        touches.open_wide();
        until(|| service.metrics().cache_available).await;
        reads.open_wide();
        syncs.open_wide();
    });
}

/// A service whose cache hung at the start accepted nothing, for as long as it hung.
#[test]
fn cache_that_hangs_at_its_opening_is_in_use_once_it_is_there() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let (gate, hangs) = (Gate::new(), Arc::new(AtomicBool::new(true)));
        let disk = Hanging::disk(Op::CreatePrivateDir, &gate, &hangs);
        let cache = Cache::builder(directory.path()).disk(disk).build().unwrap();
        let service = ServeCompressed::builder(site()).cache(cache).build().unwrap();
        assert!(!service.metrics().cache_available);
        for name in ["0.txt", "cold0-short.txt"] {
            let answer = get_as(&service, &format!("/{name}"), "gzip").await;
            assert_eq!((answer.coding(), answer.cache()), ("", "disk"));
            assert!(answer.bytes() == content(name));
        }
        gate.open_wide();
        until(|| service.metrics().cache_available).await;
        hits(&service, "0.txt").await;
    });
}

/// A request that takes no identity has no deadline of its own.
#[test]
fn request_without_a_deadline_is_answered_when_the_disk_hangs() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let (gate, hangs) = (Gate::new(), Arc::new(AtomicBool::new(true)));
        let disk = Hanging::disk(Op::TryLock, &gate, &hangs);
        let cache = Cache::builder(directory.path()).disk(disk).build().unwrap();
        let service = ServeCompressed::builder(site()).cache(cache).patience(LONG).build().unwrap();
        let insists = [("accept-encoding", "gzip, identity;q=0")];
        assert_eq!(get(&service, "/0.txt", &insists).await.status, 503);
        gate.open_wide();
    });
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let (gate, hangs) = (Gate::new(), Arc::new(AtomicBool::new(true)));
        let disk = Hanging::disk(Op::TryLock, &gate, &hangs);
        let cache = Cache::builder(directory.path()).disk(disk).build().unwrap();
        let service = ServeCompressed::builder(site()).cache(cache).patience(LONG).build().unwrap();
        let answer = get_as(&service, "/0.txt", "gzip").await;
        assert_eq!((answer.coding(), answer.cache()), ("", "disk"));
        gate.open_wide();
    });
}

/// The end of a service waited for an encode whose write hung.
#[test]
fn shutdown_and_drop_do_not_wait_for_a_disk_that_hangs() {
    for mode in [Shutdown::Finish, Shutdown::Drop] {
        for call in [Op::FileWrite, Op::FilePublish, Op::TryLock] {
            run(async {
                let directory = tempfile::tempdir().unwrap();
                let hanging = Hanging::new(call, directory.path()).await;
                let Hanging { service, gate, hangs, .. } = hanging;
                hangs.store(true, Ordering::SeqCst);
                get_as(&service, "/cold0-short.txt", "gzip").await;
                until(|| gate.arrived() > 0).await;
                service.shutdown(mode).await;
                drop(service);
                gate.open_wide();
            });
        }
    }
}

/// One pool of readers served the source and the cache.
#[test]
fn crowd_on_a_hanging_cache_delays_no_lookup_of_a_source() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let (gate, hangs) = (Gate::new(), Arc::new(AtomicBool::new(true)));
        let disk = Hanging::disk(Op::Stat, &gate, &hangs);
        let cache = Cache::builder(directory.path()).disk(disk).build().unwrap();
        let source = Slow { gate: Gate::new() };
        let service = ServeCompressed::builder(source).cache(cache).build().unwrap();
        for at in 0..2 * CROWD {
            let name = format!("cold{at}-short.txt");
            let answer = get_as(&service, &format!("/{name}"), "gzip").await;
            assert!(answer.coding().is_empty() && answer.bytes() == content(&name));
        }
        gate.open_wide();
    });
}

#[test]
fn crowd_on_a_hanging_source_delays_no_entry() {
    run(async {
        let disk = Arc::new(FaultDisk::new(MemoryDisk::new()));
        let cache = Cache::builder("/cache").disk(disk).build().unwrap();
        let gate = Gate::new();
        let service = ServeCompressed::builder(Slow { gate: Arc::clone(&gate) })
            .cache(cache)
            .memory_cache(0)
            .revalidate(LONG)
            .build()
            .unwrap();
        hits(&service, "0.txt").await;
        let hung: Vec<_> = (0..CROWD)
            .map(|at| {
                let (service, path) = (service.clone(), format!("/hang{at}-short.txt"));
                tokio::spawn(async move { get_as(&service, &path, "gzip").await })
            })
            .collect();
        // All threads of the source's pool are held: spare ones join within seconds.
        until(|| gate.arrived() >= 8).await;
        for _ in 0..10 {
            hits(&service, "0.txt").await;
            // The entry is looked at again, by a thread of the cache's.
            tokio::time::sleep(Duration::from_millis(110)).await;
        }
        assert!(!hung.iter().any(JoinHandle::is_finished), "nothing hung");
        gate.open_wide();
        for hung in hung {
            assert_eq!(hung.await.unwrap().status, 200);
        }
    });
}

/// A source whose lookups are made by threads that may wait. Those of names that begin with `hang`
/// wait for the gate.
#[derive(Debug)]
struct Slow {
    gate: Arc<Gate>,
}

impl Source for Slow {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        let name = path.to_string_lossy().into_owned();
        if name.starts_with("hang") {
            self.gate.pass();
        }
        Memory::new().file(&*name, content(&name)).lookup(path)
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}
