//! `POST /api/v1/reload`

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reply::{Answer, json, refuse};
use super::state::State;

/// No settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The configuration is in force.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct ReloadDone {
    /// The number of reloads before.
    generation: u64,
}

/// Reads the configuration anew and puts it into force.
pub(super) async fn reload(state: &State) -> Answer {
    match state.reload.once().await {
        Ok(generation) => Ok(json(StatusCode::OK, &ReloadDone { generation })),
        Err(sentence) => Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, sentence)),
    }
}
