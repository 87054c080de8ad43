//! The comparison with the targets, and the cases in which other servers are better.

use std::fmt::Write as _;

use super::tables;
use crate::numbers;
use crate::results::{Case, Metric, Record};

const OURS: &str = "cachecompress";
/// Ours with a store that replicas share.
const SHARING: &str = "cachecompress --tier";
/// The connections that the targets are set for.
const CONNECTIONS: u32 = 64;

/// A limit for a ratio of ours to a peer's.
#[derive(Clone, Copy, Debug)]
struct Target {
    experiment: &'static str,
    case: &'static str,
    metric: Metric,
    own: &'static str,
    peer: &'static str,
    connections: u32,
    limit: f64,
}

/// The targets against nginx over HTTP/1.1.
const TARGETS: [Target; 9] = [
    nginx("warm", "1.4 KB", Metric::CpuMicros, 0.75),
    nginx("warm", "33 KB", Metric::CpuMicros, 0.95),
    nginx("warm", "92 KB", Metric::CpuMicros, 0.95),
    nginx("warm", "4 MB", Metric::CpuMicros, 0.85),
    nginx("drained", "33 KB", Metric::CpuMicros, 0.95),
    nginx("drained", "92 KB", Metric::CpuMicros, 0.95),
    nginx("drained", "4 MB", Metric::CpuMicros, 0.85),
    nginx("warm", "1.4 KB", Metric::RequestsPerSecond, 1.25),
    nginx("conditional", "304", Metric::CpuMicros, 0.8),
];
/// The texts whose target over HTTP/2 is nginx's own figure.
const H2C: [&str; 5] = ["1.4 KB", "33 KB", "92 KB", "4 MB", "60 MB"];
/// The cases whose target over TLS is nginx's own figure and a tenth.
const TLS: [&str; 7] = [
    "HTTP/1.1, 1.4 KB",
    "HTTP/1.1, 92 KB",
    "HTTP/1.1, 4 MB",
    "HTTP/2, 1.4 KB",
    "HTTP/2, 92 KB",
    "HTTP/2, 4 MB",
    HANDSHAKE,
];
/// The case of the `tls` experiment with connections of its own.
const HANDSHAKE: &str = "handshake and one request";
/// The levels at which an import costs at most this share of an encode and its proof.
const IMPORTS: [(&str, f64); 3] = [("zstd 3", 0.5), ("br 5", 0.15), ("br 11", 0.01)];
/// The target for the first response after a start, in milliseconds.
const FIRST_RESPONSE_MS: f64 = 200.0;

const fn nginx(experiment: &'static str, case: &'static str, metric: Metric, limit: f64) -> Target {
    Target { experiment, case, metric, own: OURS, peer: "nginx", connections: CONNECTIONS, limit }
}

/// All targets: against nginx, ahead of h2o in the same cases, over HTTP/2, over TLS, beside the encoder, and
/// of imports against encodes.
fn targets() -> Vec<Target> {
    let ahead = TARGETS.map(|target| Target { peer: "h2o", limit: 1.0, ..target });
    let level = H2C.map(|case| nginx("h2c", case, Metric::CpuMicros, 1.0));
    let encoder = Target {
        experiment: "encoder",
        case: "long text, zstd",
        metric: Metric::Total,
        own: OURS,
        peer: "zstd -3 -T1",
        connections: 1,
        limit: 1.15,
    };
    let tls = TLS.map(|case| Target {
        connections: if case == HANDSHAKE { 1500 } else { CONNECTIONS },
        ..nginx("tls", case, Metric::CpuMicros, 1.1)
    });
    let import = IMPORTS.map(|(case, limit)| Target {
        own: SHARING,
        peer: OURS,
        connections: 1,
        ..nginx("fleet-import", case, Metric::CpuSeconds, limit)
    });
    [&TARGETS[..], &ahead, &level, &tls, &[encoder], &import].concat()
}

/// Whether more is better, as it is for rates.
fn more_is_better(metric: Metric) -> bool {
    matches!(metric, Metric::RequestsPerSecond | Metric::MegabytesPerSecond)
}

fn metric_label(metric: Metric) -> &'static str {
    match metric {
        Metric::CpuMicros | Metric::CpuSeconds => "processor time",
        Metric::RequestsPerSecond => "requests per second",
        Metric::MegabytesPerSecond => "bytes per second",
        Metric::P50 => "median latency",
        Metric::P99 => "99th percentile",
        Metric::Rss => "peak memory",
        Metric::FirstByte => "time to the first byte",
        Metric::FirstByteP99 => "99th percentile of the first byte",
        Metric::Encodes => "encodes begun",
        Metric::Imports => "imports",
        Metric::StoreRequests | Metric::StoreRate | Metric::StorePeak => "requests to the store",
        Metric::StoreRead => "bytes from the store",
        Metric::StoreWritten => "bytes to the store",
        Metric::Total => "time to the last byte",
        Metric::WireBytes => "encoded length",
    }
}

/// The name of an experiment in a row.
fn experiment_label(experiment: &str) -> &'static str {
    match experiment {
        "warm" => "HTTP/1.1",
        "drained" => "HTTP/1.1, drained",
        "h2c" => "HTTP/2",
        "conditional" => "conditional",
        "ranges" => "range",
        "identity" => "never compressed",
        "cold" => "first request",
        "encoder" => "first request on all cores",
        "lengths" => "first request, by length",
        "downloads" => "downloads",
        "files" => "many files",
        "connections" => "many connections",
        "sizes" => "long files",
        "tls" => "TLS",
        "fleet-import" => "import in place of an encode,",
        _ => "start",
    }
}

/// The table of targets and measured ratios.
pub(crate) fn targets_met(records: &[Record]) -> String {
    let mut text =
        String::from("| case | against | target | measured | |\n|---|---|---:|---:|---|\n");
    for target in targets() {
        let sign = if more_is_better(target.metric) { "≥" } else { "≤" };
        let row = format!(
            "{} {}: {}",
            experiment_label(target.experiment),
            target.case,
            metric_label(target.metric)
        );
        let found = measured(records, &target);
        let met = found.map(|ratio| {
            if more_is_better(target.metric) {
                ratio >= target.limit
            } else {
                ratio <= target.limit
            }
        });
        let _ = writeln!(
            text,
            "| {row} | {} | {sign} {} | {} | {} |",
            target.peer,
            numbers::times(target.limit),
            found.map_or("–".into(), numbers::times),
            verdict(met)
        );
    }
    if let Some(record) = records.iter().find(|record| record.experiment == "startup") {
        for case in record.cases() {
            let found = record.median(&case, OURS, Metric::FirstByte);
            let _ = writeln!(
                text,
                "| start with {}: first response | | < {FIRST_RESPONSE_MS:.0} ms | {} | {} |",
                case.name,
                found.map_or("–".into(), |ms| format!("{} ms", numbers::short(ms))),
                verdict(found.map(|ms| ms < FIRST_RESPONSE_MS))
            );
        }
    }
    text
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "**not met**",
        None => "not measured",
    }
}

fn measured(records: &[Record], target: &Target) -> Option<f64> {
    let record = records.iter().find(|record| record.experiment == target.experiment)?;
    let case = record
        .cases()
        .into_iter()
        .find(|case| case.name == target.case && case.connections == target.connections)?;
    record.ratio(&case, target.own, target.peer, target.metric)
}

/// The ratio from which another server counts as better. Smaller differences are noise.
fn margin(metric: Metric) -> f64 {
    match metric {
        Metric::CpuMicros | Metric::CpuSeconds | Metric::RequestsPerSecond => 1.03,
        Metric::WireBytes => 1.005,
        _ => 1.1,
    }
}

/// A row for each case and metric in which other servers are better, with the ratios.
pub(crate) fn losses(records: &[Record]) -> String {
    let mut rows = String::new();
    let mut cells = 0;
    let mut lost = 0;
    // The fleet has no other servers.
    for record in records.iter().filter(|record| !record.experiment.starts_with("fleet")) {
        for table in tables::tables(&record.experiment) {
            for case in record.cases() {
                if is_redundant(record, &case, table.metric)
                    || record.median(&case, OURS, table.metric).is_none()
                {
                    continue;
                }
                cells += 1;
                let better = better(record, &case, table.metric);
                if !better.is_empty() {
                    lost += 1;
                    rows += &row(record, &case, table.metric, &better);
                }
            }
        }
    }
    format!(
        "Another server is ahead in {lost} of the {cells} comparisons in the tables below. These are \
         listed,\nwith the ratio of cachecompress's figure to the other one. A difference counts from \
         3 % on. In\nlatency and memory it counts from 10 % on, and for 64 connections only.\n\n\
         | case | metric | cachecompress | ahead of it |\n|---|---|---:|---|\n{rows}"
    )
}

/// Whether another row implies this one. The rate implies the bytes per second and the median
/// latency. Percentiles and memory are listed for one number of connections.
fn is_redundant(record: &Record, case: &Case<'_>, metric: Metric) -> bool {
    let has_rate = record.median(case, OURS, Metric::RequestsPerSecond).is_some();
    let several = record.cases().iter().any(|other| other.connections != case.connections);
    match metric {
        Metric::MegabytesPerSecond | Metric::P50 => has_rate,
        Metric::P99 | Metric::Rss => several && case.connections != CONNECTIONS,
        _ => false,
    }
}

/// The servers that are better than ours, the best first, with the ratios of ours to theirs.
fn better<'a>(record: &'a Record, case: &Case<'_>, metric: Metric) -> Vec<(&'a str, f64)> {
    let more = more_is_better(metric);
    let ratio = |peer| Some((peer, record.ratio(case, OURS, peer, metric)?));
    let peers = record.servers().into_iter().filter(|peer| !peer.starts_with(OURS));
    let mut better: Vec<(&str, f64)> = peers
        .filter_map(ratio)
        .filter(
            |(_, ratio)| {
                if more { *ratio < 1.0 / margin(metric) } else { *ratio > margin(metric) }
            },
        )
        .collect();
    better.sort_by(
        |one, other| {
            if more { one.1.total_cmp(&other.1) } else { other.1.total_cmp(&one.1) }
        },
    );
    better
}

fn row(record: &Record, case: &Case<'_>, metric: Metric, better: &[(&str, f64)]) -> String {
    let own = record.median(case, OURS, metric).map_or("–".into(), numbers::short);
    let peers: Vec<String> =
        better.iter().map(|(peer, ratio)| format!("{peer} ({})", numbers::times(*ratio))).collect();
    let several = ["warm", "h2c", "connections"].contains(&record.experiment.as_str());
    format!(
        "| {}, {} | {} | {own} | {} |\n",
        experiment_label(&record.experiment),
        tables::label(case, several),
        metric_label(metric),
        peers.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Measurement;

    fn record(values: &[(&str, Metric, f64)]) -> Record {
        let found = |(server, metric, value): &(&str, Metric, f64)| Measurement {
            case: "1.4 KB".into(),
            amount: 1400.0,
            connections: CONNECTIONS,
            server: (*server).into(),
            turn: 0,
            values: [(*metric, *value)].into(),
        };
        let measurements = values.iter().map(found).collect();
        Record { experiment: "warm".into(), measurements, ..Record::default() }
    }

    #[test]
    fn targets_met_compares_in_the_right_direction() {
        let text = |ours: f64, rate: f64| {
            targets_met(&[record(&[
                (OURS, Metric::CpuMicros, ours),
                ("nginx", Metric::CpuMicros, 10.0),
                (OURS, Metric::RequestsPerSecond, rate),
                ("nginx", Metric::RequestsPerSecond, 100.0),
            ])])
        };
        let cpu = "HTTP/1.1 1.4 KB: processor time | nginx | ≤ 0.75 ×";
        let rate = "HTTP/1.1 1.4 KB: requests per second | nginx | ≥ 1.25 ×";
        let good = text(7.5, 126.0);
        assert!(good.contains(&format!("{cpu} | 0.75 × | met |")), "{good}");
        assert!(good.contains(&format!("{rate} | 1.26 × | met |")), "{good}");
        let bad = text(7.6, 124.0);
        assert!(bad.contains(&format!("{cpu} | 0.76 × | **not met** |")), "{bad}");
        assert!(bad.contains(&format!("{rate} | 1.24 × | **not met** |")), "{bad}");
        assert!(bad.contains("304: processor time | nginx | ≤ 0.80 × | – | not measured |"));
    }

    #[test]
    fn losses_lists_losses_only() {
        let text = losses(&[record(&[
            (OURS, Metric::CpuMicros, 12.0),
            ("nginx", Metric::CpuMicros, 10.0),
            ("h2o", Metric::CpuMicros, 6.0),
            ("Caddy", Metric::CpuMicros, 60.0),
        ])]);
        let row = "| HTTP/1.1, 1.4 KB, 64 connections | processor time | 12.0 | \
            h2o (2.00 ×), nginx (1.20 ×) |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("Another server is ahead in 1 of the 1 comparisons"), "{text}");
        let text = losses(&[record(&[
            (OURS, Metric::RequestsPerSecond, 100.0),
            ("nginx", Metric::RequestsPerSecond, 102.0),
        ])]);
        assert!(text.contains("is ahead in 0 of the 1 comparisons"), "{text}");
    }
}
