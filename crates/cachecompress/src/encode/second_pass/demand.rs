//! The encodes that others need, before which the second pass stands back.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, PoisonError};
use std::time::Duration;

use crate::concurrency::sync::{Mutex, clock, lock};

/// The number of encodes that run or wait for a thread, those of the second pass apart.
#[derive(Debug, Default)]
pub(super) struct Demand {
    encodes: AtomicUsize,
    /// The time at which the last of them ended, in milliseconds of [`clock`].
    ended: AtomicU64,
    sleep: Mutex<()>,
    woken: Condvar,
}

/// One of these encodes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Need(Arc<Demand>);

impl Demand {
    pub(super) fn enter(self: &Arc<Self>) -> Need {
        self.encodes.fetch_add(1, Ordering::Relaxed);
        Need(Arc::clone(self))
    }

    /// Whether an encode is needed now.
    pub(super) fn is_there(&self) -> bool {
        self.encodes.load(Ordering::Relaxed) > 0
    }

    /// Whether no encode was needed for so long.
    pub(super) fn rests_for(&self, time: Duration) -> bool {
        let since = clock().saturating_sub(self.ended.load(Ordering::Relaxed));
        !self.is_there() && u128::from(since) >= time.as_millis()
    }

    /// Waits so long, or until [`wake`](Self::wake).
    pub(super) fn wait(&self, time: Duration) {
        let waited = self.woken.wait_timeout(lock(&self.sleep), time);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn wake(&self) {
        drop(lock(&self.sleep));
        self.woken.notify_all();
    }
}

impl Drop for Need {
    fn drop(&mut self) {
        self.0.ended.store(clock(), Ordering::Relaxed);
        self.0.encodes.fetch_sub(1, Ordering::Relaxed);
        self.0.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_rests_once_all_encodes_have_ended() {
        let demand = Arc::new(Demand::default());
        let (one, other) = (demand.enter(), demand.enter());
        drop(one);
        assert!(demand.is_there() && !demand.rests_for(Duration::ZERO));
        drop(other);
        assert!(!demand.is_there() && demand.rests_for(Duration::ZERO));
        assert!(!demand.rests_for(Duration::from_secs(3600)), "it has just ended");
    }
}
