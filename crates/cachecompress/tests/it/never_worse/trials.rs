//! Scenarios and their runs, each with another failing call or with a power cut before another
//! call.

#![allow(clippy::disallowed_methods, reason = "the sources of some scenarios lie on the real disk")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use cachecompress::codec::{Decoding, Encoder, Encoding, PIECE, Settings};
use cachecompress::fs::{Disk, RealDisk};
use cachecompress::{
    Body, Builder, Cache, ContentCoding, Directory, Error, Memory, Preference, ServeCompressed,
    Source,
};
use cachecompress_test::cache_dir::{entries_on, is_whole};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{Answer, LONG, get, open, read};
use cachecompress_test::site::hex;
use cachecompress_test::wait::{PATIENCE, TEST, at_end_of_thread};
use cachecompress_test::{Errno, Fault, FaultDisk, Op, Outcome, PowerDisk, Snapshot};
use http::Response;
use http_body_util::BodyExt as _;

/// The directory of the caches, on disks of their own.
pub(crate) const ROOT: &str = "/cache";
/// The fields of clients that accept our coding or identity, our coding alone, and identity alone.
const PACK: (&str, &str) = ("accept-encoding", "x-pack");
const INSISTS: (&str, &str) = ("accept-encoding", "x-pack, identity;q=0");
const PLAIN: (&str, &str) = ("accept-encoding", "identity");
/// Bytes of a range that both representations have.
const RANGE: std::ops::Range<usize> = 100..300;
/// The number of entries up to which a cache is filled at the end. More would take too long.
const PROBES: u64 = 4;
/// Additional requests, in case one entry is lost late.
const SPARE_PROBES: u64 = 2;
/// The states of unsynced bytes after a power cut.
const OUTCOMES: [Outcome; 7] = [
    Outcome::Lost,
    Outcome::Kept,
    Outcome::Zeroed,
    Outcome::Halved,
    Outcome::Random(1),
    Outcome::Random(2),
    Outcome::Random(3),
];

/// Cases of all scenarios in this run.
static CASES: AtomicUsize = AtomicUsize::new(0);
/// Panics on the library's threads, but for those on purpose.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A request, or a change to the cache's directory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Get(&'static str),
    /// A GET that accepts identity alone.
    Plain(&'static str),
    /// A GET that refuses identity.
    Insist(&'static str),
    Range(&'static str),
    /// A range of the representation in our coding, by its tag.
    Resume(&'static str),
    /// Four GETs at once, all of which arrive before the encode goes on.
    Crowd(&'static str),
    /// A GET whose first piece is read at once, and its rest when the encode has ended.
    Growing(&'static str),
    /// `rm -rf` of the cache.
    Remove,
}

impl Step {
    fn path(self) -> Option<&'static str> {
        match self {
            Self::Get(path) | Self::Plain(path) | Self::Insist(path) => Some(path),
            Self::Range(path) | Self::Resume(path) => Some(path),
            Self::Crowd(path) | Self::Growing(path) => Some(path),
            Self::Remove => None,
        }
    }
}

/// The state of the files in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Coded,
    /// Identity, with its reason.
    Identity(&'static str),
}

/// A list of steps that is repeated for each failure of each of its disk operations.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) pack: Pack,
    /// The bounds of the cache.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// The steps that fill the cache beforehand.
    pub(crate) before: Vec<Step>,
    /// Whether the entries are damaged beforehand.
    pub(crate) damaged: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
    /// Whether the files lie on a (failing) disk too.
    pub(crate) on_disk: bool,
    /// Whether every read that must not wait fails.
    pub(crate) slow: bool,
    /// Whether the entries are removed on the way.
    pub(crate) loses_files: bool,
}

impl Scenario {
    pub(crate) fn new(name: &'static str, steps: &[Step]) -> Self {
        Self {
            name,
            files: vec![("/a.txt", hex(3_000, 1))],
            pack: Pack::new(),
            bytes: 16 << 20,
            entries: 4,
            before: Vec::new(),
            damaged: false,
            steps: steps.to_vec(),
            end: End::Coded,
            on_disk: false,
            slow: false,
            loses_files: false,
        }
    }

    fn source(&self, path: &str) -> &[u8] {
        &self.files.iter().find(|(name, _)| *name == path).unwrap().1
    }

    /// The files that the scenario asks for.
    fn asked(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let asks = |path: &str| self.steps.iter().any(|step| step.path() == Some(path));
        self.files
            .iter()
            .filter(move |(path, _)| asks(path))
            .map(|(path, bytes)| (*path, &bytes[..]))
    }

    /// Small files beside those of the scenario, more than the cache can hold.
    fn probes(&self) -> Vec<(String, Vec<u8>)> {
        (0..self.entries + SPARE_PROBES)
            .map(|n| (format!("/probe{n}.txt"), hex(300, 1_000 + n)))
            .collect()
    }
}

/// The failing disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Cache,
    Source,
}

/// The failure of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Error(Errno),
    Part(Errno),
}

impl Kind {
    fn fault(self) -> Fault {
        match self {
            Self::Error(errno) => Fault::Error(errno.error()),
            Self::Part(errno) => Fault::Part(errno.error()),
        }
    }
}

/// One case: the call `nth` of its kind fails, and perhaps all calls after it.
#[derive(Clone, Copy, Debug)]
struct Trial {
    target: Target,
    op: Op,
    nth: usize,
    kind: Kind,
    onwards: bool,
}

impl Trial {
    /// Lists every way in which the calls `ops` can fail.
    fn all(target: Target, ops: &[Op]) -> Vec<Self> {
        let mut trials = Vec::new();
        let mut seen = BTreeMap::new();
        for op in ops.iter().copied() {
            let nth = seen.entry(format!("{op:?}")).or_insert(0);
            let trial = |kind, onwards| Self { target, op, nth: *nth, kind, onwards };
            for errno in Errno::ALL {
                trials.push(trial(Kind::Error(errno), false));
                trials.push(trial(Kind::Error(errno), true));
            }
            match op {
                Op::FileRead | Op::FileReadNowait => {
                    trials.push(trial(Kind::Part(Errno::Io), false));
                }
                Op::FileWrite => {
                    trials.push(trial(Kind::Part(Errno::Full), false));
                    trials.push(trial(Kind::Part(Errno::Full), true));
                }
                _ => {}
            }
            *nth += 1;
        }
        trials
    }

    /// Whether the failure must change no response.
    fn is_harmless(&self) -> bool {
        matches!(self.kind, Kind::Part(_)) && self.op != Op::FileWrite
    }

    /// Whether a body of a complete representation may break off.
    fn breaks_bodies(&self) -> bool {
        let reads = matches!(self.op, Op::FileRead | Op::FileReadNowait | Op::FileStat);
        !self.is_harmless() && (self.onwards || reads)
    }
}

/// A stand-in for the built-in encoders, which no scenario uses. They encode samples when a service
/// is built, which takes longer than a whole case.
#[derive(Debug)]
struct Idle;

impl Encoder for Idle {
    fn settings(&self) -> Settings {
        Settings { encoder: "idle".into(), version: "1".into(), parameters: Vec::new() }
    }

    fn begin(&self, _: u64) -> Result<Box<dyn Encoding>, Error> {
        Ok(Box::new(Self))
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        None
    }
}

impl Encoding for Idle {
    fn write(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}

/// Creates a service with one coding.
fn builder(source: Arc<dyn Source>, pack: Pack) -> Builder {
    let built_in =
        [ContentCoding::BROTLI, ContentCoding::ZSTD, ContentCoding::GZIP, ContentCoding::DEFLATE];
    let idle: Arc<dyn Encoder> = Arc::new(Idle);
    let builder =
        built_in.into_iter().fold(ServeCompressed::builder(source), |builder, built_in| {
            builder.encoder(built_in, Arc::clone(&idle))
        });
    builder.encoder(coding(), Arc::new(pack)).preference(Preference::List(vec![coding()]))
}

/// Returns the tag of the file `path` in our coding, as a service tells it that has no disk.
async fn coded_tag(scenario: &Scenario, path: &str) -> String {
    let memory = Memory::new().file(&path[1..], scenario.source(path).to_vec());
    let service = builder(Arc::new(memory), scenario.pack.clone()).build().unwrap();
    let unchanged = get(&service, path, &[PACK, ("if-none-match", "*")]).await;
    assert_eq!(unchanged.status, 304);
    unchanged.field("etag").to_owned()
}

/// A cache with a service on disks that may fail.
struct World<'a> {
    scenario: &'a Scenario,
    disk: FaultDisk,
    power: PowerDisk,
    files: FaultDisk,
    gate: Arc<Gate>,
    scanned: Arc<AtomicBool>,
    running: Option<(Cache, ServeCompressed)>,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, power: PowerDisk) -> Self {
        let disk = FaultDisk::new(power.clone());
        let files = FaultDisk::new(RealDisk);
        let world = Self {
            scenario,
            disk,
            power,
            files,
            gate: Gate::new(),
            scanned: Arc::default(),
            running: None,
        };
        world.obey(Target::Cache, |_| None);
        world
    }

    /// Lets `rule` decide over every call.
    fn obey(&self, target: Target, rule: impl Fn(Op) -> Option<Fault> + Send + Sync + 'static) {
        let slow = self.scenario.slow;
        let disk = if target == Target::Cache { &self.disk } else { &self.files };
        let scanned = Arc::clone(&self.scanned);
        disk.fail(move |_, op| {
            if thread::current().name() == Some("cc-scan") {
                at_end_of_thread(&scanned);
            }
            let slow = slow && op == Op::FileReadNowait;
            if slow {
                Some(std::io::Error::from(std::io::ErrorKind::WouldBlock).into())
            } else {
                rule(op)
            }
        });
    }

    fn heal(&self) {
        self.obey(Target::Cache, |_| None);
        self.obey(Target::Source, |_| None);
    }

    /// The files, from memory or from a directory.
    fn source(&self) -> Arc<dyn Source> {
        if self.scenario.on_disk {
            let disk = Arc::new(self.files.clone());
            return Arc::new(Directory::with_disk(disk, site(self.scenario)).unwrap());
        }
        let probes = self.scenario.probes();
        let files = self.scenario.files.iter().map(|(path, bytes)| (*path, bytes));
        let files = files.chain(probes.iter().map(|(path, bytes)| (path.as_str(), bytes)));
        Arc::new(
            files.fold(Memory::new(), |memory, (path, bytes)| memory.file(path, bytes.clone())),
        )
    }

    /// Opens the cache, and waits until its directory is read, so that the order of calls is fixed.
    async fn start(&mut self, source: Arc<dyn Source>) {
        let Scenario { bytes, entries, pack, .. } = self.scenario;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let cache = Cache::builder(ROOT).max_bytes(*bytes).max_entries(*entries).disk(disk);
        let cache = cache.build().unwrap();
        let pack = Pack { gate: Some(Arc::clone(&self.gate)), ..pack.clone() };
        let service = builder(source, pack)
            .cache(cache.clone())
            .revalidate(Duration::ZERO)
            .patience(LONG)
            .build()
            .unwrap();
        self.running = Some((cache, service));
        soon("the directory is read", || self.scanned.load(Ordering::SeqCst)).await;
    }

    fn cache(&self) -> &Cache {
        &self.running.as_ref().unwrap().0
    }

    fn service(&self) -> &ServeCompressed {
        &self.running.as_ref().unwrap().1
    }

    async fn act(&self, steps: &[Step]) -> Vec<(Step, Answer)> {
        let mut answers = Vec::new();
        for step in steps.iter().copied() {
            match step {
                Step::Remove => drop(self.disk.remove_tree(Path::new(ROOT))),
                Step::Crowd(path) => {
                    answers.extend(self.crowd(path).await.into_iter().map(|answer| (step, answer)));
                }
                Step::Growing(path) => answers.push((step, self.growing(path).await)),
                Step::Resume(path) => {
                    self.gate.open_wide();
                    let tag = coded_tag(self.scenario, path).await;
                    let fields = [PACK, ("range", "bytes=100-299"), ("if-range", &*tag)];
                    answers.push((step, get(self.service(), path, &fields).await));
                }
                Step::Get(path) | Step::Plain(path) | Step::Insist(path) | Step::Range(path) => {
                    self.gate.open_wide();
                    let fields = match step {
                        Step::Plain(_) => vec![PLAIN],
                        Step::Insist(_) => vec![INSISTS],
                        Step::Range(_) => vec![PACK, ("range", "bytes=100-299")],
                        _ => vec![PACK],
                    };
                    answers.push((step, get(self.service(), path, &fields).await));
                }
            }
            self.settle().await;
        }
        answers
    }

    async fn crowd(&self, path: &'static str) -> Vec<Answer> {
        // The lookup is done, so that the crowd arrives at once.
        get(self.service(), path, &[PLAIN]).await;
        let asking: Vec<_> = (0..4)
            .map(|_| {
                let service = self.service().clone();
                tokio::spawn(async move { get(&service, path, &[PACK]).await })
            })
            .collect();
        let done = || asking.iter().all(tokio::task::JoinHandle::is_finished);
        soon("the crowd arrives", || self.gate.arrived() > 0 || done()).await;
        self.gate.open_wide();
        let mut answers = Vec::new();
        for asked in asking {
            answers.push(asked.await.unwrap());
        }
        answers
    }

    async fn growing(&self, path: &'static str) -> Answer {
        self.gate.open(1);
        let mut opening = Box::pin(open(self.service(), path, &[PACK]));
        let opened = match tokio::time::timeout(Duration::from_secs(1), &mut opening).await {
            Ok(opened) => opened,
            // A first encode that failed has used up the gate's passes.
            Err(_) => {
                self.gate.open_wide();
                opening.await
            }
        };
        let (head, mut body): (_, Body) = opened.into_parts();
        let first = body.frame().await;
        self.gate.open_wide();
        // An encode that could not be published lives on in this body, so nothing settles yet.
        self.landed().await;
        let mut bytes = Vec::new();
        let mut next = first;
        loop {
            match next {
                Some(Ok(frame)) => bytes.extend_from_slice(&frame.into_data().unwrap()),
                Some(Err(error)) => {
                    let mut answer = read(Response::from_parts(head, Body::empty())).await;
                    answer.body = Err(error);
                    return answer;
                }
                None => break,
            }
            next = body.frame().await;
        }
        let mut answer = read(Response::from_parts(head, Body::empty())).await;
        answer.body = Ok(bytes);
        answer
    }

    async fn landed(&self) {
        soon("every flight ends", || {
            let metrics = self.service().metrics();
            metrics.inflight == 0 && metrics.queue_length == 0
        })
        .await;
    }

    /// Waits until no flight, unnamed file or lock is left.
    async fn settle(&self) {
        self.landed().await;
        soon("every unnamed file is dropped", || self.disk.unnamed_files() == 0).await;
        soon("every lock is given back", || self.disk.locks() == 0).await;
    }

    /// The entries on the disk, and their sizes.
    fn entries(&self) -> BTreeMap<PathBuf, u64> {
        let size = |path: &Path| Some(self.power.stat(path).ok()?.fingerprint.size);
        let found = entries_on(&self.power, Path::new(ROOT)).into_iter();
        found.filter_map(|path| Some((path.clone(), size(&path)?))).collect()
    }

    /// Whether every entry with a name has all of its bytes, with its trailer and agreeing lengths.
    fn holds_whole_entries(&self) {
        for (path, size) in self.entries() {
            // An entry that was evicted after the listing has no name any more.
            let file = match self.power.open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                file => file.unwrap(),
            };
            let mut bytes = vec![0; size as usize];
            assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
            assert!(is_whole(&bytes), "{} is cut off", path.display());
        }
    }

    /// Whether the disk holds the entries that the cache counts, within the bounds. Unless `exact`,
    /// the cache may count more: entries that were removed while it was being opened.
    fn is_in_bounds(&self, exact: bool) -> bool {
        let (stats, entries) = (self.cache().stats(), self.entries());
        let (number, bytes) = (entries.len() as u64, entries.values().sum());
        let knows = match exact {
            true => (stats.entries, stats.bytes) == (number, bytes),
            false => stats.entries >= number && stats.bytes >= bytes,
        };
        knows && number <= self.scenario.entries && bytes <= self.scenario.bytes
    }

    /// Asserts the state of a world without failures: exact answers, coded again, and within the
    /// bounds. Nothing is left of the failure.
    async fn recovers(mut self, exact: bool) {
        let scenario = self.scenario;
        for (path, source) in scenario.asked() {
            for tries in 1.. {
                let answer = get(self.service(), path, &[PACK]).await;
                assert_eq!(answer.status, 200, "{path} after it");
                assert!(answer.decoded() == source, "{path} after it");
                self.settle().await;
                let is_end = match scenario.end {
                    End::Coded => answer.coding() == "x-pack",
                    End::Identity(why) => answer.coding().is_empty() && answer.cache() == why,
                };
                if is_end {
                    break;
                }
                assert!(tries < 3, "{path} stays as it is: {:?}", answer.headers);
            }
        }
        self.is_in_bounds_soon("after it", exact).await;
        if !scenario.on_disk && scenario.entries <= PROBES {
            // Room that was reserved and not given back would be missing now.
            let full = |world: &Self| world.cache().stats().entries == scenario.entries;
            let mut probes = (0..).zip(scenario.probes());
            loop {
                let next = probes.next();
                // An entry that could not be written to the medium may be removed late, beside the
                // evicted ones. Then there is one less, until the next comes.
                if next.as_ref().is_none_or(|(number, _)| *number >= scenario.entries) {
                    self.is_in_bounds_soon("once it is full", true).await;
                    if full(&self) {
                        break;
                    }
                }
                let Some((_, (path, source))) = next else {
                    panic!("room is lost: {:?}", self.cache().stats());
                };
                self.takes(&path, &source).await;
            }
        }
        let (disk, files) = (self.disk.clone(), self.files.clone());
        let kept = self.cache().stats().entries as usize;
        soon("only entries are open", || disk.open_files() <= kept && files.open_files() == 0)
            .await;
        drop(self.running.take());
        soon("every file is closed", || disk.open_files() == 0).await;
    }

    /// Asks for a probe until the cache has taken it, which it does at once unless another thread holds
    /// an entry. On a busy machine that may last longer than an eviction waits.
    async fn takes(&self, path: &str, source: &[u8]) {
        // A broken encoder's verdict takes as much room as an entry.
        let broken = self.scenario.end == End::Identity("encoder");
        let expected = if broken { ("", "encoder") } else { ("x-pack", "stored") };
        let began = Instant::now();
        loop {
            let answer = get(self.service(), path, &[PACK]).await;
            assert!(answer.decoded() == source);
            self.settle().await;
            let found = (answer.coding(), answer.cache());
            if found == expected {
                break;
            }
            let may_pass = found == ("", "disk") && began.elapsed() < PATIENCE;
            assert!(may_pass, "{path}: {found:?} and not {expected:?}");
            pause().await;
        }
    }

    async fn is_in_bounds_soon(&self, when: &str, exact: bool) {
        let began = Instant::now();
        while !self.is_in_bounds(exact) {
            let late = began.elapsed() > PATIENCE;
            assert!(!late, "{when}: {:?} {:?}", self.cache().stats(), self.entries());
            pause().await;
        }
    }
}

/// A directory with the files of `scenario` and its probes, all of which have rested.
fn site(scenario: &Scenario) -> PathBuf {
    static SITES: Mutex<BTreeMap<&str, tempfile::TempDir>> = Mutex::new(BTreeMap::new());
    let mut sites = SITES.lock().unwrap();
    let site = sites.entry(scenario.name).or_insert_with(|| {
        let site = tempfile::tempdir().unwrap();
        for (path, bytes) in &scenario.files {
            std::fs::write(site.path().join(&path[1..]), bytes).unwrap();
        }
        thread::sleep(Duration::from_millis(2_100));
        site
    });
    site.path().to_owned()
}

async fn pause() {
    tokio::task::yield_now().await;
    thread::sleep(Duration::from_micros(50));
    tokio::task::yield_now().await;
}

/// Waits until `is_so` is true.
async fn soon(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it never comes true: {what}");
        pause().await;
    }
}

/// Runs one case on a runtime of its own. Prints the case if it fails.
fn case<T>(scenario: &Scenario, what: &impl Debug, test: impl Future<Output = T>) -> T {
    struct Tell(String);
    impl Drop for Tell {
        fn drop(&mut self) {
            if thread::panicking() {
                eprintln!("the case was: {}", self.0);
            }
        }
    }
    let _tell = Tell(format!("{}, {what:?}", scenario.name));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done =
        runtime.block_on(async { tokio::time::timeout(TEST, test).await.expect("it hangs") });
    let panics = PANICS.lock().unwrap();
    assert!(panics.is_empty(), "{panics:?}");
    done
}

fn record_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let thread = thread::current();
            let is_ours = |name: &str| name.starts_with("cc-") || name.starts_with("cachec");
            let text = info.to_string();
            // Other tests of this program have encoders and sources that panic on purpose.
            if thread.name().is_some_and(is_ours) && !text.contains("on purpose") {
                PANICS.lock().unwrap().push(text);
            }
            before(info);
        }));
    });
}

/// Holds the answers during a failure against the allowed ones.
fn judge(scenario: &Scenario, trial: &Trial, step: Step, answer: &Answer) {
    let (status, source_failed) = (answer.status.as_u16(), trial.target == Target::Source);
    if source_failed && [403, 500, 503].contains(&status) && !trial.is_harmless() {
        // Only a call that opens something can lack a descriptor.
        let busy = trial.kind == Kind::Error(Errno::TooManyFiles) && trial.op == Op::RootOpen;
        return assert!(!busy || status == 503, "{step:?} {status} for want of descriptors");
    }
    let (path, expected) = match step {
        Step::Range(path) => (path, 206),
        // A coding that cannot be had makes the range one of nothing.
        Step::Resume(path) => (path, if status == 206 { 206 } else { 200 }),
        Step::Insist(path) if status == 503 && !trial.is_harmless() => {
            return assert_eq!(answer.field("retry-after"), "1", "{path}");
        }
        Step::Get(path) | Step::Plain(path) | Step::Insist(path) => (path, 200),
        Step::Crowd(path) | Step::Growing(path) => (path, 200),
        Step::Remove => return,
    };
    assert_eq!(status, expected, "{step:?}: {:?}", answer.headers);
    let grew = !answer.headers.contains_key("content-length") && !trial.is_harmless();
    let Ok(body) = &answer.body else {
        assert!(trial.breaks_bodies() || grew, "{step:?} breaks off: {:?}", answer.body);
        return;
    };
    let source = scenario.source(path);
    if status == 206 {
        let (coding, whole) = match step {
            Step::Resume(_) => ("x-pack", &pack(source)[..]),
            _ => ("", source),
        };
        assert_eq!(answer.coding(), coding, "{step:?}");
        assert!(body[..] == whole[RANGE], "a range of something else: {:?}", answer.headers);
        return;
    }
    assert!(answer.decoded() == source, "a clean end with wrong bytes: {:?}", answer.headers);
}

/// `source` in the coding `x-pack`.
fn pack(source: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoding = Pack::new().begin(source.len() as u64).unwrap();
    for piece in source.chunks(PIECE) {
        encoding.write(piece, &mut out).unwrap();
    }
    encoding.finish(&mut out).unwrap();
    out
}

/// Runs `scenario` without a failure. Returns the disk before it, and its calls.
async fn count(scenario: &Scenario) -> (Snapshot, Vec<Op>, Vec<Op>) {
    let mut world = World::new(scenario, PowerDisk::new());
    if !scenario.before.is_empty() {
        let source = world.source();
        world.start(source).await;
        world.act(&scenario.before).await;
        quiet(&world).await;
        drop(world.running.take());
    }
    if scenario.damaged {
        for path in world.entries().keys() {
            world.power.open(path).unwrap().write_all_at(b"damaged", 40).unwrap();
        }
    }
    world.power.settle();
    let before = world.power.snapshot();
    let mut world = World::new(scenario, before.survivor(Outcome::Kept));
    let counted = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let source = world.source();
    let (cache, files) = (Arc::clone(&counted), Arc::clone(&counted));
    world.obey(Target::Cache, move |op| {
        cache.lock().unwrap().0.push(op);
        None
    });
    world.obey(Target::Source, move |op| {
        files.lock().unwrap().1.push(op);
        None
    });
    world.start(source).await;
    for (step, answer) in world.act(&scenario.steps).await {
        assert!(answer.body.is_ok() && answer.status.is_success(), "{step:?} {answer:?}");
    }
    quiet(&world).await;
    world.heal();
    world.recovers(!scenario.loses_files).await;
    let counted = counted.lock().unwrap();
    (before, counted.0.clone(), counted.1.clone())
}

/// Waits for the background work: the scan of the directory, and writing to the medium.
async fn quiet(world: &World<'_>) {
    let mut calls = u64::MAX;
    while std::mem::replace(&mut calls, world.disk.calls()) != calls {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs one case. Returns whether the failing call was made.
async fn attempt(scenario: &Scenario, before: &Snapshot, trial: Trial) -> bool {
    let mut world = World::new(scenario, before.survivor(Outcome::Kept));
    let source = world.source();
    let (seen, failing) = (AtomicUsize::new(0), AtomicBool::new(false));
    let fired = Arc::new(AtomicBool::new(false));
    let firing = Arc::clone(&fired);
    world.obey(trial.target, move |op| {
        let is_it = op == trial.op && seen.fetch_add(1, Ordering::SeqCst) == trial.nth;
        firing.fetch_or(is_it, Ordering::SeqCst);
        let fails = is_it || trial.onwards && failing.load(Ordering::SeqCst);
        failing.fetch_or(is_it, Ordering::SeqCst);
        fails.then(|| trial.kind.fault())
    });
    world.start(source).await;
    let answers = world.act(&scenario.steps).await;
    // The calls before the failing one are those that were counted, but for one more lookup.
    if trial.target == Target::Cache {
        let told = answers.iter().map(|(step, answer)| format!("{step:?} {}", answer.cache()));
        let what = format!("the call is made after {:?}", told.collect::<Vec<_>>());
        soon(&what, || fired.load(Ordering::SeqCst)).await;
    }
    for (step, answer) in &answers {
        judge(scenario, &trial, *step, answer);
    }
    world.heal();
    // An entry that cannot be synced is removed, perhaps while it is opened. An entry that may not
    // be read is replaced.
    let denied =
        matches!(trial.kind, Kind::Error(Errno::Denied)) && (trial.op == Op::Open || trial.onwards);
    let removed = trial.op == Op::FileSync || trial.onwards || scenario.loses_files || denied;
    let damaged = world.cache().stats().damaged;
    assert!(damaged == 0 || scenario.damaged || denied, "a failing disk is no damage");
    if !scenario.damaged {
        world.holds_whole_entries();
    }
    // An entry that could not be read at the start is counted when room is made.
    if !removed && !matches!(trial.op, Op::List | Op::Stat) {
        world.is_in_bounds_soon("at once", true).await;
    }
    world.recovers(!removed).await;
    fired.load(Ordering::SeqCst)
}

/// Reopens the disk that a power cut leaves at `moment`.
async fn reopen(scenario: &Scenario, moment: &Snapshot, outcome: Outcome) {
    let mut world = World::new(scenario, moment.survivor(outcome));
    world.gate.open_wide();
    let source = world.source();
    world.start(source).await;
    world.recovers(!scenario.loses_files).await;
}

/// Runs `scenario` once for each failure of each of its disk operations. Runs it again for each
/// state in which a power cut before an operation can leave the disk.
pub(crate) fn run_all(scenario: &Scenario) {
    record_panics();
    let began = Instant::now();
    let (before, cache_ops, source_ops) = case(scenario, &"nothing fails", count(scenario));
    let mut trials = Trial::all(Target::Cache, &cache_ops);
    trials.extend(Trial::all(Target::Source, &source_ops));
    let failed = trials
        .iter()
        .filter(|trial| case(scenario, trial, attempt(scenario, &before, **trial)))
        .count();
    let cuts = if scenario.on_disk { 0 } else { cut_power(scenario, &before) };
    let all = CASES.fetch_add(failed + cuts, Ordering::SeqCst) + failed + cuts;
    println!(
        "{}: {} operations, {failed} failures, {cuts} power cuts in {:.1} s; {all} cases so far",
        scenario.name,
        cache_ops.len() + source_ops.len(),
        began.elapsed().as_secs_f64(),
    );
}

/// Cuts the power before each operation, and reopens each possible state of the disk.
fn cut_power(scenario: &Scenario, before: &Snapshot) -> usize {
    let mut world = World::new(scenario, before.survivor(Outcome::Kept));
    let moments = Arc::new(Mutex::new(Vec::new()));
    let (power, taken) = (world.power.clone(), Arc::clone(&moments));
    let source = world.source();
    world.obey(Target::Cache, move |_| {
        taken.lock().unwrap().push(power.snapshot());
        None
    });
    case(scenario, &"the power's moments", async {
        world.start(source).await;
        world.act(&scenario.steps).await;
        quiet(&world).await;
    });
    world.heal();
    let moments = moments.lock().unwrap();
    for (n, moment) in moments.iter().enumerate() {
        for outcome in OUTCOMES {
            let what = ("power cut before call", n, outcome);
            case(scenario, &what, reopen(scenario, moment, outcome));
        }
    }
    moments.len() * OUTCOMES.len()
}
