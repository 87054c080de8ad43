//! cachecompress with its defaults, but with one thread for its one core.

use std::process::Command;

use super::setup::Setup;

pub(super) fn command(setup: &Setup<'_>, flags: &[&str]) -> Command {
    let mut command = Command::new(setup.program);
    command.arg("serve").arg(setup.site).arg("--cache-dir").arg(&setup.cache);
    command.args(["--listen", &format!("127.0.0.1:{}", setup.port)]);
    command.args(["--threads", "1", "--log-level", "off"]).args(flags);
    if let Some(identity) = setup.identity {
        command.arg("--tls-cert").arg(&identity.certificate).arg("--tls-key").arg(&identity.key);
    }
    command
}
