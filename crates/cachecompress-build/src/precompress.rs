//! The public builder.

use std::path::PathBuf;

use cachecompress::{ContentCoding, SourcePath};

use crate::error::Error;
use crate::output::Output;
use crate::selection::Selection;
use crate::{code, encode};

/// Compresses the files of a directory and writes code that embeds them, for a build script.
///
/// ```no_run
/// use cachecompress_build::Precompress;
///
/// fn main() -> Result<(), cachecompress_build::Error> {
///     Precompress::new("dist").exclude("**/*.map").write("ui")
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Precompress {
    directory: PathBuf,
    codings: Vec<(ContentCoding, i32)>,
    include: Vec<String>,
    exclude: Vec<String>,
    dotfiles: bool,
    cache: Option<PathBuf>,
    out_dir: Option<PathBuf>,
}

impl Precompress {
    /// Takes the files of `directory`, by default all of them.
    ///
    /// A relative path counts from the directory of the package's `Cargo.toml`. A symlink is followed if it
    /// stays in the directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            codings: built_in(),
            include: Vec::new(),
            exclude: Vec::new(),
            dotfiles: false,
            cache: None,
            out_dir: None,
        }
    }

    /// Sets the codings, at their default levels.
    ///
    /// Each takes room in the program: br and gzip serve nearly all clients.
    ///
    /// ```no_run
    /// use cachecompress::ContentCoding;
    /// use cachecompress_build::Precompress;
    ///
    /// let ui = Precompress::new("dist").codings([ContentCoding::BROTLI, ContentCoding::GZIP]);
    /// # let _ = ui;
    /// ```
    ///
    /// Default: `br`, `zstd` and `gzip`, as far as their cargo features are enabled.
    pub fn codings(mut self, codings: impl IntoIterator<Item = ContentCoding>) -> Self {
        let level = |coding: ContentCoding| {
            let level = best_level(&coding);
            (coding, level)
        };
        self.codings = codings.into_iter().map(level).collect();
        self
    }

    /// Sets the level of a coding, and takes it into use.
    ///
    /// Default: the highest that is useful, which is 11 for `br`, 19 for `zstd` and 9 for `gzip`.
    pub fn level(mut self, coding: ContentCoding, level: i32) -> Self {
        match self.codings.iter_mut().find(|(known, _)| *known == coding) {
            Some(known) => known.1 = level,
            None => self.codings.push((coding, level)),
        }
        self
    }

    /// Takes only files whose paths match `glob`, or another one of these. `*` stops at a slash, `**` does
    /// not.
    ///
    /// Default: all files.
    pub fn include(mut self, glob: impl Into<String>) -> Self {
        self.include.push(glob.into());
        self
    }

    /// Leaves the files out whose paths match `glob`.
    ///
    /// Default: none.
    pub fn exclude(mut self, glob: impl Into<String>) -> Self {
        self.exclude.push(glob.into());
        self
    }

    /// Sets whether files and directories are taken whose names start with a dot.
    ///
    /// [`Embedded::dotfiles`](cachecompress::Embedded::dotfiles) has them served. Default: only
    /// `/.well-known/`.
    pub fn dotfiles(mut self, dotfiles: bool) -> Self {
        self.dotfiles = dotfiles;
        self
    }

    /// Sets the directory that keeps encoded files for later builds.
    ///
    /// One outside of `OUT_DIR` serves builds of all profiles, and may be kept between runs of CI. It may be
    /// removed at any moment. Default: a directory in `OUT_DIR`.
    pub fn cache(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache = Some(directory.into());
        self
    }

    /// Sets the directory that the code is written to. Default: the environment's `OUT_DIR`, which Cargo
    /// sets for a build script.
    pub fn out_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(directory.into());
        self
    }

    /// Encodes the files and writes `NAME.rs`, with a directory `NAME` of payloads, to `OUT_DIR`.
    ///
    /// - `NAME.rs` is an expression of the type `&'static [PrecompressedFile]`:
    ///   `include!(concat!(env!("OUT_DIR"), "/ui.rs"))`.
    /// - Cargo is told to run the build script again when a file of the directory is changed, added or
    ///   removed. Other rules are the build script's own.
    /// - A file whose bytes were encoded before, under whatever name, is not encoded again.
    /// - The output depends on the files' paths and bytes alone.
    ///
    /// # Errors
    ///
    /// If the directory or a file cannot be read, a name is not UTF-8, a glob or a level is wrong, or the
    /// output or the cache cannot be written.
    pub fn write(self, name: &str) -> Result<(), Error> {
        // Also for a build that fails: the next one is to run when the directory appears.
        println!("cargo:rerun-if-changed={}", self.directory.display());
        let out_dir = match self.out_dir {
            Some(directory) => directory,
            None => std::env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| {
                Error::new("`OUT_DIR` is not set, as this is no build script: set `out_dir`")
            })?,
        };
        let selection = Selection::new(&self.include, &self.exclude)?;
        let output = Output::new(&out_dir, name)?;
        let cache = self.cache.unwrap_or_else(|| out_dir.join(format!("{name}-cache")));
        let wanted = |path: &SourcePath| selection.has(path);
        let mut files = encode::read_files(&self.directory, self.dotfiles, wanted)?;
        encode::encode(&mut files, &self.codings, &cache)?;
        output.write(&files, |files| code::expression(name, files))
    }
}

/// The codings that have an encoder here, with their best levels.
fn built_in() -> Vec<(ContentCoding, i32)> {
    let mut codings = Vec::new();
    if cfg!(feature = "brotli") {
        codings.push(ContentCoding::BROTLI);
    }
    if cfg!(feature = "zstd") {
        codings.push(ContentCoding::ZSTD);
    }
    if cfg!(feature = "gzip") {
        codings.push(ContentCoding::GZIP);
    }
    codings.into_iter().map(|coding| (coding.clone(), best_level(&coding))).collect()
}

/// The highest level that is worth its time. `zstd` beyond 19 needs more memory to decode.
fn best_level(coding: &ContentCoding) -> i32 {
    match coding.as_str() {
        "br" => 11,
        "zstd" => 19,
        _ => 9,
    }
}
