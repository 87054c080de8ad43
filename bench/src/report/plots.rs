//! The charts of each experiment.

use plotters::style::RGBColor;

use super::chart::{self, Axis, Format, Group, Scale, Series, SeriesStyle};
use crate::numbers;
use crate::results::{Case, Metric, Record};

/// A chart and the name of its file.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    /// The title, which is also the alternative text.
    pub(crate) title: String,
    /// The chart; empty, if it would show nothing.
    pub(crate) svg: String,
}

/// The connections of the plotted cases, in experiments with several.
const CONNECTIONS: u32 = 64;

/// Colours that colour-blind readers can tell apart (Okabe and Ito's), and dashed lines.
const STYLES: [(&str, u32, bool); 18] = [
    ("cachecompress", 0xd55e00, false),
    ("cachecompress --sendfile all", 0xe69f00, true),
    ("nginx", 0x009e73, false),
    ("nginx gzip on", 0x009e73, true),
    ("h2o", 0x0072b2, false),
    ("lighttpd", 0xcc79a7, false),
    ("Caddy", 0x56b4e9, false),
    ("Caddy encode", 0x56b4e9, true),
    ("static-web-server", 0x8c8c8c, false),
    ("tower-http ServeDir", 0x8b5a2b, false),
    ("tower-http CompressionLayer", 0x8b5a2b, true),
    ("cachecompress --tier", 0x0072b2, false),
    // The scenarios of the simulation.
    ("rollout", 0xd55e00, false),
    ("wait", 0x0072b2, false),
    ("loss of 0.01", 0x009e73, false),
    ("loss of 0.05", 0x009e73, true),
    ("outage", 0xcc79a7, false),
    ("outage in a rollout", 0xcc79a7, true),
];

fn style(server: &str) -> SeriesStyle {
    let known = STYLES.iter().find(|(name, ..)| *name == server);
    let (colour, dashed) =
        known.map_or((0x444444, false), |(_, colour, dashed)| (*colour, *dashed));
    let [_, red, green, blue] = colour.to_be_bytes();
    let bold = server.starts_with("cachecompress");
    SeriesStyle { colour: RGBColor(red, green, blue), dashed, bold }
}

const fn log(title: &str) -> Axis<'_> {
    Axis { title, scale: Scale::Log, label: numbers::tick }
}

const fn linear(title: &str) -> Axis<'_> {
    Axis { title, scale: Scale::Linear, label: numbers::tick }
}

const BODY: Axis<'_> = Axis { label: numbers::bytes, ..log("encoded body (log)") };
const LENGTH: Axis<'_> = Axis { label: numbers::bytes, ..log("length of the file (log)") };
const MICROS: Axis<'_> = log("processor time per request, µs (log)");

/// The charts of an experiment.
pub(crate) fn plots(record: &Record) -> anyhow::Result<Vec<Plot>> {
    let cpu = Metric::CpuMicros;
    let first_byte = Metric::FirstByte;
    let plots = match record.experiment.as_str() {
        "warm" => vec![
            by_length(record, "warm-cpu.svg", "HTTP/1.1: processor time per request")?,
            against_nginx(record)?,
            rates(record)?,
        ],
        "drained" => {
            let subject = "HTTP/1.1, drained: processor time per request";
            vec![by_length(record, "drained-cpu.svg", subject)?]
        }
        "h2c" => {
            vec![by_length(record, "h2c-cpu.svg", "HTTP/2 (h2c): processor time per request")?]
        }
        "conditional" => {
            vec![bars(record, cpu, "conditional.svg", "Processor time of a 304", linear("µs"))?]
        }
        "ranges" => {
            let title = "Processor time of a range of 60 KB";
            vec![bars(record, cpu, "ranges.svg", title, linear("µs"))?]
        }
        "identity" => {
            let title = "Processor time of a font (92 KB) and a film (4 MB), never compressed";
            vec![bars(record, cpu, "identity.svg", title, MICROS)?]
        }
        "cold" => {
            let axis = log("ms (log)");
            let title = |end| format!("The first request for a large file: time to the {end} byte");
            vec![
                bars(record, first_byte, "cold-first-byte.svg", &title("first"), axis)?,
                bars(record, Metric::Total, "cold-total.svg", &title("last"), axis)?,
            ]
        }
        "downloads" => {
            let count = record.cases().first().map_or(0.0, |case| case.amount);
            let count = numbers::count(count);
            let title = format!("Processor time for {count} downloads of a 10 MB program");
            let axis = log("seconds (log)");
            vec![bars(record, Metric::CpuSeconds, "downloads.svg", &title, axis)?]
        }
        "files" => {
            let title = "Small texts in random order out of more and more files: processor time";
            vec![lines(record, cpu, "scale-files.svg", title, log("files (log)"), MICROS)?]
        }
        "connections" => connections(record)?,
        "sizes" => sizes(record)?,
        "fleet-simulation" => simulation(record)?,
        "startup" => {
            let title = "From the start of the program to its first response";
            vec![bars(record, first_byte, "startup.svg", title, linear("ms"))?]
        }
        name => fleet(record, name)?,
    };
    Ok(plots.into_iter().filter(|plot| !plot.svg.is_empty()).collect())
}

/// The charts of the experiments on replicas that share a store.
fn fleet(record: &Record, name: &str) -> anyhow::Result<Vec<Plot>> {
    let (file, title) = match name {
        "fleet-import" => {
            ("fleet-import.svg", "Processor time of encodes, and of imports in their place")
        }
        "fleet-crowd" => {
            ("fleet-crowd.svg", "One file that all replicas need: processor time of all")
        }
        "fleet-rollout" => ("fleet-rollout.svg", "A rollout: processor time of all new replicas"),
        _ => return Ok(Vec::new()),
    };
    Ok(vec![bars(record, Metric::CpuSeconds, file, title, log("seconds (log)"))?])
}

/// A line for each server, with a point for each case.
fn lines(
    record: &Record,
    metric: Metric,
    file: &'static str,
    title: &str,
    x: Axis<'_>,
    y: Axis<'_>,
) -> anyhow::Result<Plot> {
    let svg = chart::lines(title, x, y, series(record, metric, |_| true))?;
    Ok(Plot { file, title: title.to_owned(), svg })
}

/// A group of bars for each case, with a bar for each server, the shortest first.
fn bars(
    record: &Record,
    metric: Metric,
    file: &'static str,
    title: &str,
    axis: Axis<'_>,
) -> anyhow::Result<Plot> {
    let mut groups = groups(record, metric, |_| true);
    for group in &mut groups {
        group.bars.sort_by(|one, other| one.2.total_cmp(&other.2));
    }
    bar_plot(file, title, axis, numbers::short, &groups)
}

fn bar_plot(
    file: &'static str,
    title: &str,
    axis: Axis<'_>,
    format: Format,
    groups: &[Group<'_>],
) -> anyhow::Result<Plot> {
    let svg = chart::bars(title, axis, format, groups)?;
    Ok(Plot { file, title: title.to_owned(), svg })
}

fn series<'a>(
    record: &'a Record,
    metric: Metric,
    selects: impl Fn(&Case<'_>) -> bool,
) -> Vec<Series<'a>> {
    let cases: Vec<Case<'_>> = record.cases().into_iter().filter(selects).collect();
    let points = |name: &str| {
        let own = cases.iter();
        own.filter_map(|case| Some((case.amount, record.median(case, name, metric)?))).collect()
    };
    let servers = record.servers().into_iter();
    servers.map(|name| Series { name, style: style(name), points: points(name) }).collect()
}

fn groups<'a>(
    record: &'a Record,
    metric: Metric,
    selects: impl Fn(&Case<'_>) -> bool,
) -> Vec<Group<'a>> {
    let cases = record.cases().into_iter().filter(selects);
    cases
        .map(|case| {
            let bar = |name| Some((name, style(name), record.median(&case, name, metric)?));
            let bars = record.servers().into_iter().filter_map(bar).collect();
            Group { name: case.name.into(), bars }
        })
        .collect()
}

fn by_length(record: &Record, file: &'static str, subject: &str) -> anyhow::Result<Plot> {
    let title = format!("{subject}, {CONNECTIONS} connections");
    let series = series(record, Metric::CpuMicros, |case| case.connections == CONNECTIONS);
    let svg = chart::lines(&title, BODY, MICROS, series)?;
    Ok(Plot { file, title, svg })
}

/// The ratios to nginx, as the targets are set, of the servers that are near it.
fn against_nginx(record: &Record) -> anyhow::Result<Plot> {
    let servers = ["cachecompress", "h2o", "lighttpd", "nginx"];
    let title =
        format!("Processor time per request, as a multiple of nginx's, {CONNECTIONS} connections");
    let cases = record.cases().into_iter().filter(|case| case.connections == CONNECTIONS);
    let groups: Vec<Group<'_>> = cases
        .map(|case| {
            let bar = |name| {
                let ratio = record.ratio(&case, name, "nginx", Metric::CpuMicros)?;
                Some((name, style(name), ratio))
            };
            Group { name: case.name.into(), bars: servers.into_iter().filter_map(bar).collect() }
        })
        .collect();
    bar_plot("warm-ratio.svg", &title, linear("multiple of nginx's"), numbers::times, &groups)
}

/// The rates of the shortest text, a group for each number of connections.
fn rates(record: &Record) -> anyhow::Result<Plot> {
    let title = "Requests per second on one core, 1.4 KB, HTTP/1.1";
    let cases = record.cases();
    let first = cases.first().map_or("", |case| case.name);
    let mut groups = groups(record, Metric::RequestsPerSecond, |case| case.name == first);
    for (group, case) in groups.iter_mut().zip(cases.iter().filter(|case| case.name == first)) {
        group.name = numbers::connections(case.connections);
        group.bars.sort_by(|one, other| other.2.total_cmp(&one.2));
    }
    bar_plot("warm-rate.svg", title, linear("requests per second"), numbers::short, &groups)
}

fn connections(record: &Record) -> anyhow::Result<Vec<Plot>> {
    let x = log("connections (log)");
    let rate = "More and more connections: requests per second, 1.4 KB";
    let memory = "More and more connections: peak memory";
    let rates = linear("requests per second");
    Ok(vec![
        lines(record, Metric::RequestsPerSecond, "scale-connections.svg", rate, x, rates)?,
        lines(record, Metric::Rss, "scale-memory.svg", memory, x, log("peak memory, MB (log)"))?,
    ])
}

fn sizes(record: &Record) -> anyhow::Result<Vec<Plot>> {
    let rate = "Longer and longer films: MB per second, 16 connections";
    let cost = "Longer and longer films: processor time per GB";
    let rates = log("MB per second (log)");
    let costs = log("processor seconds per GB (log)");
    Ok(vec![
        lines(record, Metric::MegabytesPerSecond, "scale-sizes.svg", rate, LENGTH, rates)?,
        lines(record, Metric::CpuSeconds, "scale-sizes-cpu.svg", cost, LENGTH, costs)?,
    ])
}

/// The scenarios with several numbers of replicas, and the seconds of an outage.
fn simulation(record: &Record) -> anyhow::Result<Vec<Plot>> {
    let x = log("replicas (log)");
    let title = |when| format!("Simulated replicas at one store: requests in {when} second");
    let plot = |metric, file, title: String| {
        let mut series = series(record, metric, |case| case.connections > 0);
        series.retain(|series| series.points.len() > 1);
        let svg = chart::lines(&title, x, log("requests per second (log)"), series)?;
        anyhow::Ok(Plot { file, title, svg })
    };
    let outage =
        "1,000 simulated replicas and a store that goes away for a minute: requests in each second";
    let seconds = series(record, Metric::StoreRequests, |case| case.connections == 0);
    let calls = linear("requests in a second");
    Ok(vec![
        plot(Metric::StoreRate, "fleet-simulation-mean.svg", title("an average"))?,
        plot(Metric::StorePeak, "fleet-simulation-peak.svg", title("the busiest"))?,
        Plot {
            file: "fleet-simulation-outage.svg",
            title: outage.to_owned(),
            svg: chart::lines(outage, linear("second"), calls, seconds)?,
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::kind::Kind;

    #[test]
    fn servers_have_styles() {
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
            assert!(STYLES.iter().any(|(name, ..)| *name == kind.name()), "{}", kind.name());
        }
    }
}
