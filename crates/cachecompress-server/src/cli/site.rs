//! The flags of one site.

use std::path::PathBuf;

use clap::builder::ValueHint;
use clap::{Args, ValueEnum};

use super::tls::TlsArgs;
use crate::cors::{self, Origin};
use crate::flag_values::{self, CacheControl, Globs, TypeRule};

/// The flags of one site, as they were given. In the configuration file they are also keys of
/// `[[sites]]`.
#[derive(Args, Debug)]
pub(crate) struct SiteArgs {
    /// The directory whose files are served
    #[arg(value_name = "DIR", default_value = ".", env = "CACHECOMPRESS_DIR")]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// The Cache-Control header where nothing more specific is set; off sends none
    #[arg(long, value_name = "VALUE|off", value_parser = flag_values::cache_control)]
    #[arg(default_value = "no-cache", env = "CACHECOMPRESS_CACHE_CONTROL")]
    pub(crate) cache_control: CacheControl,

    /// The symlinks beneath DIR that are followed: those whose target lies in it, all, or none
    ///
    /// A symlink that is not followed counts as missing, and the log names it once. `follow` serves
    /// whatever the symlinks in DIR lead to.
    #[arg(long, value_name = "within|follow|deny", hide_possible_values = true)]
    #[arg(default_value = "within", env = "CACHECOMPRESS_SYMLINKS")]
    pub(crate) symlinks: Symlinks,

    /// The Content-Type of files with an extension, or with a name; may be repeated
    ///
    /// usdz=model/vnd.usdz+zip is for all files that end in .usdz, and for one that is named so.
    /// Case does not count. The type is sent as it stands, without a charset unless it has one:
    /// txt=text/plain;charset=iso-8859-1.
    #[arg(long = "type", value_name = "EXT=TYPE", value_parser = flag_values::type_rule)]
    #[arg(value_delimiter = ',', env = "CACHECOMPRESS_TYPE")]
    pub(crate) types: Vec<TypeRule>,

    /// Let scripts of pages of another ORIGIN read the files: https://app.example.com, or * for all;
    /// may be repeated
    ///
    /// Preflights are answered before authentication. A header rule that names
    /// Access-Control-Allow-Origin wins.
    #[arg(long, value_name = "ORIGIN", value_parser = cors::origin, value_delimiter = ',')]
    #[arg(env = "CACHECOMPRESS_CORS")]
    pub(crate) cors: Vec<Origin>,

    /// Answer requests for unknown pages with /index.html, for single-page applications
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_SPA")]
    pub(crate) spa: bool,

    /// Let clients keep files with a hash in their name (app.3f9c2b1a.js) for a year:
    /// `Cache-Control: public, max-age=31536000, immutable`
    ///
    /// A hash is told by the name, by the directory (/_next/static/, /_astro/, /_app/immutable/,
    /// /_nuxt/), or by the other files in its directory. In doubt there is none.
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_IMMUTABLE")]
    pub(crate) immutable: bool,

    /// Let clients keep the files that match GLOB for a year, such as 'assets/**'; may be repeated
    ///
    /// * stops at a slash, ** does not.
    #[arg(long, value_name = "GLOB", value_parser = flag_values::globs)]
    #[arg(env = "CACHECOMPRESS_IMMUTABLE_PATHS")]
    pub(crate) immutable_paths: Vec<Globs>,

    /// Send the uncompressed length as X-Original-Content-Length, for progress displays
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_ORIGINAL_LENGTH")]
    pub(crate) original_length: bool,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

/// `--symlinks`: the symlinks that are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Symlinks {
    Within,
    Follow,
    Deny,
}
