//! `GET /api/v1/status`

use std::collections::BTreeMap;
use std::time::Duration;

use cachecompress::TierMetrics;
use schemars::JsonSchema;
use serde::Serialize;

use super::state::State;
use crate::config::CacheChoice;
use crate::limits::MEMORY_CACHE_BYTES;
use crate::live::LastReload;
use crate::recorder::{Percentiles, unix_seconds};
use crate::telemetry::{Connections, SecondPassFigures, TierFigures};
use crate::tls::CertificateFacts;

/// The state of the server. Counters count from its start.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Status {
    /// The version of the program.
    version: &'static str,
    /// The time of the start, in Unix seconds.
    started: f64,
    uptime_seconds: f64,
    /// Whether `/readyz` says so.
    ready: bool,
    /// The number of requests by outcome: hit, miss, collapsed, bypass, identity, not_modified, error.
    requests: BTreeMap<&'static str, u64>,
    /// The number of responses that went past the cache, by the detail of `Cache-Status`.
    bypasses: BTreeMap<&'static str, u64>,
    /// The length of the files of all bodies that were sent, in bytes.
    source_bytes: u64,
    /// The length of those bodies, in bytes.
    sent_bytes: u64,
    /// The bytes that compression has saved on the wire.
    saved_bytes: u64,
    /// The time that encodes took on the processor, in seconds.
    encode_cpu_seconds: f64,
    encodes: EncodesStatus,
    cache: CacheStatus,
    second_pass: SecondPassStatus,
    /// The store that replicas share; null without one.
    tier: Option<TierStatus>,
    connections: Connections,
    /// The times to the first bytes of the last minute's responses; null without any.
    first_byte_seconds: Option<Percentiles>,
    /// The number of lines that the logs have lost.
    log_lines_lost: u64,
    certificates: Vec<CertificateStatus>,
    configuration: ConfigurationStatus,
    sites: Vec<SiteStatus>,
}

/// Encodes.
#[derive(Debug, JsonSchema, Serialize)]
struct EncodesStatus {
    /// The number that runs now.
    running: u64,
    /// The number that waits for a thread.
    queued: u64,
    by_coding: BTreeMap<String, CodingStatus>,
}

/// The encodes of a coding.
#[derive(Debug, JsonSchema, Serialize)]
struct CodingStatus {
    /// The number that was started.
    started: u64,
    /// The time that they took on the processor, in seconds.
    cpu_seconds: f64,
}

/// The cache.
#[derive(Debug, JsonSchema, Serialize)]
struct CacheStatus {
    /// The directory; null in memory.
    directory: Option<String>,
    entries: u64,
    /// The size of all entries, in bytes.
    bytes: u64,
    /// The most that they may take up, in bytes.
    max_bytes: u64,
    /// The number of entries that made room for others.
    evictions: u64,
    /// The number of entries that failed their verification.
    damaged_entries: u64,
    /// Whether the cache is in use. It is not while its disk does not answer.
    available: bool,
}

/// The second pass, which makes entries in use smaller.
#[derive(Debug, JsonSchema, Serialize)]
struct SecondPassStatus {
    /// The share of one core that it may take over an hour; 0 if it is off.
    cpu_share: f64,
    #[serde(flatten)]
    figures: SecondPassFigures,
}

/// The store that replicas share.
#[derive(Debug, JsonSchema, Serialize)]
struct TierStatus {
    /// Its URL without credentials, or its directory.
    place: String,
    /// `rw` if this replica also stores what it encodes, `ro` if it only reads.
    mode: &'static str,
    /// Whether objects must be signed by the keys of `--tier-key-file`.
    signed: bool,
    #[serde(flatten)]
    figures: TierFigures,
}

/// The configuration in force.
#[derive(Debug, JsonSchema, Serialize)]
struct ConfigurationStatus {
    /// The configuration file.
    file: Option<String>,
    /// The number of reloads before, those of a site's files of rules among them.
    generation: u64,
    /// The time from which it is in force, in Unix seconds.
    loaded: f64,
    /// The reason for which the last reload failed; null if it succeeded.
    last_error: Option<String>,
}

/// A certificate in force.
#[derive(Debug, JsonSchema, Serialize)]
struct CertificateStatus {
    file: String,
    /// Its DNS names.
    names: Vec<String>,
    /// The end of its validity, in Unix seconds; null if it cannot be read.
    not_after: Option<f64>,
}

/// A site.
#[derive(Debug, JsonSchema, Serialize)]
struct SiteStatus {
    /// The hosts; none if it is the only site.
    hosts: Vec<String>,
    /// The directory that is served.
    root: String,
}

impl Status {
    /// Looks at the server of `state`.
    pub(super) fn of(state: &State) -> Self {
        let telemetry = &state.telemetry;
        let (metrics, (started, uptime)) = (telemetry.metrics(), telemetry.started());
        let cpu: Duration = metrics.encodes.iter().map(|encode| encode.cpu).sum();
        let by_coding = metrics.encodes.into_iter().map(|encode| {
            let cpu_seconds = encode.cpu.as_secs_f64();
            (encode.coding, CodingStatus { started: encode.started, cpu_seconds })
        });
        let (directory, max_bytes) = match &state.cache {
            CacheChoice::Disk { dir, max_bytes } => (Some(dir.display().to_string()), *max_bytes),
            CacheChoice::Memory { .. } => (None, MEMORY_CACHE_BYTES),
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started: unix_seconds(started),
            uptime_seconds: uptime.as_secs_f64(),
            ready: state.is_ready(),
            requests: metrics.requests.iter().map(|(of, count)| (of.as_str(), *count)).collect(),
            bypasses: metrics.bypasses.iter().map(|(of, count)| (of.as_str(), *count)).collect(),
            source_bytes: metrics.source_bytes,
            sent_bytes: metrics.sent_bytes,
            saved_bytes: metrics.source_bytes.saturating_sub(metrics.sent_bytes),
            encode_cpu_seconds: cpu.as_secs_f64(),
            encodes: EncodesStatus {
                running: metrics.inflight.saturating_sub(metrics.queue_length),
                queued: metrics.queue_length,
                by_coding: by_coding.collect(),
            },
            cache: CacheStatus {
                directory,
                entries: metrics.entries,
                bytes: metrics.entry_bytes,
                max_bytes,
                evictions: metrics.evictions,
                damaged_entries: metrics.damaged_entries,
                available: metrics.cache_available,
            },
            second_pass: SecondPassStatus {
                cpu_share: state.reload.reloader.started().recompress_cpu,
                figures: metrics.second_pass.as_ref().into(),
            },
            tier: metrics.tier.as_ref().and_then(|tier| TierStatus::of(state, tier)),
            connections: telemetry.connections(),
            first_byte_seconds: telemetry.first_byte(),
            log_lines_lost: telemetry.log_lines_lost(),
            certificates: telemetry
                .certificates()
                .into_iter()
                .map(CertificateStatus::from)
                .collect(),
            configuration: ConfigurationStatus::of(state),
            sites: SiteStatus::all(state),
        }
    }
}

impl TierStatus {
    fn of(state: &State, metrics: &TierMetrics) -> Option<Self> {
        let reloader = &state.reload.reloader;
        let (tier, choice) = (reloader.tier()?, reloader.started().tier.as_ref()?);
        Some(Self {
            place: tier.place().to_owned(),
            mode: choice.mode_name(),
            signed: choice.key_file.is_some(),
            figures: metrics.into(),
        })
    }
}

impl ConfigurationStatus {
    fn of(state: &State) -> Self {
        let LastReload { loaded, error } = state.telemetry.last_reload();
        let config = state.reload.reloader.current();
        Self {
            file: config.file.as_ref().map(|file| file.display().to_string()),
            generation: state.telemetry.generation(),
            loaded: unix_seconds(loaded),
            last_error: error,
        }
    }
}

impl From<CertificateFacts> for CertificateStatus {
    fn from(facts: CertificateFacts) -> Self {
        let CertificateFacts { file, names, not_after } = facts;
        Self { file, names, not_after: not_after.map(unix_seconds) }
    }
}

impl SiteStatus {
    fn all(state: &State) -> Vec<Self> {
        let config = state.reload.reloader.current();
        let sites = config.sites.iter().map(|site| Self {
            hosts: site.tables.hosts.clone(),
            root: site.root.display().to_string(),
        });
        sites.collect()
    }
}
