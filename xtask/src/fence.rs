//! `cargo xtask fence`: what a request costs, held against what is written down.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::step::{self, Outcome, cargo};
use crate::tools::Tools;

/// What tells the test where the shipped program is.
const PROGRAM: &str = "CACHECOMPRESS_TEST_RELEASE";
/// What has the test write down what it finds.
const UPDATE: &str = "CACHECOMPRESS_TEST_FENCE_UPDATE";

/// Builds the shipped program and counts; with `update` what is counted is written down.
pub(crate) fn run(update: bool) -> ExitCode {
    let tools = Tools::find_for("crates/cachecompress-server/tests/fence").install();
    if !build().ok {
        return ExitCode::FAILURE;
    }
    let mut of_program = cargo(&["test", "--package", "cachecompress-server", "--test", "fence"]);
    of_program.args(["--", "--nocapture"]);
    if update {
        of_program.env(UPDATE, "1");
    }
    let of_library = cargo(&["test", "--package", "cachecompress", "--test", "allocations"]);
    let commands = vec![tools.tell(for_shipped(of_program)), of_library];
    if step::run("fence", commands).ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The program as it is shipped: only that one's costs are worth a fence.
pub(crate) fn build() -> Outcome {
    let command = cargo(&["build", "--quiet", "--release", "--package", "cachecompress-server"]);
    step::run("release build", vec![command])
}

/// Tells the tests in `command` where the shipped program is, once it has been built.
pub(crate) fn for_shipped(mut command: Command) -> Command {
    command.env(PROGRAM, program());
    command
}

fn program() -> PathBuf {
    let name = format!("cachecompress{}", std::env::consts::EXE_SUFFIX);
    // Tests run in their package's directory, and cargo in the workspace's root.
    crate::root().join(crate::target_dir()).join("release").join(name)
}
