//! The measurements of the running program, for `/metrics` and the admin API.
//!
//! The library counts outcomes and encodes. The times of requests and their files are recorded by the
//! workers ([`recorder`](crate::recorder)).

mod events;
mod exposition;
mod families;
mod history;
mod plain_text;
mod second_pass;
mod tier;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use cachecompress::Metrics;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Semaphore;

pub(crate) use self::events::{Event, Events};
pub(crate) use self::exposition::Exposition;
#[cfg(feature = "otel")]
pub(crate) use self::families::{Family, FamilyValues, Labelled, MetricUnit, Number, families};
use self::history::History;
pub(crate) use self::history::Sample;
pub(crate) use self::second_pass::SecondPassFigures;
pub(crate) use self::tier::TierFigures;
use crate::limits::HISTORY_INTERVAL;
use crate::live::{LastReload, Reloader};
use crate::log_queue::LogQueue;
use crate::recorder::{Percentiles, Recorders, TopFiles};
use crate::tls::{CertificateFacts, Tls};

/// The measurements of the program.
pub(crate) struct Telemetry {
    reloader: Arc<Reloader>,
    parts: Measured,
    started: (SystemTime, Instant),
    history: Mutex<History>,
}

/// The parts of the program that are measured, beside what a reload replaces.
pub(crate) struct Measured {
    pub(crate) events: Events,
    pub(crate) recorders: Arc<Recorders>,
    /// The logs with their names.
    pub(crate) logs: Vec<(&'static str, LogQueue)>,
    /// A permit for each connection to the sites.
    pub(crate) connections: Arc<Semaphore>,
    /// The number of those permits.
    pub(crate) max_connections: usize,
}

/// The connections to the sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub(crate) struct Connections {
    pub(crate) open: usize,
    /// The most at once.
    pub(crate) max: usize,
}

impl Telemetry {
    /// Begins to measure.
    pub(crate) fn new(reloader: Arc<Reloader>, parts: Measured) -> Self {
        let started = (SystemTime::now(), Instant::now());
        Self { reloader, parts, started, history: Mutex::default() }
    }

    /// The recorders of the workers.
    pub(crate) fn recorders(&self) -> Arc<Recorders> {
        Arc::clone(&self.parts.recorders)
    }

    /// The permits of connections to the sites.
    pub(crate) fn connection_limit(&self) -> Arc<Semaphore> {
        Arc::clone(&self.parts.connections)
    }

    /// The library's counters, and the encodes under way.
    pub(crate) fn metrics(&self) -> Metrics {
        self.reloader.engine().metrics()
    }

    /// The time of the program's start, and the time since.
    pub(crate) fn started(&self) -> (SystemTime, Duration) {
        (self.started.0, self.started.1.elapsed())
    }

    /// The connections to the sites.
    pub(crate) fn connections(&self) -> Connections {
        let Measured { connections, max_connections, .. } = &self.parts;
        let open = max_connections.saturating_sub(connections.available_permits());
        Connections { open, max: *max_connections }
    }

    /// The certificates in force.
    pub(crate) fn certificates(&self) -> Vec<CertificateFacts> {
        self.reloader.tls().map(Tls::facts).unwrap_or_default()
    }

    /// The lines of all logs that were lost.
    pub(crate) fn log_lines_lost(&self) -> u64 {
        self.parts.logs.iter().map(|(_, queue)| queue.lost()).sum()
    }

    /// The number of configurations and rules that were put into force after the first.
    pub(crate) fn generation(&self) -> u64 {
        self.reloader.live().load().generation
    }

    /// The last reload.
    pub(crate) fn last_reload(&self) -> LastReload {
        self.reloader.last_reload().borrow().clone()
    }

    /// The first bytes of the last minute; `None` if there were no requests.
    pub(crate) fn first_byte(&self) -> Option<Percentiles> {
        let now = self.parts.recorders.first_bytes().all();
        lock(&self.history).last_minute(&now)
    }

    /// The samples of the last hour, the oldest first.
    pub(crate) fn history(&self) -> Vec<Sample> {
        lock(&self.history).samples()
    }

    /// The files that stand out.
    pub(crate) fn files(&self) -> TopFiles {
        self.parts.recorders.files()
    }

    /// The events, to listen to them and to tell of further ones.
    pub(crate) fn events(&self) -> &Events {
        &self.parts.events
    }

    /// Takes samples and tells of reloads, for as long as the runtime runs.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = crate::deadlines::ticks(HISTORY_INTERVAL);
        let mut reloads = self.reloader.last_reload();
        loop {
            tokio::select! {
                _ = ticks.tick() => self.take_sample(),
                Ok(()) = reloads.changed() => {
                    let LastReload { error, .. } = reloads.borrow_and_update().clone();
                    let generation = self.generation();
                    self.parts.events.tell(|| Event::Reload { generation, error });
                }
            }
        }
    }

    fn take_sample(&self) {
        let (metrics, connections) = (self.metrics(), self.connections().open);
        let now = self.parts.recorders.first_bytes().all();
        let mut history = lock(&self.history);
        let first_byte = history.since_last(&now);
        let sample = Sample::new(SystemTime::now(), &metrics, connections, first_byte);
        self.parts.events.tell(|| Event::Sample(Box::new(sample.clone())));
        history.push(sample, now);
        drop(history);
        self.parts.recorders.refill();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
