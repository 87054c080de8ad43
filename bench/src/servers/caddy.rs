//! Caddy, with siblings or compressing every answer.

use std::process::Command;

use super::Setup;
use crate::{Outcome, places};

pub(super) fn command(setup: &Setup<'_>, compresses: bool) -> Outcome<Command> {
    let (site, port) = (setup.site.display(), setup.port);
    let files = if compresses {
        // As it comes it leaves binaries as they are.
        "encode {\n    zstd\n    gzip\n    match {\n      header Content-Type *\n    }\n  }\n  file_server"
    } else {
        "file_server {\n    precompressed br zstd gzip\n  }"
    };
    let text = format!(
        "{{
  admin off
  auto_https off
  persist_config off
  servers {{
    protocols h1 h2c
  }}
}}
http://127.0.0.1:{port} {{
  bind 127.0.0.1
  root * {site}
  {files}
}}
"
    );
    let file = setup.dir.join("Caddyfile");
    places::write(&file, text.as_bytes())?;
    let mut command = Command::new(setup.program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    // It keeps a store of certificates in the home, even where there are none.
    command.env("XDG_DATA_HOME", &setup.dir).env("XDG_CONFIG_HOME", &setup.dir);
    Ok(command)
}
