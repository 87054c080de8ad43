//! Requests of other kinds: conditional ones, ranges, and files that are never compressed.

use super::{Bench, Values, under_load};
use crate::client;
use crate::load::{self, Request};
use crate::results::{Case, Record};
use crate::servers::{Kind, PRECOMPRESSED, Server};
use crate::{Outcome, check};

const CONNECTIONS: u32 = 64;
/// A part out of the middle of a file. Of one that is just longer than a segment on loopback (64 KiB
/// are), nginx with `tcp_nopush` keeps back the end until the client's delayed acknowledgement.
const RANGE: (u64, u64) = (1_000_000, 60_000);

/// Ours in both configurations, and all others.
fn with_sendfile_all() -> Vec<Kind> {
    let mut kinds = PRECOMPRESSED.to_vec();
    kinds.insert(1, Kind::OursSendfileAll);
    kinds
}

/// Whether a representation is still what the client has: 304.
pub(super) fn conditional(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let pages = bench.site.texts(bench.options)?;
    let page = *pages.first().ok_or("no text")?;
    bench.siblings(record, &[page])?;
    let servers = bench.start_all(&PRECOMPRESSED, record);
    let ready = bench.checked(record, "304", &servers, |server| {
        let (answer, _) = check::warm(server.port, page.path, "gzip", &bench.site.file(page.path))?;
        let condition = match (answer.field("etag"), answer.field("last-modified")) {
            (Some(tag), _) => ("If-None-Match", tag.to_owned()),
            (None, Some(date)) => ("If-Modified-Since", date.to_owned()),
            (None, None) => return Err("it sends no validator".into()),
        };
        let fields = vec![("Accept-Encoding", "gzip".to_owned()), condition];
        let words: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = client::get(server.port, page.path, &words, &mut Vec::new())?;
        match answer.status {
            304 => Ok(fields),
            status => Err(format!("status {status} instead of 304")),
        }
    });
    for (server, fields) in &ready {
        if fields.iter().any(|(name, _)| *name == "If-Modified-Since") {
            record.note(format!("{} has no entity tags: asked by date", server.name()));
        }
    }
    let case = Case { name: "304", amount: 0.0, connections: CONNECTIONS };
    bench.take_turns(record, &case, &ready, |server, fields| {
        under(bench, server, page.path, fields, 0)
    });
    Ok(())
}

/// 60 KB out of a file of 4 MB that is not compressed.
pub(super) fn ranges(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let page = *bench.site.media()?.last().ok_or("no film")?;
    let servers = bench.start_all(&with_sendfile_all(), record);
    let (from, length) = RANGE;
    let file = bench.site.file(page.path);
    let ready = bench.checked(record, "ranges", &servers, |server| {
        check::identity(server.port, page.path, &file)?;
        check::range(server.port, page.path, &file, from, length)?;
        Ok(vec![("Range", format!("bytes={from}-{}", from + length - 1))])
    });
    let case = Case { name: "60 KB", amount: length as f64, connections: CONNECTIONS };
    bench.take_turns(record, &case, &ready, |server, fields| {
        under(bench, server, page.path, fields, length)
    });
    Ok(())
}

/// A font and a film, asked for as browsers do.
pub(super) fn identity(bench: &Bench<'_>, record: &mut Record) -> Outcome<()> {
    let servers = bench.start_all(&with_sendfile_all(), record);
    for page in bench.site.media()? {
        let file = bench.site.file(page.path);
        let ready = bench.checked(record, page.name, &servers, |server| {
            check::identity(server.port, page.path, &file)
                .map(|_| vec![("Accept-Encoding", "gzip, deflate, br, zstd".to_owned())])
        });
        let case = Case { name: page.name, amount: page.length as f64, connections: CONNECTIONS };
        bench.take_turns(record, &case, &ready, |server, fields| {
            under(bench, server, page.path, fields, page.length)
        });
    }
    Ok(())
}

fn under(
    bench: &Bench<'_>,
    server: &Server,
    path: &str,
    fields: &[(&str, String)],
    length: u64,
) -> Outcome<Values> {
    let fields = fields.to_vec();
    let request = Request { port: server.port, path, fields, connections: CONNECTIONS };
    under_load(server, length, || load::wrk(&request, bench.options.seconds, &bench.places.run))
}
