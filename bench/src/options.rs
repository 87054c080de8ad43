//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures cachecompress beside other servers, and writes docs/performance.md.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", max_term_width = 100)]
pub(crate) struct Options {
    /// Few and short cases, as a trial; the page goes to target/bench/quick
    #[arg(long)]
    pub(crate) quick: bool,

    /// Only these experiments; the page keeps the results of the others
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Turns of each server in a case [default: 3, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    turns: Option<u32>,

    /// Seconds of load in a turn
    #[arg(long, value_name = "N", default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,

    /// Measure nothing, only write the page from the recorded results
    #[arg(long)]
    pub(crate) report: bool,

    /// The measured build of our server [default: the build of the profile `dist`]
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,
}

impl Options {
    pub(crate) fn turns(&self) -> u32 {
        self.turns.unwrap_or(if self.quick { 1 } else { 3 })
    }

    /// `full`, or with `--quick` the shorter list.
    pub(crate) fn scope<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}
