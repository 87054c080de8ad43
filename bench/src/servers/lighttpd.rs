//! lighttpd, which caches its encodings, as cachecompress does.

use std::process::Command;

use super::setup::Setup;
use crate::files;

pub(super) fn command(setup: &Setup<'_>) -> anyhow::Result<Command> {
    let (dir, site, port) = (setup.dir.display(), setup.site.display(), setup.port);
    let cache = setup.cache.display();
    // The largest text exceeds the default limit of 128 MiB.
    let text = format!(
        r#"server.modules = ("mod_deflate")
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{site}"
server.pid-file = "{dir}/lighttpd.pid"
server.errorlog = "{dir}/error.log"
server.upload-dirs = ("{dir}")
server.max-fds = 16384
server.max-connections = 8192
server.listen-backlog = 4096
server.max-keep-alive-requests = 1000000000
mimetype.assign = (".txt" => "text/plain", ".woff2" => "font/woff2", ".mp4" => "video/mp4",
  "" => "application/octet-stream")
deflate.mimetypes = ("text/plain", "application/octet-stream")
deflate.allowed-encodings = ("gzip")
deflate.cache-dir = "{cache}"
deflate.max-compress-size = 524288
"#
    );
    let file = setup.dir.join("lighttpd.conf");
    files::write(&file, text)?;
    let mut command = Command::new(setup.program);
    command.args(["-D", "-f"]).arg(file);
    Ok(command)
}
