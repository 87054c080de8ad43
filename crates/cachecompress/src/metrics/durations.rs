//! Durations counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets for encodes, in milliseconds. A small file takes a millisecond,
/// and a file of gigabytes takes minutes.
const BOUNDS: [u64; 16] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000];

/// A snapshot of durations that were counted in buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DurationHistogram {
    /// The upper bound of each bucket, itself included, and the number of durations in it that are
    /// in no bucket before. The bounds ascend.
    pub buckets: Vec<(Duration, u64)>,
    /// The number of durations beyond the last bound.
    pub beyond: u64,
    /// The sum of all durations.
    pub sum: Duration,
}

/// Counts durations.
#[derive(Debug, Default)]
pub(crate) struct DurationCounters {
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_nanos: AtomicU64,
}

impl DurationCounters {
    pub(crate) fn add(&self, duration: Duration) {
        let place = BOUNDS.partition_point(|bound| Duration::from_millis(*bound) < duration);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> DurationHistogram {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let bounds = BOUNDS.iter().map(|bound| Duration::from_millis(*bound));
        DurationHistogram {
            buckets: bounds.zip(counts).collect(),
            beyond: self.counts[BOUNDS.len()].load(Ordering::Relaxed),
            sum: Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_counts_in_the_first_bucket_that_holds_it() {
        let counters = DurationCounters::default();
        let durations = [
            Duration::ZERO,
            Duration::from_millis(1),
            Duration::from_nanos(1_000_001),
            Duration::from_millis(300_000),
            Duration::from_millis(300_001),
        ];
        durations.into_iter().for_each(|duration| counters.add(duration));
        let snapshot = counters.snapshot();
        let filled: Vec<_> = snapshot.buckets.iter().filter(|(_, count)| *count > 0).collect();
        let millis = Duration::from_millis;
        assert_eq!(filled, [&(millis(1), 2), &(millis(2), 1), &(millis(300_000), 1)]);
        assert_eq!(snapshot.beyond, 1);
        assert_eq!(snapshot.sum, durations.iter().sum());
        assert!(snapshot.buckets.is_sorted());
    }
}
