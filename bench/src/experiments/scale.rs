//! What becomes of the cost as there are more files, more connections, longer files.

use super::{Bench, under_load};
use crate::load::{self, Request};
use crate::numbers;
use crate::results::{Case, Metric, Record};
use crate::servers::Kind;
use crate::{Outcome, check, client, site};

const KINDS: [Kind; 4] = [Kind::Ours, Kind::Nginx, Kind::H2o, Kind::Caddy];

/// Small texts asked for at random, out of few and many.
pub(super) fn files(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let counts: &[u32] = bench.options.extent(&[10, 1_000, 100_000], &[10, 1_000]);
    let most = counts.last().copied().unwrap_or_default();
    bench.site.small_files(most)?;
    // A cache of its own: elsewhere so many entries would be listed while others are measured.
    let cache = bench.places.bench.join("caches/files");
    {
        let ours = bench.start_with(Kind::Ours, record, cache.clone())?;
        bench.site.visit_small_files(ours.port, most, true)?;
    }
    for count in counts.iter().copied() {
        // New ones each time, so that nobody remembers more files than are asked for.
        let mut servers = vec![bench.start_with(Kind::Ours, record, cache.clone())?];
        servers.extend(bench.start_all(&KINDS[1..], record));
        let name = format!("{} files", numbers::count(f64::from(count)));
        let ready = bench.checked(record, &name, &servers, |server| {
            let path = site::small_file(count - 1);
            check::warm(server.port, &path, "gzip", &bench.site.file(&path))?;
            bench.site.visit_small_files(server.port, count, false)
        });
        let case = Case { name: &name, amount: f64::from(count), connections: 64 };
        bench.take_turns(record, &case, &ready, |server, ()| {
            let fields = vec![("Accept-Encoding", "gzip".to_owned())];
            let request = Request { port: server.port, path: "/", fields, connections: 64 };
            let (seconds, dir) = (bench.options.seconds, &bench.places.run);
            under_load(server, 0, || {
                load::wrk_at_random(&request, seconds, dir, count, site::FILES)
            })
        });
    }
    Ok(())
}

/// One small text, asked for by few and many at once.
pub(super) fn connections(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let numbers: &[u32] = bench.options.extent(&[1, 10, 100, 1_000, 4_000], &[1, 64, 1_000]);
    let page = *bench.site.texts(bench.options)?.first().ok_or("no text")?;
    bench.siblings(record, &[page])?;
    let servers = bench.start_all(&KINDS, record);
    let ready = bench.checked(record, page.name, &servers, |server| {
        let file = bench.site.file(page.path);
        check::warm(server.port, page.path, "gzip", &file).map(|(answer, _)| answer.wire_bytes)
    });
    for connections in numbers.iter().copied() {
        let case = Case { name: page.name, amount: f64::from(connections), connections };
        bench.take_turns(record, &case, &ready, |server, length| {
            let fields = vec![("Accept-Encoding", "gzip".to_owned())];
            let request = Request { port: server.port, path: page.path, fields, connections };
            under_load(server, *length, || {
                load::wrk(&request, bench.options.seconds, &bench.places.run)
            })
        });
    }
    Ok(())
}

/// Films from 1 KB to 2 GB.
pub(super) fn sizes(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let kinds = [Kind::Ours, Kind::OursSendfileAll, Kind::Nginx, Kind::H2o, Kind::Caddy];
    let servers = bench.start_all(&kinds, record);
    for page in bench.site.sizes(bench.options)? {
        let file = bench.site.file(page.path);
        let ready = bench.checked(record, page.name, &servers, |server| {
            check::identity(server.port, page.path, &file)?;
            until_it_is_known(server.port, page.path)
        });
        let case = Case { name: page.name, amount: page.length as f64, connections: 16 };
        bench.take_turns(record, &case, &ready, |server, ()| {
            let fields = vec![];
            let request = Request { port: server.port, path: page.path, fields, connections: 16 };
            let mut values = under_load(server, page.length, || {
                load::wrk(&request, bench.options.seconds, &bench.places.run)
            })?;
            // Seconds for 10⁹ bytes are what compares across lengths.
            let micros = values.get(&Metric::CpuMicros).copied().unwrap_or_default();
            values.insert(Metric::CpuSeconds, micros * 1e3 / page.length as f64);
            Ok(values)
        });
    }
    Ok(())
}

/// Waits until a server has a validator for a large file: until then ours reads all of it, for its
/// digest, at the lowest priority.
fn until_it_is_known(port: u16, path: &str) -> Outcome<()> {
    for _ in 0..600 {
        let range = [("Range", "bytes=0-0"), ("Connection", "close")];
        let answer = client::get(port, path, &range, &mut Vec::new())?;
        if answer.field("etag").is_some() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Err("no entity tag after a minute".into())
}
