//! The figures of the second pass, as the admin API sends them.

use cachecompress::SecondPassMetrics;
use schemars::JsonSchema;
use serde::Serialize;

/// The counters of the second pass at one moment, as totals.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct SecondPassFigures {
    /// The number of encodes that ended, those that saved too little among them.
    encodes: u64,
    /// The bytes by which entries have become smaller.
    saved_bytes: u64,
    /// The processor time, in seconds.
    cpu_seconds: f64,
}

impl From<Option<&SecondPassMetrics>> for SecondPassFigures {
    fn from(second_pass: Option<&SecondPassMetrics>) -> Self {
        let metrics = second_pass.cloned().unwrap_or_default();
        Self {
            encodes: metrics.encodes,
            saved_bytes: metrics.saved_bytes,
            cpu_seconds: metrics.cpu.as_secs_f64(),
        }
    }
}
