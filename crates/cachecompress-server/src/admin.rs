//! The admin listener's answers: `/healthz`, `/readyz` and `/metrics`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cachecompress::{Metrics, ServeCompressed};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::oneshot;

use crate::deadlines::RunningRequest;
use crate::log_queue::LogQueue;
use crate::tracked_body::{RequestGuards, TrackedBody};

/// The media type of the text that the client crate encodes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type that every scraper reads. In it the few words of OpenMetrics are comments.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers the admin listener's requests.
pub(crate) struct Admin {
    ready: AtomicBool,
    registry: Registry,
}

impl Admin {
    /// Answers about `site` and the program's `logs` with their names, ready from the start.
    pub(crate) fn new(site: ServeCompressed, logs: Vec<(&'static str, LogQueue)>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(SiteMetrics { site, logs }));
        Self { ready: AtomicBool::new(true), registry }
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
        let media_type = if open_metrics { OPEN_METRICS } else { PROMETHEUS_TEXT };
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => respond(StatusCode::OK, media_type, text),
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

/// The metrics of the site and of the logs, of which each scrape takes one snapshot.
struct SiteMetrics {
    site: ServeCompressed,
    logs: Vec<(&'static str, LogQueue)>,
}

impl fmt::Debug for SiteMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteMetrics")
    }
}

impl Collector for SiteMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut exposition = Exposition(encoder);
        exposition.all(&self.site.metrics())?;
        exposition.counters(
            "cachecompress_lost_log_lines",
            "Lines of a log that were lost, because its output was too slow or failed.",
            None,
            "log",
            self.logs.iter().map(|(name, queue)| (*name, queue.lost())),
        )?;
        exposition.counters(
            "cachecompress_sampled_out_log_lines",
            "Lines of a log that were left out, because only a sample of them is wanted.",
            None,
            "log",
            self.logs.iter().map(|(name, queue)| (*name, queue.left_out())),
        )
    }
}

/// Encodes metrics. The encoder adds the unit to their names, and `_total` to those of counters.
struct Exposition<'a>(DescriptorEncoder<'a>);

impl Exposition<'_> {
    fn all(&mut self, metrics: &Metrics) -> fmt::Result {
        self.counters(
            "cachecompress_requests",
            "Requests by what became of them.",
            None,
            "outcome",
            metrics.requests.iter().map(|(outcome, count)| (outcome.as_str(), *count)),
        )?;
        let encodes = metrics.encodes.iter();
        self.counters(
            "cachecompress_encodes",
            "Encodes started.",
            None,
            "coding",
            encodes.clone().map(|encode| (encode.coding.as_str(), encode.started)),
        )?;
        self.counters(
            "cachecompress_encode",
            "CPU time spent in encodes.",
            Some(&Unit::Seconds),
            "coding",
            encodes.map(|encode| (encode.coding.as_str(), encode.cpu.as_secs_f64())),
        )?;
        let bytes = Some(&Unit::Bytes);
        self.counter(
            "cachecompress_source",
            "Length of the representations sent, before any coding.",
            bytes,
            metrics.source_bytes,
        )?;
        self.counter("cachecompress_sent", "Bytes of bodies sent.", bytes, metrics.sent_bytes)?;
        self.gauge("cachecompress_entries", "Entries in the cache.", None, metrics.entries)?;
        self.gauge("cachecompress_entry", "Length of all entries.", bytes, metrics.entry_bytes)?;
        self.counter(
            "cachecompress_evictions",
            "Entries removed to make room.",
            None,
            metrics.evictions,
        )?;
        self.counter(
            "cachecompress_damaged_entries",
            "Entries that failed their verification and were removed.",
            None,
            metrics.damaged_entries,
        )?;
        self.gauge(
            "cachecompress_cache_available",
            "Whether the cache is in use (1), or its disk does not answer (0).",
            None,
            metrics.cache_available.into(),
        )?;
        self.gauge("cachecompress_inflight", "Encodes under way.", None, metrics.inflight)?;
        self.gauge(
            "cachecompress_queue_length",
            "Encodes that wait for a thread.",
            None,
            metrics.queue_length,
        )
    }

    fn counters<'l, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        label: &'static str,
        values: impl Iterator<Item = (&'l str, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (key, value) in values {
            let labels = [(label, key)];
            family.encode_family(&labels)?.encode_counter(&value, NO_EXEMPLAR)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        metric.encode_counter(&value, NO_EXEMPLAR)
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }
}

const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, f64>> = None;

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
