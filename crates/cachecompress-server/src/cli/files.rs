//! The flags that name the configuration file and the cache.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::ValueHint;

/// The configuration file, which every command has that needs some of it.
#[derive(Args, Debug)]
pub(crate) struct ConfigFileArgs {
    /// Config file [default: ./cachecompress.toml]
    ///
    /// Without the flag it is cachecompress.toml in the working directory, if there is one. It is TOML, and every flag of `serve` is a key of it, spelled alike: cache-size = "1GiB".
    /// Switches are true or false, flags that may be repeated are arrays. Paths in it count from
    /// its directory.
    #[arg(long, value_name = "FILE", env = "CACHECOMPRESS_CONFIG")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
}

impl ConfigFileArgs {
    /// The file that is named.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

/// The cache's place, which every command has.
#[derive(Args, Clone, Debug)]
pub(crate) struct CacheArgs {
    /// Directory for compressed files
    ///
    /// [default: the user's cache directory + /cachecompress]
    ///
    /// It may be removed at any time: its files are made again when needed. If it cannot be
    /// written, the files are served uncompressed; where the default cannot be written, up to 64 MiB
    /// of compressed files are kept in memory.
    #[arg(long, value_name = "PATH", env = "CACHECOMPRESS_CACHE_DIR")]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) cache_dir: Option<PathBuf>,
}
