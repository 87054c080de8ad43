//! The exporters, from the program's start to its end.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use cachecompress::{EncodeProgress, EncodeState};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, SdkTracerProvider};

use super::client::Client;
use super::encodes::Encodes;
use super::instruments;
use super::request_span::{RequestHistograms, RequestSpans};
use super::variables::{self, Signals};
use crate::exit::Failure;
use crate::limits::OTEL_FLUSH_TIMEOUT;
use crate::telemetry::Telemetry;

/// Sends metrics and traces to a collector. When it is dropped it sends what is left, and waits for that
/// up to [`OTEL_FLUSH_TIMEOUT`].
#[derive(Default)]
pub(crate) struct OpenTelemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
}

impl OpenTelemetry {
    /// Starts the exporters that the environment asks for. They connect later, and on their own.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] if a variable is wrong.
    pub(crate) fn start() -> Result<Self, Failure> {
        let signals = variables::read(|name| std::env::var_os(name)).map_err(Failure::Usage)?;
        let Some(signals) = signals else { return Ok(Self::default()) };
        let fails = |error| Failure::Usage(format!("cannot send to OpenTelemetry: {error}"));
        let resource = resource(&signals);
        let mut started = Self::default();
        if let Some(timeout) = signals.traces {
            let exporter = SpanExporter::builder().with_http();
            let exporter = exporter.with_http_client(Client::new("traces", timeout)).build();
            let provider = SdkTracerProvider::builder().with_resource(resource.clone());
            started.traces = Some(provider.with_batch_exporter(exporter.map_err(fails)?).build());
        }
        if let Some(timeout) = signals.metrics {
            let exporter = MetricExporter::builder().with_http();
            let exporter = exporter.with_http_client(Client::new("metrics", timeout)).build();
            let provider = SdkMeterProvider::builder().with_resource(resource);
            started.metrics =
                Some(provider.with_periodic_exporter(exporter.map_err(fails)?).build());
        }
        Ok(started)
    }

    /// Sends what `telemetry` measures as well.
    pub(crate) fn observe(&self, telemetry: &Arc<Telemetry>) {
        if let Some(provider) = &self.metrics {
            instruments::observe(provider, telemetry);
        }
    }

    /// Makes the spans of requests.
    pub(crate) fn requests(&self) -> RequestSpans {
        let tracer = self.traces.as_ref().map(|traces| traces.tracer_with_scope(scope()));
        RequestSpans::new(tracer, self.metrics.as_ref().map(RequestHistograms::new))
    }

    /// Ends the exporters, as a drop does.
    pub(crate) fn finish(self) {}

    /// A function that is told of encodes, and makes a span of each.
    pub(crate) fn on_encode(&self) -> impl Fn(&EncodeProgress) + Send + Sync + use<> {
        let tracer = self.traces.as_ref().map(|traces| traces.tracer_with_scope(scope()));
        let encodes = Encodes::new(tracer, self.metrics.as_ref());
        move |encode| {
            if matches!(encode.state, EncodeState::Finished | EncodeState::Failed) {
                encodes.ended(encode);
            }
        }
    }
}

impl Drop for OpenTelemetry {
    fn drop(&mut self) {
        let (traces, metrics) = (self.traces.take(), self.metrics.take());
        if traces.is_none() && metrics.is_none() {
            return;
        }
        // The collector may hang. The thread ends with the process then.
        let (done, ended) = channel::<()>();
        let flush = move || {
            let _ = traces.map(|traces| traces.shutdown_with_timeout(OTEL_FLUSH_TIMEOUT));
            let _ = metrics.map(|metrics| metrics.shutdown_with_timeout(OTEL_FLUSH_TIMEOUT));
            drop(done);
        };
        if thread::Builder::new().name("otel-flush".to_owned()).spawn(flush).is_ok() {
            let _ = ended.recv_timeout(OTEL_FLUSH_TIMEOUT);
        }
    }
}

/// The scope of all spans.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("cachecompress").with_version(env!("CARGO_PKG_VERSION")).build()
}

/// The program as the source of what is sent. The environment wins where it names the service.
fn resource(signals: &Signals) -> Resource {
    let mut resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !signals.names_service {
        resource = resource.with_service_name("cachecompress");
    }
    if !signals.names_instance {
        let id = RandomIdGenerator::default().new_trace_id().to_string();
        resource = resource.with_attribute(KeyValue::new("service.instance.id", id));
    }
    resource.build()
}
