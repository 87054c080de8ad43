//! Single flights: one production per key at a time, which the first caller leads and the others
//! follow.

use std::collections::HashMap;
use std::hash::Hash;

use crate::concurrency::progress::{Progress, Stage};
use crate::concurrency::sync::{Arc, Mutex, lock};

/// The running flights, by key.
#[derive(Debug)]
pub(crate) struct SingleFlight<K, T, F> {
    under_way: Arc<Map<K, T, F>>,
}

type Map<K, T, F> = Mutex<HashMap<K, Arc<Progress<T, F>>>>;

/// A caller's part in a flight.
#[derive(Debug)]
pub(crate) enum Join<K: Eq + Hash, T: Clone, F: Clone + Default> {
    /// The caller produces, or drops the guard.
    Lead(Leader<K, T, F>),
    /// Another caller produces.
    Follow(Arc<Progress<T, F>>),
}

/// The leader of a flight, which has the right and the duty to produce.
///
/// A drop without an end, also by a panic, fails the flight with `F::default()`. So no follower
/// waits for nothing.
#[derive(Debug)]
pub(crate) struct Leader<K: Eq + Hash, T: Clone, F: Clone + Default> {
    key: K,
    progress: Arc<Progress<T, F>>,
    under_way: Arc<Map<K, T, F>>,
}

impl<K: Clone + Eq + Hash, T: Clone, F: Clone + Default> SingleFlight<K, T, F> {
    pub(crate) fn new() -> Self {
        Self { under_way: Arc::new(Mutex::new(HashMap::new())) }
    }

    /// Joins the flight for `key`, or starts one. A flight that has just ended well is joined too.
    /// A flight that failed is not, as it failed before the caller came.
    pub(crate) fn join(&self, key: &K) -> Join<K, T, F> {
        self.join_unless(key, Stage::failed)
    }

    /// Joins the flight for `key` if it has not ended, or starts one.
    pub(crate) fn join_running(&self, key: &K) -> Join<K, T, F> {
        self.join_unless(key, Stage::ended)
    }

    fn join_unless(&self, key: &K, is_over: impl Fn(&Stage<T, F>) -> bool) -> Join<K, T, F> {
        let mut under_way = lock(&self.under_way);
        if let Some(progress) = under_way.get(key).filter(|progress| !is_over(&progress.stage())) {
            return Join::Follow(Arc::clone(progress));
        }
        let progress = Progress::new();
        under_way.insert(key.clone(), Arc::clone(&progress));
        drop(under_way);
        Join::Lead(Leader { key: key.clone(), progress, under_way: Arc::clone(&self.under_way) })
    }

    /// Returns the flight for `key`, if it has not ended.
    pub(crate) fn running(&self, key: &K) -> Option<Arc<Progress<T, F>>> {
        lock(&self.under_way).get(key).filter(|progress| !progress.stage().ended()).cloned()
    }

    /// Returns all flights.
    pub(crate) fn under_way(&self) -> Vec<Arc<Progress<T, F>>> {
        lock(&self.under_way).values().cloned().collect()
    }

    /// Counts the flights.
    pub(crate) fn len(&self) -> usize {
        lock(&self.under_way).len()
    }
}

impl<K: Eq + Hash, T: Clone, F: Clone + Default> Leader<K, T, F> {
    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// Returns the progress that followers watch.
    pub(crate) fn progress(&self) -> &Arc<Progress<T, F>> {
        &self.progress
    }

    /// Ends the flight well. The next caller that looks for the product must find it.
    pub(crate) fn finish(self, shared: T, len: u64) {
        self.progress.finish(shared, len);
    }

    /// Ends the flight badly.
    pub(crate) fn fail(self, why: F) {
        self.progress.fail(why);
    }
}

impl<K: Eq + Hash, T: Clone, F: Clone + Default> Drop for Leader<K, T, F> {
    fn drop(&mut self) {
        // The end comes before the removal of the key. A caller between the two follows a flight
        // that has ended well, and leads no second one. After a failure such a caller does lead,
        // and the key is then its own.
        self.progress.fail(F::default());
        let mut under_way = lock(&self.under_way);
        if under_way.get(&self.key).is_some_and(|now| Arc::ptr_eq(now, &self.progress)) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(all(test, not(cachecompress_loom)))]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    enum Why {
        #[default]
        Abandoned,
        Disk,
    }

    type Plain = SingleFlight<u8, &'static str, Why>;

    fn lead(flights: &Plain, key: u8) -> Leader<u8, &'static str, Why> {
        match flights.join(&key) {
            Join::Lead(lead) => lead,
            Join::Follow(_) => panic!("{key} has a leader already"),
        }
    }

    fn follow(flights: &Plain, key: u8) -> Arc<Progress<&'static str, Why>> {
        match flights.join(&key) {
            Join::Follow(progress) => progress,
            Join::Lead(_) => panic!("{key} has no leader"),
        }
    }

    #[test]
    fn caller_follows_a_flight_until_it_ends() {
        let flights = Plain::new();
        let first = lead(&flights, 1);
        let other = lead(&flights, 2);
        let progress = follow(&flights, 1);
        assert_eq!((flights.len(), flights.under_way().len()), (2, 2));
        first.finish("entry", 3);
        assert_eq!(progress.stage(), Stage::Finished { shared: "entry", len: 3 });
        drop(other);
        drop(lead(&flights, 1));
        assert_eq!(flights.len(), 0);
    }

    #[test]
    fn leader_wakes_followers_with_an_error_when_it_is_dropped_or_panics() {
        let flights = Plain::new();
        let first = lead(&flights, 1);
        let progress = follow(&flights, 1);
        drop(first);
        assert_eq!(progress.stage(), Stage::Failed { why: Why::Abandoned, committed: 0 });

        let first = lead(&flights, 1);
        let progress = follow(&flights, 1);
        let panicking = std::thread::spawn(move || {
            let _lead = first;
            panic!("on purpose");
        });
        assert!(panicking.join().is_err());
        assert_eq!(progress.stage(), Stage::Failed { why: Why::Abandoned, committed: 0 });
        assert_eq!(flights.len(), 0);
    }

    /// A request that came after a failed lookup got that failure, if the flight was not yet
    /// removed. A file that could be read again was still a 500.
    #[test]
    fn caller_leads_after_a_failure_that_is_not_removed_yet() {
        let flights = Plain::new();
        let first = lead(&flights, 1);
        first.progress().fail(Why::Disk);
        let second = lead(&flights, 1);
        drop(first);
        let progress = follow(&flights, 1);
        second.finish("entry", 3);
        assert_eq!(progress.stage(), Stage::Finished { shared: "entry", len: 3 });
        assert_eq!(flights.len(), 0);
    }

    /// Requests spun until the leader of a lookup that had begun too early was gone.
    #[test]
    fn join_running_leads_beside_a_flight_that_has_ended() {
        let flights = Plain::new();
        let first = lead(&flights, 1);
        assert!(matches!(flights.join_running(&1), Join::Follow(_)));
        first.progress().finish("old", 3);
        assert!(flights.running(&1).is_none());
        assert!(matches!(flights.join(&1), Join::Follow(_)), "a caller of join takes its product");
        let Join::Lead(second) = flights.join_running(&1) else { panic!("it has ended") };
        drop(first);
        assert!(flights.running(&1).is_some(), "the first leader left the second one's key alone");
        second.finish("new", 3);
        assert_eq!(flights.len(), 0);
    }

    #[test]
    fn failure_keeps_its_reason() {
        let flights = Plain::new();
        let first = lead(&flights, 1);
        let progress = follow(&flights, 1);
        first.fail(Why::Disk);
        assert_eq!(progress.stage(), Stage::Failed { why: Why::Disk, committed: 0 });
    }
}
