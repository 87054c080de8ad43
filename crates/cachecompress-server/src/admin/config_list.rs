//! `GET /api/v1/config`

use schemars::JsonSchema;
use serde::Serialize;

use super::state::State;
use crate::config_file::Setting;

/// The configuration in force, as `config print` prints it.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct ConfigList {
    settings: Vec<Setting>,
}

impl ConfigList {
    pub(super) fn of(state: &State) -> Self {
        Self { settings: state.reload.reloader.current().settings.clone() }
    }
}
