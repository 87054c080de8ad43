//! The npm packages, installed from their tarballs.

use std::process::Command;

use cachecompress_test::tools::{packaged, require};
use tempfile::TempDir;

use crate::common::*;
use crate::{repository, stdout};

/// A project that has the packages, packed from the program and installed without the registry.
fn project() -> Option<TempDir> {
    let (node, npm) = require("node").zip(require("npm"))?;
    let program = packaged()?.join("cachecompress");
    let project = tempfile::tempdir().unwrap();
    let packed = project.path().join("packed");
    let platform =
        stdout(Command::new(&node).args(["-p", "`${process.platform}-${process.arch}`"]));
    let mut pack = Command::new(&node);
    pack.arg(repository().join("deploy/npm/pack.mjs")).arg(&packed).arg(env!("CARGO_PKG_VERSION"));
    stdout(pack.arg(format!("{}={}", platform.trim(), program.display())));
    fs::write(project.path().join("package.json"), r#"{ "name": "site", "private": true }"#)
        .unwrap();
    let mut install = Command::new(npm);
    install.args(["install", "--offline", "--no-audit", "--no-fund"]).current_dir(&project);
    let tarballs = fs::read_dir(&packed).unwrap().map(|entry| entry.unwrap().path());
    install.args(tarballs.filter(|path| path.extension().is_some_and(|found| found == "tgz")));
    stdout(&mut install);
    Some(project)
}

#[test]
fn npx_runs_the_program_of_the_platform() {
    let Some(project) = project() else { return };
    let version =
        stdout(Command::new("npx").args(["cachecompress", "--version"]).current_dir(&project));
    assert_eq!(version.trim(), concat!("cachecompress ", env!("CARGO_PKG_VERSION")));
    let missing = Command::new("npx")
        .args(["cachecompress", "verify", "--cache-dir", "no-such-cache"])
        .current_dir(&project)
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
}

/// The step of the GitHub Action, which finds the installed packages where it would fetch them.
#[test]
fn action_exports_a_site() {
    let Some(project) = project() else { return };
    let site = Site::with("a.js", &site::text(9, 20_000));
    let mut action = Command::new("bash");
    action.arg(repository().join("deploy/action/warm.sh")).current_dir(&project);
    action.env("SITE", site.path()).env("CODINGS", "br,gzip");
    stdout(action.env("CACHE", project.path().join("cache")));
    for (name, exists) in [("a.js.br", true), ("a.js.gz", true), ("a.js.zst", false)] {
        assert_eq!(site.path().join(name).exists(), exists, "{name}");
    }
}

#[test]
fn wrapper_passes_signals_on() {
    let Some(project) = project() else { return };
    let site = Site::with("a.txt", &site::text(8, 10_000));
    let wrapper = project.path().join("node_modules/.bin/cachecompress");
    let mut server = Launch::new(wrapper, site.path()).args(PATIENT).start();
    assert_eq!(server.fetch(&Request::get("/a.txt").accept("gzip")).coding(), "gzip");
    let cache = server.cache();
    server.stop();
    let mut verify = Command::new("npx");
    verify.args(["cachecompress", "verify", "--cache-dir"]).arg(cache).current_dir(&project);
    assert!(stdout(&mut verify).contains(": 1 whole"));
}

#[test]
fn wrapper_without_its_program_says_so() {
    let Some(project) = project() else { return };
    fs::remove_dir_all(project.path().join("node_modules/@cachecompress")).unwrap();
    let wrapper = project.path().join("node_modules/.bin/cachecompress");
    let done = Command::new(wrapper).arg("--version").output().unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("@cachecompress/") && stderr.contains("--omit=optional"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
