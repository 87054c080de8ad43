//! The span of one request, and its part in the histograms, by the semantic conventions for HTTP.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cachecompress::{Outcome, Served};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode, Version, header};
use opentelemetry::metrics::{Histogram, MeterProvider as _};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span};

use crate::authority;
use crate::peer::{ClientAddress, Peer};
use crate::recorder;

/// The bounds that the conventions advise, in seconds.
const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Makes the spans of requests, if any are wanted. Clones share everything.
#[derive(Clone)]
pub(crate) struct RequestSpans(Option<Arc<Instruments>>);

struct Instruments {
    tracer: Option<SdkTracer>,
    histograms: Option<RequestHistograms>,
    propagator: TraceContextPropagator,
}

/// The histograms of requests.
pub(super) struct RequestHistograms {
    duration: Histogram<f64>,
    first_byte: Histogram<f64>,
}

/// The span of a request, if it is wanted. It ends when it is dropped.
#[derive(Default)]
pub(crate) struct RequestSpan(Option<Box<Running>>);

/// A request under way.
struct Running {
    instruments: Arc<Instruments>,
    arrived: Instant,
    /// The span, if it is sampled.
    span: Option<Span>,
    method: &'static str,
    scheme: &'static str,
    version: &'static str,
    /// `None` before the response.
    status: Option<StatusCode>,
    outcome: Option<Outcome>,
    coding: Option<Cow<'static, str>>,
    first_byte: Option<Duration>,
    sent_bytes: u64,
}

impl RequestHistograms {
    pub(super) fn new(provider: &SdkMeterProvider) -> Self {
        let meter = provider.meter("cachecompress");
        let seconds = |name: &'static str, help: &'static str, bounds: Vec<f64>| {
            let builder = meter.f64_histogram(name).with_description(help).with_unit("s");
            builder.with_boundaries(bounds).build()
        };
        Self {
            duration: seconds(
                "http.server.request.duration",
                "Time from a request's arrival to the end of its response's body.",
                BOUNDS.into(),
            ),
            first_byte: seconds(
                "cachecompress.first_byte",
                "Time from a request's arrival to its body's first byte.",
                recorder::bounds(),
            ),
        }
    }
}

impl RequestSpans {
    pub(super) fn new(tracer: Option<SdkTracer>, histograms: Option<RequestHistograms>) -> Self {
        if tracer.is_none() && histograms.is_none() {
            return Self(None);
        }
        let propagator = TraceContextPropagator::new();
        Self(Some(Arc::new(Instruments { tracer, histograms, propagator })))
    }

    /// Begins the span of `request` from `client`, which arrived now.
    pub(crate) fn begin<B>(&self, client: &Peer, request: &Request<B>) -> RequestSpan {
        let Self(Some(instruments)) = self else { return RequestSpan(None) };
        let method = method(request.method());
        let span = instruments.tracer.as_ref().and_then(|tracer| {
            let parent = HeaderExtractor(request.headers());
            let parent = instruments.propagator.extract_with_context(&Context::new(), &parent);
            let name = if method == OTHER { "HTTP" } else { method };
            let span = tracer.span_builder(name).with_kind(SpanKind::Server);
            let mut span = tracer.build_with_context(span, &parent);
            span.is_recording().then(|| {
                describe(&mut span, client, request);
                span
            })
        });
        RequestSpan(Some(Box::new(Running {
            instruments: Arc::clone(instruments),
            arrived: Instant::now(),
            span,
            method,
            scheme: if client.secure { "https" } else { "http" },
            version: version(request.version()),
            status: None,
            outcome: None,
            coding: None,
            first_byte: None,
            sent_bytes: 0,
        })))
    }
}

impl RequestSpan {
    /// Adds the head of the response.
    pub(crate) fn answered<B>(&mut self, response: &Response<B>, served: Option<&Served>) {
        let Self(Some(running)) = self else { return };
        let status = response.status();
        let is_error = status.is_client_error() || status.is_server_error();
        running.status = Some(status);
        let outcome = served.and_then(|served| served.outcome);
        running.outcome = outcome.or(is_error.then_some(Outcome::Error));
        running.coding = served.map(|served| coding(served.coding.as_str()));
    }

    /// Counts a piece of the body.
    pub(crate) fn sent(&mut self, bytes: usize) {
        let Self(Some(running)) = self else { return };
        running.sent_bytes += bytes as u64;
        if running.first_byte.is_none() && bytes > 0 {
            running.first_byte = Some(running.arrived.elapsed());
        }
    }
}

impl Running {
    /// The attributes that the span and the histogram of durations have.
    fn attributes(&self) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new("http.request.method", self.method),
            KeyValue::new("url.scheme", self.scheme),
            KeyValue::new("network.protocol.version", self.version),
        ];
        let mut add = |key: &'static str, value: Value| attributes.push(KeyValue::new(key, value));
        match self.status {
            Some(status) => {
                add("http.response.status_code", i64::from(status.as_u16()).into());
                if status.is_server_error() {
                    add("error.type", status.as_str().to_owned().into());
                }
            }
            None => add("error.type", "cancelled".into()),
        }
        if let Some(outcome) = self.outcome {
            add("cachecompress.outcome", outcome.as_str().into());
        }
        if let Some(coding) = &self.coding {
            add("cachecompress.coding", coding.clone().into());
        }
        attributes
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let total = self.arrived.elapsed();
        let mut attributes = self.attributes();
        if let Some(histograms) = &self.instruments.histograms {
            histograms.duration.record(total.as_secs_f64(), &attributes);
            if let Some(outcome) = self.outcome {
                let coding = self.coding.take().unwrap_or(Cow::Borrowed("identity"));
                let labels =
                    [KeyValue::new("outcome", outcome.as_str()), KeyValue::new("coding", coding)];
                let first_byte = self.first_byte.unwrap_or(total);
                histograms.first_byte.record(first_byte.as_secs_f64(), &labels);
            }
        }
        if let Some(mut span) = self.span.take() {
            let sent = i64::try_from(self.sent_bytes).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new("http.response.body.size", sent));
            span.set_attributes(attributes);
            if self.status.is_some_and(|status| status.is_server_error()) {
                span.set_status(Status::error(""));
            }
            span.end();
        }
    }
}

/// Adds the attributes of a request that its span has and its metrics have not.
fn describe<B>(span: &mut Span, client: &Peer, request: &Request<B>) {
    span.set_attribute(KeyValue::new("url.path", request.uri().path().to_owned()));
    let host = authority::of(request).and_then(|host| Authority::try_from(host).ok());
    if let Some(host) = host {
        span.set_attribute(KeyValue::new("server.address", host.host().to_owned()));
        if let Some(port) = host.port_u16() {
            span.set_attribute(KeyValue::new("server.port", i64::from(port)));
        }
    }
    if let ClientAddress::Ip(address) = client.address {
        span.set_attribute(KeyValue::new("client.address", address.to_string()));
    }
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    if let Some(agent) = agent {
        span.set_attribute(KeyValue::new("user_agent.original", agent.to_owned()));
    }
}

/// The method in place of those that HTTP does not know. Clients may invent any number of them.
const OTHER: &str = "_OTHER";

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => OTHER,
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

/// The name of a coding, without an allocation for those that the program makes.
fn coding(name: &str) -> Cow<'static, str> {
    let known = ["identity", "br", "zstd", "gzip", "deflate"];
    match known.into_iter().find(|known| *known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}
