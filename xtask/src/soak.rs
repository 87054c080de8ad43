//! `cargo xtask soak`: runs the soak test for a long time.

use std::process::{Command, ExitCode};

use crate::command::{cargo, exit_code};
use crate::step;

/// Tells the test its duration.
const SECONDS: &str = "CACHECOMPRESS_SOAK_SECONDS";
/// The duration beside all other tests.
const SECONDS_IN_ALL_TESTS: &str = "60";

/// Runs the soak test for `minutes`, and shows its output.
pub(crate) fn run(minutes: u64) -> ExitCode {
    let mut command = cargo(&["test", "--package", "cachecompress-server", "--test", "soak"]);
    command.args(["--", "--nocapture"]).env(SECONDS, (minutes * 60).to_string());
    exit_code(step::run("soak", vec![command]).ok)
}

/// Limits the soak test in `command`, which runs all tests, to a minute.
pub(crate) fn for_a_minute(mut command: Command) -> Command {
    command.env(SECONDS, SECONDS_IN_ALL_TESTS);
    command
}
