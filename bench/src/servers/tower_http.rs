//! tower-http under axum, the program in `src/bin/tower-http-peer.rs`.

use std::process::Command;

use super::setup::Setup;

pub(super) fn command(setup: &Setup<'_>, mode: &str) -> Command {
    let mut command = Command::new(setup.program);
    command.args([mode, &format!("127.0.0.1:{}", setup.port)]).arg(setup.site);
    command
}

/// The versions in `Cargo.lock`.
pub(super) fn version() -> String {
    let lock = include_str!("../../../Cargo.lock");
    let version = |name: &str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", rest.split('"').next()?))
    };
    ["tower-http", "axum"].into_iter().filter_map(version).collect::<Vec<_>>().join(", ")
}
