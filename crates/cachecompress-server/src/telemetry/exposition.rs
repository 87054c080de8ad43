//! The metrics in the form that Prometheus reads.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use super::Telemetry;
use super::families::{Family, FamilyValues, Histogram, Labelled, MetricUnit, Number, families};
use super::plain_text::plain_text;

/// Writes the metrics of the program.
#[derive(Debug)]
pub(crate) struct Exposition(Registry);

impl Exposition {
    /// Writes what `telemetry` has measured.
    pub(crate) fn new(telemetry: Arc<Telemetry>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProgramMetrics(telemetry)));
        Self(registry)
    }

    /// The metrics as OpenMetrics 1.0.
    ///
    /// # Errors
    ///
    /// If a metric cannot be encoded.
    pub(crate) fn open_metrics(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(text)
    }

    /// The metrics in Prometheus' text format 0.0.4, which every scraper reads.
    ///
    /// # Errors
    ///
    /// As [`open_metrics`](Self::open_metrics).
    pub(crate) fn plain_text(&self) -> Result<String, fmt::Error> {
        self.open_metrics().map(|text| plain_text(&text))
    }
}

/// The metrics of the program, of which each scrape takes one snapshot.
struct ProgramMetrics(Arc<Telemetry>);

impl fmt::Debug for ProgramMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgramMetrics")
    }
}

impl Collector for ProgramMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        families(&self.0).iter().try_for_each(|family| encode_family(&mut encoder, family))
    }
}

const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, f64>> = None;
const NO_EXEMPLARS: Option<&HashMap<usize, Exemplar<NoLabelSet, f64>>> = None;

/// Encodes a metric. The encoder adds the unit to its name, and `_total` to that of a counter.
fn encode_family(encoder: &mut DescriptorEncoder<'_>, family: &Family) -> fmt::Result {
    let unit = family.unit.map(|unit| match unit {
        MetricUnit::Seconds => Unit::Seconds,
        MetricUnit::Bytes => Unit::Bytes,
    });
    let kind = match family.values {
        FamilyValues::Counters(_) => MetricType::Counter,
        FamilyValues::Gauges(_) => MetricType::Gauge,
        FamilyValues::Histograms(_) => MetricType::Histogram,
    };
    let encoder = encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
    match &family.values {
        FamilyValues::Counters(values) => {
            encode_each(encoder, values, |metric, value| match value {
                Number::Whole(number) => metric.encode_counter(number, NO_EXEMPLAR),
                Number::Real(number) => metric.encode_counter(number, NO_EXEMPLAR),
            })
        }
        FamilyValues::Gauges(values) => encode_each(encoder, values, |metric, value| match value {
            Number::Whole(number) => metric.encode_gauge(number),
            Number::Real(number) => metric.encode_gauge(number),
        }),
        FamilyValues::Histograms(values) => encode_each(encoder, values, |metric, value| {
            let Histogram { buckets, count, sum } = value;
            metric.encode_histogram(*sum, *count, buckets, NO_EXEMPLARS)
        }),
    }
}

fn encode_each<V>(
    mut encoder: MetricEncoder<'_>,
    values: &[Labelled<V>],
    encode: impl Fn(&mut MetricEncoder<'_>, &V) -> fmt::Result,
) -> fmt::Result {
    values.iter().try_for_each(|Labelled { labels, value }| match labels.is_empty() {
        // Without labels there are no braces.
        true => encode(&mut encoder, value),
        false => encode(&mut encoder.encode_family(labels)?, value),
    })
}
