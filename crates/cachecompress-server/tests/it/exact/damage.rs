//! Damage to a populated cache, under the real program. No wrong byte goes out. `verify` finds
//! every damaged entry, `gc` removes it, and `serve` counts and replaces it.

#![cfg(unix)]

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cachecompress_test::damage;
use cachecompress_test::server::command;

use crate::common::*;

const DAMAGED: &str = "cachecompress_damaged_entries_total";
/// The codings, each of which has an entry of every file.
const ACCEPTS: [&str; 4] = ["br", "gzip", "zstd", "deflate"];

/// A site, and all entries that it can have, as good bytes.
struct Populated {
    site: Site,
    files: Vec<(&'static str, Vec<u8>)>,
    cache: tempfile::TempDir,
    good: Vec<(PathBuf, Vec<u8>)>,
}

impl Populated {
    fn new() -> Self {
        let files = vec![
            ("small.js", site::text(1, 700)),
            ("middle.css", site::text(2, 60_000)),
            ("large.json", site::text(3, 400_000)),
            ("tool", site::binary(4, 30_000)),
            // The entry of this file is an unprofitable verdict.
            ("noise.bin", site::random(5, 20_000)),
        ];
        let site = Site::new();
        for (name, bytes) in &files {
            site.write(name, bytes);
            site.age(name);
        }
        let cache = tempfile::tempdir().unwrap();
        let mut populated = Self { site, files, cache, good: Vec::new() };
        let mut server = populated.start();
        populated.ask_for_all(&server);
        server.stop();
        populated.good =
            entries(&populated.dir()).into_iter().map(|path| (path.clone(), read(&path))).collect();
        assert_eq!(populated.good.len(), populated.files.len() * ACCEPTS.len());
        let kinds: BTreeSet<u8> = populated.good.iter().map(|(_, bytes)| bytes[10]).collect();
        assert_eq!(kinds, BTreeSet::from([1, 2]), "representations and verdicts");
        populated
    }

    fn dir(&self) -> PathBuf {
        self.cache.path().join("cache")
    }

    fn start(&self) -> Server {
        // The bound is beyond a hole of a terabyte, so that sizes decide nothing.
        launch(&self.site).cache(&self.dir()).args("--cache-size 1000TiB").start()
    }

    /// Asserts that every file in every coding is exact, and kept in the end.
    fn ask_for_all(&self, server: &Server) {
        for (name, source) in &self.files {
            for accept in ACCEPTS {
                let answer = server.get(&format!("/{name}"), accept);
                assert_eq!(answer.status(), 200);
                assert!(answer.decoded() == *source, "{name} in {accept}: a wrong byte");
                assert_tag(answer.etag(), source, answer.coding());
            }
        }
        server.until_idle();
    }

    /// Restores every entry.
    fn heal(&self) {
        for (path, bytes) in &self.good {
            remove(path);
            fs::write(path, bytes).unwrap();
        }
    }

    /// Replaces every entry by a damaged one.
    fn damage(&self, damage: impl Fn(&Path, &[u8], &[u8])) {
        for (at, (path, bytes)) in self.good.iter().enumerate() {
            remove(path);
            damage(path, bytes, &self.good[(at + 1) % self.good.len()].1);
        }
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// The files in the directories of entries.
fn entries(cache: &Path) -> Vec<PathBuf> {
    let list = |path: PathBuf| -> Vec<PathBuf> {
        let list = fs::read_dir(path).into_iter().flatten().flatten();
        list.map(|entry| entry.path()).collect()
    };
    let mut all: Vec<_> = list(cache.join("v1/entries")).into_iter().flat_map(list).collect();
    all.sort();
    all
}

/// Runs `verify` or `gc`. Returns the exit code and the lines on stdout. Nothing may be on stderr.
fn care(what: &str, cache: &Path) -> (i32, Vec<String>) {
    let mut command = command(Path::new(PROGRAM));
    let output = command.arg(what).arg("--cache-dir").arg(cache).stdin(Stdio::null()).output();
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text(&output.stderr), "", "{what}: no bar without a terminal, and no error");
    let lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    assert!(!text(&output.stdout).contains('\x1b'), "{lines:?}");
    (output.status.code().unwrap(), lines)
}

/// Asserts that `verify` names exactly these entries, one line each, and then sums up.
#[track_caller]
fn assert_verify_finds(cache: &Path, damaged: &BTreeSet<PathBuf>, what: &str) {
    let (code, mut lines) = care("verify", cache);
    let summary = lines.pop().unwrap();
    let named: BTreeSet<PathBuf> =
        lines.iter().map(|line| line.rsplit_once(": ").unwrap().0.into()).collect();
    assert_eq!((lines.len(), &named), (damaged.len(), damaged), "{what}: {summary}");
    assert_eq!(code, i32::from(!damaged.is_empty()), "{what}: {summary}");
    let count = format!(" {} damaged", damaged.len());
    assert!(summary.starts_with("verified ") && summary.contains(&count), "{what}: {summary}");
}

/// Damage to the file under an entry's name, a description and a function.
type Harm = (&'static str, Change);

/// A function that damages an entry, given its path, its good bytes and those of another entry.
type Change = Box<dyn Fn(&Path, &[u8], &[u8])>;

fn bytes_of(change: impl Fn(&mut Vec<u8>) + 'static) -> Change {
    Box::new(move |path, good, _| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    })
}

fn harms(outside: &Path) -> Vec<Harm> {
    let good = outside.join("good");
    let nowhere = outside.join("nowhere");
    fs::create_dir(&good).unwrap();
    vec![
        ("a bit of the magic", bytes_of(|bytes| bytes[0] ^= 1)),
        ("a bit of the digest", bytes_of(|bytes| bytes[40] ^= 4)),
        (
            "a bit in the middle",
            bytes_of(|bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }),
        ),
        ("the last bit", bytes_of(|bytes| *bytes.last_mut().unwrap() ^= 0x80)),
        ("empty", bytes_of(Vec::clear)),
        ("a byte less", bytes_of(|bytes| bytes.truncate(bytes.len() - 1))),
        ("half of it", bytes_of(|bytes| bytes.truncate(bytes.len() / 2))),
        ("a byte more", bytes_of(|bytes| bytes.push(0))),
        ("zeros", bytes_of(|bytes| bytes.fill(0))),
        ("a zeroed head", bytes_of(|bytes| bytes[..144].fill(0))),
        (
            "a zeroed page",
            bytes_of(|bytes| {
                // The middle page, or the second half of an entry shorter than a page.
                let at =
                    (bytes.len() / 2).min(bytes.len() / 2 / 4096 * 4096 + bytes.len() % 4096 / 2);
                let end = bytes.len().min(at + 4096);
                bytes[at..end].fill(0);
            }),
        ),
        (
            "kind, sealed",
            bytes_of(|bytes| {
                bytes[10] = if bytes[10] == 1 { 2 } else { 1 };
                damage::seal(bytes);
            }),
        ),
        (
            "a dictionary, sealed",
            bytes_of(|bytes| {
                bytes[112] = 1;
                damage::seal(bytes);
            }),
        ),
        (
            "header's length, sealed",
            bytes_of(|bytes| {
                bytes[12] = bytes[12].wrapping_add(8);
                damage::seal(bytes);
            }),
        ),
        (
            "payload's length, sealed",
            bytes_of(|bytes| {
                let at = bytes.len() - 24;
                bytes[at..at + 8].fill(0xff);
                damage::seal(bytes);
            }),
        ),
        ("another's bytes", Box::new(|path, _, other| fs::write(path, other).unwrap())),
        (
            "a terabyte, most of it a hole",
            Box::new(|path, good, _| {
                fs::write(path, good).unwrap();
                fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1 << 40).unwrap();
            }),
        ),
        (
            "a directory with something in it",
            Box::new(|path, _, _| {
                fs::create_dir(path).unwrap();
                fs::write(path.join("file"), "").unwrap();
            }),
        ),
        (
            "a FIFO",
            Box::new(|path, _, _| {
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            }),
        ),
        (
            "a socket",
            Box::new(|path, _, _| {
                // The path is too long for a socket's address, so the socket is made elsewhere.
                let short = tempfile::tempdir().unwrap();
                let socket = short.path().join("s");
                drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
                fs::rename(&socket, path).unwrap();
            }),
        ),
        // CVE-2024-42367, symlinked siblings: the entry behind the link is a good one.
        (
            "a symlink to the entry",
            Box::new(move |path, bytes, _| {
                let target = good.join(path.file_name().unwrap());
                fs::write(&target, bytes).unwrap();
                symlink(target, path).unwrap();
            }),
        ),
        ("a symlink to nowhere", Box::new(move |path, _, _| symlink(&nowhere, path).unwrap())),
        ("a symlink to itself", Box::new(|path, _, _| symlink(path, path).unwrap())),
    ]
}

#[test]
fn damaged_entries_are_found_counted_and_replaced() {
    let populated = Populated::new();
    let outside = tempfile::tempdir().unwrap();
    let cache = populated.dir();
    let all: BTreeSet<PathBuf> = populated.good.iter().map(|(path, _)| path.clone()).collect();
    assert_verify_finds(&cache, &BTreeSet::new(), "nothing yet");
    let mut cases = 0;
    for (what, harm) in harms(outside.path()) {
        populated.damage(&*harm);
        assert_verify_finds(&cache, &all, what);
        let mut server = populated.start();
        populated.ask_for_all(&server);
        assert_eq!(server.metric(DAMAGED, &[]), all.len() as f64, "{what}");
        assert!(server.is_running() && !server.stderr().contains("panicked"), "{what}");
        // All entries are there again, and none is encoded twice.
        populated.ask_for_all(&server);
        assert_eq!(server.metric(DAMAGED, &[]), all.len() as f64, "{what}: again");
        assert_verify_finds(&cache, &BTreeSet::new(), what);
        assert_eq!(BTreeSet::from_iter(entries(&cache)), all, "{what}");
        server.kill();
        for (path, good) in &populated.good {
            // The bytes are the same but for the time of creation and the checksums over it.
            let (header, again) = (damage::header_len(good), read(path));
            assert!(again[header..again.len() - 16] == good[header..good.len() - 16], "{what}");
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        cases += all.len();
    }
    assert!(!outside.path().join("nowhere").exists(), "something was written through a symlink");
    println!("{cases} damaged entries");
}

#[test]
fn gc_removes_every_damaged_entry_and_nothing_else() {
    let populated = Populated::new();
    let outside = tempfile::tempdir().unwrap();
    let cache = populated.dir();
    // The locks of the killed servers are litter too, but no damaged entries.
    site::files_below(&cache.join("v1/locks"))
        .iter()
        .for_each(|lock| fs::remove_file(lock).unwrap());
    let mut cases = 0;
    for (turn, (what, harm)) in harms(outside.path()).into_iter().enumerate() {
        populated.heal();
        // Every turn damages another third of the entries.
        let bad: Vec<_> = populated.good.iter().skip(turn % 3).step_by(3).collect();
        for (path, bytes) in &bad {
            remove(path);
            let other = populated.good.iter().find(|(other, _)| other != path).unwrap();
            harm(path, bytes, &other.1);
        }
        let bad: BTreeSet<PathBuf> = bad.iter().map(|(path, _)| path.clone()).collect();
        assert_verify_finds(&cache, &bad, what);
        let (code, mut lines) = care("gc", &cache);
        let summary = lines.pop().unwrap();
        assert_eq!(code, 0, "{what}: {summary}");
        let removed: BTreeSet<PathBuf> = lines
            .iter()
            .map(|line| line.strip_prefix("removed ").unwrap().rsplit_once(": ").unwrap().0.into())
            .collect();
        assert_eq!((lines.len(), &removed), (bad.len(), &bad), "{what}: {summary}");
        assert!(
            summary.contains(&format!(": {} damaged, 0 orphaned, 0 of", bad.len())),
            "{summary}"
        );
        for (path, bytes) in &populated.good {
            assert_eq!(fs::symlink_metadata(path).is_err(), bad.contains(path), "{what}");
            assert!(bad.contains(path) || read(path) == *bytes, "{what}");
        }
        cases += bad.len();
    }
    println!("{cases} damaged entries");
}

/// `verify` and `gc` run in a loop beside a server under load. Answers are exact, and each good
/// content is encoded once. Then other files take the names of entries meanwhile.
#[test]
fn verify_and_gc_run_beside_a_server_under_load() {
    let populated = Populated::new();
    let cache = populated.dir();
    // A program that ends while a thread still writes to the medium leaves the lock of its presence.
    assert_eq!(care("gc", &cache).0, 0);
    let server = populated.start();
    let representations = populated.files.len() * ACCEPTS.len();
    for damaging in [false, true] {
        let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for accept in ACCEPTS {
                let (stop, answers, populated, server) = (&stop, &answers, &populated, &server);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        for (name, source) in &populated.files {
                            let answer = server.get(&format!("/{name}"), accept);
                            assert_eq!(answer.status(), 200);
                            assert!(answer.decoded() == *source, "{name}: a wrong byte");
                            answers.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            // The other threads must end also if an assertion fails on this one.
            let _stop = StopOnDrop(&stop);
            for turn in 0..12 {
                if damaging {
                    let (path, bytes) = &populated.good[turn * 7 % representations];
                    let beside = populated.cache.path().join("beside");
                    fs::write(&beside, &bytes[..bytes.len() - 1]).unwrap();
                    fs::rename(&beside, path).unwrap();
                }
                let (code, lines) = care("verify", &cache);
                assert!(code == 0 || damaging, "{lines:?}");
                let (code, lines) = care("gc", &cache);
                assert_eq!(code, 0, "{lines:?}");
                assert!(lines.len() == 1 || damaging, "{lines:?}");
            }
        });
        println!("{} exact answers beside 24 runs", answers.into_inner());
        if !damaging {
            assert_eq!((server.encodes(), server.metric(DAMAGED, &[])), (0, 0.0));
        }
    }
    populated.ask_for_all(&server);
    assert_verify_finds(&cache, &BTreeSet::new(), "after all");
    assert_eq!(cache_dir::locks(&cache), Vec::<PathBuf>::new());
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Neither `gc` nor `rm -rf` takes anything from a running encode.
#[test]
fn gc_keeps_running_encodes_and_rm_rf_harms_no_answer() {
    let site = Site::new();
    let files: Vec<_> = (0..30u64).map(|at| site::text(at, 120_000)).collect();
    for (at, bytes) in files.iter().enumerate() {
        site.write(&format!("{at}.css"), bytes);
    }
    for removing in [false, true] {
        let cache = tempfile::tempdir().unwrap();
        let dir = cache.path().join("cache");
        let server = launch(&site).cache(&dir).start();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for what in ["gc", "verify"] {
                        let mut command = command(Path::new(PROGRAM));
                        let output =
                            command.arg(what).arg("--cache-dir").arg(&dir).output().unwrap();
                        // The code 2 means that there is no cache at this moment.
                        let code = output.status.code();
                        assert!(code == Some(0) || removing && code == Some(2), "{output:?}");
                    }
                    if removing {
                        let _ = fs::remove_dir_all(&dir);
                    }
                }
            });
            let _stop = StopOnDrop(&done);
            thread::scope(|scope| {
                for accept in ["br", "gzip"] {
                    let (server, files) = (&server, &files);
                    scope.spawn(move || {
                        for (at, bytes) in files.iter().enumerate() {
                            let answer = server.get(&format!("/{at}.css"), accept);
                            assert_eq!(answer.status(), 200);
                            assert!(answer.decoded() == *bytes, "a wrong byte");
                        }
                    });
                }
            });
        });
        if removing {
            continue;
        }
        // gc tries no lock once it has ended. Each file that was answered as identity meanwhile is
        // encoded now, and none twice.
        for accept in ["br", "gzip"] {
            for at in 0..files.len() {
                server.until_hit(&Request::get(&format!("/{at}.css")).accept(accept));
            }
        }
        assert_eq!(server.encodes() as usize, 2 * files.len());
        assert_eq!(server.metric(DAMAGED, &[]), 0.0);
    }
}

/// The program once ran as another user, so the server may not read an entry.
#[test]
fn entry_that_the_server_may_not_read_is_replaced() {
    if !rustix::process::geteuid().is_root() {
        decode::skipped("giving an entry to another user needs root");
        return;
    }
    let Some(setpriv) = cachecompress_test::tools::require("setpriv") else { return };
    let source = site::text(1, 50_000);
    let site = Site::with("app.js", &source);
    let open_to_all = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to_all(site.path(), 0o755);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path(), 0o777);
    let cache = directory.path().join("cache");
    // The program may lie in a directory that other users may not enter.
    let program = directory.path().join("cachecompress");
    fs::copy(PROGRAM, &program).unwrap();
    let script = directory.path().join("unprivileged");
    let line = format!(
        "#!/bin/sh\nexec {} --reuid=65534 --regid=65534 --clear-groups {} \"$@\"\n",
        setpriv.display(),
        program.display()
    );
    fs::write(&script, line).unwrap();
    open_to_all(&script, 0o755);
    let unprivileged = || Launch::new(&script, site.path()).args(PATIENT).cache(&cache).start();
    let request = Request::get("/app.js").accept("gzip");
    let mut server = unprivileged();
    let _ = server.fetch(&request);
    server.until_hit(&request);
    server.stop();
    let path = entries(&cache).pop().unwrap();
    std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();

    let verify =
        Command::new(&script).args(["verify", "--cache-dir"]).arg(&cache).output().unwrap();
    let text = String::from_utf8(verify.stdout).unwrap();
    assert!(verify.status.code() == Some(1) && text.contains(": not readable\n"), "{text}");
    let server = unprivileged();
    assert_is(&server.fetch(&request), &source, "gzip");
    assert_is(&server.until_hit(&request), &source, "gzip");
    assert_eq!((server.metric(DAMAGED, &[]), server.encodes()), (1.0, 1));
}

/// CVE-2017-7529: a range beyond a cached body's end showed the cache's own header.
#[test]
fn range_shows_no_byte_of_header_or_trailer() {
    let source = site::text(1, 90_000);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    let mut asked = 0;
    for accept in ACCEPTS {
        let request = Request::get("/app.js").accept(accept);
        let _ = server.fetch(&request);
        let whole = server.until_hit(&request);
        let (body, tag) = (whole.body.clone(), whole.etag().to_owned());
        let request = request.header("if-range", &tag);
        let len = body.len() as u64;
        for first in [0, 1, len / 2, len - 2, len - 1, len, len + 1, len + 31, len + 32, u64::MAX] {
            for last in [0, 1, len - 2, len - 1, len, len + 31, len + 32, len + 4096, u64::MAX] {
                let answer = server.fetch(&request.clone().range(&format!("bytes={first}-{last}")));
                assert!(answer.status() == 416 || answer.etag() == tag);
                let slice = match (first <= last, first < len) {
                    // A field that is no range gets all of it (RFC 9110 §14.1.1).
                    (false, _) => (200, &body[..]),
                    (true, false) => (416, &[][..]),
                    (true, true) => (206, &body[first as usize..=last.min(len - 1) as usize]),
                };
                assert!(
                    answer.status() == slice.0 && (answer.body == slice.1 || slice.0 == 416),
                    "{accept} {first}-{last}: {:?}, {} bytes",
                    answer.head,
                    answer.body.len()
                );
                assert!(
                    !answer.body.windows(4).any(|part| part == b"\x89CCE" || part == b"\x89CCT")
                );
                asked += 1;
            }
        }
        for suffix in [1, 32, len - 1, len, len + 1, len + 32, len + 4096, u64::MAX] {
            let answer = server.fetch(&request.clone().range(&format!("bytes=-{suffix}")));
            let start = len.saturating_sub(suffix) as usize;
            assert!(answer.status() == 206 && answer.body == body[start..], "{accept} -{suffix}");
            asked += 1;
        }
    }
    println!("{asked} ranges");
}

/// Other servers served a half-written entry (keycloak 14510), and kept the part of a body that an
/// aborting client had left (cherokee 1124).
#[test]
fn clients_that_leave_midway_leave_whole_entries_or_none() {
    let source = site::text(1, 6_000_000);
    let site = Site::with("app.json", &source);
    let server = start(&site);
    for (turn, accept) in ["gzip", "br", "zstd"].into_iter().cycle().take(6).enumerate() {
        let request = Request::get("/app.json").accept(accept);
        let mut connection = Connection::open(server.address()).unwrap();
        connection.send(&request).unwrap();
        if turn >= 3 || turn == 1 {
            let _ = connection.receive_head().unwrap();
            connection.wait_for_bytes(1).unwrap();
        }
        drop(connection);
        // Other requests find no partial entry meanwhile, or do not believe it.
        let (code, lines) = care("verify", &server.cache());
        assert_eq!(code, 0, "{lines:?}");
        let answer = server.fetch(&request);
        assert!(answer.decoded() == source);
    }
    server.until_idle();
    assert_eq!(server.encodes(), 3, "a client that leaves stops no encode, nor begins another");
    assert_verify_finds(&server.cache(), &BTreeSet::new(), "after the clients");
    assert_eq!(server.entries(), 3);
}

/// A file name held a `/` from a tag, and names outgrew 255 bytes (lighttpd 455f6227). Names in
/// this cache are made of digests only.
#[test]
fn cache_names_do_not_come_from_paths() {
    let site = Site::new();
    let long = ["d".repeat(200), "e".repeat(200), format!("{}.js", "f".repeat(250))].join("/");
    let strange =
        ["a\nb.js", "x..js", "~.js", "%2f%2e%2e%2f.js", "a;b=c.js", "ü\u{202e}.js", &long];
    let server = start(&site);
    for (at, name) in strange.into_iter().enumerate() {
        let source = site::text(at as u64, 5_000);
        site.write(name, &source);
        let target: String = name
            .bytes()
            .map(|byte| match byte {
                b'/' => "/".to_owned(),
                byte => format!("%{byte:02x}"),
            })
            .collect();
        let answer = server.get(&format!("/{target}"), "gzip");
        assert_eq!(answer.status(), 200, "{name:?}");
        assert_is(&answer, &source, "gzip");
    }
    server.until_idle();
    let all = cache_dir::entries(&server.cache());
    assert_eq!(all.len(), strange.len());
    for path in all {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(name.len() == 81 && name.bytes().all(|byte| hex(byte) || byte == b'-'), "{name}");
        assert!(!fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    }
}

/// A bar is on stderr if it is a terminal. The lines on stdout stay the same.
#[test]
fn verify_and_gc_show_a_bar_and_survive_a_broken_pipe() {
    let site = Site::with("app.js", &site::text(1, 30_000));
    let mut server = start(&site);
    let request = Request::get("/app.js").accept("gzip");
    let _ = server.fetch(&request);
    server.until_hit(&request);
    server.stop();
    let cache = server.cache();
    if let Some(script) = cachecompress_test::tools::require("script") {
        for what in ["verify", "gc"] {
            let line = format!("'{PROGRAM}' {what} --cache-dir '{}' 2>&1", cache.display());
            let mut command = Command::new(&script);
            command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::null());
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success() && text.contains('%'), "{what}: {text:?}");
            let last = text.trim_end().rsplit(['\r', '\n']).next().unwrap();
            assert!(last.contains("1 whole ("), "{what}: {text:?}");
        }
    }
    for what in ["verify", "gc"] {
        let mut command = command(Path::new(PROGRAM));
        command.arg(what).arg("--cache-dir").arg(&cache).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The reader of the program's output is gone.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

/// Ctrl-C ends the work after the entry that is being read, with a summary and 130.
#[test]
fn interrupt_ends_verify_and_gc_with_a_summary() {
    use std::io::{BufRead as _, BufReader};

    for what in ["verify", "gc"] {
        let directory = tempfile::tempdir().unwrap();
        let shard = directory.path().join("v1/entries/00");
        fs::create_dir_all(&shard).unwrap();
        fs::create_dir(directory.path().join("v1/locks")).unwrap();
        // The lines exceed a pipe, so that the program cannot end before the interrupt.
        let count = 3_000;
        for at in 0..count {
            fs::write(shard.join(format!("{at:064x}-{at:016x}")), "").unwrap();
        }
        let mut command = command(Path::new(PROGRAM));
        command.arg(what).arg("--cache-dir").arg(directory.path()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.next().unwrap().contains(": wrong length"));
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        // The slow reading gives the signal seconds to arrive before the end.
        let slowly = |line| {
            thread::sleep(Duration::from_millis(1));
            line
        };
        let rest: Vec<_> = lines.map(slowly).collect();
        assert!(rest.last().unwrap().ends_with("so far; interrupted"), "{what}: {rest:?}");
        assert!(rest.len() < count, "{what}: it went on to the end");
        assert_eq!(child.wait().unwrap().code(), Some(130), "{what}");
    }
}
