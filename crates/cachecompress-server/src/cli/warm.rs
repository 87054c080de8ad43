//! The flags of `warm`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::ValueHint;

use super::files::{CacheArgs, ConfigFileArgs};
use super::help;
use super::numbers::threads;
use super::site::{Dotfiles, Symlinks};
use super::tier::TierArgs;
use crate::flag_values::{self, Codings, Globs, Level, TypeRule};

/// The flags of `warm`, as they were given. Those that `serve` has too are keys of the configuration
/// file.
#[derive(Args, Debug)]
#[command(args_override_self = true, mut_args(help::of_warm))]
#[command(after_help = help::short("warm"), after_long_help = help::long("warm"))]
pub(crate) struct WarmArgs {
    /// The directory whose files are compressed
    ///
    /// Without it they are those of the configuration file: its `root`, or the roots of all its sites.
    #[arg(value_name = "DIR", env = "CACHECOMPRESS_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,

    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// Bound of the cache on disk
    ///
    /// It is a size such as 500MB or 1GiB. The least recently used ones make room. 0 keeps them in memory, which is of use with --export
    /// only.
    #[arg(long, value_name = "SIZE", value_parser = flag_values::size, allow_hyphen_values = true)]
    #[arg(default_value = "1GiB", env = "CACHECOMPRESS_CACHE_SIZE")]
    pub(crate) cache_size: u64,

    /// Content codings
    ///
    /// They are any of br,zstd,gzip,deflate; auto is br,zstd,gzip.
    #[arg(long, value_name = "LIST", value_parser = flag_values::codings)]
    #[arg(default_value = "br,zstd,gzip", env = "CACHECOMPRESS_CODINGS")]
    pub(crate) codings: Codings,

    /// Compression level of a coding; may be repeated [default: br=5 zstd=3 gzip=6]
    ///
    /// A server finds the entries if it has the same levels.
    #[arg(long, value_name = "CODING=N", value_parser = flag_values::level, value_delimiter = ',')]
    #[arg(env = "CACHECOMPRESS_LEVEL")]
    pub(crate) level: Vec<Level>,

    /// Compress hard: br=11 zstd=19, gzip and deflate by libdeflate 12
    ///
    /// Only a higher --level changes them. It takes some 50 times as long. A server of lower levels sends
    /// these entries, too, and the earlier ones go.
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_BEST")]
    pub(crate) best: bool,

    #[command(flatten)]
    pub(crate) tier: TierArgs,

    /// Files at once [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = threads(), env = "CACHECOMPRESS_JOBS")]
    pub(crate) jobs: Option<u16>,

    /// Compress only the files that match
    ///
    /// It is a glob such as 'assets/**', and may be repeated. * stops at a slash, ** does not.
    ///
    /// A glob that matches a directory has all that lies beneath it. Source maps (.map) are compressed only
    /// if one of these globs matches them.
    #[arg(long, value_name = "GLOB", value_parser = flag_values::globs)]
    #[arg(env = "CACHECOMPRESS_INCLUDE")]
    pub(crate) include: Vec<Globs>,

    /// Leave out the files that match
    ///
    /// It may be repeated.
    #[arg(long, value_name = "GLOB", value_parser = flag_values::globs)]
    #[arg(env = "CACHECOMPRESS_EXCLUDE")]
    pub(crate) exclude: Vec<Globs>,

    /// Write .br, .zst, .gz beside the files, or in OUT
    ///
    /// They are for other servers. Each is moved into place when it is whole, and has the time and the permissions of its file.
    /// There is none for types that are compressed already, nor where it would save less than 5 %.
    #[arg(long, value_name = "OUT", num_args = 0..=1, require_equals = true)]
    #[arg(env = "CACHECOMPRESS_EXPORT", value_hint = ValueHint::DirPath)]
    pub(crate) export: Option<Option<PathBuf>>,

    /// Remove exports whose file is gone or has changed
    #[arg(long, value_parser = flag_values::switch, requires = "export", env = "CACHECOMPRESS_PRUNE")]
    pub(crate) prune: bool,

    /// Only check the .br, .zst and .gz that there are
    ///
    /// Each is decoded, and named if it does not hold the file that it is named after. Nothing is
    /// written. They lie beside the files or in the OUT of --export, and may be anybody's.
    #[arg(long, value_parser = flag_values::switch, conflicts_with = "prune")]
    #[arg(env = "CACHECOMPRESS_CHECK")]
    pub(crate) check: bool,

    /// Print the result as JSON
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_JSON")]
    pub(crate) json: bool,

    /// The symlinks beneath DIR that are followed, as for `serve`
    #[arg(long, value_name = "within|follow|deny", hide_possible_values = true)]
    #[arg(default_value = "within", env = "CACHECOMPRESS_SYMLINKS")]
    pub(crate) symlinks: Symlinks,

    /// Whether files are compressed whose names start with a dot, as for `serve`
    #[arg(long, value_name = "deny|allow", hide_possible_values = true)]
    #[arg(default_value = "deny", env = "CACHECOMPRESS_DOTFILES")]
    pub(crate) dotfiles: Dotfiles,

    /// The Content-Type of files with an extension, as for `serve`; may be repeated
    #[arg(long = "type", value_name = "EXT=TYPE", value_parser = flag_values::type_rule)]
    #[arg(value_delimiter = ',', env = "CACHECOMPRESS_TYPE")]
    pub(crate) types: Vec<TypeRule>,
}
