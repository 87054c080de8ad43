//! The packages, installed and run as their users do.
//!
//! `cargo xtask packages` makes them and runs this program, which is no part of a plain `cargo test`.
//! The Debian package is installed into an overlay of this machine's root, which is gone afterwards.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "../common/mod.rs"]
mod common;

mod crates_io;
mod debian;
mod image;
mod kubernetes;
mod machine;
mod manual;
mod npm;
mod rpm;
mod units;
mod workflows;

use std::process::Command;

use cachecompress_test::server::output;

use crate::common::*;

/// The repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Runs `command`, which must succeed, and returns its stdout.
#[track_caller]
fn stdout(command: &mut Command) -> String {
    let done = output(command);
    let stderr = String::from_utf8_lossy(&done.stderr);
    let stdout = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{command:?}: {}\n{stdout}{stderr}", done.status);
    stdout
}

/// A command of the words of `line`.
fn words(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}
