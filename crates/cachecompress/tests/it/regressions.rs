//! Bugs that were found by reading, each with the test that would have found it.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do to the cache's directory what time and other processes do"
)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use cachecompress::fs::{DiskFile, FileKind, Fingerprint, MemoryDisk, RealDisk, Stat};
use cachecompress::semantics::{ContentCoding, SourcePath};
use cachecompress::source::{Content, Found, SourceFile};
use cachecompress::{
    Builder, Cache, Error, ErrorKind, Memory, Preference, RequestOptions, ServeCompressed,
    Shutdown, Source,
};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Fault, Pack, coding};
use cachecompress_test::service::{
    Answer, LONG, encodes, get, get_as, head, read, request, run, send, settled,
};
use cachecompress_test::site::{hex, random};
use cachecompress_test::wait::until;
use cachecompress_test::{FaultDisk, Op};
use http::header::{
    ACCEPT_LANGUAGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    TRANSFER_ENCODING, VARY,
};
use http::{HeaderName, HeaderValue};
use tempfile::TempDir;

const PACK: (&str, &str) = ("accept-encoding", "x-pack");
const SHORT: Duration = Duration::from_millis(30);

fn memory(files: &[(&str, &[u8])]) -> Memory {
    files.iter().fold(Memory::new(), |memory, (path, bytes)| memory.file(path, bytes.to_vec()))
}

fn builder(pack: &Pack, files: &[(&str, &[u8])], cache: &Cache) -> Builder {
    ServeCompressed::builder(memory(files))
        .encoder(coding(), Arc::new(pack.clone()))
        .cache(cache.clone())
        .patience(LONG)
}

fn service(files: &[(&str, &[u8])], cache: &Cache) -> ServeCompressed {
    builder(&Pack::new(), files, cache).build().unwrap()
}

fn root(directory: &TempDir) -> PathBuf {
    directory.path().join("cache")
}

fn on_disk(directory: &TempDir) -> Cache {
    Cache::builder(root(directory)).build().unwrap()
}

/// All entries in the cache at `root`.
fn entries(root: &Path) -> Vec<PathBuf> {
    let list = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).map_or(Vec::new(), |list| list.map(|e| e.unwrap().path()).collect())
    };
    list(&root.join("v1/entries")).iter().flat_map(|shard| list(shard)).collect()
}

/// A cache on disk whose only entry, of `source` in `x-pack`, was last used two hours ago.
async fn old_entry(source: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let fill = service(&[("a.txt", source)], &on_disk(&directory));
    assert_eq!(get(&fill, "/a.txt", &[PACK]).await.cache(), "stored");
    settled(&fill).await;
    let path = entries(&root(&directory)).pop().unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
    // The sync of what was published may still be under way; it changes no time.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    (directory, path)
}

async fn with_options(
    service: &ServeCompressed,
    path: &str,
    fields: &[(&str, &str)],
    options: RequestOptions,
) -> Answer {
    let mut request = request("GET", path, fields);
    request.extensions_mut().insert(options);
    read(send(service, request).await).await
}

fn is_reader() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("cc-read"))
}

/// The first use of an entry in an hour is written into its modification time. Another request
/// that was reading the entry at that moment, to verify it, saw the time change, took the entry
/// for damaged and deleted it.
#[test]
fn an_entry_that_is_touched_while_another_verifies_it_is_not_damaged() {
    run(async {
        let source = hex(200_000, 1);
        for range in [true, false] {
            let (directory, path) = old_entry(&source).await;
            let gate = Gate::new();
            let (held, first) = (Arc::clone(&gate), AtomicBool::new(true));
            let (touches, touched) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
            let counted = Arc::clone(&touches);
            let disk = FaultDisk::watched(RealDisk, move |op| match op {
                // Not what the cache itself reads, when it is opened.
                Op::FileRead if is_reader() && first.swap(false, Ordering::SeqCst) => held.pass(),
                Op::FileTouch => {
                    counted.store(touched.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                }
                _ => {}
            });
            let cache = Cache::builder(root(&directory)).disk(Arc::new(disk)).build().unwrap();
            let files: [(&str, &[u8]); 1] = [("a.txt", &source)];
            let (one, two) = (service(&files, &cache), service(&files, &cache));
            let verifying = tokio::spawn({
                let one = one.clone();
                async move {
                    let fields = [PACK, ("range", "bytes=10-99")];
                    get(&one, "/a.txt", if range { &fields } else { &fields[..1] }).await
                }
            });
            until(|| gate.arrived() == 1).await;
            assert_eq!(get(&two, "/a.txt", &[PACK]).await.cache(), "hit");
            assert_eq!(touches.load(Ordering::SeqCst), 1, "its first use is written down");
            gate.open_wide();
            let answer = verifying.await.unwrap();
            assert_eq!((answer.coding(), answer.cache()), ("x-pack", "hit"));
            assert_eq!(answer.status, if range { 206 } else { 200 });
            assert_eq!(cache.stats().damaged, 0);
            assert!(path.exists(), "the entry is still there");
            assert_eq!(encodes(&one, "*") + encodes(&two, "*"), 0);
        }
    });
}

/// The same as a crowd does it: a player asks for many ranges at once, right after a restart.
#[test]
fn a_crowd_after_a_restart_costs_no_entry() {
    run(async {
        let source = hex(1 << 20, 2);
        for _ in 0..8 {
            let (directory, path) = old_entry(&source).await;
            let cache = on_disk(&directory);
            let service = service(&[("a.txt", &source)], &cache);
            let asking: Vec<_> = (0..24)
                .map(|n| {
                    let service = service.clone();
                    tokio::spawn(async move {
                        let range = format!("bytes={}-{}", n * 1000, n * 1000 + 99);
                        let fields = [PACK, ("range", &*range)];
                        let fields = if n % 4 == 0 { &fields[..1] } else { &fields };
                        get(&service, "/a.txt", fields).await
                    })
                })
                .collect();
            for (n, asked) in asking.into_iter().enumerate() {
                let answer = asked.await.unwrap();
                assert_eq!(answer.status, if n % 4 == 0 { 200 } else { 206 });
                assert_eq!((answer.coding(), answer.cache()), ("x-pack", "hit"), "{n}");
            }
            assert_eq!((cache.stats().damaged, encodes(&service, "*")), (0, 0));
            assert!(path.exists());
        }
    });
}

/// Encodes that run have room reserved, which nobody can evict. A new one that did not fit beside
/// them evicted every entry that there was, one after the other, and then found no room still.
#[test]
fn nothing_is_evicted_for_what_has_no_room_anyway() {
    run(async {
        let cache = Cache::in_memory(4 << 20);
        // Each reserves nearly a quarter of the bound while it is encoded.
        let large: Vec<_> = (0..4).map(|n| (format!("large{n}.txt"), hex(950_000, n))).collect();
        let small: Vec<_> = (0..5).map(|n| (format!("{n}.txt"), hex(5_000, 10 + n))).collect();
        let last = ("last.txt".to_owned(), hex(60_000, 20));
        let all: Vec<_> = large.iter().chain(&small).chain([&last]).collect();
        let files: Vec<_> = all.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let fill = service(&files, &cache);
        for (path, _) in &small {
            assert_eq!(get(&fill, &format!("/{path}"), &[PACK]).await.cache(), "stored");
        }
        settled(&fill).await;

        let gate = Gate::new();
        let service = builder(&Pack::gated(&gate), &files, &cache).patience(SHORT);
        let service = service.encode_threads(8).build().unwrap();
        for (path, _) in &large {
            assert_eq!(get(&service, &format!("/{path}"), &[PACK]).await.cache(), "patience");
        }
        until(|| gate.arrived() == 4).await;
        let patient = builder(&Pack::new(), &files, &cache).build().unwrap();
        let refused = get(&patient, "/last.txt", &[PACK]).await;
        assert_eq!((refused.coding(), refused.cache()), ("", "disk"));
        assert!(refused.bytes() == last.1);
        assert_eq!((cache.stats().evictions, cache.stats().entries), (0, 5));
        gate.open_wide();
        settled(&service).await;
        for (path, source) in small.iter().chain(&large) {
            let answer = get(&patient, &format!("/{path}"), &[PACK]).await;
            assert_eq!(answer.cache(), "hit", "{path}");
            assert!(answer.decoded() == *source);
        }
        assert_eq!(get(&patient, "/last.txt", &[PACK]).await.cache(), "stored", "room again");
    });
}

/// All values of `Vary`, in lower case.
fn vary(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all(VARY).iter();
    let members = values.flat_map(|value| value.to_str().unwrap().split(','));
    members.map(|member| member.trim().to_ascii_lowercase()).collect()
}

/// A 304 kept one value of each field. Where a rule, or a request's options, added another value
/// to `Vary`, that one was kept, and caches learned that the coding does not matter.
#[test]
fn a_304_still_varies_by_coding_when_something_else_matters_as_well() {
    run(async {
        let source = hex(9_000, 1);
        let language = HeaderValue::from_static("Accept-Language");
        let builder = || builder(&Pack::new(), &[("a.txt", &source)], &Cache::in_memory(1 << 20));
        let ruled = builder().header("**", VARY, language.clone()).build().unwrap();
        let plain = builder().build().unwrap();
        let own = RequestOptions::new().header(VARY, language);
        for (service, options) in [(&ruled, RequestOptions::new()), (&plain, own)] {
            let full = with_options(service, "/a.txt", &[PACK], options.clone()).await;
            let tag = full.field("etag").to_owned();
            let fields = [PACK, ("if-none-match", &*tag)];
            let unchanged = with_options(service, "/a.txt", &fields, options).await;
            assert_eq!((full.status.as_u16(), unchanged.status.as_u16()), (200, 304));
            for answer in [&full, &unchanged] {
                let vary = vary(answer);
                for name in ["accept-encoding", ACCEPT_LANGUAGE.as_str()] {
                    let count = vary.iter().filter(|member| *member == name).count();
                    assert_eq!(count, 1, "{name} of {vary:?} in a {}", answer.status);
                }
            }
        }
    });
}

/// A rule for `Content-Type` was taken, and then overwritten with what the file's name suggests.
#[test]
fn a_rule_may_set_the_content_type() {
    run(async {
        let source = hex(9_000, 1);
        let feed = HeaderValue::from_static("application/atom+xml");
        let files: [(&str, &[u8]); 2] = [("feed.xml", &source), ("other.xml", &source)];
        let service = builder(&Pack::new(), &files, &Cache::in_memory(1 << 20));
        let service = service.header("feed.xml", CONTENT_TYPE, feed).build().unwrap();
        for fields in [&[][..], &[PACK], &[PACK], &[("range", "bytes=0-9")]] {
            for answer in [
                get(&service, "/feed.xml", fields).await,
                head(&service, "/feed.xml", fields).await,
            ] {
                assert!(answer.status.is_success());
                assert_eq!(answer.field("content-type"), "application/atom+xml");
                assert_eq!(answer.headers.get_all(CONTENT_TYPE).iter().count(), 1);
            }
        }
        let other = get(&service, "/other.xml", &[]).await;
        assert!(other.field("content-type").starts_with("text/xml"), "what its name suggests");
    });
}

/// A rule for a field that follows from the representation was taken too, and either ignored or
/// sent beside what is true.
#[test]
fn a_rule_for_a_field_of_the_services_own_is_refused_when_it_is_built() {
    let own: [HeaderName; 5] =
        [ETAG, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, TRANSFER_ENCODING];
    for name in own {
        let builder = ServeCompressed::builder(Memory::new());
        let built = builder.header("**", name.clone(), HeaderValue::from_static("1")).build();
        let error = built.expect_err(name.as_str());
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(name.as_str()), "{error}");
    }
}

/// `Shutdown::Finish` ends the encoding, not the service. But what the cache had on disk was no
/// longer looked for, so that until the end everybody got identity.
#[test]
fn what_is_stored_is_served_after_the_encoding_has_ended() {
    run(async {
        let (stored, missing) = (hex(9_000, 1), hex(9_000, 2));
        let files: [(&str, &[u8]); 2] = [("a.txt", &stored), ("b.txt", &missing)];
        for mode in [Shutdown::Finish, Shutdown::Drop] {
            let directory = tempfile::tempdir().unwrap();
            let fill = service(&files, &on_disk(&directory));
            get(&fill, "/a.txt", &[PACK]).await;
            settled(&fill).await;
            let fresh = service(&files, &on_disk(&directory));
            fresh.shutdown(mode).await;
            let answer = get(&fresh, "/a.txt", &[PACK]).await;
            assert_eq!((answer.coding(), answer.cache()), ("x-pack", "hit"), "{mode:?}");
            assert!(answer.decoded() == stored);
            let answer = get(&fresh, "/b.txt", &[PACK]).await;
            assert_eq!(answer.coding(), "", "{mode:?}");
            assert!(answer.bytes() == missing);
            settled(&fresh).await;
            assert_eq!(encodes(&fresh, "*"), 0);
        }
    });
}

/// Whoever lowered a bound, because the disk ran full, and restarted, waited for the first write
/// before anything shrank.
#[test]
fn a_lower_bound_holds_soon_after_a_restart_without_any_write() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..12).map(|n| (format!("{n}.txt"), hex(20_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let cache = on_disk(&directory);
        let fill = service(&list, &cache);
        for (path, _) in &files {
            assert_eq!(get(&fill, &format!("/{path}"), &[PACK]).await.cache(), "stored");
        }
        settled(&fill).await;
        let bytes = cache.stats().bytes;
        drop((fill, cache));
        let on_disk = || -> u64 {
            let sizes = entries(&root(&directory)).into_iter();
            sizes.filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum()
        };
        assert_eq!((entries(&root(&directory)).len(), on_disk()), (12, bytes));
        let _smaller = Cache::builder(root(&directory)).max_bytes(bytes / 2).build().unwrap();
        until(|| on_disk() <= bytes / 2).await;
        let left = entries(&root(&directory)).len();
        assert!(left >= 5, "no more than has to go, and {left} are left");
        let _fewer = Cache::builder(root(&directory)).max_entries(3).build().unwrap();
        until(|| entries(&root(&directory)).len() <= 3).await;
    });
}

/// Each start made room for one entry more, though none was to be written: a cache that was exactly
/// full lost an entry with every restart.
#[test]
fn a_full_cache_loses_nothing_at_a_restart() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..3).map(|n| (format!("{n}.txt"), hex(9_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let fill = service(&list, &on_disk(&directory));
        for (path, _) in &files {
            assert_eq!(get(&fill, &format!("/{path}"), &[PACK]).await.cache(), "stored");
        }
        settled(&fill).await;
        let full = Cache::builder(root(&directory)).max_entries(3).build().unwrap();
        until(|| full.stats().entries + full.stats().evictions >= 3).await;
        tokio::time::sleep(SHORT).await;
        assert_eq!((full.stats().evictions, entries(&root(&directory)).len()), (0, 3));
    });
}

/// A client that refuses identity got 503 for a file that no cache would take, however often it
/// came back as `Retry-After` told it to.
#[test]
fn what_can_never_be_had_is_406_and_not_503() {
    run(async {
        let source = hex(300_000, 1);
        let files: [(&str, &[u8]); 2] = [("large.txt", &source), ("a.txt", &source[..9_000])];
        let service = service(&files, &Cache::in_memory(1 << 20));
        for accept in ["x-pack, identity;q=0", "gzip, *;q=0"] {
            let refused = get(&service, "/large.txt", &[("accept-encoding", accept)]).await;
            assert_eq!(refused.status, 406, "{accept}");
            assert_eq!(refused.field("vary"), "Accept-Encoding");
        }
        let plain = get(&service, "/large.txt", &[PACK]).await;
        assert_eq!((plain.status.as_u16(), plain.coding(), plain.cache()), (200, "", "large"));

        let unknown = || {
            RequestOptions::new().codings([ContentCoding::new("x-nobody-encodes-this").unwrap()])
        };
        for (accept, status) in [
            ("x-nobody-encodes-this, identity;q=0", 406),
            ("*, identity;q=0", 406),
            ("x-nobody-encodes-this", 200),
            ("gzip", 200),
        ] {
            let fields = [("accept-encoding", accept)];
            let answer = with_options(&service, "/a.txt", &fields, unknown()).await;
            assert_eq!((answer.status.as_u16(), answer.coding()), (status, ""), "{accept}");
            if status == 200 {
                assert_eq!(answer.cache(), "identity", "{accept}");
            }
        }
        assert_eq!(encodes(&service, "*"), 0);
    });
}

/// A source of one file, which can be edited, and whose look-ups can be held after they looked.
#[derive(Debug)]
struct Edited {
    file: Mutex<Option<SourceFile>>,
    lookups: Arc<Gate>,
}

impl Edited {
    fn new(file: Option<SourceFile>) -> Arc<Self> {
        Arc::new(Self { file: Mutex::new(file), lookups: Gate::new() })
    }

    fn edit(&self, file: SourceFile) {
        *self.file.lock().unwrap() = Some(file);
    }
}

impl Source for Edited {
    fn lookup(&self, _: &SourcePath) -> Result<Found, Error> {
        let found = self.file.lock().unwrap().clone();
        self.lookups.pass();
        Ok(found.map_or(Found::Nothing, Found::File))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(vec![SourcePath::parse(b"a.txt").unwrap()])
    }
}

/// A file of one byte over and over that lies nowhere, and has rested for long.
#[derive(Debug)]
struct Made {
    byte: u8,
    fingerprint: Fingerprint,
    /// Holds whoever reads its first byte.
    gate: Option<Arc<Gate>>,
    /// Whether the next read fails.
    broken: AtomicBool,
    read: AtomicU64,
}

impl Made {
    fn new(byte: u8, size: u64, gate: Option<Arc<Gate>>) -> Arc<Self> {
        let time = 1_600_000_000_000_000_000;
        let inode = u64::from(byte);
        let fingerprint = Fingerprint { device: 1, inode, size, modified: time, changed: time };
        let (broken, read) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { byte, fingerprint, gate, broken, read })
    }

    fn source(self: &Arc<Self>) -> SourceFile {
        let content = Content::File { file: Arc::clone(self) as _, fingerprint: self.fingerprint };
        let modified = Some(self.fingerprint.modified_time());
        SourceFile { content, modified, ..SourceFile::new("") }
    }
}

impl DiskFile for Made {
    fn stat(&self) -> io::Result<Stat> {
        Ok(Stat { kind: FileKind::Regular, fingerprint: self.fingerprint })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Some(gate) = self.gate.as_ref().filter(|_| offset == 0) {
            gate.pass();
        }
        if self.broken.swap(false, Ordering::SeqCst) {
            return Err(io::ErrorKind::Other.into());
        }
        let left = usize::try_from(self.fingerprint.size.saturating_sub(offset)).unwrap();
        let len = left.min(buffer.len());
        buffer[..len].fill(self.byte);
        self.read.fetch_add(len as u64, Ordering::SeqCst);
        Ok(len)
    }
}

fn always_looks(source: &Arc<Edited>) -> ServeCompressed {
    let builder = ServeCompressed::builder(Arc::clone(source)).patience(LONG);
    builder.revalidate(Duration::ZERO).build().unwrap()
}

/// Who asks while somebody else looks the file up shares that look-up. One that had looked before
/// the file was edited was shared with those who asked after the edit, and was counted as fresh
/// from its end on.
#[test]
fn who_asks_after_an_edit_is_not_told_what_was_seen_before_it() {
    run(async {
        let source = Edited::new(Some(SourceFile::new("before")));
        let service = always_looks(&source);
        let ask = || {
            let service = service.clone();
            tokio::spawn(async move { get(&service, "/a.txt", &[]).await })
        };
        let first = ask();
        until(|| source.lookups.arrived() == 1).await;
        tokio::time::sleep(SHORT).await;
        source.edit(SourceFile::new("after"));
        let second = ask();
        tokio::time::sleep(SHORT).await;
        source.lookups.open_wide();
        assert!(first.await.unwrap().status == 200);
        assert_eq!(second.await.unwrap().bytes(), b"after");
        assert_eq!(ask().await.unwrap().bytes(), b"after");
    });
}

/// As above, within one millisecond: times were compared in those, and a look-up that had begun in
/// the same one counted as later. A file that was created, and asked for at once, was 404.
#[test]
fn who_asks_in_the_millisecond_of_an_edit_is_not_told_what_was_seen_before_it() {
    run(async {
        for round in 0..50 {
            let source = Edited::new(None);
            let service = always_looks(&source);
            let ask = || {
                let service = service.clone();
                tokio::spawn(async move { get(&service, "/a.txt", &[]).await })
            };
            let first = ask();
            while source.lookups.arrived() == 0 {
                tokio::task::yield_now().await;
            }
            source.edit(SourceFile::new("created"));
            let second = ask();
            tokio::task::yield_now().await;
            source.lookups.open_wide();
            assert_eq!(first.await.unwrap().status, 404);
            let second = second.await.unwrap();
            assert_eq!(second.status, 200, "round {round}");
            assert_eq!(second.bytes(), b"created");
        }
    });
}

/// As above, but what takes its time is not the look-up but the hash: a client that asks whether
/// the old bytes still stand was told that they do.
#[test]
fn who_asks_after_an_edit_is_not_told_what_was_hashed_before_it() {
    run(async {
        let gate = Gate::new();
        let source = Edited::new(Some(Made::new(b'a', 100_000, Some(Arc::clone(&gate))).source()));
        source.lookups.open_wide();
        let service = always_looks(&source);
        let same = Memory::new().file("a.txt", vec![b'a'; 100_000]);
        let same = ServeCompressed::builder(same).build().unwrap();
        let old_tag = head(&same, "/a.txt", &[]).await.field("etag").to_owned();
        let ask = || {
            let (service, old_tag) = (service.clone(), old_tag.clone());
            tokio::spawn(
                async move { head(&service, "/a.txt", &[("if-none-match", &old_tag)]).await },
            )
        };
        let first = ask();
        until(|| gate.arrived() == 1).await;
        tokio::time::sleep(SHORT).await;
        source.edit(Made::new(b'b', 100_000, None).source());
        let second = ask();
        tokio::time::sleep(SHORT).await;
        gate.open_wide();
        assert_eq!(first.await.unwrap().status, 304, "it asked before the edit");
        assert_eq!(second.await.unwrap().status, 200, "it asked after the edit");
    });
}

/// As above for a file that is new: that there is none was seen before it was made, and told to
/// those who asked afterwards.
#[test]
fn who_asks_after_a_file_was_made_is_not_told_that_there_is_none() {
    run(async {
        let source = Edited::new(None);
        let service = always_looks(&source);
        let ask = || {
            let service = service.clone();
            tokio::spawn(async move { get(&service, "/a.txt", &[]).await })
        };
        let first = ask();
        until(|| source.lookups.arrived() == 1).await;
        tokio::time::sleep(SHORT).await;
        source.edit(SourceFile::new("new"));
        let second = ask();
        tokio::time::sleep(SHORT).await;
        source.lookups.open_wide();
        assert!([200, 404].contains(&first.await.unwrap().status.as_u16()));
        assert_eq!(second.await.unwrap().status, 200, "it asked when it was there");
    });
}

/// A client that takes nothing but gzip had random bytes encoded. The entry that came of it, which
/// saves nothing, was then sent to everybody as a hit.
#[test]
fn what_was_encoded_for_one_who_insists_is_not_for_the_others() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let source = random(1, 20_000);
        let insists = [("accept-encoding", "gzip, identity;q=0")];
        for round in 0..2 {
            let service = service(&[("a.bin", &source)], &on_disk(&directory));
            // Those who come first after the restart find the entry by themselves.
            for others_first in [round == 1, false] {
                if !others_first {
                    let forced = get(&service, "/a.bin", &insists).await;
                    assert_eq!((forced.status.as_u16(), forced.coding()), (200, "gzip"));
                    assert!(forced.decoded() == source);
                    settled(&service).await;
                }
                for _ in 0..2 {
                    let other = get_as(&service, "/a.bin", "gzip").await;
                    assert_eq!((other.coding(), other.cache()), ("", "unprofitable"));
                    assert!(other.bytes() == source);
                    let range = [("accept-encoding", "gzip"), ("range", "bytes=5-9")];
                    let part = get(&service, "/a.bin", &range).await;
                    assert_eq!((part.status.as_u16(), part.coding()), (206, ""));
                    assert_eq!(part.bytes(), &source[5..10]);
                }
            }
            let again = get(&service, "/a.bin", &insists).await;
            assert_eq!((again.coding(), again.cache()), ("gzip", "hit"));
            settled(&service).await;
            assert_eq!(encodes(&service, "*"), u64::from(round == 0), "once");
        }
    });
}

/// `If-Match` names the representation that is meant. When a range of it was not there to be had,
/// the answer was all of another one, which the condition was to rule out.
#[test]
fn a_pinned_range_that_is_not_there_becomes_all_of_what_was_pinned() {
    run(async {
        let source = hex(200_000, 1);
        let files: [(&str, &[u8]); 1] = [("a.txt", &source)];
        let warm = service(&files, &Cache::in_memory(8 << 20));
        for coding in ["gzip", "br", "zstd"] {
            let whole = get_as(&warm, "/a.txt", coding).await;
            let fields = [
                ("accept-encoding", "br, zstd, gzip"),
                ("if-match", whole.field("etag")),
                ("range", "bytes=10-19"),
            ];
            let cold = service(&files, &Cache::in_memory(8 << 20));
            let all = get(&cold, "/a.txt", &fields).await;
            assert_eq!((all.status.as_u16(), all.coding()), (200, coding));
            assert_eq!(all.field("etag"), whole.field("etag"));
            assert!(all.bytes() == whole.bytes());
            settled(&cold).await;
            let part = get(&cold, "/a.txt", &fields).await;
            assert_eq!((part.status.as_u16(), part.coding()), (206, coding));
            assert_eq!(part.bytes(), &whole.bytes()[10..20]);
            assert_eq!(encodes(&cold, "*"), 1, "and no other was encoded");
        }
        let plain = get(&warm, "/a.txt", &[]).await;
        let fields = [
            ("accept-encoding", "br, zstd, gzip"),
            ("if-match", plain.field("etag")),
            ("range", "bytes=10-19"),
        ];
        let part = get(&warm, "/a.txt", &fields).await;
        assert_eq!((part.status.as_u16(), part.coding()), (206, ""));
        assert_eq!(part.bytes(), &source[10..20]);
    });
}

/// A tag of a coding that the service can make, but does not offer, was taken for the tag of a
/// representation of today, and had it encoded.
#[test]
fn a_tag_of_a_coding_that_is_not_offered_matches_nothing() {
    run(async {
        let source = hex(200_000, 1);
        let files: [(&str, &[u8]); 1] = [("a.txt", &source)];
        let other = service(&files, &Cache::in_memory(8 << 20));
        let tag = get_as(&other, "/a.txt", "br").await.field("etag").to_owned();
        let list = Preference::List(vec![ContentCoding::GZIP]);
        let service = builder(&Pack::new(), &files, &Cache::in_memory(8 << 20)).preference(list);
        let service = service.build().unwrap();
        for accept in ["br", "br, gzip", "br, identity;q=0", "gzip"] {
            let fields = [("accept-encoding", accept), ("if-match", &*tag)];
            assert_eq!(get(&service, "/a.txt", &fields).await.status, 412, "{accept}");
            let ranged = [fields[0], fields[1], ("range", "bytes=0-9")];
            assert_eq!(get(&service, "/a.txt", &ranged).await.status, 412, "{accept}");
        }
        settled(&service).await;
        assert_eq!(encodes(&service, "*"), 0);
    });
}

/// Longer than what is hashed before it goes out.
const HUGE: u64 = (256 << 20) + 12_345;

/// A file of more than 256 MiB goes out before it is hashed. Each request that came meanwhile had
/// it hashed once more; when it was hashed at last, it seemed to replace another file and was given
/// a later date.
#[test]
fn a_huge_file_is_hashed_once_and_keeps_its_date() {
    run(async {
        let gate = Gate::new();
        let file = Made::new(0, HUGE, Some(Arc::clone(&gate)));
        let source = Edited::new(Some(file.source()));
        source.lookups.open_wide();
        let service = always_looks(&source);
        let ask = async || head(&service, "/a.txt", &[("accept-encoding", "gzip")]).await;
        let first = ask().await;
        let date = first.field("last-modified").to_owned();
        assert_eq!(date, "Sun, 13 Sep 2020 12:26:40 GMT");
        // The first time it cannot be read; the second time what came before it is as nameless.
        for time in 1..=2 {
            // The hash before may not have ended yet, and only a request begins another.
            let began = std::time::Instant::now();
            while gate.arrived() < time {
                assert!(began.elapsed() < LONG, "no hash begins");
                assert_eq!(ask().await.field("last-modified"), date);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            for _ in 0..20 {
                let meanwhile = ask().await;
                assert_eq!((meanwhile.status.as_u16(), meanwhile.cache()), (200, "unhashed"));
                assert_eq!(meanwhile.field("etag"), "");
                assert_eq!(meanwhile.field("last-modified"), date);
            }
            assert_eq!(gate.arrived(), time, "once, however many ask");
            if time == 1 {
                file.broken.store(true, Ordering::SeqCst);
                gate.open(1);
                until(|| !file.broken.load(Ordering::SeqCst)).await;
            }
        }
        gate.open_wide();
        until(|| file.read.load(Ordering::SeqCst) >= HUGE).await;
        let began = std::time::Instant::now();
        while ask().await.cache() == "unhashed" {
            assert!(began.elapsed() < LONG, "the hash has ended");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for _ in 0..5 {
            let hashed = head(&service, "/a.txt", &[]).await;
            assert_ne!(hashed.field("etag"), "");
            assert_eq!(hashed.field("last-modified"), date);
        }
        assert_eq!((gate.arrived(), file.read.load(Ordering::SeqCst)), (2, HUGE), "read once");
    });
}

/// The hash of a huge file that was replaced meanwhile put the old file back when it ended, and
/// those who asked until the next look were told of that one.
#[test]
fn a_hash_that_ends_late_does_not_bring_back_what_was_replaced() {
    run(async {
        let gate = Gate::new();
        let old = Made::new(b'a', HUGE, Some(Arc::clone(&gate)));
        let source = Edited::new(Some(old.source()));
        source.lookups.open_wide();
        let builder = ServeCompressed::builder(Arc::clone(&source)).patience(LONG);
        let revalidate = Duration::from_secs(4);
        let service = builder.revalidate(revalidate).build().unwrap();
        let began = std::time::Instant::now();
        let first = head(&service, "/a.txt", &[]).await;
        assert_eq!((first.field("etag"), first.cache()), ("", "unhashed"));
        until(|| gate.arrived() == 1).await;
        source.edit(SourceFile::new("another"));
        // Half of the time that an answer stays good: this request has the file looked at again.
        tokio::time::sleep(revalidate / 2).await;
        let mut tag = String::new();
        while tag.is_empty() {
            tag = head(&service, "/a.txt", &[]).await.field("etag").to_owned();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        gate.open_wide();
        until(|| old.read.load(Ordering::SeqCst) >= HUGE).await;
        // Until the old look would have been too old to count, had it been put back.
        while began.elapsed() < revalidate {
            assert_eq!(head(&service, "/a.txt", &[]).await.field("etag"), tag);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

/// `warm` passed by a file whose hash was still under way, so that the largest files, for which it
/// matters most, were never stored ahead.
#[test]
fn warm_waits_for_the_hash_of_a_huge_file() {
    run(async {
        let source = Edited::new(Some(Made::new(0, HUGE, None).source()));
        source.lookups.open_wide();
        let service = ServeCompressed::builder(Arc::clone(&source))
            .cache(Cache::in_memory(2 << 30))
            .preference(Preference::List(vec![ContentCoding::ZSTD]))
            .patience(LONG)
            .build()
            .unwrap();
        let mut lengths = Vec::new();
        let paths = service.paths().unwrap();
        let summary = service.warm(paths, |warmed| lengths.push(warmed.encoded_len)).await;
        assert_eq!((summary.stored, summary.failed), (1, 0));
        let hit = head(&service, "/a.txt", &[("accept-encoding", "zstd")]).await;
        assert_eq!((hit.coding(), hit.cache()), ("zstd", "hit"));
        let len = lengths[0].unwrap();
        assert_eq!(hit.field("content-length"), len.to_string());
        assert!(len < HUGE / 1000, "{len} bytes of nothing");
    });
}

/// As above, at the worst moment: who warmed right when the hash was about to begin saw neither a
/// digest nor a hash under way, and gave the file up.
#[test]
fn warm_waits_for_the_hash_of_a_huge_file_however_early_it_looks() {
    run(async {
        for round in 0..300 {
            let gate = Gate::new();
            let file = Made::new(0, HUGE, Some(Arc::clone(&gate)));
            let source = Edited::new(Some(file.source()));
            source.lookups.open_wide();
            let service = always_looks(&source);
            let warming =
                tokio::spawn(async move { service.warm(service.paths().unwrap(), |_| {}).await });
            until(|| gate.arrived() == 1).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(!warming.is_finished(), "given up, round {round}");
            file.broken.store(true, Ordering::SeqCst);
            gate.open_wide();
            warming.abort();
        }
    });
}

/// What was published is written to the medium later. Those jobs stood in the encodes' own queue:
/// a slow medium filled it, and requests were told that there was no room to encode.
#[test]
fn a_slow_medium_fills_no_queue_of_encodes() {
    run(async {
        let files: Vec<_> = (0..8).map(|n| (format!("{n}.txt"), hex(9_000, n))).collect();
        let list: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let medium = Gate::new();
        let held = Arc::clone(&medium);
        let disk = FaultDisk::watched(MemoryDisk::new(), move |op| {
            if op == Op::FileSync {
                held.pass();
            }
        });
        let cache = Cache::builder("/cache").disk(Arc::new(disk)).build().unwrap();
        let offered = Preference::List(vec![coding()]);
        let service = builder(&Pack::new(), &list, &cache).preference(offered);
        let service = service.encode_threads(2).queue(1).build().unwrap();
        for (n, (path, source)) in files[..2].iter().enumerate() {
            let answer = get(&service, &format!("/{path}"), &[PACK]).await;
            assert_eq!((answer.coding(), answer.cache()), ("x-pack", "stored"));
            assert!(answer.decoded() == *source);
            until(|| medium.arrived() > n as u64).await;
        }
        // What nobody waits for is encoded beside them.
        let path = SourcePath::parse(files[2].0.as_bytes()).unwrap();
        let warmed = tokio::time::timeout(Duration::from_secs(5), service.warm([path], |_| {}));
        assert_eq!(warmed.await.expect("warm does not wait for the medium").stored, 1);
        for (path, source) in &files[3..] {
            let answer = get(&service, &format!("/{path}"), &[PACK]).await;
            assert_eq!((answer.coding(), answer.cache()), ("x-pack", "stored"));
            assert!(answer.decoded() == *source);
        }
        until(|| service.metrics().inflight == 0).await;
        tokio::time::sleep(SHORT).await;
        assert_eq!(service.metrics().queue_length, 0, "no encode waits");
        medium.open_wide();
        settled(&service).await;
        assert_eq!(service.metrics().entries, 8);
    });
}

/// What an encode comes to was written down after the right to encode had been given back: in
/// between, another process began the same encode, to find out the same.
#[test]
fn a_verdict_is_written_down_before_another_may_try() {
    run(async {
        let raw = Pack { raw: true, ..Pack::new() };
        let at_fault = Pack { fault: Fault::FlipBit, ..Pack::new() };
        for (pack, detail) in [(raw, "unprofitable"), (at_fault, "encoder")] {
            let directory = tempfile::tempdir().unwrap();
            let source = hex(9_000, 1);
            let files: [(&str, &[u8]); 1] = [("a.txt", &source)];
            let gate = Gate::new();
            let (held, begun) = (Arc::clone(&gate), AtomicBool::new(false));
            // Whatever lock or name comes after the encode has begun is the verdict's.
            let disk = FaultDisk::watched(RealDisk, move |op| match op {
                Op::FileReserve => begun.store(true, Ordering::SeqCst),
                Op::TryLock | Op::FilePublish if begun.load(Ordering::SeqCst) => held.pass(),
                _ => {}
            });
            let cache = Cache::builder(root(&directory)).disk(Arc::new(disk)).build().unwrap();
            let one = builder(&pack, &files, &cache).build().unwrap();
            let two = builder(&pack, &files, &on_disk(&directory)).build().unwrap();
            let first = tokio::spawn({
                let one = one.clone();
                async move { get(&one, "/a.txt", &[PACK]).await }
            });
            until(|| gate.arrived() == 1).await;
            let meanwhile = get(&two, "/a.txt", &[PACK]).await;
            assert_eq!((meanwhile.coding(), meanwhile.cache()), ("", "locked"), "{detail}");
            gate.open_wide();
            let first = first.await.unwrap();
            assert_eq!((first.coding(), first.cache()), ("", detail));
            settled(&one).await;
            let next = get(&two, "/a.txt", &[PACK]).await;
            assert_eq!((next.coding(), next.cache()), ("", detail));
            assert!(next.bytes() == source);
            assert_eq!((encodes(&one, "*"), encodes(&two, "*")), (1, 0));
        }
    });
}

/// What a request's options say of the representation itself would contradict it.
#[test]
fn options_of_a_request_cannot_contradict_the_representation() {
    run(async {
        let source = hex(9_000, 77);
        let service = service(&[("a.txt", &source)], &Cache::in_memory(1 << 20));
        let plain = get(&service, "/a.txt", &[]).await;
        let mut request = request("GET", "/a.txt", &[]);
        let options = ["etag", "content-length", "content-encoding", "content-range"]
            .into_iter()
            .fold(RequestOptions::new(), |options, name| {
                options.header(name.parse().unwrap(), HeaderValue::from_static("7"))
            });
        request.extensions_mut().insert(options);
        let told = read(send(&service, request).await).await;
        assert_eq!(told.headers, plain.headers);
        assert!(told.bytes() == source);
    });
}

/// A small file was opened and read once to be hashed, and again to be encoded.
#[test]
fn a_small_file_is_looked_up_and_read_once() {
    run(async {
        let file = Made::new(b'a', 60_000, None);
        let source = Edited::new(Some(file.source()));
        source.lookups.open_wide();
        let builder = ServeCompressed::builder(Arc::clone(&source)).patience(LONG);
        let service = builder.revalidate(LONG).build().unwrap();
        for coding in ["zstd", "gzip"] {
            let cold = get_as(&service, "/a.txt", coding).await;
            assert_eq!((cold.coding(), cold.cache()), (coding, "stored"));
            assert!(cold.decoded() == [b'a'; 60_000]);
        }
        let read = file.read.load(Ordering::SeqCst);
        assert_eq!((source.lookups.arrived(), read), (1, 60_000));
    });
}
