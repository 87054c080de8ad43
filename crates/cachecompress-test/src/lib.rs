//! Fixtures, a failing disk and conformance suites for cachecompress's own tests.
//!
//! For the tests that run the program: [`server`] starts it, [`client`], [`http2`] and [`frames`]
//! speak to it, [`decode`] judges what it says, [`site`] makes what it serves, [`damage`] breaks what
//! it keeps. For the library's
//! own: [`disk`] and [`source`] hold every implementation to one promise, [`FaultDisk`] fails on
//! demand, [`PowerDisk`] loses power.

#![allow(clippy::unwrap_used, reason = "a suite ends at the first promise that is not kept")]

pub mod client;
pub mod damage;
pub mod decode;
pub mod frames;
pub mod http2;
pub mod server;
pub mod site;
pub mod tools;

pub mod disk;
mod fault;
mod power;
pub mod source;

pub use fault::{Errno, Fault, FaultDisk, Op};
pub use power::{Outcome, PowerDisk, Snapshot};
