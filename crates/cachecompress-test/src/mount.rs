//! Real file systems that hang on demand.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::tools::require;
use crate::wait::eventually;

/// A way in which a file system hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The FUSE daemon is stopped: every call hangs.
    Fuse,
    /// An ext4 is frozen, as for a snapshot: what writes hangs, in a wait that no signal ends.
    Frozen,
}

/// A mounted file system of its own. It is unmounted when dropped.
#[derive(Debug)]
pub struct HangingMount {
    directory: TempDir,
    /// The daemon that answers a FUSE file system's calls.
    daemon: Option<Child>,
    fsfreeze: PathBuf,
}

/// The time in which a file system hangs, until it is dropped.
#[derive(Debug)]
pub struct Hang<'a>(&'a HangingMount);

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fuse, Self::Frozen];
}

impl HangingMount {
    /// Mounts a file system of that kind. If this machine cannot, prints a loud `SKIPPED` line and
    /// returns `None`.
    ///
    /// # Panics
    ///
    /// If the machine could, but a tool is missing and `CI=true`, because a skip is a failure there.
    #[must_use]
    pub fn new(kind: Kind) -> Option<Self> {
        let device = match kind {
            Kind::Fuse => "/dev/fuse",
            Kind::Frozen => "/dev/loop-control",
        };
        if !geteuid().is_root() || fs::metadata(device).is_err() {
            return cannot(kind, &format!("root and {device}"));
        }
        let (bindfs, mke2fs, fsfreeze) = match kind {
            Kind::Fuse => (require("bindfs")?, PathBuf::new(), PathBuf::new()),
            Kind::Frozen => (PathBuf::new(), require("mke2fs")?, require("fsfreeze")?),
        };
        let directory = TempDir::with_prefix("mount-").unwrap();
        let mut mount = Self { directory, daemon: None, fsfreeze };
        let (from, to) = (mount.directory.path().join("from"), mount.path());
        fs::create_dir(&to).unwrap();
        let is_mounted = match kind {
            Kind::Fuse => mount.start_daemon(&bindfs, &from),
            Kind::Frozen => {
                let image = fs::File::create(&from).unwrap();
                image.set_len(64 << 20).unwrap();
                let made = succeeds(Command::new(mke2fs).args(["-q", "-t", "ext4"]).arg(&from));
                made && succeeds(Command::new("mount").args(["-o", "loop"]).arg(&from).arg(&to))
            }
        };
        if is_mounted { Some(mount) } else { cannot(kind, "the right to mount") }
    }

    fn start_daemon(&mut self, bindfs: &Path, from: &Path) -> bool {
        fs::create_dir(from).unwrap();
        let to = self.path();
        let daemon =
            Command::new(bindfs).arg("-f").arg(from).arg(&to).stderr(Stdio::null()).spawn();
        let daemon = self.daemon.insert(daemon.unwrap());
        eventually("bindfs is there, or gives up", || {
            if daemon.try_wait().unwrap().is_some() {
                return Some(false);
            }
            fs::read_to_string("/proc/self/mounts").unwrap().contains(to.to_str()?).then_some(true)
        })
    }

    /// The directory of the file system.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("to")
    }

    /// Has the file system hang.
    #[must_use]
    pub fn hang(&self) -> Hang<'_> {
        let hang = Hang(self);
        match &self.daemon {
            Some(daemon) => signal(daemon, Signal::STOP),
            None => assert!(self.freeze("--freeze")),
        }
        hang
    }

    /// Ends the daemon of a FUSE file system. Every call then fails with ENOTCONN.
    pub fn die(&mut self) {
        let daemon = self.daemon.as_mut().expect("a FUSE file system");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    fn freeze(&self, how: &str) -> bool {
        succeeds(Command::new(&self.fsfreeze).arg(how).arg(self.path()))
    }
}

impl Drop for Hang<'_> {
    fn drop(&mut self) {
        match &self.0.daemon {
            Some(daemon) => signal(daemon, Signal::CONT),
            None => drop(self.0.freeze("--unfreeze")),
        }
    }
}

impl Drop for HangingMount {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let unmounted = succeeds(Command::new("umount").arg("--lazy").arg(self.path()));
        // The directory cannot be removed while it is mounted on.
        if !unmounted {
            drop(writeln!(std::io::stderr(), "{:?} stays mounted", self.path()));
        }
    }
}

fn signal(daemon: &Child, signal: Signal) {
    let id = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw);
    kill_process(id.unwrap(), signal).unwrap();
}

fn succeeds(command: &mut Command) -> bool {
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Says that a test is skipped, which is no failure: no tool would change that.
fn cannot<T>(kind: Kind, needed: &str) -> Option<T> {
    // The test runner captures `eprintln!` of a passing test.
    drop(writeln!(std::io::stderr(), "\nSKIPPED {kind:?}: this machine lacks {needed}"));
    None
}
