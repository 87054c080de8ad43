//! Markdown tables with a row for each case and a column for each server.

use std::fmt::Write as _;

use crate::numbers;
use crate::results::{Case, Metric, Record};

/// A table of one metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) metric: Metric,
    pub(crate) title: &'static str,
    /// Whether less is better; the best value is bold.
    pub(crate) less: bool,
}

const CPU: Table =
    Table { metric: Metric::CpuMicros, title: "Processor time per request, µs", less: true };
const RATE: Table =
    Table { metric: Metric::RequestsPerSecond, title: "Requests per second", less: false };
const BYTES: Table =
    Table { metric: Metric::MegabytesPerSecond, title: "MB per second", less: false };
const P50: Table = Table { metric: Metric::P50, title: "Median latency, ms", less: true };
const P99: Table =
    Table { metric: Metric::P99, title: "99th percentile of latency, ms", less: true };
const RSS: Table = Table { metric: Metric::Rss, title: "Peak memory, MB", less: true };
const FIRST: Table =
    Table { metric: Metric::FirstByte, title: "Time to the first byte, ms", less: true };
const TOTAL: Table =
    Table { metric: Metric::Total, title: "Time to the last byte, ms", less: true };
const SECONDS: Table =
    Table { metric: Metric::CpuSeconds, title: "Total processor time, s", less: true };
const WIRE: Table =
    Table { metric: Metric::WireBytes, title: "Length of the encoded body, bytes", less: true };

/// The tables of an experiment.
pub(crate) fn tables(experiment: &str) -> &'static [Table] {
    const PER_GIGABYTE: Table =
        Table { metric: Metric::CpuSeconds, title: "Processor time per GB, s", less: true };
    const TO_RESPONSE: Table = Table {
        metric: Metric::FirstByte,
        title: "Time to the first response (200), ms",
        less: true,
    };
    const TO_HIT: Table = Table {
        metric: Metric::Total,
        title: "Time to the first response from the cache, ms",
        less: true,
    };
    const FIRST_P99: Table = Table {
        metric: Metric::FirstByteP99,
        title: "99th percentile of the time to the first byte, ms",
        less: true,
    };
    const ENCODES: Table = Table { metric: Metric::Encodes, title: "Encodes begun", less: true };
    const IMPORTS: Table = Table { metric: Metric::Imports, title: "Imports", less: false };
    const REQUESTS: Table =
        Table { metric: Metric::StoreRequests, title: "Requests to the store", less: true };
    const READ: Table =
        Table { metric: Metric::StoreRead, title: "From the store, MB", less: true };
    const WRITTEN: Table =
        Table { metric: Metric::StoreWritten, title: "To the store, MB", less: true };
    const STORE_RATE: Table = Table {
        metric: Metric::StoreRate,
        title: "Requests to the store per second, on average",
        less: true,
    };
    const STORE_PEAK: Table = Table {
        metric: Metric::StorePeak,
        title: "Requests to the store in the busiest second",
        less: true,
    };
    match experiment {
        "fleet-import" => &[SECONDS],
        "fleet-crowd" => &[ENCODES, IMPORTS, SECONDS, REQUESTS, READ, WRITTEN],
        "fleet-rollout" => &[ENCODES, IMPORTS, SECONDS, REQUESTS, READ, WRITTEN, FIRST, FIRST_P99],
        "fleet-simulation" => &[STORE_RATE, STORE_PEAK],
        "conditional" | "files" => &[CPU, RATE, P50, P99, RSS],
        "cold" | "encoder" | "lengths" => &[FIRST, TOTAL, SECONDS, WIRE, RSS],
        "downloads" => &[SECONDS, RATE, WIRE, RSS],
        "tls" => &[CPU, RATE, BYTES, RSS],
        "sizes" => &[BYTES, PER_GIGABYTE, RSS],
        "startup" => &[TO_RESPONSE, TO_HIT, SECONDS, RSS],
        _ => &[CPU, RATE, BYTES, P50, P99, RSS],
    }
}

/// Writes a table, with the best value of each row in bold.
pub(crate) fn markdown(record: &Record, table: &Table) -> String {
    let servers: Vec<&str> = record.servers();
    let cases = record.cases();
    // Its servers are ours in all columns.
    let is_fleet = record.experiment.starts_with("fleet");
    let several = !is_fleet && cases.iter().any(|case| case.connections != cases[0].connections);
    let mut text = format!("\n**{}**\n\n| |", table.title);
    for server in &servers {
        let _ = write!(text, " {server} |");
    }
    text += "\n|---|";
    text += &"---:|".repeat(servers.len());
    text.push('\n');
    for case in &cases {
        let values: Vec<Option<f64>> =
            servers.iter().map(|server| record.median(case, server, table.metric)).collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        let best = best(&values, table.less);
        let _ = write!(text, "| {} |", label(case, several));
        for value in values {
            let cell = match value {
                None => "–".into(),
                // A single server is not the best of several.
                Some(value) if servers.len() > 1 && !is_fleet && Some(value) == best => {
                    format!("**{}**", number(value, table.metric))
                }
                Some(value) => number(value, table.metric),
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

fn number(value: f64, metric: Metric) -> String {
    let counts = [
        Metric::WireBytes,
        Metric::Encodes,
        Metric::Imports,
        Metric::StoreRequests,
        Metric::StorePeak,
    ];
    if counts.contains(&metric) { numbers::count(value) } else { numbers::short(value) }
}

/// The label of a case's row.
pub(crate) fn label(case: &Case<'_>, with_connections: bool) -> String {
    if !with_connections {
        return case.name.to_owned();
    }
    format!("{}, {}", case.name, numbers::connections(case.connections))
}

fn best(values: &[Option<f64>], less: bool) -> Option<f64> {
    let values = values.iter().flatten().copied();
    if less { values.min_by(f64::total_cmp) } else { values.max_by(f64::total_cmp) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Measurement;

    #[test]
    fn markdown_marks_the_best_and_the_missing() {
        let found = |server: &str, case: &str, value: f64| Measurement {
            case: case.into(),
            amount: 1.0,
            connections: 64,
            server: server.into(),
            turn: 0,
            values: [(Metric::CpuMicros, value)].into(),
        };
        let measurements = vec![found("a", "x", 20.0), found("b", "x", 15.5), found("b", "y", 3.0)];
        let record = Record { measurements, ..Record::default() };
        let text = markdown(&record, &CPU);
        assert!(text.contains("| x | 20.0 | **15.5** |\n"), "{text}");
        assert!(text.contains("| y | – | **3.00** |\n"), "{text}");
        let most = Table { less: false, ..CPU };
        assert!(markdown(&record, &most).contains("| x | **20.0** | 15.5 |\n"));
    }
}
