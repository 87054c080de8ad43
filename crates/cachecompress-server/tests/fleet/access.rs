//! A store that may not be used, is not there, or is full: one sentence, and the server serves.

use cachecompress_test::s3::Bucket;

use crate::common::*;
use crate::stage::*;

fn sentences(replica: &Server, about: &str) -> usize {
    replica.stderr().lines().filter(|line| line.contains(about)).count()
}

#[test]
fn wrong_credentials_are_told_once() {
    let Some(store) = Stage::shared() else { return };
    let files = Files::new(40, 3, LARGE);
    let bucket = store.create_bucket(&unique());
    let strangers = [
        Bucket { secret_key: "wrong".into(), ..bucket.clone() },
        Bucket { access_key: "nobody".into(), ..bucket.clone() },
    ];
    for stranger in strangers {
        let replica = replica(&files.site, &stranger, &store.endpoint()).start();
        files.fetch_all(&replica, "br");
        eventually("a sentence", || (sentences(&replica, &bucket.name) > 0).then_some(()));
        assert_eq!(sentences(&replica, &bucket.name), 1, "{}", replica.stderr());
        assert!(!is_breaker(&replica, "closed"));
    }
    assert!(bucket.keys("site/").is_empty());
}

#[test]
fn bucket_that_comes_later_is_used_then() {
    let Some(store) = Stage::shared() else { return };
    let files = Files::new(41, 3, LARGE);
    let bucket = store.bucket(&unique());
    let replica = replica(&files.site, &bucket, &store.endpoint()).start();
    files.fetch_all(&replica, "br");
    eventually("a sentence", || (sentences(&replica, &bucket.name) > 0).then_some(()));
    assert_eq!(sentences(&replica, &bucket.name), 1, "{}", replica.stderr());
    bucket.create();
    until_used(&replica);
}

#[test]
fn full_bucket_is_read_and_not_missed() {
    let Some(store) = Stage::shared() else { return };
    let bucket = store.create_bucket(&unique());
    let old = Files::new(42, 3, LEASED);
    old.store_in(&bucket, SLOW, "br");
    let new = Files::new(43, 3, LEASED);
    let serve_old = replica(&old.site, &bucket, &store.endpoint()).args(SLOW);
    let serve_new = start_replica(replica(&new.site, &bucket, &store.endpoint()).args(SLOW));
    store.fill_bucket(&bucket.name);
    old.fetch_from_tier(&serve_old.args("--tier-mode ro"));
    new.fetch_all(&serve_new, "br");
    until_stored(&serve_new);
    assert_eq!(uploads(&serve_new, "stored"), 0);
    assert_eq!(bucket.keys("site/v1/e/").len(), 3);
}

#[test]
fn read_only_replica_stores_nothing() {
    let Some(store) = Stage::shared() else { return };
    let bucket = store.create_bucket(&unique());
    let files = Files::new(44, 3, LEASED);
    let launch = replica(&files.site, &bucket, &store.endpoint()).args(SLOW);
    let alone = start_replica(launch.clone().args("--tier-mode ro"));
    files.fetch_all(&alone, "br");
    files.store_in(&bucket, SLOW, "br");
    let reader = files.fetch_from_tier(&launch.args("--tier-mode ro"));
    assert_eq!(uploads(&alone, "stored") + uploads(&reader, "stored"), 0);
    assert_eq!(leases(&alone, "acquired") + leases(&reader, "acquired"), 0);
}
