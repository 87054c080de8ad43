//! A producer and its watchers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use loom::future::block_on;
use loom::thread;

use super::explore;
use crate::concurrency::progress::{Progress, Stage, Watch};
use crate::concurrency::sync::Arc;

type Plain = Progress<&'static str, &'static str>;

/// An event between a watcher's check and its registration must wake it. loom reports a thread that
/// is never woken as a deadlock.
#[test]
fn watcher_is_woken_by_an_event_during_its_registration() {
    explore("a commit and a watcher", 2, || {
        let progress: Arc<Plain> = Progress::new();
        let watchers: Vec<_> = (0..2)
            .map(|_| {
                let mut watch = Watch::new(&progress);
                thread::spawn(move || {
                    let seen = block_on(watch.until(|stage| stage.available() > 0));
                    assert!(seen.available() > 0, "{seen:?}");
                    let end = block_on(watch.until(Stage::ended));
                    assert_eq!(end, Stage::Finished { shared: "file", len: 7 });
                })
            })
            .collect();
        progress.start("file");
        progress.commit(3);
        progress.finish("file", 7);
        watchers.into_iter().for_each(|watcher| watcher.join().unwrap());
    });
}

#[test]
fn committed_bytes_are_never_taken_back() {
    explore("commits out of order", 3, || {
        let progress: Arc<Plain> = Progress::new();
        progress.start("file");
        let (first, second) = (Arc::clone(&progress), Arc::clone(&progress));
        let first = thread::spawn(move || first.commit(5));
        let second = thread::spawn(move || {
            second.commit(3);
            second.fail("disk");
        });
        let mut before = 0;
        for _ in 0..3 {
            let now = progress.stage().available();
            assert!(before <= now, "{now} bytes after {before}");
            before = now;
        }
        first.join().unwrap();
        second.join().unwrap();
        let end = progress.stage();
        assert!(matches!(end, Stage::Failed { why: "disk", committed: 3 | 5 }), "{end:?}");
        assert!(before <= end.available());
    });
}

/// Two ends race. One of them is the outcome, for every watcher and for ever.
#[test]
fn progress_keeps_one_outcome_when_two_ends_race() {
    explore("two ends", 3, || {
        let progress: Arc<Plain> = Progress::new();
        let (finishing, failing) = (Arc::clone(&progress), Arc::clone(&progress));
        let finishing = thread::spawn(move || finishing.finish("file", 7));
        let failing = thread::spawn(move || failing.fail("cancelled"));
        let seen = block_on(Watch::new(&progress).until(Stage::ended));
        finishing.join().unwrap();
        failing.join().unwrap();
        assert_eq!(progress.stage(), seen);
    });
}

/// Counts wake-ups. It has more than one owner as long as it may be woken.
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn dropped_watch_is_forgotten_and_delays_no_other_watch() {
    explore("a watch that leaves", 3, || {
        let progress: Arc<Plain> = Progress::new();
        let count = std::sync::Arc::new(Count(AtomicUsize::new(0)));
        let (leaving, waker) = (Watch::new(&progress), Waker::from(std::sync::Arc::clone(&count)));
        let leaving = thread::spawn(move || {
            let mut leaving = leaving;
            let _ = leaving.poll_until(&mut Context::from_waker(&waker), Stage::ended);
            drop(leaving);
        });
        let mut staying = Watch::new(&progress);
        let staying = thread::spawn(move || block_on(staying.until(Stage::ended)));
        progress.start("file");
        leaving.join().unwrap();
        assert_eq!(std::sync::Arc::strong_count(&count), 1, "its waker is kept");
        progress.finish("file", 7);
        assert_eq!(staying.join().unwrap(), Stage::Finished { shared: "file", len: 7 });
        assert!(count.0.load(Ordering::Relaxed) <= 1, "woken more than once");
    });
}

/// A production is either required or abandoned, for everybody and for ever: no request waits for an
/// encode that its producer has given up without being told.
#[test]
fn production_is_required_or_abandoned_and_never_both() {
    explore("a request and a producer that gives up", 3, || {
        let progress: Arc<Plain> = Progress::new();
        let (asking, giving) = (Arc::clone(&progress), Arc::clone(&progress));
        let asking = thread::spawn(move || asking.require());
        let giving = thread::spawn(move || {
            let abandoned = giving.abandon();
            if abandoned {
                giving.fail("abandoned");
            }
            abandoned
        });
        let required = asking.join().unwrap();
        let abandoned = giving.join().unwrap();
        assert_ne!(required, abandoned);
        assert_eq!((progress.require(), progress.abandon()), (required, abandoned));
        assert_eq!(progress.stage().ended(), abandoned);
    });
}
