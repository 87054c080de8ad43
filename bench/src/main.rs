//! Measures cachecompress beside the servers that people use today, and writes docs/performance.md.
//!
//! One server at a time is under load, pinned to the first core, with the load on the last one. The
//! servers take turns within each case, so that whatever else the machine does meets all of them,
//! and only figures of one run are compared.

mod check;
mod client;
mod cost;
mod drain;
mod experiments;
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

use clap::Parser as _;

use crate::experiments::EXPERIMENTS;
use crate::options::Options;
use crate::places::Places;

/// What fails here is told to a person, in a sentence.
type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("bench: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    let places = Places::new(options)?;
    if !options.report {
        measure(options, &places)?;
    }
    report::write(&places)
}

/// Runs the wanted experiments; one that fails is told and does not keep the others from running.
fn measure(options: &Options, places: &Places) -> Outcome<()> {
    let wanted = options.wanted()?;
    let bench = experiments::Bench::new(options, places)?;
    // Not before, as building a peer may have all cores.
    machine::prepare()?;
    let mut failures = Vec::new();
    for experiment in EXPERIMENTS.iter().filter(|experiment| wanted.contains(&experiment.name)) {
        println!("\n=== {}", experiment.name);
        match bench.run(experiment) {
            Ok(record) => record.save(&places.results)?,
            Err(sentence) => {
                println!("FAILED {}: {sentence}", experiment.name);
                failures.push(experiment.name);
            }
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    report::write(places)?;
    Err(format!("no result from: {}", failures.join(", ")))
}
