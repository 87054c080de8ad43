//! The figures of a shared store.

use std::time::Duration;

use super::durations::DurationHistogram;

/// The end of one request to a shared store for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TierOutcome {
    /// The store had the object.
    Hit,
    /// The store had no such object.
    Miss,
    /// The store answered with an error, or broke off.
    Error,
    /// The store did not answer in time.
    Timeout,
    /// The store was not asked: its breaker is open, or it had no such object a moment ago.
    Skipped,
    /// The object did not decode to the file, or had another length, key or signature.
    Disproved,
}

impl TierOutcome {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Hit, Self::Miss, Self::Error, Self::Timeout, Self::Skipped, Self::Disproved];

    /// The word for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Skipped => "skipped",
            Self::Disproved => "disproved",
        }
    }
}

/// The state of the breaker that keeps requests from a store that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    /// The store is asked.
    Closed,
    /// The store is not asked, since it failed or has not answered yet.
    #[default]
    Open,
    /// One request, which nobody waits for, finds out whether the store answers again.
    HalfOpen,
}

impl BreakerState {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Closed, Self::Open, Self::HalfOpen];

    /// The word for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A snapshot of the figures of a shared store.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TierMetrics {
    /// The number of requests for objects, by outcome.
    pub requests: Vec<(TierOutcome, u64)>,
    /// The time to the first byte of each answer.
    pub latency: DurationHistogram,
    /// The state of the breaker.
    pub breaker: BreakerState,
    /// The number of times that the breaker opened.
    pub breaker_opened: u64,
    /// The number of entries that were stored for others.
    pub uploads_stored: u64,
    /// The number of entries that the store did not take.
    pub uploads_failed: u64,
    /// The number of entries that found no place in the queue.
    pub uploads_dropped: u64,
    /// The number of entries that wait to be stored or are under way.
    pub upload_queue: u64,
    /// The bytes of these entries.
    pub upload_queue_bytes: u64,
    /// The bytes of objects that were read.
    pub read_bytes: u64,
    /// The bytes of objects that were written.
    pub written_bytes: u64,
    /// The number of leases that this replica got.
    pub leases_acquired: u64,
    /// The number of leases that another replica had.
    pub leases_waited: u64,
    /// The number of leases that were taken over from an owner that had gone.
    pub leases_taken_over: u64,
    /// The number of leases that another replica took over from this one.
    pub leases_lost: u64,
    /// The number of encodes that waited for no other replica any more, because the store failed or the
    /// owner of the lease took too long.
    pub leases_alone: u64,
    /// The number of payloads that came from the store, each in place of an encode.
    pub imports: u64,
    /// The processor time that was spent on the proof of objects.
    pub import_cpu: Duration,
    /// The processor time that encodes would have taken in place of the imports, by the rate of earlier
    /// encodes, less the time that the imports took.
    pub cpu_saved: Duration,
}
