//! From the start of the program to the first answer, with little and much in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Bench, Values, add};
use crate::numbers;
use crate::results::{Case, Metric, Record};
use crate::servers::Kind;
use crate::site::Page;
use crate::text::Random;
use crate::{Outcome, check, client, cost, places};

pub(super) fn run(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let page = *bench.site.texts(bench.options)?.first().ok_or("no text")?;
    let counts: &[u32] = bench.options.extent(&[0, 10_000, 200_000], &[0, 10_000]);
    // Each turn is short, so there can be more of them.
    let turns = bench.options.turns() * 3;
    record.turns = turns;
    let caches: Vec<PathBuf> =
        counts.iter().map(|count| fill(bench, record, &page, *count)).collect::<Outcome<_>>()?;
    for turn in 0..turns {
        for (count, cache) in counts.iter().zip(&caches) {
            let name = format!("{} entries", numbers::count(f64::from(*count)));
            let case = Case { name: &name, amount: f64::from(*count), connections: 1 };
            let values = start(bench, record, &page, cache)?;
            add(record, &case, Kind::Ours.name(), turn, values);
        }
    }
    Ok(())
}

/// Starts a server, and asks until it answers, then until it answers from its cache.
fn start(bench: &Bench<'_>, record: &mut Record, page: &Page, cache: &Path) -> Outcome<Values> {
    let server = bench.start_with(Kind::Ours, record, cache.to_owned())?;
    let fields = [("Connection", "close")];
    let answer = client::get(server.port, page.path, &fields, &mut Vec::new())?;
    let first = server.started.elapsed();
    if answer.status != 200 {
        return Err(format!("status {} as the first answer", answer.status));
    }
    check::warm(server.port, page.path, "gzip", &bench.site.file(page.path))?;
    let hit = server.started.elapsed();
    Ok([
        (Metric::FirstByte, first.as_secs_f64() * 1e3),
        (Metric::Total, hit.as_secs_f64() * 1e3),
        (Metric::CpuSeconds, cost::cpu(server.pid()).as_secs_f64()),
        (Metric::Rss, cost::peak(server.pid()) as f64 / 1e6),
    ]
    .into())
}

/// A cache with the entry of `page` and, besides, `count` copies of it under other names. They are
/// listed at the start like any; that they are no entries of their names shows only on their use.
fn fill(bench: &Bench<'_>, record: &mut Record, page: &Page, count: u32) -> Outcome<PathBuf> {
    let cache = bench.places.bench.join(format!("caches/startup-{count}"));
    let stamp = cache.join("filled");
    {
        let server = bench.start_with(Kind::Ours, record, cache.clone())?;
        check::warm(server.port, page.path, "gzip", &bench.site.file(page.path))?;
    }
    let entries = cache.join("v1/entries");
    if !stamp.exists() {
        println!("  making {count} entries");
        let entry = any_file(&entries).ok_or("the server has published no entry")?;
        let bytes = places::read(&entry)?;
        let mut random = Random::new(9);
        for _ in 0..count {
            let digest: String = (0..4).map(|_| format!("{:016x}", random.next())).collect();
            let name = format!("{digest}-{:016x}", random.next());
            places::write(&entries.join(&digest[..2]).join(name), &bytes)?;
        }
        places::write(&stamp, b"")?;
    }
    Ok(cache)
}

/// Some file beneath a directory.
fn any_file(dir: &Path) -> Option<PathBuf> {
    let mut paths = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    paths.find_map(|path| if path.is_dir() { any_file(&path) } else { Some(path) })
}
