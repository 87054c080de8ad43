//! The first request for a large file that nobody has compressed yet.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Bench, Values, add};
use crate::client;
use crate::machine::Cores;
use crate::results::{Case, Metric, Record};
use crate::servers::{Kind, Server};
use crate::site::Page;
use crate::{Outcome, check, cost, machine, places};

const KINDS: [Kind; 5] =
    [Kind::Ours, Kind::NginxGzip, Kind::Lighttpd, Kind::CaddyEncode, Kind::CompressionLayer];
/// What a server may go on with after its answer counts as the answer's cost.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// How long the hash of a very long file may take.
const HASHED: Duration = Duration::from_secs(60);

pub(super) fn run(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let pages = [bench.site.program()?, bench.site.largest_text(bench.options)?];
    // Something that has nothing to do with it, to see that the server is awake.
    let small = *bench.site.texts(bench.options)?.first().ok_or("no text")?;
    for page in pages {
        let file = bench.site.file(page.path);
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        for coding in ["zstd", "gzip"] {
            let what = if page.path == crate::site::PROGRAM.path { "program" } else { "text" };
            let name = format!("{:.0} MB {what}, {coding}", length as f64 / 1e6);
            let case = Case { name: &name, amount: length as f64, connections: 1 };
            for turn in 0..bench.options.turns() {
                for kind in KINDS.into_iter().filter(|kind| kind.encodes().contains(&coding)) {
                    if !bench.programs.has(kind) {
                        continue;
                    }
                    let whom = (kind, Cores::One);
                    match first_request(bench, record, whom, (&small, &page), coding) {
                        Ok(values) => add(record, &case, kind.name(), turn, values),
                        Err(why) => record.note(format!("{name}: {}: {why}", kind.name())),
                    }
                }
            }
        }
    }
    Ok(())
}

/// The encoder's own program, as the first request's time to the last byte is held against it.
const ENCODER: &str = "zstd -3 -T1";

/// The first request to our server, which has all cores, and the encoder alone, which has them, too.
pub(super) fn beside_the_encoder(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let page = bench.site.largest_text(bench.options)?;
    let small = *bench.site.texts(bench.options)?.first().ok_or("no text")?;
    let path = bench.site.root().join(page.path.trim_start_matches('/'));
    // Neither is to wait for the disk.
    let length = places::read(&path)?.len() as f64;
    let case = Case { name: "long text, zstd", amount: length, connections: 1 };
    record.versions.insert(ENCODER.into(), machine::said_by("zstd", &["--version"]));
    // Each turn is short, so there can be more of them.
    record.turns = 3 * bench.options.turns();
    for turn in 0..record.turns {
        let values =
            first_request(bench, record, (Kind::Ours, Cores::All), (&small, &page), "zstd")?;
        add(record, &case, Kind::Ours.name(), turn, values);
        let mut command = Command::new("zstd");
        command.args(["-3", "-T1", "-q", "-c"]).arg(&path);
        let mut command = Cores::All.of(&command);
        let start = Instant::now();
        let status = command.stdout(Stdio::null()).status().map_err(|error| error.to_string())?;
        let total = start.elapsed();
        if !status.success() {
            return Err(format!("{ENCODER}: {status}"));
        }
        add(record, &case, ENCODER, turn, [(Metric::Total, total.as_secs_f64() * 1e3)].into());
    }
    Ok(())
}

/// The first request for a long text, and for one of 2 GB, which is no shorter a work but must not
/// take more memory.
pub(super) fn lengths(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let small = *bench.site.texts(bench.options)?.first().ok_or("no text")?;
    let long = bench.site.largest_text(bench.options)?;
    record.turns = 1;
    let huge = (!bench.options.quick).then(|| bench.site.huge_text(&long)).transpose()?;
    for page in [long].into_iter().chain(huge) {
        let file = bench.site.file(page.path);
        let length = file.metadata().map_err(|error| error.to_string())?.len() as f64;
        for coding in ["zstd", "gzip"] {
            let name = format!("{} MB, {coding}", (length / 1e6).round());
            let case = Case { name: &name, amount: length, connections: 1 };
            let whom = (Kind::OursRoomy, Cores::All);
            let values = first_request(bench, record, whom, (&small, &page), coding)?;
            add(record, &case, whom.0.name(), 0, values);
        }
    }
    Ok(())
}

/// Starts a server with an empty cache, and asks it for `page`.
fn first_request(
    bench: &Bench<'_>,
    record: &mut Record,
    (kind, cores): (Kind, Cores),
    (small, page): (&Page, &Page),
    coding: &str,
) -> Outcome<Values> {
    let cache = bench.places.run.join("cold-cache");
    places::create_empty(&cache)?;
    let server = bench.start_on(cores, kind, record, cache)?;
    client::get(server.port, small.path, &[("Connection", "close")], &mut Vec::new())?;
    cost::reset_peak(server.pid())?;
    let before = cost::cpu(server.pid());
    let mut body = Vec::new();
    let fields = [("Accept-Encoding", coding), ("Connection", "close")];
    let mut answer = client::get(server.port, page.path, &fields, &mut body)?;
    // Who asks while ours still hashes gets a very long file as it is.
    let start = Instant::now();
    while answer.field("cache-status").is_some_and(|status| status.contains("unhashed"))
        && start.elapsed() < HASHED
    {
        std::thread::sleep(AFTERWARDS);
        body.clear();
        answer = client::get(server.port, page.path, &fields, &mut body)?;
    }
    std::thread::sleep(AFTERWARDS);
    let cpu = cost::cpu(server.pid()).saturating_sub(before);
    let rss = peak(&server);
    check::decodes_to(answer.coding(), &body, &bench.site.file(page.path))?;
    if answer.coding() != coding {
        record.note(format!(
            "{} answers the first request for {} with `{}` instead of `{coding}`",
            kind.name(),
            page.path,
            answer.coding()
        ));
    }
    Ok([
        (Metric::FirstByte, answer.first_byte.as_secs_f64() * 1e3),
        (Metric::Total, answer.total.as_secs_f64() * 1e3),
        (Metric::CpuSeconds, cpu.as_secs_f64()),
        (Metric::WireBytes, answer.wire_bytes as f64),
        (Metric::Rss, rss),
    ]
    .into())
}

fn peak(server: &Server) -> f64 {
    cost::peak(server.pid()) as f64 / 1e6
}
