//! `GET /api/v1/history`

use schemars::JsonSchema;
use serde::Serialize;

use super::state::State;
use crate::limits::HISTORY_INTERVAL;
use crate::telemetry::Sample;

/// An hour of samples, the oldest first.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct HistoryList {
    /// The time between two samples.
    interval_seconds: u64,
    samples: Vec<Sample>,
}

impl HistoryList {
    pub(super) fn of(state: &State) -> Self {
        Self { interval_seconds: HISTORY_INTERVAL.as_secs(), samples: state.telemetry.history() }
    }
}
