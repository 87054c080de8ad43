//! What everybody asks for all the time: texts that were compressed before.

use super::{Bench, under_load};
use crate::drain::drain;
use crate::load::{self, Extent, Request, Version};
use crate::results::{Case, Record};
use crate::servers::{Kind, PRECOMPRESSED, Server};
use crate::site::Page;
use crate::{Outcome, check};

/// Of those here, the ones that speak HTTP/2 without TLS.
const SPEAK_H2C: [Kind; 6] =
    [Kind::Ours, Kind::Nginx, Kind::H2o, Kind::Lighttpd, Kind::Caddy, Kind::ServeDir];
/// So many connections of one answer each are more than a machine has memory for in its sockets.
const MOST_IN_FLIGHT: u64 = 10_000_000_000;

/// Shorter texts cost a client no more than the server.
const DRAINED: u64 = 10_000;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    Wrk,
    Drain,
    H2load,
}

/// Texts over HTTP/1.1, with one, some and many connections.
pub(super) fn http1(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let connections: &[u32] = bench.options.extent(&[1, 64, 1000], &[64]);
    measure(bench, record, &PRECOMPRESSED, connections, Client::Wrk)
}

/// The same, but the shortest, for a client that takes bodies as fast as they come.
pub(super) fn drained(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    // It says no length of what it has compressed.
    let kinds = PRECOMPRESSED.into_iter().filter(|kind| *kind != Kind::StaticWebServer);
    measure(bench, record, &kinds.collect::<Vec<_>>(), &[64], Client::Drain)
}

/// The same over HTTP/2.
pub(super) fn h2c(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let connections: &[u32] = bench.options.extent(&[1, 64, 1000], &[64]);
    measure(bench, record, &SPEAK_H2C, connections, Client::H2load)
}

fn measure(
    bench: &Bench<'_>,
    record: &mut Record,
    kinds: &[Kind],
    connections: &[u32],
    client: Client,
) -> Outcome<()> {
    let mut pages = bench.site.texts(bench.options)?;
    if client == Client::Drain {
        pages.retain(|page| page.length >= DRAINED);
    }
    bench.siblings(record, &pages)?;
    let servers = bench.start_all(kinds, record);
    for page in &pages {
        let file = bench.site.file(page.path);
        let what = format!("{} of text", page.name);
        let ready = bench.checked(record, &what, &servers, |server| {
            // HTTP/2 sends the same bytes; whether it does is seen from what h2load counts.
            let (answer, _) = check::warm(server.port, page.path, "gzip", &file)?;
            if client == Client::H2load {
                speaks_h2c(bench, server, page, answer.wire_bytes)?;
            }
            Ok(answer.wire_bytes)
        });
        for connections in connections.iter().copied() {
            if page.length * u64::from(connections) > MOST_IN_FLIGHT {
                continue;
            }
            let case = Case { name: page.name, amount: page.length as f64, connections };
            bench.take_turns(record, &case, &ready, |server, length| {
                under_load(server, *length, || load(bench, server, page, connections, client))
            });
        }
    }
    Ok(())
}

fn load(
    bench: &Bench<'_>,
    server: &Server,
    page: &Page,
    connections: u32,
    client: Client,
) -> Outcome<load::Tally> {
    let (seconds, dir) = (bench.options.seconds, &bench.places.run);
    let fields = vec![("Accept-Encoding", "gzip".into())];
    let mut request = Request { port: server.port, path: page.path, fields, connections };
    match client {
        Client::Wrk => load::wrk(&request, seconds, dir),
        Client::Drain => drain(&request, seconds),
        Client::H2load => {
            request.port = server.h2c_port;
            // A thousand connections are many without more than one request on each.
            let streams = if connections >= 1000 { 1 } else { 10 };
            load::h2load(&request, Version::H2c { streams }, Extent::Seconds(seconds), dir)
        }
    }
}

/// Whether one answer over HTTP/2 has as many bytes as over HTTP/1.1.
fn speaks_h2c(bench: &Bench<'_>, server: &Server, page: &Page, length: u64) -> Outcome<()> {
    let fields = vec![("Accept-Encoding", "gzip".into())];
    let request = Request { port: server.h2c_port, path: page.path, fields, connections: 1 };
    let version = Version::H2c { streams: 1 };
    let tally = load::h2load(&request, version, Extent::Requests(1), &bench.places.run)?;
    if (tally.requests, tally.bytes) == (1.0, length as f64) {
        return Ok(());
    }
    Err(format!("{} bytes over HTTP/2, {length} over HTTP/1.1", tally.bytes))
}
