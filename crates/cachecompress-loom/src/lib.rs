//! Loom models of the library's concurrent pieces: every interleaving that matters, tried.
//!
//! The modules are the library's own files, built over loom's primitives (`build.rs` sets
//! `cachecompress_loom`); all they use of the crate is `sync` and each other.

#![cfg(test)]
#![allow(dead_code, reason = "the models call what they are about, and nothing else")]
#![allow(
    clippy::unwrap_used,
    reason = "a model ends at the first thing that is not as it should be"
)]

mod concurrency;
mod models;
