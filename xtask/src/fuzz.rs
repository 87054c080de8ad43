//! `cargo xtask fuzz`: every target of `fuzz/` for some time, over the inputs that are kept.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::step::{self, Outcome, cargo};

/// How long a target runs in `cargo xtask test`: what is kept, and what is near to it.
pub(crate) const SHORT: Duration = Duration::from_secs(5);

/// Runs all targets for `time` each.
pub(crate) fn run(time: Duration) -> ExitCode {
    if let Err(sentence) = install() {
        eprintln!("Cannot fuzz: {sentence}");
        return ExitCode::FAILURE;
    }
    if run_step(time).ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// As [`run`], as one step of a longer chore.
pub(crate) fn run_step(time: Duration) -> Outcome {
    step::run("fuzzing", targets().iter().map(|target| fuzz(target, time)).collect())
}

/// Sees to it that there is a cargo-fuzz.
///
/// # Errors
///
/// What is missing, in one sentence.
pub(crate) fn install() -> Result<(), String> {
    if is_installed() {
        return Ok(());
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    crate::tools::run(&[&cargo, "install", "--quiet", "--locked", "cargo-fuzz"])
        .map_err(|why| format!("cargo-fuzz is not there and cannot be installed ({why})"))
}

fn is_installed() -> bool {
    let asked = cargo(&["fuzz", "--version"]).output();
    asked.is_ok_and(|output| output.status.success())
}

/// The names of the targets.
fn targets() -> Vec<String> {
    let files = std::fs::read_dir(crate::root().join("fuzz/fuzz_targets")).into_iter().flatten();
    let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut names: Vec<_> = files.flatten().filter_map(|file| stem(file.path())).collect();
    names.sort_unstable();
    names
}

/// One target. What it finds goes to `target/`; what is kept is only read.
///
/// Without a sanitizer, since there is no unsafe code to watch: so a stable compiler will do.
fn fuzz(target: &str, time: Duration) -> Command {
    let build = crate::target_dir().join("fuzz");
    let found = build.join("corpus").join(target);
    let kept = crate::root().join("fuzz/corpus").join(target);
    // libFuzzer writes there, but makes no directory.
    if let Err(error) = std::fs::create_dir_all(&found) {
        eprintln!("{}: {error}", found.display());
    }
    let mut command = cargo(&["fuzz", "run", "--sanitizer", "none", "--target-dir"]);
    command.arg(build).arg(target).args([found, kept]).args(["--", "-max_len=600", "-verbosity=0"]);
    command.arg(format!("-max_total_time={}", time.as_secs()));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_inputs_that_are_kept() {
        let targets = targets();
        assert!(targets.len() >= 6, "{targets:?}");
        for target in targets {
            let kept = crate::root().join("fuzz/corpus").join(&target);
            assert!(kept.read_dir().is_ok_and(|files| files.count() > 0), "{target}");
        }
    }
}
