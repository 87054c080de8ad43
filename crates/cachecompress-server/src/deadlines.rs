//! How long a client may take: for a request's head, for nothing at all, for taking what it asked.
//!
//! The hot path only counts: what was read and written, whether a write waits, which requests run.
//! A coarse tick for each connection compares the counts with those of the tick before; where
//! nothing has moved for as long as the situation allows, time is up. So no read or write sets a
//! timer or asks for the time, and no deadline comes early; it may come late by two ticks.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cachecompress::sendfile::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::limits::{
    DISCARD_BYTES, DISCARD_TIMEOUT, DRAIN_LINGER, LONGEST_TICK, SHORTEST_TICK, TICKS_PER_TIMEOUT,
};

/// The bytes that begin an HTTP/2 connection (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For a request's head, from the connection's start or from the head's first byte.
    pub(crate) header: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// Without taking a byte of what there is for it.
    pub(crate) write: Duration,
}

impl Timeouts {
    /// How often a connection is looked at.
    fn tick(&self) -> Duration {
        tick_for(self.header.min(self.idle).min(self.write))
    }
}

/// How often to look at what may take as long as `limit`.
pub(crate) fn tick_for(limit: Duration) -> Duration {
    (limit / TICKS_PER_TIMEOUT).clamp(SHORTEST_TICK, LONGEST_TICK)
}

/// A ticker whose first tick is one period away, and which never catches up.
pub(crate) fn ticks(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What happens on one connection, counted where it happens.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    received: AtomicU64,
    written: AtomicU64,
    /// Whether a write waits for the client.
    blocked: AtomicBool,
    /// Requests begun so far.
    requests: AtomicU64,
    /// Requests whose bodies are not through yet.
    running: AtomicU64,
    /// What had been received when the last of them ended.
    mark: AtomicU64,
    /// Whether the client has sent all of HTTP/2's preface.
    http2: AtomicBool,
    /// Whether the last request announced a body, of which something may still come.
    body: AtomicBool,
    /// Whether what comes is thrown away.
    discarding: AtomicBool,
    /// Whether the connection ends with a reset, which frees what the kernel holds of it.
    reset: AtomicBool,
    /// Whether the kernel sees to it that a client takes what is written.
    kernel_waits: AtomicBool,
}

/// A request that runs; it does so until this is dropped.
#[derive(Debug)]
pub(crate) struct RunningRequest(Arc<Activity>);

impl Activity {
    /// Counts a request, which may have announced a body.
    pub(crate) fn begin(self: &Arc<Self>, body: bool) -> RunningRequest {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        self.body.store(body, Ordering::Relaxed);
        RunningRequest(Arc::clone(self))
    }

    /// Whether there has been a request, or may be without another byte of the client's.
    pub(crate) fn has_begun(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0 || self.http2.load(Ordering::Relaxed)
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let Self(activity) = self;
        activity.mark.store(activity.received.load(Ordering::Relaxed), Ordering::Relaxed);
        activity.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection's socket, which counts what it does.
#[derive(Debug)]
pub(crate) struct MeteredStream {
    stream: Stream,
    activity: Arc<Activity>,
    /// How much of HTTP/2's preface has come; `None` once that is settled.
    preface: Option<usize>,
    shut: bool,
    discarded: usize,
}

impl MeteredStream {
    /// Watches `stream`, which the kernel gives up when its client takes nothing for as long as
    /// `write_timeout`, where it can: only it sees what of all that is queued a client takes.
    pub(crate) fn new(stream: Stream, activity: Arc<Activity>, write_timeout: Duration) -> Self {
        // Only a matter of speed.
        let _ = stream.as_ref().set_nodelay(true);
        #[cfg(target_os = "linux")]
        {
            // It counts in milliseconds, and takes none for as many as it likes.
            let timeout = write_timeout.max(Duration::from_millis(1));
            let set = socket2::SockRef::from(stream.as_ref()).set_tcp_user_timeout(Some(timeout));
            activity.kernel_waits.store(set.is_ok(), Ordering::Relaxed);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = write_timeout;
        Self { stream, activity, preface: Some(0), shut: false, discarded: 0 }
    }

    fn look_for_preface(&mut self, bytes: &[u8]) {
        let Some(seen) = self.preface else { return };
        let wanted = &PREFACE[seen..];
        let length = wanted.len().min(bytes.len());
        let matches = wanted[..length] == bytes[..length];
        let whole = matches && length == wanted.len();
        if whole {
            self.activity.http2.store(true, Ordering::Relaxed);
        }
        self.preface = (matches && !whole).then_some(seen + length);
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = result {
            count_up(&self.activity.written, count);
        }
        // A task that has had its turn is told to wait as well, whatever the client does.
        let blocked = result.is_pending() && coop::has_budget_remaining();
        self.activity.blocked.store(blocked, Ordering::Relaxed);
        result
    }

    /// Reads and throws away until the client is through, or has sent too much.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => {
                    let expected = self.discarded > 0 || self.activity.body.load(Ordering::Relaxed);
                    self.activity.discarding.store(expected, Ordering::Relaxed);
                    // A task that has had its turn does not know whether there is something.
                    let waits = expected || !coop::has_budget_remaining();
                    return if waits { Poll::Pending } else { Poll::Ready(Ok(())) };
                }
                // The answer is on its way; what becomes of the rest is of no interest.
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => self.discarded += buffer.filled().len(),
            }
            if buffer.filled().is_empty() || self.discarded > DISCARD_BYTES {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let new = &buffer.filled()[before..];
        count_up(&self.activity.received, new.len());
        self.look_for_preface(new);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.shut = true;
        }
        self.poll_discard(cx)
    }
}

impl Drop for MeteredStream {
    fn drop(&mut self) {
        if self.activity.reset.load(Ordering::Relaxed) {
            let _ = self.stream.as_ref().set_zero_linger();
        }
    }
}

/// Adds to what only one thread writes, at less cost than an addition that others may not miss.
fn count_up(counter: &AtomicU64, by: usize) {
    counter.store(counter.load(Ordering::Relaxed) + by as u64, Ordering::Relaxed);
}

/// What a connection is found at. It has moved on if this differs from what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A write waits for the client, this many bytes having been written.
    Blocked(u64),
    /// Requests run, and wait for us.
    Serving,
    /// A head is under way, this many requests having come before it.
    Head(u64),
    /// Nothing is, after this many requests.
    Idle(u64),
    /// Everything is answered; what still comes is thrown away.
    Discarding,
}

/// What is to be done with a connection whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeoutAction {
    /// Nothing yet.
    Wait,
    /// Ends as soon as what runs is answered.
    End,
    /// Ends now.
    Close,
}

/// Watches over one connection.
#[derive(Debug)]
pub(crate) struct Deadlines {
    activity: Arc<Activity>,
    timeouts: Timeouts,
    ticks: Interval,
    phase: Phase,
    since: Instant,
    ending: bool,
}

impl Deadlines {
    /// Begins now.
    pub(crate) fn new(timeouts: Timeouts, activity: Arc<Activity>) -> Self {
        let ticks = ticks(timeouts.tick());
        let (phase, since) = (Phase::Head(0), Instant::now());
        Self { activity, timeouts, ticks, phase, since, ending: false }
    }

    /// Waits until it is time to look again, and looks.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<TimeoutAction> {
        ready!(self.ticks.poll_tick(cx));
        Poll::Ready(self.look(Instant::now()))
    }

    /// From now on a connection without a request is kept only for a moment.
    pub(crate) fn end(&mut self) {
        self.ending = true;
        self.since = Instant::now();
        self.ticks = ticks(self.timeouts.tick().min(tick_for(DRAIN_LINGER)));
    }

    /// Whether [`end`](Self::end) was called.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending
    }

    fn look(&mut self, now: Instant) -> TimeoutAction {
        let phase = self.activity.phase();
        if phase != self.phase {
            (self.phase, self.since) = (phase, now);
            return TimeoutAction::Wait;
        }
        let limit = match phase {
            Phase::Serving => return TimeoutAction::Wait,
            Phase::Blocked(_) if self.activity.kernel_waits.load(Ordering::Relaxed) => {
                return TimeoutAction::Wait;
            }
            Phase::Blocked(_) => self.timeouts.write,
            Phase::Discarding => DISCARD_TIMEOUT,
            Phase::Head(_) | Phase::Idle(_) if self.ending => DRAIN_LINGER,
            Phase::Head(_) => self.timeouts.header,
            Phase::Idle(_) => self.timeouts.idle,
        };
        if now.duration_since(self.since) < limit {
            return TimeoutAction::Wait;
        }
        self.activity.reset.store(matches!(phase, Phase::Blocked(_)), Ordering::Relaxed);
        match phase {
            Phase::Idle(_) if !self.ending => TimeoutAction::End,
            _ => TimeoutAction::Close,
        }
    }
}

impl Activity {
    fn phase(&self) -> Phase {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        if self.blocked.load(Ordering::Relaxed) {
            return Phase::Blocked(load(&self.written));
        }
        if load(&self.running) > 0 {
            return Phase::Serving;
        }
        if self.discarding.load(Ordering::Relaxed) {
            return Phase::Discarding;
        }
        let requests = load(&self.requests);
        // In HTTP/2 many frames are no part of a request, and keep nothing alive.
        if self.http2.load(Ordering::Relaxed) {
            return Phase::Idle(requests);
        }
        if requests > 0 && load(&self.received) == load(&self.mark) {
            return Phase::Idle(requests);
        }
        Phase::Head(requests)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn connected() -> (MeteredStream, Arc<Activity>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let activity = Arc::new(Activity::default());
        let timeout = Duration::from_secs(60);
        (MeteredStream::new(Stream::from(socket), Arc::clone(&activity), timeout), activity, client)
    }

    /// As a flood of the client's does.
    fn use_up_the_turn(cx: &mut Context<'_>) {
        while coop::poll_proceed(cx).map(|used| used.made_progress()).is_ready() {}
    }

    /// What is not read before the socket is closed resets it, and the answer with it.
    #[tokio::test]
    async fn what_came_is_thrown_away_also_after_the_turn() {
        let (mut watched, _activity, mut client) = connected().await;
        client.write_all(b"something more").await.unwrap();
        watched.stream.as_ref().readable().await.unwrap();
        poll_fn(|cx| {
            use_up_the_turn(cx);
            assert!(watched.poll_discard(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(client);
        poll_fn(|cx| watched.poll_discard(cx)).await.unwrap();
        assert_eq!(watched.discarded, b"something more".len());
    }

    #[tokio::test]
    async fn a_write_waits_for_the_client_only_if_the_socket_is_full() {
        let (mut watched, activity, _client) = connected().await;
        let is_blocked = || matches!(activity.phase(), Phase::Blocked(_));
        // Nothing is written in it.
        poll_fn(|cx| {
            use_up_the_turn(cx);
            assert!(Pin::new(&mut watched).poll_write(cx, b"one").is_pending());
            assert!(!is_blocked());
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| {
            let piece = [0; 1 << 20];
            while let Poll::Ready(result) = Pin::new(&mut watched).poll_write(cx, &piece) {
                result.unwrap();
                assert!(!is_blocked());
            }
            if coop::has_budget_remaining() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(is_blocked());
    }
}
