//! `cargo xtask test`: every check that a commit must pass.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::command::{cargo, exit_code};
use crate::step::{self, Begun, StepResult, verdict};
use crate::tools::Tools;
use crate::totals::Totals;
use crate::{book, fence, fuzz, soak, workspace};

/// The amount of testing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All steps.
    Full,
    /// The steps that need nothing from outside, on this platform's own code paths.
    Quick,
}

/// The features, which are also checked one at a time.
const FEATURES: [&str; 8] =
    ["gzip", "brotli", "zstd", "rust-embed", "include-dir", "sendfile", "axum", "tier"];

/// The example whose build script encodes. It is a workspace of its own.
const EMBEDDED_UI: &str = "examples/embedded-ui/Cargo.toml";

/// Runs every step, also those after a failed one, and prints the summary.
pub(crate) fn run(scope: Scope) -> ExitCode {
    let start = Instant::now();
    let tools = match scope {
        Scope::Full => Tools::find().install(),
        Scope::Quick => Tools::find(),
    };
    let tests = match scope {
        Scope::Full => fence::for_shipped(soak::for_a_minute(all_tests())),
        Scope::Quick => all_tests(),
    };
    let mut missing = tools.missing();
    // Its last minutes need one core, as these checks do. Tests do not run beside it.
    let shipped = (scope == Scope::Full).then(fence::build);
    let mut results = vec![
        step::run("formatting", formatting()),
        step::run("lints", lints()),
        step::run("each feature alone", feature_checks()),
        step::run("documentation", vec![documentation()]),
    ];
    results.extend(shipped.map(Begun::end));
    results.push(step::run("tests", vec![tools.tell(tests)]));
    if scope == Scope::Full {
        match book::run_step() {
            Ok(result) => results.push(result),
            Err(sentence) => missing.push(format!("the book: {sentence}")),
        }
        results.push(step::run("the embedded user interface", vec![embedded_ui()]));
        results.push(step::run("portable fallbacks", vec![tools.tell(portable_tests())]));
        match fuzz::install() {
            Ok(()) => results.push(fuzz::run_step(fuzz::SHORT)),
            Err(sentence) => missing.push(format!("fuzzing: {sentence}")),
        }
    }
    finish(&results, &missing, start.elapsed())
}

/// All targets, and those that only `cargo xtask clients`, `sites` and `packages` test: `--all-targets`
/// leaves them out.
///
/// Both select the whole workspace. A single package has other features of its dependencies, which would
/// be checked a second time.
fn lints() -> Vec<Command> {
    let workspace = ["--workspace", "--all-features"];
    let large = ["--test", "large_clients", "--test", "real_sites", "--test", "packages"];
    let selections = [&["--all-targets"][..], &large];
    selections.iter().map(|targets| clippy(&[&workspace, *targets].concat())).collect()
}

fn clippy(selection: &[&str]) -> Command {
    let mut command = cargo(&["clippy", "--quiet"]);
    command.args(selection).args(["--", "-D", "warnings"]);
    command
}

fn formatting() -> Vec<Command> {
    let of_example = ["fmt", "--manifest-path", EMBEDDED_UI, "--check"];
    vec![cargo(&["fmt", "--all", "--check"]), cargo(&of_example)]
}

/// The library with no feature, then with each one alone; the crate for build scripts, whose features are the
/// library's, with none; and the program as it is released, since the lints and the tests have it with all.
fn feature_checks() -> Vec<Command> {
    let program = clippy(&["--package", "cachecompress-server", "--bins"]);
    let bare = |package| ["--package", package, "--lib", "--no-default-features"];
    let alone = FEATURES.iter().map(|feature| {
        let mut selection = bare("cachecompress").to_vec();
        selection.extend(["--features", feature]);
        clippy(&selection)
    });
    let bare = ["cachecompress", "cachecompress-build"].map(|package| clippy(&bare(package)));
    bare.into_iter().chain(alone).chain([program]).collect()
}

/// The tests of the example whose user interface is encoded by its build script.
fn embedded_ui() -> Command {
    let target = workspace::target_dir().join("embedded-ui");
    let mut test = cargo(&["test", "--quiet", "--manifest-path", EMBEDDED_UI, "--target-dir"]);
    test.arg(target);
    test
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

/// The library's tests over the fallbacks that macOS and Windows get in place of Linux's calls.
///
/// The flag goes to this workspace's crates alone (`portable::rustc`). `RUSTFLAGS` would build
/// every dependency a second time, and an optimised brotli takes minutes. So would the library's features
/// of dependencies. Those of these three packages are the workspace's, and no target of the others is built.
fn portable_tests() -> Command {
    let mut command = cargo(&["test", "--lib", "--test", "portable", "--test", "allocations"]);
    for package in ["cachecompress", "cachecompress-server", "cachecompress-bench"] {
        command.args(["--package", package]);
    }
    command.args(["--all-features", "--no-fail-fast"]);
    if let Ok(this) = std::env::current_exe() {
        command.env("RUSTC_WORKSPACE_WRAPPER", this);
    }
    command
}

/// Prints the summary; its last line is the totals.
fn finish(results: &[StepResult], missing: &[String], time: Duration) -> ExitCode {
    for result in results.iter().filter(|result| !result.failures.is_empty()) {
        println!("\n=== failures in: {}", result.name);
        println!("{}", result.failures.join("\n"));
    }
    println!("\n=== summary");
    for result in results {
        let StepResult { name, ok, time, totals, .. } = result;
        print!("{:>8.1} s  {:6}  {name}", time.as_secs_f64(), verdict(*ok));
        println!("{}", if totals.passed > 0 { format!(" ({totals})") } else { String::new() });
    }
    println!("{:>8.1} s  in all", time.as_secs_f64());
    for sentence in missing {
        println!("SKIPPED {sentence}");
    }
    let (totals, ok) = judge(results, missing.len(), in_ci());
    if in_ci() && totals.skipped > 0 {
        println!("With CI=true a skipped or ignored test is a failure.");
    }
    println!("{totals}");
    exit_code(ok)
}

/// Whether CI runs this; a skip is a failure there.
fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// The totals, and whether the run is a success.
///
/// A step that failed without a failing test (a lint, a build) counts as one failure, so that the
/// last line agrees with the exit code. A run without a single test is a failure.
fn judge(results: &[StepResult], missing: usize, ci: bool) -> (Totals, bool) {
    let mut totals = Totals::default();
    for result in results {
        totals.add(result.totals);
        if !result.ok && result.totals.failed == 0 {
            totals.failed += 1;
        }
    }
    if ci {
        totals.failed += missing as u64;
    }
    let skip_counts = ci && totals.skipped > 0;
    let ok = totals.failed == 0 && totals.passed > 0 && !skip_counts;
    (totals, ok && results.iter().all(|result| result.ok))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(ok: bool, passed: u64, failed: u64, skipped: u64) -> StepResult {
        let totals = Totals { passed, failed, skipped };
        StepResult { name: "a step", ok, time: Duration::ZERO, totals, failures: Vec::new() }
    }

    #[test]
    fn judge_passes_without_failures() {
        let (totals, ok) = judge(&[result(true, 0, 0, 0), result(true, 5, 0, 0)], 0, true);
        assert!(ok);
        assert_eq!(totals.to_string(), "5 passed, 0 failed");
    }

    #[test]
    fn judge_counts_a_failed_lint() {
        let (totals, ok) = judge(&[result(false, 0, 0, 0), result(true, 5, 0, 0)], 0, false);
        assert!(!ok);
        assert_eq!(totals.to_string(), "5 passed, 1 failed");
    }

    #[test]
    fn judge_counts_a_failed_test_once() {
        let (totals, ok) = judge(&[result(false, 4, 2, 0)], 0, false);
        assert!(!ok);
        assert_eq!(totals.failed, 2);
    }

    #[test]
    fn judge_fails_a_run_without_tests() {
        assert!(!judge(&[result(true, 0, 0, 0)], 0, false).1);
    }

    #[test]
    fn judge_fails_a_skip_in_ci_only() {
        let results = [result(true, 5, 0, 1)];
        assert!(judge(&results, 1, false).1);
        assert!(!judge(&results, 0, true).1);
        let (totals, ok) = judge(&[result(true, 5, 0, 0)], 1, true);
        assert!(!ok);
        assert_eq!(totals.failed, 1);
    }
}
