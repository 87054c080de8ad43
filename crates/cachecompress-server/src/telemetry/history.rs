//! An hour of samples in memory.

use std::collections::VecDeque;
use std::time::SystemTime;

use cachecompress::Metrics;
use serde::{Serialize, Serializer};

use crate::limits::{HISTORY_SAMPLES, LAST_MINUTE_SAMPLES};
use crate::recorder::{Distribution, Percentiles, unix_seconds};

/// The counters at one moment, as totals, and the first bytes since the sample before.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    /// Unix seconds.
    pub(crate) at: f64,
    /// Requests by outcome.
    #[serde(serialize_with = "as_map")]
    pub(crate) requests: Vec<(&'static str, u64)>,
    /// Responses that went past the cache, by reason.
    #[serde(serialize_with = "as_map")]
    pub(crate) bypasses: Vec<(&'static str, u64)>,
    pub(crate) sent_bytes: u64,
    pub(crate) source_bytes: u64,
    pub(crate) encode_cpu_seconds: f64,
    pub(crate) entries: u64,
    pub(crate) entry_bytes: u64,
    pub(crate) evictions: u64,
    pub(crate) damaged_entries: u64,
    /// The connections that are open.
    pub(crate) connections: usize,
    /// The first bytes' percentiles in seconds; `null` without a request.
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
}

fn as_map<S: Serializer>(pairs: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}

impl Sample {
    pub(super) fn new(
        at: SystemTime,
        metrics: &Metrics,
        connections: usize,
        first_byte: Option<Percentiles>,
    ) -> Self {
        let requests = metrics.requests.iter().map(|(outcome, count)| (outcome.as_str(), *count));
        let bypasses = metrics.bypasses.iter().map(|(detail, count)| (detail.as_str(), *count));
        let cpu = metrics.encodes.iter().map(|encode| encode.cpu.as_secs_f64());
        Self {
            at: unix_seconds(at),
            requests: requests.collect(),
            bypasses: bypasses.collect(),
            sent_bytes: metrics.sent_bytes,
            source_bytes: metrics.source_bytes,
            encode_cpu_seconds: cpu.sum(),
            entries: metrics.entries,
            entry_bytes: metrics.entry_bytes,
            evictions: metrics.evictions,
            damaged_entries: metrics.damaged_entries,
            connections,
            p50: first_byte.map(|first_byte| first_byte.p50),
            p95: first_byte.map(|first_byte| first_byte.p95),
            p99: first_byte.map(|first_byte| first_byte.p99),
        }
    }
}

/// The samples of the last hour, the oldest first, and the first bytes up to those of the last minute.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    first_bytes: VecDeque<Distribution>,
}

impl History {
    /// The first bytes that came after the last sample, of which there are `now`.
    pub(super) fn since_last(&self, now: &Distribution) -> Option<Percentiles> {
        self.first_bytes.back().map_or_else(|| now.clone(), |last| now.since(last)).percentiles()
    }

    /// The first bytes of the last minute, of which there are `now`.
    pub(super) fn last_minute(&self, now: &Distribution) -> Option<Percentiles> {
        // Before the first minute is over, all of them are of it.
        let before =
            self.first_bytes.front().filter(|_| self.first_bytes.len() == LAST_MINUTE_SAMPLES);
        before.map_or_else(|| now.clone(), |before| now.since(before)).percentiles()
    }

    /// Adds a sample and forgets what is older than an hour.
    pub(super) fn push(&mut self, sample: Sample, first_bytes: Distribution) {
        push_bounded(&mut self.samples, sample, HISTORY_SAMPLES);
        push_bounded(&mut self.first_bytes, first_bytes, LAST_MINUTE_SAMPLES);
    }

    /// The samples, the oldest first.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples.iter().cloned().collect()
    }
}

fn push_bounded<T>(all: &mut VecDeque<T>, one: T, most: usize) {
    if all.len() == most {
        all.pop_front();
    }
    all.push_back(one);
}
