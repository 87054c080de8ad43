//! The part of the configuration that a reload replaces, as a whole and at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use cachecompress::tier::Tier;
use cachecompress::{Cache, EncodeProgress, Memory, Recompress, ServeCompressed};
use tokio::sync::watch;

use crate::admin_access::AdminAccess;
use crate::cli::Sendfile;
use crate::config::{CacheChoice, ServeConfig, SiteConfig};
use crate::connection::HttpServer;
use crate::exit::Failure;
use crate::exposed_secrets::exposed_secrets;
use crate::flag_values::Level;
use crate::limits::MEMORY_CACHE_BYTES;
use crate::printer::{Escaped, EscapedPath};
use crate::site::{self, RulesInForce};
use crate::sites::{Site, Sites};
use crate::tier;
use crate::tls::Tls;

/// The sites, and the limits of new connections.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// Counts the reloads before it.
    pub(crate) generation: u64,
    pub(crate) sites: Sites,
    pub(crate) server: HttpServer,
    /// The most header fields of a request.
    pub(crate) max_headers: usize,
    /// Whether connections are given to the sites, for `sendfile`.
    pub(crate) sendfile: bool,
    pub(crate) admin: AdminAccess,
}

/// The slot of what is in force. A request takes what it finds there, and ends by it.
pub(crate) type LiveSlot = Arc<ArcSwap<Live>>;

/// The owner of what is in force, which replaces it.
pub(crate) struct Reloader {
    cache: Cache,
    tier: Option<Tier>,
    engine: ServeCompressed,
    live: LiveSlot,
    tls: Option<Tls>,
    /// The configuration of the start.
    started: Arc<ServeConfig>,
    /// The number of the last turn to reload.
    turns: AtomicU64,
    /// The lock is held while what is in force is replaced, but not while the disk is read.
    current: Mutex<Current>,
    last_reload: watch::Sender<LastReload>,
}

/// The last reload of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct LastReload {
    /// The time at which the configuration in force was loaded.
    pub(crate) loaded: SystemTime,
    /// The reason for which the last reload changed nothing, in one sentence.
    pub(crate) error: Option<String>,
}

/// The configuration in force.
struct Current {
    /// The turn of its reload; 0 at the start.
    turn: u64,
    config: Arc<ServeConfig>,
}

impl Live {
    fn open(
        engine: &ServeCompressed,
        config: &ServeConfig,
        before: Option<&Self>,
    ) -> Result<Self, Failure> {
        for sentence in exposed_secrets(config) {
            tracing::warn!("{sentence}");
        }
        Ok(Self {
            generation: before.map_or(0, |before| before.generation + 1),
            sites: Sites::open(engine, config, before.map(|before| &before.sites))?,
            server: HttpServer::new(config.limits),
            max_headers: config.limits.headers,
            sendfile: config.sendfile != Sendfile::Off,
            admin: AdminAccess::open(config)?,
        })
    }
}

impl Reloader {
    /// Opens the sites of `config`, with a cache that keeps so many `entries` open, and with its `tls`.
    /// `on_encode` is told of encodes.
    ///
    /// # Errors
    ///
    /// If the cache or a site cannot be opened.
    pub(crate) fn start(
        config: Arc<ServeConfig>,
        entries: usize,
        tls: Option<Tls>,
        on_encode: impl Fn(&EncodeProgress) + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let cache = cache(&config, entries)?;
        let tier = tier(&config);
        let engine = engine(&config, cache.clone(), tier.clone(), on_encode)?;
        let live = Live::open(&engine, &config, None)?;
        let live = Arc::new(ArcSwap::from_pointee(live));
        let current = Mutex::new(Current { turn: 0, config: Arc::clone(&config) });
        let last_reload = LastReload { loaded: SystemTime::now(), error: None };
        Ok(Self {
            cache,
            tier,
            engine,
            live,
            tls,
            started: config,
            turns: AtomicU64::new(0),
            current,
            last_reload: watch::Sender::new(last_reload),
        })
    }

    /// The slot of what is in force.
    pub(crate) fn live(&self) -> LiveSlot {
        Arc::clone(&self.live)
    }

    /// TLS, if there are certificates.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The cache that all sites share.
    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The store that replicas share, if it can be used.
    pub(crate) fn tier(&self) -> Option<&Tier> {
        self.tier.as_ref()
    }

    /// The service whose cache, threads and counters all sites share, those of later reloads too. It has
    /// no file.
    pub(crate) fn engine(&self) -> &ServeCompressed {
        &self.engine
    }

    /// The last reload, which is the start at first. A change tells that another one has ended.
    pub(crate) fn last_reload(&self) -> watch::Receiver<LastReload> {
        self.last_reload.subscribe()
    }

    /// Takes the next turn to reload. The result of an earlier turn is not put in force after
    /// that of a later one.
    pub(crate) fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Puts `config` into force. Returns the settings that differ and wait for the next start.
    ///
    /// Requests that have begun, and their bodies, end by what was in force before. So do the time limits
    /// of connections that there are. A site with the same root keeps its files of rules if those that
    /// there are now are wrong. It blocks on the disk, and holds up no other reload meanwhile.
    ///
    /// # Errors
    ///
    /// If a site or a certificate cannot be opened, or a later `turn` is in force. Nothing has changed then.
    pub(crate) fn reload(
        &self,
        turn: u64,
        config: ServeConfig,
    ) -> Result<Vec<&'static str>, Failure> {
        let mut live = Live::open(&self.engine, &config, Some(&self.live.load_full()))?;
        // TLS as such begins and ends with the program.
        let tls = self.tls.as_ref().filter(|_| config.certificates().next().is_some());
        let certificates = tls.map(|tls| tls.read(config.certificates())).transpose()?;
        let mut current = self.lock();
        if turn < current.turn {
            return Err(Failure::Runtime("a later reload has come before this one".to_owned()));
        }
        live.generation = self.live.load().generation + 1;
        self.live.store(Arc::new(live));
        if let Some((tls, certificates)) = tls.zip(certificates) {
            tls.replace(certificates);
        }
        *current = Current { turn, config: Arc::new(config) };
        Ok(current.config.fixed_since(&self.started))
    }

    /// Opens the site at `index` anew and puts it in the place of the one that has `rules`, if that is
    /// still in force. It blocks on the disk, and holds up no reload meanwhile.
    ///
    /// # Errors
    ///
    /// If the site's directory cannot be opened, or a rule is wrong. Nothing has changed then.
    pub(crate) fn reopen(&self, index: usize, rules: &Arc<RulesInForce>) -> Result<(), Failure> {
        let config = self.current();
        let has = |live: &Live| {
            let site = live.sites.all().get(index).and_then(|site| site.rules.as_ref());
            site.is_some_and(|in_force| Arc::ptr_eq(in_force, rules))
        };
        if !has(&self.live.load()) {
            return Ok(());
        }
        let site = Site::open(&self.engine, &config, index, None)?;
        let _current = self.lock();
        let live = self.live.load_full();
        if has(&live) {
            let sites = live.sites.with(index, site);
            let generation = live.generation + 1;
            self.live.store(Arc::new(Live { generation, sites, ..Live::clone(&live) }));
        }
        Ok(())
    }

    /// The configuration of the start.
    pub(crate) fn started(&self) -> &ServeConfig {
        &self.started
    }

    /// The configuration in force.
    pub(crate) fn current(&self) -> Arc<ServeConfig> {
        Arc::clone(&self.lock().config)
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the configuration in force was loaded now.
    pub(crate) fn reload_succeeded(&self) {
        self.last_reload.send_replace(LastReload { loaded: SystemTime::now(), error: None });
    }

    /// Notes the reason for which the reload of `turn` changed nothing, unless a later one is in force.
    pub(crate) fn reload_failed(&self, turn: u64, sentence: String) {
        let current = self.lock();
        if turn >= current.turn {
            self.last_reload.send_modify(|last| last.error = Some(sentence));
        }
    }
}

/// The outcome of a check of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) failures: Vec<Failure>,
    /// A sentence for each line in the sites' files of rules that is skipped, and for each page that is
    /// missing.
    pub(crate) warnings: Vec<String>,
}

/// Finds the mistakes that only show when a site is opened: directories, rules, users and certificates.
pub(crate) fn check(config: &ServeConfig) -> Findings {
    let mut checked = Findings::default();
    checked.failures.extend(AdminAccess::open(config).err());
    checked.warnings.extend(exposed_secrets(config));
    checked.failures.extend(config.tier.as_ref().and_then(|choice| tier::open(choice).err()));
    let engine = match engine(config, Cache::in_memory(0), None, |_| ()) {
        Ok(engine) => engine,
        Err(failure) => {
            checked.failures.push(failure);
            return checked;
        }
    };
    for site in &config.sites {
        checked.failures.extend(site::users(site).err());
        let (wrong, skipped) = site::judge_rules(site);
        checked.warnings.extend(skipped);
        checked.warnings.extend(site::missing_pages(site));
        // A site whose lines are wrong cannot be opened. The sentence would tell the first again.
        if wrong.is_empty() {
            checked.failures.extend(site::open(&engine, config, site, None).err());
        }
        checked.failures.extend(wrong.into_iter().map(Failure::Usage));
    }
    let mut seen = Vec::new();
    for (hosts, files) in config.certificates() {
        if !seen.contains(&files) {
            seen.push(files);
            checked.failures.extend(Tls::open([(hosts, files)]).err());
        }
    }
    checked
}

/// Opens a site of `config` to be looked at. Its cache stays as it is.
///
/// # Errors
///
/// As [`site::open`].
pub(crate) fn onlooker(
    config: &ServeConfig,
    site: &SiteConfig,
) -> Result<ServeCompressed, Failure> {
    let cache = match &config.cache {
        CacheChoice::Disk { dir, max_bytes } => {
            Cache::builder(dir).max_bytes(*max_bytes).read_only(true).build()?
        }
        CacheChoice::Memory { .. } => Cache::in_memory(MEMORY_CACHE_BYTES),
    };
    let engine = engine(config, cache, None, |_| ())?;
    let (service, _) = site::open(&engine, config, site, None)?;
    Ok(service.over_tls(site.tls.is_some()))
}

/// Opens the cache that all sites share.
fn cache(config: &ServeConfig, entries: usize) -> Result<Cache, Failure> {
    match &config.cache {
        CacheChoice::Disk { dir, max_bytes } => {
            tracing::info!(dir = %EscapedPath(dir), max_bytes, "keeping compressed files on disk");
            let cache = Cache::builder(dir).max_bytes(*max_bytes).open_entries(entries);
            cache.build().map_err(Failure::from)
        }
        CacheChoice::Memory { because } => {
            tracing::warn!(
                "keeping compressed files in memory only, up to {} MiB: {because}",
                MEMORY_CACHE_BYTES >> 20
            );
            Ok(Cache::in_memory(MEMORY_CACHE_BYTES))
        }
    }
}

/// Opens the store that replicas share. If it is wrong, the log says so, and there is none.
fn tier(config: &ServeConfig) -> Option<Tier> {
    let choice = config.tier.as_ref()?;
    match tier::open(choice) {
        Ok(tier) => {
            let (place, mode) = (Escaped(tier.place()), choice.mode_name());
            tracing::info!(%place, mode, "there is a store behind the cache");
            Some(tier)
        }
        Err(failure) => {
            tracing::warn!("{}; serving without it", Escaped(failure));
            None
        }
    }
}

/// Builds the threads and the memory that all sites share.
fn engine(
    config: &ServeConfig,
    cache: Cache,
    tier: Option<Tier>,
    on_encode: impl Fn(&EncodeProgress) + Send + Sync + 'static,
) -> Result<ServeCompressed, Failure> {
    let builder = ServeCompressed::builder(Memory::new())
        .cache(cache)
        .memory_cache(config.memory_cache)
        .encode_threads(config.encode_threads)
        .queue(config.queue)
        .prove(config.prove)
        .recompress(Recompress::new().cpu_share(config.recompress_cpu))
        .on_encode(on_encode);
    let builder = match tier {
        Some(tier) => builder.tier(tier),
        None => builder,
    };
    let levels = config.levels.iter();
    let builder = levels
        .fold(builder, |builder, Level { coding, level }| builder.level(coding.clone(), *level));
    builder.build().map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::net::IpAddr;
    use std::path::Path;

    use bytes::Bytes;
    use cachecompress::Body;
    use http::{Request, Response};
    use http_body_util::BodyExt as _;
    use tempfile::TempDir;
    use tower_service::Service as _;

    use super::*;
    use crate::config_file;
    use crate::peer::Peer;
    use crate::tables::RedirectTable;
    use crate::tables::SiteTables;

    /// A site of these hosts over `dir`, as these flags have it.
    fn site(dir: &Path, hosts: &[&str], flags: &str) -> SiteConfig {
        let config = config(dir, flags);
        let tables = SiteTables {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            ..SiteTables::default()
        };
        SiteConfig { tables, ..config.sites.into_iter().next().unwrap() }
    }

    fn config(dir: &Path, flags: &str) -> ServeConfig {
        let dir = dir.to_str().unwrap();
        let arguments = ["cachecompress", "serve", dir, "--cache-size", "0"].into_iter();
        let arguments = arguments.chain(flags.split_whitespace()).map(OsString::from);
        let in_force = config_file::resolve(&arguments.collect::<Vec<_>>(), None).unwrap();
        ServeConfig::resolve(&in_force).unwrap()
    }

    fn with_sites(flags: &str, sites: Vec<SiteConfig>) -> ServeConfig {
        ServeConfig { sites, ..config(Path::new("."), flags) }
    }

    /// A directory with `a.txt`, which has the bytes `text`.
    fn directory(text: &str) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.txt"), text).unwrap();
        directory
    }

    async fn get(live: &Live, host: &str) -> Response<Body> {
        let request = Request::get("/a.txt").header("host", host).body(()).unwrap();
        let peer = Peer::at(IpAddr::from([127, 0, 0, 1]).into());
        let site = live.sites.choose(&request, &peer).unwrap();
        let Ok(response) = (&site.service).call(request).await;
        response
    }

    async fn text(live: &Live, host: &str) -> Bytes {
        get(live, host).await.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn reload_replaces_sites_and_rules_for_later_requests() {
        let (one, two) = (directory("one"), directory("two"));
        let of_one = || site(one.path(), &["one.example"], "--cache-control no-store");
        let started = with_sites("", vec![of_one(), site(two.path(), &["two.example"], "")]);
        let reloader = Reloader::start(Arc::new(started), 16, None, |_| ()).unwrap();
        let before = reloader.live().load_full();
        assert_eq!(text(&before, "two.example:80").await, "two");
        assert_eq!(text(&before, "unknown").await, "one");
        assert_eq!(get(&before, "unknown").await.headers()["cache-control"], "no-store");

        let sites = vec![site(two.path(), &["two.example"], ""), of_one()];
        let fixed = reloader.reload(reloader.turn(), with_sites("--revalidate 3s", sites)).unwrap();
        assert_eq!(fixed, Vec::<&str>::new());
        let after = reloader.live().load_full();
        assert_eq!(text(&after, "unknown").await, "two");
        assert_eq!(get(&after, "unknown").await.headers()["cache-control"], "no-cache");
        assert_eq!(text(&after, "ONE.example.").await, "one");
        assert_eq!(text(&before, "unknown").await, "one", "a request that has begun");
        let counted: u64 = reloader.engine().metrics().requests.iter().map(|(_, n)| n).sum();
        assert_eq!(counted, 7, "all count together");
    }

    #[tokio::test]
    async fn reload_with_a_mistake_changes_nothing_and_names_the_site() {
        let one = directory("one");
        let of_one = || site(one.path(), &["one.example"], "");
        let started = with_sites("", vec![of_one()]);
        let reloader = Reloader::start(Arc::new(started), 16, None, |_| ()).unwrap();
        let missing = one.path().join("missing");
        let mut with_ring = site(one.path(), &["two.example"], "");
        with_ring.tables.redirects = [("/a", "/b"), ("/b", "/a")]
            .map(|(from, to)| RedirectTable {
                from: from.to_owned(),
                to: to.to_owned(),
                ..RedirectTable::default()
            })
            .into();
        for (second, reason) in [
            (
                site(&missing, &["two.example"], ""),
                "missing, the `root` of the site of two.example",
            ),
            (site(one.path(), &["one.example"], ""), "`one.example` is a host of two sites"),
            (site(one.path(), &[], ""), "site 2 of `[[sites]]` has no `hosts`"),
            (site(one.path(), &["a:80"], ""), "leave the port out"),
            (with_ring, "the site of two.example"),
        ] {
            let failure = reloader
                .reload(reloader.turn(), with_sites("", vec![of_one(), second]))
                .unwrap_err();
            assert!(failure.to_string().contains(reason), "{failure}");
            assert_eq!(reloader.live().load().generation, 0);
        }
        assert_eq!(text(&reloader.live().load_full(), "one.example").await, "one");
    }

    #[test]
    fn reload_tells_of_the_flags_that_wait_for_the_next_start() {
        let one = directory("one");
        let reloader = Reloader::start(Arc::new(config(one.path(), "")), 16, None, |_| ()).unwrap();
        for (flags, fixed) in [
            (
                "--patience 3s --codings gzip --header-timeout 3s --max-headers 7 --sendfile off",
                &[][..],
            ),
            ("--listen 127.0.0.1:1 --threads 3", &["listen", "threads"]),
            ("--memory-cache 1MB --queue 3 --level br=3", &["memory-cache", "level", "queue"]),
        ] {
            assert_eq!(
                reloader.reload(reloader.turn(), config(one.path(), flags)).unwrap(),
                fixed,
                "{flags}"
            );
        }
        let live = reloader.live().load_full();
        assert_eq!((live.generation, live.max_headers, live.sendfile), (3, 100, true));
    }

    #[test]
    fn request_on_a_connection_for_another_site_is_misdirected() {
        let one = directory("one");
        let of = |hosts: &[&str]| site(one.path(), hosts, "");
        let started = with_sites("", vec![of(&["a.example"]), of(&["b.example", "*.b.example"])]);
        let reloader = Reloader::start(Arc::new(started), 16, None, |_| ()).unwrap();
        let live = reloader.live().load_full();
        let first = live.sites.first();
        for (server_name, target, host, is_first) in [
            (None, "/", Some("b.example"), Some(false)),
            (None, "/", None, Some(true)),
            (Some("b.example"), "/", Some("B.example:443"), Some(false)),
            (Some("b.example"), "/", Some("www.b.example"), Some(false)),
            (Some("b.example"), "https://b.example/", None, Some(false)),
            (Some("b.example"), "https://b.example/", Some("a.example"), Some(false)),
            (Some("b.example"), "/", Some("a.example"), None),
            (Some("b.example"), "https://a.example/", None, None),
            (Some("a.example"), "/", Some("b.example"), None),
            (Some("unknown"), "/", Some("a.example"), Some(true)),
            (Some("unknown"), "/", Some("b.example"), None),
            (Some("b.example"), "/", None, None),
        ] {
            let mut request = Request::get(target);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let server_name = server_name.map(Into::into);
            let peer =
                Peer { server_name, secure: true, ..Peer::at(IpAddr::from([127, 0, 0, 1]).into()) };
            let chosen = live.sites.choose(&request.body(()).unwrap(), &peer);
            let found = chosen.map(|site| std::ptr::eq(site, first));
            assert_eq!(found, is_first, "{peer:?} {target} {host:?}");
        }
    }
}
