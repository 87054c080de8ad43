//! The flags of one site.

use std::path::PathBuf;

use clap::builder::ValueHint;
use clap::{ArgAction, Args, ValueEnum};

use super::tls::TlsArgs;
use crate::cors::{self, Origin};
use crate::flag_values::{self, CacheControl, Globs, IndexNames, Spa, TypeRule};

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

    /// The users who may come in, with their passwords: an htpasswd file with bcrypt
    ///
    /// `htpasswd -B -c FILE USER` makes one. It is read again at SIGHUP, and a wrong one leaves the one
    /// before in force. Use it with TLS: the password comes with each request.
    #[arg(long, value_name = "FILE", env = "CACHECOMPRESS_BASIC_AUTH")]
    pub(crate) basic_auth: Option<PathBuf>,

    /// The files .br, .zst and .gz beside a file that are sent for it: none, or those that decode to it
    ///
    /// A stale or broken one is named in the log once, and the file is compressed instead.
    #[arg(long, value_name = "off|verified", hide_possible_values = true)]
    #[arg(default_value = "off", env = "CACHECOMPRESS_SIBLINGS")]
    pub(crate) siblings: Siblings,

    /// Whether app.js.br without app.js is JavaScript in br, as in builds of Unity
    ///
    /// /app.js leads to it as well. Likewise .zst and .gz, but no archives such as .tar.gz. A client
    /// that does not accept the coding gets the file decoded.
    #[arg(long, value_name = "on|off", value_parser = flag_values::on_or_off())]
    #[arg(action = ArgAction::Set, default_value = "off", env = "CACHECOMPRESS_ENCODED_NAMES")]
    pub(crate) encoded_names: bool,

    /// Whether clients that have an earlier version of a file get the difference (RFC 9842): auto, over HTTPS
    /// and on this machine; assume-https, also without TLS; or off
    ///
    /// It is for files of 4 KiB to 64 MiB with a hash or a version in their names, whose answers have a
    /// lifetime: see --immutable, --immutable-paths and --cache-control. assume-https is for a proxy that
    /// speaks HTTPS and is not among --trusted-proxies.
    #[arg(long, value_name = "auto|assume-https|off", hide_possible_values = true)]
    #[arg(default_value = "auto", env = "CACHECOMPRESS_DELTAS")]
    pub(crate) deltas: Deltas,

    /// The index files of a directory, the preferred one first
    #[arg(long, value_name = "NAMES", value_parser = flag_values::index_names)]
    #[arg(default_value = "index.html", env = "CACHECOMPRESS_INDEX")]
    pub(crate) index: IndexNames,

    /// Paths without .html: off, serve (/about is about.html), or redirect (/about.html is also sent
    /// there)
    ///
    /// A file with the very name of the path goes first, and .htm is tried after .html. Redirects are
    /// 301 and keep the query. redirect also sends /docs/index.html to /docs/.
    #[arg(long, value_name = "off|serve|redirect", hide_possible_values = true)]
    #[arg(default_value = "off", env = "CACHECOMPRESS_CLEAN_URLS")]
    pub(crate) clean_urls: CleanUrls,

    /// The one of /a and /a/ that is the page; the other is redirected
    ///
    /// auto: /a/ for the index of a directory, /a for a file. A file that has the very name is at /a in
    /// any case.
    #[arg(long, value_name = "auto|always|never", hide_possible_values = true)]
    #[arg(default_value = "auto", env = "CACHECOMPRESS_TRAILING_SLASH")]
    pub(crate) trailing_slash: TrailingSlash,

    /// Answer unknown pages with /index.html, or PATH
    ///
    /// It is for single-page applications. A request asks for a page if the last segment of its path has no dot, or if Accept names
    /// text/html and the extension is of no known type. A missing script stays a 404.
    #[arg(long, value_name = "PATH", value_parser = flag_values::spa)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    #[arg(default_value = "off", hide_default_value = true, env = "CACHECOMPRESS_SPA")]
    pub(crate) spa: Spa,

    /// Leave the paths that match GLOB out of --spa, such as '/api/**'; may be repeated
    ///
    /// * stops at a slash, ** does not. A missing path among them, or beneath one of them, is a 404.
    #[arg(long, value_name = "GLOB", value_parser = flag_values::globs)]
    #[arg(env = "CACHECOMPRESS_SPA_EXCEPT")]
    pub(crate) spa_except: Vec<Globs>,

    /// List the files of directories without an index
    ///
    /// The answer is HTML, or JSON for those who prefer it. It has what would be served, and so no dotfiles, and 10,000 entries at most. It is at the path
    /// with a slash in any case. ?sort=name, size or time and order=asc or desc set its order.
    #[arg(long, value_parser = flag_values::switch, env = "CACHECOMPRESS_LIST")]
    pub(crate) list: bool,

    /// The page of a 404, such as /lost.html [default: the nearest 404.html upwards, if there is one]
    #[arg(long, value_name = "PATH", value_parser = flag_values::site_path)]
    #[arg(env = "CACHECOMPRESS_NOT_FOUND")]
    pub(crate) not_found: Option<String>,

    /// Whether files and directories are served whose names start with a dot
    ///
    /// /.well-known/ always is.
    #[arg(long, value_name = "deny|allow", hide_possible_values = true)]
    #[arg(default_value = "deny", env = "CACHECOMPRESS_DOTFILES")]
    pub(crate) dotfiles: Dotfiles,

    /// Let clients keep names with a hash for a year
    ///
    /// A file such as app.3f9c2b1a.js gets `Cache-Control: public, max-age=31536000, immutable`. A hash is told by the name, by the directory (/_next/static/, /_astro/, /_app/immutable/,
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

    /// Read `_headers` and `_redirects` at the root of DIR, in the format of Netlify and Cloudflare
    /// Pages
    ///
    /// Lines that are not supported are skipped with a warning. Neither file is ever served.
    #[arg(long, value_name = "on|off", action = clap::ArgAction::Set)]
    #[arg(value_parser = flag_values::on_or_off(), default_value = "on", env = "CACHECOMPRESS_SITE_RULES")]
    pub(crate) site_rules: bool,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

/// `--siblings`: the coded files beside a file that are sent for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Siblings {
    Off,
    Verified,
}

/// `--deltas`: the clients that get the difference to an earlier version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deltas {
    Auto,
    AssumeHttps,
    Off,
}

/// `--symlinks`: the symlinks that are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Symlinks {
    Within,
    Follow,
    Deny,
}

/// `--clean-urls`: the paths without an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CleanUrls {
    Off,
    Serve,
    Redirect,
}

/// `--trailing-slash`: the spelling of a page's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrailingSlash {
    Auto,
    Always,
    Never,
}

/// `--dotfiles`: whether names that start with a dot are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dotfiles {
    Deny,
    Allow,
}
