//! A rollout: replicas of the new version take the place of those of the old one, each after the other.

use std::sync::Mutex;

use anyhow::{Context as _, ensure};

use super::builds::Builds;
use super::replica::Replica;
use super::store::Place;
use super::{ALONE, SHARING, open_store, total, values_of};
use crate::experiments::harness::Harness;
use crate::results::{Case, Metric, Record};
use crate::{check, client, numbers};

const CODINGS: [&str; 3] = ["br", "zstd", "gzip"];
/// The clients that crawl a site at once.
const CLIENTS: usize = 4;
/// The most crawls until a replica has everything.
const CRAWLS: usize = 20;
/// The levels, with the flag that sets them.
const LEVELS: [(&str, &[&str]); 2] =
    [("default levels", &[]), ("br 11, zstd 19, gzip 9", &["--level", "br=11,zstd=19,gzip=9"])];

pub(in crate::experiments) fn run(
    harness: &Harness<'_>,
    record: &mut Record,
) -> anyhow::Result<()> {
    let (replicas, count) = harness.options.scope((10, 2000), (2, 60));
    let builds = Builds::make(harness, count)?;
    record.turns = 1;
    record.note(format!(
        "{replicas} replicas, {} files, {} of which have changed",
        numbers::count(f64::from(count)),
        builds.changed
    ));
    let store = open_store(record)?;
    for (name, flags) in LEVELS {
        let case = Case { name, amount: f64::from(count), connections: CLIENTS as u32 };
        for place in [None, Some(store.empty_place())] {
            let requests = || store.requests();
            let stage = Stage { harness, builds: &builds, flags, place: place.as_ref() };
            let mut old = stage.old_fleet(replicas)?;
            let before = requests();
            let mut new = Vec::new();
            let mut first_bytes = Vec::new();
            while old.pop().is_some() {
                let replica = stage.start(&builds.new.0)?;
                first_bytes.extend(stage.fill(&replica, &builds.new)?);
                new.push(replica);
            }
            let shared = place.is_some().then(|| requests() - before);
            let mut values = values_of(&total(&new)?, shared);
            first_bytes.sort_by(f64::total_cmp);
            let rank = |share: f64| first_bytes.get((first_bytes.len() as f64 * share) as usize);
            values.insert(Metric::FirstByte, *rank(0.5).context("no request")?);
            values.insert(Metric::FirstByteP99, *rank(0.99).context("no request")?);
            let server = if place.is_some() { SHARING } else { ALONE };
            record.add(&case, server, 0, values);
        }
    }
    Ok(())
}

struct Stage<'a> {
    harness: &'a Harness<'a>,
    builds: &'a Builds,
    flags: &'a [&'a str],
    place: Option<&'a Place>,
}

impl Stage<'_> {
    fn start(&self, site: &std::path::Path) -> anyhow::Result<Replica> {
        Replica::start(self.harness, site, self.flags, self.place)
    }

    /// The replicas of the old version, whose store has all that they have encoded.
    fn old_fleet(&self, replicas: usize) -> anyhow::Result<Vec<Replica>> {
        let (site, _) = &self.builds.old;
        let fleet =
            (0..replicas).map(|_| self.start(site)).collect::<anyhow::Result<Vec<Replica>>>()?;
        if self.place.is_some() {
            self.fill(&fleet[0], &self.builds.old)?;
        }
        Ok(fleet)
    }

    /// Crawls the site until the replica has all of it. Returns the times to the first byte of the first
    /// crawl, in milliseconds.
    fn fill(
        &self,
        replica: &Replica,
        (site, paths): &(std::path::PathBuf, Vec<String>),
    ) -> anyhow::Result<Vec<f64>> {
        let first = crawl(replica, site, paths)?;
        let mut done = (0.0, 0.0);
        for _ in 0..CRAWLS {
            replica.wait_until_idle()?;
            let counts = replica.counts()?;
            if (counts.encodes, counts.imports) == done {
                return Ok(first);
            }
            done = (counts.encodes, counts.imports);
            crawl(replica, site, paths)?;
        }
        anyhow::bail!("a replica encodes without an end")
    }
}

/// Requests all paths in all codings, and checks what comes. Returns the times to the first byte.
fn crawl(replica: &Replica, site: &std::path::Path, paths: &[String]) -> anyhow::Result<Vec<f64>> {
    let requests = CODINGS.iter().flat_map(|coding| paths.iter().map(move |path| (*coding, path)));
    let requests = Mutex::new(requests);
    std::thread::scope(|scope| {
        let work = || -> anyhow::Result<Vec<f64>> {
            let client = client::Client::new(replica.port);
            let mut times = Vec::new();
            loop {
                let next = requests.lock().ok().and_then(|mut requests| requests.next());
                let Some((coding, path)) = next else { return Ok(times) };
                let mut body = Vec::new();
                let response = client.get(path, &[("Accept-Encoding", coding)], &mut body)?;
                ensure!(response.status == 200, "{path}: status {}", response.status);
                check::decodes_to(response.coding(), &body, &site.join(&path[1..]))?;
                times.push(response.first_byte.as_secs_f64() * 1e3);
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(work)).collect();
        let times =
            clients.into_iter().map(|client| client.join().expect("a client does not panic"));
        Ok(times.collect::<anyhow::Result<Vec<_>>>()?.concat())
    })
}
