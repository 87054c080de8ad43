//! Measures cachecompress beside other servers, and writes docs/performance.md.
//!
//! One server at a time is under load, pinned to the first core, with the load on the last one. The
//! servers take turns within each case, so that other work of the machine meets all of them. Only
//! figures of one run are compared.

mod check;
mod client;
mod cost;
mod drain;
mod experiments;
mod files;
mod load;
mod machine;
mod numbers;
mod options;
mod places;
mod programs;
mod report;
mod results;
mod servers;
mod site;
mod text;

use std::process::ExitCode;

use anyhow::bail;
use clap::Parser as _;

use crate::options::Options;
use crate::places::Places;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let places = Places::new(options)?;
    let mut failed = Vec::new();
    if !options.report {
        machine::prepare()?;
        failed = experiments::run(options, &places)?;
    }
    report::write(&places)?;
    if !failed.is_empty() {
        bail!("no result from: {}", failed.join(", "));
    }
    Ok(())
}
