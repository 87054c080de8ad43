//! Texts that are in the cache, and handshakes, over TLS.

use std::process::Command;

use anyhow::{Context as _, ensure};

use super::harness::{Harness, under_load};
use crate::check;
use crate::load::{self, Request, Until, Version};
use crate::results::{Case, Record};
use crate::servers::{Identity, SPEAK_TLS, Server};
use crate::site::Asset;

const CONNECTIONS: u32 = 64;
/// The connections of a turn of handshakes, all at once, with a request each.
const HANDSHAKES: u32 = 1500;
/// The longest measured text.
const LONGEST: u64 = 4_000_000;

/// The versions of HTTP by name. Connections of HTTP/2 have several requests at once.
const VERSIONS: [(&str, Version); 2] =
    [("HTTP/1.1", Version::Http1), ("HTTP/2", Version::Http2 { streams: 10 })];

pub(super) fn run(harness: &Harness<'_>, record: &mut Record) -> anyhow::Result<()> {
    let mut assets = harness.site.texts(harness.options)?;
    assets.retain(|asset| asset.length <= LONGEST);
    harness.precompress(record, &assets)?;
    let identity = Identity::make(&harness.places.run)?;
    let servers = start(harness, record, &identity);
    for asset in &assets {
        let subject = format!("{} of text over TLS", asset.name);
        let ready = harness
            .checked(record, &subject, &servers, |server| check_versions(harness, server, asset));
        let load = |server: &Server, version, until, connections| {
            let headers = vec![("Accept-Encoding", "gzip".into())];
            let (port, path) = (server.port, asset.path);
            let request = Request { scheme: "https", port, path, headers, connections };
            load::h2load(&request, version, until, &harness.places.run)
        };
        for (name, version) in VERSIONS {
            let name = format!("{name}, {}", asset.name);
            let amount = asset.length as f64;
            let case = Case { name: &name, amount, connections: CONNECTIONS };
            let until = Until::Seconds(harness.options.seconds);
            harness.take_turns(record, &case, &ready, |server, length| {
                under_load(server, *length, || load(server, version, until, CONNECTIONS))
            });
        }
        if *asset == harness.small_text()? {
            let name = "handshake and one request";
            let case = Case { name, amount: 1.0, connections: HANDSHAKES };
            let until = Until::Requests(HANDSHAKES);
            harness.take_turns(record, &case, &ready, |server, length| {
                under_load(server, *length, || load(server, Version::Http1, until, HANDSHAKES))
            });
        }
    }
    Ok(())
}

/// Starts the servers that are installed, and notes those that fail.
fn start(harness: &Harness<'_>, record: &mut Record, identity: &Identity) -> Vec<Server> {
    let mut servers = Vec::new();
    for kind in SPEAK_TLS.into_iter().filter(|kind| harness.programs.has(*kind)) {
        match harness.start_with_tls(kind, record, identity) {
            Ok(server) => servers.push(server),
            Err(error) => record.note(format!("not measured: {error:#}")),
        }
    }
    servers
}

/// Checks the server's gzip over each version of HTTP, and returns its length.
fn check_versions(harness: &Harness<'_>, server: &Server, asset: &Asset) -> anyhow::Result<u64> {
    let mut length = None;
    for flag in ["--http1.1", "--http2"] {
        let body = fetch(server, asset, flag)?;
        check::decodes_to("gzip", &body, &harness.site.file(asset.path))
            .with_context(|| format!("curl {flag}"))?;
        ensure!(length.is_none_or(|length| length == body.len()), "{flag}: another length");
        length = Some(body.len());
    }
    length.map(|length| length as u64).context("no version of HTTP")
}

/// Fetches the gzip of `asset`. Our server has it in its cache since [`Harness::precompress`].
fn fetch(server: &Server, asset: &Asset, flag: &str) -> anyhow::Result<Vec<u8>> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--fail", "--insecure", flag, "--header", "Accept-Encoding: gzip"]);
    command.arg(format!("https://127.0.0.1:{}{}", server.port, asset.path));
    let output = command.output().context("cannot run curl")?;
    ensure!(output.status.success(), "curl {flag}: {}", output.status);
    Ok(output.stdout)
}
