//! What is measured: each experiment fills a record.

mod cold;
mod downloads;
mod requests;
mod scale;
mod startup;
mod warm;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::load::Tally;
use crate::machine::{Cores, Machine};
use crate::options::Options;
use crate::places::Places;
use crate::programs::{self, Programs};
use crate::results::{Case, Measurement, Metric, Record};
use crate::servers::{Kind, Server};
use crate::site::Site;
use crate::{Outcome, cost};

/// Something that is measured by itself, and has its part of the page.
pub(crate) struct Experiment {
    pub(crate) name: &'static str,
    run: fn(&Bench<'_>, &mut Record) -> Outcome<()>,
}

/// All of them, in the order of the page.
pub(crate) const EXPERIMENTS: [Experiment; 14] = [
    Experiment { name: "warm", run: warm::http1 },
    Experiment { name: "drained", run: warm::drained },
    Experiment { name: "h2c", run: warm::h2c },
    Experiment { name: "conditional", run: requests::conditional },
    Experiment { name: "ranges", run: requests::ranges },
    Experiment { name: "identity", run: requests::identity },
    Experiment { name: "cold", run: cold::run },
    Experiment { name: "encoder", run: cold::beside_the_encoder },
    Experiment { name: "lengths", run: cold::lengths },
    Experiment { name: "downloads", run: downloads::run },
    Experiment { name: "files", run: scale::files },
    Experiment { name: "connections", run: scale::connections },
    Experiment { name: "sizes", run: scale::sizes },
    Experiment { name: "startup", run: startup::run },
];

/// From so many bytes on, answers are counted by their bytes: of those that a load has begun, too
/// many are still under way when it ends.
const COUNTED_BY_BYTES: u64 = 1_000_000;
/// With fewer answers, percentiles say nothing.
const FEWEST_FOR_PERCENTILES: f64 = 50.0;
/// What servers and sockets get to come to rest between two turns.
const REST: Duration = Duration::from_millis(100);

pub(crate) type Values = BTreeMap<Metric, f64>;

/// What all experiments share.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    options: &'a Options,
    places: &'a Places,
    programs: Programs,
    site: Site,
}

impl<'a> Bench<'a> {
    /// Finds or installs the servers.
    pub(crate) fn new(options: &'a Options, places: &'a Places) -> Outcome<Self> {
        let programs = Programs::install(places)?;
        Ok(Self { options, places, programs, site: Site::open(&places.site)? })
    }

    pub(crate) fn run(&self, experiment: &Experiment) -> Outcome<Record> {
        let mut record = Record {
            experiment: experiment.name.into(),
            machine: Machine::here(),
            seconds: self.options.seconds,
            turns: self.options.turns(),
            versions: programs::versions_of_loads().into_iter().collect(),
            ..Record::default()
        };
        for sentence in &self.programs.missing {
            record.note(sentence.clone());
        }
        (experiment.run)(self, &mut record)?;
        if record.measurements.is_empty() {
            return Err("nothing was measured".into());
        }
        Ok(record)
    }

    /// Starts a server whose cache, if it has one, is kept from run to run.
    fn start(&self, kind: Kind, record: &mut Record) -> Outcome<Server> {
        let cache = self.places.bench.join("caches").join(kind.name().replace(' ', "-"));
        self.start_with(kind, record, cache)
    }

    fn start_with(&self, kind: Kind, record: &mut Record, cache: PathBuf) -> Outcome<Server> {
        self.start_on(Cores::One, kind, record, cache)
    }

    fn start_on(
        &self,
        cores: Cores,
        kind: Kind,
        record: &mut Record,
        cache: PathBuf,
    ) -> Outcome<Server> {
        let (places, site) = (self.places, self.site.root());
        let server = Server::start(kind, &self.programs, site, &places.run, &cache, cores)?;
        let version = kind.version(&self.programs);
        record.versions.insert(kind.name().into(), version);
        Ok(server)
    }

    /// Starts all of `kinds` that are there; says so of those that do not start.
    fn start_all(&self, kinds: &[Kind], record: &mut Record) -> Vec<Server> {
        let mut servers = Vec::new();
        for kind in kinds.iter().filter(|kind| self.programs.has(**kind)) {
            match self.start(*kind, record) {
                Ok(server) => servers.push(server),
                Err(sentence) => record.note(format!("not measured: {sentence}")),
            }
        }
        servers
    }

    /// Starts our server, and lets it make what those servers send that do not compress.
    fn siblings(&self, record: &mut Record, pages: &[crate::site::Page]) -> Outcome<()> {
        let ours = self.start(Kind::Ours, record)?;
        self.site.siblings(ours.port, pages)
    }

    /// The servers among `servers` that pass `check`, with what it says; says which do not.
    fn checked<'s, T>(
        &self,
        record: &mut Record,
        what: &str,
        servers: &'s [Server],
        check: impl Fn(&Server) -> Outcome<T>,
    ) -> Vec<(&'s Server, T)> {
        let mut passed = Vec::new();
        for server in servers {
            match check(server) {
                Ok(found) => passed.push((server, found)),
                Err(sentence) => {
                    record.note(format!("{what}: {} left out: {sentence}", server.name()));
                }
            }
        }
        passed
    }

    /// Lets the servers take their turns in a case: all of them once, then all of them again.
    fn take_turns<T>(
        &self,
        record: &mut Record,
        case: &Case<'_>,
        servers: &[(&Server, T)],
        mut measure: impl FnMut(&Server, &T) -> Outcome<Values>,
    ) {
        for turn in 0..self.options.turns() {
            for (server, found) in servers {
                std::thread::sleep(REST);
                // Once more, if something went wrong; what goes wrong twice is told.
                let values = measure(server, found).or_else(|sentence| {
                    println!("  again, as {}: {sentence}", server.name());
                    measure(server, found)
                });
                match values {
                    Ok(values) => add(record, case, server.name(), turn, values),
                    Err(sentence) => record.note(format!(
                        "{}, {} connections: {}: {sentence}",
                        case.name,
                        case.connections,
                        server.name()
                    )),
                }
            }
        }
    }
}

/// Adds figures to a record, and shows them.
fn add(record: &mut Record, case: &Case<'_>, server: &str, turn: u32, values: Values) {
    let figures: Vec<String> =
        values.iter().map(|(metric, value)| format!("{metric:?} {value:.1}")).collect();
    println!(
        "  {:<16} c={:<5} turn {turn}  {server:<28} {}",
        case.name,
        case.connections,
        figures.join("  ")
    );
    record.measurements.push(Measurement {
        case: case.name.into(),
        amount: case.amount,
        connections: case.connections,
        server: server.into(),
        turn,
        values,
    });
}

/// What a server costs and gives under a load of answers with bodies of `length` bytes.
fn under_load(
    server: &Server,
    length: u64,
    load: impl FnOnce() -> Outcome<Tally>,
) -> Outcome<Values> {
    cost::reset_peak(server.pid())?;
    let before = cost::cpu(server.pid());
    let tally = load()?;
    let cpu = cost::cpu(server.pid()).saturating_sub(before).as_secs_f64();
    if tally.errors > 0.0 {
        return Err(format!("{} errors under load", tally.errors));
    }
    let by_bytes = length >= COUNTED_BY_BYTES;
    let requests = if by_bytes { tally.bytes / length as f64 } else { tally.requests };
    if requests <= 0.0 || tally.seconds <= 0.0 {
        return Err("no answer under load".into());
    }
    // Whatever else came with them, answers that were right before have not become shorter.
    if tally.bytes < requests * length as f64 * 0.99 {
        return Err(format!("{} bytes in {requests} answers of {length}", tally.bytes));
    }
    let mut values: Values = [
        (Metric::CpuMicros, cpu * 1e6 / requests),
        (Metric::RequestsPerSecond, requests / tally.seconds),
        (Metric::Rss, cost::peak(server.pid()) as f64 / 1e6),
    ]
    .into();
    if length > 0 {
        values.insert(Metric::MegabytesPerSecond, requests * length as f64 / tally.seconds / 1e6);
    }
    if tally.requests >= FEWEST_FOR_PERCENTILES {
        values.insert(Metric::P50, tally.p50_ms);
        values.insert(Metric::P99, tally.p99_ms);
    }
    Ok(values)
}
