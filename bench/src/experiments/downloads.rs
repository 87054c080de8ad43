//! The case that started it all: 2,000 machines fetch the same program, 64 of them at a time.

use super::{Bench, Values, add};
use crate::load::{self, Extent, Request, Version};
use crate::results::{Case, Metric, Record};
use crate::servers::Kind;
use crate::site::Page;
use crate::{Outcome, check, client, cost, places};

const CLIENTS: u32 = 64;
const DOWNLOADS: u32 = 2000;
/// Those who compress every answer do so many, and the cost of all is computed from that.
const SAMPLE: u32 = 64;

/// Who serves it, and how.
const KINDS: [Kind; 6] = [
    Kind::Ours,
    Kind::Nginx,
    Kind::Lighttpd,
    Kind::NginxGzip,
    Kind::CaddyEncode,
    Kind::CompressionLayer,
];

pub(super) fn run(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let page = bench.site.program()?;
    bench.siblings(record, &[page])?;
    let all = bench.options.extent(DOWNLOADS, DOWNLOADS / 10);
    record.note(format!(
        "Those who compress every answer did {SAMPLE} downloads; their cost is that of {all} \
         by proportion. cachecompress and lighttpd began with an empty cache: compressing is part \
         of their cost. For nginx with gzip_static somebody compressed the file beforehand."
    ));
    for coding in ["zstd", "gzip"] {
        let case = Case { name: coding, amount: f64::from(all), connections: CLIENTS };
        for turn in 0..bench.options.turns() {
            for kind in KINDS {
                let offers =
                    kind.encodes().contains(&coding) || (kind == Kind::Nginx && coding == "gzip");
                if !offers || !bench.programs.has(kind) {
                    continue;
                }
                match downloads(bench, record, kind, (&page, all), coding) {
                    Ok(values) => add(record, &case, kind.name(), turn, values),
                    Err(why) => record.note(format!("{coding}: {}: {why}", kind.name())),
                }
            }
        }
    }
    Ok(())
}

/// Whether a server compresses the file again for every answer.
fn compresses_always(kind: Kind) -> bool {
    matches!(kind, Kind::NginxGzip | Kind::CaddyEncode | Kind::CompressionLayer)
}

fn downloads(
    bench: &Bench<'_>,
    record: &mut Record,
    kind: Kind,
    (page, all): (&Page, u32),
    coding: &str,
) -> Outcome<Values> {
    let cache = bench.places.run.join("downloads-cache");
    places::create_empty(&cache)?;
    let server = bench.start_with(kind, record, cache)?;
    let count = if compresses_always(kind) { SAMPLE } else { all };
    let fields = vec![("Accept-Encoding", coding.to_owned())];
    let request = Request { port: server.port, path: page.path, fields, connections: CLIENTS };
    let before = cost::cpu(server.pid());
    let extent = Extent::Requests(count);
    let tally = load::h2load(&request, Version::Http1, extent, &bench.places.run)?;
    let cpu = cost::cpu(server.pid()).saturating_sub(before).as_secs_f64();
    if tally.errors > 0.0 || tally.requests < f64::from(count) {
        return Err(format!("{} of {count} downloads came", tally.requests));
    }
    // Only now, as the first request must be one of the load's.
    let mut body = Vec::new();
    let fields = [("Accept-Encoding", coding), ("Connection", "close")];
    let answer = client::get(server.port, page.path, &fields, &mut body)?;
    check::decodes_to(coding, &body, &bench.site.file(page.path))?;
    // The cost of compressing once is no multiple of anything.
    let factor = if compresses_always(kind) { f64::from(all) / f64::from(count) } else { 1.0 };
    Ok([
        (Metric::CpuSeconds, cpu * factor),
        (Metric::RequestsPerSecond, tally.requests / tally.seconds),
        (Metric::WireBytes, answer.wire_bytes as f64),
        (Metric::Rss, cost::peak(server.pid()) as f64 / 1e6),
    ]
    .into())
}
