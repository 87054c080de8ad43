//! `cargo xtask test`: everything that must hold before a commit.

use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::fence;
use crate::fuzz;
use crate::step::{self, Outcome, cargo, verdict};
use crate::tools::Tools;
use crate::totals::Totals;

/// How much is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Full,
    /// What needs nothing from outside, on this platform's own code paths only.
    Quick,
}

/// Every coding and source that can be switched off, alone.
const FEATURES: [&str; 7] =
    ["gzip", "brotli", "zstd", "rust-embed", "include-dir", "sendfile", "axum"];

/// Runs every step, whatever became of those before it, and says how it all went.
pub(crate) fn run(extent: Extent) -> ExitCode {
    let tools = match extent {
        Extent::Full => Tools::find().install(),
        Extent::Quick => Tools::find(),
    };
    let tests = match extent {
        Extent::Full => fence::for_shipped(crate::soak::for_a_minute(all_tests())),
        Extent::Quick => all_tests(),
    };
    let mut missing = tools.missing();
    let mut outcomes = vec![
        step::run("formatting", vec![cargo(&["fmt", "--all", "--check"])]),
        step::run("lints", vec![clippy(&["--workspace", "--all-targets", "--all-features"])]),
        step::run("each feature alone", feature_checks()),
    ];
    if extent == Extent::Full {
        outcomes.push(fence::build());
    }
    outcomes.push(step::run("tests", vec![tools.tell(tests)]));
    outcomes.push(step::run("documentation", vec![documentation()]));
    if extent == Extent::Full {
        outcomes.push(step::run("portable fallbacks", vec![tools.tell(portable_tests())]));
        match fuzz::install() {
            Ok(()) => outcomes.push(fuzz::run_step(fuzz::SHORT)),
            Err(sentence) => missing.push(format!("fuzzing: {sentence}")),
        }
    }
    finish(&outcomes, &missing)
}

fn clippy(selection: &[&str]) -> Command {
    let mut command = cargo(&["clippy", "--quiet"]);
    command.args(selection).args(["--", "-D", "warnings"]);
    command
}

/// The library with no feature, then with each one alone.
fn feature_checks() -> Vec<Command> {
    let bare = ["--package", "cachecompress", "--lib", "--no-default-features"];
    let alone = FEATURES.iter().map(|feature| {
        let mut selection = bare.to_vec();
        selection.extend(["--features", feature]);
        clippy(&selection)
    });
    std::iter::once(clippy(&bare)).chain(alone).collect()
}

/// Unit, integration and doc tests of every package.
fn all_tests() -> Command {
    cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"])
}

fn documentation() -> Command {
    // `--lib`: the program has the library's name, and the two pages would overwrite each other.
    let mut command = cargo(&["doc", "--quiet", "--no-deps", "--workspace", "--all-features"]);
    command.arg("--lib").env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// The library's tests over what macOS and Windows get instead of Linux's own calls.
///
/// The flag goes to this workspace's crates alone (`portable::rustc`): `RUSTFLAGS` would build
/// every dependency a second time, and an optimised brotli takes minutes.
fn portable_tests() -> Command {
    let mut command = cargo(&["test", "--package", "cachecompress", "--lib", "--tests"]);
    command.args(["--all-features", "--no-fail-fast"]);
    if let Ok(this) = std::env::current_exe() {
        command.env("RUSTC_WORKSPACE_WRAPPER", this);
    }
    command
}

/// Prints the summary; its last line is the totals.
fn finish(outcomes: &[Outcome], missing: &[String]) -> ExitCode {
    println!("\n=== summary");
    for outcome in outcomes {
        let Outcome { name, ok, time, totals } = outcome;
        print!("{:>8.1} s  {:6}  {name}", time.as_secs_f64(), verdict(*ok));
        println!("{}", if totals.passed > 0 { format!(" ({totals})") } else { String::new() });
    }
    let whole: Duration = outcomes.iter().map(|outcome| outcome.time).sum();
    println!("{:>8.1} s  in all", whole.as_secs_f64());
    for sentence in missing {
        println!("SKIPPED {sentence}");
    }
    let (totals, ok) = judge(outcomes, missing.len(), crate::in_ci());
    if crate::in_ci() && totals.skipped > 0 {
        println!("With CI=true what is skipped or ignored is a failure.");
    }
    println!("{totals}");
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The totals, and whether all is well.
///
/// A step that failed without a failing test (a lint, a build) counts as one failure, so that the
/// last line never reads better than the exit code. A run without a single test is a failure too.
fn judge(outcomes: &[Outcome], missing: usize, ci: bool) -> (Totals, bool) {
    let mut totals = Totals::default();
    for outcome in outcomes {
        totals.add(outcome.totals);
        if !outcome.ok && outcome.totals.failed == 0 {
            totals.failed += 1;
        }
    }
    if ci {
        totals.failed += missing as u64;
    }
    let skip_counts = ci && totals.skipped > 0;
    let ok = totals.failed == 0 && totals.passed > 0 && !skip_counts;
    (totals, ok && outcomes.iter().all(|outcome| outcome.ok))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(ok: bool, passed: u64, failed: u64, skipped: u64) -> Outcome {
        let totals = Totals { passed, failed, skipped };
        Outcome { name: "a step", ok, time: Duration::ZERO, totals }
    }

    #[test]
    fn all_well() {
        let (totals, ok) = judge(&[outcome(true, 0, 0, 0), outcome(true, 5, 0, 0)], 0, true);
        assert!(ok);
        assert_eq!(totals.to_string(), "5 passed, 0 failed");
    }

    #[test]
    fn a_failed_lint_shows_in_the_totals() {
        let (totals, ok) = judge(&[outcome(false, 0, 0, 0), outcome(true, 5, 0, 0)], 0, false);
        assert!(!ok);
        assert_eq!(totals.to_string(), "5 passed, 1 failed");
    }

    #[test]
    fn a_failed_test_counts_once() {
        let (totals, ok) = judge(&[outcome(false, 4, 2, 0)], 0, false);
        assert!(!ok);
        assert_eq!(totals.failed, 2);
    }

    #[test]
    fn a_run_without_tests_is_a_failure() {
        assert!(!judge(&[outcome(true, 0, 0, 0)], 0, false).1);
    }

    #[test]
    fn a_skip_is_a_failure_in_ci_only() {
        let outcomes = [outcome(true, 5, 0, 1)];
        assert!(judge(&outcomes, 1, false).1);
        assert!(!judge(&outcomes, 0, true).1);
        let (totals, ok) = judge(&[outcome(true, 5, 0, 0)], 1, true);
        assert!(!ok);
        assert_eq!(totals.failed, 1);
    }
}
