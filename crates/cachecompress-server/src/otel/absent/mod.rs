//! The same without the feature: nothing.

mod exporter;
mod request_span;

pub(crate) use self::exporter::OpenTelemetry;
pub(crate) use self::request_span::{RequestSpan, RequestSpans};
