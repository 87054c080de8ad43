//! h2o with compressed siblings.

use std::process::Command;

use super::{Setup, user};
use crate::{Outcome, places};

pub(super) fn command(setup: &Setup<'_>) -> Outcome<Command> {
    let (dir, site, port) = (setup.dir.display(), setup.site.display(), setup.port);
    let user = if user().is_empty() { String::new() } else { format!("user: {}\n", user()) };
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
    places::write(&file, text.as_bytes())?;
    let mut command = Command::new(setup.program);
    command.arg("-c").arg(file);
    Ok(command)
}
