//! The project's chores, run as `cargo xtask`.

mod bench;
mod corpus;
mod fence;
mod fuzz;
mod portable;
mod soak;
mod step;
mod test;
mod tools;
mod totals;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
The project's chores.

Usage: cargo xtask COMMAND

Commands:
  test [--quick]  formatting, lints, every feature alone, all tests, docs, the portable fallbacks;
                  installs the outside tools that tests ask for where it may.
                  --quick installs nothing, fetches no real input, leaves out the fence, the
                  portable build and the fuzzers
  fence [--update]
                  builds the program as it is shipped, and holds the instructions, system calls and
                  allocations of a warm request against what is written down; --update writes
                  down what it finds. `test` has it
  fuzz [--seconds N]
                  every target of fuzz/ for so long, 60 seconds if it is not said; installs
                  cargo-fuzz where it may
  soak --minutes N
                  crowds, edits, kills and damage at once, every body verified, for N minutes;
                  `test` has a minute of it
  bench [--quick] [--only NAME,...] [--turns N] [--report]
                  measures the server beside others, which it installs where it may, and writes
                  docs/performance.md. --quick writes to target/bench/quick, --report measures
                  nothing and writes the page anew; more with --help
  help            this text

With CI=true a test that cannot run for want of a tool is a failure.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [compiler, ..] if portable::is_compiler(compiler) => portable::rustc(&arguments),
        ["test"] => test::run(test::Extent::Full),
        ["test", "--quick"] => test::run(test::Extent::Quick),
        ["soak", "--minutes", minutes] => soak::run(minutes),
        ["soak", ..] => refuse("How long? `cargo xtask soak --minutes N`."),
        ["fuzz"] => fuzz::run(Duration::from_secs(60)),
        ["fuzz", "--seconds", seconds] => match seconds.parse() {
            Ok(seconds) => fuzz::run(Duration::from_secs(seconds)),
            Err(_) => {
                refuse(&format!("`--seconds` takes a whole number, and `{seconds}` is none."))
            }
        },
        ["bench", ..] => bench::run(&arguments[1..]),
        ["fence"] => fence::run(false),
        ["fence", "--update"] => fence::run(true),
        ["fence", ..] => refuse("`cargo xtask fence` takes `--update`, and nothing else."),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        [] => refuse("Which chore? Try `cargo xtask help`."),
        ["test", flag, ..] => {
            refuse(&format!("`cargo xtask test` knows no `{flag}`; its only flag is `--quick`."))
        }
        ["fuzz", ..] => refuse("`cargo xtask fuzz` takes `--seconds N`, and nothing else."),
        [command, ..] => refuse(&format!("There is no chore `{command}`; try `cargo xtask help`.")),
    }
}

fn refuse(sentence: &str) -> ExitCode {
    eprintln!("{sentence}");
    ExitCode::from(2)
}

/// The workspace's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where builds, installed tools and real input go.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Whether this runs where a skip is a failure.
fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}
