//! The list by which the files of earlier exports are known.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::{regular_file, temporary};
use crate::exit::Failure;
use crate::printer::EscapedPath;

/// The name of the list, in the directory of the export.
pub(super) const NAME: &str = ".cachecompress-export";

const TITLE: &str = "# SHA-256 of path, zero and bytes of each file that `cachecompress warm --export` has written here\n";

/// The digests of the files that exports have written to a directory.
///
/// A digest covers the file's path and its bytes: a copy elsewhere is not ours, nor is a file that was
/// edited. The list has no names, because a server may hand it out. A digest is added before its file gets
/// its name, so that a killed export leaves no coded file that is not listed. It goes with the file that was
/// removed or replaced, and no sooner: a file that is not seen now may be seen again.
#[derive(Debug)]
pub(super) struct Ledger {
    directory: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The list, locked against other exports; `None` if it is only read.
    file: Option<File>,
    digests: HashSet<String>,
    /// Whether the list has digests that were forgotten.
    is_outdated: bool,
}

impl Ledger {
    /// Opens or creates the list in `directory`, for one export at a time.
    ///
    /// # Errors
    ///
    /// If it cannot be written, is no list, or another export runs.
    pub(super) fn open(directory: &Path) -> Result<Self, Failure> {
        let shown = EscapedPath(directory);
        let refused =
            |error: io::Error| Failure::Runtime(format!("cannot export to {shown}: {error}"));
        let list = open_list(directory, OpenOptions::new().read(true).append(true).create(true));
        let mut file = list.map_err(refused)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let sentence = format!("another export to {shown} is running; wait for its end");
            return Err(Failure::Runtime(sentence));
        }
        let text = read(&mut file).map_err(refused)?;
        mend(&mut file, &text).map_err(refused)?;
        Ok(Self::new(directory, Some(file), &text))
    }

    /// Reads the list in `directory`. Without one, no file is ours.
    ///
    /// # Errors
    ///
    /// If there is one that cannot be read, or is no list.
    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        let text = match open_list(directory, OpenOptions::new().read(true)) {
            Ok(mut file) => read(&mut file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        Ok(Self::new(directory, None, &text))
    }

    /// A line of `text` that is no digest counts for nothing.
    fn new(directory: &Path, file: Option<File>, text: &str) -> Self {
        let is_hex =
            |line: &&str| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digests = text.lines().filter(is_hex).map(str::to_owned).collect();
        let inner = Mutex::new(Inner { file, digests, is_outdated: false });
        Self { directory: directory.to_owned(), inner }
    }

    /// The digest of the `file` at `path`, if an export has written it. No export writes a symlink.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn find(&self, path: &[u8], file: &Path) -> io::Result<Option<String>> {
        if self.lock().digests.is_empty() || !file.symlink_metadata()?.is_file() {
            return Ok(None);
        }
        let mut digest = FileDigest::of_path(path);
        let mut file = regular_file::open_itself(file, OpenOptions::new().read(true))?;
        io::copy(&mut file, &mut digest)?;
        let digest = digest.finish();
        Ok(self.lock().digests.contains(&digest).then_some(digest))
    }

    /// Forgets the digest of a file that was removed or replaced.
    pub(super) fn forget(&self, digest: &str) {
        let mut inner = self.lock();
        inner.is_outdated |= inner.digests.remove(digest);
    }

    /// Writes the list anew if a digest was forgotten. It is the last act of an export: the new list is not
    /// locked.
    ///
    /// # Errors
    ///
    /// If the list cannot be written. The old one stays then.
    pub(super) fn close(&self) -> io::Result<()> {
        let mut inner = self.lock();
        let Some(old) = inner.file.as_ref().filter(|_| inner.is_outdated) else { return Ok(()) };
        let mut digests: Vec<_> = inner.digests.iter().map(String::as_str).collect();
        digests.sort_unstable();
        let mut new = temporary::create(&self.directory)?;
        new.write_all(format!("{TITLE}{}\n", digests.join("\n")).as_bytes())?;
        new.as_file().set_permissions(old.metadata()?.permissions())?;
        inner.file = Some(new.persist(self.directory.join(NAME))?);
        inner.is_outdated = false;
        Ok(())
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
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the list in `directory`, and nothing that only has its name.
fn open_list(directory: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let path = directory.join(NAME);
    let is_other = path.symlink_metadata().is_ok_and(|found| !found.is_file());
    if is_other { Err(no_list()) } else { regular_file::open_itself(&path, options) }
}

fn no_list() -> io::Error {
    io::Error::other(format!("{NAME} is there, and no list of an export; remove it"))
}

/// Reads the text of a list. One whose export was killed may lack a part of its title.
fn read(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let is_list = text.starts_with(TITLE) || TITLE.starts_with(&text);
    if is_list { Ok(text) } else { Err(no_list()) }
}

/// Completes a list whose export was killed while it wrote a line.
fn mend(file: &mut File, text: &str) -> io::Result<()> {
    match TITLE.strip_prefix(text) {
        Some(rest) => file.write_all(rest.as_bytes()),
        None if text.ends_with('\n') => Ok(()),
        None => file.write_all(b"\n"),
    }
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
        ledger.forget(&find("a").unwrap());
        assert!(find("a").is_some(), "the list is written at the end");
        ledger.close().unwrap();
        assert_eq!(find("a"), None);
        std::fs::remove_file(path(NAME)).unwrap();
        assert_eq!(find("a"), None);
    }

    #[test]
    fn list_of_a_killed_export_is_completed() {
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join(NAME);
        let digest = "ab".repeat(32);
        for (text, whole) in [
            (TITLE[..9].to_owned(), TITLE.to_owned()),
            (TITLE.trim_end().to_owned(), TITLE.to_owned()),
            (format!("{TITLE}{digest}"), format!("{TITLE}{digest}\n")),
            (format!("{TITLE}{}", &digest[..7]), format!("{TITLE}{}\n", &digest[..7])),
        ] {
            std::fs::write(&list, &text).unwrap();
            drop(Ledger::open(directory.path()).unwrap());
            assert_eq!(std::fs::read_to_string(&list).unwrap(), whole, "{text}");
        }
        for text in ["something else", "\n", &format!(" {TITLE}")] {
            std::fs::write(&list, text).unwrap();
            let Failure::Runtime(sentence) = Ledger::open(directory.path()).unwrap_err() else {
                panic!("{text}");
            };
            assert!(sentence.contains("no list of an export; remove it"), "{sentence}");
            assert_eq!(std::fs::read_to_string(&list).unwrap(), text);
        }
    }
}
