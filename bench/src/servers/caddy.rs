//! Caddy, with precompressed files or compressing every response.

use std::process::Command;

use super::setup::Setup;
use crate::files;

pub(super) fn command(setup: &Setup<'_>, compresses: bool) -> anyhow::Result<Command> {
    let (site, port) = (setup.site.display(), setup.port);
    let files = if compresses {
        // By default Caddy does not encode binaries.
        "encode {\n    zstd\n    gzip\n    match {\n      header Content-Type *\n    }\n  }\n  file_server"
    } else {
        "file_server {\n    precompressed br zstd gzip\n  }"
    };
    let (scheme, protocols, tls) = match setup.identity {
        None => ("http", "h1 h2c", String::new()),
        Some(identity) => {
            let (certificate, key) = (identity.certificate.display(), identity.key.display());
            ("https", "h1 h2", format!("tls {certificate} {key}"))
        }
    };
    let text = format!(
        "{{
  admin off
  auto_https off
  persist_config off
  servers {{
    protocols {protocols}
  }}
}}
{scheme}://127.0.0.1:{port} {{
  bind 127.0.0.1
  {tls}
  root * {site}
  {files}
}}
"
    );
    let file = setup.dir.join("Caddyfile");
    files::write(&file, text)?;
    let mut command = Command::new(setup.program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    // Caddy makes a store of certificates in the home directory, even without certificates.
    command.env("XDG_DATA_HOME", &setup.dir).env("XDG_CONFIG_HOME", &setup.dir);
    Ok(command)
}
