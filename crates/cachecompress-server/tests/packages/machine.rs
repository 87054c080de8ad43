//! A copy of this machine whose changes vanish.

use std::process::Command;

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::common::*;
use crate::{stdout, words};

/// An overlay of this machine's root, which is unmounted and removed when dropped.
pub(crate) struct Machine {
    directory: TempDir,
}

/// Without root, prints a loud `SKIPPED` line and returns `None`.
///
/// # Panics
///
/// Without root if `CI=true`.
#[track_caller]
pub(crate) fn require_root() -> Option<()> {
    if !geteuid().is_root() {
        let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!is_ci, "SKIPPED: this test needs root");
        eprintln!("SKIPPED: this test needs root");
        return None;
    }
    Some(())
}

impl Machine {
    /// Makes one, if this is root (see [`require_root`]).
    ///
    /// # Panics
    ///
    /// If root cannot mount it.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        require_root()?;
        let machine = Self { directory: tempfile::tempdir().unwrap() };
        let base = machine.directory.path().display().to_string();
        // An overlay cannot lie in an overlay, as a container's root may be.
        stdout(&mut words(&format!("mount -t tmpfs packages {base}")));
        for name in ["upper", "work", "root"] {
            fs::create_dir(machine.directory.path().join(name)).unwrap();
        }
        let layers = format!("lowerdir=/,upperdir={base}/upper,workdir={base}/work");
        stdout(&mut words(&format!("mount -t overlay packages -o {layers} {base}/root")));
        for path in ["proc", "dev"] {
            stdout(&mut words(&format!("mount --rbind --make-rslave /{path} {base}/root/{path}")));
        }
        Some(machine)
    }

    /// The path of its file `path`.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path.trim_start_matches('/'))
    }

    /// The words of `line` as a command on it.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg(self.path("/")).args(line.split_whitespace());
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs the words of `line` on it, which must succeed, and returns their stdout.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> String {
        stdout(&mut self.command(line))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for path in ["root/proc", "root/dev", "root", ""] {
            let path = self.directory.path().join(path);
            let _ = Command::new("umount").args(["--recursive", "--lazy"]).arg(path).status();
        }
    }
}
