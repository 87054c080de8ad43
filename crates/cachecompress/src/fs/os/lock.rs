//! An exclusive lock on a file's name.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::platform;
use crate::fs::DiskLock;
use crate::limits;

/// An exclusive lock that an open file description holds (`flock` on Unix, `LockFileEx` on
/// Windows). Neither another process nor another call in this one gets it meanwhile.
#[derive(Debug)]
pub(super) struct FileLock {
    /// Dropped, and so unlocked, after the name is gone.
    file: File,
    path: PathBuf,
}

impl DiskLock for FileLock {
    fn announce(&self, size: u64) -> io::Result<()> {
        platform::set_sparse_len(&self.file, size)
    }
}

impl FileLock {
    pub(super) fn try_new(path: &Path) -> io::Result<Option<Self>> {
        let mut options = platform::private_file();
        options.read(true).write(true).create(true).truncate(false);
        for _ in 0..limits::LOCK_ATTEMPTS {
            let file = options.open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
                Err(std::fs::TryLockError::Error(error)) => return Err(error),
            }
            // The holder before us may have removed the file between our open and our lock. The
            // next caller then creates it anew, and a lock on the old file excludes nobody.
            let lock = Self { file, path: path.to_owned() };
            if lock.is_named()? {
                return Ok(Some(lock));
            }
        }
        Ok(None)
    }

    /// Whether the name still leads to the locked file.
    fn is_named(&self) -> io::Result<bool> {
        let locked = platform::stat_file(&self.file)?.fingerprint;
        match platform::stat_path(&self.path) {
            Ok(named) => Ok(named.fingerprint.identity() == locked.identity()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Removed under the lock, and only if it is ours: after an `rm -rf` of the cache the name
        // may be somebody else's lock.
        if self.is_named().unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file is created and removed at every turn, so a lock on a file that has lost its name
    /// would let two threads in.
    #[test]
    fn lock_excludes_other_threads_when_its_file_comes_and_goes() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let (inside, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let Some(lock) = FileLock::try_new(&path).unwrap() else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
        assert!(!path.exists());
    }
}
