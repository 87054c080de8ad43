//! The first request for a large file that nobody has compressed yet.

use std::time::Duration;

use super::{Bench, Values, add};
use crate::client;
use crate::results::{Case, Metric, Record};
use crate::servers::{Kind, Server};
use crate::site::Page;
use crate::{Outcome, check, cost, places};

const KINDS: [Kind; 5] =
    [Kind::Ours, Kind::NginxGzip, Kind::Lighttpd, Kind::CaddyEncode, Kind::CompressionLayer];
/// What a server may go on with after its answer counts as the answer's cost.
const AFTERWARDS: Duration = Duration::from_millis(500);

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
                    match first_request(bench, record, kind, (&small, &page), coding) {
                        Ok(values) => add(record, &case, kind.name(), turn, values),
                        Err(why) => record.note(format!("{name}: {}: {why}", kind.name())),
                    }
                }
            }
        }
    }
    Ok(())
}

/// Starts a server with an empty cache, and asks it for `page`.
fn first_request(
    bench: &Bench<'_>,
    record: &mut Record,
    kind: Kind,
    (small, page): (&Page, &Page),
    coding: &str,
) -> Outcome<Values> {
    let cache = bench.places.run.join("cold-cache");
    places::create_empty(&cache)?;
    let server = bench.start_with(kind, record, cache)?;
    client::get(server.port, small.path, &[("Connection", "close")], &mut Vec::new())?;
    cost::reset_peak(server.pid())?;
    let before = cost::cpu(server.pid());
    let mut body = Vec::new();
    let fields = [("Accept-Encoding", coding), ("Connection", "close")];
    let answer = client::get(server.port, page.path, &fields, &mut body)?;
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
