//! The metrics in the form that Prometheus reads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cachecompress::{DurationHistogram, EncodeMetrics, Metrics};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use super::Telemetry;
use super::plain_text::plain_text;
use crate::live::LastReload;
use crate::recorder::{Times, unix_seconds};

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
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(telemetry) = self;
        let mut exposition = Families(encoder);
        let metrics = telemetry.metrics();
        exposition.requests(&metrics, telemetry)?;
        exposition.encodes(&metrics)?;
        exposition.cache(&metrics)?;
        exposition.program(telemetry)
    }
}

/// Encodes metrics. The encoder adds the unit to their names, and `_total` to those of counters.
struct Families<'a>(DescriptorEncoder<'a>);

const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, f64>> = None;
const SECONDS: Option<&Unit> = Some(&Unit::Seconds);
const BYTES: Option<&Unit> = Some(&Unit::Bytes);

impl Families<'_> {
    fn requests(&mut self, metrics: &Metrics, telemetry: &Telemetry) -> fmt::Result {
        self.counters(
            "cachecompress_requests",
            "Requests by what became of them.",
            None,
            "outcome",
            metrics.requests.iter().map(|(outcome, count)| (outcome.as_str(), *count)),
        )?;
        self.counters(
            "cachecompress_bypasses",
            "Responses that went past the cache, by the detail of Cache-Status.",
            None,
            "detail",
            metrics.bypasses.iter().map(|(detail, count)| (detail.as_str(), *count)),
        )?;
        let recorders = &telemetry.parts.recorders;
        self.times(
            "cachecompress_first_byte",
            "Time from a request's arrival to its body's first byte.",
            &recorders.first_bytes(),
        )?;
        self.times(
            "cachecompress_response",
            "Time from a request's arrival to the end of a body that was sent to its end.",
            &recorders.totals(),
        )?;
        self.counter(
            "cachecompress_source",
            "Length of the representations sent, before any coding.",
            BYTES,
            metrics.source_bytes,
        )?;
        self.counter("cachecompress_sent", "Bytes of bodies sent.", BYTES, metrics.sent_bytes)?;
        let connections = telemetry.connections();
        self.gauge(
            "cachecompress_connections",
            "Connections to the sites that are open.",
            None,
            connections.open as u64,
        )?;
        self.gauge(
            "cachecompress_max_connections",
            "Connections to the sites that may be open at once.",
            None,
            connections.max as u64,
        )
    }

    fn encodes(&mut self, metrics: &Metrics) -> fmt::Result {
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
            SECONDS,
            "coding",
            encodes.map(|encode| (encode.coding.as_str(), encode.cpu.as_secs_f64())),
        )?;
        self.encode_durations(&metrics.encodes)?;
        self.gauge("cachecompress_inflight", "Encodes under way.", None, metrics.inflight)?;
        self.gauge(
            "cachecompress_queue_length",
            "Encodes that wait for a thread.",
            None,
            metrics.queue_length,
        )
    }

    fn cache(&mut self, metrics: &Metrics) -> fmt::Result {
        self.gauge("cachecompress_entries", "Entries in the cache.", None, metrics.entries)?;
        self.gauge("cachecompress_entry", "Length of all entries.", BYTES, metrics.entry_bytes)?;
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
            u64::from(metrics.cache_available),
        )
    }

    fn program(&mut self, telemetry: &Telemetry) -> fmt::Result {
        let logs = &telemetry.parts.logs;
        self.counters(
            "cachecompress_lost_log_lines",
            "Lines of a log that were lost, because its output was too slow or failed.",
            None,
            "log",
            logs.iter().map(|(name, queue)| (*name, queue.lost())),
        )?;
        self.counters(
            "cachecompress_sampled_out_log_lines",
            "Lines of a log that were left out, because only a sample of them is wanted.",
            None,
            "log",
            logs.iter().map(|(name, queue)| (*name, queue.left_out())),
        )?;
        self.certificates(telemetry)?;
        self.gauge(
            "cachecompress_configuration_generation",
            "Configurations and rules that were put into force after the first.",
            None,
            telemetry.generation(),
        )?;
        let LastReload { loaded, error } = telemetry.last_reload();
        self.gauge(
            "cachecompress_last_reload_successful",
            "Whether the last reload was put into force (1), or changed nothing (0).",
            None,
            u64::from(error.is_none()),
        )?;
        self.gauge(
            "cachecompress_last_reload_success_timestamp",
            "Unix time at which the configuration in force was loaded.",
            SECONDS,
            unix_seconds(loaded),
        )?;
        self.gauge(
            "cachecompress_start_time",
            "Unix time at which the program started.",
            SECONDS,
            unix_seconds(telemetry.started().0),
        )?;
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        self.labelled_gauge(
            "cachecompress_build_info",
            "The program's version. The value is 1.",
            None,
            [(labels, 1)],
        )
    }

    fn certificates(&mut self, telemetry: &Telemetry) -> fmt::Result {
        let certificates = telemetry.certificates();
        let expiries = certificates.iter().filter_map(|certificate| {
            let labels = [("file", certificate.file.as_str())];
            Some((labels, unix_seconds(certificate.not_after?)))
        });
        self.labelled_gauge(
            "cachecompress_certificate_expiry_timestamp",
            "Unix time after which a certificate in force is not valid.",
            SECONDS,
            expiries,
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

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    fn labelled_gauge<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = (L, impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// The times of requests, by outcome and coding.
    fn times(&mut self, name: &str, help: &str, times: &Times) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, SECONDS, MetricType::Histogram)?;
        for histogram in times.classic() {
            let labels = [("outcome", histogram.outcome), ("coding", histogram.coding)];
            family.encode_family(&labels)?.encode_histogram(
                histogram.sum,
                histogram.count,
                &histogram.buckets,
                None::<&std::collections::HashMap<usize, Exemplar<NoLabelSet, f64>>>,
            )?;
        }
        Ok(())
    }

    fn encode_durations(&mut self, encodes: &[EncodeMetrics]) -> fmt::Result {
        let mut family = self.0.encode_descriptor(
            "cachecompress_encode_duration",
            "Time that a thread took for each encode, proof included.",
            SECONDS,
            MetricType::Histogram,
        )?;
        for EncodeMetrics { coding, durations, .. } in encodes {
            let DurationHistogram { buckets, beyond, sum, .. } = durations;
            let seconds = |(bound, count): &(Duration, u64)| (bound.as_secs_f64(), *count);
            let mut buckets: Vec<_> = buckets.iter().map(seconds).collect();
            buckets.push((f64::INFINITY, *beyond));
            let labels = [("coding", coding.as_str())];
            family.encode_family(&labels)?.encode_histogram(
                sum.as_secs_f64(),
                buckets.iter().map(|(_, count)| count).sum(),
                &buckets,
                None::<&std::collections::HashMap<usize, Exemplar<NoLabelSet, f64>>>,
            )?;
        }
        Ok(())
    }
}
