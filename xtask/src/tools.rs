//! The outside tools that tests ask for: found where they are, installed where that is allowed.
//!
//! Which tools those are is not listed here: whatever stands as `require("…")` in the sources of
//! `crates/` is needed. This table knows only where each one comes from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::corpus;

/// Debian's package for each program; a program that is not here has a package of its own name.
const PACKAGES: [(&str, &[&str]); 5] = [
    ("chromedriver", &["chromium-driver"]),
    ("node", &["nodejs"]),
    ("python3", &["python3", "python3-venv"]),
    ("h2load", &["nghttp2-client"]),
    ("fincore", &["util-linux-extra"]),
];

/// What tests need from outside, and what of it there is.
#[derive(Debug)]
pub(crate) struct Tools {
    needed: BTreeSet<String>,
}

/// Not a program but a set of files: see [`corpus`].
const CORPUS: &str = "corpus";
/// Not a Debian package but one of PyPI.
const REDBOT: &str = "redbot";

impl Tools {
    /// What there is, without installing anything.
    pub(crate) fn find() -> Self {
        Self::find_for("crates")
    }

    /// As [`find`](Self::find), for the tests in one directory of the workspace.
    pub(crate) fn find_for(dir: &str) -> Self {
        Self { needed: needed(&crate::root().join(dir)) }
    }

    /// Installs what is needed and missing, as far as this machine allows.
    pub(crate) fn install(self) -> Self {
        let words: Vec<&str> = self.needed.iter().map(String::as_str).collect();
        println!(
            "=== tools: {}",
            if words.is_empty() { "none needed".into() } else { words.join(" ") }
        );
        if let Err(sentence) = self.install_programs() {
            println!("    {sentence}");
        }
        if self.lacks(REDBOT)
            && let Err(sentence) = install_redbot()
        {
            println!("    redbot: {sentence}");
        }
        if self.lacks(CORPUS)
            && let Err(sentence) = corpus::fetch(&corpus_dir())
        {
            println!("    corpus: {sentence}");
        }
        self
    }

    /// Tells the tests in `command` where the tools are that are not on the `PATH`.
    pub(crate) fn tell(&self, mut command: Command) -> Command {
        for name in &self.needed {
            if let Some(path) = find(name).filter(|path| path.is_absolute()) {
                let variable = name.to_uppercase().replace('-', "_");
                command.env(format!("CACHECOMPRESS_TEST_{variable}"), path);
            }
        }
        command
    }

    /// One sentence for each tool that a test needs and that is not there.
    pub(crate) fn missing(&self) -> Vec<String> {
        let gone = self.needed.iter().filter(|name| find(name).is_none());
        gone.map(|name| format!("what needs {name}: {}", advice(name))).collect()
    }

    fn lacks(&self, name: &str) -> bool {
        self.needed.contains(name) && find(name).is_none()
    }

    /// Debian packages of the programs that are needed, also of those that other tools need.
    fn install_programs(&self) -> Result<(), String> {
        let mut programs: Vec<&str> = self.needed.iter().map(String::as_str).collect();
        programs.retain(|name| self.lacks(name) && ![CORPUS, REDBOT].contains(name));
        if self.lacks(REDBOT) && on_path("python3").is_none() {
            programs.push("python3");
        }
        if self.lacks(CORPUS) && on_path("npm").is_none() {
            programs.push("npm");
        }
        let packages: Vec<&str> = programs.iter().flat_map(|name| packages_of(name)).collect();
        apt_install(&packages)
    }
}

/// The path of the tool, if it is there.
fn find(name: &str) -> Option<PathBuf> {
    match name {
        CORPUS => Some(corpus_dir()).filter(|dir| corpus::is_whole(dir)),
        REDBOT => Some(redbot_python()).filter(|python| has_redbot(python)),
        program => on_path(program),
    }
}

fn advice(name: &str) -> String {
    match name {
        CORPUS => "install npm, and run this again".into(),
        REDBOT => "install python3 and python3-venv, and run this again".into(),
        program => format!("apt-get install {}", packages_of(program).join(" ")),
    }
}

fn packages_of(program: &str) -> Vec<&str> {
    let known = PACKAGES.iter().find(|(name, _)| *name == program);
    known.map_or_else(|| vec![program], |(_, packages)| packages.to_vec())
}

/// Every `name` that stands as `require("name")` in a source file under `dir`, and `corpus` where
/// one asks for that.
fn needed(dir: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files_under(dir) {
        // What `require` says about itself is no request.
        if path.ends_with("cachecompress-test/src/tools.rs") {
            continue;
        }
        names.extend(requests(&fs::read_to_string(&path).unwrap_or_default()));
    }
    names
}

fn requests(source: &str) -> BTreeSet<String> {
    let calls = source.split("require(\"").skip(1);
    let names = calls.filter_map(|rest| Some(rest.split_once("\")")?.0.to_owned()));
    let corpus = source.contains("tools::corpus()").then(|| CORPUS.to_owned());
    names.chain(corpus).collect()
}

/// The Rust sources under `dir`.
fn files_under(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files_under(&path),
            path if path.extension().is_some_and(|end| end == "rs") => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Servers live in directories that only root has on its path.
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

fn apt_install(packages: &[&str]) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }
    let apt = on_path("apt-get").ok_or("no apt-get here, so nothing is installed")?;
    let asker: &[&str] = if is_root() { &[] } else { &["sudo", "-n"] };
    if !is_root() && !succeeds(Command::new("sudo").args(["-n", "true"])) {
        return Err("not root and no sudo without a password, so nothing is installed".into());
    }
    let apt = apt.to_string_lossy();
    let start = [asker, &["env", "DEBIAN_FRONTEND=noninteractive", &apt, "-qq"]].concat();
    run(&[&start[..], &["update"]].concat())?;
    let install = ["install", "--yes", "--no-install-recommends"];
    run(&[&start[..], &install, packages].concat())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn redbot_python() -> PathBuf {
    crate::target_dir().join("tools/redbot/bin/python")
}

fn has_redbot(python: &Path) -> bool {
    succeeds(Command::new(python).args(["-c", "import redbot.resource, httplint"]))
}

/// A virtual environment with what `tests/redbot/requirements.txt` pins.
fn install_redbot() -> Result<(), String> {
    let dir = crate::target_dir().join("tools/redbot");
    let dir = dir.to_string_lossy();
    let venv = ["python3", "-m", "venv", "--clear", &dir];
    // Debian's python3 comes without the module that puts pip into a virtual environment.
    run(&venv).or_else(|_| apt_install(&["python3-venv"]).and_then(|()| run(&venv)))?;
    let requirements = crate::root().join("tests/redbot/requirements.txt");
    let python = redbot_python();
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    let words = [&[&*python.to_string_lossy()], &install[..], &[&*requirements.to_string_lossy()]];
    run(&words.concat())
}

fn corpus_dir() -> PathBuf {
    crate::target_dir().join("corpus")
}

/// Runs a command line; what it says is shown.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    println!("    {}", words.join(" "));
    let (program, arguments) = words.split_first().ok_or("no command")?;
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{program}` failed: {status}")),
        Err(error) => Err(format!("`{program}` cannot be run: {error}")),
    }
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_requests_from_sources() {
        let source = r#"
            let Some(nginx) = require("nginx") else { return };
            let Some(curl) = cachecompress_test::tools::require("curl") else { return };
            let Some(dir) = tools::corpus() else { return };
        "#;
        assert_eq!(requests(source), ["corpus", "curl", "nginx"].map(String::from).into());
        assert!(requests("fn require(tool: &str)").is_empty());
    }

    #[test]
    fn names_the_package_where_it_differs() {
        assert_eq!(packages_of("python3"), ["python3", "python3-venv"]);
        assert_eq!(packages_of("nginx"), ["nginx"]);
        assert_eq!(packages_of("chromium"), ["chromium"]);
        assert_eq!(advice("node"), "apt-get install nodejs");
    }

    #[test]
    fn what_the_tests_of_this_workspace_ask_for_is_seen() {
        let tools = Tools::find();
        for name in [CORPUS, REDBOT, "chromium", "brotli", "valgrind"] {
            assert!(tools.needed.contains(name), "{name} in {:?}", tools.needed);
        }
    }

    #[test]
    fn finds_programs() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program-anywhere").is_none());
    }
}
