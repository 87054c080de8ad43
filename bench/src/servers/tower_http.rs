//! tower-http under axum: `src/bin/tower-http-peer.rs`.

use std::process::Command;

use super::Setup;
use crate::Outcome;

pub(super) fn command(setup: &Setup<'_>, mode: &str) -> Outcome<Command> {
    let mut command = Command::new(setup.program);
    command.args([mode, &format!("127.0.0.1:{}", setup.port)]).arg(setup.site);
    Ok(command)
}

/// The versions that `Cargo.lock` names.
pub(super) fn version() -> String {
    let lock = include_str!("../../../Cargo.lock");
    let version = |name: &str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", rest.split('"').next()?))
    };
    ["tower-http", "axum"].into_iter().filter_map(version).collect::<Vec<_>>().join(", ")
}
