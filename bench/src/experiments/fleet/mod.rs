//! Replicas with caches of their own, and the store that they share.

mod builds;
mod replica;
pub(super) mod rollout;
pub(super) mod simulation;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use fs_err as fs;

use super::harness::Harness;
use crate::results::{Case, Metric, Record, Values};
use crate::{check, client, files, machine, text};
use replica::{Counts, Replica};
use store::{Place, Store};

/// Replicas by themselves, and replicas that share a store.
const ALONE: &str = "cachecompress";
const SHARING: &str = "cachecompress --tier";
/// The age from which our server takes a file for unchanging.
const SETTLED_AFTER: Duration = Duration::from_millis(2500);
/// The time between two replicas that start one after the other.
const STAGGER: Duration = Duration::from_secs(1);

/// The processor time of imports, and that of the encodes and proofs in their place.
pub(super) fn import(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let (most, length) = harness.options.scope((8, 8_000_000), (2, 2_000_000));
    let site = scripts(harness, "import", most, length)?;
    let store = open_store(record)?;
    // The slowest level has figures enough in a quarter of the files.
    for (name, coding, level, count) in [
        ("zstd 3", "zstd", "zstd=3", most),
        ("br 5", "br", "br=5", most),
        ("br 11", "br", "br=11", most.div_ceil(4)),
    ] {
        let case = Case { name, amount: f64::from(count), connections: 1 };
        let flags = ["--level", level, "--patience", "1h"];
        let request = |place: Option<&Place>| -> anyhow::Result<Values> {
            let replica = Replica::start(harness, &site, &flags, place)?;
            cost_of(&replica, &site, count, coding)
        };
        let place = store.empty_place();
        // Stores the objects.
        request(Some(&place))?;
        for turn in 0..harness.options.turns() {
            record.add(&case, ALONE, turn, request(None)?);
            let values = request(Some(&place))?;
            let imports = values.get(&Metric::Imports).copied().unwrap_or_default();
            if imports < f64::from(count) {
                record.note(format!("{name}: {imports} of {count} files were imported in a turn"));
            }
            record.add(&case, SHARING, turn, values);
        }
    }
    Ok(())
}

/// The cost of all scripts of `site` in a coding, without that of their hashes.
fn cost_of(
    replica: &Replica,
    site: &std::path::Path,
    count: u32,
    coding: &str,
) -> anyhow::Result<Values> {
    let client = client::Client::new(replica.port);
    let paths = || (0..count).map(script_path);
    for path in paths() {
        client.get(&path, &[], &mut std::io::sink())?;
    }
    let before = replica.cpu();
    for path in paths() {
        let mut body = Vec::new();
        let response = client.get(&path, &[("Accept-Encoding", coding)], &mut body)?;
        ensure!(response.coding() == coding, "{path} comes in `{}`", response.coding());
        check::decodes_to(coding, &body, &site.join(&path[1..]))?;
    }
    replica.wait_until_idle()?;
    let counts = replica.counts()?;
    let cpu = counts.cpu.saturating_sub(before);
    Ok([
        (Metric::CpuSeconds, cpu.as_secs_f64()),
        (Metric::Encodes, counts.encodes),
        (Metric::Imports, counts.imports),
    ]
    .into())
}

/// One file, which replicas with empty caches all need.
pub(super) fn crowd(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let (replicas, length) = harness.options.scope((20, 8_000_000), (4, 2_000_000));
    let site = scripts(harness, "crowd", 1, length)?;
    let store = open_store(record)?;
    for (name, coding, level, pause) in [
        ("br 11, at once", "br", Some("br=11"), Duration::ZERO),
        ("br 5, at once", "br", None, Duration::ZERO),
        ("br 5, a second apart", "br", None, STAGGER),
        ("zstd 3, a second apart", "zstd", None, STAGGER),
    ] {
        let case = Case { name, amount: f64::from(replicas), connections: 1 };
        let flags: Vec<&str> = level.map_or_else(Vec::new, |level| vec!["--level", level]);
        for turn in 0..harness.options.turns() {
            for place in [None, Some(store.empty_place())] {
                let started = (0..replicas)
                    .map(|_| Replica::start(harness, &site, &flags, place.as_ref()))
                    .collect::<anyhow::Result<Vec<_>>>()?;
                let before = (store.requests(), cpu_of(&started));
                request_from_all(&started, coding, pause)?;
                let counts = total(&started)?;
                let name = if place.is_some() { SHARING } else { ALONE };
                let shared = place.is_some().then(|| store.requests() - before.0);
                let counts = Counts { cpu: counts.cpu.saturating_sub(before.1), ..counts };
                record.add(&case, name, turn, values_of(&counts, shared));
            }
        }
    }
    Ok(())
}

/// Requests the script from each replica, `pause` after the one before, and waits until all are idle.
fn request_from_all(replicas: &[Replica], coding: &str, pause: Duration) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let mut requests = Vec::new();
        for replica in replicas {
            requests.push(scope.spawn(|| {
                let headers = [("Accept-Encoding", coding)];
                client::get(replica.port, &script_path(0), &headers, &mut std::io::sink())
            }));
            std::thread::sleep(pause);
        }
        for request in requests {
            let response = request.join().expect("a request does not panic")?;
            ensure!(response.status == 200, "status {}", response.status);
        }
        Ok(())
    })?;
    replicas.iter().try_for_each(Replica::wait_until_idle)
}

fn cpu_of(replicas: &[Replica]) -> Duration {
    replicas.iter().map(Replica::cpu).sum()
}

fn total(replicas: &[Replica]) -> anyhow::Result<Counts> {
    replicas.iter().map(Replica::counts).sum()
}

/// The figures of replicas that made `requests` to their store, if they have one.
fn values_of(counts: &Counts, requests: Option<usize>) -> Values {
    let mut values: Values =
        [(Metric::CpuSeconds, counts.cpu.as_secs_f64()), (Metric::Encodes, counts.encodes)].into();
    if let Some(requests) = requests {
        values.extend([
            (Metric::Imports, counts.imports),
            (Metric::StoreRequests, requests as f64),
            (Metric::StoreRead, counts.read_bytes / 1e6),
            (Metric::StoreWritten, counts.written_bytes / 1e6),
        ]);
    }
    values
}

fn open_store(record: &mut Record) -> anyhow::Result<Store> {
    let store = Store::start()?;
    let weed = store.program();
    let version = machine::first_line_of(&weed.to_string_lossy(), &["version"]);
    record.versions.insert("SeaweedFS".into(), version);
    Ok(store)
}

/// A directory of `count` scripts of `length` bytes, which is made once.
fn scripts(
    harness: &Harness<'_>,
    name: &str,
    count: u32,
    length: usize,
) -> anyhow::Result<PathBuf> {
    let site = harness.places.bench.join(format!("fleet/{name}-{count}-{length}"));
    for number in 0..count {
        let file = site.join(&script_path(number)[1..]);
        if !fs::metadata(&file).is_ok_and(|found| found.len() == length as u64) {
            files::write(&file, text::script(100 + u64::from(number), length))?;
        }
    }
    std::thread::sleep(SETTLED_AFTER);
    Ok(site)
}

fn script_path(number: u32) -> String {
    format!("/script-{number}.js")
}
