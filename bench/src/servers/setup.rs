//! The directories and ports of a server.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) program: &'a Path,
    pub(crate) site: &'a Path,
    /// For the configuration, logs and the process number.
    pub(crate) dir: PathBuf,
    /// For the server's own encodings, if it keeps them.
    pub(crate) cache: PathBuf,
    pub(crate) port: u16,
    /// A second port, for HTTP/2 where it cannot share the first.
    pub(crate) h2c_port: u16,
    /// The server's identity, if `port` speaks TLS, with both versions of HTTP. Only the servers of
    /// [`SPEAK_TLS`](super::SPEAK_TLS) heed it.
    pub(crate) identity: Option<&'a Identity>,
}

/// A certificate and its key, as PEM.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Identity {
    /// Makes a key of ECDSA with P-256, and signs its certificate with it.
    pub(crate) fn make(dir: &Path) -> anyhow::Result<Self> {
        let made = Self { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        command.args(["-noenc", "-subj", "/CN=127.0.0.1", "-addext"]);
        command.args(["subjectAltName=IP:127.0.0.1", "-days", "30", "-keyout"]);
        command.arg(&made.key).arg("-out").arg(&made.certificate);
        let output = command.output().context("cannot run openssl")?;
        ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        Ok(made)
    }
}

impl Setup<'_> {
    /// The configuration line with the user that the server changes to when root starts it; empty
    /// for other users. It is root, since the site may lie where only root may read.
    pub(crate) fn user_line(&self, directive: &str, end: &str) -> String {
        if rustix::process::geteuid().is_root() {
            format!("{directive} root{end}\n")
        } else {
            String::new()
        }
    }
}
