//! `cargo xtask clients`: real clients against the program.

use std::process::ExitCode;

use crate::command::{cargo, exit_code};
use crate::step;
use crate::tools::{LARGE_CLIENTS, Tools};

/// The tests that every full test run has, too.
const CLIENTS: &str = "crates/cachecompress-server/tests/clients";

/// Installs all clients, and runs their tests.
pub(crate) fn run() -> ExitCode {
    let tools = Tools::find_for(&[CLIENTS, LARGE_CLIENTS]).install();
    let mut command = cargo(&["test", "--package", "cachecompress-server", "--no-fail-fast"]);
    command.args(["--test", "clients", "--test", "large_clients"]);
    let result = step::run("clients", vec![tools.tell(command)]);
    for sentence in tools.missing() {
        println!("SKIPPED {sentence}");
    }
    println!("{}", result.totals);
    exit_code(result.ok)
}
