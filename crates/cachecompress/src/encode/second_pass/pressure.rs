//! The pressure on the processors: whether work of others waits for one.

use std::time::Duration;

use crate::concurrency::cpu_time;
use crate::concurrency::sync::{Mutex, clock, lock};
use crate::limits::{PRESSURE_LOOK, PRESSURE_REST};

/// The share of time in which some task of the machine waited for a processor, in per cent, as Linux tells it.
#[derive(Debug)]
pub(super) struct Pressure {
    most: f64,
    seen: Mutex<Option<Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    per_cent: f64,
    /// The time of the look, in milliseconds of [`clock`].
    at: u64,
}

impl Pressure {
    pub(super) fn new(most: f64) -> Self {
        Self { most, seen: Mutex::default() }
    }

    /// Whether the second pass is to stand back.
    pub(super) fn is_high(&self) -> bool {
        self.now() > self.most
    }

    /// Whether it is so low that an encode may begin.
    pub(super) fn is_low(&self) -> bool {
        self.now() <= self.most * PRESSURE_REST
    }

    /// The pressure; zero where the system does not tell.
    fn now(&self) -> f64 {
        let mut seen = lock(&self.seen);
        let now = clock();
        let age = |seen: &Seen| Duration::from_millis(now.saturating_sub(seen.at));
        let known = seen.filter(|seen| age(seen) < PRESSURE_LOOK);
        known.map_or_else(
            || {
                let per_cent = cpu_time::pressure().unwrap_or(0.0);
                *seen = Some(Seen { per_cent, at: now });
                per_cent
            },
            |seen| seen.per_cent,
        )
    }
}
