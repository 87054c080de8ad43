//! Conditional requests, ranges, and files that are never compressed.

use anyhow::bail;

use super::harness::{Harness, under_load};
use crate::check;
use crate::client;
use crate::load::{Request, wrk};
use crate::results::{Case, Record, Values};
use crate::servers::Server;
use crate::servers::kind::{Kind, PRECOMPRESSED};

const CONNECTIONS: u32 = 64;
/// The start and the length of a range in the middle of a file.
///
/// It is shorter than a segment on loopback (64 KiB). nginx with `tcp_nopush` keeps the end of a
/// longer one until the client's delayed acknowledgement.
const RANGE: (u64, u64) = (1_000_000, 60_000);

/// The servers for identity bodies: ours in both configurations, and the others.
fn with_sendfile_all() -> Vec<Kind> {
    let mut kinds = PRECOMPRESSED.to_vec();
    kinds.insert(1, Kind::OursSendfileAll);
    kinds
}

/// Conditional requests with the current validator: 304.
pub(super) fn conditional(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let asset = harness.small_text()?;
    harness.precompress(record, &[asset])?;
    let servers = harness.start_all(&PRECOMPRESSED, record);
    let ready = harness.checked(record, "304", &servers, |server| {
        let file = harness.site.file(asset.path);
        let (response, _) = check::warm(server.port, asset.path, "gzip", &file)?;
        let condition = match (response.header("etag"), response.header("last-modified")) {
            (Some(tag), _) => ("If-None-Match", tag.to_owned()),
            (None, Some(date)) => ("If-Modified-Since", date.to_owned()),
            (None, None) => bail!("it sends no validator"),
        };
        let headers = vec![("Accept-Encoding", "gzip".to_owned()), condition];
        let words: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let response = client::get(server.port, asset.path, &words, &mut Vec::new())?;
        match response.status {
            304 => Ok(headers),
            status => bail!("status {status} instead of 304"),
        }
    });
    for (server, headers) in &ready {
        if headers.iter().any(|(name, _)| *name == "If-Modified-Since") {
            record.note(format!("{} has no entity tags; it got If-Modified-Since", server.name()));
        }
    }
    let case = Case { name: "304", amount: 0.0, connections: CONNECTIONS };
    harness.take_turns(record, &case, &ready, |server, headers| {
        load(harness, server, asset.path, headers, 0)
    });
    Ok(())
}

/// Ranges of 60 KB in an identity file of 4 MB.
pub(super) fn ranges(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let [_, asset] = harness.site.media()?;
    let servers = harness.start_all(&with_sendfile_all(), record);
    let (from, length) = RANGE;
    let file = harness.site.file(asset.path);
    let ready = harness.checked(record, "ranges", &servers, |server| {
        check::identity(server.port, asset.path, &file)?;
        check::range(server.port, asset.path, &file, from, length)?;
        Ok(vec![("Range", format!("bytes={from}-{}", from + length - 1))])
    });
    let case = Case { name: "60 KB", amount: length as f64, connections: CONNECTIONS };
    harness.take_turns(record, &case, &ready, |server, headers| {
        load(harness, server, asset.path, headers, length)
    });
    Ok(())
}

/// A font and a film, with the `Accept-Encoding` of browsers.
pub(super) fn identity(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let servers = harness.start_all(&with_sendfile_all(), record);
    for asset in harness.site.media()? {
        let file = harness.site.file(asset.path);
        let ready = harness.checked(record, asset.name, &servers, |server| {
            check::identity(server.port, asset.path, &file)
                .map(|()| vec![("Accept-Encoding", "gzip, deflate, br, zstd".to_owned())])
        });
        let case = Case { name: asset.name, amount: asset.length as f64, connections: CONNECTIONS };
        harness.take_turns(record, &case, &ready, |server, headers| {
            load(harness, server, asset.path, headers, asset.length)
        });
    }
    Ok(())
}

fn load(
    harness: &Harness<'_>,
    server: &Server,
    path: &str,
    headers: &[(&str, String)],
    length: u64,
) -> anyhow::Result<Values> {
    let headers = headers.to_vec();
    let request =
        Request { scheme: "http", port: server.port, path, headers, connections: CONNECTIONS };
    under_load(server, length, || wrk(&request, harness.options.seconds, &harness.places.run))
}
