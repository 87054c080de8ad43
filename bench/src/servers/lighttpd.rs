//! lighttpd, which keeps what it compresses, as we do.

use std::process::Command;

use super::Setup;
use crate::{Outcome, places};

pub(super) fn command(setup: &Setup<'_>) -> Outcome<Command> {
    let (dir, site, port) = (setup.dir.display(), setup.site.display(), setup.port);
    let cache = setup.cache.display();
    // The largest text here is larger than what it compresses at most as it comes (128 MiB).
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
    places::write(&file, text.as_bytes())?;
    let mut command = Command::new(setup.program);
    command.args(["-D", "-f"]).arg(file);
    Ok(command)
}
