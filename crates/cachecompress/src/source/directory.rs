//! Files in a directory.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::hidden_files::HiddenFiles;
use super::refused_links::RefusedLinks;
use super::{Found, Listing, ListingEntry, Source, SourceFile};
use crate::error::{Error, ErrorKind};
use crate::fs::{self, Disk, DiskFile, DiskRoot, FileKind, Fingerprint, RealDisk, Stat, Symlinks};
use crate::http::SourcePath;
use crate::limits::{DIRECTORY_DEPTH, LISTED_NAMES};

/// The files in a directory and beneath it.
///
/// - No file outside is ever read. Symlinks are followed if their targets lie in the directory, be
///   they relative or absolute; any other symlink counts as missing (see
///   [`symlinks`](Self::symlinks)).
/// - Names that start with a dot are hidden, but for `/.well-known/` (see
///   [`dotfiles`](Self::dotfiles)).
/// - The directory of the service's cache is hidden, if it lies beneath. So is each file of
///   [`Builder::hide_file`](crate::Builder::hide_file), under all of its names.
/// - FIFOs, devices and sockets are never opened.
/// - A file that exists and cannot be read is an error, not a missing one.
/// - The directory may be replaced as a whole, by `rm -rf dist && build` or by changing a
///   symlink. The next lookup sees the new one. Until there is a new one, the old one serves.
///
/// ```
/// use cachecompress::{Directory, ServeCompressed};
///
/// # fn main() -> Result<(), cachecompress::Error> {
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
/// let site = Directory::new("site")?.dotfiles(true);
/// let service = ServeCompressed::builder(site).build()?;
/// # let _ = service;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Directory {
    disk: Arc<dyn Disk>,
    /// The absolute path, with its symlinks: a deployment may change one of them.
    path: PathBuf,
    root: RwLock<Arc<Root>>,
    dotfiles: bool,
    symlinks: Symlinks,
    refused: RefusedLinks,
    hidden: RwLock<Vec<Hidden>>,
    hidden_files: HiddenFiles,
}

/// A directory beneath the root that is not part of the site.
#[derive(Debug)]
struct Hidden {
    /// Its absolute path, as it was named.
    named: PathBuf,
    /// The same without symlinks.
    real: PathBuf,
}

/// An open root, with its identity when it was opened.
#[derive(Debug)]
struct Root {
    root: Box<dyn DiskRoot>,
    /// Device and inode.
    identity: (u64, u64),
}

impl Directory {
    /// Opens the directory `path`. A relative path is resolved once, against the current working
    /// directory.
    ///
    /// # Errors
    ///
    /// If there is no such directory, or it cannot be read.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::with_disk(Arc::new(RealDisk), path)
    }

    /// As [`new`](Self::new), on the caller's disk.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_disk(disk: Arc<dyn Disk>, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let refuse = |cause| Error::io("cannot open the directory", path, cause);
        let absolute = std::path::absolute(path).map_err(refuse)?;
        let root = Root::open(&*disk, &absolute).map_err(refuse)?;
        Ok(Self {
            disk,
            path: absolute,
            root: RwLock::new(Arc::new(root)),
            dotfiles: false,
            symlinks: Symlinks::Within,
            refused: RefusedLinks::default(),
            hidden: RwLock::default(),
            hidden_files: HiddenFiles::default(),
        })
    }

    /// Whether files and directories whose names start with a dot are served. Default: they are
    /// not, except `/.well-known/` (RFC 8615), which always is.
    #[must_use]
    pub fn dotfiles(mut self, dotfiles: bool) -> Self {
        self.dotfiles = dotfiles;
        self
    }

    /// Sets which symlinks beneath the directory are followed. Default: [`Symlinks::Within`].
    ///
    /// - Any other symlink counts as missing. It is logged as a warning once for each path, for a
    ///   bounded number of paths.
    /// - Only the path of a request is judged by [`dotfiles`](Self::dotfiles) and by
    ///   [`Builder::exclude`](crate::Builder::exclude), not the target of a symlink.
    /// - With [`Symlinks::Follow`] whoever may make symlinks in the directory chooses which files of
    ///   the system are served.
    ///
    /// ```
    /// use cachecompress::{Directory, Symlinks};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
    /// let bazel_tree = Directory::new("site")?.symlinks(Symlinks::Follow);
    /// # let _ = bazel_tree;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn symlinks(mut self, symlinks: Symlinks) -> Self {
        self.symlinks = symlinks;
        self
    }

    /// Whether `error` says that a path leads nowhere. Tells of a symlink that is not followed.
    fn leads_nowhere(&self, error: &std::io::Error) -> bool {
        if let Some(link) = fs::RefusedLink::of(error) {
            self.refused.tell(&self.path.join(&link.path), self.symlinks);
        }
        fs::leads_nowhere(error)
    }

    fn is_hidden(&self, path: &SourcePath) -> bool {
        !self.dotfiles && path.is_hidden()
    }

    /// Whether the file or directory `name` lies in a hidden directory.
    fn lies_in_hidden(&self, name: &Path) -> bool {
        let hidden = self.hidden.read().unwrap_or_else(PoisonError::into_inner);
        if hidden.is_empty() {
            return false;
        }
        let named = self.path.join(name);
        let real = fs::real_path(&named);
        let lies_in =
            |hidden: &Hidden| named.starts_with(&hidden.named) || real.starts_with(&hidden.real);
        hidden.iter().any(lies_in)
    }

    /// Whether the file `name`, just opened in the state `found`, is hidden.
    fn is_hidden_file(&self, name: &Path, found: &Fingerprint) -> bool {
        let stat = |path: &Path| self.disk.stat(path);
        self.hidden_files.contain(&self.path, name, found, stat).unwrap_or(true)
    }

    /// Describes what lies in `directory` under `name`; `None` if that is never served.
    fn entry(
        &self,
        root: &Root,
        directory: &SourcePath,
        name: &OsStr,
    ) -> Result<Option<ListingEntry>, Error> {
        let Some(bytes) = fs::name_to_bytes(name) else { return Ok(None) };
        let Some(path) = directory.try_join(&bytes) else { return Ok(None) };
        let Some(beneath) = fs::path_from_bytes(path.as_bytes()) else { return Ok(None) };
        if path.file_name() != &*bytes || self.is_hidden(&path) || self.lies_in_hidden(beneath) {
            return Ok(None);
        }
        match root.root.open(beneath, self.symlinks) {
            Ok((Stat { kind: FileKind::Regular, fingerprint }, _)) => {
                let is_hidden = self.is_hidden_file(beneath, &fingerprint);
                let entry = ListingEntry::file(&*bytes, fingerprint.size);
                Ok((!is_hidden).then(|| entry.modified(fingerprint.modified_time())))
            }
            Ok((Stat { kind: FileKind::Directory, fingerprint }, _)) => {
                let entry = ListingEntry::directory(&*bytes);
                Ok(Some(entry.modified(fingerprint.modified_time())))
            }
            Ok(_) => Ok(None),
            Err(error) if self.is_skipped(&error) => Ok(None),
            Err(error) => Err(self.fail("cannot open", beneath, error)),
        }
    }

    /// Whether a file of which `error` tells is left out of lists.
    fn is_skipped(&self, error: &std::io::Error) -> bool {
        self.leads_nowhere(error) || error.kind() == std::io::ErrorKind::PermissionDenied
    }

    fn hides_any(&self) -> bool {
        !self.hidden.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Returns the root, opened again if its path leads elsewhere by now. If it leads nowhere, the
    /// old one stays: it is empty after an `rm -rf`, and still whole after a `mv`.
    fn root(&self) -> Arc<Root> {
        let current = Arc::clone(&self.root.read().unwrap_or_else(PoisonError::into_inner));
        match self.disk.stat(&self.path) {
            Ok(stat) if stat.fingerprint.identity() != current.identity => {}
            _ => return current,
        }
        let Ok(opened) = Root::open(&*self.disk, &self.path) else { return current };
        let opened = Arc::new(opened);
        *self.root.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&opened);
        opened
    }

    fn fail(&self, message: &'static str, path: &Path, cause: std::io::Error) -> Error {
        let path = self.path.join(path);
        if fs::is_exhausted(&cause) {
            return Error::new(ErrorKind::Busy, message).with_path(&path).with_cause(cause);
        }
        Error::io(message, &path, cause)
    }
}

impl Root {
    fn open(disk: &dyn Disk, path: &Path) -> std::io::Result<Self> {
        let root = disk.open_root(path)?;
        let identity = root.stat()?.fingerprint.identity();
        Ok(Self { root, identity })
    }
}

impl Source for Directory {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        if path.is_root() {
            return Ok(Found::Directory);
        }
        let Some(name) = fs::path_from_bytes(path.as_bytes()) else { return Ok(Found::Nothing) };
        if self.is_hidden(path) {
            return Ok(Found::Nothing);
        }
        if self.lies_in_hidden(name) {
            return Ok(Found::Nothing);
        }
        match self.root().root.open(name, self.symlinks) {
            Ok((Stat { kind: FileKind::Regular, fingerprint }, Some(file))) => {
                Ok(match self.is_hidden_file(name, &fingerprint) {
                    true => Found::Nothing,
                    false => found(file, fingerprint),
                })
            }
            Ok((Stat { kind: FileKind::Directory, .. }, _)) => Ok(Found::Directory),
            Ok(_) => Ok(Found::Nothing),
            Err(error) if self.leads_nowhere(&error) => Ok(Found::Nothing),
            Err(error) => Err(self.fail("cannot open", name, error)),
        }
    }

    fn lookup_nowait(&self, path: &SourcePath) -> Option<Found> {
        if path.is_root() {
            return Some(Found::Directory);
        }
        let Some(name) = fs::path_from_bytes(path.as_bytes()) else { return Some(Found::Nothing) };
        if self.is_hidden(path) {
            return Some(Found::Nothing);
        }
        // To see where a path leads takes calls that wait.
        if self.hides_any() {
            return None;
        }
        let current = Arc::clone(&self.root.read().unwrap_or_else(PoisonError::into_inner));
        let opened = current.root.open_nowait(name, self.symlinks);
        if opened.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
            return None;
        }
        // The root is looked at last, as on some file systems `open_nowait` can never tell.
        let root = self.disk.stat_nowait(&self.path).ok()?;
        if root.fingerprint.identity() != current.identity {
            return None;
        }
        match opened {
            Ok((Stat { kind: FileKind::Regular, fingerprint }, Some(file))) => {
                let stat = |path: &Path| self.disk.stat_nowait(path);
                match self.hidden_files.contain(&self.path, name, &fingerprint, stat).ok()? {
                    true => Some(Found::Nothing),
                    false => Some(found(file, fingerprint)),
                }
            }
            Ok((Stat { kind: FileKind::Other, .. }, _)) => Some(Found::Nothing),
            Err(error) if fs::leads_nowhere(&error) => Some(Found::Nothing),
            // A directory must be opened by `lookup`, too, to see whether it may be read.
            Ok(_) | Err(_) => None,
        }
    }

    /// Lookups of a directory that hides another one always ask the disk.
    fn hide_directory(&self, directory: &Path) -> bool {
        let Ok(named) = std::path::absolute(directory) else { return false };
        let real = fs::real_path(&named);
        let lies_within =
            named.starts_with(&self.path) || real.starts_with(fs::real_path(&self.path));
        if lies_within {
            let mut hidden = self.hidden.write().unwrap_or_else(PoisonError::into_inner);
            hidden.push(Hidden { named, real });
        }
        lies_within
    }

    fn hide_file(&self, file: &Path) {
        self.hidden_files.add(&self.path, file);
    }

    fn names(&self, directory: &SourcePath, most: usize) -> Option<Vec<Box<[u8]>>> {
        let path = fs::path_from_bytes(directory.as_bytes())?;
        if self.is_hidden(directory) {
            return None;
        }
        let names = self.root().root.list_some(path, self.symlinks, most).ok()?;
        Some(names.iter().filter_map(|name| Some(fs::name_to_bytes(name)?.into())).collect())
    }

    /// Leaves out what may not be read. Among many hidden names not all others may be found.
    fn list(&self, directory: &SourcePath, most: usize) -> Result<Option<Listing>, Error> {
        let Some(path) = fs::path_from_bytes(directory.as_bytes()) else { return Ok(None) };
        if self.is_hidden(directory) || !directory.is_root() && self.lies_in_hidden(path) {
            return Ok(None);
        }
        let (root, names) = (self.root(), most.saturating_mul(LISTED_NAMES));
        let found = match root.root.list_some(path, self.symlinks, names) {
            Ok(found) => found,
            Err(error) if self.leads_nowhere(&error) => return Ok(None),
            Err(error) => return Err(self.fail("cannot list", path, error)),
        };
        let mut entries = Vec::new();
        for name in &found {
            entries.extend(self.entry(&root, directory, name)?);
            if entries.len() > most {
                break;
            }
        }
        Ok(Some(Listing::of(entries).cut(found.len() >= names).truncated(most)))
    }

    /// Descends 64 directories deep at most. A directory that can be reached in several ways,
    /// through symlinks, is listed once, which also ends every circle. A file that vanishes
    /// meanwhile or may not be read is left out.
    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        let root = self.root();
        let mut walk = Walk {
            source: self,
            root: &*root.root,
            seen: HashSet::from([root.identity]),
            paths: Vec::new(),
        };
        walk.descend(Path::new(""), &[], 0)?;
        walk.paths.sort_unstable();
        Ok(walk.paths)
    }
}

fn found(file: Arc<dyn DiskFile>, fingerprint: Fingerprint) -> Found {
    Found::File(SourceFile::from_disk_file(file, fingerprint))
}

/// A walk through all files beneath a root.
struct Walk<'a> {
    source: &'a Directory,
    root: &'a dyn DiskRoot,
    seen: HashSet<(u64, u64)>,
    paths: Vec<SourcePath>,
}

impl Walk<'_> {
    fn descend(&mut self, dir: &Path, bytes: &[u8], depth: usize) -> Result<(), Error> {
        let mut names = match self.root.list(dir, self.source.symlinks) {
            Ok(names) => names,
            Err(error) if depth > 0 && self.source.is_skipped(&error) => return Ok(()),
            Err(error) => return Err(self.source.fail("cannot list", dir, error)),
        };
        names.sort_unstable();
        for name in &names {
            let Some(name) = fs::name_to_bytes(name) else { continue };
            let separator: &[u8] = if bytes.is_empty() { b"" } else { b"/" };
            let below = [bytes, separator, &*name].concat();
            let Some(path) = SourcePath::parse(&below) else { continue };
            // A name with a backslash or the like is no source path, and cannot be asked for.
            if path.as_bytes() == below && !self.source.is_hidden(&path) {
                self.visit(path, depth)?;
            }
        }
        Ok(())
    }

    fn visit(&mut self, path: SourcePath, depth: usize) -> Result<(), Error> {
        let Some(name) = fs::path_from_bytes(path.as_bytes()) else { return Ok(()) };
        if self.source.lies_in_hidden(name) {
            return Ok(());
        }
        match self.root.open(name, self.source.symlinks) {
            Ok((Stat { kind: FileKind::Regular, fingerprint }, _)) => {
                if !self.source.is_hidden_file(name, &fingerprint) {
                    self.paths.push(path);
                }
            }
            Ok((Stat { kind: FileKind::Directory, fingerprint }, _)) => {
                if depth < DIRECTORY_DEPTH && self.seen.insert(fingerprint.identity()) {
                    self.descend(name, path.as_bytes(), depth + 1)?;
                }
            }
            Ok(_) => {}
            Err(error) if self.source.is_skipped(&error) => {}
            Err(error) => return Err(self.source.fail("cannot open", name, error)),
        }
        Ok(())
    }
}
