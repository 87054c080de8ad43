//! `cargo xtask bench`: builds what is measured, and lets `bench/` measure it.

use std::process::{Command, ExitCode};

use crate::step::cargo;

/// Builds our server, then runs the bench with `arguments`, which are its own.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    // One at a time: together they would share their dependencies' features, and the server would
    // not be the one that users get.
    let server = cargo(&["build", "--release", "--package", "cachecompress-server"]);
    let peer = cargo(&["build", "--release", "--package", "cachecompress-bench"]);
    let mut bench =
        cargo(&["run", "--release", "--quiet", "--package", "cachecompress-bench", "--"]);
    bench.args(arguments);
    let done = [server, peer, bench].into_iter().all(succeeds);
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn succeeds(mut command: Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("cannot run cargo: {error}");
            false
        }
    }
}
