//! The records of measurements: kept as JSON, with their medians and ratios.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::machine::Machine;

/// A measured quantity.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Processor time of the server for a request, in microseconds.
    CpuMicros,
    /// Processor time of the server for the whole case, in seconds.
    CpuSeconds,
    /// Responses per second.
    RequestsPerSecond,
    /// Bodies per second, in 10⁶ bytes.
    MegabytesPerSecond,
    /// Median of the time to the end of a response, in milliseconds.
    P50,
    /// 99th percentile of the time to the end of a response, in milliseconds.
    P99,
    /// Peak memory of all the server's processes, in 10⁶ bytes.
    Rss,
    /// From the request to the first byte of the body, in milliseconds.
    FirstByte,
    /// From the request to the last byte of the body, in milliseconds.
    Total,
    /// Bytes of a body on the wire.
    WireBytes,
    /// 99th percentile of the time to the first byte, in milliseconds.
    FirstByteP99,
    /// Encodes that were begun, also those that an import has stopped.
    Encodes,
    /// Payloads that came from the shared store.
    Imports,
    /// Requests to the shared store, all replicas together.
    StoreRequests,
    /// The same in a second, on average.
    StoreRate,
    /// The same in the busiest second.
    StorePeak,
    /// From the shared store, in 10⁶ bytes.
    StoreRead,
    /// To the shared store, in 10⁶ bytes.
    StoreWritten,
}

/// The figures of a server in a turn.
pub(crate) type Values = BTreeMap<Metric, f64>;

/// The figures of one server in one turn of one case.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Measurement {
    pub(crate) case: String,
    /// The case as a number: bytes, connections, files.
    pub(crate) amount: f64,
    pub(crate) connections: u32,
    pub(crate) server: String,
    pub(crate) turn: u32,
    pub(crate) values: Values,
}

/// The results of an experiment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Record {
    pub(crate) experiment: String,
    pub(crate) machine: Machine,
    /// Name and version of each server.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) seconds: u32,
    pub(crate) turns: u32,
    /// Remarks for the page.
    pub(crate) notes: Vec<String>,
    pub(crate) measurements: Vec<Measurement>,
}

impl Record {
    pub(crate) fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        files::write(&dir.join(format!("{}.json", self.experiment)), text + "\n")?;
        Ok(())
    }

    /// The last record of an experiment, if there is one.
    pub(crate) fn load(dir: &Path, experiment: &str) -> anyhow::Result<Option<Self>> {
        let path = dir.join(format!("{experiment}.json"));
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let record = serde_json::from_str(&text);
        record.map(Some).with_context(|| path.display().to_string())
    }

    /// Adds the figures of a turn, and prints them.
    pub(crate) fn add(&mut self, case: &Case<'_>, server: &str, turn: u32, values: Values) {
        let figures: Vec<String> =
            values.iter().map(|(metric, value)| format!("{metric:?} {value:.1}")).collect();
        println!(
            "  {:<16} c={:<5} turn {turn}  {server:<28} {}",
            case.name,
            case.connections,
            figures.join("  ")
        );
        self.measurements.push(Measurement {
            case: case.name.into(),
            amount: case.amount,
            connections: case.connections,
            server: server.into(),
            turn,
            values,
        });
    }

    /// Adds a remark, once, and prints it.
    pub(crate) fn note(&mut self, sentence: String) {
        println!("  NOTE {sentence}");
        if !self.notes.contains(&sentence) {
            self.notes.push(sentence);
        }
    }

    /// The cases, in the order of their measurement.
    pub(crate) fn cases(&self) -> Vec<Case<'_>> {
        let mut cases: Vec<Case<'_>> = Vec::new();
        for found in &self.measurements {
            let case =
                Case { name: &found.case, amount: found.amount, connections: found.connections };
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
        cases
    }

    /// The servers, in the order of their turns.
    pub(crate) fn servers(&self) -> Vec<&str> {
        let mut servers: Vec<&str> = Vec::new();
        for found in &self.measurements {
            if !servers.contains(&found.server.as_str()) {
                servers.push(&found.server);
            }
        }
        servers
    }

    /// The median of a server's turns.
    pub(crate) fn median(&self, case: &Case<'_>, server: &str, metric: Metric) -> Option<f64> {
        median(self.turns_of(case, server, metric).into_values().collect())
    }

    /// The ratio of `one` to `other`: the median of the ratios within each turn.
    pub(crate) fn ratio(
        &self,
        case: &Case<'_>,
        one: &str,
        other: &str,
        metric: Metric,
    ) -> Option<f64> {
        let others = self.turns_of(case, other, metric);
        let ones = self.turns_of(case, one, metric);
        let ratios = ones.into_iter().filter_map(|(turn, one)| Some(one / others.get(&turn)?));
        median(ratios.filter(|ratio| ratio.is_finite()).collect())
    }

    fn turns_of(&self, case: &Case<'_>, server: &str, metric: Metric) -> BTreeMap<u32, f64> {
        let own = self.measurements.iter().filter(|found| {
            found.server == server
                && found.case == case.name
                && found.connections == case.connections
        });
        own.filter_map(|found| Some((found.turn, *found.values.get(&metric)?))).collect()
    }
}

/// A case of an experiment: one row of its tables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Case<'a> {
    pub(crate) name: &'a str,
    pub(crate) amount: f64,
    pub(crate) connections: u32,
}

/// The median: the middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(values.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(server: &str, turn: u32, value: f64) -> Measurement {
        Measurement {
            case: "1 KB".into(),
            amount: 1000.0,
            connections: 64,
            server: server.into(),
            turn,
            values: [(Metric::CpuMicros, value)].into(),
        }
    }

    #[test]
    fn median_is_the_middle_value() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(vec![4.0, 1.0, 9.0, 2.0]), Some(3.0));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn ratio_compares_within_a_turn() {
        // The machine was three times slower in the second turn: a ratio of medians would be 0.5.
        let record = Record {
            measurements: vec![
                found("ours", 0, 1.0),
                found("theirs", 0, 2.0),
                found("ours", 1, 6.0),
                found("theirs", 1, 6.0),
                found("ours", 2, 3.0),
                found("theirs", 2, 4.0),
                // The other server has no such turn.
                found("ours", 3, 100.0),
            ],
            ..Record::default()
        };
        let case = record.cases()[0];
        assert_eq!(record.ratio(&case, "ours", "theirs", Metric::CpuMicros), Some(0.75));
        assert_eq!(record.ratio(&case, "ours", "nobody", Metric::CpuMicros), None);
        assert_eq!(record.median(&case, "theirs", Metric::CpuMicros), Some(4.0));
        assert_eq!(record.median(&case, "theirs", Metric::Rss), None);
    }

    #[test]
    fn record_survives_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record {
            experiment: "warm".into(),
            measurements: vec![found("ours", 0, 1.5)],
            ..Record::default()
        };
        record.save(dir.path()).unwrap();
        assert_eq!(Record::load(dir.path(), "warm").unwrap(), Some(record));
        assert_eq!(Record::load(dir.path(), "cold").unwrap(), None);
    }
}
