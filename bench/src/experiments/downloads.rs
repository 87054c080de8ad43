//! 2,000 downloads of the same program, 64 of them at a time: the purpose of cachecompress.

use anyhow::ensure;

use super::harness::Harness;
use crate::load::{self, Request, Until, Version};
use crate::results::{Case, Metric, Record, Values};
use crate::servers::kind::Kind;
use crate::site::Asset;
use crate::{check, client, cost, files};

const CLIENTS: u32 = 64;
const DOWNLOADS: u32 = 2000;
/// The downloads of a server that compresses every response. The cost of all is computed from them.
const SAMPLE: u32 = 64;

const KINDS: [Kind; 6] = [
    Kind::Ours,
    Kind::Nginx,
    Kind::Lighttpd,
    Kind::NginxGzip,
    Kind::CaddyEncode,
    Kind::CompressionLayer,
];

pub(super) fn run(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let asset = harness.site.program()?;
    harness.precompress(record, &[asset])?;
    let all = harness.options.scope(DOWNLOADS, DOWNLOADS / 10);
    record.note(format!(
        "The servers that compress every response did {SAMPLE} downloads; the cost of {all} is \
         computed from them. cachecompress and lighttpd began with an empty cache, so their cost \
         includes compressing. nginx with gzip_static had a precompressed file."
    ));
    for coding in ["zstd", "gzip"] {
        let case = Case { name: coding, amount: f64::from(all), connections: CLIENTS };
        for turn in 0..harness.options.turns() {
            for kind in KINDS {
                let offers =
                    kind.encodes().contains(&coding) || (kind == Kind::Nginx && coding == "gzip");
                if !offers || !harness.programs.has(kind) {
                    continue;
                }
                match downloads(harness, record, kind, (&asset, all), coding) {
                    Ok(values) => record.add(&case, kind.name(), turn, values),
                    Err(error) => record.note(format!("{coding}: {}: {error:#}", kind.name())),
                }
            }
        }
    }
    Ok(())
}

/// Whether a server compresses the file again for every response.
fn compresses_every_response(kind: Kind) -> bool {
    matches!(kind, Kind::NginxGzip | Kind::CaddyEncode | Kind::CompressionLayer)
}

fn downloads(
    harness: &Harness<'_>,
    record: &mut Record,
    kind: Kind,
    (asset, all): (&Asset, u32),
    coding: &str,
) -> anyhow::Result<Values> {
    let cache = harness.places.run.join("downloads-cache");
    files::create_empty(&cache)?;
    let server = harness.start_with(kind, record, cache)?;
    let count = if compresses_every_response(kind) { SAMPLE } else { all };
    let headers = vec![("Accept-Encoding", coding.to_owned())];
    let request = Request {
        scheme: "http",
        port: server.port,
        path: asset.path,
        headers,
        connections: CLIENTS,
    };
    let before = cost::cpu(server.pid());
    let until = Until::Requests(count);
    let stats = load::h2load(&request, Version::Http1, until, &harness.places.run)?;
    let cpu = cost::cpu(server.pid()).saturating_sub(before).as_secs_f64();
    let complete = stats.errors == 0.0 && stats.requests >= f64::from(count);
    ensure!(complete, "{} of {count} downloads succeeded", stats.requests);
    // The check comes last, since the first request must be one of the load's.
    let mut body = Vec::new();
    let headers = [("Accept-Encoding", coding)];
    let response = client::get(server.port, asset.path, &headers, &mut body)?;
    check::decodes_to(coding, &body, &harness.site.file(asset.path))?;
    // A server that compresses once has the same cost for any number of downloads.
    let factor =
        if compresses_every_response(kind) { f64::from(all) / f64::from(count) } else { 1.0 };
    Ok([
        (Metric::CpuSeconds, cpu * factor),
        (Metric::RequestsPerSecond, stats.requests / stats.seconds),
        (Metric::WireBytes, response.wire_bytes as f64),
        (Metric::Rss, cost::peak(server.pid()) as f64 / 1e6),
    ]
    .into())
}
