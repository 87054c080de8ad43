//! A soak of the server under crowds, edits, kills, damage and vanishing directories, all at once.
//!
//! Every body is held against the versions of its file. At the end the surviving process has the
//! memory, the descriptors and the threads that it had halfway.
//!
//! The soak is a program of its own, because its length is a setting and it wants the machine for
//! itself. It takes ten seconds by default, and longer by `cargo xtask soak --minutes N`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a failing unwrap is a failing test")]

mod common;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use cachecompress_test::http2;
use common::*;

/// The time for which a replaced version may still be sent: `--revalidate`, and some for the way.
const STALE: Duration = Duration::from_secs(3);
const REVALIDATE: &str = "--revalidate 1s";
const CLIENTS: u64 = 6;
/// The fewest exact bodies in a second.
const LEAST_EXACT: u64 = 5;
const DAMAGED: &str = "cachecompress_damaged_entries_total";

/// One version of a file, as the parameters of its bytes.
#[derive(Clone)]
struct Version {
    seed: u64,
    len: usize,
    digest: String,
    replaced: Option<Instant>,
}

/// The files that are only replaced as a whole, and all of their versions.
struct World {
    site: Site,
    versions: Mutex<HashMap<String, Vec<Version>>>,
    ended: AtomicBool,
    exact: AtomicU64,
    aborted: AtomicU64,
    broken: AtomicU64,
    refused: AtomicU64,
}

/// A simple generator of numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len() as u64) as usize]
    }
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    match seed % 5 {
        0 => site::binary(seed, len),
        1 => site::random(seed, len),
        _ => site::text(seed, len),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl World {
    fn new() -> Self {
        let world = Self {
            site: Site::new(),
            versions: Mutex::default(),
            ended: AtomicBool::new(false),
            exact: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        let mut dice = Dice(1);
        for at in 0..60 {
            world.replace(&format!("{at}.js"), &mut dice);
        }
        for at in 0..4 {
            world.site.write(&format!("in-place-{at}.css"), &bytes(at, 700_000));
        }
        world
    }

    fn goes_on(&self) -> bool {
        !self.ended.load(Relaxed)
    }

    /// Gives `name` new bytes, as a deployment does.
    fn replace(&self, name: &str, dice: &mut Dice) {
        let len = [200, 5_000, 64 * 1024, 65_537, 300_000, 2_000_000][dice.roll(6) as usize];
        let seed = dice.roll(1 << 30);
        let content = bytes(seed, len);
        let version = Version { seed, len, digest: tag_digest(&content), replaced: None };
        // The version is noted before it can be seen. The one before ends when the rename is done.
        lock(&self.versions).entry(name.to_owned()).or_default().push(version);
        self.site.replace_by_rename(name, &content);
        let mut versions = lock(&self.versions);
        let all = versions.get_mut(name).unwrap();
        let last = all.len() - 1;
        all[..last].iter_mut().for_each(|old| _ = old.replaced.get_or_insert_with(Instant::now));
    }

    /// The version that `digest` names, which was not replaced long before `asked`.
    fn version(&self, name: &str, digest: &str, asked: Instant) -> Version {
        let versions = lock(&self.versions);
        let known = versions[name].iter().rev().find(|version| version.digest == digest);
        let known = known.unwrap_or_else(|| panic!("{name} never had the bytes {digest}"));
        if let Some(replaced) = known.replaced {
            let late = asked.saturating_duration_since(replaced);
            assert!(late < STALE, "{name} was replaced {late:?} before it was asked for");
        }
        known.clone()
    }

    /// Holds one answer against the versions of the file.
    fn judge(&self, name: &str, request: &Request, asked: Instant, response: &Response) {
        let context = || format!("{request:?}\n{:?}", response.head);
        match response.status() {
            200 | 206 => {}
            304 | 416 | 412 => return,
            404 if name.starts_with("gone") => return,
            503 => {
                assert!(response.header("retry-after").is_some(), "{}", context());
                self.refused.fetch_add(1, Relaxed);
                return;
            }
            status => panic!("{status}: {}", context()),
        }
        if request.method == "HEAD" {
            return;
        }
        if !response.is_clean() {
            self.aborted.fetch_add(1, Relaxed);
            return;
        }
        let tag = response.header("etag").map(|_| response.etag_digest().to_owned());
        if response.status() == 206 {
            self.judge_range(name, asked, response, tag.as_deref());
        } else {
            let decoded = response.decoded();
            let digest = tag_digest(&decoded);
            assert!(
                tag.is_none_or(|tag| tag == digest),
                "the tag names other bytes: {}",
                context()
            );
            if !name.starts_with("in-place") {
                self.version(name, &digest, asked);
            }
        }
        self.exact.fetch_add(1, Relaxed);
    }

    fn judge_range(&self, name: &str, asked: Instant, response: &Response, tag: Option<&str>) {
        let (Some(tag), "identity") = (tag, response.coding()) else { return };
        if name.starts_with("in-place") {
            return;
        }
        let version = self.version(name, tag, asked);
        let whole = bytes(version.seed, version.len);
        let Some(range) = response.header("content-range") else {
            for part in multipart::parts(response.header("content-type").unwrap(), &response.body) {
                assert_eq!(part.of, whole.len(), "{name}");
                assert!(part.bytes == whole[part.first..=part.last], "{name}: other bytes");
            }
            return;
        };
        let (range, total) = range.strip_prefix("bytes ").unwrap().split_once('/').unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        assert_eq!(total.parse(), Ok(whole.len()), "{name}");
        assert!(response.body == whole[first..=last], "{name}: other bytes than {range}");
    }
}

fn some_request(name: &str, dice: &mut Dice) -> Request {
    let mut request = Request::get(&format!("/{name}?{}", dice.roll(1000)));
    let accept = ["br", "gzip", "zstd", "deflate", "gzip;q=0, br;q=0.1", "*", "", "identity"];
    request = match dice.roll(12) {
        0 => request,
        1 => request.accept("zstd, identity;q=0"),
        _ => request.accept(dice.pick(&accept)),
    };
    match dice.roll(10) {
        0 => request.range("bytes=0-99"),
        1 => request.range(&format!("bytes={}-", dice.roll(100_000))),
        2 => request.range(dice.pick(&["bytes=-500", "bytes=5000-5999,0-9,-10"])),
        3 => request.header("if-none-match", "\"nothing\""),
        4 => request.method("HEAD"),
        5 => request.http10(),
        _ => request,
    }
}

/// A guard that ends everything if its thread fails, so that a failure is reported at once.
struct Fuse<'a>(&'a World);

impl Drop for Fuse<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.ended.store(true, Relaxed);
        }
    }
}

/// Asks again and again. The server may be killed at any moment if `may_die`.
fn client(world: &World, address: impl Fn() -> SocketAddr, seed: u64, may_die: bool) {
    let _fuse = Fuse(world);
    let mut dice = Dice(seed);
    while world.goes_on() {
        let mut connection = match Connection::open(address()) {
            Ok(connection) => connection,
            Err(error) => {
                assert!(may_die, "{error}");
                thread::sleep(Duration::from_millis(5));
                continue;
            }
        };
        for _ in 0..1 + dice.roll(8) {
            let name = match dice.roll(12) {
                0 => format!("in-place-{}.css", dice.roll(4)),
                1 => "gone.html".to_owned(),
                _ => format!("{}.js", dice.roll(60)),
            };
            let request = some_request(&name, &mut dice);
            match one(world, &mut connection, &name, &request, &mut dice) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    assert!(may_die, "{error}: {request:?}");
                    world.broken.fetch_add(1, Relaxed);
                    break;
                }
            }
        }
        if dice.roll(6) == 0 {
            crowd_over_http2(world, address(), &mut dice, may_die);
        }
    }
}

/// Runs one exchange. Returns whether the connection may be used again.
fn one(
    world: &World,
    connection: &mut Connection,
    name: &str,
    request: &Request,
    dice: &mut Dice,
) -> io::Result<bool> {
    let asked = Instant::now();
    connection.send(request)?;
    if dice.roll(15) == 0 {
        return Ok(false); // hangs up without a look at the answer
    }
    if request.version == "HTTP/1.0" {
        let response = connection.receive(&request.method)?;
        // The end of a body without a length could not be told from an abort.
        if matches!(response.framing, Framing::Length(_)) {
            world.judge(name, request, asked, &response);
        }
        return Ok(false);
    }
    let response = connection.receive(&request.method)?;
    world.judge(name, request, asked, &response);
    let closes = response.header("connection").is_some_and(|value| value == "close");
    Ok(response.is_clean() && !closes)
}

fn crowd_over_http2(world: &World, address: SocketAddr, dice: &mut Dice, may_die: bool) {
    let asked = Instant::now();
    let names: Vec<_> = (0..8).map(|_| format!("{}.js", dice.roll(60))).collect();
    let requests: Vec<_> = names
        .iter()
        .map(|name| Request::get(&format!("/{name}")).accept(dice.pick(&["br", "gzip", "zstd"])))
        .collect();
    match http2::fetch_all(address, &requests) {
        Ok(responses) => {
            for ((name, request), response) in names.iter().zip(&requests).zip(responses) {
                match response {
                    Ok(response) => world.judge(name, request, asked, &response),
                    Err(error) => assert!(may_die, "{error}: {request:?}"),
                }
            }
        }
        Err(error) => assert!(may_die, "{error}"),
    }
}

/// Deploys, overwrites in place, deletes and creates.
fn editor(world: &World) {
    let mut dice = Dice(99);
    while world.goes_on() {
        match dice.roll(6) {
            0 => {
                let name = format!("in-place-{}.css", dice.roll(4));
                let seed = dice.roll(1 << 30);
                world
                    .site
                    .replace_in_place(&name, &bytes(seed, 600_000 + dice.roll(200_000) as usize));
            }
            1 => _ = fs::remove_file(world.site.file("gone.html")),
            2 => world.replace("gone.html", &mut dice),
            _ => world.replace(&format!("{}.js", dice.roll(60)), &mut dice),
        }
        thread::sleep(Duration::from_millis(20 + dice.roll(150)));
    }
}

/// Does to the cache's directory what disks and operators do.
fn vandal(world: &World, cache: &Path) {
    let mut dice = Dice(77);
    let entries = || cache_dir::entries(cache);
    while world.goes_on() {
        let all = entries();
        match dice.roll(12) {
            0 => _ = fs::remove_dir_all(cache),
            1 => _ = fs::remove_dir_all(cache.join("v1/locks")),
            2 => _ = fs::write(cache.join("v1/entries/junk"), b"junk"),
            _ if all.is_empty() => {}
            3 => _ = fs::remove_file(dice.pick(&all.iter().collect::<Vec<_>>())),
            // The damage gets a new inode, as bytes that change under an open one cannot be noticed
            // in time.
            roll => {
                let victim = dice.pick(&all.iter().collect::<Vec<_>>());
                let Ok(mut content) = fs::read(victim) else { continue };
                let at = dice.roll(content.len().max(1) as u64) as usize;
                match roll {
                    4 => content.truncate(at),
                    5 => content.extend_from_slice(b"more"),
                    _ if content.is_empty() => {}
                    _ => content[at] ^= 1 << dice.roll(8),
                }
                let beside = cache.join("damaged");
                if fs::write(&beside, content).is_ok() {
                    let _ = fs::rename(&beside, victim);
                }
            }
        }
        thread::sleep(Duration::from_millis(50 + dice.roll(300)));
    }
}

/// Kills the server without warning and starts it again, until the end. Returns the number of
/// kills.
fn killer(world: &World, mut server: Server, address: &Mutex<SocketAddr>, kills: &AtomicU64) {
    let mut dice = Dice(55);
    while world.goes_on() {
        thread::sleep(Duration::from_millis(100 + dice.roll(1500)));
        server = server.again();
        *lock(address) = server.address();
        kills.fetch_add(1, Relaxed);
    }
}

/// Memory in KiB, descriptors and threads of a process.
fn measure(server: &Server) -> (u64, u64, u64) {
    let place = PathBuf::from(format!("/proc/{}", server.id()));
    let status = fs::read_to_string(place.join("status")).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let descriptors = fs::read_dir(place.join("fd")).unwrap().count() as u64;
    (field("VmRSS:"), descriptors, field("Threads:"))
}

fn seconds() -> u64 {
    std::env::var("CACHECOMPRESS_SOAK_SECONDS").map_or(10, |text| text.parse().expect("seconds"))
}

#[test]
fn server_stays_exact_and_flat_under_everything_at_once() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    let start = || {
        Launch::new(PROGRAM, world.site.path())
            .cache(&cache)
            .args(REVALIDATE)
            .args("--cache-size 20MB --log-level error")
            .start()
    };
    let (steady, mortal) = (start(), start());
    let address = Mutex::new(mortal.address());
    let end = Instant::now() + Duration::from_secs(seconds());
    let kills = AtomicU64::new(0);
    // A soak on a busy machine lasts until enough has happened.
    let is_enough = || {
        world.exact.load(Relaxed) > LEAST_EXACT * seconds()
            && kills.load(Relaxed) >= seconds() / 5
            && steady.metric(DAMAGED, &[]) > 0.0
    };
    let early = thread::scope(|scope| {
        for seed in 0..CLIENTS {
            let (world, steady, address) = (&world, &steady, &address);
            scope.spawn(move || match seed % 3 {
                0 => client(world, || *lock(address), seed, true),
                _ => client(world, || steady.address(), seed, false),
            });
        }
        scope.spawn(|| editor(&world));
        scope.spawn(|| vandal(&world, &cache));
        let killer = scope.spawn(|| killer(&world, mortal, &address, &kills));
        let mut early = None;
        let goes_on = || world.goes_on() && !killer.is_finished();
        let lasts = |now: Instant| now < end || now < end + PATIENCE && !is_enough();
        while goes_on() && lasts(Instant::now()) {
            thread::sleep(Duration::from_millis(100));
            if early.is_none()
                && end.saturating_duration_since(Instant::now()).as_secs() < seconds() / 2
            {
                early = Some(measure(&steady));
            }
        }
        world.ended.store(true, Relaxed);
        killer.join().unwrap();
        early.unwrap_or_else(|| measure(&steady))
    });
    steady.until_idle();
    let count = |counter: &AtomicU64| counter.load(Relaxed);
    let (exact, aborted, kills) = (count(&world.exact), count(&world.aborted), count(&kills));
    println!(
        "{exact} bodies exact, {aborted} aborted, {} refused, {} connections lost to {kills} kills",
        count(&world.refused),
        count(&world.broken),
    );
    assert!(exact > LEAST_EXACT * seconds(), "{exact} bodies are no soak");
    assert!(aborted * 5 < exact, "aborting is no way of being exact");
    assert!(kills >= seconds() / 5, "{kills} kills");
    assert!(steady.metric(DAMAGED, &[]) > 0.0, "the server met no damage");
    assert!(!steady.stderr().contains("panicked"), "{}", steady.stderr());
    assert_flat(&steady, early);
}

/// Asserts that a process without clients has the resources at the end that it had halfway.
fn assert_flat(server: &Server, early: (u64, u64, u64)) {
    let (memory, _, threads) = early;
    let flat = || {
        let now = measure(server);
        // Stored files may be kept open, and 32 MiB of small ones in memory.
        let kept = server.entries() + 64;
        let is_flat = now.0 <= memory + 64 * 1024 && now.1 <= kept && now.2 <= threads + 4;
        if is_flat { Ok(now) } else { Err((now, kept)) }
    };
    let end = Instant::now() + PATIENCE;
    let now = loop {
        match flat() {
            Ok(now) => break now,
            Err(seen) => assert!(Instant::now() < end, "{early:?} halfway, and now {seen:?}"),
        }
        thread::sleep(Duration::from_millis(200));
    };
    println!("KiB, descriptors, threads: {early:?} halfway, {now:?} at the end");
}
