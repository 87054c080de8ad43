//! One replica encodes, and the others take what it stores.

use std::sync::Barrier;

use cachecompress_test::tools::require;

use crate::common::*;
use crate::stage::*;
use crate::store::Store;

/// Starts replicas at once.
fn start_all(count: usize, launch: &Launch) -> Vec<Server> {
    std::thread::scope(|scope| {
        let start = || scope.spawn(|| start_replica(launch.clone()));
        let threads: Vec<_> = (0..count).map(|_| start()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Fetches the file from every replica at once.
fn fetch_at_once(files: &Files, replicas: &[Server]) -> Vec<Response> {
    let start = Barrier::new(replicas.len());
    std::thread::scope(|scope| {
        let fetch = |replica| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                files.fetch_all(replica, "br").remove(0)
            })
        };
        let threads: Vec<_> = replicas.iter().map(fetch).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Fetches the file from every replica, a second after the one before and no sooner than that has stored it.
fn fetch_staggered(files: &Files, replicas: &[Server]) -> Vec<Response> {
    let fetch = |replica| {
        let began = Instant::now();
        let answer = files.fetch_all(replica, "br").remove(0);
        until_stored(replica);
        std::thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
        answer
    };
    replicas.iter().map(fetch).collect()
}

fn encodes(replicas: &[Server]) -> u64 {
    replicas.iter().map(Server::encodes).sum()
}

/// Whether there were no more encodes than the store allows. An error has the replicas' accounts.
fn encode_once(store: &Store, replicas: &[Server]) -> Result<u64, String> {
    let encodes = encodes(replicas);
    match (1..=store.most_encodes()).contains(&encodes) {
        true => Ok(encodes),
        false => Err(format!("{encodes} encodes\n{}", accounts(replicas))),
    }
}

fn sum(replicas: &[Server], count: impl Fn(&Server, &str) -> u64, outcome: &str) -> u64 {
    replicas.iter().map(|one| count(one, outcome)).sum()
}

#[test]
fn twenty_replicas_encode_once() {
    let Some(store) = Stage::shared() else { return };
    let encode_once = |seed| {
        let files = Files::slow(seed);
        let bucket = store.create_bucket(&unique());
        let launch = replica(&files.site, &bucket, &store.endpoint()).args(SLOW);
        let replicas = start_all(20, &launch);
        let answers = fetch_at_once(&files, &replicas);
        let encodes = encode_once(&store, &replicas)?;
        let imported = answers.iter().filter(|answer| is_from_tier(answer)).count() as u64;
        assert_eq!(imported + encodes, 20);
        assert_eq!(sum(&replicas, leases, "acquired"), encodes);
        assert_eq!(sum(&replicas, leases, "taken_over"), 0);
        let saved = |one: &Server| one.metric("cachecompress_tier_cpu_seconds_saved_total", &[]);
        assert!(replicas.iter().map(saved).sum::<f64>() > 1.0);
        let tags: Vec<_> = answers.iter().map(Response::etag).collect();
        assert!(tags.windows(2).all(|pair| pair[0] == pair[1]), "{tags:?}");
        let bodies = answers.windows(2).all(|pair| pair[0].body == pair[1].body);
        assert!(bodies, "one encode has one result");
        Ok(())
    };
    (0..rounds()).for_each(|round| succeeds_once(1 + round, encode_once));
}

#[test]
fn staggered_replicas_store_once_and_take_that() {
    let Some(store) = Stage::shared() else { return };
    // The encode at the default level takes less than a second. It begins beside the request to the store, and
    // is left for the object.
    let store_once = |seed| {
        let files = Files::slow(seed);
        let bucket = store.create_bucket(&unique());
        let replicas = start_all(4, &replica(&files.site, &bucket, &store.endpoint()));
        fetch_staggered(&files, &replicas);
        let hits: Vec<_> = replicas.iter().map(|one| asked(one, "hit")).collect();
        match (hits.as_slice(), sum(&replicas, uploads, "stored")) {
            ([0, 1, 1, 1], 1) => Ok(()),
            _ => Err(accounts(&replicas)),
        }
    };
    (0..rounds()).for_each(|round| succeeds_once(2000 + round, store_once));
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
    succeeds_once(4, |seed| {
        let files = Files::slow(seed);
        let bucket = store.create_bucket(&unique());
        let launch = replica(&files.site, &bucket, &store.endpoint()).args(SLOW);
        let mut owner = start_replica(launch.clone());
        let others = start_all(2, &launch);
        let mut client = Connection::open(owner.address()).unwrap();
        client.send(&Request::get("/slow.txt").accept("br")).unwrap();
        eventually("the lease", || (leases(&owner, "acquired") == 1).then_some(()));
        std::thread::scope(|scope| {
            for one in &others {
                scope.spawn(|| files.fetch_all(one, "br"));
            }
            eventually("the others ask", || (sum(&others, asked, "miss") == 2).then_some(()));
            owner.kill();
        });
        encode_once(&store, &others)?;
        match sum(&others, leases, "taken_over") {
            0 => Err(accounts(&others)),
            _ => Ok(()),
        }
    });
}

#[test]
fn clock_an_hour_ahead_harms_nobody() {
    let Some(store) = Stage::shared() else { return };
    let Some(faketime) = require("faketime") else { return };
    // The program stays the parent of its command, so that command would outlive the test.
    let set = std::process::Command::new(faketime).args(["-f", "+1h", "env"]).output().unwrap();
    let set = String::from_utf8(set.stdout).unwrap();
    let library = set.lines().find_map(|line| line.strip_prefix("LD_PRELOAD=")).unwrap();
    succeeds_once(5, |seed| {
        let files = Files::short(seed);
        let bucket = store.create_bucket(&unique());
        let launch = replica(&files.site, &bucket, &store.endpoint()).args(SLOW);
        let ahead = launch.clone().env("LD_PRELOAD", library).env("FAKETIME", "+1h");
        let ahead = ahead.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").start();
        let replicas = start_all(2, &launch);
        std::thread::scope(|scope| {
            scope.spawn(|| files.fetch_all(&ahead, "br"));
            for one in &replicas {
                scope.spawn(|| files.fetch_all(one, "br"));
            }
        });
        if store.refuses_other_hours() {
            assert!(!is_breaker(&ahead, "closed"), "{}", account(&ahead));
            assert!(ahead.stderr().contains(&bucket.name), "{}", ahead.stderr());
            assert!(ahead.stderr().contains("clock"), "{}", ahead.stderr());
        }
        encode_once(&store, &replicas).map(drop)
    });
}

#[test]
fn directory_that_replicas_share_is_a_store() {
    succeeds_once(6, |seed| {
        let shared = tempfile::tempdir().unwrap();
        let files = Files::short(seed);
        let url = format!("file://{}", shared.path().display());
        let launch = launch(&files.site).args(SLOW).args(&format!("--tier {url}"));
        let replicas = start_all(4, &launch);
        let answers = fetch_at_once(&files, &replicas);
        let imported = answers.iter().filter(|answer| is_from_tier(answer)).count();
        // A directory has leases of best effort.
        if imported < 2 { Err(accounts(&replicas)) } else { Ok(()) }
    });
}
