//! nginx, tuned for static files as its documentation advises.

use std::path::Path;
use std::process::Command;

use super::setup::Setup;
use crate::files;

/// The module of Debian's package for brotli.
const BROTLI: &str = "/usr/lib/nginx/modules/ngx_http_brotli_static_module.so";

pub(super) fn command(setup: &Setup<'_>, compresses: bool) -> anyhow::Result<Command> {
    let file = setup.dir.join("nginx.conf");
    files::write(&file, configuration(setup, compresses))?;
    let mut command = Command::new(setup.program);
    command.arg("-e").arg(setup.dir.join("error.log"));
    command.arg("-p").arg(&setup.dir).arg("-c").arg(file);
    Ok(command)
}

fn configuration(setup: &Setup<'_>, compresses: bool) -> String {
    let (dir, site) = (setup.dir.display(), setup.site.display());
    let brotli = Path::new(BROTLI).exists();
    let load = if brotli { format!("load_module {BROTLI};\n") } else { String::new() };
    let compression = match (compresses, brotli) {
        (true, _) => "gzip on; gzip_vary on; gzip_types text/plain application/octet-stream;",
        (false, true) => "gzip_static on; gzip_vary on; brotli_static on;",
        (false, false) => "gzip_static on; gzip_vary on;",
    };
    let user = setup.user_line("user", ";");
    let listen = listen(setup);
    format!(
        "{load}{user}daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
events {{ worker_connections 8192; multi_accept on; }}
http {{
  types {{ text/plain txt; font/woff2 woff2; video/mp4 mp4; }}
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=10000 inactive=60s;
  access_log off;
  keepalive_timeout 65;
  keepalive_requests 1000000000;
  {compression}
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{
{listen}    root {site};
  }}
}}
"
    )
}

fn listen(setup: &Setup<'_>) -> String {
    let (port, h2c_port) = (setup.port, setup.h2c_port);
    let Some(identity) = setup.identity else {
        return format!(
            "    listen 127.0.0.1:{port} backlog=4096;
    listen 127.0.0.1:{h2c_port} http2 backlog=4096;
"
        );
    };
    let (certificate, key) = (identity.certificate.display(), identity.key.display());
    format!(
        "    listen 127.0.0.1:{port} ssl http2 backlog=4096;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:SSL:10m;
"
    )
}
