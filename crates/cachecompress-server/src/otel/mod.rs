//! Metrics and traces for OpenTelemetry, over OTLP.
//!
//! The feature `otel` builds this. Without it, and without an endpoint in the environment, nothing is
//! sent or measured for it. Threads of their own send, so that no request waits for a collector. Spans
//! that do not fit their queue are lost.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod client;
#[cfg(feature = "otel")]
mod encodes;
#[cfg(feature = "otel")]
mod instruments;
#[cfg(feature = "otel")]
mod present;
#[cfg(feature = "otel")]
mod request_span;
#[cfg(feature = "otel")]
mod variables;

#[cfg(not(feature = "otel"))]
pub(crate) use self::absent::{OpenTelemetry, RequestSpan, RequestSpans};
#[cfg(feature = "otel")]
pub(crate) use self::present::OpenTelemetry;
#[cfg(feature = "otel")]
pub(crate) use self::request_span::{RequestSpan, RequestSpans};
