//! `cargo xtask semver`: holds the libraries against the semantic versioning of their last release.

use std::process::{Command, ExitCode, Stdio};

use crate::command::exit_code;
use crate::{step, tools, workspace};

/// Compares the libraries with `revision`, or with the newest tag `v*`.
pub(crate) fn run(revision: Option<&str>) -> ExitCode {
    let Some(revision) = revision.map(String::from).or_else(last_release) else {
        println!(
            "There is no release yet, so nothing can break. `--since REVISION` names another."
        );
        return ExitCode::SUCCESS;
    };
    let bin = match tools::install_crates(&["cargo-semver-checks@0.51.0"]) {
        Ok(bin) => bin,
        Err(sentence) => {
            eprintln!("{sentence}");
            return ExitCode::FAILURE;
        }
    };
    let mut check = Command::new(bin.join("cargo-semver-checks"));
    check.args(["semver-checks", "--package", "cachecompress", "--package", "cachecompress-build"]);
    check.arg("--all-features");
    check.args(["--baseline-rev", &revision]).current_dir(workspace::root()).stdin(Stdio::null());
    exit_code(step::run("semantic versioning", vec![check]).ok)
}

/// The newest tag of a release that the present commit builds on.
fn last_release() -> Option<String> {
    let mut describe = Command::new("git");
    describe.args(["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]);
    let output = describe.current_dir(workspace::root()).stderr(Stdio::null()).output().ok()?;
    let tag = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !tag.is_empty()).then_some(tag)
}
