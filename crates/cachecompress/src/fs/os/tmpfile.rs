//! Files that have no name until they are published.
//!
//! On Linux such a file is anonymous (`O_TMPFILE`), so a writer that dies leaves nothing. It has a
//! private name on other platforms, and on file systems without anonymous files.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use super::platform;
use crate::concurrency::sync::{Mutex, lock};
use crate::fs::file::has_a_name;

/// The start of the private name of an unnamed file, on platforms without anonymous files.
///
/// A file of such a name that is older than any encode was left by a process that was killed.
pub const PRIVATE_PREFIX: &str = ".unnamed-";

/// The way in which a file without a name gets one; `None` once it has it.
#[derive(Debug)]
pub(super) struct Unnamed(Mutex<Option<Way>>);

#[derive(Debug)]
enum Way {
    /// The file is anonymous and gets its first and only link.
    Link,
    /// The file has this private name, until it is published or dropped.
    Rename(PathBuf),
}

impl Unnamed {
    pub(super) fn create(dir: &Path) -> io::Result<(File, Self)> {
        match os::create_anonymous(dir)? {
            Some(file) => Ok((file, Self(Mutex::new(Some(Way::Link))))),
            None => Self::create_private(dir),
        }
    }

    fn create_private(dir: &Path) -> io::Result<(File, Self)> {
        let mut options = platform::private_file();
        options.read(true).write(true).create_new(true);
        loop {
            // 64 bits that nobody can guess. `create_new` decides if two are equal.
            let random = RandomState::new().build_hasher().finish();
            let path = dir.join(format!("{PRIVATE_PREFIX}{random:016x}"));
            match options.open(&path) {
                Ok(file) => return Ok((file, Self(Mutex::new(Some(Way::Rename(path)))))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives `file` the name `path`, if nothing has it.
    pub(super) fn publish(&self, file: &File, path: &Path) -> io::Result<()> {
        let mut way = lock(&self.0);
        match way.as_ref().ok_or_else(has_a_name)? {
            Way::Link => os::link_anonymous(file, path)?,
            Way::Rename(from) if !leads_to(from, file)? => {
                return Err(io::ErrorKind::NotFound.into());
            }
            Way::Rename(from) => match std::fs::hard_link(from, path) {
                Ok(()) => drop(std::fs::remove_file(from)),
                Err(error) if no_hard_links(&error) => os::rename_no_replace(from, path)?,
                Err(error) => return Err(error),
            },
        }
        *way = None;
        Ok(())
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if let Some(Way::Rename(path)) = &*lock(&self.0) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether `path` still leads to `file`. If the directory was replaced by a copy of itself, it
/// leads to a copy that is not finished.
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let there = platform::stat_path(path)?.fingerprint;
    Ok(there.identity() == platform::stat_file(file)?.fingerprint.identity())
}

/// Whether the file system has no hard links. FAT returns EPERM, others say `Unsupported`.
fn no_hard_links(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), PermissionDenied | TooManyLinks | Unsupported)
}

/// Renames `from` to `to` if nothing is there. It is the last resort on a file system that has
/// neither hard links nor an exclusive rename.
///
/// Somebody else's file may appear between the look and the rename, and be replaced. Both were
/// proven to hold the same bytes, so nobody can tell. A placeholder made with `create_new` would
/// keep others out, but readers would see it empty.
fn look_and_rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::rename(from, to),
        Err(error) => Err(error),
    }
}

#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
mod os {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::Path;
    use std::sync::OnceLock;

    use rustix::fs::{AtFlags, CWD, OFlags, RenameFlags, linkat, renameat_with};
    use rustix::io::Errno;

    /// Creates an anonymous file; `None` if the file system (EOPNOTSUPP) or the kernel (EISDIR) has
    /// none.
    pub(super) fn create_anonymous(dir: &Path) -> io::Result<Option<File>> {
        if !proc_is_there() {
            return Ok(None);
        }
        let mut options = super::platform::private_file();
        options.read(true).write(true).custom_flags(OFlags::TMPFILE.bits().cast_signed());
        match options.open(dir) {
            Ok(file) => Ok(Some(file)),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::OPNOTSUPP | Errno::ISDIR) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Links `file` through /proc, as open(2) recommends: AT_EMPTY_PATH needs a privilege before
    /// Linux 6.10.
    pub(super) fn link_anonymous(file: &File, path: &Path) -> io::Result<()> {
        let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, descriptor, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }

    /// Whether /proc is mounted. It is asked before the file is made, because ENOENT of the link
    /// would mean either that /proc is missing or that the directory is.
    fn proc_is_there() -> bool {
        static ANSWER: OnceLock<bool> = OnceLock::new();
        *ANSWER.get_or_init(|| Path::new("/proc/self/fd").is_dir())
    }

    pub(super) fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => super::look_and_rename(from, to),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(not(all(target_os = "linux", not(cachecompress_portable))))]
mod os {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    pub(super) fn create_anonymous(_: &Path) -> io::Result<Option<File>> {
        Ok(None)
    }

    pub(super) fn link_anonymous(_: &File, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) use super::look_and_rename as rename_no_replace;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands in for a file system without hard links, which no test can mount.
    #[test]
    fn rename_never_replaces_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for rename in [os::rename_no_replace, look_and_rename] {
            std::fs::write(&from, "new").unwrap();
            std::fs::write(&to, "old").unwrap();
            assert_eq!(rename(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(&to).unwrap(), b"old");
            std::fs::remove_file(&to).unwrap();
            rename(&from, &to).unwrap();
            assert_eq!(std::fs::read(&to).unwrap(), b"new");
            let gone = dir.path().join("gone/to");
            assert_eq!(rename(&to, &gone).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    /// A directory that was moved away and replaced by a copy of itself, such as a backup, holds a
    /// copy of the unfinished file under the same private name.
    #[test]
    fn publish_refuses_a_copy_under_the_private_name() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("dir");
        std::fs::create_dir(&dir).unwrap();
        let (file, unnamed) = Unnamed::create_private(&dir).unwrap();
        let name = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().file_name();
        std::fs::rename(&dir, parent.path().join("away")).unwrap();
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(name), "half of").unwrap();
        let path = dir.join("published");
        let error = unnamed.publish(&file, &path).unwrap_err();
        assert_eq!((error.kind(), path.exists()), (io::ErrorKind::NotFound, false));
    }

    #[test]
    fn private_name_goes_when_its_file_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(dir.path()).unwrap().count();
        let (file, unnamed) = Unnamed::create_private(dir.path()).unwrap();
        assert_eq!(names(), 1);
        drop((file, unnamed));
        assert_eq!(names(), 0);
        let (file, unnamed) = Unnamed::create_private(dir.path()).unwrap();
        let path = dir.path().join("published");
        unnamed.publish(&file, &path).unwrap();
        assert!(unnamed.publish(&file, &dir.path().join("again")).is_err());
        drop((file, unnamed));
        assert_eq!((names(), path.exists()), (1, true));
    }
}
