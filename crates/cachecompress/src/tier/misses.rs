//! The objects that a store did not have a moment ago.

use std::hash::{BuildHasher as _, RandomState};

use crate::cache::Key;
use crate::concurrency::sync::clock;
use crate::limits::{TIER_DISTRUST, TIER_MISS, TIER_MISSES};

/// The reason not to ask for an object, until a time in milliseconds of [`clock`].
#[derive(Clone, Copy, Debug)]
struct Absence {
    until: u64,
    /// Whether there is an object that is not the expected one.
    is_bad: bool,
}

/// The objects that are not asked for, each until a time of its own.
#[derive(Debug)]
pub(super) struct Misses {
    absent: quick_cache::sync::Cache<Key, Absence>,
    /// Makes the times differ from replica to replica, so that they do not ask all at once.
    jitter: RandomState,
}

impl Misses {
    pub(super) fn new() -> Self {
        Self { absent: quick_cache::sync::Cache::new(TIER_MISSES), jitter: RandomState::new() }
    }

    /// Whether the object of `key` is not to be asked for now.
    pub(super) fn hold(&self, key: &Key) -> bool {
        self.get(key).is_some()
    }

    /// Whether the store has another object in the place of the one of `key`.
    pub(super) fn distrust(&self, key: &Key) -> bool {
        self.get(key).is_some_and(|absence| absence.is_bad)
    }

    fn get(&self, key: &Key) -> Option<Absence> {
        self.absent.get(key).filter(|absence| clock() < absence.until)
    }

    /// Notes that the store has no object of `key`.
    pub(super) fn note(&self, key: &Key) {
        let jitter = self.jitter.hash_one((key, clock())) % TIER_MISS;
        let until = clock() + TIER_MISS + jitter;
        self.absent.insert(key.clone(), Absence { until, is_bad: false });
    }

    /// Notes that the object of `key` is not what it should be.
    pub(super) fn note_bad(&self, key: &Key) {
        let until = clock() + TIER_DISTRUST;
        self.absent.insert(key.clone(), Absence { until, is_bad: true });
    }

    /// Notes that the store may have the object of `key` now.
    pub(super) fn forget(&self, key: &Key) {
        self.absent.remove(key);
    }
}
