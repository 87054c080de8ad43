//! The time from the start of the program to the first response, with few and many cache entries.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::harness::Harness;
use crate::numbers;
use crate::results::{Case, Metric, Record, Values};
use crate::servers::kind::Kind;
use crate::site::Asset;
use crate::text::Random;
use crate::{check, client, cost, files};

pub(super) fn run(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let asset = harness.small_text()?;
    let counts: &[u32] = harness.options.scope(&[0, 10_000, 200_000], &[0, 10_000]);
    // The turns are short, so there are more of them.
    let turns = harness.options.turns() * 3;
    record.turns = turns;
    let caches: Vec<PathBuf> = counts
        .iter()
        .map(|count| fill(harness, record, &asset, *count))
        .collect::<anyhow::Result<_>>()?;
    for turn in 0..turns {
        for (count, cache) in counts.iter().zip(&caches) {
            let name = format!("{} entries", numbers::count(f64::from(*count)));
            let case = Case { name: &name, amount: f64::from(*count), connections: 1 };
            let values = start(harness, record, &asset, cache)?;
            record.add(&case, Kind::Ours.name(), turn, values);
        }
    }
    Ok(())
}

/// The times from a server's start to its first response, and to the first one from its cache.
fn start(
    harness: &Harness<'_>,
    record: &mut Record,
    asset: &Asset,
    cache: &Path,
) -> anyhow::Result<Values> {
    let server = harness.start_with(Kind::Ours, record, cache.to_owned())?;
    let response = client::get(server.port, asset.path, &[], &mut Vec::new())?;
    let first = server.started.elapsed();
    ensure!(response.status == 200, "status {} as the first response", response.status);
    check::warm(server.port, asset.path, "gzip", &harness.site.file(asset.path))?;
    let hit = server.started.elapsed();
    Ok([
        (Metric::FirstByte, first.as_secs_f64() * 1e3),
        (Metric::Total, hit.as_secs_f64() * 1e3),
        (Metric::CpuSeconds, cost::cpu(server.pid()).as_secs_f64()),
        (Metric::Rss, cost::peak(server.pid()) as f64 / 1e6),
    ]
    .into())
}

/// A cache with the entry of `asset` and `count` copies of it under other names.
///
/// The server lists the copies at its start like any entries; only their use would show that they
/// do not belong to their names.
fn fill(
    harness: &Harness<'_>,
    record: &mut Record,
    asset: &Asset,
    count: u32,
) -> anyhow::Result<PathBuf> {
    let cache = harness.places.bench.join(format!("caches/startup-{count}"));
    let stamp = cache.join("filled");
    {
        let server = harness.start_with(Kind::Ours, record, cache.clone())?;
        check::warm(server.port, asset.path, "gzip", &harness.site.file(asset.path))?;
    }
    let entries = cache.join("v1/entries");
    if !stamp.exists() {
        println!("  making {count} entries");
        let entry = any_file(&entries).context("the server has published no entry")?;
        let bytes = fs::read(&entry)?;
        let mut random = Random::new(9);
        for _ in 0..count {
            let digest: String = (0..4).map(|_| format!("{:016x}", random.next())).collect();
            let name = format!("{digest}-{:016x}", random.next());
            files::write(&entries.join(&digest[..2]).join(name), &bytes)?;
        }
        files::write(&stamp, b"")?;
    }
    Ok(cache)
}

/// Any file beneath a directory.
fn any_file(dir: &Path) -> Option<PathBuf> {
    let mut paths = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    paths.find_map(|path| if path.is_dir() { any_file(&path) } else { Some(path) })
}
