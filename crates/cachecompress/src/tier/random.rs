//! Random pauses and names from a seed, so that simulations repeat.

use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;

use crate::concurrency::sync::lock;

/// A source of random numbers that many tasks share.
#[derive(Debug)]
pub(super) struct Random(Mutex<Rng>);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(Rng::with_seed(seed)))
    }

    /// A time from half of `longest` to all of it, so that replicas that began together part.
    pub(super) fn pause(&self, longest: Duration) -> Duration {
        longest.mul_f64(0.5 + 0.5 * lock(&self.0).f64())
    }

    /// A number that no other call returns.
    pub(super) fn id(&self) -> u128 {
        lock(&self.0).u128(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_lie_between_half_and_all() {
        let random = Random::new(1);
        let pauses: Vec<f64> =
            (0..1000).map(|_| random.pause(Duration::from_secs(1)).as_secs_f64()).collect();
        assert!(pauses.iter().all(|pause| (0.5..=1.0).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < 0.55));
        assert!(pauses.iter().any(|pause| *pause > 0.95));
    }

    #[test]
    fn ids_differ_and_repeat_with_the_seed() {
        let [first, same, other] = [1, 1, 2].map(Random::new);
        let id = first.id();
        assert_ne!(id, first.id());
        assert_eq!(id, same.id());
        assert_ne!(id, other.id());
    }
}
