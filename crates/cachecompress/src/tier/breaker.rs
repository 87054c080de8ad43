//! A circuit breaker: calls to a store that fails are left out until a probe succeeds.
//!
//! No crate has it. Those that are kept let any number of calls through while they are half open. One of
//! them takes the time from its caller, and it counts by one of the two rules only.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::concurrency::sync::lock;
use crate::limits::{
    BREAKER_IN_A_ROW, BREAKER_LONGEST_PAUSE, BREAKER_PAUSE, BREAKER_PROBE, BREAKER_WINDOW,
};
use crate::metrics::BreakerState;
use crate::tier::random::Random;

/// The leave to make one call to the store, whose result is [recorded](Breaker::record) under it.
///
/// It holds the number of times that the breaker had opened and closed. The result of a call that began
/// before the last time says nothing new.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct Admission(u64);

/// Leaves out the calls to a store that failed [`BREAKER_IN_A_ROW`] times in a row, or in half of the last
/// [`BREAKER_WINDOW`] calls.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Counts the times that the breaker opened or closed. It is closed at even numbers.
    turns: AtomicU64,
    recent: Mutex<Recent>,
    has_opened: Notify,
    random: Random,
}

#[derive(Debug)]
struct Recent {
    state: BreakerState,
    /// The last results, the newest in the lowest bit. A failure is 1.
    failures: u32,
}

impl Recent {
    fn push(&mut self, ok: bool) {
        let window = (1 << BREAKER_WINDOW) - 1;
        self.failures = (self.failures << 1 | u32::from(!ok)) & window;
    }

    fn is_too_much(&self) -> bool {
        let in_a_row = self.failures.trailing_ones() >= BREAKER_IN_A_ROW;
        let half = self.failures.count_ones() * 2 >= BREAKER_WINDOW;
        in_a_row || half
    }
}

impl Breaker {
    /// Creates a closed breaker. Replicas have different seeds, so that their probes do not meet.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            turns: AtomicU64::new(0),
            recent: Mutex::new(Recent { state: BreakerState::Closed, failures: 0 }),
            has_opened: Notify::new(),
            random: Random::new(seed),
        }
    }

    /// Returns the leave to make a call, unless the breaker is open. It costs one relaxed load.
    pub(super) fn admit(&self) -> Option<Admission> {
        let turns = self.turns.load(Ordering::Relaxed);
        turns.is_multiple_of(2).then_some(Admission(turns))
    }

    /// Whether calls are made. It costs one relaxed load.
    pub(super) fn is_closed(&self) -> bool {
        self.admit().is_some()
    }

    /// Counts the result of a call. A store that has no object of the name has answered, which is `ok`.
    ///
    /// The result of a call from before the breaker last opened is left out, so late failures do not open
    /// it again after a probe has closed it.
    pub(super) fn record(&self, admission: Admission, ok: bool) {
        let mut recent = lock(&self.recent);
        if self.turns.load(Ordering::Relaxed) != admission.0 {
            return;
        }
        recent.push(ok);
        if recent.is_too_much() {
            recent.state = BreakerState::Open;
            self.turns.fetch_add(1, Ordering::Relaxed);
            self.has_opened.notify_one();
        }
    }

    /// Returns the state.
    pub(super) fn state(&self) -> BreakerState {
        lock(&self.recent).state
    }

    /// Counts the times that the breaker opened.
    pub(super) fn opened(&self) -> u64 {
        self.turns.load(Ordering::Relaxed).div_ceil(2)
    }

    /// Closes the breaker after a `probe` that returned `true`, each time that it opened. It never returns.
    ///
    /// Exactly one task runs it. Without it an open breaker stays open. The pause before the first probe
    /// begins anew only if the breaker was closed for longer than the last one. A store that answers
    /// probes and fails at work is left alone for longer and longer.
    pub(super) async fn supervise<F: Future<Output = bool>>(&self, probe: impl Fn() -> F) {
        let mut pause = BREAKER_PAUSE;
        loop {
            let closed = Instant::now();
            self.has_opened.notified().await;
            if closed.elapsed() > pause {
                pause = BREAKER_PAUSE;
            }
            loop {
                sleep(self.random.pause(pause)).await;
                pause = (pause * 2).min(BREAKER_LONGEST_PAUSE);
                lock(&self.recent).state = BreakerState::HalfOpen;
                if timeout(BREAKER_PROBE, probe()).await.unwrap_or(false) {
                    break;
                }
                lock(&self.recent).state = BreakerState::Open;
            }
            self.close();
        }
    }

    fn close(&self) {
        let mut recent = lock(&self.recent);
        recent.state = BreakerState::Closed;
        recent.failures = 0;
        self.turns.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn record_all(breaker: &Breaker, results: &[bool]) {
        for ok in results {
            let admission = breaker.admit().expect("the breaker is closed");
            breaker.record(admission, *ok);
        }
    }

    fn open(breaker: &Breaker) {
        record_all(breaker, &[false; BREAKER_IN_A_ROW as usize]);
        assert!(!breaker.is_closed());
    }

    #[test]
    fn breaker_opens_after_five_failures_in_a_row() {
        let breaker = Breaker::new(1);
        record_all(&breaker, &[false, false, false, false, true, false, false, false, false]);
        assert_eq!(breaker.state(), BreakerState::Closed);
        record_all(&breaker, &[false]);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!((breaker.is_closed(), breaker.opened()), (false, 1));
    }

    #[test]
    fn breaker_opens_when_half_of_the_last_twenty_failed() {
        let breaker = Breaker::new(1);
        record_all(&breaker, &[true; 40]);
        record_all(&breaker, &[false, true].repeat(9));
        assert!(breaker.is_closed());
        record_all(&breaker, &[false]);
        assert!(!breaker.is_closed(), "ten of twenty failed");
    }

    #[test]
    fn failures_that_are_older_than_twenty_results_are_forgotten() {
        let breaker = Breaker::new(1);
        for _ in 0..20 {
            record_all(&breaker, &[false; 4]);
            record_all(&breaker, &[true; 7]);
        }
        assert!(breaker.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn breaker_closes_after_the_first_probe_that_succeeds() {
        let breaker = Breaker::new(2);
        let probes = RefCell::new(Vec::new());
        let began = Instant::now();
        let probe = async || {
            assert_eq!(breaker.state(), BreakerState::HalfOpen);
            assert!(!breaker.is_closed(), "no call goes beside a probe");
            probes.borrow_mut().push(began.elapsed().as_secs_f64());
            sleep(Duration::from_millis(1)).await;
            probes.borrow().len() == 9
        };
        open(&breaker);
        let closed = async {
            while !breaker.is_closed() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        beside(breaker.supervise(probe), closed).await;
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.opened(), 1);
        let mut last = 0.0;
        for (probe, longest) in probes.borrow().iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
            let (pause, longest) = (probe - last, f64::from(longest));
            assert!((longest / 2.0..longest + 0.1).contains(&pause), "{pause} for {longest}");
            last = *probe;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_of_replicas_differ() {
        let first = async |seed| {
            let breaker = Breaker::new(seed);
            open(&breaker);
            let began = Instant::now();
            let probed = Cell::new(None);
            let probe = async || {
                probed.set(Some(began.elapsed()));
                std::future::pending().await
            };
            beside(breaker.supervise(probe), sleep(Duration::from_secs(1))).await;
            probed.get().expect("a probe within a second")
        };
        assert_eq!(first(1).await, first(1).await);
        assert_ne!(first(1).await, first(2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn probe_that_hangs_is_a_failure() {
        let breaker = Breaker::new(3);
        let probes = Cell::new(0);
        let probe = async || {
            probes.set(probes.get() + 1);
            std::future::pending().await
        };
        open(&breaker);
        beside(breaker.supervise(probe), sleep(Duration::from_secs(20))).await;
        assert!((3..6).contains(&probes.get()), "{} probes", probes.get());
    }

    #[tokio::test(start_paused = true)]
    async fn late_results_do_not_disturb_a_breaker_that_opened_since() {
        let breaker = Breaker::new(4);
        let late = [(); 40].map(|()| breaker.admit().expect("closed"));
        open(&breaker);
        for admission in &late[..20] {
            breaker.record(*admission, true);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        beside(breaker.supervise(async || true), sleep(Duration::from_secs(2))).await;
        assert!(breaker.is_closed());
        for admission in &late[20..] {
            breaker.record(*admission, false);
        }
        assert!(breaker.is_closed());
        assert_eq!(breaker.opened(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_for_a_store_that_answers_probes_only() {
        let breaker = Breaker::new(5);
        let fails_for_ten_minutes = async {
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(600) {
                if breaker.is_closed() {
                    open(&breaker);
                }
                sleep(Duration::from_millis(10)).await;
            }
            assert!(breaker.opened() < 25, "it opened {} times", breaker.opened());
            sleep(2 * BREAKER_LONGEST_PAUSE).await;
            open(&breaker);
            sleep(BREAKER_PAUSE).await;
            assert!(breaker.is_closed(), "the pauses begin anew");
        };
        beside(breaker.supervise(async || true), fails_for_ten_minutes).await;
    }

    #[tokio::test(start_paused = true)]
    async fn supervisor_runs_as_a_task_of_its_own() {
        let breaker = Arc::new(Breaker::new(6));
        open(&breaker);
        let supervised = Arc::clone(&breaker);
        let task = tokio::spawn(async move {
            let probe = async || !supervised.is_closed();
            supervised.supervise(probe).await;
        });
        sleep(Duration::from_secs(2)).await;
        assert!(breaker.is_closed());
        task.abort();
    }

    /// Runs `forever` until `bounded` is done.
    async fn beside(forever: impl Future<Output = ()>, bounded: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = forever => unreachable!("it never returns"),
            () = bounded => {}
        }
    }
}
