//! Fixtures, a failing disk and conformance suites for cachecompress's own tests.
//!
//! - Tests that run the program: [`server`] starts it, [`client`], [`http2`] and [`frames`] speak to
//!   it, [`decode`] judges its answers, [`site`] makes its files, [`cache_dir`] reads and
//!   [`damage`] breaks its cache, and `mount` mounts a disk that hangs.
//! - Tests of the library: [`service`] is a client without a socket, [`pack`] an encoder to hold
//!   and to break, [`gate`] holds threads, [`made`] makes up files, [`FaultDisk`] fails on demand,
//!   [`PowerDisk`] loses power.
//! - Tests of a shared store: `seaweedfs`, `garage` and `azurite` are stores, [`s3`] speaks to one, `proxy`
//!   stands before one and fails on demand, `namespace` has links to cut, and `child` ends programs with the tests.
//! - Suites: [`disk`] and [`source`] hold every implementation of a trait to its promises.
//! - Both: [`wait`] waits for conditions, [`tools`] finds programs, [`multipart`] reads the bodies of
//!   several ranges, [`page_paths`] has the table of clean URLs.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[cfg(unix)]
pub mod azurite;
pub mod cache_dir;
#[cfg(unix)]
pub mod child;
pub mod client;
pub mod damage;
pub mod decode;
pub mod frames;
#[cfg(unix)]
pub mod garage;
pub mod gate;
pub mod http2;
pub mod made;
#[cfg(unix)]
pub mod mount;
pub mod multipart;
#[cfg(unix)]
pub mod namespace;
pub mod pack;
pub mod page_paths;
pub mod port;
#[cfg(unix)]
pub mod proxy;
pub mod s3;
#[cfg(unix)]
pub mod seaweedfs;
pub mod server;
pub mod service;
pub mod site;
pub mod tools;
pub mod wait;

pub mod disk;
mod fault;
mod power;
pub mod source;

pub use fault::{Errno, Fault, FaultDisk, Op};
pub use power::{Outcome, PowerDisk, Snapshot};
