//! The spans and the times of encodes.

use std::time::SystemTime;

use cachecompress::{EncodeProgress, EncodeState};
use opentelemetry::metrics::{Histogram, MeterProvider as _};
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracer;

/// The upper bounds of the buckets in seconds, which are those of `/metrics`.
const BOUNDS: [f64; 16] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Tells of encodes. Each is a trace of its own, as one serves the requests of many.
pub(super) struct Encodes {
    tracer: Option<SdkTracer>,
    durations: Option<Histogram<f64>>,
}

impl Encodes {
    pub(super) fn new(tracer: Option<SdkTracer>, metrics: Option<&SdkMeterProvider>) -> Self {
        let durations = metrics.map(|provider| {
            let meter = provider.meter("cachecompress");
            let builder = meter.f64_histogram("cachecompress.encode_duration").with_unit("s");
            let help = "Time that a thread took for each encode, proof included.";
            builder.with_description(help).with_boundaries(BOUNDS.into()).build()
        });
        Self { tracer, durations }
    }

    /// Tells of an encode that has just ended.
    pub(super) fn ended(&self, encode: &EncodeProgress) {
        let coding = encode.coding.to_string();
        if let Some(durations) = &self.durations {
            let labels = [KeyValue::new("coding", coding.clone())];
            durations.record(encode.elapsed.as_secs_f64(), &labels);
        }
        let Some(tracer) = &self.tracer else { return };
        let now = SystemTime::now();
        let span = tracer.span_builder("encode").with_kind(SpanKind::Internal);
        let span = span.with_start_time(now - encode.elapsed);
        let mut span = tracer.build_with_context(span, &Context::new());
        if span.is_recording() {
            let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
            span.set_attributes([
                KeyValue::new("url.path", format!("/{}", encode.path)),
                KeyValue::new("cachecompress.coding", coding),
                KeyValue::new("cachecompress.digest", encode.digest.hex()),
                KeyValue::new("cachecompress.source_bytes", bytes(encode.source_bytes)),
                KeyValue::new("cachecompress.encoded_bytes", bytes(encode.encoded_bytes)),
            ]);
            if encode.state == EncodeState::Failed {
                span.set_status(Status::error("given up, failed, or saved too little"));
            }
        }
        span.end_with_timestamp(now);
    }
}
