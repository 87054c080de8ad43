//! Hostile clients: slow ones, greedy ones, and those that break the rules.
//!
//! Each test prints the peak of the server's memory, and holds it under a bound (promise 5). A
//! forbidden act ends its connection, never the server. Each test ends with an ordinary client that
//! is served.

#![cfg(target_os = "linux")]

mod bodies;
mod crowds;
mod floods;
mod frames;
mod slow;

use cachecompress_test::wait::read_once;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::common::*;

const MIB: u64 = 1024;

/// Prints the peak of the server's memory, and holds it under `bound` MiB. Holds the log to a few
/// lines, because a client that can fill the log fills the disk.
#[track_caller]
fn assert_memory(server: &Server, what: &str, bound: u64) {
    let memory = server.memory();
    println!(
        "{what}: peak {} MiB, now {} MiB, bound {bound} MiB",
        memory.peak / MIB,
        memory.now / MIB
    );
    let log = server.stderr();
    assert!(log.len() < 4096, "{what}: {} bytes of log: {:.400}", log.len(), log);
    assert!(memory.peak <= bound * MIB, "{what}: {} MiB, more than {bound}", memory.peak / MIB);
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A connection on which `bytes` were sent.
fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    stream
}

/// All bytes until the server ends the connection in any way.
#[track_caller]
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        match read_once(stream, &mut piece) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the connection is still open after {PATIENCE:?}");
            }
            Err(_) => return all,
        }
    }
}

/// Waits until `server` has at most `before` descriptors again, beside one for each entry and those
/// of the connections that ask for figures.
#[track_caller]
fn until_free(server: &Server, before: usize) {
    eventually("descriptors are free again", || {
        let kept = before + usize::try_from(server.entries()).unwrap() + 4;
        (server.descriptors() <= kept).then_some(())
    });
}

/// Lets this process, which has the clients, open as many sockets as the system allows.
fn raise_own_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
