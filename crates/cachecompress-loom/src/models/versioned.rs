//! Generations that end in another order than they began.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::explore;
use crate::concurrency::sync::Arc;
use crate::concurrency::versioned::{Generations, Put, Versioned};

#[test]
fn slow_lookup_never_replaces_a_later_result() {
    explore("a slow look", 3, || {
        let (looks, latest) = (Generations::default(), Arc::new(Versioned::new()));
        let (early, late) = (looks.begin(), looks.begin());
        let slow = Arc::clone(&latest);
        let slow = thread::spawn(move || slow.put(early, Some("old")));
        assert_eq!(latest.put(late, Some("new")), Put::Stored);
        assert_eq!(latest.get(), Some("new"), "taken back at once");
        slow.join().unwrap();
        assert_eq!(latest.get(), Some("new"));
    });
}

/// An encode saw the source change: what was looked at before that is not to be trusted.
#[test]
fn emptied_slot_stays_empty_after_an_older_lookup() {
    explore("a distrust", 3, || {
        let (looks, latest) = (Arc::new(Generations::default()), Arc::new(Versioned::new()));
        latest.put(looks.begin(), Some("old"));
        let again = (looks.begin(), Arc::clone(&latest));
        let again = thread::spawn(move || again.1.put(again.0, Some("old")));
        let job = (Arc::clone(&looks), Arc::clone(&latest));
        let job = thread::spawn(move || {
            let seen = job.0.begin();
            assert_eq!(job.1.put(seen, None), Put::Stored);
            assert_eq!(job.1.get(), None);
        });
        again.join().unwrap();
        job.join().unwrap();
        assert_eq!(latest.get(), None);
        assert_eq!(latest.put(looks.begin(), Some("new")), Put::Stored);
    });
}

/// Places are taken one by one, also by threads that know nothing of each other.
#[test]
fn generations_differ_across_threads() {
    explore("two looks at once", 3, || {
        let looks = Arc::new(Generations::default());
        let other = Arc::clone(&looks);
        let other = thread::spawn(move || other.begin());
        let here = looks.begin();
        assert_ne!(here, other.join().unwrap());
        assert!(here < looks.begin());
    });
}

/// A huge file goes out while it is hashed, and is looked at again meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Huge {
    Unhashed,
    Known,
}

/// The end of a hash and a look that finds the same file, as `representations::resource` has
/// them: the hash used to be forgotten when that look was told last, and was made once more.
#[test]
fn hash_result_survives_a_concurrent_lookup() {
    explore("a hash and a look", 3, || {
        let (looks, latest) = (Generations::default(), Arc::new(Versioned::new()));
        let hashing = Arc::new(AtomicBool::new(true));
        let first = looks.begin();
        latest.put(first, Some(Huge::Unhashed));
        let (job, told) = (Arc::clone(&latest), Arc::clone(&hashing));
        let job = thread::spawn(move || {
            let put = job.put(first, Some(Huge::Known));
            told.store(false, Ordering::SeqCst);
            put
        });
        let second = looks.begin();
        let put = latest.put_unless(second, Some(Huge::Unhashed), |held| match held {
            Huge::Known => true,
            Huge::Unhashed => hashing.load(Ordering::SeqCst),
        });
        assert!(matches!(put, Put::Kept(_)), "a second hash begins: {put:?}");
        assert_eq!(job.join().unwrap(), Put::Stored);
        assert_eq!(latest.get(), Some(Huge::Known));
    });
}
