//! A replica of our server, with an empty cache of its own.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::store::Place;
use fs_err as fs;

use crate::experiments::harness::Harness;
use crate::machine::Cores;
use crate::servers::kind::Kind;
use crate::servers::{end, free_port};
use crate::{client, cost, files};

/// The time in which a replica must listen and its store must answer.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The time in which a replica must end all its encodes and uploads.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1800);
/// The pause between two looks at a replica.
const PAUSE: Duration = Duration::from_millis(20);
/// The gauges that are zero when nothing is under way.
const BUSY: [&str; 3] = [
    "cachecompress_inflight",
    "cachecompress_queue_length",
    "cachecompress_tier_upload_queue_entries",
];

/// A running replica on all cores.
#[derive(Debug)]
pub(super) struct Replica {
    child: Child,
    pub(super) port: u16,
    admin: u16,
    cache: PathBuf,
}

/// The counts of a replica since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) encodes: f64,
    pub(super) imports: f64,
    pub(super) read_bytes: f64,
    pub(super) written_bytes: f64,
    pub(super) cpu: Duration,
}

impl Replica {
    /// Starts a replica of `site`, and waits until it listens and its store has answered.
    pub(super) fn start(
        harness: &Harness<'_>,
        site: &Path,
        flags: &[&str],
        place: Option<&Place>,
    ) -> anyhow::Result<Self> {
        let (port, admin) = (free_port()?, free_port()?);
        let cache: PathBuf = harness.places.run.join("fleet").join(port.to_string());
        files::create_empty(&cache)?;
        let mut command = Command::new(harness.programs.path(Kind::Ours));
        command.arg("serve").arg(site).arg("--cache-dir").arg(&cache);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command.args(["--admin", &format!("127.0.0.1:{admin}"), "--log-level", "off"]);
        command.args(flags);
        if let Some(place) = place {
            command.args(["--tier", &place.url]);
            command.envs(place.variables.iter().map(|(name, value)| (name, value)));
        }
        let mut command = Cores::All.pin(&command);
        // Its log is off: there is only the reason for which it ends.
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let child = command.spawn().context("cannot start a replica")?;
        let mut replica = Self { child, port, admin, cache };
        replica.wait_until_ready(place.is_some())?;
        Ok(replica)
    }

    fn wait_until_ready(&mut self, shares: bool) -> anyhow::Result<()> {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.admin)).is_err()
            || shares && !self.metrics()?.contains(r#"tier_breaker_state{state="closed"} 1"#)
        {
            if let Some(status) = self.child.try_wait()? {
                bail!("a replica ended at once: {status}");
            }
            ensure!(start.elapsed() < START_TIMEOUT, "a replica or its store does not answer");
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn metrics(&self) -> anyhow::Result<String> {
        let mut text = Vec::new();
        let response = client::get(self.admin, "/metrics", &[], &mut text)?;
        ensure!(response.status == 200, "/metrics: status {}", response.status);
        Ok(String::from_utf8(text)?)
    }

    /// Waits until no encode and no upload is under way.
    pub(super) fn wait_until_idle(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let text = self.metrics()?;
            if BUSY.iter().all(|gauge| sum(&text, gauge) == 0.0) {
                return Ok(());
            }
            ensure!(start.elapsed() < IDLE_TIMEOUT, "a replica does not come to an end");
            std::thread::sleep(PAUSE);
        }
    }

    pub(super) fn cpu(&self) -> Duration {
        cost::cpu(self.child.id())
    }

    pub(super) fn counts(&self) -> anyhow::Result<Counts> {
        let text = self.metrics()?;
        Ok(Counts {
            encodes: sum(&text, "cachecompress_encodes_total"),
            imports: sum(&text, "cachecompress_tier_imports_total"),
            read_bytes: sum(&text, "cachecompress_tier_read_bytes_total"),
            written_bytes: sum(&text, "cachecompress_tier_written_bytes_total"),
            cpu: self.cpu(),
        })
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        end(&mut self.child);
        // An empty directory that stays harms no run.
        let _ = fs::remove_dir_all(&self.cache);
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, next| Self {
            encodes: sum.encodes + next.encodes,
            imports: sum.imports + next.imports,
            read_bytes: sum.read_bytes + next.read_bytes,
            written_bytes: sum.written_bytes + next.written_bytes,
            cpu: sum.cpu + next.cpu,
        })
    }
}

/// The sum of the samples whose name, or name with labels, is `name`.
fn sum(text: &str, name: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let is_whole = rest.starts_with(' ') || rest.starts_with('{');
        is_whole.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
    };
    // The sum of no numbers is -0.
    text.lines().filter_map(value).fold(0.0, |sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_takes_all_labels_of_a_name_and_no_other_name() {
        let text = "# TYPE a counter\na_total{coding=\"br\"} 2\na_total{coding=\"gzip\"} 3\na_total_b 7\na_sum 9\n";
        assert_eq!(sum(text, "a_total"), 5.0);
        assert_eq!(sum(text, r#"a_total{coding="gzip"}"#), 3.0);
        assert_eq!(sum(text, "b"), 0.0);
    }
}
