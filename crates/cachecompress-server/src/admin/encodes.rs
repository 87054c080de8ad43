//! `GET /api/v1/encodes`

use cachecompress::EncodeProgress;
use schemars::JsonSchema;
use serde::Serialize;

use super::state::State;

/// The encodes that run or wait for a thread, the oldest first.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct EncodeList {
    encodes: Vec<EncodeRow>,
}

/// An encode.
#[derive(Debug, JsonSchema, Serialize)]
struct EncodeRow {
    /// The path of the file in its site.
    path: String,
    /// The digest of the file's bytes, in hexadecimal digits.
    digest: String,
    coding: String,
    /// The file's length in bytes.
    source_bytes: u64,
    /// The number of its bytes that the encoder has taken.
    read_bytes: u64,
    /// The number of encoded bytes so far.
    encoded_bytes: u64,
    /// The number of requests that wait for bytes of it.
    waiters: usize,
    /// `running` or `queued`.
    state: &'static str,
    /// The time since it was queued, or since it runs.
    seconds: f64,
}

impl EncodeList {
    pub(super) fn of(state: &State) -> Self {
        let encodes = state.telemetry.metrics().encodes_under_way.into_iter();
        Self { encodes: encodes.map(EncodeRow::from).collect() }
    }
}

impl From<EncodeProgress> for EncodeRow {
    fn from(encode: EncodeProgress) -> Self {
        Self {
            path: format!("/{}", encode.path),
            digest: encode.digest.hex(),
            coding: encode.coding.to_string(),
            source_bytes: encode.source_bytes,
            read_bytes: encode.read_bytes,
            encoded_bytes: encode.encoded_bytes,
            waiters: encode.waiters,
            state: encode.state.as_str(),
            seconds: encode.elapsed.as_secs_f64(),
        }
    }
}
