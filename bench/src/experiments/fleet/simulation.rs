//! The figures of the simulation, which the library's own tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde::Deserialize;

use crate::experiments::harness::Harness;
use crate::results::{Case, Metric, Record};

/// Names the file to the tests, and to this program a file of an earlier run.
const VARIABLE: &str = "CACHECOMPRESS_SIMULATION";

/// A line of the file: a run, or the calls in each second of one.
#[derive(Debug, Deserialize, PartialEq)]
struct Line {
    scenario: String,
    replicas: f64,
    calls_per_second: Option<f64>,
    peak_calls_per_second: Option<f64>,
    calls_of_seconds: Option<Vec<f64>>,
}

pub(in crate::experiments) fn run(
    harness: &Harness<'_>,
    record: &mut Record,
) -> anyhow::Result<()> {
    let file = match std::env::var_os(VARIABLE) {
        Some(file) => PathBuf::from(file),
        None => simulate(&harness.places.run.join("simulation.jsonl"))?,
    };
    record.turns = 1;
    add(record, &fs::read_to_string(file)?)
}

/// Runs the simulation, which is a part of the library's tests.
fn simulate(file: &Path) -> anyhow::Result<PathBuf> {
    // The tests append.
    let _ = fs::remove_file(file);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--quiet", "--workspace", "--all-features", "--lib", "tier::simulation"]);
    let status = cargo.env(VARIABLE, file).status().context("cannot run cargo")?;
    ensure!(status.success(), "the simulation has failed: {status}");
    Ok(file.to_owned())
}

/// Adds the runs of each scenario, each a turn, and the seconds of an outage.
fn add(record: &mut Record, text: &str) -> anyhow::Result<()> {
    let lines = text.lines().map(serde_json::from_str::<Line>);
    let mut lines = lines.collect::<Result<Vec<_>, _>>().context("an unknown line")?;
    // The tests run side by side.
    lines.sort_by(|one, other| {
        one.replicas.total_cmp(&other.replicas).then_with(|| one.scenario.cmp(&other.scenario))
    });
    for line in &lines {
        if let (Some(mean), Some(peak)) = (line.calls_per_second, line.peak_calls_per_second) {
            let name = format!("{} replicas", crate::numbers::count(line.replicas));
            let case = Case { name: &name, amount: line.replicas, connections: 1 };
            let is_same = |found: &&crate::results::Measurement| {
                found.case == name && found.server == line.scenario
            };
            let turn = record.measurements.iter().filter(is_same).count() as u32;
            let values = [(Metric::StoreRate, mean), (Metric::StorePeak, peak)].into();
            record.add(&case, &line.scenario, turn, values);
        }
        for (second, calls) in line.calls_of_seconds.iter().flatten().enumerate() {
            let name = format!("second {second}");
            let case = Case { name: &name, amount: second as f64, connections: 0 };
            record.add(&case, &line.scenario, 0, [(Metric::StoreRequests, *calls)].into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_scenario_are_turns_and_seconds_are_cases() {
        let text = concat!(
            r#"{"scenario":"wait","replicas":10,"names":1,"calls":30,"calls_per_second":0.5,"peak_calls_per_second":9}"#,
            "\n",
            r#"{"scenario":"outage","replicas":1000,"calls_of_seconds":[7, 8]}"#,
            "\n",
            r#"{"scenario":"wait","replicas":10,"calls_per_second":0.7,"peak_calls_per_second":11}"#,
        );
        let mut record = Record::default();
        add(&mut record, text).unwrap();
        let cases: Vec<&str> = record.cases().iter().map(|case| case.name).collect();
        assert_eq!(cases, ["10 replicas", "second 0", "second 1"]);
        assert_eq!(record.median(&record.cases()[0], "wait", Metric::StorePeak), Some(10.0));
        assert_eq!(record.median(&record.cases()[2], "outage", Metric::StoreRequests), Some(8.0));
        assert!(add(&mut record, "{}").is_err());
    }
}
