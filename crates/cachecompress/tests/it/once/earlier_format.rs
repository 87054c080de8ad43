//! A cache and the tags of an earlier program stay good.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the test lays out a site and a cache on disk"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cachecompress::{Cache, Directory, ServeCompressed};
use cachecompress_test::service::{LONG, get, run};
use http::StatusCode;

/// The path, content coding and entity tag of each representation of the earlier program.
const TAGS: &str = include_str!("../../format_v1/tags");

/// The least length in bytes of sources that the earlier program encoded by zstd in jobs. Their
/// encoded bytes differ from today's.
const JOBS_FROM: usize = 16 << 20;

fn next(state: &mut u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *state
}

fn script(lines: usize, mut state: u32) -> Vec<u8> {
    let mut text = String::new();
    for line in 0..lines {
        let random = next(&mut state);
        let (item, other) = (random >> 24, (random >> 16) & 255);
        let _ = writeln!(
            text,
            "export function render{line}(state) {{ return state.items[{item}] ?? {other}; }}"
        );
    }
    text.into_bytes()
}

/// The site from which the earlier program filled its cache.
fn site() -> Vec<(&'static str, Vec<u8>)> {
    let mut style = String::new();
    for line in 0..200 {
        let _ = writeln!(style, ".box-{line} {{ margin: {}px; }}", line % 7);
    }
    let mut state = 7;
    let noise = (0..80_000).map(|_| (next(&mut state) >> 24) as u8).collect();
    let block = script(1000, 3);
    let mut large = Vec::new();
    for number in 0.. {
        if large.len() >= 17 << 20 {
            break;
        }
        large.extend_from_slice(format!("block {number}\n").as_bytes());
        large.extend_from_slice(&block);
    }
    large.truncate(17 << 20);
    vec![
        ("app.js", script(400, 1)),
        ("style.css", style.into_bytes()),
        ("noise.txt", noise),
        ("large.txt", large),
    ]
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The site over a copy of the earlier cache.
fn served(directory: &Path) -> ServeCompressed {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format_v1/cache");
    copy(&fixture, &directory.join("cache"));
    let rested = SystemTime::now() - Duration::from_secs(3600);
    for (name, bytes) in site() {
        let path = directory.join("site").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(rested).unwrap();
    }
    let cache = Cache::builder(directory.join("cache")).build().unwrap();
    let source = Directory::new(directory.join("site")).unwrap();
    ServeCompressed::builder(source).cache(cache).patience(LONG).build().unwrap()
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    TAGS.lines().map(|line| {
        let mut words = line.split(' ');
        (words.next().unwrap(), words.next().unwrap(), words.next().unwrap())
    })
}

#[test]
fn earlier_entries_are_hit_under_their_tags() {
    let directory = tempfile::tempdir().unwrap();
    let service = served(directory.path());
    let site = site();
    run(async {
        for (name, coding, tag) in rows() {
            let source = &site.iter().find(|(known, _)| *known == name).unwrap().1;
            let answer = get(&service, &format!("/{name}"), &[("accept-encoding", coding)]).await;
            assert_eq!(answer.coding(), coding, "{name}");
            assert!(answer.decoded() == *source, "{name} {coding}");
            let is_current = answer.field("etag") == tag;
            if coding == "zstd" && source.len() >= JOBS_FROM {
                assert_eq!((answer.cache(), is_current), ("stored", false), "{name} {coding}");
                continue;
            }
            assert_eq!((answer.cache(), is_current), ("hit", true), "{name} {coding}");
        }
        let answer = get(&service, "/noise.txt", &[("accept-encoding", "br")]).await;
        assert_eq!(answer.cache(), "unprofitable");
    });
    let encoded: u64 = service.metrics().encodes.iter().map(|coding| coding.started).sum();
    assert_eq!(encoded, 1, "only the large file is encoded again, by zstd");
}

#[test]
fn earlier_tags_are_304() {
    let directory = tempfile::tempdir().unwrap();
    let service = served(directory.path());
    run(async {
        for (name, coding, tag) in rows() {
            let fields = [("accept-encoding", coding), ("if-none-match", tag)];
            let answer = get(&service, &format!("/{name}"), &fields).await;
            assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{name} {coding}");
            assert_eq!(answer.field("etag"), tag);
        }
    });
}
