//! Files that were compiled into the program.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::precompressed::Precompressed;
use super::tree::{Stored, Tree, expect_file_path};
use super::{Found, Listing, PrecompressedFile, Source, SourceFile};
use crate::error::Error;
use crate::http::{ContentCoding, SourcePath};

/// Files that were compiled into the program: listed one by one, by `rust-embed` or `include_dir`, or
/// with their codings by `cachecompress-build`.
///
/// - Names that start with a dot are hidden, but for `/.well-known/` (see
///   [`dotfiles`](Self::dotfiles)): whole directories get embedded, with all files that happen to
///   lie in them.
/// - There is no time of modification, unless `rust-embed` knows one.
/// - A digest is computed when a file is first looked up, once, unless `rust-embed` or
///   `cachecompress-build` knows it.
///
/// ```
/// use cachecompress::source::Embedded;
///
/// static FILES: &[(&str, &[u8])] = &[("index.html", b"<!doctype html>"), ("app.js", b"run()")];
/// let source = Embedded::new(FILES);
/// # let _ = source;
/// ```
#[derive(Clone, Debug)]
pub struct Embedded {
    files: Files,
    dotfiles: bool,
}

#[derive(Clone)]
enum Files {
    Fixed(Tree<Stored>),
    #[cfg(feature = "rust-embed")]
    RustEmbed(rust_embed_files::Assets),
}

impl Embedded {
    fn from_files(files: Files) -> Self {
        Self { files, dotfiles: false }
    }

    /// Creates a source of files by path. `include_bytes!` returns an array: write `as &[u8]` behind
    /// it.
    ///
    /// # Panics
    ///
    /// If a path cannot be a file's: it is empty, or has a segment `.` or `..`, an empty one, or
    /// a backslash or NUL.
    #[must_use]
    pub fn new(files: &'static [(&'static str, &'static [u8])]) -> Self {
        let mut tree = Tree::default();
        for &(path, bytes) in files {
            insert_static(&mut tree, &expect_file_path(path.as_bytes()), bytes);
        }
        Self::from_files(Files::Fixed(tree))
    }

    /// Creates a source of files whose codings are embedded beside them.
    ///
    /// - The crate `cachecompress-build` makes them in a build script.
    /// - A request that accepts one of a file's codings gets it at once. No encoder, no cache and no disk
    ///   is asked, and no cargo feature of a coding is needed.
    /// - Among codings that a request weighs equally the shortest goes first, or the first of a
    ///   [`Preference::List`](crate::Preference::List).
    /// - Other codings are made as those of all files, if they have an encoder.
    /// - No file is hashed and none is looked at for its type.
    ///
    /// ```
    /// use cachecompress::source::{PrecompressedCoding, PrecompressedFile};
    /// use cachecompress::{Embedded, ServeCompressed};
    ///
    /// // In a program this is `include!(concat!(env!("OUT_DIR"), "/ui.rs"))`.
    /// static CODINGS: [PrecompressedCoding; 1] = [PrecompressedCoding::unprofitable("br")];
    /// static FILES: [PrecompressedFile; 1] = [PrecompressedFile::new(
    ///     "empty.txt",
    ///     b"",
    ///     *b"\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\
    ///        \x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55",
    ///     &CODINGS,
    /// )
    /// .utf8(true)];
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let service = ServeCompressed::builder(Embedded::precompressed(&FILES)).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If a path cannot be a file's, as for [`new`](Self::new), or the name of a coding is none.
    #[must_use]
    pub fn precompressed(files: &'static [PrecompressedFile]) -> Self {
        let mut tree = Tree::default();
        for file in files {
            let path = expect_file_path(file.path().as_bytes());
            let mut stored = SourceFile::from_bytes(file.bytes()).digest(file.digest());
            stored.precompressed = Some(Arc::new(Precompressed::of(file)));
            tree.insert(&path, Stored::from(stored));
        }
        Self::from_files(Files::Fixed(tree))
    }

    /// Creates a source of the files that `#[derive(rust_embed::Embed)]` embedded into `T`.
    ///
    /// Debug builds of `rust-embed` embed nothing, but read the directory. So does this source then,
    /// at every lookup, and the digest is always that of the bytes just read.
    ///
    /// ```
    /// use cachecompress::{Embedded, ServeCompressed};
    ///
    /// #[derive(rust_embed::Embed)]
    /// #[folder = "tests/site"]
    /// struct Site;
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let service = ServeCompressed::builder(Embedded::rust_embed::<Site>()).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "rust-embed")]
    #[must_use]
    pub fn rust_embed<T: rust_embed::Embed>() -> Self {
        Self::from_files(Files::RustEmbed(rust_embed_files::Assets::new::<T>()))
    }

    /// Creates a source of the files that `include_dir!` embedded.
    ///
    /// ```
    /// use cachecompress::{Embedded, ServeCompressed};
    /// use include_dir::{Dir, include_dir};
    ///
    /// static SITE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tests/site");
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let service = ServeCompressed::builder(Embedded::include_dir(&SITE)).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "include-dir")]
    #[must_use]
    pub fn include_dir(dir: &'static include_dir::Dir<'static>) -> Self {
        let mut tree = Tree::default();
        insert_dir(&mut tree, dir);
        Self::from_files(Files::Fixed(tree))
    }

    /// Whether files and directories whose names start with a dot are served. Default: they are
    /// not, except `/.well-known/` (RFC 8615), which always is.
    #[must_use]
    pub fn dotfiles(mut self, dotfiles: bool) -> Self {
        self.dotfiles = dotfiles;
        self
    }

    fn is_hidden(&self, path: &SourcePath) -> bool {
        !self.dotfiles && path.is_hidden()
    }
}

fn insert_static(tree: &mut Tree<Stored>, path: &SourcePath, bytes: &'static [u8]) {
    tree.insert(path, Stored::from(SourceFile::from_bytes(Bytes::from_static(bytes))));
}

#[cfg(feature = "include-dir")]
fn insert_dir(tree: &mut Tree<Stored>, dir: &'static include_dir::Dir<'static>) {
    for file in dir.files() {
        let path = file.path().to_str().and_then(|path| SourcePath::parse(path.as_bytes()));
        if let Some(path) = path {
            insert_static(tree, &path, file.contents());
        }
    }
    for dir in dir.dirs() {
        insert_dir(tree, dir);
    }
}

impl Source for Embedded {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        if self.is_hidden(path) {
            return Ok(Found::Nothing);
        }
        Ok(match &self.files {
            Files::Fixed(tree) => tree.lookup(path),
            #[cfg(feature = "rust-embed")]
            Files::RustEmbed(assets) => assets.lookup(path),
        })
    }

    fn names(&self, directory: &SourcePath, most: usize) -> Option<Vec<Box<[u8]>>> {
        Some(match &self.files {
            Files::Fixed(tree) => tree.names(directory, most),
            #[cfg(feature = "rust-embed")]
            Files::RustEmbed(assets) => assets.names().names(directory, most),
        })
    }

    fn list(&self, directory: &SourcePath, most: usize) -> Result<Option<Listing>, Error> {
        let is_visible = |path: &SourcePath| !self.is_hidden(path);
        if !is_visible(directory) {
            return Ok(None);
        }
        Ok(match &self.files {
            Files::Fixed(tree) => tree.list(directory, most, Stored::entry, is_visible),
            #[cfg(feature = "rust-embed")]
            Files::RustEmbed(assets) => assets.list(directory, most, is_visible),
        })
    }

    fn files_in_memory(&self) -> Vec<(SourcePath, Bytes)> {
        let mut files: Vec<_> = match &self.files {
            Files::Fixed(tree) => tree.in_memory().collect(),
            #[cfg(feature = "rust-embed")]
            Files::RustEmbed(assets) => assets.in_memory().collect(),
        };
        files.retain(|(path, _)| !self.is_hidden(path));
        files
    }

    fn precompressed_codings(&self) -> Vec<ContentCoding> {
        match &self.files {
            Files::Fixed(tree) => tree.precompressed_codings(),
            #[cfg(feature = "rust-embed")]
            Files::RustEmbed(_) => Vec::new(),
        }
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        let mut paths: Vec<SourcePath> = match &self.files {
            Files::Fixed(tree) => tree.paths().collect(),
            #[cfg(feature = "rust-embed")]
            Files::RustEmbed(assets) => assets.names().paths().collect(),
        };
        paths.retain(|path| !self.is_hidden(path));
        Ok(paths)
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "fixed",
            #[cfg(feature = "rust-embed")]
            Self::RustEmbed(_) => "rust-embed",
        })
    }
}

#[cfg(feature = "rust-embed")]
mod rust_embed_files {
    use std::borrow::Cow;
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use rust_embed::{Embed, EmbeddedFile};

    use crate::http::{Digest, SourcePath};
    use crate::source::tree::{Place, Tree};
    use crate::source::{Found, Listing, ListingEntry, SourceFile};

    /// The associated functions of a type that `rust-embed` derived.
    #[derive(Clone)]
    pub(super) struct Assets {
        get: fn(&str) -> Option<EmbeddedFile>,
        list: fn() -> Tree<()>,
        /// The names, if they are embedded and cannot change.
        fixed: Option<Tree<()>>,
    }

    fn list<T: Embed>() -> Tree<()> {
        let mut tree = Tree::default();
        for path in T::iter().filter_map(|name| SourcePath::parse(name.as_bytes())) {
            tree.insert(&path, ());
        }
        tree
    }

    impl Assets {
        pub(super) fn new<T: Embed>() -> Self {
            let first = T::iter().next().and_then(|name| T::get(&name));
            let embedded = first.is_some_and(|file| matches!(file.data, Cow::Borrowed(_)));
            Self { get: T::get, list: list::<T>, fixed: embedded.then(list::<T>) }
        }

        /// Iterates over the files, if they are embedded.
        pub(super) fn in_memory(&self) -> impl Iterator<Item = (SourcePath, Bytes)> {
            let paths = self.fixed.iter().flat_map(Tree::paths);
            paths.filter_map(|path| match (self.get)(path.as_str()?)?.data {
                Cow::Borrowed(bytes) => Some((path, Bytes::from_static(bytes))),
                Cow::Owned(_) => None,
            })
        }

        pub(super) fn names(&self) -> Cow<'_, Tree<()>> {
            match &self.fixed {
                Some(names) => Cow::Borrowed(names),
                None => Cow::Owned((self.list)()),
            }
        }

        pub(super) fn list(
            &self,
            directory: &SourcePath,
            most: usize,
            is_visible: impl Fn(&SourcePath) -> bool,
        ) -> Option<Listing> {
            let entry = |name: &[u8], path: &SourcePath, (): &()| {
                let file = source_file((self.get)(path.as_str()?)?);
                let entry = ListingEntry::file(name, file.content.len());
                Some(ListingEntry { modified: file.modified, ..entry })
            };
            self.names().list(directory, most, entry, is_visible)
        }

        pub(super) fn lookup(&self, path: &SourcePath) -> Found {
            let Ok(name) = std::str::from_utf8(path.as_bytes()) else { return Found::Nothing };
            if let Some(file) = (self.get)(name) {
                return Found::File(source_file(file));
            }
            match self.names().find(path) {
                Place::Directory => Found::Directory,
                // In a debug build a file can vanish between `get` and `find`.
                Place::File(()) | Place::Nothing => Found::Nothing,
            }
        }
    }

    fn source_file(EmbeddedFile { data, metadata }: EmbeddedFile) -> SourceFile {
        // `metadata_only` removes the bytes and leaves their hash.
        let digest = match &*data {
            [] => Digest::of(b""),
            _ => Digest::from_bytes(metadata.sha256_hash()),
        };
        let bytes = match data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let mut file = SourceFile::from_bytes(bytes);
        file.digest = Some(digest);
        // The feature `deterministic-timestamps` writes 0 for "no time".
        let modified = metadata.last_modified().filter(|seconds| *seconds > 0);
        file.modified = modified
            .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        file
    }
}
