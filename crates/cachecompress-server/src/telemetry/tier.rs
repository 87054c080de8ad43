//! The figures of the store that replicas share, as the admin API sends them.

use std::collections::BTreeMap;

use cachecompress::TierMetrics;
use schemars::JsonSchema;
use serde::Serialize;

/// The counters of the store that replicas share at one moment, as totals.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct TierFigures {
    /// Requests to the store by outcome: hit, miss, error, timeout, skipped, disproved.
    requests: BTreeMap<&'static str, u64>,
    /// The answers of the store.
    answers: u64,
    /// The time to the first bytes of all answers together, in seconds.
    answer_seconds: f64,
    /// The state of the breaker: `closed`, `open` or `half_open`.
    breaker: &'static str,
    /// The number of times that the breaker opened.
    breaker_opened: u64,
    /// Leases by outcome: acquired, waited, taken over, lost, alone.
    leases: BTreeMap<&'static str, u64>,
    /// Entries that were to be stored for other replicas: stored, failed, dropped.
    uploads: BTreeMap<&'static str, u64>,
    /// The entries that wait to be stored.
    upload_queue: u64,
    /// The bytes of these entries.
    upload_queue_bytes: u64,
    read_bytes: u64,
    written_bytes: u64,
    /// The payloads that came from the store.
    imports: u64,
    /// The processor time of the proof of objects, in seconds.
    import_cpu_seconds: f64,
    /// The processor time that encodes would have taken beyond that, in seconds.
    cpu_seconds_saved: f64,
}

impl From<&TierMetrics> for TierFigures {
    fn from(tier: &TierMetrics) -> Self {
        let buckets = tier.latency.buckets.iter().map(|(_, count)| count);
        Self {
            requests: tier.requests.iter().map(|(of, count)| (of.as_str(), *count)).collect(),
            answers: buckets.sum::<u64>() + tier.latency.beyond,
            answer_seconds: tier.latency.sum.as_secs_f64(),
            breaker: tier.breaker.as_str(),
            breaker_opened: tier.breaker_opened,
            leases: leases(tier).into(),
            uploads: uploads(tier).into(),
            upload_queue: tier.upload_queue,
            upload_queue_bytes: tier.upload_queue_bytes,
            read_bytes: tier.read_bytes,
            written_bytes: tier.written_bytes,
            imports: tier.imports,
            import_cpu_seconds: tier.import_cpu.as_secs_f64(),
            cpu_seconds_saved: tier.cpu_saved.as_secs_f64(),
        }
    }
}

/// The leases, by what became of them.
pub(super) fn leases(tier: &TierMetrics) -> [(&'static str, u64); 5] {
    [
        ("acquired", tier.leases_acquired),
        ("waited", tier.leases_waited),
        ("taken_over", tier.leases_taken_over),
        ("lost", tier.leases_lost),
        ("alone", tier.leases_alone),
    ]
}

/// The entries that were to be stored, by what became of them.
pub(super) fn uploads(tier: &TierMetrics) -> [(&'static str, u64); 3] {
    [
        ("stored", tier.uploads_stored),
        ("failed", tier.uploads_failed),
        ("dropped", tier.uploads_dropped),
    ]
}
