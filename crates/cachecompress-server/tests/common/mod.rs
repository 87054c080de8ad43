//! The common part of the test programs: servers, and assertions about responses.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test crate uses a part of it")]

pub use std::fs;
pub use std::path::{Path, PathBuf};
pub use std::sync::atomic::{AtomicBool, Ordering};
pub use std::time::{Duration, Instant, SystemTime};

pub use cachecompress_test::cache_dir;
pub use cachecompress_test::client::{Connection, End, Framing, Protocol, Request, Response};
pub use cachecompress_test::decode::{self, CODINGS, identity_tag, tag_digest};
pub use cachecompress_test::multipart;
pub use cachecompress_test::server::{Launch, Server};
pub use cachecompress_test::site::{self, Site};
pub use cachecompress_test::wait::{PATIENCE, eventually};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cachecompress");

pub const HIT: &str = "cachecompress; hit";
pub const STORED: &str = "cachecompress; fwd=miss; stored";
pub const COLLAPSED: &str = "cachecompress; fwd=miss; collapsed";

/// The flag with which no request gives up waiting for a coding, however busy the machine is.
pub const PATIENT: &str = "--patience 1h";

/// A server for `site` that waits for codings, so that slow machines change no outcome.
pub fn launch(site: &Site) -> Launch {
    Launch::new(PROGRAM, site.path()).args(PATIENT)
}

pub fn start(site: &Site) -> Server {
    launch(site).start()
}

/// A server with one more set of arguments.
pub fn start_with(site: &Site, arguments: &str) -> Server {
    launch(site).args(arguments).start()
}

/// Whether `command` ends well. Its output is dropped.
pub fn works(command: &mut std::process::Command) -> bool {
    let status = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    status.status().is_ok_and(|status| status.success())
}

/// The same server without the right to read every file, which root gives up. If that cannot be done, a
/// loud `SKIPPED` line says so.
#[cfg(unix)]
pub fn unprivileged(launch: Launch) -> Option<Launch> {
    if !rustix::process::geteuid().is_root() {
        return Some(launch);
    }
    let drop = "--bounding-set -dac_override,-dac_read_search --inh-caps -all";
    if works(std::process::Command::new("setpriv").args(drop.split(' ')).arg("true")) {
        return Some(launch.through(&format!("setpriv {drop}")));
    }
    decode::skipped("root may read everything, and there is no setpriv to give that up");
    None
}

/// Asserts promise 1: a body that ends cleanly decodes to exactly one of `versions`, which the
/// entity tag, if there is one, names.
#[track_caller]
pub fn assert_exact_or_aborted(response: &Response, versions: &[&[u8]]) -> bool {
    assert!(
        matches!(response.framing, Framing::Length(_) | Framing::Chunked | Framing::Stream),
        "the end of this body cannot be told from an abort: {:?}",
        response.head
    );
    if !response.is_clean() {
        return false;
    }
    let decoded = response.decoded();
    let Some(version) = versions.iter().find(|version| ***version == decoded) else {
        panic!("{} mixed bytes ended cleanly: {:?}", decoded.len(), response.head);
    };
    if let Some(tag) = response.header("etag").filter(|tag| !tag.starts_with("W/")) {
        let digest = tag_digest(version);
        assert!(tag.starts_with(&format!("\"{digest}")), "{tag} names other bytes than {digest}");
    }
    true
}

/// Asserts a 200 whose body is exactly `source` in `coding`, with the entity tag of both.
#[track_caller]
pub fn assert_is(response: &Response, source: &[u8], coding: &str) {
    assert_eq!(response.status(), 200, "{:?}", response.head);
    assert_eq!(response.coding(), coding, "{:?}", response.head);
    assert!(response.decoded() == source, "other bytes than the file's: {:?}", response.head);
    assert_eq!(response.head.all("content-encoding").len(), usize::from(coding != "identity"));
    assert_tag(response.etag(), source, coding);
}

/// Asserts the form of entity tags in design §4.
#[track_caller]
pub fn assert_tag(tag: &str, source: &[u8], coding: &str) {
    let digest = tag_digest(source);
    if coding == "identity" {
        assert_eq!(tag, format!("\"{digest}\""));
        return;
    }
    let id = tag
        .strip_prefix(&format!("\"{digest}-{coding}-"))
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or_else(|| panic!("{tag} is no tag for {coding} of {digest}"));
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    assert!(id.len() == 8 && id.bytes().all(base64url), "{tag}");
}

/// Asserts that a 200 response of a compressible type has Vary, in every coding.
#[track_caller]
pub fn assert_varies(response: &Response) {
    let vary = response.head.all("vary").join(", ");
    let named = vary.split(',').any(|name| name.trim().eq_ignore_ascii_case("accept-encoding"));
    assert!(named, "no Vary: Accept-Encoding in {:?}", response.head);
}

/// A file system in memory with its own bounds, mounted for one test.
pub struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    pub fn mount(options: &str) -> Option<Self> {
        let directory = tempfile::TempDir::with_prefix("disk-").unwrap();
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(directory.path())
            .stderr(std::process::Stdio::null())
            .status();
        if status.is_ok_and(|status| status.success()) {
            return Some(Self { directory });
        }
        decode::skipped(&format!("mounting a tmpfs ({options}) needs root on Linux"));
        None
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn remount(&self, options: &str) {
        let status = std::process::Command::new("mount")
            .args(["-o", &format!("remount,{options}"), "none"])
            .arg(self.directory.path())
            .status();
        assert!(status.unwrap().success(), "remount {options}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The unmount is lazy, as a server that is being killed may still hold files in it.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.directory.path()).status();
    }
}

/// A guard that tells threads to end, also when the test panics. A scope waits for its threads.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
