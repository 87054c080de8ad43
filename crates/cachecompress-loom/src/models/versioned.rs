//! Generations that end in another order than they began.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::explore;
use crate::concurrency::sync::Arc;
use crate::concurrency::versioned::{Generations, Put, Versioned};

#[test]
fn slow_lookup_never_replaces_a_later_result() {
    explore("a slow lookup", 3, || {
        let (generations, slot) = (Generations::default(), Arc::new(Versioned::new()));
        let (early, late) = (generations.begin(), generations.begin());
        let slow = Arc::clone(&slot);
        let slow = thread::spawn(move || slow.put(early, Some("old")));
        assert_eq!(slot.put(late, Some("new")), Put::Stored);
        assert_eq!(slot.get(), Some("new"), "taken back at once");
        slow.join().unwrap();
        assert_eq!(slot.get(), Some("new"));
    });
}

/// An encode that sees its source change empties the slot. The results of lookups from before that
/// are not to be trusted.
#[test]
fn emptied_slot_stays_empty_after_an_older_lookup() {
    explore("an emptied slot", 3, || {
        let generations = Arc::new(Generations::default());
        let slot = Arc::new(Versioned::new());
        slot.put(generations.begin(), Some("old"));
        let older = (generations.begin(), Arc::clone(&slot));
        let older = thread::spawn(move || older.1.put(older.0, Some("old")));
        let job = (Arc::clone(&generations), Arc::clone(&slot));
        let job = thread::spawn(move || {
            let generation = job.0.begin();
            assert_eq!(job.1.put(generation, None), Put::Stored);
            assert_eq!(job.1.get(), None);
        });
        older.join().unwrap();
        job.join().unwrap();
        assert_eq!(slot.get(), None);
        assert_eq!(slot.put(generations.begin(), Some("new")), Put::Stored);
    });
}

/// Threads that know nothing of each other take different generations.
#[test]
fn generations_differ_across_threads() {
    explore("two lookups at once", 3, || {
        let generations = Arc::new(Generations::default());
        let other = Arc::clone(&generations);
        let other = thread::spawn(move || other.begin());
        let here = generations.begin();
        assert_ne!(here, other.join().unwrap());
        assert!(here < generations.begin());
    });
}

/// A huge file, which is sent while it is hashed, and looked up again meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Huge {
    Unhashed,
    Known,
}

/// A hash ends while a lookup finds the same file, as in `catalog::lookup`. The result of the hash was
/// lost when the lookup put its own last, and the file was hashed once more.
#[test]
fn hash_result_survives_a_concurrent_lookup() {
    explore("a hash and a lookup", 3, || {
        let (generations, slot) = (Generations::default(), Arc::new(Versioned::new()));
        let hashing = Arc::new(AtomicBool::new(true));
        let first = generations.begin();
        slot.put(first, Some(Huge::Unhashed));
        let (job, told) = (Arc::clone(&slot), Arc::clone(&hashing));
        let job = thread::spawn(move || {
            let put = job.put(first, Some(Huge::Known));
            told.store(false, Ordering::SeqCst);
            put
        });
        let second = generations.begin();
        let put = slot.put_unless(second, Some(Huge::Unhashed), |held| match held {
            Huge::Known => true,
            Huge::Unhashed => hashing.load(Ordering::SeqCst),
        });
        assert!(matches!(put, Put::Kept(_)), "a second hash begins: {put:?}");
        assert_eq!(job.join().unwrap(), Put::Stored);
        assert_eq!(slot.get(), Some(Huge::Known));
    });
}
