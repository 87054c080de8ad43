//! One connection, HTTP/1.1 or HTTP/2, with or without TLS, from its first byte to its last.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;

use crate::deadlines::{
    Activity, Deadlines, MeteredStream, Preface, RunningRequest, TimeoutAction, Timeouts,
};
use crate::h2_stall::StreamExecutor;
use crate::limits::{
    HYPER_HEADERS, LOCAL_RESETS, PENDING_RESETS, REQUEST_WINDOW_BYTES, STREAM_BUFFER_BYTES,
};
use crate::peer::{ClientAddress, Peer};
use crate::proxy_header;
use crate::shutdown::Draining;
use crate::tls::{ClientStream, Handshake, Tls};
use crate::tracked_body::TrackedBody;
use crate::transport::Transport;
use crate::wake_flag::WakeFlag;

/// The limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// The most bytes of a request's head. A longer one gets a 431.
    pub(crate) header_bytes: u32,
    /// The most header fields of a request. More get a 431.
    pub(crate) headers: usize,
    /// The most requests at once on one HTTP/2 connection.
    pub(crate) streams: u32,
    /// The timeouts.
    pub(crate) timeouts: Timeouts,
}

/// Serves connections within their limits.
#[derive(Clone, Debug)]
pub(crate) struct HttpServer(Arc<Builders>);

#[derive(Debug)]
struct Builders {
    /// For connections without TLS, where HTTP/2 comes with prior knowledge.
    either: auto::Builder<StreamExecutor>,
    http1: auto::Builder<StreamExecutor>,
    http2: auto::Builder<StreamExecutor>,
    timeouts: Timeouts,
}

impl HttpServer {
    /// A server whose connections keep to `limits`.
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        let timeouts = limits.timeouts;
        let mut builder = auto::Builder::new(StreamExecutor { write_timeout: timeouts.write });
        let mut http1 = builder.http1();
        http1
            .timer(TokioTimer::new())
            // hyper's own timeout also runs while a connection is idle.
            .header_read_timeout(None)
            .max_buf_size(limits.header_bytes as usize)
            // A client may close its sending half right after its last request.
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
            // No keep-alive pings: their answers would wait behind all that a slow client has yet
            // to take.
            .max_local_error_reset_streams(LOCAL_RESETS);
        let (http1, http2) = (builder.clone().http1_only(), builder.clone().http2_only());
        Self(Arc::new(Builders { either: builder, http1, http2, timeouts }))
    }

    /// Comes to terms with `peer` on TLS, if there is any, and on the version of HTTP, and notes what
    /// the handshake shows of it. `None`: there are no such terms.
    async fn open(
        &self,
        socket: MeteredStream,
        tls: Option<&Tls>,
        peer: &mut Peer,
        activity: &Arc<Activity>,
    ) -> Option<(&auto::Builder<StreamExecutor>, ClientStream)> {
        let preface = |possible| Preface::new(Arc::clone(activity), possible);
        let Some(tls) = tls else {
            return Some((&self.0.either, ClientStream::plain(socket, preface(true))));
        };
        let Handshake { stream, is_http2, server_name, version } = tls.accept(socket).await?;
        (peer.secure, peer.tls, peer.server_name) = (true, Some(version), server_name);
        let builder = if is_http2 { &self.0.http2 } else { &self.0.http1 };
        Some((builder, ClientStream::tls(stream, preface(is_http2))))
    }

    /// Serves `transport` until its client leaves or exceeds a timeout, with `tls` if there is one.
    /// Once `draining` begins, the connection ends after the requests that have come are answered.
    ///
    /// `respond` makes what answers the requests of `peer`, as whom the header of the PROXY protocol
    /// and the handshake show it. `proxy_header` says that there must be such a header.
    pub(crate) async fn serve<R, F, B>(
        &self,
        mut transport: Transport,
        proxy_header: bool,
        tls: Option<&Tls>,
        mut peer: Peer,
        respond: impl FnOnce(Peer) -> R,
        mut draining: Draining,
    ) where
        R: Fn(Request<Incoming>, RunningRequest) -> F,
        F: Future<Output = Result<Response<TrackedBody<B>>, Infallible>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let activity = Arc::new(Activity::default());
        let mut deadlines = Deadlines::new(self.0.timeouts, Arc::clone(&activity));
        if proxy_header {
            let named = proxy_client(&mut transport, peer.address);
            let Some(Some(client)) = in_time(named, &mut deadlines, &mut draining).await else {
                return;
            };
            peer.address = client;
        }
        let socket = MeteredStream::new(transport, Arc::clone(&activity), self.0.timeouts.write);
        let opened = self.open(socket, tls, &mut peer, &activity);
        let opened = in_time(opened, &mut deadlines, &mut draining).await;
        let Some(Some((builder, stream))) = opened else { return };
        let respond = respond(peer);
        let requests = Arc::clone(&activity);
        let service = service_fn(move |request: Request<Incoming>| {
            let running = requests.begin(!request.body().is_end_stream());
            respond(request, running)
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        drive(connection, &activity, deadlines, draining).await;
    }
}

/// Runs an HTTP `connection` to its end, within its deadlines and until `draining` begins.
async fn drive<C>(
    connection: C,
    activity: &Activity,
    mut deadlines: Deadlines,
    mut draining: Draining,
) where
    C: GracefulConnection<Error = Box<dyn StdError + Send + Sync>>,
{
    let mut connection = pin!(connection);
    let mut drain_begun = pin!(draining.begun());
    let (mut woken, mut told) = (WakeFlag::default(), false);
    loop {
        let event = poll_fn(|cx| {
            // Time comes first: a flood of requests would use up the task's budget before it.
            if let Some(mut cx) = woken.take(cx).as_ref().map(Context::from_waker) {
                if let Poll::Ready(action) = deadlines.poll_next(&mut cx) {
                    return Poll::Ready(Err(action));
                }
                if !deadlines.is_ending() && drain_begun.as_mut().poll(&mut cx).is_ready() {
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
            // An idle connection has had its moment for a request that was on its way.
            Err(TimeoutAction::Close) if deadlines.is_ending() && !told && activity.has_begun() => {
                connection.as_mut().graceful_shutdown();
                told = true;
            }
            Err(TimeoutAction::Close) => {
                tracing::debug!("a connection ends because its client takes too long");
                return;
            }
        }
        // Both futures are polled again: the one that was ready may be so once more, and the
        // other may not have been polled.
        woken = WakeFlag::default();
        // In HTTP/1 the next response tells. hyper would close an idle connection at once, and one
        // whose response has begun right after it, while a request may be on its way.
        if deadlines.is_ending() && !told && activity.is_http2() {
            connection.as_mut().graceful_shutdown();
            told = true;
        }
    }
}

/// The client for which the `proxy` at the other end speaks; the proxy itself if it does not say.
/// `None`: there is no such header, and no telling who the client is.
async fn proxy_client(transport: &mut Transport, proxy: ClientAddress) -> Option<ClientAddress> {
    match proxy_header::read(transport).await {
        Ok(client) => Some(client.unwrap_or(proxy)),
        Err(error) => {
            tracing::debug!(%proxy, %error, "a connection ends because its PROXY header is missing");
            None
        }
    }
}

/// Takes a `step` that comes before HTTP, within the deadlines of its connection. `None`: it took
/// too long.
async fn in_time<T>(
    step: impl Future<Output = T>,
    deadlines: &mut Deadlines,
    draining: &mut Draining,
) -> Option<T> {
    let mut step = pin!(step);
    loop {
        tokio::select! {
            biased;
            action = poll_fn(|cx| deadlines.poll_next(cx)) => match action {
                TimeoutAction::Wait => {}
                TimeoutAction::End => deadlines.end(),
                TimeoutAction::Close => {
                    tracing::debug!("a connection ends because its client takes too long");
                    return None;
                }
            },
            () = draining.begun(), if !deadlines.is_ending() => deadlines.end(),
            done = step.as_mut() => return Some(done),
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
