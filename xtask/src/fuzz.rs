//! `cargo xtask fuzz`: runs every target of `fuzz/` over the kept inputs.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::command::{self, cargo, exit_code};
use crate::step::{self, StepResult};
use crate::workspace;

/// The time of a target in `cargo xtask test`: enough for the kept inputs and their neighbours.
pub(crate) const SHORT: Duration = Duration::from_secs(5);

/// Runs all targets for `time` each.
pub(crate) fn run(time: Duration) -> ExitCode {
    if let Err(sentence) = install() {
        eprintln!("Cannot fuzz: {sentence}");
        return ExitCode::FAILURE;
    }
    exit_code(run_step(time).ok)
}

/// As [`run`], as one step of a longer chore.
pub(crate) fn run_step(time: Duration) -> StepResult {
    step::run("fuzzing", targets().iter().map(|target| fuzz(target, time)).collect())
}

/// Installs cargo-fuzz where it is missing.
///
/// # Errors
///
/// One sentence, where that fails.
pub(crate) fn install() -> Result<(), String> {
    if command::succeeds_quietly(&mut cargo(&["fuzz", "--version"])) {
        return Ok(());
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    command::run(&[&cargo, "install", "--quiet", "--locked", "cargo-fuzz"])
        .map_err(|why| format!("cargo-fuzz is not there and cannot be installed ({why})"))
}

/// The names of the targets.
fn targets() -> Vec<String> {
    let dir = workspace::root().join("fuzz/fuzz_targets");
    let files = std::fs::read_dir(dir).into_iter().flatten();
    let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut names: Vec<_> = files.flatten().filter_map(|file| stem(file.path())).collect();
    names.sort_unstable();
    names
}

/// The command of one target. New inputs go to `target/`; the kept ones are only read.
///
/// It uses no sanitizer, since there is no unsafe code to watch; a stable compiler suffices.
fn fuzz(target: &str, time: Duration) -> Command {
    let build = workspace::target_dir().join("fuzz");
    let found = build.join("corpus").join(target);
    let kept = workspace::root().join("fuzz/corpus").join(target);
    // libFuzzer does not create the directory that it writes to.
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
    fn targets_have_kept_inputs() {
        let targets = targets();
        assert!(targets.len() >= 6, "{targets:?}");
        for target in targets {
            let kept = workspace::root().join("fuzz/corpus").join(&target);
            assert!(kept.read_dir().is_ok_and(|files| files.count() > 0), "{target}");
        }
    }
}
