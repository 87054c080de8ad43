//! A served directory with a mount in it that hangs, or whose daemon is dead.

#![cfg(all(target_os = "linux", not(cachecompress_portable)))]

use cachecompress_test::mount::{HangingMount, Kind};

use crate::common::*;

/// A server of the directory in which the file system is mounted as `to`, beside a file.
fn serve_around(mount: &HangingMount) -> Server {
    let around = mount.path().parent().unwrap().to_owned();
    fs::write(around.join("beside.txt"), "beside").unwrap();
    fs::write(mount.path().join("within.txt"), "within").unwrap();
    let server = Launch::new(PROGRAM, &around).start();
    assert_eq!(server.get("/to/within.txt", "gzip").body, b"within");
    server
}

/// Each request below a dead mount wrote its path to the log, newlines and all.
#[test]
fn dead_mount_forges_and_floods_no_log() {
    let Some(mut mount) = HangingMount::new(Kind::Fuse) else { return };
    let server = serve_around(&mount);
    mount.die();
    for n in 0..200 {
        let target = format!("/to/{n}%0a2026-01-01T00:00:00Z%20ERROR%20forged%1b[31m");
        assert_eq!(server.get(&target, "gzip").status(), 500);
    }
    assert_eq!(server.get("/beside.txt", "gzip").body, b"beside");
    eventually("the failures are told", || server.stderr().contains("forged").then_some(()));
    let stderr = server.stderr();
    assert!(!stderr.contains('\x1b'), "{stderr}");
    assert!(!stderr.lines().any(|line| line.starts_with("2026-01-01")), "{stderr}");
    assert!(stderr.lines().count() < 30, "{stderr}");
}

/// More than 64 names below a mount that hung stopped every lookup, also after their clients left.
#[test]
fn hung_mount_costs_its_own_requests_only() {
    let Some(mount) = HangingMount::new(Kind::Fuse) else { return };
    let server = serve_around(&mount);
    let hang = mount.hang();
    let mut waiting = Vec::new();
    for n in 0..100 {
        let mut connection = Connection::open(server.address()).unwrap();
        connection.send(&Request::get(&format!("/to/{n}.txt"))).unwrap();
        waiting.push(connection);
    }
    for n in 0..20 {
        // Names that were never asked for, so that each is a lookup.
        fs::write(mount.path().parent().unwrap().join(format!("{n}.txt")), "new").unwrap();
        assert_eq!(server.get(&format!("/{n}.txt"), "gzip").body, b"new");
    }
    for connection in &mut waiting {
        let response = connection.receive("GET").unwrap();
        assert_eq!((response.status(), response.header("retry-after")), (503, Some("1")));
    }
    drop(hang);
    eventually("the mount serves again", || {
        (server.get("/to/within.txt", "gzip").body == b"within").then_some(())
    });
}
