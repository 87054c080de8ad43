//! Random sequences of edits, requests, damage and restarts, held against a plain model of the
//! files' bytes and the rules of RFC 9110.
//!
//! A failed story is printed as short as it can be, one sentence a step. `PROPTEST_CASES` sets
//! their number, which is 256 by default.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the stories do to files what time and other processes do"
)]

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use cachecompress::{Cache, Directory, ServeCompressed};
use cachecompress_test::multipart;
use cachecompress_test::service::{Answer, LONG, decode, read, request, run, send, settled};
use cachecompress_test::site::{hex, random};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestError, TestRunner};
use tempfile::TempDir;

// --- The steps -----------------------------------------------------------------------------------

/// The files of the site. Two may share an entry, one is not kept in memory, and one has a type
/// that is never compressed.
const FILES: [&str; 4] = ["a.txt", "b.txt", "large.css", "picture.png"];

#[derive(Clone, Copy)]
enum Content {
    Empty,
    Short(u64),
    Text(u64),
    Long(u64),
    Noise(u64),
}

#[derive(Clone)]
enum Step {
    /// A new file takes the name.
    Replace(&'static str, Content),
    /// New bytes in the same file.
    Overwrite(&'static str, Content),
    /// New bytes in the same file, whose date is then restored, as some installers do it.
    Smuggle(&'static str, Content),
    Touch(&'static str, Date),
    Delete(&'static str),
    Ask(Ask),
    Restart {
        room: u64,
    },
    /// Another file takes the name of an entry while the server runs.
    Damage(usize, Damage),
    /// An entry is damaged in place while the server is down.
    DamageAtRest(usize, Damage),
    RemoveCache,
}

#[derive(Clone, Copy, Debug)]
enum Date {
    Now,
    Of2001,
}

#[derive(Clone, Copy)]
enum Damage {
    Flip(usize),
    Cut(usize),
    Extend,
    Zero,
}

#[derive(Clone)]
struct Ask {
    method: &'static str,
    file: &'static str,
    accept: usize,
    condition: Condition,
    range: Option<&'static str>,
    if_range: IfRange,
}

/// A condition, with the number of answers since the one that its tag or date is of.
#[derive(Clone, Copy, Debug)]
enum Condition {
    None,
    NoneMatch(usize),
    NoneMatchWeak(usize),
    NoneMatchAny,
    Match(usize),
    ModifiedSince(usize),
}

#[derive(Clone, Copy, Debug)]
enum IfRange {
    None,
    Tag(usize),
    Date(usize),
}

/// A value of Accept-Encoding, the codings with a weight above zero, and whether identity has one.
struct Accept {
    line: Option<&'static str>,
    codings: &'static [&'static str],
    identity: bool,
}

const ALL: &[&str] = &["br", "zstd", "gzip", "deflate"];
const ACCEPTS: [Accept; 8] = [
    Accept { line: None, codings: &[], identity: true },
    Accept { line: Some("gzip"), codings: &["gzip"], identity: true },
    Accept { line: Some("br, zstd;q=0.9"), codings: &["br", "zstd"], identity: true },
    Accept { line: Some("gzip;q=0, br;q=0.2"), codings: &["br"], identity: true },
    Accept { line: Some("*"), codings: ALL, identity: true },
    Accept {
        line: Some("deflate, gzip, identity;q=0"),
        codings: &["deflate", "gzip"],
        identity: false,
    },
    Accept { line: Some("*;q=0"), codings: &[], identity: false },
    Accept { line: Some("zstd, identity;q=0.5"), codings: &["zstd"], identity: true },
];

const RANGES: [&str; 10] = [
    "bytes=0-9",
    "bytes=5-",
    "bytes=-7",
    "bytes=100-299",
    "bytes=9999999-",
    "bytes=-0",
    "bytes=0-1, 4-5",
    "bytes=900-, 20-29, 7-7, 25-40",
    "bytes=5-9, 0-4",
    "bytes=9999999-, 3-5",
];

/// Room for everything, and for next to nothing. An entry may have a quarter of it.
const ROOMS: [u64; 2] = [64 << 20, 300_000];

impl Content {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::Short(seed) => hex(100, seed),
            Self::Text(seed) => hex(3000, seed),
            Self::Long(seed) => hex(90_000, seed),
            Self::Noise(seed) => random(seed, 5000),
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing"),
            Self::Short(seed) => write!(f, "100 bytes #{seed}"),
            Self::Text(seed) => write!(f, "3,000 bytes #{seed}"),
            Self::Long(seed) => write!(f, "90,000 bytes #{seed}"),
            Self::Noise(seed) => write!(f, "5,000 bytes #{seed} that nothing compresses"),
        }
    }
}

impl fmt::Debug for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip(at) => write!(f, "flip a bit of byte {at} of"),
            Self::Cut(at) => write!(f, "cut after byte {at}"),
            Self::Extend => f.write_str("append to"),
            Self::Zero => f.write_str("fill with zeros"),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replace(file, content) => write!(f, "replace {file} with {content:?}"),
            Self::Overwrite(file, content) => write!(f, "overwrite {file} with {content:?}"),
            Self::Smuggle(file, content) => {
                write!(f, "overwrite {file} with {content:?} and leave its date")
            }
            Self::Touch(file, Date::Now) => write!(f, "touch {file}"),
            Self::Touch(file, Date::Of2001) => write!(f, "set the date of {file} to 2001"),
            Self::Delete(file) => write!(f, "delete {file}"),
            Self::Ask(ask) => write!(f, "{ask:?}"),
            Self::Restart { room } => write!(f, "restart with room for {room} bytes"),
            Self::Damage(entry, damage) => write!(f, "{damage:?} entry {entry}"),
            Self::DamageAtRest(entry, damage) => {
                write!(f, "stop, {damage:?} entry {entry}, and start again")
            }
            Self::RemoveCache => f.write_str("rm -rf the cache"),
        }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.file)?;
        if let Some(line) = ACCEPTS[self.accept].line {
            write!(f, ", Accept-Encoding: {line}")?;
        }
        match self.condition {
            Condition::None => {}
            Condition::NoneMatch(ago) => write!(f, ", If-None-Match: the tag {ago} answers ago")?,
            Condition::NoneMatchWeak(ago) => {
                write!(f, ", If-None-Match: W/ the tag {ago} answers ago")?;
            }
            Condition::NoneMatchAny => f.write_str(", If-None-Match: *")?,
            Condition::Match(ago) => write!(f, ", If-Match: the tag {ago} answers ago")?,
            Condition::ModifiedSince(ago) => {
                write!(f, ", If-Modified-Since: the date {ago} answers ago")?;
            }
        }
        if let Some(range) = self.range {
            write!(f, ", Range: {range}")?;
        }
        match self.if_range {
            IfRange::None => Ok(()),
            IfRange::Tag(ago) => write!(f, ", If-Range: the tag {ago} answers ago"),
            IfRange::Date(ago) => write!(f, ", If-Range: the date {ago} answers ago"),
        }
    }
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        1 => Just(Content::Empty),
        1 => (0..2_u64).prop_map(Content::Short),
        6 => (0..4_u64).prop_map(Content::Text),
        3 => (0..2_u64).prop_map(Content::Long),
        1 => (0..2_u64).prop_map(Content::Noise),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let condition = prop_oneof![
        6 => Just(Condition::None),
        2 => (0..4_usize).prop_map(Condition::NoneMatch),
        1 => (0..4_usize).prop_map(Condition::NoneMatchWeak),
        1 => Just(Condition::NoneMatchAny),
        2 => (0..4_usize).prop_map(Condition::Match),
        1 => (0..4_usize).prop_map(Condition::ModifiedSince),
    ];
    let if_range = prop_oneof![
        3 => Just(IfRange::None),
        2 => (0..4_usize).prop_map(IfRange::Tag),
        1 => (0..4_usize).prop_map(IfRange::Date),
    ];
    let method = prop_oneof![4 => Just("GET"), 1 => Just("HEAD")];
    let range = prop::option::weighted(0.35, select(&RANGES[..]));
    (method, select(&FILES[..]), 0..ACCEPTS.len(), condition, range, if_range).prop_map(
        |(method, file, accept, condition, range, if_range)| {
            let if_range = if range.is_some() { if_range } else { IfRange::None };
            Ask { method, file, accept, condition, range, if_range }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let file = || select(&FILES[..]);
    let damage = || {
        prop_oneof![
            (0..3000_usize).prop_map(Damage::Flip),
            (0..3000_usize).prop_map(Damage::Cut),
            Just(Damage::Extend),
            Just(Damage::Zero),
        ]
    };
    prop_oneof![
        12 => ask().prop_map(Step::Ask),
        2 => (file(), content()).prop_map(|(file, content)| Step::Replace(file, content)),
        2 => (file(), content()).prop_map(|(file, content)| Step::Overwrite(file, content)),
        2 => (file(), content()).prop_map(|(file, content)| Step::Smuggle(file, content)),
        1 => (file(), select(vec![Date::Now, Date::Of2001]))
            .prop_map(|(file, date)| Step::Touch(file, date)),
        1 => file().prop_map(Step::Delete),
        1 => select(&ROOMS[..]).prop_map(|room| Step::Restart { room }),
        1 => (0..6_usize, damage()).prop_map(|(entry, damage)| Step::Damage(entry, damage)),
        1 => (0..6_usize, damage()).prop_map(|(entry, damage)| Step::DamageAtRest(entry, damage)),
        1 => Just(Step::RemoveCache),
    ]
}

// --- The model -----------------------------------------------------------------------------------

/// The fields of a representation in an earlier response.
#[derive(Clone, Debug)]
struct Seen {
    tag: String,
    coding: String,
    source: Vec<u8>,
    /// Last-Modified; empty if it was not told yet.
    modified: String,
}

/// The model's knowledge of a file's date, which is not told before its time.
struct Dated {
    /// The content at this server's last request for it; `None` if there was no file.
    content: Option<Vec<u8>>,
    /// Its date, if it was told.
    date: Option<u64>,
    /// The last second that may be the date of an earlier content. Until it is over, this content may
    /// have no date.
    earlier: u64,
}

impl Dated {
    /// The last second that may be the date of this or an earlier content, when another one is found
    /// in the second `now`.
    fn latest(&self, now: u64) -> u64 {
        self.date.unwrap_or(self.earlier + 1).min(now + 1)
    }
}

/// A site, its server, and the model's knowledge of them.
struct World {
    _dir: TempDir,
    site: PathBuf,
    cache: PathBuf,
    service: Option<ServeCompressed>,
    room: u64,
    files: HashMap<&'static str, Vec<u8>>,
    seen: Vec<Seen>,
    /// The bytes of each tag. The same tag must mean the same bytes for ever.
    bytes: HashMap<String, Vec<u8>>,
    /// Contents and codings whose encodes must still be stored.
    stored: HashSet<(Vec<u8>, String)>,
    /// Each file's content and date at this server's last request for it.
    dates: HashMap<&'static str, Dated>,
}

impl World {
    fn new() -> Self {
        let dir = rested_site();
        let (site, cache) = (dir.path().join("site"), dir.path().join("cache"));
        let files = [("a.txt", Content::Text(0)), ("large.css", Content::Long(0))];
        let files = files.map(|(file, content)| (file, content.bytes())).into();
        let (seen, bytes, stored, dates) = Default::default();
        let (service, room) = (None, ROOMS[0]);
        let mut world =
            Self { _dir: dir, site, cache, service, room, files, seen, bytes, stored, dates };
        world.start();
        world
    }

    fn start(&mut self) {
        let cache = Cache::builder(&self.cache).max_bytes(self.room).build().unwrap();
        let service = ServeCompressed::builder(Directory::new(&self.site).unwrap())
            .cache(cache)
            .revalidate(Duration::ZERO)
            .patience(LONG);
        self.service = Some(service.build().unwrap());
        self.dates.clear();
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Replace(file, content) => {
                let new = self.site.join("new");
                fs::write(&new, content.bytes()).unwrap();
                fs::rename(&new, self.site.join(file)).unwrap();
                self.files.insert(file, content.bytes());
            }
            Step::Overwrite(file, content) => {
                fs::write(self.site.join(file), content.bytes()).unwrap();
                self.files.insert(file, content.bytes());
            }
            Step::Smuggle(file, content) => {
                let path = self.site.join(file);
                let date = fs::metadata(&path).and_then(|metadata| metadata.modified());
                fs::write(&path, content.bytes()).unwrap();
                if let Ok(date) = date {
                    fs::File::options()
                        .append(true)
                        .open(path)
                        .unwrap()
                        .set_modified(date)
                        .unwrap();
                }
                self.files.insert(file, content.bytes());
            }
            Step::Touch(file, date) => {
                let time = match date {
                    Date::Now => SystemTime::now(),
                    Date::Of2001 => SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
                };
                if let Ok(file) = fs::File::options().append(true).open(self.site.join(file)) {
                    file.set_modified(time).unwrap();
                }
            }
            Step::Delete(file) => {
                let _ = fs::remove_file(self.site.join(file));
                self.files.remove(file);
            }
            Step::Ask(ask) => self.ask(ask).await,
            Step::Restart { room } => {
                self.service = None;
                self.room = *room;
                if self.is_tight() {
                    self.stored.clear();
                }
                self.start();
            }
            Step::Damage(entry, damage) => self.damage(*entry, *damage, false),
            Step::DamageAtRest(entry, damage) => {
                self.service = None;
                self.damage(*entry, *damage, true);
                self.start();
            }
            Step::RemoveCache => {
                let _ = fs::remove_dir_all(&self.cache);
                self.stored.clear();
            }
        }
    }

    fn is_tight(&self) -> bool {
        self.room < ROOMS[0]
    }

    fn damage(&mut self, entry: usize, damage: Damage, in_place: bool) {
        let mut entries = files_under(&self.cache.join("v1/entries"));
        entries.sort();
        let Some(path) = entries.get(entry % entries.len().max(1)) else { return };
        let mut bytes = fs::read(path).unwrap();
        let len = bytes.len().max(1);
        match damage {
            Damage::Flip(at) => bytes.iter_mut().skip(at % len).take(1).for_each(|byte| *byte ^= 4),
            Damage::Cut(at) => bytes.truncate(at % len),
            Damage::Extend => bytes.extend_from_slice(b"more"),
            Damage::Zero => bytes.fill(0),
        }
        if in_place {
            fs::write(path, bytes).unwrap();
        } else {
            let new = self.cache.join("new");
            fs::write(&new, bytes).unwrap();
            fs::rename(new, path).unwrap();
        }
        self.stored.clear();
    }

    fn ago(&self, ago: usize) -> Option<Seen> {
        let place = self.seen.len().checked_sub(1 + ago)?;
        self.seen.get(place).cloned()
    }

    async fn send(&self, method: &str, file: &str, fields: &[(&str, String)]) -> Answer {
        let service = self.service.as_ref().unwrap();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = read(send(service, request(method, &format!("/{file}"), &fields)).await).await;
        settled(service).await;
        answer
    }

    async fn ask(&mut self, ask: &Ask) {
        let mut fields = Vec::new();
        let accept = &ACCEPTS[ask.accept];
        fields.extend(accept.line.map(|line| ("accept-encoding", line.to_owned())));
        let (condition, if_range) = self.validators(ask, &mut fields);
        fields.extend(ask.range.map(|range| ("range", range.to_owned())));

        // An answer without any condition has the present date.
        let probed = now();
        let probe = self.send("HEAD", ask.file, &[]).await;
        let modified = date(&probe);
        let answer = self.send(ask.method, ask.file, &fields).await;
        let Some(source) = self.files.get(ask.file).cloned() else {
            assert_eq!((probe.status.as_u16(), answer.status.as_u16()), (404, 404));
            if let Some(dated) = self.dates.get_mut(ask.file) {
                let earlier = dated.latest(now());
                *dated = Dated { content: None, date: None, earlier };
            }
            return;
        };
        assert_eq!(probe.status, 200);
        self.check_date(ask.file, &source, modified, probed);
        let exchange =
            Exchange { ask, accept, condition, if_range, modified, probed, source, fields };
        exchange.check_status(&answer, self.is_tight());
        exchange.check_fields(&answer);
        self.check_body(&exchange, &answer).await;
    }

    /// Adds the fields that refer to earlier answers. Returns their references.
    fn validators(
        &self,
        ask: &Ask,
        fields: &mut Vec<(&'static str, String)>,
    ) -> (Expected, Expected) {
        let ago = |ago| self.ago(ago);
        // A client without a date asks by none.
        let dated = |n| ago(n).filter(|seen| !seen.modified.is_empty());
        let mut add = |name, value: String| fields.push((name, value));
        let condition = match ask.condition {
            Condition::None => None,
            Condition::NoneMatchAny => {
                add("if-none-match", "*".into());
                Some(Expected::Any)
            }
            Condition::NoneMatch(n) => ago(n).map(|seen| {
                add("if-none-match", seen.tag.clone());
                Expected::Tag(seen)
            }),
            Condition::NoneMatchWeak(n) => ago(n).map(|seen| {
                add("if-none-match", format!("\"other\", W/{}", seen.tag));
                Expected::Tag(seen)
            }),
            Condition::Match(n) => ago(n).map(|seen| {
                add("if-match", seen.tag.clone());
                Expected::Match(seen)
            }),
            Condition::ModifiedSince(n) => dated(n).map(|seen| {
                add("if-modified-since", seen.modified.clone());
                Expected::Date(seen.modified)
            }),
        };
        let if_range = match ask.if_range {
            IfRange::None => None,
            IfRange::Tag(n) => ago(n).map(|seen| {
                add("if-range", seen.tag.clone());
                Expected::Tag(seen)
            }),
            IfRange::Date(n) => dated(n).map(|seen| {
                add("if-range", seen.modified.clone());
                Expected::Date(seen.modified)
            }),
        };
        (condition.unwrap_or(Expected::Nothing), if_range.unwrap_or(Expected::Nothing))
    }

    /// Checks that the bytes are the source's or the range's, and the same for the same tag.
    async fn check_body(&mut self, exchange: &Exchange<'_>, answer: &Answer) {
        let status = answer.status.as_u16();
        if ![200, 206].contains(&status) {
            return;
        }
        let (tag, coding) = (answer.field("etag").to_owned(), answer.coding().to_owned());
        let source = exchange.source.clone();
        if exchange.ask.method == "HEAD" {
            assert_eq!(answer.body.as_ref().unwrap(), b"");
            let len = if coding.is_empty() { Some(source.len()) } else { None };
            let len = len.or(self.bytes.get(&tag).map(Vec::len)).map(|len| len.to_string());
            let told = answer.field("content-length");
            assert!(told.is_empty() || len.is_none_or(|len| len == told), "{told} bytes");
        } else if status == 200 {
            assert!(decode(&coding, answer.bytes()) == source, "not the file's bytes");
            self.remember(&tag, answer.bytes());
        } else {
            if !self.bytes.contains_key(&tag) {
                let accept = exchange.accept.line.unwrap_or("identity").to_owned();
                let fields = [("accept-encoding", accept), ("if-match", tag.clone())];
                let whole = self.send("GET", exchange.ask.file, &fields).await;
                assert_eq!((whole.status.as_u16(), whole.field("etag")), (200, &*tag));
                assert!(decode(&coding, whole.bytes()) == source, "not the file's bytes");
                self.remember(&tag, whole.bytes());
            }
            let whole = &self.bytes[&tag];
            let ranges = exchange.resolve(whole.len());
            if let [(first, last)] = *ranges {
                let expected = format!("bytes {first}-{last}/{}", whole.len());
                assert_eq!(answer.field("content-range"), expected);
                assert!(answer.bytes() == &whole[first..=last], "not the range's bytes");
            } else {
                assert_eq!(answer.coding(), "", "several ranges of a coding");
                let parts = multipart::parts(answer.field("content-type"), answer.bytes());
                let told: Vec<_> = parts.iter().map(|part| (part.first, part.last)).collect();
                assert_eq!(told, ranges);
                for part in parts {
                    assert!(part.bytes == whole[part.first..=part.last], "not the range's bytes");
                }
            }
        }
        self.check_once(exchange, answer);
        let modified = answer.field("last-modified").to_owned();
        self.seen.push(Seen { tag, coding, source, modified });
    }

    /// Checks that another content has a later date, and that only a date which has to be later than
    /// the present is missing. The request was sent in the second `sent`.
    fn check_date(&mut self, file: &'static str, source: &[u8], date: Option<u64>, sent: u64) {
        let content = Some(source.to_vec());
        assert!(date.is_none_or(|date| date <= now()), "a date in the future");
        let earlier = match self.dates.get(file) {
            None => 0,
            Some(same) if same.content == content => same.earlier,
            Some(other) => {
                let later = date.zip(other.date).is_none_or(|(date, before)| date > before);
                assert!(later, "changed, and its date is not");
                other.latest(now())
            }
        };
        assert!(date.is_some() || sent <= earlier, "no date, and none that it has to wait for");
        self.dates.insert(file, Dated { content, date, earlier });
    }

    fn remember(&mut self, tag: &str, bytes: &[u8]) {
        let before = self.bytes.entry(tag.to_owned()).or_insert_with(|| bytes.to_vec());
        assert!(before == bytes, "the same tag for other bytes: {tag}");
    }

    /// Checks that an encode is found again until it is removed.
    fn check_once(&mut self, exchange: &Exchange<'_>, answer: &Answer) {
        if answer.coding().is_empty() || self.is_tight() {
            return;
        }
        let stored = (exchange.source.clone(), answer.coding().to_owned());
        if self.stored.contains(&stored) {
            assert_eq!(answer.cache(), "hit", "encoded again");
        }
        // An unprofitable encode for a client that refuses identity need not be kept. A hit may come
        // from a removed cache, whose entry is open for a moment yet: the next process has it not.
        let is_kept = answer.cache() == "stored";
        if is_kept && exchange.accept.identity && exchange.source.len() >= 3000 {
            self.stored.insert(stored);
        }
    }
}

/// The reference of a conditional field.
#[derive(Clone, Debug)]
enum Expected {
    Nothing,
    Any,
    Tag(Seen),
    Match(Seen),
    Date(String),
}

/// One request, and the model's knowledge at that time.
struct Exchange<'a> {
    ask: &'a Ask,
    accept: &'a Accept,
    condition: Expected,
    if_range: Expected,
    /// The present date of the file; `None` if it is not told yet.
    modified: Option<u64>,
    /// The second in which it was asked for.
    probed: u64,
    source: Vec<u8>,
    fields: Vec<(&'static str, String)>,
}

/// The present second.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// The Last-Modified of an answer.
fn date(answer: &Answer) -> Option<u64> {
    Some(answer.field("last-modified")).filter(|date| !date.is_empty()).map(seconds)
}

/// Parses a date independently of the library.
fn seconds(date: &str) -> u64 {
    let time = httpdate::parse_http_date(date).expect("a date");
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

impl Exchange<'_> {
    fn negotiable(&self) -> bool {
        self.ask.file != "picture.png"
    }

    fn accepts(&self, coding: &str) -> bool {
        match (self.negotiable(), coding) {
            (false, coding) => coding.is_empty(),
            (true, "") => self.accept.identity,
            (true, coding) => self.accept.codings.contains(&coding),
        }
    }

    /// Whether the tag names a representation of the present bytes that may be sent.
    fn names(&self, seen: &Seen) -> bool {
        seen.source == self.source && self.accepts(&seen.coding)
    }

    /// The ranges in a representation of `len` bytes, joined, in the order of the request.
    fn resolve(&self, len: usize) -> Vec<(usize, usize)> {
        let set = self.ask.range.unwrap().strip_prefix("bytes=").unwrap();
        let is_in = |spec: &str, at: usize| {
            let (first, last) = spec.split_once('-').unwrap();
            match (first.parse::<usize>(), last.parse::<usize>()) {
                (Ok(first), Ok(last)) => at >= first && at <= last,
                (Ok(first), Err(_)) => at >= first,
                (Err(_), Ok(suffix)) => at + suffix >= len,
                (Err(_), Err(_)) => false,
            }
        };
        let is_meant = |at: &usize| set.split(", ").any(|spec| is_in(spec, *at));
        let mut ranges = Vec::new();
        for spec in set.split(", ") {
            let Some(inside) = (0..len).find(|at| is_in(spec, *at)) else { continue };
            let first = (0..=inside).rev().take_while(is_meant).last().unwrap();
            let last = (inside..len).take_while(is_meant).last().unwrap();
            if !ranges.contains(&(first, last)) {
                ranges.push((first, last));
            }
        }
        ranges
    }

    fn check_status(&self, answer: &Answer, tight: bool) {
        let status = answer.status.as_u16();
        let of = |allowed: &[u16]| {
            assert!(allowed.contains(&status), "{status} and not {allowed:?}: {:?}", self.fields);
        };
        match &self.condition {
            // A coding that cannot be kept is not offered.
            Expected::Match(seen) if tight && !seen.coding.is_empty() => {
                return of(&[200, 206, 406, 412, 416, 503]);
            }
            Expected::Match(seen) if !self.names(seen) => return of(&[412]),
            Expected::Match(seen) if [200, 206].contains(&status) => {
                assert_eq!(answer.field("etag"), seen.tag, "another one than was named");
            }
            Expected::Any => return of(&[304]),
            Expected::Tag(seen) if self.names(seen) => {
                of(&[304]);
                return assert_eq!(answer.field("etag"), seen.tag);
            }
            // A date that is not told yet is later than any that was.
            Expected::Date(date) if self.modified.is_some_and(|own| own <= seconds(date)) => {
                return of(&[304]);
            }
            _ => {}
        }
        let identity = !self.negotiable() || self.accept.identity;
        if !identity && self.accept.codings.is_empty() {
            return of(&[406]);
        }
        match self.range_counts() {
            Some(true) => match self.resolve(self.source.len()).len() {
                0 => of(&[416]),
                1 => of(&[206]),
                // The parts' heads may make the whole file shorter.
                _ if self.source.len() < 3000 => of(&[200, 206]),
                _ => of(&[206]),
            },
            _ if !identity && tight => of(&[200, 206, 406, 416, 503]),
            None => of(&[200, 206, 416]),
            Some(false) => of(&[200]),
        }
        if self.range_counts() == Some(true) && status == 206 {
            assert_eq!(answer.coding(), "", "a range of a coding that no tag names");
        }
        if status == 416 {
            let len = answer.field("content-range").strip_prefix("bytes */").unwrap();
            assert!(self.resolve(len.parse().unwrap()).is_empty(), "416 of a range that is there");
        }
    }

    /// Whether the answer must be a part of identity. `None` if it may be one of a coding, which
    /// depends on the stored entries.
    fn range_counts(&self) -> Option<bool> {
        let Some(range) = self.ask.range.filter(|_| self.ask.method == "GET") else {
            return Some(false);
        };
        // Several ranges of a coding are ignored.
        let of_coding = |coding: &str| match coding {
            "" => Some(true),
            _ if range.contains(',') => Some(false),
            _ => None,
        };
        let pinned = match &self.condition {
            Expected::Match(pinned) => Some(pinned),
            _ => None,
        };
        match &self.if_range {
            Expected::Tag(seen) if !self.names(seen) => Some(false),
            // The tag is not the one that If-Match names.
            Expected::Tag(seen) if pinned.is_some_and(|pinned| pinned.tag != seen.tag) => {
                Some(false)
            }
            Expected::Tag(seen) => of_coding(&seen.coding),
            // A date counts only for identity, and only if it is older than a second.
            Expected::Date(date) if Some(seconds(date)) == self.modified => None,
            Expected::Date(_) => Some(false),
            _ => match pinned {
                Some(pinned) => of_coding(&pinned.coding),
                None => Some(!self.negotiable() || self.accept.identity),
            },
        }
    }

    fn check_fields(&self, answer: &Answer) {
        let status = answer.status.as_u16();
        if [200, 206].contains(&status) {
            assert!(self.accepts(answer.coding()), "{:?} was not accepted", answer.coding());
        }
        if [200, 206, 304].contains(&status) {
            assert!(answer.field("etag").starts_with('"'), "no strong tag: {:?}", answer.headers);
            match (self.modified, date(answer)) {
                // Its time has come since.
                (None, Some(date)) => assert!(date > self.probed, "{date} was not told before"),
                (modified, date) => assert_eq!(date, modified),
            }
        }
        let varies = self.negotiable() && [200, 206, 304, 406, 416].contains(&status);
        assert_eq!(answer.field("vary"), if varies { "Accept-Encoding" } else { "" });
    }
}

// --- The stage -----------------------------------------------------------------------------------

/// A directory whose files have rested, so that their fingerprints vouch for them. Many are made
/// ahead, because a rest takes two seconds.
fn rested_site() -> TempDir {
    static READY: OnceLock<Mutex<Vec<TempDir>>> = OnceLock::new();
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("site");
        fs::create_dir(&site).unwrap();
        fs::write(site.join("a.txt"), Content::Text(0).bytes()).unwrap();
        fs::write(site.join("large.css"), Content::Long(0).bytes()).unwrap();
        dir
    };
    let ready = READY.get_or_init(|| {
        let all = (0..200).map(|_| make()).collect();
        std::thread::sleep(Duration::from_millis(2100));
        Mutex::new(all)
    });
    let one = ready.lock().unwrap().pop();
    one.unwrap_or_else(make)
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files_under(&path),
            path => vec![path],
        })
        .collect()
}

/// Prints the step at which a story broke off.
struct OnPanic<'a>(usize, &'a Step);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("at step {}: {:?}", self.0, self.1);
        }
    }
}

/// Stories run on several threads, because they spend most of their time waiting for clocks.
#[test]
fn story_keeps_to_the_bytes_and_the_rules() {
    const TELLERS: u32 = 4;
    let config = ProptestConfig::default();
    let cases = config.cases / TELLERS;
    let (told, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let (told, steps) = (&told, &steps);
    let tell = |story: Vec<Step>| {
        run(async {
            let mut world = World::new();
            for (place, step) in story.iter().enumerate() {
                let _told = OnPanic(place + 1, step);
                world.take(step).await;
                steps.fetch_add(1, Ordering::Relaxed);
            }
        });
        told.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let tellers: Vec<_> = (0..TELLERS)
            .map(|_| {
                let config = ProptestConfig {
                    cases,
                    failure_persistence: None,
                    max_shrink_iters: 300,
                    ..config.clone()
                };
                let stories = prop::collection::vec(step(), 1..16);
                scope.spawn(move || TestRunner::new(config).run(&stories, tell))
            })
            .collect();
        let ends = tellers.into_iter().map(|teller| teller.join().unwrap());
        ends.filter_map(|end| match end.err()? {
            TestError::Fail(why, story) => Some(format!("{why}\n{story:#?}")),
            TestError::Abort(why) => Some(why.to_string()),
        })
        .collect()
    });
    println!("{told:?} stories of {steps:?} steps");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
