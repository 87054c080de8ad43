//! A store that is dead, silent or slow costs nobody anything.

use cachecompress_test::proxy::{Fault, FaultyProxy};

use crate::common::*;
use crate::stage::*;

/// The time by which the first byte may be later than without a store, and the part of the requests for which
/// that holds. On a busy machine a few are late by themselves, so that only waits for the store are found.
fn tolerance() -> (Duration, usize) {
    if is_strict() { (Duration::from_millis(2), 99) } else { (Duration::from_millis(60), 75) }
}

/// The requests at once that find a fault of the store.
const CROWD: usize = 8;

/// The times to the first byte of all files, taken in turns at both servers.
fn first_bytes(files: &Files, servers: [&Server; 2]) -> [Vec<Duration>; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for (path, bytes) in &files.files {
        for (server, times) in servers.iter().zip(&mut times) {
            let answer = server.get(path, "br");
            assert_is(&answer, bytes, "br");
            times.push(answer.first_byte.unwrap() - answer.sent);
            server.until_idle();
        }
    }
    times.iter_mut().for_each(|times| times.sort());
    times
}

/// The time that so many of 100 requests stay below.
fn percentile(times: &[Duration], part: usize) -> Duration {
    times[(times.len() * part).div_ceil(100) - 1]
}

fn costs_nothing(seed: u64, fault: &Fault) {
    let Some(store) = Stage::alone() else { return };
    let files = Files::new(seed, if is_strict() { 200 } else { 12 }, LARGE);
    let bucket = store.create_bucket(&unique());
    files.store_in(&bucket, RACED, "br");
    let proxy = FaultyProxy::start(store.address());
    let start = || start_replica(replica(&files.site, &bucket, &proxy.endpoint()).args(RACED));
    let (later, part) = tolerance();
    // Within 2 ms, the first bytes of one server differ, too, from run to run.
    let tries = if is_strict() { 3 } else { 1 };
    let mut delays = Vec::new();
    let with = loop {
        proxy.set(Fault::Pass);
        let (with, without) = (start(), start_with(&files.site, RACED));
        proxy.set(fault.clone());
        let [own, other] = first_bytes(&files, [&with, &without]);
        let (own, other) = (percentile(&own, part), percentile(&other, part));
        println!("{fault:?}: {own:?}, without a store {other:?}");
        if own <= other + later {
            break with;
        }
        delays.push((own, other));
        assert!(delays.len() < tries, "{fault:?}: {delays:?}");
    };
    assert!(asked(&with, "error") + asked(&with, "timeout") > 0);
    assert!(!is_breaker(&with, "closed"));
    proxy.set(Fault::Pass);
    until_used(&with);

    let crowded = start();
    proxy.set(fault.clone());
    let opened = breaker_opens(&crowded, &files);
    println!("{fault:?}: the breaker opened after {opened:?}");
    assert!(!is_strict() || opened < Duration::from_secs(1), "{fault:?}: {opened:?}");
    proxy.set(Fault::Pass);
    until_used(&crowded);
}

/// The time until the breaker of a replica with an empty cache opens, once requests for several files come.
fn breaker_opens(replica: &Server, files: &Files) -> Duration {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (path, bytes) in files.files.iter().take(CROWD) {
            scope.spawn(move || assert_is(&replica.get(path, "br"), bytes, "br"));
        }
        eventually("the breaker opens", || {
            (!is_breaker(replica, "closed")).then(|| began.elapsed())
        })
    })
}

#[test]
fn dead_store_costs_nothing() {
    costs_nothing(10, &Fault::Refuse);
}

#[test]
fn silent_store_costs_nothing() {
    costs_nothing(11, &Fault::BlackHole);
}

#[test]
fn slow_store_costs_nothing() {
    let (to_store, from_store) = (Duration::from_secs(10), Duration::ZERO);
    costs_nothing(12, &Fault::Latency { to_store, from_store });
}

#[test]
fn expensive_file_is_served_beside_a_silent_store() {
    let Some(store) = Stage::shared() else { return };
    let files = Files::short(13);
    let bucket = store.create_bucket(&unique());
    let proxy = FaultyProxy::start(store.address());
    let replica = start_replica(replica(&files.site, &bucket, &proxy.endpoint()).args(SLOW));
    proxy.set(Fault::BlackHole);
    files.fetch_all(&replica, "br");
    assert_eq!(replica.encodes(), 1);
    proxy.set(Fault::Pass);
    until_used(&replica);
}
