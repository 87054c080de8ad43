//! `cargo xtask fence`: holds the counted costs of a request against the recorded ones.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::command::{cargo, exit_code};
use crate::step::{self, Begun};
use crate::tools::Tools;
use crate::workspace;

/// Names the shipped program to the tests.
const PROGRAM: &str = "CACHECOMPRESS_TEST_SHIPPED";
/// Has the test record the figures that it counts.
const UPDATE: &str = "CACHECOMPRESS_TEST_FENCE_UPDATE";

/// Builds the shipped program and counts; `update` records the figures.
pub(crate) fn run(update: bool) -> ExitCode {
    let tools = Tools::find_for(&["crates/cachecompress-server/tests/fence"]).install();
    if !build().end().ok {
        return ExitCode::FAILURE;
    }
    let mut of_program = cargo(&["test", "--package", "cachecompress-server", "--test", "fence"]);
    of_program.args(["--", "--nocapture"]);
    if update {
        of_program.env(UPDATE, "1");
    }
    let of_library = cargo(&["test", "--package", "cachecompress", "--test", "allocations"]);
    let commands = vec![tools.tell(for_shipped(of_program)), of_library];
    exit_code(step::run("fence", commands).ok)
}

/// Begins to build the program as it is shipped. The fence counts no other build.
pub(crate) fn build() -> Begun {
    let mut command = cargo(&["build", "--quiet", "--profile", workspace::SHIPPED]);
    command.args(["--package", "cachecompress-server"]);
    step::begin("dist build", vec![command])
}

/// Names the shipped program, which [`build`] has made, to the tests in `command`.
pub(crate) fn for_shipped(mut command: Command) -> Command {
    command.env(PROGRAM, program());
    command
}

/// The path of the shipped program, which [`build`] makes.
pub(crate) fn program() -> PathBuf {
    let name = format!("cachecompress{}", std::env::consts::EXE_SUFFIX);
    // A relative target directory is relative to the root for cargo, but not for the tests, which
    // run in their package's directory.
    workspace::root().join(workspace::target_dir()).join(workspace::SHIPPED).join(name)
}
