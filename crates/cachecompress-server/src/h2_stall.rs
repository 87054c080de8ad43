//! HTTP/2's streams: each runs as a task of its own, which ends when its client takes nothing.
//!
//! A client that opens no window stalls a stream without stalling the connection, so no deadline
//! of the connection's sees it. hyper asks a body for more only when there is room for it; a body
//! whose last frame was taken and that is not asked for the next one waits for the client.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::Instant;

use crate::deadlines::{tick_for, ticks};

tokio::task_local! {
    static CLIENT_PROGRESS: Arc<ClientProgress>;
}

/// How far a client has got with a body: a count of frames, doubled, and 1 more while the next
/// step is the client's.
#[derive(Debug, Default)]
pub(crate) struct ClientProgress(AtomicU64);

impl ClientProgress {
    /// That of the stream whose task this is; `None` in HTTP/1.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CLIENT_PROGRESS.try_with(Arc::clone).ok()
    }

    /// A frame was handed out, so that the next step is the client's.
    pub(crate) fn handed_out(&self) {
        let frames = self.0.load(Ordering::Relaxed) / 2 + 1;
        self.0.store(frames * 2 + 1, Ordering::Relaxed);
    }

    /// The body was asked for more, and has none yet.
    pub(crate) fn waits_for_us(&self) {
        let frames = self.0.load(Ordering::Relaxed) / 2;
        self.0.store(frames * 2, Ordering::Relaxed);
    }

    /// The count of frames, if the next step is the client's.
    fn waits_for_client(&self) -> Option<u64> {
        let taken = self.0.load(Ordering::Relaxed);
        (taken % 2 == 1).then_some(taken)
    }
}

/// Runs the tasks of HTTP/2 connections.
#[derive(Clone, Debug)]
pub(crate) struct StreamExecutor {
    /// How long a client may take nothing of a body.
    pub(crate) write_timeout: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let taken = Arc::new(ClientProgress::default());
        let limited = until_stalled(stream, Arc::clone(&taken), self.write_timeout);
        tokio::spawn(CLIENT_PROGRESS.scope(taken, limited));
    }
}

/// Runs `stream` to its end, or until its client has taken nothing for as long as `limit`; being
/// dropped then, it is reset.
async fn until_stalled(
    stream: impl Future<Output = ()>,
    taken: Arc<ClientProgress>,
    limit: Duration,
) {
    let mut stream = pin!(stream);
    // Most answers never wait for their client, and need no timer.
    let ended = std::future::poll_fn(|cx| match stream.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending if taken.waits_for_client().is_some() => Poll::Ready(false),
        Poll::Pending => Poll::Pending,
    });
    if ended.await {
        return;
    }
    let mut ticks = ticks(tick_for(limit));
    let (mut waits, mut since) = (taken.waits_for_client(), Instant::now());
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {}
            () = stream.as_mut() => return,
        }
        let now = Instant::now();
        if taken.waits_for_client() != waits {
            (waits, since) = (taken.waits_for_client(), now);
        } else if waits.is_some() && now.duration_since(since) >= limit {
            tracing::debug!("a stream ends because its client takes nothing of it");
            return;
        }
    }
}
