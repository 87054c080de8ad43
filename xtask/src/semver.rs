//! `cargo xtask semver`: holds the libraries against the semantic versioning of their last release.

use std::process::{Command, ExitCode, Stdio};

use crate::command::{exit_code, succeeds_quietly};
use crate::{step, tools, workspace};

/// The libraries, each in a directory of its name under `crates`.
const LIBRARIES: [&str; 2] = ["cachecompress", "cachecompress-build"];

/// Compares the libraries with `revision`, or with the newest tag `v*`.
pub(crate) fn run(revision: Option<&str>) -> ExitCode {
    let Some(revision) = revision.map(String::from).or_else(last_release) else {
        println!(
            "There is no release yet, so nothing can break. `--since REVISION` names another."
        );
        return ExitCode::SUCCESS;
    };
    let (old, new): (Vec<_>, Vec<_>) = LIBRARIES.iter().partition(|name| has(&revision, name));
    for name in new {
        println!("{name} is not in {revision}, so nothing in it can break.");
    }
    if old.is_empty() {
        eprintln!("There is nothing to compare with in {revision}.");
        return ExitCode::FAILURE;
    }
    let bin = match tools::install_crates(&["cargo-semver-checks@0.51.0"]) {
        Ok(bin) => bin,
        Err(sentence) => {
            eprintln!("{sentence}");
            return ExitCode::FAILURE;
        }
    };
    let mut check = Command::new(bin.join("cargo-semver-checks"));
    check.args(["semver-checks", "--all-features", "--baseline-rev", &revision]);
    for name in old {
        check.args(["--package", name]);
    }
    check.current_dir(workspace::root()).stdin(Stdio::null());
    exit_code(step::run("semantic versioning", vec![check]).ok)
}

/// Whether `revision` has the package `name`. cargo-semver-checks fails for one that it does not find there.
fn has(revision: &str, name: &str) -> bool {
    let manifest = format!("{revision}:crates/{name}/Cargo.toml");
    let mut find = Command::new("git");
    succeeds_quietly(find.args(["cat-file", "-e", &manifest]).current_dir(workspace::root()))
}

/// The newest tag of a release that the present commit builds on.
fn last_release() -> Option<String> {
    let mut describe = Command::new("git");
    describe.args(["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]);
    let output = describe.current_dir(workspace::root()).stderr(Stdio::null()).output().ok()?;
    let tag = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !tag.is_empty()).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_finds_the_packages_of_a_revision() {
        for name in LIBRARIES {
            assert!(has("HEAD", name), "{name}");
        }
        assert!(!has("HEAD", "no-such-package"));
        assert!(!has("no-such-revision", "cachecompress"));
    }
}
