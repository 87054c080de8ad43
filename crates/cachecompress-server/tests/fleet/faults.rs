//! Faults between a replica and its store, each under load: no wrong byte, no error, nothing hangs.

use cachecompress_test::proxy::{Fault, FaultyProxy};

use crate::common::*;
use crate::stage::*;

/// An error of S3, as an answer to any request.
fn refusal(status: &str, code: &str) -> Fault {
    let body = format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code></Error>");
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/xml\r\n");
    Fault::Answer(format!("{head}content-length: {length}\r\n\r\n{body}").into_bytes())
}

/// Sets each fault while clients fetch all files from a replica with an empty cache. `part` is the part of the
/// requests' targets that it befalls. The files are in the store already.
fn survives(seed: u64, arguments: &str, part: &str, faults: &[Fault]) {
    let Some(store) = Stage::shared() else { return };
    let files = Files::new(seed, 3, if arguments == SLOW { LEASED } else { LARGE });
    let bucket = store.create_bucket(&unique());
    files.store_in(&bucket, arguments, "br");
    let proxy = FaultyProxy::start(store.address());
    for fault in faults {
        proxy.set(Fault::Pass);
        let launch = replica(&files.site, &bucket, &proxy.endpoint()).args(arguments);
        let replica = start_replica(launch);
        let before = proxy.count("GET", "/v1/e/");
        proxy.set_for("", part, fault.clone());
        files.fetch_all(&replica, "br");
        if *fault != Fault::Refuse {
            assert!(proxy.count("GET", "/v1/e/") > before, "{fault:?}: the store was asked");
        }
        assert_eq!(asked(&replica, "hit"), 0, "{fault:?} is a fault");
        let outcomes = ["error", "timeout", "disproved"].map(|outcome| asked(&replica, outcome));
        assert!(outcomes.iter().sum::<u64>() > 0, "{fault:?}: {outcomes:?}");
        proxy.set(Fault::Pass);
        // The entries are whole: the second answers come from them.
        let again = files.fetch_all(&replica, "br");
        assert!(again.iter().all(Response::is_hit), "{fault:?}");
    }
}

fn broken() -> [Fault; 7] {
    [
        Fault::ResetAfter(0),
        Fault::ResetAfter(5000),
        Fault::CloseAfter(5000),
        Fault::FlipFrom(0),
        Fault::FlipFrom(5000),
        Fault::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
        Fault::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9".to_vec()),
    ]
}

#[test]
fn broken_objects_are_replaced_by_encodes() {
    survives(20, RACED, "/v1/e/", &broken());
}

#[test]
fn broken_objects_of_slow_encodes_are_replaced_by_encodes() {
    survives(21, SLOW, "/v1/e/", &broken()[..5]);
}

#[test]
fn silent_and_slow_stores_are_left() {
    let (to_store, from_store) = (Duration::from_secs(10), Duration::ZERO);
    let faults = [
        Fault::Trickle,
        Fault::BlackHole,
        Fault::Refuse,
        Fault::Latency { to_store, from_store },
        Fault::Latency { to_store: from_store, from_store: to_store },
    ];
    survives(22, RACED, "", &faults);
}

#[test]
fn stores_that_refuse_are_left() {
    let faults = [
        refusal("503 Slow Down", "SlowDown"),
        refusal("500 Internal Server Error", "InternalError"),
        refusal("403 Forbidden", "ExpiredToken"),
        refusal("403 Forbidden", "SignatureDoesNotMatch"),
        refusal("400 Bad Request", "RequestTimeTooSkewed"),
    ];
    survives(23, RACED, "", &faults);
}

#[test]
fn huge_objects_are_not_read() {
    let Some(store) = Stage::shared() else { return };
    let files = Files::new(24, 3, LEASED);
    let bucket = store.create_bucket(&unique());
    files.store_in(&bucket, SLOW, "br");
    let proxy = FaultyProxy::start(store.address());
    let replica = start_replica(replica(&files.site, &bucket, &proxy.endpoint()).args(SLOW));
    proxy.set_for("GET", "/v1/e/", Fault::Zeros(10 << 30));
    files.fetch_all(&replica, "br");
    assert!(asked(&replica, "disproved") + asked(&replica, "error") > 0);
    let read = replica.metric("cachecompress_tier_read_bytes_total", &[]);
    assert!(read < 1e6, "{read} bytes of an impossible object were read");
    assert!(replica.memory().peak < 400 << 10, "{:?} KiB", replica.memory());
}

#[test]
fn upload_that_breaks_off_leaves_no_wrong_object() {
    let Some(store) = Stage::shared() else { return };
    let files = Files::new(25, 4, LEASED);
    let bucket = store.create_bucket(&unique());
    let proxy = FaultyProxy::start(store.address());
    let launch = replica(&files.site, &bucket, &proxy.endpoint()).args(SLOW);
    let first = start_replica(launch.clone());
    proxy.set_for("PUT", "/v1/e/", Fault::ResetUploadAfter(20_000));
    files.fetch_all(&first, "br");
    until_stored(&first);
    assert!(proxy.count("PUT", "/v1/e/") > 0);
    assert_eq!(uploads(&first, "stored"), 0);
    assert_eq!(bucket.keys("site/v1/e/"), Vec::<String>::new());
    proxy.set(Fault::Pass);
    let second = start_replica(launch);
    files.fetch_all(&second, "br");
    assert_eq!(asked(&second, "hit"), 0);
    until_stored(&second);
    assert_eq!(bucket.keys("site/v1/e/").len(), 4);
}

#[test]
fn object_deleted_under_a_read_harms_nobody() {
    let Some(store) = Stage::shared() else { return };
    let files = Files::new(26, 1, LARGE);
    let bucket = store.create_bucket(&unique());
    files.store_in(&bucket, RACED, "br");
    let proxy = FaultyProxy::start(store.address());
    let replica = start_replica(replica(&files.site, &bucket, &proxy.endpoint()).args(RACED));
    proxy.set_for("GET", "/v1/e/", Fault::Rate(4 << 20));
    std::thread::scope(|scope| {
        let fetch = scope.spawn(|| files.fetch_all(&replica, "br"));
        eventually("a read", || (proxy.count("GET", "/v1/e/") > 0).then_some(()));
        bucket.delete(&files.key_of(&bucket, 0));
        fetch.join().unwrap();
    });
}
