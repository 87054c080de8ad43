//! The file that is fetched: its present content, and its replacement.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use cachecompress::Digest;
use sha2::{Digest as _, Sha256};

use crate::exit::Failure;
use crate::limits::{DICTIONARY_BYTES, GET_PIECE_BYTES};
use crate::printer::EscapedPath;

/// The end of the name of a new content that is not whole yet.
const NEW: &str = ".cachecompress-new";

/// FILE, or the file that it leads to as a symlink.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    /// The content that it has now.
    pub(super) present: Option<Present>,
}

/// The content of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present {
    pub(super) digest: Digest,
    pub(super) len: u64,
    #[cfg(unix)]
    mode: u32,
    /// Its user and group.
    #[cfg(unix)]
    owner: (u32, u32),
}

/// A new content, which is written beside the file. It is removed when dropped.
#[derive(Debug)]
pub(super) struct Replacement {
    file: File,
    path: PathBuf,
}

impl Target {
    /// Reads the file at `path`, if there is one.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is no regular file.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let shown = EscapedPath(path);
        let failed = |error: io::Error| Failure::Runtime(format!("cannot read {shown}: {error}"));
        let irregular = || Failure::Usage(format!("{shown} is no regular file"));
        let path = match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => path.canonicalize().map_err(failed)?,
            _ => path.to_owned(),
        };
        if path.file_name().is_none() {
            return Err(irregular());
        }
        let found = match fs::metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, present: None });
            }
            Err(error) => return Err(failed(error)),
        };
        if !found.is_file() {
            return Err(irregular());
        }
        let (digest, len) = hash(&path).map_err(failed)?;
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        let present = Present {
            digest,
            len,
            #[cfg(unix)]
            mode: found.mode() & 0o777,
            #[cfg(unix)]
            owner: (found.uid(), found.gid()),
        };
        Ok(Self { path, present: Some(present) })
    }

    /// The path as text for people.
    pub(super) fn shown(&self) -> EscapedPath<'_> {
        EscapedPath(&self.path)
    }

    /// The path of a hidden file beside it, whose name ends so.
    pub(super) fn beside(&self, end: &str) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default();
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(end);
        self.path.with_file_name(hidden)
    }

    /// Whether its content may be a dictionary.
    pub(super) fn dictionary(&self) -> Option<&Digest> {
        let fits = |present: &&Present| (1..=DICTIONARY_BYTES).contains(&present.len);
        self.present.as_ref().filter(fits).map(|present| &present.digest)
    }

    /// Reads the content as a dictionary.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has changed since it was opened.
    pub(super) fn read_dictionary(&self) -> io::Result<Vec<u8>> {
        let bytes = fs::read(&self.path)?;
        match self.dictionary() {
            Some(digest) if Digest::of(&bytes) == *digest => Ok(bytes),
            _ => Err(io::Error::other("it has changed meanwhile")),
        }
    }

    /// Removes the new content of a run that was killed.
    pub(super) fn tidy(&self) {
        drop(fs::remove_file(self.beside(NEW)));
    }

    /// Begins a new content.
    ///
    /// # Errors
    ///
    /// If no file can be created beside it.
    pub(super) fn begin(&self) -> io::Result<Replacement> {
        let path = self.beside(NEW);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if let Some(present) = self.present {
            // Nobody reads the new content who may not read the present one.
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, present.mode);
        }
        Ok(Replacement { file: options.open(&path)?, path })
    }

    /// Puts a new content in the place of the present one. It has the same permissions and, where the system
    /// lets it, the same owner; or else those of a new file.
    /// It is on the disk before it has the name.
    ///
    /// # Errors
    ///
    /// If the disk refuses a part of it. The present content stays then.
    pub(super) fn replace(&self, new: &Replacement) -> io::Result<()> {
        #[cfg(unix)]
        if let Some(present) = self.present {
            // Only root may give a file away. Anybody else's belongs to who runs this.
            let (user, group) = present.owner;
            drop(std::os::unix::fs::fchown(&new.file, Some(user), Some(group)));
            let mode = std::os::unix::fs::PermissionsExt::from_mode(present.mode);
            new.file.set_permissions(mode)?;
        }
        new.file.sync_all()?;
        fs::rename(&new.path, &self.path)?;
        // The name, too. A directory that cannot be synced says nothing about the file.
        #[cfg(unix)]
        if let Some(directory) = self.path.parent() {
            let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
            drop(File::open(here).and_then(|directory| directory.sync_all()));
        }
        Ok(())
    }
}

impl Replacement {
    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// If the disk does not take them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // It is gone if it has replaced the file.
        drop(fs::remove_file(&self.path));
    }
}

/// Hashes a file, and counts its bytes.
fn hash(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut len) = (Sha256::new(), 0);
    let mut piece = vec![0; GET_PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((Digest::from_bytes(hasher.finalize().into()), len)),
            Ok(read) => {
                hasher.update(&piece[..read]);
                len += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
