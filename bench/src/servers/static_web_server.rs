//! static-web-server with precompressed files.

use std::process::Command;

use super::setup::Setup;

pub(super) fn command(setup: &Setup<'_>) -> Command {
    let mut command = Command::new(setup.program);
    command.args(["--host", "127.0.0.1", "--port", &setup.port.to_string()]);
    command.arg("--root").arg(setup.site);
    command.args(["--compression", "false", "--compression-static", "true"]);
    command.args(["--threads-multiplier", "1", "--log-level", "error"]);
    command
}
