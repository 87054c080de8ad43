//! The processor time of the second pass, a share of one core over an hour.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// The minutes of an hour.
const HOUR: u64 = 60;

/// The processor time that was spent within the last hour, by the minute.
#[derive(Debug)]
pub(super) struct Budget {
    hourly: Duration,
    /// The time by the minute since 1970.
    spent: BTreeMap<u64, Duration>,
}

impl Budget {
    /// Creates the budget of a `share` of one core.
    pub(super) fn new(share: f64) -> Self {
        let hourly = Duration::from_secs(HOUR * 60).mul_f64(share.clamp(0.0, 1.0));
        Self { hourly, spent: BTreeMap::new() }
    }

    /// The time of a whole hour.
    pub(super) fn hourly(&self) -> Duration {
        self.hourly
    }

    /// The time that is left now.
    pub(super) fn left(&mut self) -> Duration {
        self.left_at(minute())
    }

    /// Spends time now.
    pub(super) fn spend(&mut self, time: Duration) {
        self.spend_at(minute(), time);
    }

    /// Takes over what an earlier process has spent, in nanoseconds by the minute.
    pub(super) fn restore(&mut self, spent: &BTreeMap<u64, u64>) {
        for (minute, nanos) in spent {
            *self.spent.entry(*minute).or_default() += Duration::from_nanos(*nanos);
        }
    }

    /// Returns what was spent within the last hour, in nanoseconds by the minute.
    pub(super) fn stored(&mut self) -> BTreeMap<u64, u64> {
        self.left();
        let nanos = |(minute, time): (&u64, &Duration)| (*minute, time.as_nanos() as u64);
        self.spent.iter().map(nanos).collect()
    }

    fn left_at(&mut self, minute: u64) -> Duration {
        // A clock that was put back leaves minutes of the future, which would never end.
        self.spent.retain(|then, _| *then <= minute && minute - then < HOUR);
        self.hourly.saturating_sub(self.spent.values().sum())
    }

    fn spend_at(&mut self, minute: u64, time: Duration) {
        *self.spent.entry(minute).or_default() += time;
    }
}

/// The present minute since 1970. It goes on while the machine sleeps, and over a restart.
fn minute() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_secs() / 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_is_its_share_of_any_hour() {
        let mut budget = Budget::new(0.1);
        assert_eq!(budget.left_at(1000), Duration::from_secs(360));
        budget.spend_at(1000, Duration::from_secs(100));
        budget.spend_at(1030, Duration::from_secs(200));
        budget.spend_at(1030, Duration::from_secs(100));
        assert_eq!(budget.left_at(1059), Duration::ZERO, "it never counts below zero");
        assert_eq!(budget.left_at(1060), Duration::from_secs(60), "the first minute has passed");
        assert_eq!(budget.left_at(1090), Duration::from_secs(360));
        let mut restarted = Budget::new(0.1);
        restarted.restore(&BTreeMap::from([(1030, 300_000_000_000)]));
        assert_eq!(restarted.left_at(1050), Duration::from_secs(60));
        assert_eq!(Budget::new(0.0).left_at(7), Duration::ZERO);
    }

    #[test]
    fn clock_that_is_put_back_gives_the_time_back() {
        let mut budget = Budget::new(1.0);
        budget.spend_at(1000, Duration::from_secs(3600));
        assert_eq!(budget.left_at(1000), Duration::ZERO);
        assert_eq!(budget.left_at(990), Duration::from_secs(3600));
    }
}
