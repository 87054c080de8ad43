//! The exporter that sends nothing.

use std::sync::Arc;

use cachecompress::EncodeProgress;

use super::request_span::RequestSpans;
use crate::exit::Failure;
use crate::telemetry::Telemetry;

/// No exporter.
pub(crate) struct OpenTelemetry;

impl OpenTelemetry {
    #[allow(clippy::unnecessary_wraps, reason = "the start of a real one may fail")]
    pub(crate) fn start() -> Result<Self, Failure> {
        Ok(Self)
    }

    pub(crate) fn observe(&self, _: &Arc<Telemetry>) {}

    pub(crate) fn requests(&self) -> RequestSpans {
        RequestSpans
    }

    pub(crate) fn finish(self) {}

    pub(crate) fn on_encode(&self) -> impl Fn(&EncodeProgress) + Send + Sync + use<> {
        |_| ()
    }
}
