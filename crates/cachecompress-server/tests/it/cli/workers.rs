//! The workers: one runtime and one listening socket for each core, invisible from outside.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process::{Child, Stdio};

use cachecompress_test::client::fetch;
use cachecompress_test::server::command;

use crate::common::*;

const LISTENING: &str = "0A";
const ESTABLISHED: &str = "01";

/// The inode numbers of all programs' sockets at `port` in `state`.
fn sockets(port: u16, state: &str) -> BTreeSet<u64> {
    let port = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let there = lines.filter(|words| words[1].ends_with(&port) && words[3] == state);
    there.map(|words| words[9].parse().unwrap()).collect()
}

#[test]
fn threads_have_a_socket_each_and_all_serve() {
    let source = site::text(1, 3000);
    let site = Site::with("app.js", &source);
    for threads in [1, 4] {
        let server = start_with(&site, &format!("--threads {threads}"));
        let port = server.address().port();
        assert_eq!(sockets(port, LISTENING).len(), threads);
        server.until_hit(&Request::get("/app.js").accept("br"));
        // The connections come at once, so that every socket's queue gets some.
        let mut connections: Vec<_> =
            (0..200).map(|_| Connection::open(server.address()).unwrap()).collect();
        for _ in 0..2 {
            for connection in &mut connections {
                connection.send(&Request::get("/app.js").accept("br")).unwrap();
            }
            for connection in &mut connections {
                assert_is(&connection.receive("GET").unwrap(), &source, "br");
            }
        }
        assert!(sockets(port, ESTABLISHED).len() >= 200);
        let names = fs::read_dir(format!("/proc/{}/task", server.id())).unwrap().flatten();
        let names = names.flat_map(|task| fs::read_to_string(task.path().join("comm")));
        assert_eq!(names.filter(|name| name.starts_with("serve-")).count(), threads);
    }
}

/// A program that should end by itself, and is killed otherwise.
struct Second(Child);

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sockets that share a port would let two programs have it, and divide the clients between them.
#[test]
fn address_in_use_is_refused_though_sockets_share_it() {
    let site = Site::with("app.js", &site::text(1, 3000));
    let mut first = start_with(&site, "--threads 4");
    for threads in ["1", "4"] {
        let cache = tempfile::tempdir().unwrap();
        let second = command(Path::new(PROGRAM))
            .args(["serve", "--threads", threads, "--listen"])
            .arg(first.address().to_string())
            .arg("--cache-dir")
            .arg(cache.path())
            .arg(site.path())
            .stderr(Stdio::piped())
            .spawn();
        let mut second = Second(second.unwrap());
        let what = "the end of a program whose address is in use";
        let status = eventually(what, || second.0.try_wait().unwrap());
        let mut told = String::new();
        second.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert!(!status.success() && told.contains("address in use"), "{told}");
    }
    for _ in 0..50 {
        assert_eq!(first.get("/app.js", "br").status(), 200);
    }
    // The address is free again at once, however many connections linger.
    let address = first.address();
    first.stop();
    let again = launch(&site).args("--threads 4 --listen").arg(address.to_string()).start();
    assert_ne!(again.address(), address, "one of its own comes first");
    assert_eq!(fetch(address, &Request::get("/app.js")).unwrap().status(), 200);
}

/// Each accepting thread held a permit while it waited, so that with as many threads as permits
/// some clients were never served.
#[test]
fn connection_limit_of_one_serves_the_clients_of_all_threads() {
    let source = site::text(1, 3000);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--threads 4 --max-connections 1");
    for _ in 0..20 {
        let answer = server.get("/app.js", "identity");
        assert_is(&answer, &source, "identity");
    }
    // Clients that come while another is served are served once it leaves.
    let mut connections: Vec<_> =
        (0..8).map(|_| Connection::open(server.address()).unwrap()).collect();
    for connection in &mut connections {
        let request = Request::get("/app.js").header("connection", "close");
        connection.send(&request).unwrap();
    }
    for mut connection in connections {
        assert_is(&connection.receive("GET").unwrap(), &source, "identity");
    }
}
