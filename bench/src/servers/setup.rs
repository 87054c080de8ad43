//! The directories and ports of a server.

use std::path::{Path, PathBuf};

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
