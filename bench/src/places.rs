//! The directories and programs of a run.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::options::Options;

#[derive(Debug)]
pub(crate) struct Places {
    /// Everything that can be made again: the site, caches, peers.
    pub(crate) bench: PathBuf,
    /// The served files.
    pub(crate) site: PathBuf,
    /// The servers' configurations and caches.
    pub(crate) run: PathBuf,
    /// The records, one file for each experiment.
    pub(crate) results: PathBuf,
    /// The directory of the page and its plots.
    pub(crate) docs: PathBuf,
    /// The measured build of our server.
    pub(crate) ours: PathBuf,
    /// The peer that this package builds.
    pub(crate) tower_http: PathBuf,
}

impl Places {
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let this = std::env::current_exe().context("no path of this program")?;
        let built = this.parent().context("this program has no directory")?;
        let bench = built.parent().context("no target directory")?.join("bench");
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
