//! Replicas with one store: one encodes for all, and no fault of the store reaches a client.
//!
//! The replicas are processes of the program, and the stores are real ones, with a proxy before them that
//! fails on demand (`cachecompress_test::proxy`). `cargo xtask fleet` repeats the tests at length.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "../common/mod.rs"]
mod common;
mod stage;
mod store;

mod access;
mod azure;
mod faults;
mod forged;
mod nodes;
mod once;
mod unnoticed;
