//! Where everything is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::options::Options;

/// The directories and programs of a run.
#[derive(Debug)]
pub(crate) struct Places {
    /// Whatever may be made again: the site, caches, peers.
    pub(crate) bench: PathBuf,
    /// The files that are served.
    pub(crate) site: PathBuf,
    /// Configurations and caches of the servers.
    pub(crate) run: PathBuf,
    /// What was measured, a file for each experiment.
    pub(crate) results: PathBuf,
    /// Where the page and its plots go.
    pub(crate) docs: PathBuf,
    /// The server that all this is about.
    pub(crate) ours: PathBuf,
    /// The peer that is built here.
    pub(crate) tower_http: PathBuf,
}

impl Places {
    pub(crate) fn new(options: &Options) -> Outcome<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace")?;
        let this = std::env::current_exe().map_err(|error| format!("who am I? {error}"))?;
        let built = this.parent().ok_or("this program is nowhere")?;
        let bench = built.parent().ok_or("this program is nowhere")?.join("bench");
        let (results, docs) = if options.quick {
            (bench.join("quick/results"), bench.join("quick"))
        } else {
            (root.join("bench/results"), root.join("docs"))
        };
        Ok(Self {
            site: bench.join("site"),
            run: bench.join("run"),
            results,
            docs,
            ours: options.server.clone().unwrap_or_else(|| built.join("cachecompress")),
            tower_http: built.join("tower-http-peer"),
            bench,
        })
    }
}

/// Creates a directory with all above it.
pub(crate) fn create_dir(path: &Path) -> Outcome<()> {
    fs::create_dir_all(path).map_err(|error| format!("cannot create {}: {error}", path.display()))
}

/// Creates a directory without anything in it.
pub(crate) fn create_empty(path: &Path) -> Outcome<()> {
    if path.exists() {
        fs::remove_dir_all(path)
            .map_err(|error| format!("cannot empty {}: {error}", path.display()))?;
    }
    create_dir(path)
}

/// Writes a file, and the directories above it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    if let Some(dir) = path.parent() {
        create_dir(dir)?;
    }
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
