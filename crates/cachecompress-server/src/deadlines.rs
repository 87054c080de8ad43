//! The deadlines of a connection: for a request's head, for idling, and for taking a response.
//!
//! The hot path only counts: bytes read and written, whether a write waits, requests that run. A
//! coarse tick for each connection compares the counts with those of the tick before. A connection
//! on which nothing has moved for as long as its phase allows has run out of time. So no read or
//! write sets a timer or asks for the time. No deadline comes early; it may come late by two ticks.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, mem};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::limits::{
    DISCARD_BUFFER, DISCARD_BYTES, DISCARD_TIMEOUT, DRAIN_LINGER, LONGEST_TICK, SHORTEST_TICK,
    TICKS_PER_TIMEOUT,
};
use crate::transport::Transport;

/// The bytes that begin an HTTP/2 connection (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The timeouts of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// The time for a request's head, from the connection's start or from the head's first byte.
    pub(crate) header: Duration,
    /// The time between two requests.
    pub(crate) idle: Duration,
    /// The time in which a client takes not a byte of what there is for it.
    pub(crate) write: Duration,
}

impl Timeouts {
    /// The time between two looks at a connection.
    fn tick(&self) -> Duration {
        tick_for(self.header.min(self.idle).min(self.write))
    }
}

/// The time between two looks at something that may take as long as `timeout`.
pub(crate) fn tick_for(timeout: Duration) -> Duration {
    (timeout / TICKS_PER_TIMEOUT).clamp(SHORTEST_TICK, LONGEST_TICK)
}

/// A ticker whose first tick is one period away. It never catches up on ticks that it missed.
pub(crate) fn ticks(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The counts of one connection, kept up to date on the hot path.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Bytes received.
    received: AtomicU64,
    /// Bytes written.
    written: AtomicU64,
    /// Whether a write waits for the client.
    blocked: AtomicBool,
    /// Requests begun so far.
    requests: AtomicU64,
    /// Requests whose responses' bodies are not through yet.
    running: AtomicU64,
    /// The bytes that had been received when the last request ended.
    received_at_end: AtomicU64,
    /// Whether the client has sent all of HTTP/2's preface.
    http2: AtomicBool,
    /// Whether the last request announced a body, of which something may still come.
    body_announced: AtomicBool,
    /// Whether the connection is to end after the requests that have come.
    ending: AtomicBool,
    /// Whether received bytes are discarded.
    discarding: AtomicBool,
    /// Whether the connection ends with a reset, which frees what the kernel holds of it.
    reset: AtomicBool,
    /// Whether the kernel watches over the client's taking of what is written.
    kernel_watches: AtomicBool,
}

/// A request that counts as running until this guard is dropped.
#[derive(Debug)]
pub(crate) struct RunningRequest(Arc<Activity>);

impl Activity {
    /// Counts a request; `body` says that it announced one.
    pub(crate) fn begin(self: &Arc<Self>, body: bool) -> RunningRequest {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        self.body_announced.store(body, Ordering::Relaxed);
        RunningRequest(Arc::clone(self))
    }

    /// Whether the client speaks HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Whether a request has begun, or may begin without another byte from the client.
    pub(crate) fn has_begun(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0 || self.is_http2()
    }
}

impl RunningRequest {
    /// Whether this is the last request of an HTTP/1 connection, of which its response must tell.
    pub(crate) fn is_last(&self) -> bool {
        let Self(activity) = self;
        activity.ending.load(Ordering::Relaxed) && !activity.is_http2()
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let Self(activity) = self;
        activity
            .received_at_end
            .store(activity.received.load(Ordering::Relaxed), Ordering::Relaxed);
        activity.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Looks for HTTP/2's preface in what a client sends first.
#[derive(Debug)]
pub(crate) struct Preface {
    activity: Arc<Activity>,
    /// The bytes of the preface that have come; `None` once it is known whether it comes.
    seen: Option<usize>,
}

impl Preface {
    /// A look that records the preface in `activity`, if it is `possible` at all.
    pub(crate) fn new(activity: Arc<Activity>, possible: bool) -> Self {
        Self { activity, seen: possible.then_some(0) }
    }

    /// Looks at the next bytes.
    pub(crate) fn look(&mut self, bytes: &[u8]) {
        let Some(seen) = self.seen else { return };
        let wanted = &PREFACE[seen..];
        let length = wanted.len().min(bytes.len());
        let matches = wanted[..length] == bytes[..length];
        let whole = matches && length == wanted.len();
        if whole {
            self.activity.http2.store(true, Ordering::Relaxed);
        }
        self.seen = (matches && !whole).then_some(seen + length);
    }
}

/// A connection's socket, which counts its reads and writes and discards leftovers at the end.
#[derive(Debug)]
pub(crate) struct MeteredStream {
    stream: Transport,
    activity: Arc<Activity>,
    /// Whether the first byte is yet to come, and must not be plain HTTP's.
    expects_tls: bool,
    shut: bool,
    discarded: usize,
}

/// A first byte that is plain HTTP's where TLS is expected.
#[derive(Debug)]
struct PlainHttp;

impl fmt::Display for PlainHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain HTTP request instead of TLS")
    }
}

impl std::error::Error for PlainHttp {}

/// Whether a read failed because a client speaks plain HTTP where TLS is expected.
pub(crate) fn is_plain_http(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(cause) if cause.is::<PlainHttp>())
}

impl MeteredStream {
    /// Meters `stream`. On Linux the kernel gives a TCP connection up when its client takes nothing
    /// for as long as `write_timeout`: only the kernel sees how much of the socket's queue a client
    /// takes.
    pub(crate) fn new(stream: Transport, activity: Arc<Activity>, write_timeout: Duration) -> Self {
        activity.kernel_watches.store(stream.set_up(write_timeout), Ordering::Relaxed);
        Self { stream, activity, expects_tls: false, shut: false, discarded: 0 }
    }

    /// Lets the first read fail if a client speaks plain HTTP ([`is_plain_http`]).
    pub(crate) fn expect_tls(&mut self) {
        self.expects_tls = true;
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = result {
            count_up(&self.activity.written, count);
        }
        // A task that has used up its budget is told to wait as well, whatever the client does.
        let blocked = result.is_pending() && coop::has_budget_remaining();
        self.activity.blocked.store(blocked, Ordering::Relaxed);
        result
    }

    /// Reads and discards until the client is through, or has sent too much.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; DISCARD_BUFFER];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => {
                    let expected =
                        self.discarded > 0 || self.activity.body_announced.load(Ordering::Relaxed);
                    self.activity.discarding.store(expected, Ordering::Relaxed);
                    // A task that has used up its budget cannot know whether bytes have come.
                    let waits = expected || !coop::has_budget_remaining();
                    return if waits { Poll::Pending } else { Poll::Ready(Ok(())) };
                }
                // The response is on its way, and an error after it changes nothing.
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
        // A method is of capital letters, and no record of TLS begins with one.
        if mem::take(&mut self.expects_tls) && new.first().is_some_and(u8::is_ascii_uppercase) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, PlainHttp)));
        }
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
            self.stream.reset_at_end();
        }
    }
}

/// Adds to a counter that only one thread writes. An atomic addition would cost more.
fn count_up(counter: &AtomicU64, by: usize) {
    counter.store(counter.load(Ordering::Relaxed) + by as u64, Ordering::Relaxed);
}

/// The phase of a connection. A connection has moved on if its phase differs from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A write waits for the client, after this many bytes.
    Blocked(u64),
    /// Requests run and wait for the server.
    Serving,
    /// A head is under way, after this many requests.
    Head(u64),
    /// Nothing is under way, after this many requests.
    Idle(u64),
    /// Everything is answered, and bytes that still come are discarded.
    Discarding,
}

/// The action that a look at a connection's deadlines calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeoutAction {
    /// Keep the connection.
    Wait,
    /// End the connection as soon as its requests are answered.
    End,
    /// Close the connection at once.
    Close,
}

/// The deadlines of one connection.
#[derive(Debug)]
pub(crate) struct Deadlines {
    activity: Arc<Activity>,
    timeouts: Timeouts,
    ticks: Interval,
    phase: Phase,
    since: Instant,
    /// Whether the time of this phase is over, and the connection is read and written once more.
    last_call: bool,
    ending: bool,
}

impl Deadlines {
    /// Deadlines that run from now.
    pub(crate) fn new(timeouts: Timeouts, activity: Arc<Activity>) -> Self {
        let ticks = ticks(timeouts.tick());
        let (phase, since) = (Phase::Head(0), Instant::now());
        Self { activity, timeouts, ticks, phase, since, last_call: false, ending: false }
    }

    /// Waits for the next tick and looks at the connection.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<TimeoutAction> {
        ready!(self.ticks.poll_tick(cx));
        Poll::Ready(self.look(Instant::now()))
    }

    /// Keeps a connection without a request only for a moment from now on.
    pub(crate) fn end(&mut self) {
        (self.ending, self.last_call) = (true, false);
        self.activity.ending.store(true, Ordering::Relaxed);
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
            (self.phase, self.since, self.last_call) = (phase, now, false);
            return TimeoutAction::Wait;
        }
        let limit = match phase {
            Phase::Serving => return TimeoutAction::Wait,
            Phase::Blocked(_) if self.activity.kernel_watches.load(Ordering::Relaxed) => {
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
        // The process may have slept for longer than the client took: a request that came in time
        // waits in the socket.
        if !self.last_call {
            self.last_call = true;
            self.ticks.reset_after(SHORTEST_TICK);
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
        // Many HTTP/2 frames are no part of a request, so bytes alone keep no connection alive.
        if self.http2.load(Ordering::Relaxed) {
            return Phase::Idle(requests);
        }
        if requests > 0 && load(&self.received) == load(&self.received_at_end) {
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
        (MeteredStream::new(socket.into(), Arc::clone(&activity), timeout), activity, client)
    }

    /// Uses up the task's budget, as a client's flood does.
    fn use_up_the_budget(cx: &mut Context<'_>) {
        while coop::poll_proceed(cx).map(|used| used.made_progress()).is_ready() {}
    }

    /// Leftover bytes were taken for none when the task had used up its budget. The socket was
    /// closed with them unread, which reset the connection and lost the response.
    #[tokio::test]
    async fn leftovers_are_discarded_after_the_budget_is_used_up() {
        let (mut metered, _activity, mut client) = connected().await;
        client.write_all(b"something more").await.unwrap();
        let Transport::Tcp(stream) = &metered.stream else { panic!("a TCP connection") };
        stream.as_ref().readable().await.unwrap();
        poll_fn(|cx| {
            use_up_the_budget(cx);
            assert!(metered.poll_discard(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(client);
        poll_fn(|cx| metered.poll_discard(cx)).await.unwrap();
        assert_eq!(metered.discarded, b"something more".len());
    }

    #[tokio::test]
    async fn write_is_blocked_only_when_the_socket_is_full() {
        let (mut metered, activity, _client) = connected().await;
        let is_blocked = || matches!(activity.phase(), Phase::Blocked(_));
        // The budget is used up, so nothing is written.
        poll_fn(|cx| {
            use_up_the_budget(cx);
            assert!(Pin::new(&mut metered).poll_write(cx, b"one").is_pending());
            assert!(!is_blocked());
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| {
            let piece = [0; 1 << 20];
            while let Poll::Ready(result) = Pin::new(&mut metered).poll_write(cx, &piece) {
                result.unwrap();
                assert!(!is_blocked());
            }
            if coop::has_budget_remaining() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(is_blocked());
    }
}
