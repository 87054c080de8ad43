//! Loom models of the library's concurrent pieces, run in every interleaving that matters.
//!
//! The modules are the library's own files, built over loom's primitives (`build.rs` sets
//! `cachecompress_loom`). They use nothing of the crate but `sync` and each other.

#![cfg(test)]
#![allow(dead_code, reason = "the models call what they are about, and nothing else")]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod concurrency;
mod models;
