//! Which charts there are.

use super::chart::{self, Axis, Group, Look, Scale, Series};
use crate::numbers;
use crate::results::{Case, Metric, Record};

/// A chart and the name of its file.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    /// What it shows, for whoever does not see it.
    pub(crate) title: String,
    pub(crate) svg: String,
}

/// Connections of the cases that are shown, where there are several.
const SHOWN: u32 = 64;

/// Colours that also tell apart for those who see fewer of them (Okabe and Ito's).
const LOOKS: [(&str, &str, bool); 11] = [
    ("cachecompress", "#d55e00", false),
    ("cachecompress --sendfile all", "#e69f00", true),
    ("nginx", "#009e73", false),
    ("nginx gzip on", "#009e73", true),
    ("h2o", "#0072b2", false),
    ("lighttpd", "#cc79a7", false),
    ("Caddy", "#56b4e9", false),
    ("Caddy encode", "#56b4e9", true),
    ("static-web-server", "#8c8c8c", false),
    ("tower-http ServeDir", "#8b5a2b", false),
    ("tower-http CompressionLayer", "#8b5a2b", true),
];

fn look(server: &str) -> Look {
    let known = LOOKS.iter().find(|(name, ..)| *name == server);
    let (colour, dashed) =
        known.map_or(("#444444", false), |(_, colour, dashed)| (*colour, *dashed));
    Look { colour, dashed, bold: server.starts_with("cachecompress") }
}

/// The charts of an experiment.
pub(crate) fn of(record: &Record) -> Vec<Plot> {
    let plots = match record.experiment.as_str() {
        "warm" => vec![
            by_length(record, "warm-cpu.svg", "HTTP/1.1: processor time of an answer"),
            against_nginx(record),
            rates(record),
        ],
        "drained" => vec![by_length(
            record,
            "drained-cpu.svg",
            "HTTP/1.1, a client that keeps up: processor time of an answer",
        )],
        "h2c" => {
            vec![by_length(record, "h2c-cpu.svg", "HTTP/2 (h2c): processor time of an answer")]
        }
        "conditional" => vec![single(record, "conditional.svg", "Processor time of a 304")],
        "ranges" => vec![single(record, "ranges.svg", "Processor time of a range of 60 KB")],
        "identity" => vec![identity(record)],
        "cold" => vec![
            cold(record, Metric::FirstByte, "cold-first-byte.svg", "the first byte"),
            cold(record, Metric::Total, "cold-total.svg", "the last byte"),
        ],
        "downloads" => vec![downloads(record)],
        "files" => vec![files(record)],
        "connections" => connections(record),
        "sizes" => sizes(record),
        "startup" => vec![startup(record)],
        _ => Vec::new(),
    };
    plots.into_iter().filter(|plot| !plot.svg.is_empty()).collect()
}

fn plot(file: &'static str, title: &str, svg: String) -> Plot {
    Plot { file, title: title.to_owned(), svg }
}

/// A point for each case of `wanted`, for each server.
fn series<'a>(
    record: &'a Record,
    metric: Metric,
    wanted: impl Fn(&Case<'_>) -> bool,
) -> Vec<Series<'a>> {
    let cases: Vec<Case<'_>> = record.cases().into_iter().filter(wanted).collect();
    let points = |name: &str| {
        let own = cases.iter();
        own.filter_map(|case| Some((case.amount, record.median(case, name, metric)?))).collect()
    };
    let servers = record.servers().into_iter();
    servers.map(|name| Series { name, look: look(name), points: points(name) }).collect()
}

/// A group for each case of `wanted`, the shortest bar first.
fn groups<'a>(
    record: &'a Record,
    metric: Metric,
    wanted: impl Fn(&Case<'_>) -> bool,
) -> Vec<Group<'a>> {
    let cases = record.cases().into_iter().filter(wanted);
    cases
        .map(|case| {
            let value = |name| Some((name, look(name), record.median(&case, name, metric)?));
            let mut bars: Vec<_> = record.servers().into_iter().filter_map(value).collect();
            bars.sort_by(|one, other| one.2.total_cmp(&other.2));
            Group { name: case.name.into(), bars }
        })
        .collect()
}

const BODY: Axis<'_> =
    Axis { title: "body on the wire (log)", scale: Scale::Log, label: numbers::bytes };
const MICROS: Axis<'_> = Axis {
    title: "processor time of an answer, µs (log)",
    scale: Scale::Log,
    label: numbers::tick,
};

fn by_length(record: &Record, file: &'static str, what: &str) -> Plot {
    let title = format!("{what}, {SHOWN} connections");
    let series = series(record, Metric::CpuMicros, |case| case.connections == SHOWN);
    let svg = chart::lines(&title, BODY, MICROS, series);
    plot(file, &title, svg)
}

/// Ratios to nginx, as the targets are set; those who need many times as much are in the tables.
fn against_nginx(record: &Record) -> Plot {
    let shown = ["cachecompress", "h2o", "lighttpd", "nginx"];
    let title =
        format!("Processor time of an answer, as a multiple of nginx's, {SHOWN} connections");
    let cases = record.cases().into_iter().filter(|case| case.connections == SHOWN);
    let groups: Vec<Group<'_>> = cases
        .map(|case| {
            let ratio = |name| {
                let ratio = record.ratio(&case, name, "nginx", Metric::CpuMicros)?;
                Some((name, look(name), ratio))
            };
            Group { name: case.name.into(), bars: shown.into_iter().filter_map(ratio).collect() }
        })
        .collect();
    let axis = Axis { title: "multiple of nginx's", scale: Scale::Linear, label: numbers::tick };
    plot("warm-ratio.svg", &title, chart::bars(&title, axis, numbers::times, &groups))
}

fn rates(record: &Record) -> Plot {
    let title = "Answers in a second from one core, 1.4 KB, HTTP/1.1";
    let first = record.cases().first().map(|case| case.name.to_owned()).unwrap_or_default();
    let mut groups = groups(record, Metric::RequestsPerSecond, |case| case.name == first);
    let cases = record.cases();
    let own = cases.iter().filter(|case| case.name == first);
    for (group, case) in groups.iter_mut().zip(own) {
        group.name = match case.connections {
            1 => "1 connection".into(),
            more => format!("{} connections", numbers::count(f64::from(more))),
        };
        group.bars.reverse();
    }
    let axis = Axis { title: "answers a second", scale: Scale::Linear, label: numbers::tick };
    plot("warm-rate.svg", title, chart::bars(title, axis, numbers::short, &groups))
}

/// All servers in one case.
fn single(record: &Record, file: &'static str, title: &str) -> Plot {
    let axis = Axis { title: "processor time, µs", scale: Scale::Linear, label: numbers::tick };
    plot(
        file,
        title,
        chart::bars(title, axis, numbers::short, &groups(record, Metric::CpuMicros, |_| true)),
    )
}

fn identity(record: &Record) -> Plot {
    let title = "Processor time of a font (92 KB) and a film (4 MB), never compressed";
    let axis = Axis { label: numbers::tick, ..MICROS };
    let svg =
        chart::bars(title, axis, numbers::short, &groups(record, Metric::CpuMicros, |_| true));
    plot("identity.svg", title, svg)
}

fn cold(record: &Record, metric: Metric, file: &'static str, until: &str) -> Plot {
    let title = format!("The first request for a large file: time to {until}");
    let axis = Axis { title: "ms (log)", scale: Scale::Log, label: numbers::tick };
    let svg = chart::bars(&title, axis, numbers::short, &groups(record, metric, |_| true));
    plot(file, &title, svg)
}

fn downloads(record: &Record) -> Plot {
    let amount = record.cases().first().map_or(0.0, |case| case.amount);
    let title =
        format!("Processor time for {} downloads of a 10 MB program", numbers::count(amount));
    let axis = Axis { title: "seconds (log)", scale: Scale::Log, label: numbers::tick };
    let svg =
        chart::bars(&title, axis, numbers::short, &groups(record, Metric::CpuSeconds, |_| true));
    plot("downloads.svg", &title, svg)
}

fn files(record: &Record) -> Plot {
    let title = "Small texts at random out of more and more files: processor time of an answer";
    let x = Axis { title: "files (log)", scale: Scale::Log, label: numbers::tick };
    let svg = chart::lines(title, x, MICROS, series(record, Metric::CpuMicros, |_| true));
    plot("scale-files.svg", title, svg)
}

fn connections(record: &Record) -> Vec<Plot> {
    let x = Axis { title: "connections (log)", scale: Scale::Log, label: numbers::tick };
    let rate = Axis { title: "answers a second", scale: Scale::Linear, label: numbers::tick };
    let memory = Axis { title: "peak memory, MB (log)", scale: Scale::Log, label: numbers::tick };
    let charts = [
        (
            "scale-connections.svg",
            "More and more connections: answers in a second, 1.4 KB",
            rate,
            Metric::RequestsPerSecond,
        ),
        ("scale-memory.svg", "More and more connections: peak memory", memory, Metric::Rss),
    ];
    let draw = |(file, title, y, metric)| {
        plot(file, title, chart::lines(title, x, y, series(record, metric, |_| true)))
    };
    charts.into_iter().map(draw).collect()
}

fn sizes(record: &Record) -> Vec<Plot> {
    let x = Axis { title: "length of the file (log)", ..BODY };
    let rate =
        Axis { title: "10⁶ bytes a second (log)", scale: Scale::Log, label: numbers::tick };
    let cost = Axis {
        title: "processor seconds for 10⁹ bytes (log)",
        scale: Scale::Log,
        label: numbers::tick,
    };
    let charts = [
        (
            "scale-sizes.svg",
            "Longer and longer films: bytes in a second, 16 connections",
            rate,
            Metric::MegabytesPerSecond,
        ),
        (
            "scale-sizes-cpu.svg",
            "Longer and longer films: processor time for 1 GB",
            cost,
            Metric::CpuSeconds,
        ),
    ];
    let draw = |(file, title, y, metric)| {
        plot(file, title, chart::lines(title, x, y, series(record, metric, |_| true)))
    };
    charts.into_iter().map(draw).collect()
}

fn startup(record: &Record) -> Plot {
    let title = "From the start of the program to its first answer";
    let axis = Axis { title: "ms", scale: Scale::Linear, label: numbers::tick };
    let svg =
        chart::bars(title, axis, numbers::short, &groups(record, Metric::FirstByte, |_| true));
    plot("startup.svg", title, svg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::kind::Kind;

    #[test]
    fn every_server_has_its_look() {
        let all = [
            Kind::Ours,
            Kind::OursSendfileAll,
            Kind::Nginx,
            Kind::H2o,
            Kind::Lighttpd,
            Kind::Caddy,
            Kind::StaticWebServer,
            Kind::ServeDir,
            Kind::NginxGzip,
            Kind::CaddyEncode,
            Kind::CompressionLayer,
        ];
        for kind in all {
            assert!(LOOKS.iter().any(|(name, ..)| *name == kind.name()), "{}", kind.name());
        }
    }
}
