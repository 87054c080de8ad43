//! Edits while a lookup or a hash is under way.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cachecompress::source::SourceFile;
use cachecompress::{Memory, ServeCompressed};
use cachecompress_test::gate::Gate;
use cachecompress_test::service::{Answer, LONG, get, head, run};
use cachecompress_test::wait::until;
use tokio::task::JoinHandle;

use crate::fixture::edited::{Edited, HUGE, always_looks, made};

const SHORT: Duration = Duration::from_millis(30);

/// A GET under way.
fn ask(service: &ServeCompressed) -> JoinHandle<Answer> {
    let service = service.clone();
    tokio::spawn(async move { get(&service, "/a.txt", &[]).await })
}

/// Edits a file while the lookup of a first request is held, and asks again before it ends. Returns
/// the service and the two responses.
async fn edit_during_a_lookup(
    before: Option<SourceFile>,
    after: &'static str,
) -> (ServeCompressed, [Answer; 2]) {
    let source = Edited::new(before);
    let service = always_looks(&source);
    let first = ask(&service);
    until(|| source.lookups.arrived() == 1).await;
    tokio::time::sleep(SHORT).await;
    source.edit(SourceFile::from_bytes(after));
    let second = ask(&service);
    tokio::time::sleep(SHORT).await;
    source.lookups.open_wide();
    (service, [first.await.unwrap(), second.await.unwrap()])
}

/// A request shares a lookup that is under way. A lookup from before an edit was shared with
/// requests after the edit, and counted as fresh from its end on.
#[test]
fn request_after_an_edit_gets_it_during_an_older_lookup() {
    run(async {
        let before = Some(SourceFile::from_bytes("before"));
        let (service, [first, second]) = edit_during_a_lookup(before, "after").await;
        assert_eq!(first.status, 200);
        assert_eq!(second.bytes(), b"after");
        assert_eq!(get(&service, "/a.txt", &[]).await.bytes(), b"after");
    });
}

/// Times were compared in milliseconds, and a lookup that had begun in the same millisecond as an
/// edit counted as later. A new file that was requested at once was 404.
#[test]
fn request_in_the_millisecond_of_an_edit_gets_it() {
    run(async {
        for round in 0..50 {
            let source = Edited::new(None);
            let service = always_looks(&source);
            let first = ask(&service);
            while source.lookups.arrived() == 0 {
                tokio::task::yield_now().await;
            }
            source.edit(SourceFile::from_bytes("created"));
            let second = ask(&service);
            tokio::task::yield_now().await;
            source.lookups.open_wide();
            assert_eq!(first.await.unwrap().status, 404);
            let second = second.await.unwrap();
            assert_eq!(second.status, 200, "round {round}");
            assert_eq!(second.bytes(), b"created");
        }
    });
}

/// A slow hash takes the place of a slow lookup. A conditional request with the old tag got 304
/// after the edit.
#[test]
fn request_after_an_edit_gets_it_during_an_older_hash() {
    run(async {
        let gate = Gate::new();
        let source = Edited::new(Some(made(b'a', 100_000, Some(Arc::clone(&gate))).source()));
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
        source.edit(made(b'b', 100_000, None).source());
        let second = ask();
        tokio::time::sleep(SHORT).await;
        gate.open_wide();
        assert_eq!(first.await.unwrap().status, 304, "it asked before the edit");
        assert_eq!(second.await.unwrap().status, 200, "it asked after the edit");
    });
}

/// A lookup from before a file's creation answered later requests with 404.
#[test]
fn request_after_a_creation_finds_it_during_an_older_lookup() {
    run(async {
        let (_, [first, second]) = edit_during_a_lookup(None, "new").await;
        assert!([200, 404].contains(&first.status.as_u16()));
        assert_eq!(second.status, 200, "it asked when it was there");
    });
}

/// A huge file with an earlier date than its predecessor, by an install that preserves dates, was a
/// 304 by date until its hash had ended.
#[test]
fn date_of_the_file_before_says_nothing_of_one_that_is_not_hashed() {
    run(async {
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let source = Edited::new(Some(SourceFile::from_bytes("before").modified(later)));
        source.lookups.open_wide();
        let service = always_looks(&source);
        let date = get(&service, "/a.txt", &[]).await.field("last-modified").to_owned();
        assert_eq!(date, "Tue, 14 Nov 2023 22:13:20 GMT");
        let gate = Gate::new();
        source.edit(made(b'a', HUGE, Some(Arc::clone(&gate))).source());
        let since = [("if-modified-since", &*date)];
        for round in 0..3 {
            let answer = head(&service, "/a.txt", &since).await;
            assert_eq!((answer.status.as_u16(), answer.cache()), (200, "unhashed"), "{round}");
            assert_eq!(answer.field("last-modified"), "");
        }
        gate.open_wide();
    });
}

/// The hash of a huge file that was replaced meanwhile put the old file back when it ended.
/// Requests until the next lookup got the old file.
#[test]
fn late_hash_does_not_bring_back_a_replaced_file() {
    run(async {
        let gate = Gate::new();
        let old = made(b'a', HUGE, Some(Arc::clone(&gate)));
        let source = Edited::new(Some(old.source()));
        source.lookups.open_wide();
        let builder = ServeCompressed::builder(Arc::clone(&source)).patience(LONG);
        let revalidate = Duration::from_secs(4);
        let service = builder.revalidate(revalidate).build().unwrap();
        let began = std::time::Instant::now();
        let first = head(&service, "/a.txt", &[]).await;
        assert_eq!((first.field("etag"), first.cache()), ("", "unhashed"));
        until(|| gate.arrived() == 1).await;
        source.edit(SourceFile::from_bytes("another"));
        // After half of the time that a lookup stays good, a request has the file looked up again.
        tokio::time::sleep(revalidate / 2).await;
        let mut tag = String::new();
        while tag.is_empty() {
            tag = head(&service, "/a.txt", &[]).await.field("etag").to_owned();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        gate.open_wide();
        until(|| old.bytes_read() >= HUGE).await;
        // A result of the old lookup would count until then, had it been put back.
        while began.elapsed() < revalidate {
            assert_eq!(head(&service, "/a.txt", &[]).await.field("etag"), tag);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}
