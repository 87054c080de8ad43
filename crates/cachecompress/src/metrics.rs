//! Plain atomic counters, and a snapshot of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a request ended, as far as the cache is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A stored representation.
    Hit,
    /// The request that had the representation encoded.
    Miss,
    /// A request that joined an encode under way.
    Collapsed,
    /// Identity (or an error) where a coded representation was asked for, because it could not
    /// be had in time.
    Bypass,
    /// Identity because that was asked for, or is all there is.
    Identity,
    /// 304.
    NotModified,
    /// A status of 400 or more.
    Error,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::Miss,
        Self::Collapsed,
        Self::Bypass,
        Self::Identity,
        Self::NotModified,
        Self::Error,
    ];

    /// The word for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Collapsed => "collapsed",
            Self::Bypass => "bypass",
            Self::Identity => "identity",
            Self::NotModified => "not_modified",
            Self::Error => "error",
        }
    }
}

/// A snapshot of a service's counters and gauges.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Requests answered, by outcome.
    pub requests: Vec<(Outcome, u64)>,
    /// Encodes, by content coding.
    pub encodes: Vec<EncodeMetrics>,
    /// Bytes of the sources behind the bodies that were sent, in bytes.
    pub source_bytes: u64,
    /// Bytes of the bodies that were sent, in bytes.
    pub sent_bytes: u64,
    /// Entries in the cache.
    pub entries: u64,
    /// The bytes of those entries on disk, in bytes.
    pub entry_bytes: u64,
    /// Entries that made room for others.
    pub evictions: u64,
    /// Entries that failed their checksum and were removed.
    pub damaged_entries: u64,
    /// Encodes under way, those that wait for a thread among them.
    pub inflight: u64,
    /// Encodes that wait for a thread.
    pub queue_length: u64,
}

/// The encodes of one content coding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodeMetrics {
    /// The coding's name, such as `br`.
    pub coding: String,
    /// Encodes started.
    pub started: u64,
    /// The time they took on the processor, proof included; on platforms that cannot tell, the
    /// time that passed.
    pub cpu: Duration,
}

/// The counters behind [`Metrics`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: [AtomicU64; Outcome::ALL.len()],
    encodes: Vec<EncodeCounters>,
    source_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

#[derive(Debug)]
struct EncodeCounters {
    coding: String,
    started: AtomicU64,
    cpu_nanos: AtomicU64,
}

impl Counters {
    pub(crate) fn new<'a>(codings: impl IntoIterator<Item = &'a str>) -> Self {
        let encodes = codings
            .into_iter()
            .map(|coding| EncodeCounters {
                coding: coding.to_owned(),
                started: AtomicU64::new(0),
                cpu_nanos: AtomicU64::new(0),
            })
            .collect();
        Self { encodes, ..Self::default() }
    }

    pub(crate) fn request(&self, outcome: Outcome) {
        self.requests[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn encode_started(&self, coding: &str) {
        if let Some(encode) = self.encode(coding) {
            encode.started.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn encode_took(&self, coding: &str, cpu: Duration) {
        if let Some(encode) = self.encode(coding) {
            let nanos = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
            encode.cpu_nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    pub(crate) fn source_bytes(&self, bytes: u64) {
        self.source_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sent_bytes(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn encode(&self, coding: &str) -> Option<&EncodeCounters> {
        self.encodes.iter().find(|encode| encode.coding == coding)
    }

    /// What was counted; the cache's and the pool's figures are the caller's to add.
    pub(crate) fn snapshot(&self) -> Metrics {
        let requests = Outcome::ALL
            .into_iter()
            .zip(&self.requests)
            .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
            .collect();
        let encodes = self
            .encodes
            .iter()
            .map(|encode| EncodeMetrics {
                coding: encode.coding.clone(),
                started: encode.started.load(Ordering::Relaxed),
                cpu: Duration::from_nanos(encode.cpu_nanos.load(Ordering::Relaxed)),
            })
            .collect();
        Metrics {
            requests,
            encodes,
            source_bytes: self.source_bytes.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            ..Metrics::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_counter_of_its_own() {
        let counters = Counters::new(["br"]);
        for (times, outcome) in Outcome::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| counters.request(outcome));
        }
        counters.encode_started("br");
        counters.encode_took("br", Duration::from_millis(3));
        counters.encode_started("unknown");
        let snapshot = counters.snapshot();
        for (times, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(snapshot.requests[times], (outcome, times as u64 + 1));
        }
        assert_eq!(snapshot.encodes.len(), 1);
        assert_eq!(snapshot.encodes[0].started, 1);
        assert_eq!(snapshot.encodes[0].cpu, Duration::from_millis(3));
    }
}
