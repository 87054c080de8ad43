//! Real clients whose installation takes minutes, against the program: readers of tables, arrays,
//! images and films, and a proxy that fetches in slices.
//!
//! They are driven as those of `tests/clients` are, by `cargo xtask clients` only: this program is
//! no part of a plain `cargo test`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../clients/visit.rs"]
mod visit;

mod ffmpeg;
mod gdal;
mod nginx;
mod python;
