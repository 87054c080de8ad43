//! Times of modification, and the conditions that name one.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::time::{Duration, SystemTime};

use cachecompress::source::SourceFile;
use cachecompress::{Cache, Directory, Memory, Overlay, ServeCompressed};
use cachecompress_test::service::{Answer, get, head, read, request, run};
use cachecompress_test::site::{Site, hex};

use crate::fixture::site::{GZIP, modified};

/// Times that build tools set, in seconds since 1970: Bazel, Nix and OSTree, zip, Gradle, npm.
const CONSTANTS: [u64; 5] = [0, 1, 315_532_800, 318_211_200, 499_162_500];
const PAST: &str = "Sat, 01 Jan 1972 00:00:00 GMT";
const FUTURE: &str = "Thu, 01 Jan 2099 00:00:00 GMT";

fn since_1970(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Checks an answer for a file without a time that says anything.
fn check_undated(answer: &Answer, fields: &[(&str, &str)]) {
    assert_eq!(answer.status.as_u16(), 200, "{fields:?}");
    assert_eq!(answer.field("last-modified"), "", "{fields:?}");
    assert!(answer.field("etag").starts_with('"'), "the tag is there as ever");
}

/// The conditions of which a date says nothing about a file without one (RFC 9110 §13.1.3, §13.1.4,
/// §13.1.5), so that the answer is the whole file.
fn conditions() -> Vec<Vec<(&'static str, &'static str)>> {
    let range = ("range", "bytes=0-9");
    let mut conditions = vec![vec![]];
    for date in [PAST, FUTURE, "Thu, 01 Jan 1970 00:00:01 GMT", "Tue, 01 Jan 1980 00:00:00 GMT"] {
        conditions.push(vec![("if-modified-since", date)]);
        conditions.push(vec![("if-unmodified-since", date)]);
        conditions.push(vec![range, ("if-range", date)]);
    }
    conditions
}

/// A redeploy by such a tool changes the content and not the time. A client got a 304 by date for
/// another content, and its cache kept the file fresh for years (RFC 9111 §4.2.2).
#[test]
fn file_with_the_time_of_a_build_tool_has_no_date() {
    run(async {
        let site = Site::new();
        for (number, seconds) in CONSTANTS.into_iter().enumerate() {
            let time = since_1970(seconds);
            let name = format!("{number}.txt");
            site.write(&name, &hex(9_000, 1));
            site.set_modified(&name, time);
            let memory =
                || Memory::new().file(&name, SourceFile::from_bytes(hex(9_000, 1)).modified(time));
            let directory = || Directory::new(site.path()).unwrap();
            for service in [
                ServeCompressed::builder(memory()).build().unwrap(),
                ServeCompressed::builder(directory()).build().unwrap(),
                ServeCompressed::builder(Overlay::new().layer(directory()).layer(memory()))
                    .build()
                    .unwrap(),
            ] {
                for condition in conditions() {
                    for fields in [condition.clone(), [&condition[..], &GZIP].concat()] {
                        check_undated(&get(&service, &format!("/{name}"), &fields).await, &fields);
                        check_undated(&head(&service, &format!("/{name}"), &fields).await, &fields);
                    }
                }
                // The tag counts as ever, and its 304 has no date either.
                let tag = get(&service, &format!("/{name}"), &[]).await.field("etag").to_owned();
                let fields = [("if-none-match", &*tag), ("if-modified-since", PAST)];
                let unchanged = get(&service, &format!("/{name}"), &fields).await;
                assert_eq!(
                    (unchanged.status.as_u16(), unchanged.field("last-modified")),
                    (304, "")
                );
                let fields = [("range", "bytes=0-9"), ("if-range", &*tag)];
                let part = get(&service, &format!("/{name}"), &fields).await;
                assert_eq!((part.status.as_u16(), part.field("last-modified")), (206, ""));
            }
        }
    });
}

#[test]
fn brought_file_with_the_time_of_a_build_tool_has_no_date() {
    run(async {
        let service = ServeCompressed::builder(Memory::new()).build().unwrap();
        for seconds in CONSTANTS {
            for condition in conditions() {
                let file = SourceFile::from_bytes(hex(9_000, 1)).modified(since_1970(seconds));
                let (parts, ()) = request("GET", "/", &condition).into_parts();
                let answer = read(service.serve_source("a.txt", file, &parts).await).await;
                check_undated(&answer, &condition);
            }
        }
    });
}

/// The time at which a change was noticed stands in for a time that did not advance, and not for
/// one that says nothing.
#[test]
fn noticed_change_gives_no_date_to_a_file_without_one() {
    run(async {
        let site = Site::new();
        let write = |seed: u64, time: SystemTime| {
            site.replace_by_rename("a.txt", &hex(9_000, seed));
            site.set_modified("a.txt", time);
        };
        let builder = ServeCompressed::builder(Directory::new(site.path()).unwrap());
        let cache = Cache::in_memory(1 << 20);
        let service = builder.cache(cache).revalidate(Duration::ZERO).build().unwrap();
        let ask = async |seed: u64| {
            let answer = get(&service, "/a.txt", &[]).await;
            assert!(answer.bytes() == hex(9_000, seed));
            answer.field("last-modified").to_owned()
        };
        write(1, modified());
        let date = ask(1).await;
        assert_eq!(date, "Sun, 13 Sep 2020 12:26:40 GMT");
        for seed in [2, 3, 1] {
            write(seed, since_1970(1));
            assert_eq!(ask(seed).await, "", "content {seed}");
        }
        // A client that has the first content must not take the last for it.
        write(4, modified());
        assert_ne!(ask(4).await, date);
        let since = [("if-modified-since", &*date)];
        assert_eq!(get(&service, "/a.txt", &since).await.status, 200);
    });
}
