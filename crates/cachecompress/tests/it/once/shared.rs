//! Several services that share one engine.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(clippy::disallowed_methods, reason = "a test writes and removes a file as a user would")]

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cachecompress::codec::Gzip;
use cachecompress::{
    Builder, Cache, ContentCoding, Directory, ErrorKind, Memory, ServeCompressed, Shutdown,
};
use cachecompress_test::gate::Gate;
use cachecompress_test::made::MadeFile;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{LONG, encodes, get, get_as, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;

use crate::fixture::edited::Edited;
use crate::fixture::stored::{PACK, in_memory};

fn beside(service: &ServeCompressed, path: &str, bytes: Vec<u8>) -> Builder {
    ServeCompressed::builder(Memory::new().file(path, bytes)).share(service).patience(LONG)
}

#[test]
fn requests_to_two_services_at_once_share_one_encode() {
    run(async {
        let source = hex(20_000, 9);
        let gate = Gate::new();
        let one = in_memory(&Pack::gated(&gate), &[("a.txt", &source)]).build().unwrap();
        let two = beside(&one, "b.txt", source.clone()).build().unwrap();
        let leading = tokio::spawn({
            let one = one.clone();
            async move { get(&one, "/a.txt", &[PACK]).await }
        });
        until(|| gate.arrived() == 1).await;
        let mut following = pin!(get(&two, "/b.txt", &[PACK]));
        let waits = tokio::time::timeout(Duration::from_millis(20), &mut following).await;
        assert!(waits.is_err(), "{waits:?}");
        gate.open_wide();
        let (first, second) = (leading.await.unwrap(), following.await);
        assert_eq!((first.cache(), second.cache()), ("stored", "collapsed"));
        assert!(first.decoded() == source && second.decoded() == source);
        assert_eq!((encodes(&one, "*"), encodes(&two, "*")), (1, 1), "they count together");
    });
}

#[test]
fn entry_of_one_service_is_a_hit_of_the_other_when_its_file_is_gone() {
    run(async {
        let source = hex(20_000, 3);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.txt"), &source).unwrap();
        let directory = Directory::new(dir.path()).unwrap();
        let builder = ServeCompressed::builder(directory).revalidate(Duration::ZERO);
        let one = builder.patience(LONG).build().unwrap();
        let two = beside(&one, "b.txt", source.clone()).build().unwrap();
        assert_eq!(get_as(&one, "/a.txt", "zstd").await.cache(), "stored");
        settled(&one).await;
        std::fs::remove_file(dir.path().join("a.txt")).unwrap();
        assert_eq!(get(&one, "/a.txt", &[]).await.status, 404);
        let hit = get_as(&two, "/b.txt", "zstd").await;
        assert_eq!((hit.coding(), hit.cache()), ("zstd", "hit"));
        assert!(hit.decoded() == source);
    });
}

/// The encode of one service's file is of no use to the other when that file turns out to be another
/// one.
#[test]
fn follower_encodes_its_own_file_when_that_of_the_leader_cannot_be_read() {
    run(async {
        let source = hex(400_000, 4);
        let gate = Gate::new();
        let (first, second) = (MadeFile::new(source.clone()), MadeFile::new(source.clone()));
        let (first, second) = (Arc::new(first.inode(1)), Arc::new(second.inode(2)));
        let service = |file: &Arc<MadeFile>| {
            let source = Edited::new(Some(file.source()));
            source.lookups.open_wide();
            ServeCompressed::builder(source).patience(LONG)
        };
        let one = service(&first).encoder(coding(), Arc::new(Pack::gated(&gate))).build().unwrap();
        let two = service(&second).share(&one).build().unwrap();
        // The first piece of the first file is read, and then its disk fails.
        let leading = tokio::spawn({
            let one = one.clone();
            async move { get(&one, "/a.txt", &[PACK]).await }
        });
        until(|| gate.arrived() == 1).await;
        let following = tokio::spawn({
            let two = two.clone();
            async move { get(&two, "/a.txt", &[PACK]).await }
        });
        until(|| second.bytes_read() >= 400_000).await;
        first.break_once();
        gate.open_wide();
        leading.await.unwrap().is_exact_or_aborted(&source);
        let answer = following.await.unwrap();
        answer.is_exact_or_aborted(&source);
        settled(&two).await;
        let next = get(&two, "/a.txt", &[PACK]).await;
        assert_eq!(next.coding(), "x-pack");
        assert!(next.decoded() == source, "the failure is not the other file's");
    });
}

#[test]
fn services_that_share_answer_one_path_each_with_its_own_file_and_rules() {
    run(async {
        let (ours, theirs) = (hex(9_000, 1), hex(9_000, 2));
        let one = in_memory(&Pack::new(), &[("a.txt", &ours)]).build().unwrap();
        let two = beside(&one, "a.txt", theirs.clone()).default_cache_control("no-store");
        let two = two.build().unwrap();
        let three = beside(&one, "a.txt", ours.clone()).header("**", "x-site", "3");
        let three = three.build().unwrap();
        for time in 0..4 {
            for coding in ["", "zstd"] {
                let first = get_as(&one, "/a.txt", coding).await;
                let second = get_as(&two, "/a.txt", coding).await;
                let third = get_as(&three, "/a.txt", coding).await;
                assert!(first.decoded() == ours && second.decoded() == theirs, "{time} {coding}");
                assert!(third.decoded() == ours, "{time} {coding}");
                let fields = [&first, &second, &third]
                    .map(|answer| (answer.field("cache-control"), answer.field("x-site")));
                assert_eq!(fields, [("", ""), ("no-store", ""), ("", "3")], "{time} {coding}");
                assert_eq!(first.field("etag"), third.field("etag"));
            }
            settled(&one).await;
        }
        assert_eq!(encodes(&one, "zstd"), 2, "of three files, two are the same");
    });
}

#[test]
fn shutdown_by_one_service_ends_the_encodes_of_the_other() {
    run(async {
        let source = hex(20_000, 7);
        let one = in_memory(&Pack::new(), &[("a.txt", &source)]).build().unwrap();
        let two = beside(&one, "b.txt", hex(20_000, 8)).build().unwrap();
        assert_eq!(get(&two, "/b.txt", &[PACK]).await.cache(), "stored");
        two.shutdown(Shutdown::Finish).await;
        drop(two);
        let answer = get(&one, "/a.txt", &[PACK]).await;
        assert_eq!((answer.coding(), answer.status.as_u16()), ("", 200));
        assert!(answer.bytes() == source);
    });
}

#[test]
fn service_that_shares_outlives_the_one_it_shares_with() {
    run(async {
        let source = hex(20_000, 5);
        let one = in_memory(&Pack::new(), &[("a.txt", &source)]).build().unwrap();
        assert_eq!(get(&one, "/a.txt", &[PACK]).await.cache(), "stored");
        settled(&one).await;
        let two = beside(&one, "a.txt", source.clone()).build().unwrap();
        drop(one);
        let hit = get(&two, "/a.txt", &[PACK]).await;
        assert_eq!((hit.coding(), hit.cache()), ("x-pack", "hit"));
        assert!(hit.decoded() == source);
    });
}

#[test]
fn build_refuses_settings_of_the_engine_beside_share() {
    let one = ServeCompressed::builder(Memory::new()).build().unwrap();
    let builder = || ServeCompressed::builder(Memory::new()).share(&one);
    builder().revalidate(LONG).patience(LONG).spa(true).build().unwrap();
    let gzip = Arc::new(Gzip::new(1).unwrap());
    for (setting, builder) in [
        ("cache", builder().cache(Cache::in_memory(1 << 20))),
        ("level", builder().level(ContentCoding::GZIP, 1)),
        ("encoder", builder().encoder(ContentCoding::GZIP, gzip.clone())),
        ("encoder", builder().encoder_before(ContentCoding::BROTLI, coding(), gzip)),
        ("encode_threads", builder().encode_threads(2)),
        ("queue", builder().queue(1024)),
        ("prove", builder().prove(true)),
        ("memory_cache", builder().memory_cache(0)),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{setting}");
        assert!(error.to_string().contains(&format!("`{setting}` belongs")), "{error}");
    }
}
