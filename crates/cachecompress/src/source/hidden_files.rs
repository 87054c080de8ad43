//! Files that a directory serves under no name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crate::fs::{Fingerprint, Stat};

/// The files that are hidden, whatever leads to them.
///
/// A file is known by its path and by its identity, which hard links share and symlinks lead to. It may
/// be replaced by another one at any time.
#[derive(Debug, Default)]
pub(super) struct HiddenFiles(RwLock<Vec<HiddenFile>>);

#[derive(Debug)]
struct HiddenFile {
    path: PathBuf,
    /// The same beneath the root, if it lies there.
    name: Option<PathBuf>,
    /// Its state at the last look, if there was one.
    known: Mutex<Option<Fingerprint>>,
}

impl HiddenFiles {
    /// Hides `file` from the directory `root`, an absolute path. Asks no disk.
    pub(super) fn add(&self, root: &Path, file: &Path) {
        let Ok(path) = std::path::absolute(file) else { return };
        let name = path.strip_prefix(root).ok().map(Into::into);
        let hidden = HiddenFile { path, name, known: Mutex::default() };
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(hidden);
    }

    /// Whether the file `name`, which was just opened and then had the state `found`, is hidden.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, if `stat` fails with it.
    pub(super) fn contain(
        &self,
        name: &Path,
        found: &Fingerprint,
        stat: impl Fn(&Path) -> io::Result<Stat>,
    ) -> io::Result<bool> {
        for hidden in &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            if hidden.name.as_deref() == Some(name) || hidden.is(found, &stat)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl HiddenFile {
    fn is(
        &self,
        found: &Fingerprint,
        stat: impl Fn(&Path) -> io::Result<Stat>,
    ) -> io::Result<bool> {
        // No lock is held across the call to the disk, which may hang: threads that serve come here,
        // too.
        let mut known = *self.lock();
        match &known {
            // A file that is replaced stays on its device. A disk that hangs and is not the found file's
            // is not asked.
            Some(known) if known.device != found.device => return Ok(false),
            // It may have been replaced since it was opened.
            Some(known) if known == found => return Ok(true),
            _ => {}
        }
        match stat(&self.path) {
            Ok(now) => {
                known = Some(now.fingerprint);
                *self.lock() = known;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            // Other names of the file that it was stay hidden.
            Err(_) => {}
        }
        // Not every disk numbers its files.
        let numbered = found.inode != 0;
        Ok(numbered && known.is_some_and(|known| known.identity() == found.identity()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fingerprint>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::FileKind;

    /// The state of a file that changed at so many seconds since 1970.
    fn state(inode: u64, changed: i128) -> Fingerprint {
        let nanos = changed * 1_000_000_000;
        Fingerprint { device: 1, inode, size: 1, modified: nanos, changed: nanos }
    }

    /// A lookup held the lock while it looked at a hidden file. When that hung, all lookups did.
    #[test]
    fn hidden_file_is_looked_at_without_a_lock() {
        let files = HiddenFiles::default();
        files.add(Path::new("/site"), Path::new("/etc/key.pem"));
        let stat = |_: &Path| {
            let hidden = files.0.read().unwrap();
            assert!(hidden[0].known.try_lock().is_ok(), "a look that hangs would hold others up");
            Ok(Stat { kind: FileKind::Regular, fingerprint: state(1, 100) })
        };
        assert!(files.contain(Path::new("a"), &state(1, 200), stat).unwrap());
    }
}
