//! The admin listener's answers: `/healthz`, `/readyz` and `/metrics`.

mod connections;
mod metrics;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use crate::deadlines::RunningRequest;
use crate::telemetry::{Exposition, Telemetry};
use crate::tracked_body::{RequestGuards, TrackedBody};

pub(crate) use connections::AdminConnections;

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
        match metrics::expose(&self.exposition, headers) {
            Ok((media_type, text)) => respond(StatusCode::OK, media_type, text),
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
