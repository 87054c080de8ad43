//! Promise 5 for the disk, with real processes on a file system of their own. The cache's use of it
//! stays within `--cache-size`, claims and unlinked files included.

#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::common::*;

/// The used bytes of the file system of `path`, by `df`.
fn taken(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

#[test]
fn processes_stay_within_one_bound_at_every_moment() {
    let Some(disk) = SmallDisk::mount("size=64m") else { return };
    let bound = 12_000_000;
    let site = Site::new();
    let count = 160;
    // The files in three codings each are several times the bound.
    let source = |at: u64| site::text(at, if at.is_multiple_of(20) { 1_500_000 } else { 150_000 });
    let sources: Arc<Vec<_>> = Arc::new((0..count).map(source).collect());
    for (at, source) in sources.iter().enumerate() {
        site.write(&format!("{at}.json"), source);
    }
    let cache = disk.path().join("cache");
    let servers: Vec<_> = (0..3)
        .map(|_| launch(&site).cache(&cache).args("--cache-size 12MB --encode-threads 4").start())
        .collect();
    let (ended, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let watch = {
        let (ended, most, path) = (Arc::clone(&ended), Arc::clone(&most), disk.path().to_owned());
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(taken(&path), Ordering::Relaxed);
                thread::yield_now();
            }
        })
    };
    let clients: Vec<_> = (0..64u64)
        .map(|client| {
            let (address, sources) = (servers[client as usize % 3].address(), Arc::clone(&sources));
            thread::spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                for round in 0..8 {
                    let at = (client * 41 + round * 67) % count;
                    let coding = ["br", "gzip", "zstd"][(client + round) as usize % 3];
                    let request = Request::get(&format!("/{at}.json")).accept(coding);
                    connection.send(&request).unwrap();
                    let response = connection.receive("GET").unwrap();
                    assert_eq!(response.status(), 200);
                    assert!(response.decoded() == sources[at as usize], "{at}");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    servers.iter().for_each(Server::until_idle);
    ended.store(true, Ordering::Relaxed);
    watch.join().unwrap();
    let most = most.load(Ordering::Relaxed);
    let sum = |name: &str| servers.iter().map(|server| server.metric(name, &[])).sum::<f64>();
    let (evictions, encodes) =
        (sum("cachecompress_evictions_total"), sum("cachecompress_encodes_total"));
    eprintln!("at most {most} of {bound} bytes; {encodes} encodes, {evictions} evictions");
    assert!(most <= bound + bound / 20, "{most} bytes");
    assert!(evictions > 50.0, "room was made {evictions} times only");
    assert_eq!(sum("cachecompress_damaged_entries_total"), 0.0);
    // A cache that keeps nothing would pass the bound, too.
    assert!(taken(disk.path()) > bound / 2, "{} bytes are kept", taken(disk.path()));
}
