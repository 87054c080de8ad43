//! The admin listener's answers: `/healthz`, `/readyz` and `/metrics`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio::sync::oneshot;

use crate::deadlines::RunningRequest;
use crate::telemetry::{Exposition, Telemetry};
use crate::tracked_body::{RequestGuards, TrackedBody};

/// The media type of the text that the client crate encodes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type that every scraper reads.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers the admin listener's requests.
pub(crate) struct Admin {
    ready: AtomicBool,
    exposition: Exposition,
}

impl Admin {
    /// Answers by what `telemetry` has measured, ready from the start.
    pub(crate) fn new(telemetry: Arc<Telemetry>) -> Self {
        Self { ready: AtomicBool::new(true), exposition: Exposition::new(telemetry) }
    }

    /// Answers `/readyz` with 503 from now on, so that balancers send nothing more.
    pub(crate) fn not_ready(&self) {
        self.ready.store(false, Ordering::Release);
    }

    /// Answers `request`, which is `running` until its response's body is through.
    pub(crate) async fn answer<B>(
        self: Arc<Self>,
        request: Request<B>,
        running: RunningRequest,
    ) -> Result<Response<TrackedBody<Full<Bytes>>>, Infallible> {
        let response = self.respond(request.method(), request.uri().path(), request.headers());
        Ok(RequestGuards::new(running).attach(response, |_| None, |body| body))
    }

    fn respond(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
            return respond(StatusCode::NOT_FOUND, TEXT, "try /healthz, /readyz or /metrics\n");
        }
        if method != Method::GET && method != Method::HEAD {
            let mut refusal = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD only\n");
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match path {
            "/healthz" => respond(StatusCode::OK, TEXT, "alive\n"),
            "/readyz" if self.ready.load(Ordering::Acquire) => {
                respond(StatusCode::OK, TEXT, "ready\n")
            }
            "/readyz" => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "ending\n"),
            _ => self.metrics(headers),
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let open_metrics = headers.get_all(header::ACCEPT).iter().any(|accept| {
            accept.to_str().is_ok_and(|accept| accept.contains("application/openmetrics-text"))
        });
        let (media_type, text) = match open_metrics {
            true => (OPEN_METRICS, self.exposition.open_metrics()),
            false => (PROMETHEUS_TEXT, self.exposition.plain_text()),
        };
        match text {
            Ok(text) => respond(StatusCode::OK, media_type, text),
            Err(_) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "cannot encode metrics\n"),
        }
    }
}

fn respond(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The connections to the admin listener. Beyond the limit the oldest one makes room, so that
/// connections that lie idle keep no balancer from `/healthz`.
#[derive(Debug)]
pub(crate) struct AdminConnections {
    most: usize,
    /// Each one's permission to stay, the oldest first.
    open: Mutex<VecDeque<oneshot::Sender<Infallible>>>,
}

/// A connection's place, for as long as this lives.
#[derive(Debug)]
pub(crate) struct AdminPlace(oneshot::Receiver<Infallible>);

impl AdminConnections {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, open: Mutex::default() }
    }

    /// Gives a new connection its place.
    pub(crate) fn enter(&self) -> AdminPlace {
        let (stay, place) = oneshot::channel();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|connection| !connection.is_closed());
        while open.len() >= self.most.max(1) {
            open.pop_front();
        }
        open.push_back(stay);
        AdminPlace(place)
    }
}

impl AdminPlace {
    /// Waits until another connection needs the place.
    pub(crate) async fn lost(self) {
        let _ = self.0.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_connection_that_is_still_there_makes_room() {
        let connections = AdminConnections::new(2);
        let mut first = connections.enter();
        let second = connections.enter();
        drop(second);
        let mut third = connections.enter();
        let stays =
            |place: &mut AdminPlace| place.0.try_recv() == Err(oneshot::error::TryRecvError::Empty);
        assert!(stays(&mut first) && stays(&mut third), "two are there");
        let mut fourth = connections.enter();
        assert!(!stays(&mut first) && stays(&mut third) && stays(&mut fourth));
    }
}
