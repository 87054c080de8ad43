//! Waits of real time, on any runtime.
//!
//! tokio's timers need a runtime that has them enabled. They stand still or leap while a test has
//! paused its clock, but the encodes that a request waits for run in real time.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_timer::Delay;

/// Starts the thread that keeps the time, which lives as long as the process. A first wait at a moment
/// when no thread can be had would panic.
pub(crate) fn start() {
    drop(Delay::new(Duration::ZERO));
}

/// Waits for `duration`.
pub(crate) async fn sleep(duration: Duration) {
    Delay::new(duration).await;
}

/// Awaits `future`, unless `deadline` comes first. An output that is ready counts even after the
/// deadline.
pub(crate) async fn until<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut delay = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        // Most futures are ready at once and need no timer.
        let left = || Delay::new(deadline.saturating_duration_since(Instant::now()));
        Pin::new(delay.get_or_insert_with(left)).poll(cx).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        // Without tokio's timers.
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn output_that_is_ready_counts_after_the_deadline() {
        assert_eq!(run(until(Instant::now(), ready(1))), Some(1));
    }

    #[test]
    fn deadline_ends_a_wait_and_not_before_its_time() {
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(20);
        assert_eq!(run(until(deadline, pending::<()>())), None);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        run(sleep(Duration::from_millis(1)));
    }
}
