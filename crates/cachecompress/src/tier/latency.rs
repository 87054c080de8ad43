//! The moving figure of a store's time to the first byte.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::concurrency::sync::clock;
use crate::limits::{LONGEST_TIER_ANSWER, TIER_ANSWER, TIER_LATENCY_HALVED, TIER_SLOWER};

/// The time to the first byte, as it was of late. Zero as long as nothing is known.
///
/// It is halved for every 30 s without a measurement. A store that was slow once is so asked again.
#[derive(Debug, Default)]
pub(super) struct Latency {
    nanos: AtomicU64,
    /// The time of the last measurement, in milliseconds of [`clock`].
    measured: AtomicU64,
}

/// One of so many parts of the figure is the newest measurement.
const SHARE: u64 = 8;

impl Latency {
    /// Takes a measurement into account.
    pub(super) fn observe(&self, latency: Duration) {
        let new = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mixed = |old: u64| if old == 0 { new } else { old - old / SHARE + new / SHARE };
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = self.nanos.fetch_update(set, fetch, |old| Some(mixed(old)));
        self.measured.store(clock(), Ordering::Relaxed);
    }

    /// Forgets all measurements.
    pub(super) fn forget(&self) {
        self.nanos.store(0, Ordering::Relaxed);
    }

    /// The usual time to the first byte.
    pub(super) fn usual(&self) -> Duration {
        let age = clock().saturating_sub(self.measured.load(Ordering::Relaxed));
        Duration::from_nanos(aged(self.nanos.load(Ordering::Relaxed), age))
    }

    /// The time after which an answer counts as missing.
    pub(super) fn longest(&self) -> Duration {
        (self.usual() * TIER_SLOWER).clamp(TIER_ANSWER, LONGEST_TIER_ANSWER)
    }
}

/// A figure after `age` milliseconds without a measurement.
fn aged(nanos: u64, age: u64) -> u64 {
    nanos >> (age / TIER_LATENCY_HALVED).min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that was slow for a while was never asked again.
    #[test]
    fn figure_falls_without_measurements() {
        let ages = [0, TIER_LATENCY_HALVED - 1, TIER_LATENCY_HALVED, 5 * TIER_LATENCY_HALVED];
        assert_eq!(ages.map(|age| aged(3200, age)), [3200, 3200, 1600, 100]);
        assert_eq!(aged(u64::MAX, u64::MAX), 1);
    }

    #[test]
    fn figure_follows_the_measurements() {
        let latency = Latency::default();
        assert_eq!((latency.usual(), latency.longest()), (Duration::ZERO, TIER_ANSWER));
        latency.observe(Duration::from_millis(8));
        assert_eq!(latency.usual(), Duration::from_millis(8));
        (0..100).for_each(|_| latency.observe(Duration::from_millis(80)));
        let usual = latency.usual();
        assert!(
            usual > Duration::from_millis(79) && usual <= Duration::from_millis(80),
            "{usual:?}"
        );
        assert_eq!(latency.longest(), 8 * usual);
        (0..100).for_each(|_| latency.observe(Duration::from_secs(9)));
        assert_eq!(latency.longest(), LONGEST_TIER_ANSWER);
    }
}
