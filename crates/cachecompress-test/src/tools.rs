//! Programs and files from outside that some tests need.
//!
//! `cargo xtask test` finds the calls of these functions in the sources, installs the named tools
//! where it may, and passes their paths to the tests. A test needs only `require("nginx")`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Azurite's server for blobs, in the directory where npm installs it.
const AZURITE: &str = "node_modules/azurite/dist/src/blob/main.js";

/// The path of the program `tool`. If it is missing, prints a loud `SKIPPED` line and returns
/// `None`.
///
/// A test that gets `None` returns. The places of the search are the variable
/// `CACHECOMPRESS_TEST_<TOOL>`, the installations of earlier `cargo xtask test` runs, and the
/// `PATH`. `redbot`, `schemathesis`, `pydata`, `linters` and `seaweedfs` are Pythons with the packages of
/// `tests/{redbot,schemathesis,clients,packages,seaweedfs}/requirements.txt`; the last has its program
/// `weed` beside it. `axe-core` is a script for browsers, and `azurite` one for `node`.
///
/// # Panics
///
/// If the tool is missing and `CI=true`, because a skip is a failure there.
#[must_use]
#[track_caller]
pub fn require(tool: &str) -> Option<PathBuf> {
    let installed = match tool {
        "redbot" | "schemathesis" | "pydata" | "linters" | "seaweedfs" => {
            Some(target_dir().join(format!("tools/{tool}/bin/python")))
        }
        "axe-core" => Some(target_dir().join("tools/axe-core/axe.min.js")),
        "azurite" => Some(target_dir().join("tools/azurite").join(AZURITE)),
        _ => None,
    };
    found(tool, installed.filter(|path| path.exists()).or_else(|| on_path(tool)))
}

/// The directory of real input: npm packages, each in `<name>-<version>`. If it has not been
/// fetched, prints a loud `SKIPPED` line and returns `None`.
///
/// # Panics
///
/// If it is missing and `CI=true`.
#[must_use]
#[track_caller]
pub fn corpus() -> Option<PathBuf> {
    // An interrupted fetch leaves `unfinished` behind.
    let fetched = Some(target_dir().join("corpus"))
        .filter(|dir| dir.is_dir() && !dir.join("unfinished").exists());
    found("corpus", fetched)
}

/// The site that `cargo xtask sites` has built in `directory`. If it is missing, prints a loud
/// `SKIPPED` line and returns `None`.
///
/// # Panics
///
/// If it is missing and `CI=true`.
#[must_use]
#[track_caller]
pub fn built_site(directory: &str) -> Option<PathBuf> {
    let path = target_dir().join("sites").join(directory);
    if !path.is_dir() {
        skip(directory, std::env::var_os("CI").is_some_and(|value| value == "true"));
        return None;
    }
    Some(path)
}

/// The package with this extension that `cargo xtask packages` has made. If it is missing, prints a
/// loud `SKIPPED` line and returns `None`.
///
/// # Panics
///
/// If it is missing and `CI=true`.
#[must_use]
#[track_caller]
pub fn built_package(extension: &str) -> Option<PathBuf> {
    let made = std::fs::read_dir(packages_dir().join("out")).into_iter().flatten().flatten();
    let mut made = made.map(|entry| entry.path());
    let package = made.find(|path| path.extension().is_some_and(|found| found == extension));
    made_by("packages", extension, package)
}

/// The directory with the program, its man pages and its completions of which `cargo xtask packages`
/// makes the packages. If it is missing, prints a loud `SKIPPED` line and returns `None`.
///
/// # Panics
///
/// If it is missing and `CI=true`.
#[must_use]
#[track_caller]
pub fn packaged() -> Option<PathBuf> {
    made_by("packages", "the program", Some(packages_dir().join("dist")).filter(|dir| dir.is_dir()))
}

/// The program of the store Garage, `CACHECOMPRESS_TEST_GARAGE`, which `cargo xtask fleet --garage` builds in
/// minutes. If it is missing, prints a loud `SKIPPED` line and returns `None`.
///
/// # Panics
///
/// If it is missing and `CI=true`.
#[must_use]
#[track_caller]
pub fn garage() -> Option<PathBuf> {
    let built = std::env::var_os("CACHECOMPRESS_TEST_GARAGE").map(PathBuf::from);
    made_by("fleet --garage", "garage", built)
}

#[track_caller]
fn made_by(chore: &str, name: &str, made: Option<PathBuf>) -> Option<PathBuf> {
    if made.is_none() {
        skip_for(chore, name, std::env::var_os("CI").is_some_and(|value| value == "true"));
    }
    made
}

fn packages_dir() -> PathBuf {
    target_dir().join("packages")
}

/// The shipped program, `CACHECOMPRESS_TEST_SHIPPED`. If it has not been built, prints a loud
/// `SKIPPED` line and returns `None`.
///
/// The search has no other place, because a program found elsewhere may be an older build.
///
/// # Panics
///
/// If it is missing and `CI=true`.
#[must_use]
#[track_caller]
pub fn shipped() -> Option<PathBuf> {
    found("shipped", None)
}

#[track_caller]
fn found(name: &str, candidate: Option<PathBuf>) -> Option<PathBuf> {
    let variable = format!("CACHECOMPRESS_TEST_{}", name.to_uppercase().replace('-', "_"));
    let path = std::env::var_os(&variable).map(PathBuf::from).or(candidate);
    if path.is_none() {
        skip(name, std::env::var_os("CI").is_some_and(|value| value == "true"));
    }
    path
}

#[track_caller]
fn skip(name: &str, ci: bool) {
    skip_for("test", name, ci);
}

#[track_caller]
fn skip_for(chore: &str, name: &str, ci: bool) {
    let place = std::panic::Location::caller();
    let sentence = format!("SKIPPED {place}: needs {name}; `cargo xtask {chore}` sees to it");
    assert!(!ci, "{sentence}");
    // The test runner captures `eprintln!` of a passing test.
    drop(writeln!(std::io::stderr(), "\n{sentence}"));
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Servers lie in directories that only root has on its path.
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

fn target_dir() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(own, PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_path_finds_programs() {
        assert!(on_path("sh").is_some_and(|path| path.is_absolute()));
        assert!(on_path("no-such-program-anywhere").is_none());
    }

    #[test]
    #[should_panic(expected = "needs no-such-program")]
    fn skip_fails_in_ci() {
        skip("no-such-program", true);
    }
}
