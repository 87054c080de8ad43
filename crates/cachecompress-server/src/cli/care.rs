//! The flags of `inspect` and `purge`.

use std::time::Duration;

use cachecompress::ContentCoding;
use clap::{Arg, Args, ValueEnum};

use super::ServeArgs;
use crate::flag_values::{self, DigestStart};

/// The flags of `inspect`, as they were given.
#[derive(Args, Debug)]
#[command(args_override_self = true, mut_args(of_inspect))]
#[command(after_help = "Changes nothing, and may run beside servers.\n\nWithout DIR and PATH it \
    lists the cache's entries, with their digest, coding, sizes, ratio, level, age and last use. \
    A use is noted at most hourly.\n\nWith DIR and PATH it explains why the file at \
    the path is or is not compressed, for whom, and what a server would send. All flags of \
    `serve` that shape a site are taken, too. So are its variables and the configuration \
    file.\n\nExit codes: 0 done, 1 something is damaged or could not be read, 2 wrong \
    usage or no cache there, 130 interrupted.")]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,

    /// The path to explain, as in a URL: /js/app.js
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,

    /// The Accept-Encoding of the client whose answer is explained; may be empty [default: those of
    /// usual clients]
    #[arg(long, value_name = "VALUE", env = "CACHECOMPRESS_ACCEPT_ENCODING")]
    pub(crate) accept_encoding: Option<String>,

    /// The host of the site, where the configuration has several
    #[arg(long, value_name = "HOST", env = "CACHECOMPRESS_HOST")]
    pub(crate) host: Option<String>,

    /// The order of the list: the largest, the least compressed, the oldest or the longest unused first
    #[arg(long, value_name = "size|ratio|age|last-use", value_enum, hide_possible_values = true)]
    #[arg(default_value = "size", env = "CACHECOMPRESS_SORT")]
    pub(crate) sort: Sort,

    /// List only entries whose digest begins with TEXT, or whose coding, kind or encoder has it
    #[arg(long, value_name = "TEXT", env = "CACHECOMPRESS_FILTER")]
    pub(crate) filter: Option<String>,

    /// Print JSON
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_JSON")]
    pub(crate) json: bool,
}

/// The flags of `purge`, as they were given. Conditions have no variables: one that was left in the
/// environment would remove entries.
#[derive(Args, Debug)]
#[command(args_override_self = true, mut_args(of_purge))]
#[command(after_help = "May run beside servers: they send what they have begun to its end, and \
    encode what is asked for again.\n\nAn entry goes if all conditions hold for it. With DIR \
    and GLOB they are the entries of the contents that the files have now. What a file held before has \
    another digest. All flags of `serve` that shape a site are taken, too.\n\nstdout has a line \
    for each removal, and a summary as its last line.\n\nExit codes: 0 done, 1 something could not be \
    read or removed, or no file matches a GLOB, 2 wrong usage or no cache there, 130 interrupted.")]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,

    /// The files whose entries go, as paths of URLs: '/js/f1*.js'
    ///
    /// * stops at a slash, ** does not.
    #[arg(value_name = "GLOB")]
    pub(crate) globs: Vec<String>,

    /// Entries in this coding
    #[arg(long, value_name = "CODING", value_parser = flag_values::coding)]
    pub(crate) coding: Option<ContentCoding>,

    /// Entries that were made longer ago, such as 30d
    #[arg(long, value_name = "DURATION", value_parser = flag_values::duration)]
    pub(crate) older_than: Option<Duration>,

    /// Entries of the content whose SHA-256 begins with these 8 to 64 hexadecimal digits
    #[arg(long, value_name = "DIGEST", value_parser = flag_values::digest_start)]
    pub(crate) digest: Option<DigestStart>,

    /// All entries
    #[arg(long, conflicts_with_all = ["globs", "coding", "older_than", "digest"])]
    pub(crate) all: bool,

    /// The host of the site, where the configuration has several
    #[arg(long, value_name = "HOST", env = "CACHECOMPRESS_HOST")]
    pub(crate) host: Option<String>,

    /// Only print the removals
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_DRY_RUN")]
    pub(crate) dry_run: bool,

    /// Print JSON
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_JSON")]
    pub(crate) json: bool,
}

/// `--sort`: the order of a list of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    Size,
    Ratio,
    Age,
    #[value(alias = "last_use")]
    LastUse,
}

fn of_inspect(arg: Arg) -> Arg {
    let own = ["path", "accept_encoding", "host", "sort", "filter", "json"];
    shown_if(arg, &own)
}

fn of_purge(arg: Arg) -> Arg {
    let own = ["globs", "coding", "older_than", "digest", "all", "host", "dry_run", "json"];
    shown_if(arg, &own)
}

/// Hides the flags of `serve` from the help, but for those that say which cache and which site.
fn shown_if(arg: Arg, own: &[&str]) -> Arg {
    let id = arg.get_id().as_str();
    let is_shown = own.contains(&id) || ["dir", "cache_dir", "config", "help"].contains(&id);
    arg.hide(!is_shown)
}
