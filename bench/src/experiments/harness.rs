//! The parts that all experiments share: starting servers, their turns, and a load's figures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::cost;
use crate::load::LoadStats;
use crate::machine::{Cores, Machine};
use crate::options::Options;
use crate::places::Places;
use crate::programs::{self, Programs};
use crate::results::{Case, Metric, Record, Values};
use crate::servers::kind::Kind;
use crate::servers::{self, Identity, Server};
use crate::site::{Asset, Site};

/// The length from which responses are counted by their bytes. Of longer ones, too many are
/// unfinished at the end of a load.
const COUNTED_BY_BYTES: u64 = 1_000_000;
/// The fewest responses for which percentiles are recorded.
const FEWEST_FOR_PERCENTILES: f64 = 50.0;
/// The pause between two turns, in which servers and sockets settle.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Harness<'a> {
    pub(crate) options: &'a Options,
    pub(crate) places: &'a Places,
    pub(crate) programs: Programs,
    pub(crate) site: Site,
}

impl<'a> Harness<'a> {
    pub(crate) fn new(options: &'a Options, places: &'a Places) -> anyhow::Result<Self> {
        let programs = Programs::find(places)?;
        Ok(Self { options, places, programs, site: Site::open(&places.site)? })
    }

    /// The record of an experiment that begins now.
    pub(crate) fn new_record(&self, experiment: &str) -> Record {
        let mut record = Record {
            experiment: experiment.into(),
            machine: Machine::here(),
            seconds: self.options.seconds,
            turns: self.options.turns(),
            versions: programs::load_versions().into_iter().collect(),
            ..Record::default()
        };
        for sentence in &self.programs.missing {
            record.note(sentence.clone());
        }
        record
    }

    /// The shortest text.
    pub(crate) fn small_text(&self) -> anyhow::Result<Asset> {
        self.site.texts(self.options)?.first().copied().context("no text")
    }

    /// Starts a server whose cache is kept from run to run.
    pub(crate) fn start(&self, kind: Kind, record: &mut Record) -> anyhow::Result<Server> {
        self.start_with(kind, record, self.kept_cache(kind))
    }

    fn kept_cache(&self, kind: Kind) -> PathBuf {
        self.places.bench.join("caches").join(kind.name().replace(' ', "-"))
    }

    pub(crate) fn start_with(
        &self,
        kind: Kind,
        record: &mut Record,
        cache: PathBuf,
    ) -> anyhow::Result<Server> {
        self.start_on(Cores::One, kind, record, cache)
    }

    pub(crate) fn start_on(
        &self,
        cores: Cores,
        kind: Kind,
        record: &mut Record,
        cache: PathBuf,
    ) -> anyhow::Result<Server> {
        self.start_server(cores, kind, record, &cache, None)
    }

    /// Starts a server of [`servers::SPEAK_TLS`] whose port speaks TLS.
    pub(crate) fn start_with_tls(
        &self,
        kind: Kind,
        record: &mut Record,
        identity: &Identity,
    ) -> anyhow::Result<Server> {
        self.start_server(Cores::One, kind, record, &self.kept_cache(kind), Some(identity))
    }

    fn start_server(
        &self,
        cores: Cores,
        kind: Kind,
        record: &mut Record,
        cache: &Path,
        identity: Option<&Identity>,
    ) -> anyhow::Result<Server> {
        let (places, site) = (self.places, self.site.root());
        let server =
            Server::start(kind, &self.programs, site, &places.run, cache, cores, identity)?;
        let version = servers::version(kind, &self.programs);
        record.versions.insert(kind.name().into(), version);
        Ok(server)
    }

    /// Starts the installed servers of `kinds`, and notes those that fail.
    pub(crate) fn start_all(&self, kinds: &[Kind], record: &mut Record) -> Vec<Server> {
        let mut servers = Vec::new();
        for kind in kinds.iter().filter(|kind| self.programs.has(**kind)) {
            match self.start(*kind, record) {
                Ok(server) => servers.push(server),
                Err(error) => record.note(format!("not measured: {error:#}")),
            }
        }
        servers
    }

    /// Precompresses `assets` by our server, for the servers that do not compress.
    pub(crate) fn precompress(&self, record: &mut Record, assets: &[Asset]) -> anyhow::Result<()> {
        let ours = self.start(Kind::Ours, record)?;
        self.site.precompress(ours.port, assets)
    }

    /// The servers that pass `check`, with its results; notes those that fail.
    pub(crate) fn checked<'s, T>(
        &self,
        record: &mut Record,
        subject: &str,
        servers: &'s [Server],
        check: impl Fn(&Server) -> anyhow::Result<T>,
    ) -> Vec<(&'s Server, T)> {
        let mut passed = Vec::new();
        for server in servers {
            match check(server) {
                Ok(found) => passed.push((server, found)),
                Err(error) => {
                    record.note(format!("{subject}: {} left out: {error:#}", server.name()));
                }
            }
        }
        passed
    }

    /// Measures the servers in turns: all of them once, then all of them again.
    pub(crate) fn take_turns<T>(
        &self,
        record: &mut Record,
        case: &Case<'_>,
        servers: &[(&Server, T)],
        mut measure: impl FnMut(&Server, &T) -> anyhow::Result<Values>,
    ) {
        for turn in 0..self.options.turns() {
            for (server, found) in servers {
                std::thread::sleep(PAUSE);
                // A failed turn is repeated once.
                let values = measure(server, found).or_else(|error| {
                    println!("  again, as {}: {error:#}", server.name());
                    measure(server, found)
                });
                match values {
                    Ok(values) => record.add(case, server.name(), turn, values),
                    Err(error) => record.note(format!(
                        "{}, {} connections: {}: {error:#}",
                        case.name,
                        case.connections,
                        server.name()
                    )),
                }
            }
        }
    }
}

/// Puts a server under `load`, whose responses have bodies of `length` bytes.
pub(crate) fn under_load(
    server: &Server,
    length: u64,
    load: impl FnOnce() -> anyhow::Result<LoadStats>,
) -> anyhow::Result<Values> {
    cost::reset_peak(server.pid())?;
    let before = cost::cpu(server.pid());
    let stats = load()?;
    let cpu = cost::cpu(server.pid()).saturating_sub(before).as_secs_f64();
    ensure!(stats.errors == 0.0, "{} errors under load", stats.errors);
    let by_bytes = length >= COUNTED_BY_BYTES;
    let requests = if by_bytes { stats.bytes / length as f64 } else { stats.requests };
    if requests <= 0.0 || stats.seconds <= 0.0 {
        bail!("no response under load");
    }
    // Wrong responses under load would be shorter than the checked one.
    if stats.bytes < requests * length as f64 * 0.99 {
        bail!("{} bytes in {requests} responses of {length}", stats.bytes);
    }
    let mut values: Values = [
        (Metric::CpuMicros, cpu * 1e6 / requests),
        (Metric::RequestsPerSecond, requests / stats.seconds),
        (Metric::Rss, cost::peak(server.pid()) as f64 / 1e6),
    ]
    .into();
    if length > 0 {
        values.insert(Metric::MegabytesPerSecond, requests * length as f64 / stats.seconds / 1e6);
    }
    if stats.requests >= FEWEST_FOR_PERCENTILES {
        values.insert(Metric::P50, stats.p50_ms);
        values.insert(Metric::P99, stats.p99_ms);
    }
    Ok(values)
}
