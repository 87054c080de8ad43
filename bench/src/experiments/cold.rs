//! The first request for a large file that is not encoded yet.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use fs_err as fs;

use super::harness::Harness;
use crate::machine::Cores;
use crate::results::{Case, Metric, Record, Values};
use crate::servers::kind::Kind;
use crate::site::{Asset, PROGRAM};
use crate::{check, client, cost, files, machine};

const KINDS: [Kind; 5] =
    [Kind::Ours, Kind::NginxGzip, Kind::Lighttpd, Kind::CaddyEncode, Kind::CompressionLayer];
/// The time after a response in which the server's work still counts as its cost.
const AFTER_RESPONSE: Duration = Duration::from_millis(500);
/// The time in which a very long file must be hashed.
const HASH_TIMEOUT: Duration = Duration::from_secs(60);
/// The encoder's own program, which is the measure of the first request's time.
const ENCODER: &str = "zstd -3 -T1";

pub(super) fn run(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let assets = [harness.site.program()?, harness.site.largest_text(harness.options)?];
    for asset in assets {
        let length = fs::metadata(harness.site.file(asset.path))?.len();
        for coding in ["zstd", "gzip"] {
            let content = if asset.path == PROGRAM.path { "program" } else { "text" };
            let name = format!("{:.0} MB {content}, {coding}", length as f64 / 1e6);
            let case = Case { name: &name, amount: length as f64, connections: 1 };
            for turn in 0..harness.options.turns() {
                for kind in KINDS.into_iter().filter(|kind| kind.encodes().contains(&coding)) {
                    if !harness.programs.has(kind) {
                        continue;
                    }
                    match first_request(harness, record, (kind, Cores::One), &asset, coding) {
                        Ok(values) => record.add(&case, kind.name(), turn, values),
                        Err(error) => record.note(format!("{name}: {}: {error:#}", kind.name())),
                    }
                }
            }
        }
    }
    Ok(())
}

/// The first request to our server, and the encoder alone, each with all cores.
pub(super) fn beside_the_encoder(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let asset = harness.site.largest_text(harness.options)?;
    let path = harness.site.file(asset.path);
    // Reading the file first keeps both from waiting for the disk.
    let length = fs::read(&path)?.len() as f64;
    let case = Case { name: "long text, zstd", amount: length, connections: 1 };
    record.versions.insert(ENCODER.into(), machine::first_line_of("zstd", &["--version"]));
    // The turns are short, so there are more of them.
    record.turns = 3 * harness.options.turns();
    for turn in 0..record.turns {
        let values = first_request(harness, record, (Kind::Ours, Cores::All), &asset, "zstd")?;
        record.add(&case, Kind::Ours.name(), turn, values);
        let mut command = Command::new("zstd");
        command.args(["-3", "-T1", "-q", "-c"]).arg(&path);
        let mut command = Cores::All.pin(&command);
        let start = Instant::now();
        let status = command.stdout(Stdio::null()).status()?;
        let total = start.elapsed();
        ensure!(status.success(), "{ENCODER}: {status}");
        record.add(&case, ENCODER, turn, [(Metric::Total, total.as_secs_f64() * 1e3)].into());
    }
    Ok(())
}

/// The first request for a long text, and for one of 2 GB, which must not take more memory.
pub(super) fn lengths(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let long = harness.site.largest_text(harness.options)?;
    record.turns = 1;
    let huge = (!harness.options.quick).then(|| harness.site.huge_text(&long)).transpose()?;
    for asset in [long].into_iter().chain(huge) {
        let length = fs::metadata(harness.site.file(asset.path))?.len() as f64;
        for coding in ["zstd", "gzip"] {
            let name = format!("{} MB, {coding}", (length / 1e6).round());
            let case = Case { name: &name, amount: length, connections: 1 };
            let kind = Kind::OursRoomy;
            let values = first_request(harness, record, (kind, Cores::All), &asset, coding)?;
            record.add(&case, kind.name(), 0, values);
        }
    }
    Ok(())
}

/// Starts a server with an empty cache, and requests `asset`.
fn first_request(
    harness: &Harness<'_>,
    record: &mut Record,
    (kind, cores): (Kind, Cores),
    asset: &Asset,
    coding: &str,
) -> anyhow::Result<Values> {
    let cache = harness.places.run.join("cold-cache");
    files::create_empty(&cache)?;
    // A request for another file shows that the server is awake.
    let small = harness.small_text()?;
    let server = harness.start_on(cores, kind, record, cache)?;
    client::get(server.port, small.path, &[], &mut Vec::new())?;
    cost::reset_peak(server.pid())?;
    let before = cost::cpu(server.pid());
    let mut body = Vec::new();
    let headers = [("Accept-Encoding", coding)];
    let mut response = client::get(server.port, asset.path, &headers, &mut body)?;
    // Our server sends a very long file as it is until it is hashed.
    let start = Instant::now();
    while response.header("cache-status").is_some_and(|status| status.contains("unhashed"))
        && start.elapsed() < HASH_TIMEOUT
    {
        std::thread::sleep(AFTER_RESPONSE);
        body.clear();
        response = client::get(server.port, asset.path, &headers, &mut body)?;
    }
    std::thread::sleep(AFTER_RESPONSE);
    let cpu = cost::cpu(server.pid()).saturating_sub(before);
    let peak = cost::peak(server.pid());
    check::decodes_to(response.coding(), &body, &harness.site.file(asset.path))?;
    if response.coding() != coding {
        record.note(format!(
            "{} answers the first request for {} with `{}` instead of `{coding}`",
            kind.name(),
            asset.path,
            response.coding()
        ));
    }
    Ok([
        (Metric::FirstByte, response.first_byte.as_secs_f64() * 1e3),
        (Metric::Total, response.total.as_secs_f64() * 1e3),
        (Metric::CpuSeconds, cpu.as_secs_f64()),
        (Metric::WireBytes, response.wire_bytes as f64),
        (Metric::Rss, peak as f64 / 1e6),
    ]
    .into())
}
