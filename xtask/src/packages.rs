//! `cargo xtask packages`: the packages, made, installed and run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::command::{cargo, exit_code};
use crate::step::{self, StepResult};
use crate::tools::{self, PACKAGES, Tools};
use crate::{fence, workspace};

/// The file of each shell's completions, by the name under which the shell looks for it.
const COMPLETIONS: [(&str, &str); 3] =
    [("bash", "cachecompress"), ("zsh", "_cachecompress"), ("fish", "cachecompress.fish")];

/// Makes the packages of `program`, or of a new build as it is shipped, and runs their tests.
pub(crate) fn run(program: Option<&str>) -> ExitCode {
    let tools = Tools::find_for(&[PACKAGES]).install();
    let built = program.is_some() || fence::build().end().ok;
    let program = program.map_or_else(fence::program, PathBuf::from);
    let made = match built {
        true => prepare(&program).and_then(|()| makers()),
        false => Err("the program does not build".into()),
    };
    let mut results = Vec::new();
    match made {
        Ok(makers) => {
            results.push(step::run("packages", makers));
            results.push(step::run("tests of packages", vec![tools.tell(tests())]));
            results.push(step::run("crates", vec![publish()]));
        }
        Err(sentence) => println!("FAILED {sentence}"),
    }
    let missing = tools.missing();
    for sentence in &missing {
        println!("SKIPPED {sentence}");
    }
    let ok = !results.is_empty() && results.iter().all(|result: &StepResult| result.ok);
    if let Some(tests) = results.get(1) {
        println!("{}", tests.totals);
    }
    exit_code(ok)
}

fn dir() -> PathBuf {
    workspace::root().join(workspace::target_dir()).join("packages")
}

/// Lays out the program, its man pages and its completions as a directory of builds, where both tools
/// look for them.
fn prepare(program: &Path) -> Result<(), String> {
    let dir = dir();
    let build = dir.join(workspace::SHIPPED);
    let explained = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(|error| explained(&dir, error))?;
    }
    for name in ["man", "man-gz", "completions"] {
        let inner = build.join(name);
        fs::create_dir_all(&inner).map_err(|error| explained(&inner, error))?;
    }
    let out = dir.join("out");
    fs::create_dir_all(&out).map_err(|error| explained(&out, error))?;
    let copy = build.join("cachecompress");
    fs::copy(program, &copy).map_err(|error| explained(program, error))?;
    generate(&copy, &["man", &build.join("man").to_string_lossy()])?;
    generate(&copy, &["man", &build.join("man-gz").to_string_lossy()])?;
    compress_pages(&build.join("man-gz"))?;
    for (shell, file) in COMPLETIONS {
        let script = generate(&copy, &["completions", shell])?;
        let file = build.join("completions").join(file);
        fs::write(&file, script).map_err(|error| explained(&file, error))?;
    }
    Ok(())
}

fn generate(program: &Path, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program);
    command.arg("generate").args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
    let done = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    match done.status.success() {
        true => Ok(done.stdout),
        false => Err(format!("`generate {}` failed: {}", arguments.join(" "), done.status)),
    }
}

/// Compresses the man pages of a directory, as Debian and Fedora have them. Without names and times in
/// them, the same pages are the same files.
fn compress_pages(dir: &Path) -> Result<(), String> {
    let explained = |error: std::io::Error| format!("{}: {error}", dir.display());
    let pages = fs::read_dir(dir).map_err(explained)?.map(|page| page.map(|page| page.path()));
    let pages = pages.collect::<Result<Vec<_>, _>>().map_err(explained)?;
    let done = Command::new("gzip").arg("-9n").args(pages).status();
    match done.map_err(|error| format!("gzip: {error}"))?.success() {
        true => Ok(()),
        false => Err(format!("gzip fails on the man pages in {}", dir.display())),
    }
}

/// The commands that make the packages, whose tools are installed.
fn makers() -> Result<Vec<Command>, String> {
    let bin = tools::install_crates(&["cargo-deb@3.8.0", "cargo-generate-rpm@0.21.1"])?;
    let target = dir();
    let out = target.join("out");
    let mut deb = Command::new(bin.join("cargo-deb"));
    deb.args(["--no-build", "--no-strip", "--package", "cachecompress-server", "--profile"]);
    deb.arg(workspace::SHIPPED).arg("--output").arg(&out).env("CARGO_TARGET_DIR", &target);
    let mut rpm = Command::new(bin.join("cargo-generate-rpm"));
    rpm.args(["--package", "crates/cachecompress-server", "--profile", workspace::SHIPPED]);
    rpm.arg("--target-dir").arg(&target).arg("--output").arg(out.join("cachecompress.rpm"));
    for command in [&mut deb, &mut rpm] {
        command.current_dir(workspace::root()).stdin(Stdio::null());
    }
    Ok(vec![deb, rpm])
}

/// Packs the crates and builds them of what is packed. Publishes nothing.
///
/// A packed crate knows no workspace. With the workspace's profile its dependencies need not be built a
/// second time.
fn publish() -> Command {
    let packages = ["cachecompress", "cachecompress-build", "cachecompress-server"];
    let mut command = cargo(&["publish", "--dry-run", "--locked", "--quiet"]);
    for package in packages {
        let is_plain = format!("profile.dev.package.{package}.opt-level=0");
        command.args(["--package", package, "--config", &is_plain]);
    }
    for setting in ["opt-level=3", "package.\"*\".debug=false"] {
        command.args(["--config", &format!("profile.dev.{setting}")]);
    }
    command
}

/// The tests of the packages, with the features of all other builds of tests.
fn tests() -> Command {
    let selection = ["--workspace", "--all-features", "--test", "packages", "--no-fail-fast"];
    cargo(&[&["test"], &selection[..]].concat())
}
