//! Real clients against the program: package managers, download tools, `git`.
//!
//! Each test makes what its client fetches, serves it, and drives the client as a process of its
//! own, once in every state of the server's cache (`visit.rs`). The files that the client ends up
//! with are the served ones, byte for byte.
//!
//! The clients here are installed in seconds, so that every full test run has them.
//! `tests/large_clients` has those that are not.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "../common/mod.rs"]
mod common;
mod visit;

mod apt;
mod aria2;
mod axel;
mod cargo;
mod curl;
mod git;
mod pip;
mod wget;
mod wget2;
mod zsync;
