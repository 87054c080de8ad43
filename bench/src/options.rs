//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::Outcome;
use crate::experiments::EXPERIMENTS;

/// Measures cachecompress beside other servers, and writes docs/performance.md.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", max_term_width = 100)]
pub(crate) struct Options {
    /// Few and short cases, to see that everything works; the page goes to target/bench/quick
    #[arg(long)]
    pub(crate) quick: bool,

    /// Only these experiments; what others found stays in the page
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// How often each server takes its turn in a case [default: 3, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    turns: Option<u32>,

    /// How long a server is under load in a turn
    #[arg(long, value_name = "N", default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,

    /// Measure nothing, only write the page anew from what was measured before
    #[arg(long)]
    pub(crate) report: bool,

    /// The server program that is measured [default: the release build]
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,
}

impl Options {
    pub(crate) fn turns(&self) -> u32 {
        self.turns.unwrap_or(if self.quick { 1 } else { 3 })
    }

    /// The names of the experiments to run.
    pub(crate) fn wanted(&self) -> Outcome<Vec<&'static str>> {
        let all = EXPERIMENTS.iter().map(|experiment| experiment.name);
        if self.only.is_empty() {
            return Ok(all.collect());
        }
        let find = |name: &String| {
            all.clone().find(|known| known == name).ok_or_else(|| {
                let known: Vec<&str> = all.clone().collect();
                format!("there is no experiment `{name}`; there are {}", known.join(", "))
            })
        };
        self.only.iter().map(find).collect()
    }

    /// `full`, or with `--quick` the shorter list.
    pub(crate) fn extent<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}
