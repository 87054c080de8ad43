//! `cargo xtask fleet`: replicas with a shared store, at length.

use std::process::ExitCode;

use crate::command::{cargo, exit_code};
use crate::step;
use crate::tools::{self, Tools};

const TESTS: &str = "crates/cachecompress-server/tests/fleet";
/// Tells the tests how often to repeat what depends on chance.
const ROUNDS: &str = "CACHECOMPRESS_FLEET_ROUNDS";
/// Holds times to the limits of an idle machine.
const STRICT: &str = "CACHECOMPRESS_FLEET_STRICT";
/// Names another store than SeaweedFS.
const STORE: &str = "CACHECOMPRESS_FLEET_STORE";

/// Runs the tests with so many rounds, on Garage in place of SeaweedFS if that is asked for. Its build takes
/// a quarter of an hour.
pub(crate) fn run(rounds: u32, on_garage: bool) -> ExitCode {
    let tools = Tools::find_for(&[TESTS, "crates/cachecompress-test/src"]).install();
    let words = ["test", "--workspace", "--all-features", "--no-fail-fast", "--test", "fleet"];
    let mut command = tools.tell(cargo(&words));
    // One after the other, because some hold times against each other.
    command.args(["--", "--nocapture", "--test-threads", "1"]);
    command.env(ROUNDS, rounds.to_string()).env(STRICT, "1");
    if on_garage {
        match tools::install_crates(&["garage@2.5.0"]) {
            Ok(bin) => {
                command.env("CACHECOMPRESS_TEST_GARAGE", bin.join("garage")).env(STORE, "garage")
            }
            Err(sentence) => {
                println!("{sentence}");
                return ExitCode::FAILURE;
            }
        };
    }
    let result = step::run("fleet", vec![command]);
    for sentence in tools.missing() {
        println!("SKIPPED {sentence}");
    }
    println!("{}", result.totals);
    exit_code(result.ok)
}
