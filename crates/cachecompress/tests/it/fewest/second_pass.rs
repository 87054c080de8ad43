//! Entries in use get better bytes while nothing else is to be done.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(clippy::disallowed_methods, reason = "a test damages a file as a disk may")]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cachecompress::cache::Care;
use cachecompress::{
    Builder, Cache, ContentCoding, EncodeState, Memory, Metrics, Recompress, SecondPassMetrics,
    ServeCompressed, Shutdown, WarmOptions,
};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{Answer, LONG, chunk, get, open, read, run, settled};
use cachecompress_test::site::{files_below, hex, prose};
use cachecompress_test::wait::until;
use http::StatusCode;
use tempfile::TempDir;

use crate::fixture::stored::{PACK, on_disk, root};

const BR: [(&str, &str); 1] = [("accept-encoding", "br")];
const LEN: usize = 60_000;

/// A second pass that begins at once, however busy the machine is.
fn eager() -> Recompress {
    Recompress::new().cpu_share(1.0).rest(Duration::ZERO).max_pressure(f64::MAX)
}

fn builder(source: &[u8], cache: &Cache) -> Builder {
    ServeCompressed::builder(Memory::new().file("a.txt", source.to_vec()))
        .cache(cache.clone())
        .recompress(eager())
        .patience(LONG)
}

fn service(source: &[u8], cache: &Cache) -> ServeCompressed {
    builder(source, cache).build().unwrap()
}

fn second_pass(metrics: Metrics) -> SecondPassMetrics {
    metrics.second_pass.expect("there is one")
}

/// Asks for `/a.txt` three times. Returns the last answer.
async fn ask_three_times(service: &ServeCompressed) -> Answer {
    get(service, "/a.txt", &BR).await;
    get(service, "/a.txt", &BR).await;
    get(service, "/a.txt", &BR).await
}

/// Waits for so many encodes of the second pass, until requests find their entries.
async fn has_passed(service: &ServeCompressed, encodes: u64) {
    until(|| second_pass(service.metrics()).encodes == encodes).await;
    settled(service).await;
}

/// Asks until the response is one of the second pass: a copy of an earlier one is sent for a second.
async fn better(service: &ServeCompressed, path: &str, before: &Answer) -> Answer {
    loop {
        let answer = get(service, path, &[("accept-encoding", before.coding())]).await;
        if answer.field("etag") != before.field("etag") {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn entry_in_use_becomes_smaller_and_its_earlier_tag_still_matches() {
    run(async {
        let (source, cache) = (prose(LEN, 1), Cache::in_memory(64 << 20));
        let service = service(&source, &cache);
        let first = ask_three_times(&service).await;
        has_passed(&service, 1).await;
        let second = better(&service, "/a.txt", &first).await;
        assert!(second.decoded() == source);
        assert_eq!((second.cache(), second.coding()), ("second-pass", "br"));
        let (before, after) = (first.bytes().len(), second.bytes().len());
        assert!(after * 100 < before * 99, "{before} {after}");
        assert_eq!(cache.stats().entries, 1, "the earlier entry is gone");
        let metrics = second_pass(service.metrics());
        assert_eq!(metrics.saved_bytes, (before - after) as u64);
        assert!(metrics.cpu > Duration::ZERO);

        for tag in [first.field("etag"), second.field("etag")] {
            let fields = [BR[0], ("if-none-match", tag)];
            let answer = get(&service, "/a.txt", &fields).await;
            assert_eq!((answer.status, answer.field("etag")), (StatusCode::NOT_MODIFIED, tag));
        }
    });
}

#[test]
fn entry_that_is_asked_for_twice_stays_as_it_is() {
    run(async {
        let cache = Cache::in_memory(64 << 20);
        let files = Memory::new().file("a.txt", prose(LEN, 1)).file("b.txt", prose(LEN, 2));
        let builder = ServeCompressed::builder(files).cache(cache.clone()).recompress(eager());
        let service = builder.patience(LONG).build().unwrap();
        get(&service, "/b.txt", &BR).await;
        let twice = get(&service, "/b.txt", &BR).await;
        let thrice = ask_three_times(&service).await;
        has_passed(&service, 1).await;
        better(&service, "/a.txt", &thrice).await;
        assert_eq!(second_pass(service.metrics()).encodes, 1);
        // This is the third time.
        assert_eq!(get(&service, "/b.txt", &BR).await.field("etag"), twice.field("etag"));
        has_passed(&service, 2).await;
    });
}

#[test]
fn range_of_the_earlier_tag_is_answered_until_that_entry_is_gone() {
    run(async {
        let (source, cache) = (prose(LEN, 3), Cache::in_memory(64 << 20));
        let gate = Gate::new();
        let pack = Pack { gate: Some(Arc::clone(&gate)), ..Pack::new() };
        let files = Memory::new().file("a.txt", source.clone()).file("b.txt", hex(LEN, 9));
        let builder = ServeCompressed::builder(files).encoder(coding(), Arc::new(pack));
        let builder = builder.cache(cache.clone()).recompress(eager());
        let service = builder.patience(LONG).build().unwrap();
        // A request whose encode is held holds the second pass back.
        let held = tokio::spawn({
            let service = service.clone();
            async move { get(&service, "/b.txt", &[PACK]).await }
        });
        until(|| gate.arrived() > 0).await;
        let first = ask_three_times(&service).await;
        let fields = |tag| [BR[0], ("range", "bytes=10-19"), ("if-range", tag)];
        let part = get(&service, "/a.txt", &fields(first.field("etag"))).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
        assert!(part.bytes() == &first.bytes()[10..20]);

        gate.open_wide();
        assert_eq!(held.await.unwrap().cache(), "stored");
        has_passed(&service, 1).await;
        let whole = get(&service, "/a.txt", &fields(first.field("etag"))).await;
        assert_eq!(whole.status, StatusCode::OK);
        assert!(whole.decoded() == source);
        let tag = whole.field("etag").to_owned();
        assert_ne!(tag, first.field("etag"));
        let part = get(&service, "/a.txt", &fields(&tag)).await;
        assert_eq!((part.status, part.field("etag")), (StatusCode::PARTIAL_CONTENT, &*tag));
        assert!(part.bytes() == &whole.bytes()[10..20]);
        let if_match = |tag| [BR[0], ("if-match", tag)];
        let failed = get(&service, "/a.txt", &if_match(first.field("etag"))).await;
        assert_eq!(failed.status, StatusCode::PRECONDITION_FAILED);
        assert_eq!(get(&service, "/a.txt", &if_match(&tag)).await.field("etag"), tag);
        assert_eq!(cache.stats().entries, 2, "no condition has the earlier entry made again");
    });
}

#[test]
fn download_under_way_ends_as_it_began() {
    run(async {
        let directory = TempDir::new().unwrap();
        let (source, cache) = (prose(1_200_000, 4), on_disk(&directory));
        let service = service(&source, &cache);
        let accept = [("accept-encoding", "zstd")];
        let first = get(&service, "/a.txt", &accept).await;
        assert!(first.bytes().len() > 256 << 10, "it is not kept in memory");
        settled(&service).await;
        let mut response = open(&service, "/a.txt", &accept).await;
        let start = chunk(response.body_mut()).await;
        get(&service, "/a.txt", &accept).await;
        has_passed(&service, 1).await;
        let rest = read(response).await;
        let whole = [&start[..], rest.body.as_ref().unwrap()].concat();
        assert!(whole == first.bytes(), "the bytes of the tag that it began with");
        assert!(better(&service, "/a.txt", &first).await.decoded() == source);
    });
}

#[test]
fn restarted_service_sends_the_better_entry() {
    run(async {
        let directory = TempDir::new().unwrap();
        let source = prose(LEN, 5);
        let one = service(&source, &on_disk(&directory));
        let first = ask_three_times(&one).await;
        has_passed(&one, 1).await;
        let second = better(&one, "/a.txt", &first).await;
        drop(one);

        let cache = on_disk(&directory);
        let two = service(&source, &cache);
        let third = get(&two, "/a.txt", &BR).await;
        assert_eq!((third.field("etag"), third.cache()), (second.field("etag"), "second-pass"));
        assert!(third.bytes() == second.bytes());
        assert_eq!(
            (cache.stats().entries, cachecompress_test::service::encodes(&two, "*")),
            (1, 0)
        );
    });
}

#[test]
fn entry_that_saves_the_most_bytes_for_its_time_is_the_first() {
    run(async {
        let gate = Gate::new();
        let pack = Pack { gate: Some(Arc::clone(&gate)), ..Pack::new() };
        let files = Memory::new()
            .file("seldom.txt", prose(LEN, 13))
            .file("often.txt", prose(LEN, 14))
            .file("held.txt", hex(LEN, 9));
        let order = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&order);
        let service = ServeCompressed::builder(files)
            .encoder(coding(), Arc::new(pack))
            .recompress(eager())
            .patience(LONG)
            .on_encode(move |encode| {
                if encode.state == EncodeState::Finished {
                    told.lock().unwrap().push(encode.path.to_string());
                }
            })
            .build()
            .unwrap();
        // A request whose encode is held holds the second pass back.
        let held = tokio::spawn({
            let service = service.clone();
            async move { get(&service, "/held.txt", &[PACK]).await }
        });
        until(|| gate.arrived() > 0).await;
        for (path, times) in [("/seldom.txt", 4), ("/often.txt", 40)] {
            for _ in 0..times {
                get(&service, path, &BR).await;
            }
        }
        gate.open_wide();
        held.await.unwrap();
        has_passed(&service, 2).await;
        let order = order.lock().unwrap();
        let second: Vec<_> = order.iter().filter(|path| !path.contains("held")).skip(2).collect();
        assert_eq!(second, ["often.txt", "seldom.txt"], "{order:?}");
    });
}

#[test]
fn second_pass_stands_back_while_a_request_needs_an_encoder() {
    run(async {
        let (source, cache) = (prose(1_500_000, 6), Cache::in_memory(64 << 20));
        let gate = Gate::new();
        let pack = Pack { gate: Some(Arc::clone(&gate)), ..Pack::new() };
        let files = Memory::new().file("a.txt", source.clone()).file("b.txt", hex(LEN, 9));
        let builder = ServeCompressed::builder(files).encoder(coding(), Arc::new(pack));
        let builder = builder.cache(cache.clone()).recompress(eager());
        let service = builder.patience(LONG).build().unwrap();
        let first = ask_three_times(&service).await;
        let under_way = || service.metrics().encodes_under_way;
        until(|| under_way().iter().any(|encode| encode.read_bytes > 0)).await;
        let held = tokio::spawn({
            let service = service.clone();
            async move { get(&service, "/b.txt", &[PACK]).await }
        });
        until(|| gate.arrived() > 0).await;
        // The rest of the encode takes less.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(second_pass(service.metrics()).encodes, 0);
        assert_eq!(under_way().len(), 2, "it waits, and keeps what is done");
        gate.open_wide();
        assert_eq!(held.await.unwrap().cache(), "stored");
        has_passed(&service, 1).await;
        assert!(better(&service, "/a.txt", &first).await.decoded() == source);
    });
}

#[test]
fn shutdown_gives_the_second_pass_up_and_stores_the_hits() {
    run(async {
        let directory = TempDir::new().unwrap();
        let (source, cache) = (prose(6_000_000, 7), on_disk(&directory));
        let service = service(&source, &cache);
        let first = ask_three_times(&service).await;
        let under_way = || service.metrics().encodes_under_way;
        until(|| under_way().iter().any(|encode| encode.read_bytes > 0)).await;
        service.shutdown(Shutdown::Finish).await;
        assert_eq!((second_pass(service.metrics()).encodes, under_way().len()), (0, 0));
        let again = get(&service, "/a.txt", &BR).await;
        assert_eq!((again.field("etag"), again.cache()), (first.field("etag"), "hit"));
        assert_eq!(hits(&cache), [("br".to_owned(), Some(3))]);
    });
}

/// The hits of the entries in a cache, as the ledger on its disk has them.
fn hits(cache: &Cache) -> Vec<(String, Option<u64>)> {
    let mut hits = Vec::new();
    let each = |care: Care<'_>| {
        if let Care::Entry { entry, .. } = care {
            hits.push((entry.coding.to_string(), entry.hits));
        }
        ControlFlow::Continue(())
    };
    cache.files().entries(each).unwrap();
    hits
}

/// Remembered answers count as well, and so do those before a restart.
#[test]
fn hits_outlive_a_restart_and_count_toward_the_second_pass() {
    run(async {
        let directory = TempDir::new().unwrap();
        let source = prose(LEN, 8);
        let off = || Recompress::new().cpu_share(1.0).rest(Duration::from_secs(3600));
        let one = builder(&source, &on_disk(&directory)).recompress(off()).build().unwrap();
        let first = get(&one, "/a.txt", &BR).await;
        for _ in 0..5 {
            assert_eq!(get(&one, "/a.txt", &BR).await.cache(), "hit");
        }
        one.shutdown(Shutdown::Finish).await;
        drop(one);

        let cache = on_disk(&directory);
        assert_eq!(hits(&cache), [("br".to_owned(), Some(6))]);
        let two = service(&source, &cache);
        get(&two, "/a.txt", &BR).await;
        has_passed(&two, 1).await;
        better(&two, "/a.txt", &first).await;
    });
}

/// What is damaged or gone counts as never written.
#[test]
fn damaged_ledger_costs_nothing_but_hits() {
    run(async {
        let directory = TempDir::new().unwrap();
        let source = prose(LEN, 9);
        let one = service(&source, &on_disk(&directory));
        let first = ask_three_times(&one).await;
        has_passed(&one, 1).await;
        let second = better(&one, "/a.txt", &first).await;
        one.shutdown(Shutdown::Finish).await;
        drop(one);
        let ledger = || {
            let files = files_below(&root(&directory)).into_iter();
            let is_ledger =
                |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("uses-");
            files.filter(is_ledger).collect::<Vec<_>>()
        };
        let [path] = &ledger()[..] else { panic!("one ledger") };
        let mut bytes = std::fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
        let two = service(&source, &on_disk(&directory));
        let third = get(&two, "/a.txt", &BR).await;
        assert_eq!((third.field("etag"), third.cache()), (second.field("etag"), "second-pass"));
        two.shutdown(Shutdown::Finish).await;
        assert_eq!(ledger().len(), 1, "a whole one has taken its place");
    });
}

#[test]
fn entry_that_cannot_become_smaller_keeps_its_place_and_is_not_tried_again() {
    run(async {
        let directory = TempDir::new().unwrap();
        // zstd 19 saves nothing over zstd 3 of digits without a pattern.
        let source = hex(LEN, 10);
        let zstd = [("accept-encoding", "zstd")];
        for restart in 0..2 {
            let cache = on_disk(&directory);
            let service = service(&source, &cache);
            for _ in 0..3 {
                assert!(get(&service, "/a.txt", &zstd).await.decoded() == source);
            }
            has_passed(&service, 1).await;
            let encodes = cachecompress_test::service::encodes(&service, "zstd");
            assert_eq!(encodes, [2, 0][restart], "a verdict is stored");
            assert_eq!(second_pass(service.metrics()).saved_bytes, 0);
            let kinds = |cache: &Cache| {
                let mut kinds = Vec::new();
                let each = |care: Care<'_>| {
                    if let Care::Entry { entry, .. } = care {
                        kinds.push(entry.kind.as_str());
                    }
                    ControlFlow::Continue(())
                };
                cache.files().entries(each).unwrap();
                kinds.sort_unstable();
                kinds
            };
            assert_eq!(kinds(&cache), ["representation", "unprofitable"]);
        }
    });
}

#[test]
fn warming_at_the_best_levels_replaces_entries_at_once() {
    run(async {
        let (source, cache) = (prose(LEN, 11), Cache::in_memory(64 << 20));
        let off = Recompress::new().cpu_share(0.0);
        let service = builder(&source, &cache).recompress(off).build().unwrap();
        let first = get(&service, "/a.txt", &BR).await;
        let options = || WarmOptions::new().codings([ContentCoding::BROTLI]).best(true);
        for reused in [false, true] {
            let mut warmed = Vec::new();
            let warming =
                service.warm_with(options(), |progress| warmed.extend(progress.latest.clone()));
            assert_eq!(warming.await.unwrap().stored, 1);
            assert_eq!(warmed[0].reused, reused);
        }
        let second = better(&service, "/a.txt", &first).await;
        assert_eq!((second.cache(), cache.stats().entries), ("second-pass", 1));
        // A warming of the usual levels finds it, too.
        let usual = WarmOptions::new().codings([ContentCoding::BROTLI]);
        let warming = service.warm_with(usual, |progress| {
            assert!(progress.latest.as_ref().is_none_or(|latest| latest.reused));
        });
        assert_eq!(warming.await.unwrap().stored, 1);
        assert_eq!(cachecompress_test::service::encodes(&service, "br"), 2);
    });
}

/// Another cache of the same directory stands for another process. It may have replaced the entry since this one
/// has looked at the directory last.
#[test]
fn entry_that_another_cache_has_replaced_is_not_made_again() {
    run(async {
        let directory = TempDir::new().unwrap();
        let source = prose(LEN, 12);
        let off = || Recompress::new().cpu_share(0.0);
        let one = builder(&source, &on_disk(&directory)).recompress(off()).build().unwrap();
        let cache = on_disk(&directory);
        let two = builder(&source, &cache).recompress(off()).build().unwrap();
        let first = get(&one, "/a.txt", &BR).await;
        let options = WarmOptions::new().codings([ContentCoding::BROTLI]).best(true);
        assert_eq!(two.warm_with(options, |_| ()).await.unwrap().stored, 1);
        let second = better(&one, "/a.txt", &first).await;
        assert!(second.decoded() == source);
        assert_eq!(second.cache(), "second-pass");
        assert_eq!(cachecompress_test::service::encodes(&one, "*"), 1, "the first pass alone");
    });
}

#[test]
fn share_of_a_core_that_is_none_is_refused() {
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let builder = ServeCompressed::builder(Memory::new());
        let error = builder.recompress(Recompress::new().cpu_share(share)).build().unwrap_err();
        assert!(error.to_string().contains("no share of a core"), "{error}");
    }
}

/// One replica makes the entry smaller for all. On a busy machine a store may be too slow for some.
#[cfg(feature = "tier")]
#[test]
fn replica_takes_the_better_entry_from_the_shared_store() {
    use crate::fixture::replica::tier_in;

    run(async {
        let (store, source) = (TempDir::new().unwrap(), prose(LEN, 15));
        let replica = async || {
            let tier = tier_in(store.path()).build().unwrap();
            assert!(tier.ready(Duration::from_secs(20)).await, "the store answers");
            let service = builder(&source, &Cache::in_memory(64 << 20)).tier(tier).build().unwrap();
            let first = ask_three_times(&service).await;
            has_passed(&service, 1).await;
            (better(&service, "/a.txt", &first).await, service)
        };
        let (answer, one) = replica().await;
        until(|| one.metrics().tier.unwrap().uploads_stored == 1).await;
        for left in (0..5).rev() {
            let (same, two) = replica().await;
            assert!(same.bytes() == answer.bytes());
            assert_eq!(same.field("etag"), answer.field("etag"));
            if two.metrics().tier.unwrap().imports == 1 {
                break;
            }
            assert!(left > 0, "no replica imports: {:?}", two.metrics().tier);
        }
    });
}
