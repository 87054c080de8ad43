//! The sources of files: a [`Directory`], files [`Embedded`] in the binary, [`Memory`], or an
//! [`Overlay`] of those.

mod directory;
mod embedded;
mod hidden_files;
mod listing;
mod memory;
mod overlay;
mod precompressed;
mod refused_links;
mod tree;

pub use directory::Directory;
pub use embedded::Embedded;
pub use listing::{Listing, ListingEntry};
pub use memory::Memory;
pub use overlay::Overlay;
pub(crate) use precompressed::{EncodedAhead, Precompressed};
pub use precompressed::{PrecompressedCoding, PrecompressedFile};

pub use crate::fs::Symlinks;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::error::Error;
use crate::fs::{self, DiskFile, FileKind, Fingerprint, Stat};
use crate::http::{CodedFile, ContentCoding, Digest, InCoding, SourcePath, Text};

/// Static files by path. Nothing else is ever cached.
///
/// Calls may block on the disk; the library makes them from threads of its own.
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// Looks `path` up.
    ///
    /// - The root is always a [`Found::Directory`]. So is a path with files beneath it, if it shall
    ///   have an index and a redirect to its slash.
    /// - A path is [`Found::Nothing`] if it leads out of the source, is hidden by the source, is no
    ///   regular file and no directory, or has a file in place of a directory.
    ///
    /// # Errors
    ///
    /// If the source itself cannot be read, or the file cannot although it is there.
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error>;

    /// As [`lookup`](Self::lookup), but only if that needs no wait, for a disk or for much work. It
    /// is called on threads that serve.
    ///
    /// `None`, the default, says nothing: the caller must look the path up. Most sources need
    /// nothing else.
    fn lookup_nowait(&self, _path: &SourcePath) -> Option<Found> {
        None
    }

    /// Hides the directory in which a service keeps its cache, wherever it is on the disk.
    /// [`Builder::build`](crate::Builder::build) calls it once, before the first lookup.
    ///
    /// Returns whether files of the source may lie beneath `directory`. From then on they are
    /// [`Found::Nothing`]. `false`, the default, is right for sources that read no directory.
    fn hide_directory(&self, _directory: &Path) -> bool {
        false
    }

    /// Hides a file under every name that leads to it, symlinks and hard links among them, also after
    /// another file has taken its place. [`Builder::build`](crate::Builder::build) calls it for each file
    /// of [`Builder::hide_file`](crate::Builder::hide_file), before the first lookup.
    ///
    /// From then on the file is [`Found::Nothing`]. To do nothing, the default, is right for sources that
    /// read no directory.
    fn hide_file(&self, _file: &Path) {}

    /// Returns the names of files that lie in `directory` itself, at most `most` of them in any order.
    ///
    /// They are the evidence of [`Builder::immutable`](crate::Builder::immutable) for names that alone
    /// say too little. The names of directories may be among them. It may block on the disk. `None`, the
    /// default, says nothing.
    fn names(&self, _directory: &SourcePath, _most: usize) -> Option<Vec<Box<[u8]>>> {
        None
    }

    /// Lists `directory`, for [`Builder::list`](crate::Builder::list): at most `most` entries, whichever come
    /// first.
    ///
    /// An entry is what [`lookup`](Self::lookup) finds at its path. It may block on the disk. `None` says
    /// that there is no such directory; the default says so of all.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    fn list(&self, _directory: &SourcePath, _most: usize) -> Result<Option<Listing>, Error> {
        Ok(None)
    }

    /// Returns the files whose bytes are in memory and never change, in any order.
    ///
    /// [`Builder::build`](crate::Builder::build) looks whether they are UTF-8, where their media type depends
    /// on it, so that no request waits for that. A file that is looked up later must have the very buffer
    /// that was returned here; another one is looked at once more. It must not block. None, the default,
    /// is right for sources that read files.
    fn files_in_memory(&self) -> Vec<(SourcePath, Bytes)> {
        Vec::new()
    }

    /// Returns the codings in which files are there without an encoder, in any order.
    ///
    /// [`Builder::preference`](crate::Builder::preference) may name them, whether or not they have an
    /// encoder. None, the default, is right for sources that have no [`Embedded::precompressed`] in them.
    fn precompressed_codings(&self) -> Vec<ContentCoding> {
        Vec::new()
    }

    /// Lists all files, sorted, for warming a cache. [`lookup`](Self::lookup) finds each of them.
    ///
    /// # Errors
    ///
    /// If the source cannot be listed.
    fn paths(&self) -> Result<Vec<SourcePath>, Error>;
}

/// The result of [`Source::lookup`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// A regular file.
    File(SourceFile),
    /// A directory, which may hold an index file.
    Directory,
    /// Nothing that may be served.
    Nothing,
}

/// A file of a source, open for reading.
///
/// ```
/// use std::time::SystemTime;
///
/// use cachecompress::source::SourceFile;
///
/// # fn main() -> std::io::Result<()> {
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
/// let page = SourceFile::from_bytes("<!doctype html>").modified(SystemTime::now());
/// let download = SourceFile::from_file(std::fs::File::open("site/index.html")?)?;
/// let download = download.media_type("application/octet-stream").entity_tag("release-7");
/// # let _ = (page, download);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceFile {
    /// Its bytes, or the file to read them from.
    pub content: Content,
    /// The time of its last modification, if that is known. One before 1990 counts as unknown.
    pub modified: Option<SystemTime>,
    /// The SHA-256 of its bytes, if the source knows it. Otherwise it is computed.
    pub digest: Option<Digest>,
    /// The application's own strong entity tag, without the quotes, instead of the digest.
    ///
    /// It must change whenever the bytes do. It is visible ASCII without `"`; any other tag is
    /// ignored.
    pub entity_tag: Option<Arc<str>>,
    /// The media type to send, instead of the one its name suggests.
    pub media_type: Option<Arc<str>>,
    /// The file that the content was decoded from.
    pub(crate) decoded: Option<Arc<DecodedFrom>>,
    /// The coding that the content is in, if it is not decoded and stands for another file.
    pub(crate) in_coding: Option<Arc<InCoding>>,
    /// Its representations that are there without an encoder.
    pub(crate) precompressed: Option<Arc<Precompressed>>,
}

/// The coded file that a content was decoded from.
#[derive(Clone, Debug)]
pub(crate) struct DecodedFrom {
    pub(crate) file: Arc<CodedFile>,
    /// The path whose name suggests the media type; `None` for the file's own.
    pub(crate) name: Option<SourcePath>,
}

impl SourceFile {
    /// Creates a file of these bytes, of which nothing else is known.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self::of(Content::Bytes(bytes.into()))
    }

    /// Creates a file of an open file, with its time of modification.
    ///
    /// It is read at offsets, so the descriptor's own position does not matter. The state of the file
    /// is that of now: a [`Source`] that keeps files open makes a new one for each lookup
    /// (`file.try_clone()`), or its changes go unnoticed.
    ///
    /// # Errors
    ///
    /// If the file cannot be examined, or is no regular file (`InvalidInput`).
    pub fn from_file(file: fs::StdFile) -> io::Result<Self> {
        let file = fs::from_std(file);
        let Stat { kind, fingerprint } = file.stat()?;
        if kind != FileKind::Regular {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(Self::from_disk_file(file, fingerprint))
    }

    /// Creates a file of an open file on a disk of the caller's, with its time of modification.
    ///
    /// `fingerprint` is the state of the file right after it was opened.
    #[must_use]
    pub fn from_disk_file(file: Arc<dyn DiskFile>, fingerprint: Fingerprint) -> Self {
        let modified = Some(fingerprint.modified_time());
        Self { modified, ..Self::of(Content::File { file, fingerprint }) }
    }

    fn of(content: Content) -> Self {
        Self {
            content,
            modified: None,
            digest: None,
            entity_tag: None,
            media_type: None,
            decoded: None,
            in_coding: None,
            precompressed: None,
        }
    }

    /// Its representations that are there without an encoder. An embedder's source may have given the file
    /// other bytes or another digest, and so no such representation.
    pub(crate) fn precompressed(&self) -> Option<&Arc<Precompressed>> {
        let precompressed = self.precompressed.as_ref()?;
        let Content::Bytes(bytes) = &self.content else { return None };
        precompressed.is_of(bytes, self.digest).then_some(precompressed)
    }

    /// The answer to the question whether its bytes are UTF-8, if nobody need look at them.
    pub(crate) fn told_text(&self) -> Option<Text> {
        self.precompressed().and_then(|precompressed| precompressed.text())
    }

    /// Sets the SHA-256 of its bytes, which is then not computed. Default: unknown.
    ///
    /// - A wrong digest has other bytes sent: those of the file that has this digest.
    /// - A file on a disk is then not read for its type either. Text has no `charset`, and a file
    ///   without an extension is `application/octet-stream`, unless its
    ///   [`media_type`](Self::media_type) is set.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Sets the time of its last modification, for `Last-Modified`. Default: unknown.
    ///
    /// A time before 1990 counts as unknown: it is a build tool's constant.
    #[must_use]
    pub fn modified(mut self, modified: SystemTime) -> Self {
        self.modified = Some(modified);
        self
    }

    /// Sets the application's own strong entity tag, without the quotes. Default: derived from
    /// the digest.
    #[must_use]
    pub fn entity_tag(mut self, entity_tag: impl Into<Arc<str>>) -> Self {
        self.entity_tag = Some(entity_tag.into());
        self
    }

    /// Sets the media type. Default: the one that the name suggests.
    #[must_use]
    pub fn media_type(mut self, media_type: impl Into<Arc<str>>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }
}

impl<B: Into<Bytes>> From<B> for SourceFile {
    fn from(bytes: B) -> Self {
        Self::from_bytes(bytes)
    }
}

/// The bytes of a [`SourceFile`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// In memory. They never change.
    Bytes(Bytes),
    /// In a file, whose bytes may change while they are read.
    File {
        /// The file, open for reading.
        file: Arc<dyn DiskFile>,
        /// The state of the file right after it was opened.
        fingerprint: Fingerprint,
    },
}

impl Content {
    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { fingerprint, .. } => fingerprint.size,
        }
    }

    /// The state of the file right after it was opened; `None` for bytes in memory.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Bytes(_) => None,
            Self::File { fingerprint, .. } => Some(*fingerprint),
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        (**self).lookup(path)
    }

    fn lookup_nowait(&self, path: &SourcePath) -> Option<Found> {
        (**self).lookup_nowait(path)
    }

    fn hide_directory(&self, directory: &Path) -> bool {
        (**self).hide_directory(directory)
    }

    fn hide_file(&self, file: &Path) {
        (**self).hide_file(file);
    }

    fn names(&self, directory: &SourcePath, most: usize) -> Option<Vec<Box<[u8]>>> {
        (**self).names(directory, most)
    }

    fn list(&self, directory: &SourcePath, most: usize) -> Result<Option<Listing>, Error> {
        (**self).list(directory, most)
    }

    fn files_in_memory(&self) -> Vec<(SourcePath, Bytes)> {
        (**self).files_in_memory()
    }

    fn precompressed_codings(&self) -> Vec<ContentCoding> {
        (**self).precompressed_codings()
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        (**self).paths()
    }
}
