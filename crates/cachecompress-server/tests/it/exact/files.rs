//! Hostile files. However the served directory changes, no request hangs, and no file is served
//! wrongly.

#![cfg(unix)]

use std::ffi::OsStr;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::Command;
use std::sync::atomic::AtomicUsize;
use std::thread;

use cachecompress_test::{client, http2};

use crate::common::*;

fn start_at_once(site: &Site) -> Server {
    start_with(site, "--revalidate 0s")
}

/// The number in a line of `/proc/<id>/status`.
fn status_of(server: &Server, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The memory in use, in bytes.
fn memory(server: &Server) -> u64 {
    status_of(server, "VmRSS") * 1024
}

/// The kind of thing that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Fifo,
    Socket,
    Device,
    Dangling,
    Loop,
    Escape,
    Nothing,
}

const KINDS: [Kind; 9] = [
    Kind::File,
    Kind::Fifo,
    Kind::Directory,
    Kind::Socket,
    Kind::Device,
    Kind::Dangling,
    Kind::Loop,
    Kind::Escape,
    Kind::Nothing,
];

impl Kind {
    /// Makes one at `path`. Returns whether the test may make it.
    fn make(self, path: &Path, source: &[u8]) -> bool {
        use std::os::unix::fs::symlink;
        match self {
            Self::File => fs::write(path, source).is_ok(),
            Self::Directory => fs::create_dir(path)
                .and_then(|()| fs::write(path.join("index.html"), source))
                .is_ok(),
            Self::Fifo => works(Command::new("mkfifo").arg(path)),
            Self::Socket => std::os::unix::net::UnixListener::bind(path).is_ok(),
            // The device has no end.
            Self::Device => works(Command::new("mknod").arg(path).args(["c", "1", "5"])),
            Self::Dangling => symlink("nowhere", path).is_ok(),
            Self::Loop => symlink(path.file_name().unwrap(), path).is_ok(),
            Self::Escape => symlink("../../../../../../etc/passwd", path).is_ok(),
            Self::Nothing => true,
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::File => 200,
            Self::Directory => 301,
            _ => 404,
        }
    }
}

fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        fs::remove_dir_all(path).unwrap();
    } else {
        let _ = fs::remove_file(path);
    }
}

/// A name stands in turn for a file, a directory, a FIFO, a device and a socket. The answer is that
/// of the present kind.
#[test]
fn name_may_become_anything_while_it_is_served() {
    let source = site::text(1, 90_000);
    let site = Site::new();
    let mut server = start_at_once(&site);
    let path = site.file("app.js");
    let ask = |target: &str| {
        let begun = Instant::now();
        let answers = Protocol::ALL
            .map(|protocol| server.fetch_over(protocol, &Request::get(target).accept("gzip")));
        assert!(begun.elapsed() < PATIENCE, "{target} took {:?}", begun.elapsed());
        answers
    };
    let mut made = 0;
    // Each kind follows each other one.
    for step in 1..KINDS.len() {
        for at in 0..KINDS.len() {
            let kind = KINDS[at * step % KINDS.len()];
            remove(&path);
            if !kind.make(&path, &source) {
                decode::skipped(&format!("cannot make a {kind:?} here"));
                continue;
            }
            made += 1;
            for answer in ask("/app.js") {
                assert_eq!(answer.status(), kind.status(), "{kind:?}: {:?}", answer.head);
                if kind == Kind::File {
                    assert!(answer.decoded() == source, "{:?}", answer.head);
                }
            }
            for answer in ask("/app.js/") {
                let expected = match kind {
                    Kind::Directory => 200,
                    Kind::File => 301,
                    _ => 404,
                };
                assert_eq!(answer.status(), expected, "{kind:?}/: {:?}", answer.head);
            }
        }
    }
    assert!(server.is_running());
    println!("{made} changes");
}

/// Renames swap the kinds as fast as possible. A socket that took a file's name between lookup and
/// open was a 500.
#[test]
fn name_that_changes_its_kind_hangs_no_request() {
    let source = site::text(2, 90_000);
    let site = Site::with("both.js", &source);
    let spare = tempfile::tempdir_in(site.path()).unwrap();
    let mut server = start_at_once(&site);
    let kinds: Vec<_> = [Kind::File, Kind::Fifo, Kind::Socket, Kind::Escape, Kind::Loop]
        .into_iter()
        .filter(|kind| kind.make(&spare.path().join(format!("{kind:?}")), &source))
        .collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&done);
        scope.spawn(|| {
            let beside = site.file("beside");
            while !done.load(Ordering::Relaxed) {
                for kind in kinds.iter().flat_map(|kind| [kind, &Kind::File]) {
                    let from = spare.path().join(format!("{kind:?}"));
                    // A rename from a file to itself does nothing.
                    let _ = fs::remove_file(&beside);
                    fs::hard_link(&from, &beside).unwrap();
                    fs::rename(&beside, site.file("both.js")).unwrap();
                }
            }
        });
        let begun = Instant::now();
        let (mut found, mut missing) = (0, 0);
        // The loop ends when the race has been won and lost, which is a matter of luck.
        for at in 0.. {
            if at >= 150 && found > 0 && missing > 0 {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{found} times a file, {missing} times none");
            let accept = ["gzip", "identity", "br"][at % 3];
            let response = server.get("/both.js", accept);
            match response.status() {
                200 => assert!(!response.is_clean() || response.decoded() == source),
                404 => missing += 1,
                // The name changed at each of several lookups.
                503 => {}
                other => panic!("{other}: {:?}", response.head),
            }
            found += usize::from(response.status() == 200);
        }
        println!("{found} times a file, {missing} times none, {:?}", begun.elapsed());
    });
    assert!(server.is_running());
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn unreadable_file_is_403_until_it_is_readable() {
    let source = site::text(3, 90_000);
    let site = Site::with("app.js", &source);
    for name in ["locked/app.js", "unlisted/index.html", "unlisted/app.js"] {
        site.write(name, &source);
    }
    let Some(launch) = unprivileged(launch(&site).args("--revalidate 0s")) else { return };
    chmod(&site.file("unlisted"), 0o300);
    let mut server = launch.start();
    let status = |target: &str| {
        let statuses = Protocol::ALL.map(|protocol| {
            server.fetch_over(protocol, &Request::get(target).accept("gzip")).status()
        });
        assert_eq!(statuses[0], statuses[1], "{target}");
        statuses[0]
    };
    for round in 0..2 {
        assert_eq!(status("/app.js"), 200, "round {round}");
        assert_eq!(status("/locked/app.js"), 200, "round {round}");
        // A directory that cannot be listed still holds files that can be opened.
        assert_eq!(status("/unlisted/"), 200);
        assert_eq!(status("/unlisted/app.js"), 200);
        chmod(&site.file("app.js"), 0o000);
        chmod(&site.file("locked"), 0o600);
        for target in ["/app.js", "/locked/app.js", "/locked/none.js"] {
            assert_eq!(status(target), 403, "{target}");
            let head = server.fetch(&Request::head(target).accept("br"));
            assert_eq!((head.status(), head.header("etag")), (403, None), "{target}");
            let range = server.fetch(&Request::get(target).range("bytes=0-9"));
            assert_eq!(range.status(), 403, "{target}");
        }
        chmod(&site.file("app.js"), 0o400);
        chmod(&site.file("locked"), 0o700);
    }
    assert!(server.is_running());
    chmod(&site.file("unlisted"), 0o700);
}

/// Sizes at which the way of reading changes. Files up to 64 KiB are held in memory. Encoders get
/// pieces of that size, hashes pieces of 256 KiB.
const SIZES: [usize; 9] =
    [65_535, 65_536, 65_537, 131_072, 262_143, 262_144, 262_145, 327_680, 1_048_577];

/// Counts of the responses for files that change.
#[derive(Debug, Default)]
struct Tally {
    exact: AtomicUsize,
    aborted: AtomicUsize,
    torn: AtomicUsize,
}

impl Tally {
    /// Asserts that a clean body is one whole version, and that a strong tag names its bytes.
    ///
    /// A write of many pages is not atomic. A busy machine may stop the writer in the middle of one
    /// for long, and then the file really holds both versions. It may be sent under its own tag or
    /// none, and must stay rare, or the server mixed it.
    #[track_caller]
    fn count(&self, response: &Response, is_version: impl Fn(&[u8]) -> bool) {
        assert_eq!(response.status(), 200, "{:?}", response.head);
        if !response.is_clean() {
            self.aborted.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let decoded = response.decoded();
        if let Some(tag) = response.header("etag") {
            let digest = tag_digest(&decoded);
            assert!(tag.starts_with(&format!("\"{digest}")), "{tag} is not {digest}'s");
        }
        let counter = if is_version(&decoded) { &self.exact } else { &self.torn };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts as [`count`](Self::count) does. A body that fails at its first byte may have no head.
    #[track_caller]
    fn count_any(&self, answer: std::io::Result<Response>, is_version: impl Fn(&[u8]) -> bool) {
        match answer {
            Ok(response) => self.count(&response, is_version),
            Err(_) => drop(self.aborted.fetch_add(1, Ordering::Relaxed)),
        }
    }

    #[track_caller]
    fn assert_sound(&self) {
        println!("{self:?}");
        let [exact, torn] = [&self.exact, &self.torn].map(|count| count.load(Ordering::Relaxed));
        assert!(exact > 0 && torn * 10 <= exact, "{self:?}");
    }
}

/// Files are overwritten in place, with other bytes and other lengths. Meanwhile clients read them
/// as identity and in each coding over both protocols.
#[test]
fn files_overwritten_in_place_at_every_size_never_end_mixed() {
    let site = Site::new();
    let versions: Vec<Vec<Vec<u8>>> = SIZES
        .iter()
        .map(|size| {
            // The versions have the same length, a shorter one and a longer one.
            let lengths = [*size, *size, size - 30_000, size + 30_000];
            (0..4).map(|seed| site::text(100 + seed as u64, lengths[seed])).collect()
        })
        .collect();
    for (at, versions) in versions.iter().enumerate() {
        site.write(&format!("{at}.js"), &versions[0]);
    }
    let mut server = start_at_once(&site);
    let (done, tally) = (AtomicBool::new(false), Tally::default());
    thread::scope(|scope| {
        let _stop = Stop(&done);
        scope.spawn(|| {
            for turn in 1.. {
                for (at, versions) in versions.iter().enumerate() {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let version = &versions[turn % versions.len()];
                    let path = site.file(&format!("{at}.js"));
                    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                    // The file is cut first, so that no old bytes stand behind new ones.
                    if file.metadata().unwrap().len() > version.len() as u64 {
                        file.set_len(0).unwrap();
                    }
                    file.write_all_at(version, 0).unwrap();
                    thread::sleep(Duration::from_millis(3));
                }
            }
        });
        for turn in 0..50 {
            for (at, versions) in versions.iter().enumerate() {
                let accept = [CODINGS[turn % CODINGS.len()], "identity"][(turn + at) % 2];
                let protocol = Protocol::ALL[(turn / 2) % 2];
                let request = Request::get(&format!("/{at}.js")).accept(accept);
                let answer = match protocol {
                    Protocol::Http1 => client::fetch(server.address(), &request),
                    Protocol::Http2 => http2::fetch(server.address(), &request),
                };
                // An empty file is a version too, for a moment.
                tally.count_any(answer, |bytes| {
                    bytes.is_empty() || versions.iter().any(|version| version == bytes)
                });
            }
        }
    });
    tally.assert_sound();
    assert!(server.is_running());
    // The files are compressed as ever when they rest.
    for at in 0..SIZES.len() {
        let now = fs::read(site.file(&format!("{at}.js"))).unwrap();
        let request = Request::get(&format!("/{at}.js")).accept("zstd");
        assert_is(&server.until_hit(&request), &now, "zstd");
    }
    assert_eq!(server.metric("cachecompress_damaged_entries_total", &[]), 0.0);
}

/// Appends lines to a log, some every millisecond, until it is told to stop. Returns all of it.
fn write_log(path: &Path, mut whole: Vec<u8>, stop: &AtomicBool) -> Vec<u8> {
    let mut log = fs::OpenOptions::new().append(true).open(path).unwrap();
    for line in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("{line:08} the quick brown fox jumps over the lazy dog {line}\n");
        log.write_all(text.as_bytes()).unwrap();
        whole.extend_from_slice(text.as_bytes());
        thread::sleep(Duration::from_millis(1));
    }
    whole
}

/// Reads an answer slowly enough for the log to grow meanwhile.
fn read_slowly(server: &Server, request: &Request) -> Response {
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(request).unwrap();
    let head = connection.receive_head().unwrap();
    thread::sleep(Duration::from_millis(40));
    connection.receive_body("GET", head)
}

/// A log grew faster than it could be sent, and every download of it broke off right before its
/// end. A file that is only appended to is sent as it was when the response began.
#[test]
fn growing_log_is_downloaded_whole_every_time() {
    let begin = site::text(5, 9 << 20);
    let site = Site::with("run.log", &begin);
    // A log of up to this length is sent from memory.
    site.write("short.log", &begin[..20_000]);
    for arguments in ["--revalidate 0s", "--revalidate 1s"] {
        let server = start_with(&site, arguments);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let stopping = Stop(&stop);
            let logs = ["run.log", "short.log"].map(|name| {
                let (path, stop) = (site.file(name), &stop);
                let whole = fs::read(&path).unwrap();
                (name, scope.spawn(move || write_log(&path, whole, stop)))
            });
            let mut answers = Vec::new();
            for turn in 0..24 {
                let name = logs[usize::from(turn % 6 == 5)].0;
                let accept = ["identity", "gzip", "zstd"][turn % 3];
                let request = Request::get(&format!("/{name}")).accept(accept);
                let response = match turn % 4 {
                    3 => server.fetch_over(Protocol::Http2, &request),
                    _ => read_slowly(&server, &request),
                };
                assert_eq!(response.status(), 200, "{:?}", response.head);
                answers.push((name, response));
                // The range is the end of the log, for which `tail` would ask.
                let tail = read_slowly(&server, &Request::get("/run.log").range("bytes=-9000000"));
                assert_eq!(tail.status(), 206, "{:?}", tail.head);
                answers.push(("range", tail));
            }
            drop(stopping);
            let [whole, short] = logs.map(|(_, log)| log.join().unwrap());
            let mut broken = 0;
            for (name, response) in answers {
                if !response.is_clean() {
                    broken += 1;
                    continue;
                }
                if name == "range" {
                    let range = response.header("content-range").unwrap();
                    let first: usize =
                        range["bytes ".len()..].split('-').next().unwrap().parse().unwrap();
                    assert!(response.body == whole[first..first + 9_000_000], "{range}");
                    continue;
                }
                let log = if name == "short.log" { &short } else { &whole };
                let decoded = response.decoded();
                assert!(log.starts_with(&decoded), "no prefix of the log: {:?}", response.head);
                assert!(decoded.len() >= 20_000);
                if let Some(tag) = response.header("etag") {
                    assert!(tag.starts_with(&format!("\"{}", tag_digest(&decoded))), "{tag}");
                }
            }
            assert_eq!(broken, 0, "downloads of a growing log broke off, {arguments}");
        });
    }
}

/// A change to a large file of this length behind its reader.
type Disturb = fn(&fs::File, u64);

/// Bytes that may have been sent already are overwritten during a slow download. It breaks off,
/// whether the file had rested before or not.
#[test]
fn large_file_overwritten_behind_its_reader_breaks_off() {
    let disturbances: [(&str, Disturb); 5] = [
        ("at the start", |file, _| file.write_all_at(b"0123456789", 10).unwrap()),
        ("in the middle", |file, len| file.write_all_at(b"0123456789", len / 2).unwrap()),
        ("and appended", |file, len| {
            file.write_all_at(b"0123456789", 10).unwrap();
            file.write_all_at(b"more", len).unwrap();
        }),
        ("cut by one byte", |file, len| file.set_len(len - 1).unwrap()),
        ("cut and filled up again", |file, len| {
            file.set_len(len / 2).unwrap();
            file.set_len(len).unwrap();
        }),
    ];
    // The file exceeds the buffers of the sockets.
    let source = site::text(6, 16 << 20);
    let site = Site::new();
    let name = |at: usize, range: bool| format!("{at}-{range}.txt");
    for at in 0..disturbances.len() {
        for range in [false, true] {
            site.write(&name(at, range), &source);
        }
    }
    let server = start(&site);
    for rested in [true, false] {
        if rested {
            thread::sleep(Duration::from_millis(2100));
        }
        for (at, (what, disturb)) in disturbances.iter().enumerate() {
            for range in [false, true] {
                let name = name(at, range);
                if !rested {
                    site.replace_by_rename(&name, &source);
                }
                let mut request = Request::get(&format!("/{name}"));
                if range {
                    request = request.range("bytes=5-");
                }
                let mut connection = Connection::open(server.address()).unwrap();
                connection.send(&request).unwrap();
                let head = connection.receive_head().unwrap();
                assert_eq!(head.status, if range { 206 } else { 200 });
                assert!(head.get("etag").is_some(), "{head:?}");
                connection.wait_for_bytes(100_000).unwrap();
                let path = site.file(&name);
                let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                disturb(&file, source.len() as u64);
                let response = connection.receive_body("GET", head);
                assert!(!response.is_clean(), "{what}, range: {range}, rested: {rested}");
            }
        }
    }
}

/// The replacement comes while the server waits for the clock's next tick.
#[test]
fn file_replaced_during_the_wait_for_a_tick_is_one_version() {
    let site = Site::new();
    let server = start_at_once(&site);
    let version = |at: u64| site::text(at, 40_000 + 1000 * (at as usize % 60));
    for round in 0..30 {
        let (old, new) = (version(2 * round), version(2 * round + 1));
        site.write("app.js", &old);
        let accept = ["identity", "gzip"][round as usize % 2];
        let protocol = Protocol::ALL[round as usize / 2 % 2];
        let request = Request::get("/app.js").accept(accept);
        let response = thread::scope(|scope| {
            let asking = scope.spawn(|| server.fetch_over(protocol, &request));
            // The wait has 20 ms.
            thread::sleep(Duration::from_millis(round % 25));
            match round % 3 {
                0 => site.replace_by_rename("app.js", &new),
                _ => site.replace_in_place("app.js", &new),
            }
            asking.join().unwrap()
        });
        if response.status() == 200 {
            let tally = Tally::default();
            tally.count(&response, |bytes| bytes == old || bytes == new);
        }
        let after = server.get("/app.js", accept);
        assert!(after.decoded() == new, "round {round}: {:?}", after.head);
    }
}

/// Escapes every byte that is not a letter or a digit.
fn escaped(name: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.iter().map(escape).collect()
}

/// Names that break shells, logs and other servers are resources of their own.
#[test]
fn names_that_the_file_system_allows_are_served() {
    let longest = [b'l'; 255];
    let names: [&[u8]; 26] = [
        b"a.txt",
        b"A.txt",
        b"a.TXT",
        b"a.txt.",
        b"a.txt ",
        b" a.txt",
        b"a.txt..",
        b"a.txt%00",
        b"a%2ftxt",
        b"a%5ctxt",
        b"%",
        b"%2e%2e",
        b"...",
        b"n\newline.txt",
        b"carriage\r\nSet-Cookie: x=y",
        b"tab\t",
        b"\x1b[31mred",
        b"\x7f",
        b"\xff\xfe.txt",
        b"caf\xe9.txt",
        b"caf\xc3\xa9.txt",
        b"cafe\xcc\x81.txt",
        b"\xed\xa0\x80",
        b"con",
        b"a.txt:stream",
        &longest,
    ];
    let site = Site::new();
    let mut wanted = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let source = site::text(at as u64, 2_000 + at);
        let path = site.path().join(OsStr::from_bytes(name));
        // A name of three dots is hidden like any other name with a dot in front.
        match fs::write(&path, &source) {
            Ok(())
                if fs::read(site.path().join(OsStr::from_bytes(names[0]))).unwrap()
                    == site::text(0, 2_000) =>
            {
                wanted.push((name, source));
            }
            _ => eprintln!("SKIPPED: this file system does not keep {name:?} apart"),
        }
    }
    // A backslash in a URL reaches no file.
    fs::write(site.path().join("back\\slash"), b"x").unwrap();
    fs::create_dir(site.path().join("new\nline")).unwrap();
    let log = site.path().with_extension("log");
    let server = launch(&site).arg(format!("--access-log={}", log.display())).start();
    for (name, source) in &wanted {
        let target = format!("/{}", escaped(name));
        for protocol in Protocol::ALL {
            let response = server.fetch_over(protocol, &Request::get(&target).accept("br"));
            if name.starts_with(b".") {
                assert_eq!(response.status(), 404, "{target}");
                continue;
            }
            assert_is(&response, source, "br");
        }
    }
    for target in ["/back%5Cslash", "/a%2Ftxt", "/A.TXT", "/a.txt%20%20", "/b"] {
        assert_eq!(server.get(target, "br").status(), 404, "{target}");
    }
    let redirect = server.get("/new%0Aline", "br");
    assert_eq!((redirect.status(), redirect.header("location")), (301, Some("./new%0Aline/")));
    let lines = |text: &str| text.lines().count();
    let requests = 2 * wanted.len() + 6;
    eventually("one line for each request", || {
        (lines(&fs::read_to_string(&log).unwrap()) == requests).then_some(())
    });
    fs::remove_file(log).unwrap();
    println!("{} names", wanted.len());
}

/// Some times are beyond HTTP's dates, or the file system's. Those before 1990 say nothing.
#[test]
fn impossible_dates_are_replaced_by_possible_ones_or_none() {
    let second = |seconds: u64| Duration::from_secs(seconds);
    let epoch = SystemTime::UNIX_EPOCH;
    let source = site::text(7, 3_000);
    // A file system in memory takes any time. Others cut it to their range.
    let disk = SmallDisk::mount("size=4m");
    let site = Site::new();
    let root = disk.as_ref().map_or(site.path(), SmallDisk::path);
    let times = [
        ("future.js", SystemTime::now() + second(400 * 24 * 3600)),
        ("9999.js", epoch + second(253_402_300_799)),
        ("10000.js", epoch + second(253_402_300_800)),
        ("far.js", epoch + second(1 << 40)),
        ("before.js", epoch - second(1)),
        ("1901.js", epoch - second(2_000_000_000)),
        ("long-ago.js", epoch - second(1 << 36)),
        ("fraction.js", epoch - Duration::from_nanos(1)),
        ("1970.js", epoch),
        ("1980.js", epoch + second(315_532_800)),
    ];
    for (name, time) in times {
        fs::write(root.join(name), &source).unwrap();
        let file = fs::OpenOptions::new().write(true).open(root.join(name)).unwrap();
        file.set_modified(time).unwrap_or_else(|error| println!("{name}: {error}"));
    }
    let mut server = Launch::new(PROGRAM, root).args(PATIENT).start();
    for (name, time) in times {
        for accept in ["gzip", "identity"] {
            let request = Request::get(&format!("/{name}")).accept(accept);
            let response = server.fetch(&request);
            assert_is(&response, &source, accept);
            if time < epoch + second(631_152_000) {
                assert_eq!(response.header("last-modified"), None, "{name}");
                let since = request.header("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT");
                assert_eq!(server.fetch(&since).status(), 200, "{name}");
                continue;
            }
            let modified = response.header("last-modified").unwrap();
            let unchanged = request.clone().header("if-modified-since", modified);
            assert_eq!(server.fetch(&unchanged).status(), 304, "{name}, {modified}");
            let date = response.header("date").unwrap();
            // RFC 9110 §8.8.2.1: a date in the future is replaced by Date.
            if time > SystemTime::now() {
                let until = request.header("if-modified-since", date);
                assert_eq!(server.fetch(&until).status(), 304, "{name}: {modified} after {date}");
            }
        }
    }
    assert!(server.is_running());
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
}

/// `rm -rf dist && build` runs, and a symlink turns, again and again under load. Each answer is a
/// version, or 404, or the written part of a file under build. The new version is served soon.
#[test]
fn root_rebuilt_or_turned_under_load_is_followed() {
    let site = Site::new();
    let version = |at: u64| site::text(at, 80_000);
    let build = |name: &str, at: u64| {
        // A build writes some files first, others later.
        site.write(&format!("{name}/other.js"), &version(at)[..5_000]);
        site.write(&format!("{name}/app.js"), &version(at));
    };
    build("dist", 0);
    build("release-0", 0);
    site.link("current", "release-0");
    for root in ["dist", "current"] {
        let mut server = Launch::new(PROGRAM, &site.file(root)).args(PATIENT).start();
        let (done, versions) = (AtomicBool::new(false), (0..6).map(version).collect::<Vec<_>>());
        let all: Vec<&[u8]> = versions.iter().map(Vec::as_slice).collect();
        thread::scope(|scope| {
            let _stop = Stop(&done);
            scope.spawn(|| {
                for turn in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let response = server.get("/app.js", ["gzip", "identity", "br"][turn % 3]);
                    assert!([200, 404].contains(&response.status()), "{:?}", response.head);
                    if response.status() != 200 || !response.is_clean() {
                        continue;
                    }
                    // A file under build has its beginning only, and no tag.
                    let decoded = response.decoded();
                    let version = all.iter().find(|version| version.starts_with(&decoded));
                    assert!(version.is_some(), "mixed bytes: {:?}", response.head);
                    let whole = version.is_some_and(|version| version.len() == decoded.len());
                    if whole || response.header("etag").is_some() {
                        assert_exact_or_aborted(&response, &[&decoded]);
                    }
                }
            });
            for at in 1..6u64 {
                if root == "dist" {
                    fs::remove_dir_all(site.file("dist")).unwrap();
                    build("dist", at);
                } else {
                    build(&format!("release-{at}"), at);
                    // The link leads in a circle for a moment, and the old root serves on.
                    site.link("next", "next");
                    fs::rename(site.file("next"), site.file("current")).unwrap();
                    site.link("next", format!("release-{at}"));
                    fs::rename(site.file("next"), site.file("current")).unwrap();
                }
                eventually("the new version", || {
                    let response = server.get("/app.js", "gzip");
                    (response.status() == 200 && response.decoded() == versions[at as usize])
                        .then_some(())
                });
            }
        });
        // A root that was moved away is served until there is another.
        fs::rename(site.file(root), site.file("moved")).unwrap();
        thread::sleep(Duration::from_millis(1100));
        // The file is young, and may have changed under an encode, so its coding is not fixed.
        let kept = server.get("/app.js", "gzip");
        assert!(kept.status() == 200 && kept.decoded() == versions[5], "{:?}", kept.head);
        fs::rename(site.file("moved"), site.file(root)).unwrap();
        // A file in its place is no directory; nor is the working directory one
        // (GHSA-8v2v-wjwg-vx6r).
        assert!(server.is_running());
        assert_eq!(server.get("/Cargo.toml", "gzip").status(), 404);
    }
}

/// A root lies on another file system than everything else. Mount points below a root go and come
/// back.
#[test]
fn mounts_are_crossed_and_may_come_and_go() {
    let Some(disk) = SmallDisk::mount("size=8m") else { return };
    let (one, two) = (site::text(8, 100_000), site::text(9, 100_000));
    fs::write(disk.path().join("app.js"), &one).unwrap();
    fs::create_dir(disk.path().join("below")).unwrap();
    fs::write(disk.path().join("below/app.js"), b"hidden by the mount").unwrap();
    let below = disk.path().join("below");
    let mount = || {
        let mounted =
            works(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(&below));
        assert!(mounted, "the first one could be mounted");
        fs::write(below.join("app.js"), &two).unwrap();
    };
    let unmount = || assert!(works(Command::new("umount").arg("-l").arg(&below)));
    mount();
    let server = Launch::new(PROGRAM, disk.path()).args(PATIENT).args("--revalidate 0s").start();
    for round in 0..2 {
        assert_is(&server.get("/app.js", "gzip"), &one, "gzip");
        assert_is(&server.get("/below/app.js", "gzip"), &two, "gzip");
        let mut connection = Connection::open(server.address()).unwrap();
        connection.send(&Request::get("/below/app.js")).unwrap();
        let head = connection.receive_head().unwrap();
        unmount();
        assert_is(&connection.receive_body("GET", head), &two, "identity");
        let uncovered = server.get("/below/app.js", "gzip");
        assert_is(&uncovered, b"hidden by the mount", "identity");
        mount();
        assert_eq!(server.encodes(), 2, "round {round}");
    }
    unmount();
}

/// Makes a file larger than memory, of which nothing is on the disk.
fn sparse(path: &Path, len: u64) {
    let mut file = fs::File::create(path).unwrap();
    file.set_len(len).unwrap();
    file.seek(SeekFrom::Start(len - 10)).unwrap();
    file.write_all(b"0123456789").unwrap();
}

/// Every part of ten gigabytes of zeros is there at once. The file costs no memory, and other
/// requests go on. The default cache does not take it, and another one does.
#[test]
fn sparse_file_of_10_gb_costs_neither_time_nor_memory() {
    const LEN: u64 = 10 << 30;
    let site = Site::with("other.js", &site::text(10, 2_000_000));
    sparse(&site.file("huge.js"), LEN);
    // The time of a hash of so many bytes on this machine, as busy as it is.
    let begun = Instant::now();
    let _ = decode::sha256(&vec![0; 1 << 28]);
    let all_hashed = begun.elapsed() * u32::try_from(LEN >> 28).unwrap();
    for arguments in ["", "--cache-size 1TB"] {
        let mut server = start_with(&site, arguments);
        let begun = Instant::now();
        for protocol in Protocol::ALL {
            let head = server.fetch_over(protocol, &Request::head("/huge.js").accept("gzip, br"));
            let length = head.header("content-length");
            assert_eq!((head.status(), length), (200, Some(LEN.to_string().as_str())));
            assert_eq!(head.coding(), "identity");
            let far = Request::get("/huge.js").accept("gzip").range("bytes=-20");
            let far = server.fetch_over(protocol, &far);
            assert_eq!(far.status(), 206, "{:?}", far.head);
            assert_eq!(far.body, b"\0\0\0\0\0\0\0\0\0\x000123456789");
            let middle = Request::get("/huge.js").range("bytes=5368709120-5368709129");
            assert_eq!(server.fetch_over(protocol, &middle).body, [0; 10]);
            let both = Request::get("/huge.js").range("bytes=-20,5368709120-5368709129,0-4");
            let both = server.fetch_over(protocol, &both);
            let parts = multipart::parts(both.header("content-type").unwrap(), &both.body);
            let bytes: Vec<_> = parts.iter().map(|part| part.bytes.as_slice()).collect();
            assert_eq!(bytes, [&far.body[..], &[0; 10], &[0; 5]]);
        }
        // The first bytes come at once. A client that leaves then is forgotten.
        for _ in 0..8 {
            let mut connection = Connection::open(server.address()).unwrap();
            connection.send(&Request::get("/huge.js").accept("br, gzip")).unwrap();
            assert_eq!(connection.receive_head().unwrap().status, 200);
            connection.wait_for_bytes(1_000_000).unwrap();
        }
        let hit = server.until_hit(&Request::get("/other.js").accept("gzip"));
        assert_eq!(hit.decoded().len(), 2_000_000);
        assert!(begun.elapsed() < all_hashed, "{:?}", begun.elapsed());
        println!("{arguments}: {} MiB, {:?}", memory(&server) >> 20, begun.elapsed());
        assert!(memory(&server) < 256 << 20, "{} bytes of memory", memory(&server));
        assert!(status_of(&server, "Threads") < 32);
        assert!(server.is_running());
    }
}

/// The processor time that a process has used, in ticks of 10 ms.
fn ticks(server: &Server) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A server over a large tree reads nothing of it until it is asked, and then only the requested
/// part. Another server's startup pegged every core (agent-portal 613).
#[test]
fn tree_of_200_000_files_costs_nothing_before_its_requests() {
    const FLAT: usize = 100_000;
    const DIRECTORIES: usize = 100;
    let memory_disk = Path::new("/dev/shm");
    let root = match memory_disk.is_dir() {
        true => tempfile::tempdir_in(memory_disk).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let source = site::text(11, 700);
    let first = root.path().join("first.js");
    fs::write(&first, &source).unwrap();
    // Hard links to one inode stand for as many files.
    let fill = |directory: &Path, count: usize| {
        fs::create_dir(directory).unwrap();
        let mut linked = directory.join("0.js");
        fs::write(&linked, &source).unwrap();
        for at in 1..count {
            let path = directory.join(format!("{at}.js"));
            if at % 30_000 == 0 {
                fs::write(&path, &source).unwrap();
                linked = path;
            } else {
                fs::hard_link(&linked, &path).unwrap();
            }
        }
    };
    fill(&root.path().join("flat"), FLAT);
    for at in 0..DIRECTORIES {
        fill(&root.path().join(format!("{at}")), 100_000 / DIRECTORIES);
    }
    let begun = Instant::now();
    let server = Launch::new(PROGRAM, root.path()).args(PATIENT).start();
    let started = begun.elapsed();
    thread::sleep(Duration::from_millis(500));
    let (idle, bytes) = (ticks(&server), memory(&server));
    println!("started in {started:?}, {idle} ticks, {} MiB", bytes >> 20);
    assert!(started < PATIENCE, "{started:?}");
    // Half a second of one core would be 50 ticks.
    assert!(idle < 40, "{idle} ticks of 10 ms before any request");
    assert!(bytes < 128 << 20, "{bytes} bytes of memory before any request");
    assert_eq!((server.encodes(), server.entries()), (0, 0));

    let mut connection = Connection::open(server.address()).unwrap();
    for at in 0..2_000usize {
        let target = match at % 2 {
            0 => format!("/flat/{}.js", at * 7919 % FLAT),
            _ => format!("/{}/{}.js", at % DIRECTORIES, at * 31 % (100_000 / DIRECTORIES)),
        };
        connection.send(&Request::get(&target).accept("gzip")).unwrap();
        let response = connection.receive("GET").unwrap();
        assert_is(&response, &source, "gzip");
    }
    assert_eq!((server.encodes(), server.entries()), (1, 1), "it is all the same content");
    println!("2000 requests: {} ticks, {} MiB", ticks(&server) - idle, memory(&server) >> 20);
    assert!(memory(&server) < 160 << 20, "{} bytes of memory", memory(&server));
}
