//! The flags of `inspect` and `purge`.

use std::time::Duration;

use cachecompress::ContentCoding;
use clap::{Arg, Args, ValueEnum};

use crate::flag_values::{self, DigestStart};

/// The flags of `inspect` beside those of `serve`.
#[derive(Args, Debug)]
pub(crate) struct InspectFlags {
    /// The path to explain, as in a URL: /js/app.js
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,

    /// Explain the answer for this Accept-Encoding
    ///
    /// It may be empty. [default: those of usual clients]
    #[arg(long, value_name = "VALUE", env = "CACHECOMPRESS_ACCEPT_ENCODING")]
    pub(crate) accept_encoding: Option<String>,

    /// Host of the site, if there are several
    #[arg(long, value_name = "HOST", env = "CACHECOMPRESS_HOST")]
    pub(crate) host: Option<String>,

    /// size, ratio, age, last-use
    ///
    /// It is the order of the list. The largest, the least compressed, the oldest or the longest unused come first.
    #[arg(long, value_name = "ORDER", value_enum, hide_possible_values = true)]
    #[arg(default_value = "size", env = "CACHECOMPRESS_SORT")]
    pub(crate) sort: Sort,

    /// List only entries that have TEXT
    ///
    /// Their digest begins with it, or their coding, kind or encoder has it.
    #[arg(long, value_name = "TEXT", env = "CACHECOMPRESS_FILTER")]
    pub(crate) filter: Option<String>,

    /// Print JSON
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_JSON")]
    pub(crate) json: bool,
}

/// The flags of `purge` beside those of `serve`. Conditions have no variables: one that was left in the
/// environment would remove entries.
#[derive(Args, Debug)]
pub(crate) struct PurgeFlags {
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

    /// Entries of the content with this SHA-256
    ///
    /// It is written as 8 to 64 hexadecimal digits, the start of the SHA-256.
    #[arg(long, value_name = "DIGEST", value_parser = flag_values::digest_start)]
    pub(crate) digest: Option<DigestStart>,

    /// All entries
    #[arg(long, conflicts_with_all = ["globs", "coding", "older_than", "digest"])]
    pub(crate) all: bool,

    /// Host of the site, if there are several
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

/// Hides the flags of `serve` from the help of `inspect`.
pub(super) fn of_inspect(arg: Arg) -> Arg {
    let own = ["path", "accept_encoding", "host", "sort", "filter", "json"];
    shown_if(arg, &own)
}

/// Hides the flags of `serve` from the help of `purge`.
pub(super) fn of_purge(arg: Arg) -> Arg {
    let own = ["globs", "coding", "older_than", "digest", "all", "host", "dry_run", "json"];
    shown_if(arg, &own)
}

/// Shows a flag that is its command's `own`, or says which cache and which site, in this order.
fn shown_if(arg: Arg, own: &[&str]) -> Arg {
    let id = arg.get_id().as_str();
    let shared = ["dir", "cache_dir", "config", "help"];
    let place = own.iter().chain(&shared).position(|shown| *shown == id);
    match place {
        Some(place) => arg.display_order(place),
        None => arg.hide(true),
    }
}
