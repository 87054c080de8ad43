//! Texts that are in the cache, the usual requests of a site's visitors.

use anyhow::bail;

use super::harness::{Harness, under_load};
use crate::check;
use crate::drain::drain;
use crate::load::{self, Request, Until, Version};
use crate::results::{Case, Record};
use crate::servers::Server;
use crate::servers::kind::{Kind, PRECOMPRESSED};
use crate::site::Asset;

/// The servers with HTTP/2 without TLS.
const SPEAK_H2C: [Kind; 6] =
    [Kind::Ours, Kind::Nginx, Kind::H2o, Kind::Lighttpd, Kind::Caddy, Kind::ServeDir];
/// The most bytes of responses at once. More do not fit into the sockets' memory.
const MOST_IN_FLIGHT: u64 = 10_000_000_000;
/// The shortest drained text. Shorter ones cost wrk no more than the server.
const SHORTEST_DRAINED: u64 = 10_000;

/// The load generator.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Generator {
    Wrk,
    Drain,
    H2load,
}

/// Texts over HTTP/1.1, with one, some and many connections.
pub(super) fn http1(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let connections: &[u32] = harness.options.scope(&[1, 64, 1000], &[64]);
    measure(harness, record, &PRECOMPRESSED, connections, Generator::Wrk)
}

/// The longer texts, for a client that takes bodies as fast as they come.
pub(super) fn drained(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    // static-web-server sends precompressed files without their length.
    let kinds = PRECOMPRESSED.into_iter().filter(|kind| *kind != Kind::StaticWebServer);
    measure(harness, record, &kinds.collect::<Vec<_>>(), &[64], Generator::Drain)
}

/// The texts over HTTP/2.
pub(super) fn h2c(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let connections: &[u32] = harness.options.scope(&[1, 64, 1000], &[64]);
    measure(harness, record, &SPEAK_H2C, connections, Generator::H2load)
}

fn measure(
    harness: &Harness<'_>,
    record: &mut Record,
    kinds: &[Kind],
    connections: &[u32],
    generator: Generator,
) -> anyhow::Result<()> {
    let mut assets = harness.site.texts(harness.options)?;
    if generator == Generator::Drain {
        assets.retain(|asset| asset.length >= SHORTEST_DRAINED);
    }
    harness.precompress(record, &assets)?;
    let servers = harness.start_all(kinds, record);
    for asset in &assets {
        let file = harness.site.file(asset.path);
        let subject = format!("{} of text", asset.name);
        let ready = harness.checked(record, &subject, &servers, |server| {
            let (response, _) = check::warm(server.port, asset.path, "gzip", &file)?;
            if generator == Generator::H2load {
                check_h2c(harness, server, asset, response.wire_bytes)?;
            }
            Ok(response.wire_bytes)
        });
        for connections in connections.iter().copied() {
            if asset.length * u64::from(connections) > MOST_IN_FLIGHT {
                continue;
            }
            let case = Case { name: asset.name, amount: asset.length as f64, connections };
            harness.take_turns(record, &case, &ready, |server, length| {
                under_load(server, *length, || load(harness, server, asset, connections, generator))
            });
        }
    }
    Ok(())
}

fn load(
    harness: &Harness<'_>,
    server: &Server,
    asset: &Asset,
    connections: u32,
    generator: Generator,
) -> anyhow::Result<load::LoadStats> {
    let (seconds, dir) = (harness.options.seconds, &harness.places.run);
    let headers = vec![("Accept-Encoding", "gzip".into())];
    let mut request =
        Request { scheme: "http", port: server.port, path: asset.path, headers, connections };
    match generator {
        Generator::Wrk => load::wrk(&request, seconds, dir),
        Generator::Drain => drain(&request, seconds),
        Generator::H2load => {
            request.port = server.h2c_port;
            // A thousand connections are a load with one request on each.
            let streams = if connections >= 1000 { 1 } else { 10 };
            load::h2load(&request, Version::Http2 { streams }, Until::Seconds(seconds), dir)
        }
    }
}

/// Checks that the response over HTTP/2 has `length` bytes, as over HTTP/1.1.
fn check_h2c(
    harness: &Harness<'_>,
    server: &Server,
    asset: &Asset,
    length: u64,
) -> anyhow::Result<()> {
    let headers = vec![("Accept-Encoding", "gzip".into())];
    let request = Request {
        scheme: "http",
        port: server.h2c_port,
        path: asset.path,
        headers,
        connections: 1,
    };
    let version = Version::Http2 { streams: 1 };
    let stats = load::h2load(&request, version, Until::Requests(1), &harness.places.run)?;
    if (stats.requests, stats.bytes) != (1.0, length as f64) {
        bail!("{} bytes over HTTP/2, {length} over HTTP/1.1", stats.bytes);
    }
    Ok(())
}
