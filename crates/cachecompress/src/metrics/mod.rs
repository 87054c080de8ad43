//! Atomic counters, and a snapshot of them.

mod durations;
mod encode_progress;
mod second_pass;
mod tier;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use self::durations::DurationCounters;
pub use self::durations::DurationHistogram;
pub(crate) use self::encode_progress::EncodeObserver;
pub use self::encode_progress::{EncodeProgress, EncodeState};
pub use self::second_pass::SecondPassMetrics;
pub use self::tier::{BreakerState, TierMetrics, TierOutcome};
use crate::http::{CacheStatus, Detail, Forward};

/// The end of a request, as far as the cache is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The answer was a stored representation.
    Hit,
    /// The request had the representation encoded.
    Miss,
    /// The request joined an encode under way.
    Collapsed,
    /// The answer was identity in place of a coded representation, which was not
    /// available in time.
    Bypass,
    /// The answer was identity, because the request asked for it or there is no other.
    Identity,
    /// The answer was 304.
    NotModified,
    /// The answer had a status of 400 or more.
    Error,
}

impl Outcome {
    /// All of them.
    pub const ALL: &'static [Self] = &[
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
///
/// ```
/// use cachecompress::ServeCompressed;
///
/// /// The text that Prometheus reads.
/// fn requests(service: &ServeCompressed) -> String {
///     let lines = service.metrics().requests.into_iter().map(|(outcome, count)| {
///         format!("files_requests_total{{outcome=\"{}\"}} {count}\n", outcome.as_str())
///     });
///     lines.collect()
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// The number of requests answered, by outcome.
    pub requests: Vec<(Outcome, u64)>,
    /// The number of responses that went past the cache, by reason. Their outcome is
    /// [`Outcome::Bypass`] if a coding was wanted, else [`Outcome::Identity`].
    pub bypasses: Vec<(Detail, u64)>,
    /// The encodes, by content coding.
    pub encodes: Vec<EncodeMetrics>,
    /// The size of the sources of all bodies that were sent, in bytes.
    pub source_bytes: u64,
    /// The size of all bodies that were sent, in bytes.
    pub sent_bytes: u64,
    /// The number of entries in the cache.
    pub entries: u64,
    /// The size of those entries on disk, in bytes.
    pub entry_bytes: u64,
    /// The number of entries that made room for others.
    pub evictions: u64,
    /// The number of entries that failed their checksum and were removed.
    pub damaged_entries: u64,
    /// Whether the cache is in use. It is not while its disk does not answer.
    pub cache_available: bool,
    /// The number of encodes under way, including those that wait for a thread.
    pub inflight: u64,
    /// The number of encodes that wait for a thread.
    pub queue_length: u64,
    /// The encodes that run or wait for a thread, the oldest first.
    pub encodes_under_way: Vec<EncodeProgress>,
    /// The figures of the shared store, if there is one.
    pub tier: Option<TierMetrics>,
    /// The figures of the second pass, if there is [one](crate::Builder::recompress).
    pub second_pass: Option<SecondPassMetrics>,
}

/// The encodes of one content coding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodeMetrics {
    /// The coding's name, such as `br`.
    pub coding: String,
    /// The number of encodes that were started.
    pub started: u64,
    /// The time they took on the processor, proof included. On platforms that cannot tell, it is
    /// the time that passed.
    pub cpu: Duration,
    /// The time from the start of each encode to its end, proof included.
    pub durations: DurationHistogram,
}

/// The counters behind [`Metrics`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: [AtomicU64; Outcome::ALL.len()],
    bypasses: [AtomicU64; Detail::ALL.len()],
    encodes: Vec<EncodeCounters>,
    source_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

#[derive(Debug)]
struct EncodeCounters {
    coding: String,
    started: AtomicU64,
    cpu_nanos: AtomicU64,
    durations: DurationCounters,
}

impl Counters {
    pub(crate) fn new<'a>(codings: impl IntoIterator<Item = &'a str>) -> Self {
        let encodes = codings
            .into_iter()
            .map(|coding| EncodeCounters {
                coding: coding.to_owned(),
                started: AtomicU64::new(0),
                cpu_nanos: AtomicU64::new(0),
                durations: DurationCounters::default(),
            })
            .collect();
        Self { encodes, ..Self::default() }
    }

    /// Counts a response with its outcome and its `Cache-Status`.
    pub(crate) fn response(&self, outcome: Outcome, status: Option<CacheStatus>) {
        self.requests[outcome as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(CacheStatus::Forward(Forward::Bypass(detail))) = status {
            self.bypasses[detail as usize].fetch_add(1, Ordering::Relaxed);
        }
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

    /// Counts the end of an encode that had started, and took so long.
    pub(crate) fn encode_ended(&self, coding: &str, elapsed: Duration) {
        if let Some(encode) = self.encode(coding) {
            encode.durations.add(elapsed);
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

    /// Takes a snapshot. The caller adds the figures of the cache and the pool.
    pub(crate) fn snapshot(&self) -> Metrics {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let requests = Outcome::ALL.iter().copied().zip(self.requests.iter().map(load)).collect();
        let bypasses = Detail::ALL.iter().copied().zip(self.bypasses.iter().map(load)).collect();
        let encodes = self
            .encodes
            .iter()
            .map(|encode| EncodeMetrics {
                coding: encode.coding.clone(),
                started: encode.started.load(Ordering::Relaxed),
                cpu: Duration::from_nanos(encode.cpu_nanos.load(Ordering::Relaxed)),
                durations: encode.durations.snapshot(),
            })
            .collect();
        Metrics {
            requests,
            bypasses,
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
    fn outcome_and_reason_have_counters_of_their_own() {
        let counters = Counters::new(["br"]);
        for (times, outcome) in Outcome::ALL.iter().copied().enumerate() {
            (0..=times).for_each(|_| counters.response(outcome, Some(CacheStatus::Hit)));
        }
        for (times, detail) in Detail::ALL.iter().copied().enumerate() {
            let status = CacheStatus::Forward(Forward::Bypass(detail));
            (0..=times).for_each(|_| counters.response(Outcome::Bypass, Some(status)));
        }
        let snapshot = counters.snapshot();
        for (times, outcome) in Outcome::ALL.iter().copied().enumerate() {
            let further =
                if outcome == Outcome::Bypass { (1..=Detail::ALL.len()).sum() } else { 0 };
            assert_eq!(snapshot.requests[times], (outcome, (times + 1 + further) as u64));
        }
        for (times, detail) in Detail::ALL.iter().copied().enumerate() {
            assert_eq!(snapshot.bypasses[times], (detail, times as u64 + 1));
        }
    }

    #[test]
    fn encode_counts_for_its_coding_alone() {
        let counters = Counters::new(["br", "gzip"]);
        counters.encode_started("br");
        counters.encode_took("br", Duration::from_millis(3));
        counters.encode_ended("br", Duration::from_millis(4));
        counters.encode_started("unknown");
        let [br, gzip] = &*counters.snapshot().encodes else { panic!("two codings") };
        assert_eq!((br.started, br.cpu), (1, Duration::from_millis(3)));
        assert_eq!(br.durations.sum, Duration::from_millis(4));
        assert_eq!((gzip.started, gzip.durations.sum), (0, Duration::ZERO));
    }
}
