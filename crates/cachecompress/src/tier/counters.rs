//! The counters of a shared store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::metrics::{DurationCounters, TierMetrics, TierOutcome};

/// The counters behind [`TierMetrics`].
#[derive(Debug, Default)]
pub(super) struct TierCounters {
    requests: [AtomicU64; TierOutcome::ALL.len()],
    latency: DurationCounters,
    pub(super) uploads_stored: AtomicU64,
    pub(super) uploads_failed: AtomicU64,
    pub(super) uploads_dropped: AtomicU64,
    read_bytes: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    imports: AtomicU64,
    import_nanos: AtomicU64,
    saved_nanos: AtomicU64,
}

impl TierCounters {
    pub(super) fn request(&self, outcome: TierOutcome) {
        self.requests[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the time to the first byte of an answer.
    pub(super) fn answered(&self, latency: Duration) {
        self.latency.add(latency);
    }

    /// Counts an import, whose encode would have taken `predicted`.
    pub(super) fn imported(&self, took: Duration, predicted: Duration) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.imports.fetch_add(1, Ordering::Relaxed);
        self.import_nanos.fetch_add(nanos(took), Ordering::Relaxed);
        self.saved_nanos.fetch_add(nanos(predicted.saturating_sub(took)), Ordering::Relaxed);
    }

    /// Counts the bytes of an object that came.
    pub(super) fn read(&self, bytes: u64) {
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes a snapshot. The caller adds the figures of the breaker, the queue and the leases.
    pub(super) fn snapshot(&self) -> TierMetrics {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        TierMetrics {
            requests: TierOutcome::ALL
                .iter()
                .copied()
                .zip(self.requests.iter().map(load))
                .collect(),
            latency: self.latency.snapshot(),
            uploads_stored: load(&self.uploads_stored),
            uploads_failed: load(&self.uploads_failed),
            uploads_dropped: load(&self.uploads_dropped),
            read_bytes: load(&self.read_bytes),
            written_bytes: load(&self.written_bytes),
            imports: load(&self.imports),
            import_cpu: Duration::from_nanos(load(&self.import_nanos)),
            cpu_saved: Duration::from_nanos(load(&self.saved_nanos)),
            ..TierMetrics::default()
        }
    }
}
