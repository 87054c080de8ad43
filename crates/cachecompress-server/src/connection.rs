//! One connection: HTTP/1.1, or HTTP/2 with prior knowledge, from its first byte to its last.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use cachecompress::sendfile::Stream;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;

use crate::deadlines::{
    Activity, Deadlines, MeteredStream, RunningRequest, TimeoutAction, Timeouts,
};
use crate::h2_stall::StreamExecutor;
use crate::limits::{
    HYPER_HEADERS, LOCAL_RESETS, PENDING_RESETS, REQUEST_WINDOW_BYTES, STREAM_BUFFER_BYTES,
};
use crate::shutdown::Draining;
use crate::tracked_body::TrackedBody;
use crate::wake_flag::WakeFlag;

/// What one connection may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// The most bytes of a request's head: longer ones get a 431.
    pub(crate) header_bytes: u32,
    /// The most fields in it: more get a 431.
    pub(crate) headers: usize,
    /// The most requests at once on one HTTP/2 connection.
    pub(crate) streams: u32,
    /// What a client may take.
    pub(crate) timeouts: Timeouts,
}

/// How connections are served.
#[derive(Clone, Debug)]
pub(crate) struct HttpServer {
    builder: auto::Builder<StreamExecutor>,
    timeouts: Timeouts,
}

impl HttpServer {
    /// Within these limits.
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        let timeouts = limits.timeouts;
        let mut builder = auto::Builder::new(StreamExecutor { write_timeout: timeouts.write });
        let mut http1 = builder.http1();
        http1
            .timer(TokioTimer::new())
            // hyper's own runs while a connection lies idle as well.
            .header_read_timeout(None)
            .max_buf_size(limits.header_bytes as usize)
            // A client that has sent its last request may close its sending half at once.
            .half_close(true)
            .keep_alive(true);
        if limits.headers != HYPER_HEADERS {
            http1.max_headers(limits.headers);
        }
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(limits.header_bytes)
            .max_send_buf_size(STREAM_BUFFER_BYTES)
            .initial_stream_window_size(REQUEST_WINDOW_BYTES)
            .initial_connection_window_size(REQUEST_WINDOW_BYTES)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            // No pings: their answers would wait behind all that a slow client has yet to take.
            .max_local_error_reset_streams(LOCAL_RESETS);
        Self { builder, timeouts }
    }

    /// Serves `stream` with `respond` until its client leaves, exceeds a timeout, or `draining`
    /// begins; in the last case after what has been requested is answered.
    pub(crate) async fn serve<F, B>(
        &self,
        stream: Stream,
        respond: impl Fn(Request<Incoming>, RunningRequest) -> F,
        mut draining: Draining,
    ) where
        F: Future<Output = Result<Response<TrackedBody<B>>, Infallible>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let activity = Arc::new(Activity::default());
        let io =
            TokioIo::new(MeteredStream::new(stream, Arc::clone(&activity), self.timeouts.write));
        let requests = Arc::clone(&activity);
        let service = service_fn(move |request: Request<Incoming>| {
            let running = requests.begin(!request.body().is_end_stream());
            respond(request, running)
        });
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let mut deadlines = Deadlines::new(self.timeouts, Arc::clone(&activity));
        let mut begun = pin!(draining.begun());
        let (mut flag, mut told) = (WakeFlag::default(), false);
        loop {
            let event = poll_fn(|cx| {
                // Time first: a flood that keeps the connection busy uses up the turn of whoever
                // comes after it.
                if let Some(mut cx) = flag.take(cx).as_ref().map(Context::from_waker) {
                    if let Poll::Ready(verdict) = deadlines.poll_next(&mut cx) {
                        return Poll::Ready(Err(verdict));
                    }
                    if !deadlines.is_ending() && begun.as_mut().poll(&mut cx).is_ready() {
                        return Poll::Ready(Err(TimeoutAction::End));
                    }
                }
                connection.as_mut().poll(cx).map(Ok)
            });
            match event.await {
                Ok(result) => {
                    if let Err(error) = result {
                        tracing::debug!(error = %WithCauses(&*error), "connection ended early");
                    }
                    return;
                }
                Err(TimeoutAction::Wait) => {}
                Err(TimeoutAction::End) => deadlines.end(),
                Err(TimeoutAction::Close) => {
                    tracing::debug!("a connection ends because its client takes too long");
                    return;
                }
            }
            // Whatever was looked at may have more to say, and waits anew.
            flag = WakeFlag::default();
            // Before its first request a connection is not told, but given a moment for it.
            if deadlines.is_ending() && !told && activity.has_begun() {
                connection.as_mut().graceful_shutdown();
                told = true;
            }
        }
    }
}

/// An error with all its causes in one line.
struct WithCauses<'a>(&'a (dyn StdError + 'static));

impl std::fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
