//! One replica encodes, and the others take what it stores.

use std::sync::Barrier;

use crate::common::*;
use crate::stage::*;

/// Starts replicas at once.
fn start_all(count: usize, launch: &Launch) -> Vec<Server> {
    std::thread::scope(|scope| {
        let start = || scope.spawn(|| start_replica(launch.clone()));
        let threads: Vec<_> = (0..count).map(|_| start()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Fetches the file from every replica at once, each at its own delay.
fn fetch_from_all(files: &Files, replicas: &[Server], delay: Duration) -> Vec<Response> {
    let start = Barrier::new(replicas.len());
    std::thread::scope(|scope| {
        let fetch = |(number, replica)| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                std::thread::sleep(delay * number as u32);
                files.fetch_all(replica, "br").remove(0)
            })
        };
        let threads: Vec<_> = replicas.iter().enumerate().map(fetch).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn encodes(replicas: &[Server]) -> u64 {
    replicas.iter().map(Server::encodes).sum()
}

#[test]
fn twenty_replicas_encode_once() {
    let Some(store) = Stage::shared() else { return };
    for round in 0..rounds() {
        let files = Files::slow(round);
        let bucket = store.create_bucket(&unique());
        let launch = replica(&files.site, &bucket, &store.endpoint()).args(SLOW);
        let replicas = start_all(20, &launch);
        let answers = fetch_from_all(&files, &replicas, Duration::ZERO);
        let encodes = encodes(&replicas);
        assert!((1..=store.most_encodes()).contains(&encodes), "round {round}: {encodes}");
        let imported = answers.iter().filter(|answer| is_from_tier(answer)).count() as u64;
        assert_eq!(imported + encodes, 20, "round {round}");
        let of_leases = |outcome| replicas.iter().map(|one| leases(one, outcome)).sum::<u64>();
        assert_eq!(of_leases("acquired"), encodes);
        assert_eq!(of_leases("taken_over"), 0);
        let saved = |one: &Server| one.metric("cachecompress_tier_cpu_seconds_saved_total", &[]);
        assert!(replicas.iter().map(saved).sum::<f64>() > 1.0);
        let tags: Vec<_> = answers.iter().map(Response::etag).collect();
        assert!(tags.windows(2).all(|pair| pair[0] == pair[1]), "{tags:?}");
        let bodies = answers.windows(2).all(|pair| pair[0].body == pair[1].body);
        assert!(bodies, "one encode has one result");
    }
}

#[test]
fn staggered_replicas_store_once_and_take_that() {
    let Some(store) = Stage::shared() else { return };
    for round in 0..rounds() {
        let files = Files::slow(1000 + round);
        let bucket = store.create_bucket(&unique());
        let launch = replica(&files.site, &bucket, &store.endpoint());
        let replicas = start_all(4, &launch);
        // The encode at this level takes less than a second. It begins beside the request to the store, and
        // is left for the object, so heads of responses may have been sent.
        fetch_from_all(&files, &replicas, Duration::from_secs(1));
        let stored: u64 = replicas.iter().map(|one| uploads(one, "stored")).sum();
        assert_eq!(stored, 1);
        let hits = replicas.iter().map(|one| asked(one, "hit"));
        assert_eq!(hits.collect::<Vec<_>>(), [0, 1, 1, 1]);
    }
}

#[test]
fn cold_replicas_encode_no_more_than_without_a_store() {
    let Some(store) = Stage::shared() else { return };
    let files = Files::new(3, 4, LARGE);
    let bucket = store.create_bucket(&unique());
    let launch = replica(&files.site, &bucket, &store.endpoint()).args(RACED);
    let replicas = start_all(4, &launch);
    std::thread::scope(|scope| {
        for one in &replicas {
            scope.spawn(|| files.fetch_all(one, "br"));
        }
    });
    assert!(encodes(&replicas) <= 4 * 4, "{}", encodes(&replicas));
}

#[test]
fn killed_owner_is_replaced() {
    let Some(store) = Stage::shared() else { return };
    let files = Files::slow(4);
    let bucket = store.create_bucket(&unique());
    let launch = replica(&files.site, &bucket, &store.endpoint()).args(SLOW);
    let mut replicas = start_all(3, &launch);
    let request = Request::get("/slow.txt").accept("br");
    let mut client = Connection::open(replicas[0].address()).unwrap();
    client.send(&request).unwrap();
    eventually("the lease", || (leases(&replicas[0], "acquired") == 1).then_some(()));
    let others = &replicas[1..];
    std::thread::scope(|scope| {
        let fetches: Vec<_> =
            others.iter().map(|one| scope.spawn(|| files.fetch_all(one, "br"))).collect();
        eventually("the others wait", || {
            (others.iter().map(|one| leases(one, "waited")).sum::<u64>() == 2).then_some(())
        });
        let owner = rustix::process::Pid::from_raw(replicas[0].id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(owner, rustix::process::Signal::KILL).unwrap();
        fetches.into_iter().for_each(|fetch| drop(fetch.join().unwrap()));
    });
    assert!((1..=store.most_encodes()).contains(&encodes(&replicas[1..])));
    let taken_over: u64 = replicas[1..].iter().map(|one| leases(one, "taken_over")).sum();
    assert!((1..=store.most_encodes()).contains(&taken_over));
    replicas[0].kill();
}

#[test]
fn clock_an_hour_ahead_harms_nobody() {
    let Some(store) = Stage::shared() else { return };
    // It preloads a library, so it changes the time of the program that it starts alone.
    let Some(faketime) = cachecompress_test::tools::require("faketime") else { return };
    let files = Files::short(5);
    let bucket = store.create_bucket(&unique());
    let launch = replica(&files.site, &bucket, &store.endpoint()).args(SLOW);
    // The store refuses signatures of another hour.
    let ahead = launch.clone().through(&format!("{} -f +1h", faketime.display()));
    let ahead =
        ahead.env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1").start();
    let replicas = start_all(2, &launch);
    std::thread::scope(|scope| {
        scope.spawn(|| files.fetch_all(&ahead, "br"));
        for one in &replicas {
            scope.spawn(|| files.fetch_all(one, "br"));
        }
    });
    assert!((1..=store.most_encodes()).contains(&encodes(&replicas)));
    assert!(ahead.encodes() <= 1);
}

#[test]
fn directory_that_replicas_share_is_a_store() {
    let shared = tempfile::tempdir().unwrap();
    let files = Files::short(6);
    let url = format!("file://{}", shared.path().display());
    let launch = launch(&files.site).args(SLOW).args(&format!("--tier {url}"));
    let replicas = start_all(4, &launch);
    let answers = fetch_from_all(&files, &replicas, Duration::ZERO);
    assert!(encodes(&replicas) <= 2, "a directory is a store of best effort");
    let imported = answers.iter().filter(|answer| is_from_tier(answer)).count() as u64;
    assert_eq!(imported + encodes(&replicas), 4);
}
