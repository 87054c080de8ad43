//! h2o with precompressed files.

use std::process::Command;

use super::setup::Setup;
use crate::files;

pub(super) fn command(setup: &Setup<'_>) -> anyhow::Result<Command> {
    let (dir, site, port) = (setup.dir.display(), setup.site.display(), setup.port);
    let user = setup.user_line("user:", "");
    let text = format!(
        "{user}num-threads: 1
max-connections: 8192
pid-file: {dir}/h2o.pid
error-log: {dir}/error.log
listen:
  host: 127.0.0.1
  port: {port}
hosts:
  default:
    paths:
      /:
        file.dir: {site}
        file.send-compressed: ON
"
    );
    let file = setup.dir.join("h2o.conf");
    files::write(&file, text)?;
    let mut command = Command::new(setup.program);
    command.arg("-c").arg(file);
    Ok(command)
}
