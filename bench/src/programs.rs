//! The programs of the servers and of the load, which `cargo xtask bench` installs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::machine;
use crate::places::Places;
use crate::servers::kind::Kind;

/// The programs without which nothing can be measured.
const REQUIRED: [&str; 3] = ["wrk", "h2load", "taskset"];

/// The path of each server's program.
#[derive(Debug)]
pub(crate) struct Programs {
    paths: BTreeMap<Kind, PathBuf>,
    /// A sentence for each missing program.
    pub(crate) missing: Vec<String>,
}

impl Programs {
    pub(crate) fn find(places: &Places) -> anyhow::Result<Self> {
        for program in REQUIRED {
            on_path(program)?;
        }
        let mut programs = Self { paths: BTreeMap::new(), missing: Vec::new() };
        programs.add(&[Kind::Ours, Kind::OursRoomy], file(&places.ours));
        if has_sendfile_option(&places.ours) {
            programs.add(&[Kind::OursSendfileAll], file(&places.ours));
        }
        let caddy = places.bench.join("venv/bin/caddy");
        let static_web_server = places.bench.join("sws/bin/static-web-server");
        programs.add(&[Kind::Nginx, Kind::NginxGzip], on_path("nginx"));
        programs.add(&[Kind::H2o], on_path("h2o"));
        programs.add(&[Kind::Lighttpd], on_path("lighttpd"));
        programs.add(&[Kind::Caddy, Kind::CaddyEncode], file(&caddy));
        programs.add(&[Kind::StaticWebServer], file(&static_web_server));
        programs.add(&[Kind::ServeDir, Kind::CompressionLayer], file(&places.tower_http));
        if !programs.has(Kind::Ours) {
            bail!("{}", programs.missing.join("; "));
        }
        Ok(programs)
    }

    fn add(&mut self, kinds: &[Kind], found: anyhow::Result<PathBuf>) {
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

    /// The program of `kind`; an empty path, if it is missing.
    pub(crate) fn path(&self, kind: Kind) -> &Path {
        self.paths.get(&kind).map_or(Path::new(""), PathBuf::as_path)
    }
}

fn file(path: &Path) -> anyhow::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let found = path.is_file().then(|| path.to_owned());
    found.with_context(|| format!("`{name}` is missing; `cargo xtask bench` makes it"))
}

fn on_path(program: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers lie in directories that only root has on its path.
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = dirs.map(|dir| dir.join(program)).find(|candidate| candidate.is_file());
    found.with_context(|| format!("`{program}` is not installed; `cargo xtask bench` tries to"))
}

/// Whether this build of our server has `--sendfile`.
fn has_sendfile_option(ours: &Path) -> bool {
    let help = Command::new(ours).args(["serve", "--help"]).output();
    help.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--sendfile"))
}

/// The names and versions of the load generators.
pub(crate) fn load_versions() -> Vec<(String, String)> {
    let wrk = machine::first_line_of("wrk", &["-v"]);
    let wrk = wrk.split(" [").next().unwrap_or_default().to_owned();
    vec![("wrk".into(), wrk), ("h2load".into(), machine::first_line_of("h2load", &["--version"]))]
}
