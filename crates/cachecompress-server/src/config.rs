//! The resolved configuration, with every default applied.

use std::borrow::Cow;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cachecompress::tier::TierMode;
use cachecompress::{CleanUrls, Deltas, Preference, Siblings, Symlinks, TrailingSlash};
use etcetera::BaseStrategy as _;
use http::HeaderValue;
use tracing_subscriber::filter::LevelFilter;

use crate::access_log::AccessLogConfig;
use crate::cli::{
    self, CacheArgs, LogFormat, LogLevel, Sendfile, ServeArgs, SiteArgs, TierArgs, TlsArgs,
};
use crate::config_file::{self, InForce, Origin, Setting};
use crate::connection::ConnectionLimits;
use crate::cors::Cors;
use crate::deadlines::Timeouts;
use crate::exit::Failure;
use crate::flag_values::{CacheControl, Level, ListenAddress, Spa, TypeRule};
use crate::forwarded::TrustedProxies;
use crate::printer::EscapedPath;
use crate::tables::SiteTables;
use crate::tls::TlsFiles;

const HOMELESS: &str = "there is no home directory to keep a cache in; set --cache-dir";

/// The configuration of `serve`.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    /// The sites, one at least. Requests for unknown hosts get the first.
    pub(crate) sites: Vec<SiteConfig>,
    /// The configuration file.
    pub(crate) file: Option<PathBuf>,
    /// All settings, with the origin of each.
    pub(crate) settings: Vec<Setting>,
    /// The files that no site serves: the configuration, keys, passwords.
    pub(crate) files_in_force: Vec<PathBuf>,
    pub(crate) listen: Vec<ListenAddress>,
    /// Whether nobody has named these addresses.
    pub(crate) listens_by_default: bool,
    /// The permissions of Unix sockets.
    pub(crate) socket_mode: u32,
    /// The addresses that redirect to HTTPS.
    pub(crate) redirect_from: Vec<ListenAddress>,
    pub(crate) admin: Option<ListenAddress>,
    /// The names by which the admin listener is asked for.
    pub(crate) admin_hosts: Vec<String>,
    pub(crate) admin_token_file: Option<PathBuf>,
    pub(crate) cache: CacheChoice,
    pub(crate) tier: Option<TierChoice>,
    pub(crate) memory_cache: u64,
    pub(crate) sendfile: Sendfile,
    pub(crate) preference: Preference,
    pub(crate) levels: Vec<Level>,
    pub(crate) threads: usize,
    pub(crate) encode_threads: usize,
    pub(crate) revalidate: Duration,
    pub(crate) patience: Duration,
    pub(crate) prove: bool,
    /// The share of a core that compresses files again, better; zero if none does.
    pub(crate) recompress_cpu: f64,
    pub(crate) queue: usize,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_open_files: Option<usize>,
    pub(crate) limits: ConnectionLimits,
    pub(crate) trusted_proxies: TrustedProxies,
    /// Whether they begin each connection with a header.
    pub(crate) proxy_protocol: bool,
    pub(crate) access_log: Option<AccessLogConfig>,
    pub(crate) log_level: LevelFilter,
    pub(crate) log_format: LogFormat,
}

/// The configuration of one site.
#[derive(Debug)]
pub(crate) struct SiteConfig {
    /// The directory that is served.
    pub(crate) root: PathBuf,
    pub(crate) symlinks: Symlinks,
    pub(crate) cache_control: Option<HeaderValue>,
    pub(crate) types: Vec<TypeRule>,
    pub(crate) cors: Option<Cors>,
    /// The file of the users who may come in.
    pub(crate) basic_auth: Option<PathBuf>,
    pub(crate) index: Vec<String>,
    pub(crate) clean_urls: CleanUrls,
    pub(crate) trailing_slash: TrailingSlash,
    pub(crate) spa: Spa,
    pub(crate) spa_except: Vec<String>,
    /// Whether directories without an index are listed.
    pub(crate) list: bool,
    /// The page of a 404; else the nearest `404.html` is.
    pub(crate) not_found: Option<String>,
    pub(crate) dotfiles: bool,
    pub(crate) siblings: Siblings,
    pub(crate) encoded_names: bool,
    pub(crate) deltas: Deltas,
    pub(crate) immutable: bool,
    pub(crate) immutable_paths: Vec<String>,
    pub(crate) original_length: bool,
    /// Whether `_headers` and `_redirects` are read.
    pub(crate) site_rules: bool,
    /// The files of the site's certificate.
    pub(crate) tls: Option<TlsFiles>,
    /// The tables of the configuration file.
    pub(crate) tables: SiteTables,
}

/// The place where compressed files are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CacheChoice {
    /// On disk, in `dir`.
    Disk { dir: PathBuf, max_bytes: u64 },
    /// In memory, for this reason.
    Memory { because: Cow<'static, str> },
}

/// The store that replicas share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TierChoice {
    /// Its URL or its directory, as it was given.
    pub(crate) url: String,
    pub(crate) mode: TierMode,
    pub(crate) key_file: Option<PathBuf>,
}

impl TierChoice {
    /// The store that `args` choose; `None` without one.
    pub(crate) fn resolve(args: TierArgs) -> Option<Self> {
        let TierArgs { tier, tier_mode, tier_key_file } = args;
        Some(Self { url: tier?, mode: tier_mode.into(), key_file: tier_key_file })
    }

    /// The mode as its flag has it.
    pub(crate) fn mode_name(&self) -> &'static str {
        match self.mode {
            TierMode::ReadOnly => "ro",
            _ => "rw",
        }
    }
}

impl ServeConfig {
    /// Resolves what is `in_force`, with the defaults that depend on the machine.
    ///
    /// # Errors
    ///
    /// If values do not go together.
    pub(crate) fn resolve(in_force: &InForce) -> Result<Self, Failure> {
        let args: ServeArgs = in_force.args()?;
        let listen = in_force.keys.find(None, "listen");
        let listens_by_default = listen.is_some_and(|key| in_force.value(key).1 == Origin::Default);
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let sites = in_force.sites()?.into_iter();
        let sites = sites.map(|(args, tables)| SiteConfig::resolve(args, tables));
        let sites = sites.collect::<Result<Vec<_>, _>>()?;
        if !args.redirect_from.is_empty() && sites.iter().all(|site| site.tls.is_none()) {
            let missing = "--redirect-from needs HTTPS: add --tls-cert and --tls-key";
            return Err(Failure::Usage(missing.into()));
        }
        if args.proxy_protocol && args.trusted_proxies.is_empty() {
            let missing = "--proxy-protocol needs the addresses of the proxies that use it: add \
                           --trusted-proxies";
            return Err(Failure::Usage(missing.into()));
        }
        Ok(Self {
            sites,
            file: in_force.file().map(PathBuf::from),
            settings: config_file::settings(in_force),
            files_in_force: in_force.files_in_force(),
            listen: args.listen,
            listens_by_default,
            socket_mode: args.socket_mode,
            redirect_from: args.redirect_from,
            admin: args.admin,
            admin_hosts: args.admin_host,
            admin_token_file: args.admin_token_file,
            cache: chosen_cache(args.cache_size, args.cache),
            tier: TierChoice::resolve(args.tier),
            memory_cache: args.memory_cache,
            sendfile: args.sendfile,
            preference: args.codings.into(),
            levels: args.level,
            threads: args.threads.map_or(cores, usize::from),
            encode_threads: args.encode_threads.map_or((cores / 2).max(2), usize::from),
            revalidate: args.revalidate,
            patience: args.patience,
            prove: args.prove,
            recompress_cpu: match args.recompress {
                cli::Recompress::Idle => args.recompress_cpu,
                cli::Recompress::Off => 0.0,
            },
            queue: count(args.queue),
            max_connections: args.max_connections.map(count),
            max_open_files: args.max_open_files.map(count),
            limits: ConnectionLimits {
                header_bytes: args.max_header_bytes,
                headers: count(args.max_headers),
                streams: args.max_streams,
                timeouts: Timeouts {
                    header: args.header_timeout,
                    idle: args.idle_timeout,
                    write: args.write_timeout,
                },
            },
            proxy_protocol: args.proxy_protocol,
            trusted_proxies: TrustedProxies::new(args.trusted_proxies),
            access_log: args.access_log.map(|target| AccessLogConfig {
                target,
                format: args.access_log_format,
                sample: args.access_log_sample,
            }),
            log_level: args.log_level.into(),
            log_format: args.log_format,
        })
    }
}

/// The files that the flags of a certificate name; `None` without them.
fn tls_files(args: &TlsArgs) -> Result<Option<TlsFiles>, Failure> {
    let missing = |sentence: &str| Err(Failure::Usage(sentence.to_owned()));
    match (&args.tls_cert, &args.tls_key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => {
            let (cert, key) = (cert.clone(), key.clone());
            Ok(Some(TlsFiles { cert, key }))
        }
        (Some(_), None) => missing("--tls-cert needs the key of the certificate: add --tls-key"),
        (None, Some(_)) => missing("--tls-key needs the certificate of the key: add --tls-cert"),
    }
}

impl ServeConfig {
    /// The certificates of the sites, each with the hosts of its site.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = (&[String], &TlsFiles)> {
        self.sites.iter().filter_map(|site| Some((&*site.tables.hosts, site.tls.as_ref()?)))
    }

    /// Returns the flags whose values differ from those of `started` and hold until the next start.
    pub(crate) fn fixed_since(&self, started: &Self) -> Vec<&'static str> {
        let cache_dir = |config: &Self| match &config.cache {
            CacheChoice::Disk { dir, .. } => Some(dir.clone()),
            CacheChoice::Memory { .. } => None,
        };
        let cache_size = |config: &Self| match config.cache {
            CacheChoice::Disk { max_bytes, .. } => max_bytes,
            CacheChoice::Memory { .. } => 0,
        };
        let has_tls = |config: &Self| config.certificates().next().is_some();
        let flags = [
            ("cache-dir", cache_dir(self) != cache_dir(started)),
            ("cache-size", cache_size(self) != cache_size(started)),
            ("tier", self.tier != started.tier),
            ("listen", self.listen != started.listen),
            ("redirect-from", self.redirect_from != started.redirect_from),
            ("tls-cert", has_tls(self) != has_tls(started)),
            ("socket-mode", self.socket_mode != started.socket_mode),
            ("admin", self.admin != started.admin),
            ("memory-cache", self.memory_cache != started.memory_cache),
            ("level", self.levels != started.levels),
            ("threads", self.threads != started.threads),
            ("encode-threads", self.encode_threads != started.encode_threads),
            ("queue", self.queue != started.queue),
            ("prove", self.prove != started.prove),
            ("recompress", self.recompress_cpu.to_bits() != started.recompress_cpu.to_bits()),
            ("max-connections", self.max_connections != started.max_connections),
            ("max-open-files", self.max_open_files != started.max_open_files),
            ("trusted-proxies", self.trusted_proxies != started.trusted_proxies),
            ("proxy-protocol", self.proxy_protocol != started.proxy_protocol),
            ("access-log", self.access_log != started.access_log),
            ("log-level", self.log_level != started.log_level),
            ("log-format", self.log_format != started.log_format),
        ];
        flags.into_iter().filter_map(|(flag, differs)| differs.then_some(flag)).collect()
    }
}

impl SiteConfig {
    fn resolve(args: SiteArgs, tables: SiteTables) -> Result<Self, Failure> {
        Ok(Self {
            tls: tls_files(&args.tls)?,
            root: args.dir,
            symlinks: args.symlinks.into(),
            cache_control: match args.cache_control {
                CacheControl::Off => None,
                CacheControl::Value(value) => Some(value),
            },
            types: args.types,
            cors: Cors::new(args.cors),
            basic_auth: args.basic_auth,
            index: args.index.0,
            clean_urls: args.clean_urls.into(),
            trailing_slash: args.trailing_slash.into(),
            siblings: args.siblings.into(),
            encoded_names: args.encoded_names,
            deltas: args.deltas.into(),
            spa: args.spa,
            spa_except: args.spa_except.into_iter().flat_map(|globs| globs.0).collect(),
            list: args.list,
            not_found: args.not_found,
            dotfiles: args.dotfiles == cli::Dotfiles::Allow,
            immutable: args.immutable,
            immutable_paths: args.immutable_paths.into_iter().flat_map(|globs| globs.0).collect(),
            original_length: args.original_length,
            site_rules: args.site_rules,
            tables,
        })
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl From<cli::Symlinks> for Symlinks {
    fn from(symlinks: cli::Symlinks) -> Self {
        match symlinks {
            cli::Symlinks::Within => Self::Within,
            cli::Symlinks::Follow => Self::Follow,
            cli::Symlinks::Deny => Self::Deny,
        }
    }
}

impl From<cli::CleanUrls> for CleanUrls {
    fn from(clean_urls: cli::CleanUrls) -> Self {
        match clean_urls {
            cli::CleanUrls::Off => Self::Off,
            cli::CleanUrls::Serve => Self::Serve,
            cli::CleanUrls::Redirect => Self::Redirect,
        }
    }
}

impl From<cli::TrailingSlash> for TrailingSlash {
    fn from(trailing_slash: cli::TrailingSlash) -> Self {
        match trailing_slash {
            cli::TrailingSlash::Auto => Self::Auto,
            cli::TrailingSlash::Always => Self::Always,
            cli::TrailingSlash::Never => Self::Never,
        }
    }
}

impl From<cli::Siblings> for Siblings {
    fn from(siblings: cli::Siblings) -> Self {
        match siblings {
            cli::Siblings::Off => Self::Off,
            cli::Siblings::Verified => Self::Verified,
        }
    }
}

impl From<cli::Deltas> for Deltas {
    fn from(deltas: cli::Deltas) -> Self {
        match deltas {
            cli::Deltas::Auto => Self::Auto,
            cli::Deltas::AssumeHttps => Self::AssumeHttps,
            cli::Deltas::Off => Self::Off,
        }
    }
}

impl From<cli::TierMode> for TierMode {
    fn from(mode: cli::TierMode) -> Self {
        match mode {
            cli::TierMode::Rw => Self::ReadWrite,
            cli::TierMode::Ro => Self::ReadOnly,
        }
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// The place of the cache that `args` choose, of at most `max_bytes` bytes.
pub(crate) fn chosen_cache(max_bytes: u64, args: CacheArgs) -> CacheChoice {
    cache_choice(max_bytes, args.cache_dir, user_cache_dir)
}

fn cache_choice(
    max_bytes: u64,
    named: Option<PathBuf>,
    user: impl FnOnce() -> Option<PathBuf>,
) -> CacheChoice {
    if max_bytes == 0 {
        return CacheChoice::Memory { because: "--cache-size is 0".into() };
    }
    let is_default = named.is_none();
    match cache_dir(named, user) {
        Some(dir) if is_default && !can_be_written(&dir) => {
            let shown = EscapedPath(&dir);
            let because = format!("{shown}, the default, cannot be written; set --cache-dir");
            CacheChoice::Memory { because: because.into() }
        }
        Some(dir) if is_default && is_root_elsewhere(&dir) => {
            let shown = EscapedPath(&dir);
            let because = format!("{shown}, the default, is another user's; set --cache-dir");
            CacheChoice::Memory { because: because.into() }
        }
        Some(dir) => CacheChoice::Disk { dir, max_bytes },
        None => CacheChoice::Memory { because: HOMELESS.into() },
    }
}

/// Whether this process may create and write `dir`, going by the permissions of what there is of
/// it. Services often run with a home directory that is not theirs, such as `/`.
#[cfg(unix)]
fn can_be_written(dir: &Path) -> bool {
    use rustix::fs::{Access, access};
    use rustix::io::Errno;

    let permitted = |dir: &Path| access(dir, Access::WRITE_OK | Access::EXEC_OK);
    let there = dir.ancestors().map(permitted).find(|there| *there != Err(Errno::NOENT));
    there.is_some_and(|permitted| permitted.is_ok())
}

/// Whether this process is root's and `dir`, or what there is of it, is not, as where `sudo` keeps
/// HOME. The other user could not write what root makes there.
#[cfg(unix)]
fn is_root_elsewhere(dir: &Path) -> bool {
    let owner = dir.ancestors().find_map(|dir| rustix::fs::stat(dir).ok());
    rustix::process::geteuid().is_root() && owner.is_some_and(|owner| owner.st_uid != 0)
}

#[cfg(not(unix))]
fn is_root_elsewhere(_: &Path) -> bool {
    false
}

/// Takes it for granted: on this system every user has a place of their own.
#[cfg(not(unix))]
fn can_be_written(_: &Path) -> bool {
    true
}

/// The cache's directory, for `verify` and `gc`.
///
/// # Errors
///
/// If `args` names none and there is no home directory.
pub(crate) fn existing_cache(args: CacheArgs) -> Result<PathBuf, Failure> {
    cache_dir(args.cache_dir, user_cache_dir).ok_or_else(|| Failure::Usage(HOMELESS.into()))
}

fn cache_dir(named: Option<PathBuf>, user: impl FnOnce() -> Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| user().map(|dir| dir.join("cachecompress")))
}

/// The user's cache directory, if the environment names one.
///
/// Without `HOME` and `XDG_CACHE_HOME` the user database might still name a home directory. It is
/// not asked, because a service that is started without them is not expected to write there.
fn user_cache_dir() -> Option<PathBuf> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if cfg!(unix) && !is_set("HOME") && !is_set("XDG_CACHE_HOME") {
        return None;
    }
    let dir = etcetera::choose_base_strategy().ok()?.cache_dir();
    dir.is_absolute().then_some(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_dir_is_the_named_one_else_the_users_else_memory() {
        let disk = |dir: &Path| CacheChoice::Disk { dir: dir.into(), max_bytes: 7 };
        let home = tempfile::tempdir().unwrap();
        let user = || Some(home.path().join(".cache"));
        assert_eq!(cache_choice(7, Some("/c".into()), user), disk(Path::new("/c")));
        let default = home.path().join(".cache/cachecompress");
        assert_eq!(cache_choice(7, None, user), disk(&default));
        assert!(matches!(cache_choice(7, None, || None), CacheChoice::Memory { .. }));
        assert!(matches!(cache_choice(0, Some("/c".into()), user), CacheChoice::Memory { .. }));
        assert!(!home.path().join(".cache").exists(), "nothing is created by the choice");
    }

    #[cfg(unix)]
    #[test]
    fn default_of_another_user_gives_way_to_memory_when_root_runs() {
        use rustix::fs::{Uid, chown};

        let home = tempfile::tempdir().unwrap();
        if !rustix::process::geteuid().is_root()
            || chown(home.path(), Some(Uid::from_raw(4711)), None).is_err()
        {
            return; // only root can give a directory away
        }
        let user = || Some(home.path().join(".cache"));
        let CacheChoice::Memory { because } = cache_choice(7, None, user) else {
            panic!("root in another user's home");
        };
        assert!(because.contains("is another user's"), "{because}");
        let named = cache_choice(7, Some(home.path().join("named")), user);
        assert!(matches!(named, CacheChoice::Disk { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn default_that_cannot_be_written_gives_way_to_memory_and_a_named_one_does_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let user = || Some(file.path().to_owned());
        let CacheChoice::Memory { because } = cache_choice(7, None, user) else {
            panic!("a directory below a file");
        };
        assert!(because.contains("cachecompress, the default, cannot be written"), "{because}");
        let named = cache_choice(7, Some(file.path().join("named")), user);
        assert!(matches!(named, CacheChoice::Disk { .. }));
    }
}
