//! The list by which the files of earlier exports are known.

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::exit::Failure;
use crate::printer::EscapedPath;

/// The name of the list, in the directory of the export.
pub(super) const NAME: &str = ".cachecompress-export";

const TITLE: &str = "# SHA-256 of path, zero and bytes of each file that `cachecompress warm --export` has written here";

/// The digests of the files that exports have written to a directory.
///
/// A digest covers the file's path and its bytes: a copy elsewhere is not ours, nor is a file that was
/// edited. The list has no names, because a server may hand it out. A digest is added before its file gets
/// its name, so that a killed export leaves no file that is not listed.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// The list, locked against other exports; `None` if it is only read.
    file: Option<File>,
    digests: HashSet<String>,
}

impl Ledger {
    /// Opens or creates the list in `directory`, for one export at a time.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or another export runs.
    pub(super) fn open(directory: &Path) -> Result<Self, Failure> {
        let shown = EscapedPath(directory);
        let refused =
            |error: io::Error| Failure::Runtime(format!("cannot export to {shown}: {error}"));
        let path = directory.join(NAME);
        let options = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = options.map_err(refused)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let sentence = format!("another export to {shown} is running; wait for its end");
            return Err(Failure::Runtime(sentence));
        }
        let digests = read(&mut file).map_err(refused)?;
        if file.metadata().map_err(refused)?.len() == 0 {
            file.write_all(format!("{TITLE}\n").as_bytes()).map_err(refused)?;
        }
        Ok(Self(Mutex::new(Inner { file: Some(file), digests })))
    }

    /// Reads the list in `directory`. Without one, no file is ours.
    ///
    /// # Errors
    ///
    /// If there is one that cannot be read.
    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        let digests = match File::open(directory.join(NAME)) {
            Ok(mut file) => read(&mut file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashSet::new(),
            Err(error) => return Err(error),
        };
        Ok(Self(Mutex::new(Inner { file: None, digests })))
    }

    /// The digest of the `file` at `path`, if an export has written it.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn find(&self, path: &[u8], file: &Path) -> io::Result<Option<String>> {
        if self.lock().digests.is_empty() {
            return Ok(None);
        }
        let mut digest = FileDigest::of_path(path);
        io::copy(&mut File::open(file)?, &mut digest)?;
        let digest = digest.finish();
        Ok(self.lock().digests.contains(&digest).then_some(digest))
    }

    /// Forgets all digests but `kept`.
    ///
    /// # Errors
    ///
    /// If the list cannot be written.
    pub(super) fn keep(&self, kept: &BTreeSet<String>) -> io::Result<()> {
        let mut inner = self.lock();
        inner.digests.retain(|digest| kept.contains(digest));
        let Some(file) = &mut inner.file else { return Ok(()) };
        let lines: String = kept.iter().map(|digest| format!("{digest}\n")).collect();
        // A list that is cut off here forgets files, and no file is wrongly ours.
        file.set_len(0)?;
        file.write_all(format!("{TITLE}\n{lines}").as_bytes())
    }

    /// Adds the digest of a file that is about to get its name.
    ///
    /// # Errors
    ///
    /// If the list cannot be written.
    pub(super) fn add(&self, digest: FileDigest) -> io::Result<()> {
        let mut inner = self.lock();
        let digest = digest.finish();
        if inner.digests.contains(&digest) {
            return Ok(());
        }
        if let Some(file) = &mut inner.file {
            file.write_all(format!("{digest}\n").as_bytes())?;
        }
        inner.digests.insert(digest);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the digests. A line that is none counts for nothing.
fn read(file: &mut File) -> io::Result<HashSet<String>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let is_hex =
        |line: &&str| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(text.lines().filter(is_hex).map(str::to_owned).collect())
}

/// The digest of a file's path and bytes, which are written to it.
#[derive(Debug)]
pub(super) struct FileDigest(Sha256);

impl FileDigest {
    /// Starts with the path, relative to the directory of the export.
    pub(super) fn of_path(path: &[u8]) -> Self {
        Self(Sha256::new().chain_update(path).chain_update([0]))
    }

    fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl io::Write for FileDigest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_ours_by_its_path_and_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("a"), b"ours").unwrap();
        std::fs::write(path("b"), b"ours").unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        assert_eq!(ledger.find(b"a", &path("a")).unwrap(), None);
        let mut digest = FileDigest::of_path(b"a");
        digest.write_all(b"ours").unwrap();
        ledger.add(digest).unwrap();
        assert!(matches!(Ledger::open(directory.path()), Err(Failure::Runtime(_))), "two exports");
        drop(ledger);
        let find = |name: &str| {
            let ledger = Ledger::read(directory.path()).unwrap();
            ledger.find(name.as_bytes(), &path(name)).unwrap()
        };
        assert!(find("a").is_some() && find("b").is_none(), "b is a copy");
        std::fs::write(path("a"), b"ours, edited").unwrap();
        assert_eq!(find("a"), None);
        std::fs::write(path("a"), b"ours").unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        assert!(ledger.find(b"a", &path("a")).unwrap().is_some());
        ledger.keep(&BTreeSet::new()).unwrap();
        assert_eq!(find("a"), None);
        std::fs::remove_file(path(NAME)).unwrap();
        assert_eq!(find("a"), None);
    }
}
