//! Files that have left the page cache. The serving thread never reads them from the disk.

#![cfg(target_os = "linux")]

use cachecompress_test::{decode, tools};
use rustix::fs::{Advice, fadvise, fsync};

use crate::common::*;

/// A time after which the program no longer trusts that pages it found in memory are still there.
const FORGOTTEN: Duration = Duration::from_millis(1200);

/// A system call that reads or sends a file, in strace's log.
#[derive(Debug)]
struct Call {
    thread: String,
    name: String,
    line: String,
    /// The offset of the requested bytes.
    at: u64,
    len: u64,
    /// The returned number; `None` for EAGAIN and other errors.
    did: Option<u64>,
    /// The lines with its begin and its end.
    lines: (usize, usize),
}

/// The calls that ended, in the order of their ends.
fn calls(trace: &str) -> Vec<Call> {
    let mut begun = std::collections::HashMap::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { continue };
        let rest = rest.trim_start();
        if rest.ends_with("<unfinished ...>") {
            begun.insert(thread.to_owned(), (number, rest.replace("<unfinished ...>", "")));
            continue;
        }
        let (first, text) = match rest.strip_prefix("<... ") {
            Some(end) => {
                let Some((first, begin)) = begun.remove(thread) else { continue };
                (first, begin + end.split_once("resumed>").unwrap().1)
            }
            None => (number, rest.to_owned()),
        };
        calls.extend(call(thread, &text, (first, number)));
    }
    calls
}

/// Parses `name(fd, …, count, offset) = result`, or
/// `sendfile(out, in, [offset] => [past], count)`.
fn call(thread: &str, text: &str, lines: (usize, usize)) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let words: Vec<&str> = arguments.split(", ").collect();
    let (at, len) = match name {
        "pread64" => (number(words[words.len() - 1])?, number(words[words.len() - 2])?),
        "sendfile" => {
            let at = arguments.split_once('[')?.1.split_once(']')?.0;
            (number(at)?, number(words[words.len() - 1])?)
        }
        // The bytes of a vector of buffers are of no interest, only its waits.
        "preadv2" | "preadv" => (0, 0),
        _ => return None,
    };
    let did = result.split_whitespace().next().and_then(number);
    let (thread, name, line) = (thread.to_owned(), name.to_owned(), text.to_owned());
    Some(Call { thread, name, line, at, len, did, lines })
}

/// Drops the file from the page cache. Returns whether all of it is gone, by `fincore`, because a
/// read would bring it back.
fn dropped(path: &Path, fincore: &Path) -> bool {
    let file = fs::File::open(path).unwrap();
    fsync(&file).unwrap();
    (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let mut told = std::process::Command::new(fincore);
        let told = told.args(["--bytes", "--noheadings", "--output", "RES"]).arg(path).output();
        let told = String::from_utf8(told.unwrap().stdout).unwrap();
        told.trim().parse::<u64>().expect("a number of bytes") == 0
    })
}

/// The program's threads whose names begin with `name`.
fn threads(server: &Server, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).unwrap().flatten();
    let named = tasks.filter(|task| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.starts_with(name))
    });
    named.map(|task| task.file_name().into_string().unwrap()).collect()
}

/// The calls that the program makes for a request.
fn traced(server: &Server, trace: &Path, request: &Request) -> Vec<Call> {
    let before = fs::read_to_string(trace).unwrap().len();
    let response = server.fetch(request);
    assert!(response.is_clean());
    let all = fs::read_to_string(trace).unwrap();
    let calls = calls(&all[before..]);
    println!("{} of {}: {} calls", response.coding(), request.target, calls.len());
    calls
}

/// Whether `cover` has every byte from `at` on, `len` of them.
fn covers(cover: &[(u64, u64)], mut at: u64, len: u64) -> bool {
    let end = at + len;
    while at < end {
        let next = cover.iter().filter(|(from, to)| *from <= at && at < *to).map(|(_, to)| *to);
        match next.max() {
            Some(to) => at = to,
            None => return false,
        }
    }
    true
}

#[test]
fn serving_thread_never_waits_for_the_disk() {
    let Some(strace) = tools::require("strace") else { return };
    let Some(fincore) = tools::require("fincore") else { return };
    // `/tmp` may be a file system in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (site, cache, trace) =
        (dir.path().join("site"), dir.path().join("cache"), dir.path().join("trace"));
    fs::create_dir(&site).unwrap();
    let digits = site::random(1, 8_000_000);
    let digits = digits.into_iter().map(|byte| b"0123456789abcdef"[usize::from(byte >> 4)]);
    fs::write(site.join("tool"), digits.collect::<Vec<u8>>()).unwrap();
    fs::write(site.join("photo.png"), site::random(2, 6_000_000)).unwrap();
    let through = format!(
        "{} -D -f -qq -s 0 -e trace=sendfile,pread64,preadv,preadv2 -o {}",
        strace.display(),
        trace.display()
    );
    let server = Launch::new(PROGRAM, &site)
        .cache(&cache)
        .through(&through)
        .args(PATIENT)
        .args("--threads 1 --revalidate 1h")
        .start();
    let coded = Request::get("/tool").accept("gzip");
    server.until_hit(&coded);
    let identity = Request::get("/photo.png");
    assert_eq!(server.fetch(&identity).status(), 200);
    server.until_idle();
    let entry = cache_dir::entries(&cache).remove(0);

    let serving = threads(&server, "serve-");
    assert_eq!(serving.len(), 1);
    for (request, file) in [(&coded, &entry), (&identity, &site.join("photo.png"))] {
        std::thread::sleep(FORGOTTEN);
        if !dropped(file, &fincore) {
            decode::skipped("this file system keeps what it was told to drop from memory");
            return;
        }
        let calls = traced(&server, &trace, request);
        let is_coded = request.target == coded.target;
        let readers = threads(&server, if is_coded { "cc-cache" } else { "cc-read" });
        let ours = |call: &&Call| serving.contains(&call.thread);
        for call in calls.iter().filter(ours) {
            let waits = match call.name.as_str() {
                "sendfile" => false,
                _ => !call.line.contains("RWF_NOWAIT"),
            };
            assert!(!waits, "the serving thread reads: {}", call.line);
        }
        let read: Vec<_> = calls.iter().filter(|call| readers.contains(&call.thread)).collect();
        assert!(!read.is_empty(), "nothing was read from the disk: {calls:#?}");
        if is_coded {
            let first = calls
                .iter()
                .filter(ours)
                .find(|call| call.name == "sendfile")
                .expect("an entry of megabytes goes by sendfile");
            let before: Vec<_> = read
                .iter()
                .filter(|call| call.lines.1 < first.lines.0)
                .map(|call| (call.at, call.at + call.did.unwrap_or(0)))
                .collect();
            assert!(
                first.len >= 64 * 1024 && covers(&before, first.at, first.len),
                "{first:#?} was not read before: {before:?} of {calls:#?}"
            );
        } else {
            let cold = |call: &Call| call.name == "preadv2" && call.did.is_none();
            assert!(calls.iter().filter(ours).any(cold), "it was not cold: {calls:#?}");
        }
    }
}
