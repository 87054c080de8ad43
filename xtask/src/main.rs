//! The project's chores, run as `cargo xtask`.

mod bench;
mod book;
mod clients;
mod command;
mod corpus;
mod debian;
mod fence;
mod fleet;
mod frameworks;
mod fuzz;
mod npm;
mod packages;
mod platforms;
mod portable;
mod prose;
mod semver;
mod sites;
mod soak;
mod step;
mod test;
mod tools;
mod totals;
mod workspace;

use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
The project's chores.

Usage: cargo xtask COMMAND

Commands:
  test [--quick]  formatting, lints, every feature alone, all tests, docs, the portable fallbacks;
                  installs the outside tools of the tests where it may.
                  --quick installs nothing, downloads no test input, and leaves out the fence, the
                  book, the portable build and the fuzzers
  fence [--update]
                  builds the program as it is shipped, and holds the instructions, system calls and
                  allocations of a warm request against the recorded ones; --update records the
                  counted ones. `test` includes it
  fuzz [--seconds N]
                  runs every target of fuzz/ for N seconds each, 60 by default; installs cargo-fuzz
                  where it may
  soak --minutes N
                  crowds, edits, kills and damage at once, every body verified, for N minutes;
                  `test` includes a minute of it
  fleet [--garage] [--rounds N]
                  replicas with a shared store and its faults, N rounds of what depends on chance, 100 by
                  default; --garage takes Garage in place of SeaweedFS, which it builds in a quarter of
                  an hour. `test` includes one round on SeaweedFS
  clients         drives real clients (apt, pip, cargo, git, wget, curl, zsync, aria2, pyarrow, pandas,
                  zarr, GDAL, ffmpeg, nginx) against the program; installs them where it may.
                  `test` includes those that are installed in seconds
  book            builds the book of docs/ by mdBook, which it installs where it may, and checks that
                  every link in it leads somewhere; `test` includes it
  frameworks      compiles the programs of the book's pages on Leptos, Dioxus and tonic with the newest
                  releases; needs minutes
  sites           builds sites by the newest Vite, Docusaurus, Next and mdBook, and clicks through each
                  in Chromium; needs npm, and minutes
  packages [--program PATH]
                  makes the Debian, RPM and npm packages and the image of the program as it is shipped,
                  or of PATH, installs and runs them, and has the crates built as they are published.
                  The Debian package is installed, by root, into a copy of this machine
  platforms       checks the types of the library and the program for macOS and Windows, by the targets
                  that rustup has installed, or else by the sources of a compiler's standard library
  semver [--since REVISION]
                  looks for what breaks users of the library since the last release, or since REVISION;
                  installs cargo-semver-checks where it may
  bench [--quick] [--only NAME,...] [--turns N] [--report]
                  measures the server beside others, which it installs where it may, and writes
                  docs/performance.md. --quick writes to target/bench/quick, --report only writes
                  the page from the recorded results; more with --help
  prose           lists sentences to look at in comments and docs: clauses as subjects, and long
                  ones; always succeeds
  help            this text

With CI=true a test that cannot run for want of a tool is a failure.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [compiler, ..] if portable::is_compiler(compiler) => portable::rustc(&arguments),
        ["test"] => test::run(test::Scope::Full),
        ["test", "--quick"] => test::run(test::Scope::Quick),
        ["soak", "--minutes", minutes] => match minutes.parse() {
            Ok(minutes @ 1..=10_000) => soak::run(minutes),
            _ => refuse("`cargo xtask soak --minutes N` takes a whole number from 1 to 10000."),
        },
        ["soak", ..] => refuse("How long? `cargo xtask soak --minutes N`."),
        ["fleet", flags @ ..] => match fleet_flags(flags) {
            Some((rounds, on_garage)) => fleet::run(rounds, on_garage),
            None => {
                refuse("`cargo xtask fleet` takes `--garage` and `--rounds N`, and nothing else.")
            }
        },
        ["fuzz"] => fuzz::run(Duration::from_secs(60)),
        ["fuzz", "--seconds", seconds] => match seconds.parse() {
            Ok(seconds) => fuzz::run(Duration::from_secs(seconds)),
            Err(_) => {
                refuse(&format!("`--seconds` takes a whole number, and `{seconds}` is none."))
            }
        },
        ["bench", ..] => bench::run(&arguments[1..]),
        ["book"] => book::run_all(),
        ["book", ..] => refuse("`cargo xtask book` takes no arguments."),
        ["clients"] => clients::run(),
        ["sites"] => sites::run_all(),
        ["packages"] => packages::run(None),
        ["platforms"] => platforms::run(),
        ["packages", "--program", path] => packages::run(Some(path)),
        ["packages", ..] => {
            refuse("`cargo xtask packages` takes `--program PATH`, and nothing else.")
        }
        ["semver"] => semver::run(None),
        ["semver", "--since", revision] => semver::run(Some(revision)),
        ["semver", ..] => {
            refuse("`cargo xtask semver` takes `--since REVISION`, and nothing else.")
        }
        ["fence"] => fence::run(false),
        ["fence", "--update"] => fence::run(true),
        ["fence", ..] => refuse("`cargo xtask fence` takes `--update`, and nothing else."),
        ["frameworks"] => frameworks::run_all(),
        ["frameworks", ..] => refuse("`cargo xtask frameworks` takes no arguments."),
        ["prose"] => prose::run(),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        [] => refuse("Which chore? Try `cargo xtask help`."),
        ["test", flag, ..] => {
            refuse(&format!("`cargo xtask test` knows no `{flag}`; its only flag is `--quick`."))
        }
        ["fuzz", ..] => refuse("`cargo xtask fuzz` takes `--seconds N`, and nothing else."),
        ["clients", ..] => refuse("`cargo xtask clients` takes no arguments."),
        ["sites", ..] => refuse("`cargo xtask sites` takes no arguments."),
        ["prose", ..] => refuse("`cargo xtask prose` takes no arguments."),
        [command, ..] => refuse(&format!("There is no chore `{command}`; try `cargo xtask help`.")),
    }
}

/// The number of rounds, and whether they are on Garage.
fn fleet_flags(flags: &[&str]) -> Option<(u32, bool)> {
    match flags {
        [] => Some((100, false)),
        ["--garage", rest @ ..] => fleet_flags(rest).map(|(rounds, _)| (rounds, true)),
        ["--rounds", rounds, rest @ ..] => {
            let rounds = rounds.parse().ok().filter(|rounds| *rounds > 0)?;
            fleet_flags(rest).map(|(_, on_garage)| (rounds, on_garage))
        }
        _ => None,
    }
}

/// Prints a usage error.
fn refuse(sentence: &str) -> ExitCode {
    eprintln!("{sentence}");
    ExitCode::from(2)
}
