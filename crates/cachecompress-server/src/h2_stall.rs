//! Ends HTTP/2 streams whose clients take nothing.
//!
//! A client that opens no window stalls a stream without stalling the connection, so no deadline
//! of the connection sees it. Each stream therefore runs as a task of its own, under a timer. hyper
//! asks a body for more only when there is room for it: a body whose last frame was taken, and that
//! is not asked for the next one, waits for the client.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::Instant;

use crate::deadlines::{tick_for, ticks};
use crate::limits::SHORTEST_TICK;

tokio::task_local! {
    static CLIENT_PROGRESS: Arc<ClientProgress>;
}

/// The progress of a client with one body, and whose turn it is.
///
/// The number is twice the count of frames, plus 1 while the next step is the client's.
#[derive(Debug, Default)]
pub(crate) struct ClientProgress(AtomicU64);

impl ClientProgress {
    /// The progress of the stream whose task this is; `None` in HTTP/1.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CLIENT_PROGRESS.try_with(Arc::clone).ok()
    }

    /// Counts a frame that was handed out. The next step is the client's.
    pub(crate) fn handed_out(&self) {
        let frames = self.0.load(Ordering::Relaxed) / 2 + 1;
        self.0.store(frames * 2 + 1, Ordering::Relaxed);
    }

    /// Records that the body was asked for more and has none yet.
    pub(crate) fn waits_for_us(&self) {
        let frames = self.0.load(Ordering::Relaxed) / 2;
        self.0.store(frames * 2, Ordering::Relaxed);
    }

    /// The number, if the next step is the client's.
    fn waits_for_client(&self) -> Option<u64> {
        let progress = self.0.load(Ordering::Relaxed);
        (progress % 2 == 1).then_some(progress)
    }
}

/// Spawns the streams of HTTP/2 connections, each under a timer.
#[derive(Clone, Debug)]
pub(crate) struct StreamExecutor {
    /// The longest time that a client may take nothing of a body.
    pub(crate) write_timeout: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let progress = Arc::new(ClientProgress::default());
        let limited = until_stalled(stream, Arc::clone(&progress), self.write_timeout);
        tokio::spawn(CLIENT_PROGRESS.scope(progress, limited));
    }
}

/// Runs `stream` to its end, or until its client has taken nothing for as long as `timeout`. hyper
/// resets a stream that is dropped before its end.
async fn until_stalled(
    stream: impl Future<Output = ()>,
    progress: Arc<ClientProgress>,
    timeout: Duration,
) {
    let mut stream = pin!(stream);
    // Most streams never wait for their client, and need no timer.
    let ended = std::future::poll_fn(|cx| match stream.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending if progress.waits_for_client().is_some() => Poll::Ready(false),
        Poll::Pending => Poll::Pending,
    });
    if ended.await {
        return;
    }
    let mut ticks = ticks(tick_for(timeout));
    let (mut waits, mut since) = (progress.waits_for_client(), Instant::now());
    let mut last_call = false;
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {}
            () = stream.as_mut() => return,
        }
        let now = Instant::now();
        if progress.waits_for_client() != waits {
            (waits, since, last_call) = (progress.waits_for_client(), now, false);
        } else if waits.is_some() && now.duration_since(since) >= timeout {
            // The process may have slept for longer than the client took.
            if !last_call {
                last_call = true;
                ticks.reset_after(SHORTEST_TICK);
                continue;
            }
            tracing::debug!("a stream ends because its client takes nothing of it");
            return;
        }
    }
}
