//! The metrics of the program as plain data, for every format that they are sent in.

use std::time::Duration;

use cachecompress::{
    BreakerState, DurationHistogram, EncodeMetrics, Metrics, SecondPassMetrics, TierMetrics,
};

use super::Telemetry;
use super::tier::{leases, uploads};
use crate::live::LastReload;
use crate::recorder::{Times, unix_seconds};

/// The values of one metric.
pub(crate) struct Family {
    /// The name as Prometheus has it, without unit and `_total`.
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) help: &'static str,
    pub(crate) unit: Option<MetricUnit>,
    pub(crate) values: FamilyValues,
}

#[cfg(feature = "otel")]
impl Family {
    /// Whether a value is no whole number.
    pub(crate) fn has_fractions(&self) -> bool {
        let (FamilyValues::Counters(values) | FamilyValues::Gauges(values)) = &self.values else {
            return false;
        };
        values.iter().any(|labelled| matches!(labelled.value, Number::Real(_)))
    }
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricUnit {
    Seconds,
    Bytes,
}

/// The values of a metric, of one kind.
pub(crate) enum FamilyValues {
    /// Values that only grow.
    Counters(Vec<Labelled<Number>>),
    Gauges(Vec<Labelled<Number>>),
    Histograms(Vec<Labelled<Histogram>>),
}

/// A value with the labels that tell it from others of its metric.
pub(crate) struct Labelled<V> {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: V,
}

/// A number as it is counted or measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(u64),
    Real(f64),
}

/// A histogram with classic buckets.
pub(crate) struct Histogram {
    /// Upper bounds, with the number of values beyond the bound before. The last bound is infinite.
    pub(crate) buckets: Vec<(f64, u64)>,
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

const SECONDS: Option<MetricUnit> = Some(MetricUnit::Seconds);
const BYTES: Option<MetricUnit> = Some(MetricUnit::Bytes);

/// Takes a snapshot of all metrics.
pub(crate) fn families(telemetry: &Telemetry) -> Vec<Family> {
    let metrics = telemetry.metrics();
    let mut families = Families(Vec::new());
    families.requests(&metrics, telemetry);
    families.encodes(&metrics);
    families.cache(&metrics);
    if let Some(second_pass) = &metrics.second_pass {
        families.second_pass(second_pass);
    }
    if let Some(tier) = &metrics.tier {
        families.tier(tier);
        families.tier_uploads(tier);
    }
    families.program(telemetry);
    families.0
}

/// Collects metrics.
struct Families(Vec<Family>);

impl Families {
    fn requests(&mut self, metrics: &Metrics, telemetry: &Telemetry) {
        self.counters(
            "cachecompress_requests",
            "Requests by what became of them.",
            None,
            "outcome",
            metrics.requests.iter().map(|(outcome, count)| (outcome.as_str(), *count)),
        );
        self.counters(
            "cachecompress_bypasses",
            "Responses that went past the cache, by the detail of Cache-Status.",
            None,
            "detail",
            metrics.bypasses.iter().map(|(detail, count)| (detail.as_str(), *count)),
        );
        let recorders = &telemetry.parts.recorders;
        self.times(
            "cachecompress_first_byte",
            "Time from a request's arrival to its body's first byte.",
            &recorders.first_bytes(),
        );
        self.times(
            "cachecompress_response",
            "Time from a request's arrival to the end of a body that was sent to its end.",
            &recorders.totals(),
        );
        self.counter(
            "cachecompress_source",
            "Length of the representations sent, before any coding.",
            BYTES,
            metrics.source_bytes,
        );
        self.counter("cachecompress_sent", "Bytes of bodies sent.", BYTES, metrics.sent_bytes);
        let connections = telemetry.connections();
        self.gauge(
            "cachecompress_connections",
            "Connections to the sites that are open.",
            None,
            connections.open as u64,
        );
        self.gauge(
            "cachecompress_max_connections",
            "Connections to the sites that may be open at once.",
            None,
            connections.max as u64,
        );
    }

    fn encodes(&mut self, metrics: &Metrics) {
        let encodes = metrics.encodes.iter();
        self.counters(
            "cachecompress_encodes",
            "Encodes started.",
            None,
            "coding",
            encodes.clone().map(|encode| (encode.coding.as_str(), encode.started)),
        );
        self.counters(
            "cachecompress_encode",
            "CPU time spent in encodes.",
            SECONDS,
            "coding",
            encodes.map(|encode| (encode.coding.as_str(), encode.cpu.as_secs_f64())),
        );
        self.encode_durations(&metrics.encodes);
        self.gauge("cachecompress_inflight", "Encodes under way.", None, metrics.inflight);
        self.gauge(
            "cachecompress_queue_length",
            "Encodes that wait for a thread.",
            None,
            metrics.queue_length,
        );
    }

    fn cache(&mut self, metrics: &Metrics) {
        self.gauge("cachecompress_entries", "Entries in the cache.", None, metrics.entries);
        self.gauge("cachecompress_entry", "Length of all entries.", BYTES, metrics.entry_bytes);
        self.counter(
            "cachecompress_evictions",
            "Entries removed to make room.",
            None,
            metrics.evictions,
        );
        self.counter(
            "cachecompress_damaged_entries",
            "Entries that failed their verification and were removed.",
            None,
            metrics.damaged_entries,
        );
        self.gauge(
            "cachecompress_cache_available",
            "Whether the cache is in use (1), or its disk does not answer (0).",
            None,
            u64::from(metrics.cache_available),
        );
    }

    /// What is compressed again, better.
    fn second_pass(&mut self, second_pass: &SecondPassMetrics) {
        self.counter(
            "cachecompress_second_pass_encodes",
            "Encodes of the second pass that ended.",
            None,
            second_pass.encodes,
        );
        self.counter(
            "cachecompress_second_pass_saved",
            "Bytes by which the second pass has made entries smaller.",
            BYTES,
            second_pass.saved_bytes,
        );
        self.counter(
            "cachecompress_second_pass_cpu",
            "CPU time of the second pass.",
            SECONDS,
            second_pass.cpu.as_secs_f64(),
        );
    }

    /// What is asked of the store that replicas share.
    fn tier(&mut self, tier: &TierMetrics) {
        self.counters(
            "cachecompress_tier_requests",
            "Requests to the shared store for objects, by what became of them.",
            None,
            "outcome",
            tier.requests.iter().map(|(outcome, count)| (outcome.as_str(), *count)),
        );
        let value = histogram(&tier.latency);
        self.0.push(Family {
            name: "cachecompress_tier_latency",
            help: "Time to the first byte of each answer of the shared store.",
            unit: SECONDS,
            values: FamilyValues::Histograms(vec![Labelled { labels: Vec::new(), value }]),
        });
        let states = BreakerState::ALL.iter();
        self.gauges(
            "cachecompress_tier_breaker_state",
            "Whether the breaker before the shared store is in this state (1), or in another (0).",
            None,
            "state",
            states.map(|state| (state.as_str(), u64::from(*state == tier.breaker))),
        );
        self.counter(
            "cachecompress_tier_breaker_opened",
            "Times that the breaker before the shared store opened.",
            None,
            tier.breaker_opened,
        );
        self.counters(
            "cachecompress_tier_leases",
            "Leases of the right to encode for all replicas, by what became of them.",
            None,
            "outcome",
            leases(tier),
        );
        self.counter(
            "cachecompress_tier_imports",
            "Payloads that came from the shared store, each in place of an encode.",
            None,
            tier.imports,
        );
        self.counter(
            "cachecompress_tier_read",
            "Bytes of objects that came from the shared store.",
            BYTES,
            tier.read_bytes,
        );
        self.counter(
            "cachecompress_tier_import_cpu",
            "CPU time spent in the proof of objects from the shared store.",
            SECONDS,
            tier.import_cpu.as_secs_f64(),
        );
        self.counter(
            "cachecompress_tier_cpu_seconds_saved",
            "CPU time that encodes would have taken beyond that of the imports in their place.",
            None,
            tier.cpu_saved.as_secs_f64(),
        );
    }

    /// What is stored for other replicas.
    fn tier_uploads(&mut self, tier: &TierMetrics) {
        self.counters(
            "cachecompress_tier_uploads",
            "Entries that were to be stored for other replicas, by what became of them.",
            None,
            "outcome",
            uploads(tier),
        );
        self.gauge(
            "cachecompress_tier_upload_queue_entries",
            "Entries that wait to be stored for other replicas, or are under way.",
            None,
            tier.upload_queue,
        );
        self.gauge(
            "cachecompress_tier_upload_queue",
            "Length of these entries.",
            BYTES,
            tier.upload_queue_bytes,
        );
        self.counter(
            "cachecompress_tier_written",
            "Bytes of objects that were stored for other replicas.",
            BYTES,
            tier.written_bytes,
        );
    }

    fn program(&mut self, telemetry: &Telemetry) {
        let logs = &telemetry.parts.logs;
        self.counters(
            "cachecompress_lost_log_lines",
            "Lines of a log that were lost, because its output was too slow or failed.",
            None,
            "log",
            logs.iter().map(|(name, queue)| (*name, queue.lost())),
        );
        self.counters(
            "cachecompress_sampled_out_log_lines",
            "Lines of a log that were left out, because only a sample of them is wanted.",
            None,
            "log",
            logs.iter().map(|(name, queue)| (*name, queue.left_out())),
        );
        self.certificates(telemetry);
        self.gauge(
            "cachecompress_configuration_generation",
            "Configurations and rules that were put into force after the first.",
            None,
            telemetry.generation(),
        );
        let LastReload { loaded, error } = telemetry.last_reload();
        self.gauge(
            "cachecompress_last_reload_successful",
            "Whether the last reload was put into force (1), or changed nothing (0).",
            None,
            u64::from(error.is_none()),
        );
        self.gauge(
            "cachecompress_last_reload_success_timestamp",
            "Unix time at which the configuration in force was loaded.",
            SECONDS,
            unix_seconds(loaded),
        );
        self.gauge(
            "cachecompress_start_time",
            "Unix time at which the program started.",
            SECONDS,
            unix_seconds(telemetry.started().0),
        );
        self.gauges(
            "cachecompress_build_info",
            "The program's version. The value is 1.",
            None,
            "version",
            [(env!("CARGO_PKG_VERSION"), 1)],
        );
    }

    fn certificates(&mut self, telemetry: &Telemetry) {
        let certificates = telemetry.certificates();
        let expiries = certificates.iter().filter_map(|certificate| {
            Some((certificate.file.as_str(), unix_seconds(certificate.not_after?)))
        });
        self.gauges(
            "cachecompress_certificate_expiry_timestamp",
            "Unix time after which a certificate in force is not valid.",
            SECONDS,
            "file",
            expiries,
        );
    }

    fn counters<'l, V: Into<Number>>(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<MetricUnit>,
        label: &'static str,
        values: impl IntoIterator<Item = (&'l str, V)>,
    ) {
        let values = FamilyValues::Counters(labelled(label, values));
        self.0.push(Family { name, help, unit, values });
    }

    fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<MetricUnit>,
        value: impl Into<Number>,
    ) {
        let value = Labelled { labels: Vec::new(), value: value.into() };
        self.0.push(Family { name, help, unit, values: FamilyValues::Counters(vec![value]) });
    }

    fn gauges<'l, V: Into<Number>>(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<MetricUnit>,
        label: &'static str,
        values: impl IntoIterator<Item = (&'l str, V)>,
    ) {
        let values = FamilyValues::Gauges(labelled(label, values));
        self.0.push(Family { name, help, unit, values });
    }

    fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<MetricUnit>,
        value: impl Into<Number>,
    ) {
        let value = Labelled { labels: Vec::new(), value: value.into() };
        self.0.push(Family { name, help, unit, values: FamilyValues::Gauges(vec![value]) });
    }

    /// The times of requests, by outcome and coding.
    fn times(&mut self, name: &'static str, help: &'static str, times: &Times) {
        let values = times.classic().map(|histogram| {
            let labels = [("outcome", histogram.outcome), ("coding", histogram.coding)];
            let labels = labels.map(|(label, value)| (label, value.to_owned())).into();
            let (count, sum) = (histogram.count, histogram.sum);
            Labelled { labels, value: Histogram { buckets: histogram.buckets, count, sum } }
        });
        let values = FamilyValues::Histograms(values.collect());
        self.0.push(Family { name, help, unit: SECONDS, values });
    }

    fn encode_durations(&mut self, encodes: &[EncodeMetrics]) {
        let values = encodes.iter().map(|EncodeMetrics { coding, durations, .. }| Labelled {
            labels: vec![("coding", coding.clone())],
            value: histogram(durations),
        });
        self.0.push(Family {
            name: "cachecompress_encode_duration",
            help: "Time that a thread took for each encode, proof included.",
            unit: SECONDS,
            values: FamilyValues::Histograms(values.collect()),
        });
    }
}

fn histogram(durations: &DurationHistogram) -> Histogram {
    let DurationHistogram { buckets, beyond, sum, .. } = durations;
    let seconds = |(bound, count): &(Duration, u64)| (bound.as_secs_f64(), *count);
    let mut buckets: Vec<_> = buckets.iter().map(seconds).collect();
    buckets.push((f64::INFINITY, *beyond));
    let count = buckets.iter().map(|(_, count)| count).sum();
    Histogram { buckets, count, sum: sum.as_secs_f64() }
}

fn labelled<'l, V: Into<Number>>(
    label: &'static str,
    values: impl IntoIterator<Item = (&'l str, V)>,
) -> Vec<Labelled<Number>> {
    let one = |(key, value): (&str, V)| Labelled {
        labels: vec![(label, key.to_owned())],
        value: value.into(),
    };
    values.into_iter().map(one).collect()
}
