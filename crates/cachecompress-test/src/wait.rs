//! Waiting for a condition, with one bound for all tests.
//!
//! A condition that is not met within the bound hangs. The bound is no measurement, so it is far
//! longer than anything takes on two cores with fifty busy programs beside the tests.

use std::cell::RefCell;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The time that a test waits for one condition before it fails.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The time that one test on a runtime of its own may take. It is longer than [`PATIENCE`], so that
/// a condition that never comes true fails the test under its own name.
pub const TEST: Duration = Duration::from_secs(300);
/// The time that a gate holds a thread that the test never lets go. It is longer than [`TEST`], so
/// that no gate opens under a running test.
pub const HELD: Duration = Duration::from_secs(600);

/// Calls `ask` every 10 ms until it returns a value.
///
/// # Panics
///
/// If it returns none within [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, ask)
}

/// Waits as [`eventually`] does, with another bound.
///
/// # Panics
///
/// If `ask` returns no value in time.
#[track_caller]
pub fn eventually_within<T>(within: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits on a runtime until `is_so` is true.
///
/// # Panics
///
/// If that takes more than [`PATIENCE`].
pub async fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "the condition never comes true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Sets `ended` when the calling thread ends.
pub fn at_end_of_thread(ended: &Arc<AtomicBool>) {
    struct Ended(Arc<AtomicBool>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    thread_local! {
        static ENDED: RefCell<Option<Ended>> = const { RefCell::new(None) };
    }
    // The first value stays, because a replaced one is dropped before the thread ends.
    ENDED.with_borrow_mut(|told| {
        told.get_or_insert_with(|| Ended(Arc::clone(ended)));
    });
}

/// Reads once, again after a signal: a stopped and continued process has its reads with a time-out
/// interrupted, however idle its test is. Returns the number of bytes, 0 at the end.
///
/// # Errors
///
/// As [`Read::read`], but never `Interrupted`.
pub fn read_once(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
