//! The coded bytes of a download that is not whole, kept beside the file for the next run.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::exit::Failure;
use crate::limits::GET_PIECE_BYTES;

/// The end of the name of the coded bytes, and of the file that says what they are of.
const PART: &str = ".cachecompress-part";
const PART_OF: &str = ".cachecompress-part.json";

/// The bytes that are kept, locked against other runs.
#[derive(Debug)]
pub(super) struct Kept {
    file: File,
    path: PathBuf,
    note: PathBuf,
    of: Option<KeptOf>,
    len: u64,
}

/// The representation that kept bytes are the start of.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct KeptOf {
    /// The URL, as it was given.
    pub(super) url: String,
    /// Its strong entity tag.
    pub(super) tag: String,
    /// Its coding; `None` for identity.
    pub(super) coding: Option<String>,
    /// The SHA-256 of its dictionary, in hexadecimal digits.
    pub(super) dictionary: Option<String>,
    /// Its length in coded bytes, if the server has told it.
    pub(super) whole: Option<u64>,
    /// Whether the server tells the digest of the file, so that damage is noticed.
    pub(super) verifiable: bool,
    /// The bytes that are on the disk for certain. A power cut may leave zeros behind them.
    pub(super) synced: u64,
}

impl Kept {
    /// Opens the kept bytes beside `target`, or begins with none.
    ///
    /// # Errors
    ///
    /// If they cannot be written, or another run fetches the same file.
    pub(super) fn open(target: &Target) -> Result<Self, Failure> {
        let (path, note) = (target.beside(PART), target.beside(PART_OF));
        let file = match open_locked(&path) {
            Ok(Some(file)) => file,
            Ok(None) => {
                let shown = target.shown();
                let sentence = format!("another run fetches {shown}; wait for its end");
                return Err(Failure::Runtime(sentence));
            }
            Err(error) => {
                let sentence = format!("cannot write beside {}: {error}", target.shown());
                return Err(Failure::Runtime(sentence));
            }
        };
        let mut kept = Self { file, path, note, of: None, len: 0 };
        kept.of = fs::read(&kept.note).ok().and_then(|note| serde_json::from_slice(&note).ok());
        kept.len = match &kept.of {
            Some(_) => kept.file.metadata().map(|found| found.len()).unwrap_or_default(),
            None => 0,
        };
        Ok(kept)
    }

    /// The representation that they are of, and the number of those that may be used. The last byte of a whole one is
    /// left out, since no range begins behind it.
    pub(super) fn start(&self) -> Option<(&KeptOf, u64)> {
        let of = self.of.as_ref()?;
        let sound = if of.verifiable { self.len } else { self.len.min(of.synced) };
        let whole = of.whole.unwrap_or(u64::MAX);
        let len = sound.min(whole.saturating_sub(1));
        (len > 0).then_some((of, len))
    }

    /// The number of bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Hands out the first `len` bytes in pieces, and drops the others.
    ///
    /// # Errors
    ///
    /// Those of `take`, or if the bytes cannot be read.
    pub(super) fn replay<E: From<io::Error>>(
        &mut self,
        len: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.file.set_len(len)?;
        self.len = len;
        self.file.rewind()?;
        let mut piece = vec![0; GET_PIECE_BYTES];
        loop {
            match self.file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(read) => take(&piece[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Drops all bytes, and begins with those of another representation; `None` if the bytes cannot be used by a later
    /// run.
    ///
    /// # Errors
    ///
    /// If the disk refuses it.
    pub(super) fn begin(&mut self, of: Option<KeptOf>) -> io::Result<()> {
        // The note goes first: bytes without one are of nothing.
        remove(&self.note)?;
        self.file.set_len(0)?;
        (self.len, self.of) = (0, of);
        self.write_note()
    }

    /// Adds bytes. Those that no later run can use are only counted.
    ///
    /// # Errors
    ///
    /// If the disk does not take them.
    pub(super) fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.of.is_some() {
            self.file.seek(SeekFrom::Start(self.len))?;
            self.file.write_all(bytes)?;
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Removes the bytes.
    pub(super) fn discard(&mut self) {
        drop(self.begin(None));
    }

    /// Has the bytes stay for the next run. Returns their number.
    pub(super) fn keep(&mut self) -> u64 {
        let synced = self.file.sync_data().is_ok();
        let Some(of) = self.of.as_mut().filter(|_| self.len > 0) else { return 0 };
        if synced {
            of.synced = self.len;
            // Without the note the bytes count as before.
            drop(self.write_note());
        }
        self.len
    }

    fn write_note(&self) -> io::Result<()> {
        let Some(of) = &self.of else { return Ok(()) };
        let text = serde_json::to_vec(of).map_err(io::Error::from)?;
        private(OpenOptions::new().write(true).create(true).truncate(true))
            .open(&self.note)?
            .write_all(&text)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.of.is_none() || self.len == 0 {
            drop(remove(&self.note));
            drop(remove(&self.path));
        }
    }
}

/// Opens and locks the file at `path`; `None` if another process has it locked.
fn open_locked(path: &PathBuf) -> io::Result<Option<File>> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = private(&mut options).open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Where the file system has no locks, there is one run at a time by promise.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        // The run that had it may have removed it meanwhile.
        if is_at(&file, path) {
            return Ok(Some(file));
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &PathBuf) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let state = |found: fs::Metadata| (found.dev(), found.ino());
    let (opened, named) = (file.metadata().map(state), fs::symlink_metadata(path).map(state));
    matches!((opened, named), (Ok(opened), Ok(named)) if opened == named)
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &PathBuf) -> bool {
    true
}

/// Lets nobody else read a new file.
#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

fn remove(path: &PathBuf) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
