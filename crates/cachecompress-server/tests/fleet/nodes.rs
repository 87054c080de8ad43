//! Processes of the store that are killed, stopped or cut off while replicas read and write.

use cachecompress_test::namespace::Namespace;
use cachecompress_test::proxy::{Fault, FaultyProxy};
use cachecompress_test::seaweedfs::SeaweedFs;

use crate::common::*;
use crate::stage::*;
use crate::store::{Blow, Store};

/// A rate at which an object takes a second or two, so that a read can be met in its middle.
const RATE: Fault = Fault::Rate(1 << 20);

/// Strikes the store in the middle of reads and in the middle of writes, and mends it after that.
fn survives(store: &Store, seed: u64, strike: impl Fn() + Sync, mend: impl Fn()) {
    let files = Files::new(seed, 2, LARGE);
    let bucket = store.create_bucket(&unique());
    files.store_in(&bucket, RACED, "br");
    let proxy = FaultyProxy::start(store.address());
    let launch = replica(&files.site, &bucket, &proxy.endpoint()).args(RACED);

    let reader = start_replica(launch.clone());
    proxy.set_for("GET", "/v1/e/", RATE);
    std::thread::scope(|scope| {
        let fetch = scope.spawn(|| files.fetch_all(&reader, "br"));
        eventually("a read", || (proxy.count("GET", "/v1/e/") > 0).then_some(()));
        strike();
        fetch.join().unwrap();
    });
    mend();

    let fresh = Files::new(seed + 500, 2, LARGE);
    let launch = replica(&fresh.site, &bucket, &proxy.endpoint()).args(RACED);
    proxy.set(Fault::Pass);
    let writer = start_replica(launch.clone());
    proxy.set_for("PUT", "/v1/e/", RATE);
    std::thread::scope(|scope| {
        let fetch = scope.spawn(|| fresh.fetch_all(&writer, "br"));
        eventually("a write", || (proxy.count("PUT", "/v1/e/") > 0).then_some(()));
        strike();
        fetch.join().unwrap();
    });
    mend();

    // Whatever the store has now, others serve what the files have.
    proxy.set(Fault::Pass);
    until_used(&writer);
    let after = start_replica(launch);
    fresh.fetch_all(&after, "br");
}

fn survives_blow(seed: u64, blow: Blow) {
    let Some(store) = Stage::alone() else { return };
    survives(&store, seed, || store.strike(blow), || store.mend(blow));
}

#[test]
fn killed_front_harms_nobody() {
    survives_blow(50, Blow::KillFront);
}

#[test]
fn killed_holders_of_objects_harm_nobody() {
    survives_blow(51, Blow::KillHolders);
}

#[test]
fn stopped_inner_nodes_harm_nobody() {
    survives_blow(52, Blow::StopInner);
}

#[test]
fn node_behind_a_cut_link_harms_nobody() {
    let Some(namespace) = Namespace::new(&["store"]) else { return };
    let Some(store) = SeaweedFs::start_across(&namespace).map(Store::SeaweedFs) else { return };
    survives(&store, 53, || namespace.cut("store"), || namespace.mend("store"));
}

#[test]
fn replica_behind_a_cut_link_serves() {
    let Some(namespace) = Namespace::new(&["clients", "store"]) else { return };
    let Some(store) = Stage::shared() else { return };
    let files = Files::new(54, 2, LARGE);
    let bucket = store.create_bucket(&unique());
    files.store_in(&bucket, RACED, "br");
    let (clients, link) = (namespace.link("clients"), namespace.link("store"));
    let port = cachecompress_test::port::free_port(link.outer);
    let proxy = FaultyProxy::start_at((link.outer, port).into(), store.address());
    let launch = replica(&files.site, &bucket, &proxy.endpoint())
        .args(RACED)
        .through(&namespace.through())
        .listen((clients.inner, 0).into())
        .admin((clients.inner, 0).into());
    let replica = start_replica(launch);
    proxy.set_for("GET", "/v1/e/", RATE);
    std::thread::scope(|scope| {
        let fetch = scope.spawn(|| files.fetch_all(&replica, "br"));
        eventually("a read", || (proxy.count("GET", "/v1/e/") > 0).then_some(()));
        namespace.cut("store");
        fetch.join().unwrap();
    });
    namespace.mend("store");
    proxy.set(Fault::Pass);
    until_used(&replica);
}
