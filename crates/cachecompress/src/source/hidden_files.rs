//! Files that a directory serves under no name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use crate::fs::{Fingerprint, Stat};
use crate::http::CODED_EXTENSIONS;
use crate::limits::{FILE_REST, HIDDEN_TRUSTED};

/// The files that are hidden, whatever leads to them.
///
/// A file is known by its path and by its identity, which hard links share and symlinks lead to. It may
/// be replaced by another one at any time. A coded copy beside any of its names is hidden, too:
/// `server.toml.br` holds what `server.toml` says.
#[derive(Debug, Default)]
pub(super) struct HiddenFiles(RwLock<Vec<HiddenFile>>);

#[derive(Debug)]
struct HiddenFile {
    path: PathBuf,
    /// The same beneath the root, if it lies there.
    name: Option<PathBuf>,
    known: Mutex<Known>,
}

/// The result of the last look at a hidden file.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The time at which it began, if there was one.
    at: Option<SystemTime>,
    /// The file's state when it was last seen.
    state: Option<Fingerprint>,
    /// Whether its path leads nowhere by now.
    is_gone: bool,
}

impl Known {
    /// Whether the look still tells at `now` whether `found` is the hidden file.
    ///
    /// A rename and a new hard link change a file's inode, so that no earlier look counts. Another
    /// target of a symlink on the way to the hidden file does not, and is seen within
    /// [`HIDDEN_TRUSTED`].
    fn counts_for(&self, found: &Fingerprint, now: SystemTime) -> bool {
        self.at.is_some_and(|at| {
            found.rested(FILE_REST, at)
                && now.duration_since(at).is_ok_and(|age| age < HIDDEN_TRUSTED)
        })
    }
}

impl HiddenFiles {
    /// Hides `file` from the directory `root`, an absolute path. Asks no disk.
    pub(super) fn add(&self, root: &Path, file: &Path) {
        let Ok(path) = std::path::absolute(file) else { return };
        let name = path.strip_prefix(root).ok().map(Into::into);
        let hidden = HiddenFile { path, name, known: Mutex::default() };
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(hidden);
    }

    /// Whether the file `name` beneath `root`, which was just opened and then had the state `found`, is
    /// hidden.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, if `stat` fails with it.
    pub(super) fn contain(
        &self,
        root: &Path,
        name: &Path,
        found: &Fingerprint,
        stat: impl Fn(&Path) -> io::Result<Stat>,
    ) -> io::Result<bool> {
        self.contain_at(SystemTime::now(), (root, name), found, stat)
    }

    fn contain_at(
        &self,
        now: SystemTime,
        (root, name): (&Path, &Path),
        found: &Fingerprint,
        stat: impl Fn(&Path) -> io::Result<Stat>,
    ) -> io::Result<bool> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let named = |name: &Path| all.iter().any(|hidden| hidden.name.as_deref() == Some(name));
        let plain = if all.is_empty() { None } else { without_coding(name) };
        if named(name) || plain.as_deref().is_some_and(named) {
            return Ok(true);
        }
        let plain = match plain.map(|plain| stat(&root.join(plain))) {
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Some(Ok(plain)) => Some(plain.fingerprint),
            Some(Err(_)) | None => None,
        };
        for hidden in &*all {
            if hidden.is(now, found, &stat)? {
                return Ok(true);
            }
            if let Some(plain) = &plain
                && hidden.is(now, plain, &stat)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns the name of the file that `name` may be a coded copy of.
fn without_coding(name: &Path) -> Option<PathBuf> {
    let extension = name.extension()?;
    let is_coded = CODED_EXTENSIONS.iter().any(|(coded, _)| extension.eq_ignore_ascii_case(coded));
    is_coded.then(|| name.with_extension(""))
}

impl HiddenFile {
    fn is(
        &self,
        now: SystemTime,
        found: &Fingerprint,
        stat: impl Fn(&Path) -> io::Result<Stat>,
    ) -> io::Result<bool> {
        // No lock is held across the call to the disk, which may hang: threads that serve come here,
        // too.
        let mut known = *self.lock();
        match &known.state {
            // A file that is replaced stays on its device. A disk that hangs and is not the found file's
            // is not asked.
            Some(known) if known.device != found.device => return Ok(false),
            // It may have been replaced since it was opened.
            Some(known) if known == found => return Ok(true),
            _ => {}
        }
        if !known.counts_for(found, now) {
            match stat(&self.path) {
                Ok(looked) => {
                    (known.state, known.is_gone) = (Some(looked.fingerprint), false);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // Other names of the file that it was stay hidden.
                Err(_) => known.is_gone = true,
            }
            known.at = Some(now);
            *self.lock() = known;
        }
        // Not every disk numbers its files, and a new file may have the number of one that is gone.
        let is_other_name = |state: Fingerprint| {
            let may_be_new =
                known.is_gone && (state.size, state.modified) != (found.size, found.modified);
            state.identity() == found.identity() && !may_be_new
        };
        Ok(found.inode != 0 && known.state.is_some_and(is_other_name))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

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
        assert!(files.contain(Path::new("/site"), Path::new("a"), &state(1, 200), stat).unwrap());
    }

    /// Each lookup on the device of 41 hidden files looked at all of them.
    #[test]
    fn hidden_file_is_looked_at_once_a_second_for_files_at_rest() {
        let files = HiddenFiles::default();
        files.add(Path::new("/site"), Path::new("/etc/key.pem"));
        files.add(Path::new("/site"), Path::new("/etc/missing.pem"));
        let (looks, hidden) = (Cell::new(0), Cell::new(state(1, 100)));
        let contains = |millis, found: Fingerprint| {
            let stat = |path: &Path| {
                looks.set(looks.get() + 1);
                match path.ends_with("key.pem") {
                    true => Ok(Stat { kind: FileKind::Regular, fingerprint: hidden.get() }),
                    false => Err(io::ErrorKind::NotFound.into()),
                }
            };
            let now = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            files.contain_at(now, (Path::new("/site"), Path::new("a")), &found, stat).unwrap()
        };
        for (millis, expected) in [(1_000_000, 2), (1_000_400, 2), (1_000_999, 2), (1_001_000, 4)] {
            assert!(!contains(millis, state(2, 100)));
            assert_eq!(looks.get(), expected, "{millis}");
        }
        assert!(contains(1_001_001, state(1, 100)) && looks.get() == 4, "its number is known");

        // A file that was renamed to its name, or got it as a further one, has just changed.
        hidden.set(state(3, 1_001));
        assert!(contains(1_001_002, state(3, 1_001)) && looks.get() == 5);
        // Another target of a symlink on the way to it is seen after a second.
        hidden.set(state(4, 100));
        assert!(!contains(1_001_999, state(4, 100)));
        assert!(contains(1_002_002, state(4, 100)));
        // The clock was set back.
        hidden.set(state(5, 100));
        assert!(contains(900_000, state(5, 100)));
    }

    /// A page that a build made anew was hidden, as its disk gave it the number of a removed file.
    #[test]
    fn new_file_with_the_number_of_a_hidden_one_that_is_gone_is_visible() {
        let files = HiddenFiles::default();
        files.add(Path::new("/site"), Path::new("/site/_headers"));
        let is_there = Cell::new(true);
        let contains = |seconds: u64, found: Fingerprint| {
            let stat = |_: &Path| match is_there.get() {
                true => Ok(Stat { kind: FileKind::Regular, fingerprint: state(7, 100) }),
                false => Err(io::ErrorKind::NotFound.into()),
            };
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            files.contain_at(now, (Path::new("/site"), Path::new("a")), &found, stat).unwrap()
        };
        // A further name of the file, whose link count changed after it.
        let linked = Fingerprint { changed: 200_000_000_000, ..state(7, 100) };
        assert!(contains(1_000, linked));
        is_there.set(false);
        assert!(contains(2_000, linked), "its bytes are still those of the hidden file");
        assert!(!contains(2_000, state(7, 1_500)), "another file");
        is_there.set(true);
        assert!(contains(3_000, linked));
    }
}
