//! `/metrics`, the exposition for Prometheus.

use std::fmt;

use http::{HeaderMap, header};

use crate::telemetry::Exposition;

/// The media type of the text that the client crate encodes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type that every scraper reads.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the text for a scraper that sent these `headers`, and its media type.
pub(super) fn expose(
    exposition: &Exposition,
    headers: &HeaderMap,
) -> Result<(&'static str, String), fmt::Error> {
    let open_metrics = headers.get_all(header::ACCEPT).iter().any(|accept| {
        accept.to_str().is_ok_and(|accept| accept.contains("application/openmetrics-text"))
    });
    Ok(match open_metrics {
        true => (OPEN_METRICS, exposition.open_metrics()?),
        false => (PROMETHEUS_TEXT, exposition.plain_text()?),
    })
}
