//! The cost with more files, more connections and longer files.

use anyhow::bail;

use super::harness::{Harness, under_load};
use crate::load::{self, Request};
use crate::numbers;
use crate::results::{Case, Metric, Record};
use crate::servers::kind::Kind;
use crate::{check, client, site};

const KINDS: [Kind; 4] = [Kind::Ours, Kind::Nginx, Kind::H2o, Kind::Caddy];

/// Small texts in random order, out of few and many.
pub(super) fn files(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let counts: &[u32] = harness.options.scope(&[10, 1_000, 100_000], &[10, 1_000]);
    let most = counts.last().copied().unwrap_or_default();
    harness.site.small_files(most)?;
    // In a shared cache so many entries would be listed during other experiments.
    let cache = harness.places.bench.join("caches/files");
    {
        let ours = harness.start_with(Kind::Ours, record, cache.clone())?;
        harness.site.warm_small_files(ours.port, most, true)?;
    }
    for count in counts.iter().copied() {
        // New servers have no files of the last case in memory.
        let mut servers = vec![harness.start_with(Kind::Ours, record, cache.clone())?];
        servers.extend(harness.start_all(&KINDS[1..], record));
        let name = format!("{} files", numbers::count(f64::from(count)));
        let ready = harness.checked(record, &name, &servers, |server| {
            let path = site::small_file(count - 1);
            check::warm(server.port, &path, "gzip", &harness.site.file(&path))?;
            harness.site.warm_small_files(server.port, count, false)
        });
        let case = Case { name: &name, amount: f64::from(count), connections: 64 };
        harness.take_turns(record, &case, &ready, |server, ()| {
            let headers = vec![("Accept-Encoding", "gzip".to_owned())];
            let request =
                Request { scheme: "http", port: server.port, path: "/", headers, connections: 64 };
            let (seconds, dir) = (harness.options.seconds, &harness.places.run);
            under_load(server, 0, || {
                load::wrk_at_random(&request, seconds, dir, count, site::SMALL_FILE_PATTERN)
            })
        });
    }
    Ok(())
}

/// One small text, over few and many connections.
pub(super) fn connections(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let numbers: &[u32] = harness.options.scope(&[1, 10, 100, 1_000, 4_000], &[1, 64, 1_000]);
    let asset = harness.small_text()?;
    harness.precompress(record, &[asset])?;
    let servers = harness.start_all(&KINDS, record);
    let ready = harness.checked(record, asset.name, &servers, |server| {
        let file = harness.site.file(asset.path);
        check::warm(server.port, asset.path, "gzip", &file).map(|(response, _)| response.wire_bytes)
    });
    for connections in numbers.iter().copied() {
        let case = Case { name: asset.name, amount: f64::from(connections), connections };
        harness.take_turns(record, &case, &ready, |server, length| {
            let headers = vec![("Accept-Encoding", "gzip".to_owned())];
            let request = Request {
                scheme: "http",
                port: server.port,
                path: asset.path,
                headers,
                connections,
            };
            under_load(server, *length, || {
                load::wrk(&request, harness.options.seconds, &harness.places.run)
            })
        });
    }
    Ok(())
}

/// Films of 1 KB to 2 GB.
pub(super) fn sizes(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let kinds = [Kind::Ours, Kind::OursSendfileAll, Kind::Nginx, Kind::H2o, Kind::Caddy];
    let servers = harness.start_all(&kinds, record);
    for asset in harness.site.sizes(harness.options)? {
        let file = harness.site.file(asset.path);
        let ready = harness.checked(record, asset.name, &servers, |server| {
            check::identity(server.port, asset.path, &file)?;
            wait_for_validator(server.port, asset.path)
        });
        let case = Case { name: asset.name, amount: asset.length as f64, connections: 16 };
        harness.take_turns(record, &case, &ready, |server, ()| {
            let headers = vec![];
            let request = Request {
                scheme: "http",
                port: server.port,
                path: asset.path,
                headers,
                connections: 16,
            };
            let mut values = under_load(server, asset.length, || {
                load::wrk(&request, harness.options.seconds, &harness.places.run)
            })?;
            // The figure per 10⁹ bytes is comparable across lengths.
            let micros = values.get(&Metric::CpuMicros).copied().unwrap_or_default();
            values.insert(Metric::CpuSeconds, micros * 1e3 / asset.length as f64);
            Ok(values)
        });
    }
    Ok(())
}

/// Waits until a server has a validator for a large file. Until then our server hashes it, at the
/// lowest priority.
fn wait_for_validator(port: u16, path: &str) -> anyhow::Result<()> {
    for _ in 0..600 {
        let response = client::get(port, path, &[("Range", "bytes=0-0")], &mut Vec::new())?;
        if response.header("etag").is_some() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    bail!("no entity tag after a minute")
}
