//! `cargo xtask soak`: everything at once, for a long time.

use std::process::{Command, ExitCode};

use crate::step::{self, cargo};

/// What tells the test how long it lasts.
const SECONDS: &str = "CACHECOMPRESS_SOAK_SECONDS";
/// How long it lasts beside all other tests.
const SECONDS_IN_ALL_TESTS: &str = "60";

/// Soaks for so many minutes, and shows what was seen.
pub(crate) fn run(minutes: &str) -> ExitCode {
    let Some(minutes) =
        minutes.parse::<u64>().ok().filter(|minutes| (1..=10_000).contains(minutes))
    else {
        return crate::refuse(
            "`cargo xtask soak --minutes N` takes a whole number from 1 to 10000.",
        );
    };
    let mut command = cargo(&["test", "--package", "cachecompress-server", "--test", "soak"]);
    command.args(["--", "--nocapture"]).env(SECONDS, (minutes * 60).to_string());
    if step::run("soak", vec![command]).ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lets the soak in `command`, which runs all tests, last a minute.
pub(crate) fn for_a_minute(mut command: Command) -> Command {
    command.env(SECONDS, SECONDS_IN_ALL_TESTS);
    command
}
