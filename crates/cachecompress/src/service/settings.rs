//! The settings of a service, and their check.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use http::{HeaderValue, StatusCode};

use super::listing::{Lister, Renderer};
use super::response_cache::ResponseCache;
use super::site::{AnswerRules, Site};
use super::site_deltas::{Deltas, SiteDeltas};
use crate::cache::Cache;
use crate::catalog::Names;
use crate::codec::{Codecs, CodecsBuilder, Encoder, Preference};
use crate::encode::Recompress;
use crate::error::Error;
use crate::http::{ContentCoding, MediaTypes, SourcePath};
use crate::limits::{
    DEFAULT_CACHE, DEFAULT_MEMORY, DEFAULT_PATIENCE, DEFAULT_QUEUE, DEFAULT_REVALIDATE,
    HIDE_PATIENCE, RESPONSE_SHARE,
};
use crate::log::{self, EscapedPath};
use crate::metrics::EncodeObserver;
use crate::representations::{Config, Engine, EngineConfig, Representations};
use crate::rules::HeaderRule;
use crate::rules::error_pages::NearestPages;
use crate::rules::headers::HeaderRules;
use crate::rules::redirects::{Redirect, Redirects};
use crate::source::Source;
use crate::tier::Tier;

/// The settings of a [`Builder`](super::Builder), unchecked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) source: Arc<dyn Source>,
    /// The parts of another service that this one uses in place of its own.
    pub(super) shared: Option<Shared>,
    pub(super) cache: Option<Cache>,
    pub(super) encoders: Vec<(Option<ContentCoding>, ContentCoding, Arc<dyn Encoder>)>,
    pub(super) levels: Vec<(ContentCoding, i32)>,
    pub(super) preference: Preference,
    pub(super) encode_threads: Option<usize>,
    pub(super) queue: Option<usize>,
    pub(super) revalidate: Duration,
    pub(super) patience: Duration,
    pub(super) prove: Option<bool>,
    pub(super) memory_cache: Option<u64>,
    pub(super) tier: Option<Tier>,
    pub(super) observer: Option<EncodeObserver>,
    pub(super) recompress: Option<Recompress>,
    pub(super) encoded_names: bool,
    pub(super) deltas: Deltas,
    pub(super) site_name: Option<String>,
    pub(super) sendfile_sources: bool,
    pub(super) header_rules: Vec<HeaderRule>,
    pub(super) media_types: Vec<(String, Result<HeaderValue, http::Error>)>,
    pub(super) immutable_paths: Vec<String>,
    pub(super) hidden_files: Vec<PathBuf>,
    pub(super) redirects: Vec<Redirect>,
    pub(super) paths: PathSettings,
    pub(super) listing: Option<Renderer>,
    pub(super) default_cache_control: Option<Result<HeaderValue, http::Error>>,
    pub(super) headers: HeaderRules,
    pub(super) rules: AnswerRules,
}

/// The parts of a service that others may share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) engine: Arc<Engine>,
    pub(super) response_cache: ResponseCache,
}

/// The settings of paths, as the embedder named them.
#[derive(Debug)]
pub(super) struct PathSettings {
    pub(super) excluded: Vec<String>,
    pub(super) index: Vec<String>,
    pub(super) only: Option<String>,
    pub(super) spa_page: Option<String>,
    pub(super) spa_except: Vec<String>,
    pub(super) error_pages: Vec<(Result<StatusCode, http::Error>, String)>,
}

impl Default for PathSettings {
    fn default() -> Self {
        Self {
            excluded: Vec::new(),
            index: vec!["index.html".to_owned()],
            only: None,
            spa_page: None,
            spa_except: Vec::new(),
            error_pages: Vec::new(),
        }
    }
}

impl PathSettings {
    /// Checks the settings and adds them to the rules.
    fn apply(self, mut rules: AnswerRules) -> Result<AnswerRules, Error> {
        for glob in self.excluded {
            rules.excluded.add_tree(&glob)?;
        }
        let index = self.index.iter().map(|name| index_name(name));
        rules.pages.index = index.collect::<Result<_, _>>()?;
        if let Some(path) = self.only {
            rules.only = Some(file_path(&path)?);
        }
        if let Some(path) = self.spa_page {
            rules.spa.page = Some(file_path(&path)?);
        }
        for glob in self.spa_except {
            rules.spa.except.add_tree(&glob)?;
        }
        for (status, path) in self.error_pages {
            let status = status.map_err(|error| {
                Error::config(format!("\"{path}\" is the page of what is no status"))
                    .with_cause(error)
            })?;
            let page = file_path(&path).map_err(|_| {
                let status = status.as_u16();
                Error::config(format!("\"{path}\", the page of a {status}, is no path of a file"))
            })?;
            rules.error_pages.set(status, page)?;
        }
        Ok(rules)
    }
}

impl Settings {
    pub(super) fn new(source: impl Source) -> Self {
        Self {
            source: Arc::new(source),
            shared: None,
            cache: None,
            encoders: Vec::new(),
            levels: Vec::new(),
            preference: Preference::Auto,
            encode_threads: None,
            queue: None,
            revalidate: DEFAULT_REVALIDATE,
            patience: DEFAULT_PATIENCE,
            prove: None,
            memory_cache: None,
            tier: None,
            observer: None,
            recompress: None,
            encoded_names: false,
            deltas: Deltas::Off,
            site_name: None,
            sendfile_sources: false,
            header_rules: Vec::new(),
            media_types: Vec::new(),
            immutable_paths: Vec::new(),
            hidden_files: Vec::new(),
            redirects: Vec::new(),
            paths: PathSettings::default(),
            listing: None,
            default_cache_control: None,
            headers: HeaderRules::default(),
            rules: AnswerRules::default(),
        }
    }

    /// Checks the settings and makes the site.
    pub(super) fn build(mut self) -> Result<Site, Error> {
        let is_shared = self.shared.is_some();
        let (engine, response_cache) = self.engine()?;
        check_preference(&self.preference, engine.codecs(), &*self.source)?;
        self.headers.compile(self.header_rules)?;
        for glob in self.immutable_paths {
            self.headers.immutable_paths.add(&glob)?;
        }
        if let Some(value) = self.default_cache_control {
            let value = value.map_err(|error| {
                Error::config("the default Cache-Control is no value of a field").with_cause(error)
            })?;
            self.headers.default_cache_control = Some(value);
        }
        self.rules.headers = self.headers;
        self.rules.redirects = Redirects::new(&self.redirects)?;
        let rules = self.paths.apply(self.rules)?;
        let types = media_types(self.media_types)?;
        self.hidden_files.iter().for_each(|file| self.source.hide_file(file));
        hide_cache(&self.source, engine.cache());
        let config = Config {
            source: self.source,
            types,
            names: Names {
                may_hold_hashes: rules.headers.immutable,
                may_be_encoded: self.encoded_names,
            },
            preference: self.preference,
            revalidate: self.revalidate,
            patience: self.patience,
            sendfile_sources: self.sendfile_sources,
        };
        let representations = Representations::new(config, engine);
        let lister = self.listing.map(|renderer| Lister::new(renderer, rules.excluded.clone()));
        let site = representations.catalog().number();
        // Only a name of the embedder's own is the same after a restart.
        let ends_with_service = is_shared && self.site_name.is_none();
        let name = self.site_name.unwrap_or_else(|| match is_shared {
            // No name of an embedder's begins so, and the file of the ledger leaves it out.
            true => format!("\0{site}"),
            false => String::new(),
        });
        let deltas = match self.deltas {
            Deltas::Off => None,
            Deltas::Auto | Deltas::AssumeHttps => Some(SiteDeltas {
                name: name.into(),
                assumes_https: self.deltas == Deltas::AssumeHttps,
                ends_with_service,
                earlier: representations.engine().earlier_versions()?,
            }),
        };
        Ok(Site {
            deltas,
            representations,
            rules,
            response_cache: response_cache.of_site(site),
            nearest_pages: NearestPages::default(),
            lister,
        })
    }

    /// Makes the engine, or takes the one that is shared.
    fn engine(&mut self) -> Result<(Arc<Engine>, ResponseCache), Error> {
        if let Some(Shared { engine, response_cache }) = self.shared.take() {
            return match self.set_of_engine() {
                Some(setting) => Err(Error::config(format!(
                    "`{setting}` belongs to the service that `share` names; set it there"
                ))),
                None => Ok((engine, response_cache)),
            };
        }
        let recompress = self.recompress.take().map(Recompress::checked).transpose()?;
        let encoders = std::mem::take(&mut self.encoders);
        let codecs = codecs(&self.levels, encoders, recompress.is_some())?;
        let half = || std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2);
        let memory = self.memory_cache.unwrap_or(DEFAULT_MEMORY);
        let engine = Engine::new(EngineConfig {
            cache: self.cache.take().unwrap_or_else(|| Cache::in_memory(DEFAULT_CACHE)),
            codecs,
            encode_threads: self.encode_threads.unwrap_or_else(half).max(2),
            queue: self.queue.unwrap_or(DEFAULT_QUEUE),
            prove: self.prove.unwrap_or(true),
            memory_bytes: memory - memory / RESPONSE_SHARE,
            tier: self.tier.take(),
            observer: self.observer.take(),
            recompress,
        });
        Ok((Arc::new(engine), ResponseCache::new(memory / RESPONSE_SHARE, 0)))
    }

    /// Returns the name of a setting of the engine that was set.
    fn set_of_engine(&self) -> Option<&'static str> {
        let settings = [
            ("cache", self.cache.is_some()),
            ("encoder", !self.encoders.is_empty()),
            ("level", !self.levels.is_empty()),
            ("encode_threads", self.encode_threads.is_some()),
            ("queue", self.queue.is_some()),
            ("prove", self.prove.is_some()),
            ("memory_cache", self.memory_cache.is_some()),
            ("tier", self.tier.is_some()),
            ("on_encode", self.observer.is_some()),
            ("recompress", self.recompress.is_some()),
        ];
        settings.into_iter().find_map(|(name, is_set)| is_set.then_some(name))
    }
}

/// Fails for a coding that is listed although no encoder makes it and no file has it.
fn check_preference(
    preference: &Preference,
    codecs: &Codecs,
    source: &dyn Source,
) -> Result<(), Error> {
    let Preference::List(list) = preference else { return Ok(()) };
    let mut unmade = list.iter().filter(|coding| codecs.get(coding).is_none()).peekable();
    if unmade.peek().is_none() {
        return Ok(());
    }
    let precompressed = source.precompressed_codings();
    match unmade.find(|coding| !precompressed.contains(coding)) {
        None => Ok(()),
        Some(missing) => Err(Error::config(format!(
            "there is no encoder for the coding \"{missing}\"; register one or leave it out"
        ))),
    }
}

/// Hides the cache's directory from the source. A disk that does not answer is not waited for: nothing
/// can be read from it either.
fn hide_cache(source: &Arc<dyn Source>, cache: &Cache) {
    let Some(directory) = cache.directory().map(Path::to_owned) else { return };
    let source = Arc::clone(source);
    let (done, is_done) = mpsc::channel();
    let hide = move || {
        if source.hide_directory(&directory) {
            let directory = EscapedPath(&directory);
            log::warn!(
                "the cache's directory {directory} lies in the served one and is hidden, which makes \
                 every answer slower; keep it elsewhere"
            );
        }
        let _ = done.send(());
    };
    match std::thread::Builder::new().name("cc-hide".to_owned()).spawn(hide) {
        Ok(_) => drop(is_done.recv_timeout(HIDE_PATIENCE)),
        Err(error) => log::warn!(%error, "cannot start a thread"),
    }
}

fn media_types(own: Vec<(String, Result<HeaderValue, http::Error>)>) -> Result<MediaTypes, Error> {
    let mut types = MediaTypes::default();
    for (name, value) in own {
        let value = value.map_err(|error| {
            Error::config(format!("the media type of \"{name}\" is malformed")).with_cause(error)
        })?;
        types.add(&name, value)?;
    }
    Ok(types)
}

fn file_path(path: &str) -> Result<SourcePath, Error> {
    match path.parse::<SourcePath>()? {
        path if path.is_root() => Err(Error::config("the path of a file may not be empty")),
        path => Ok(path),
    }
}

fn codecs(
    levels: &[(ContentCoding, i32)],
    encoders: Vec<(Option<ContentCoding>, ContentCoding, Arc<dyn Encoder>)>,
    has_better: bool,
) -> Result<Codecs, Error> {
    let mut codecs = match has_better {
        true => CodecsBuilder::default().with_better(),
        false => CodecsBuilder::default(),
    };
    for (coding, level) in levels {
        if encoders.iter().any(|(_, own, _)| own == coding) {
            let message = format!("\"{coding}\" has an encoder of its own; set the level there");
            return Err(Error::config(message));
        }
        codecs = codecs.set_level(coding, *level)?;
    }
    for (before, coding, encoder) in encoders {
        codecs = match before {
            Some(before) => codecs.register_before(before, coding, encoder),
            None => codecs.register(coding, encoder),
        };
    }
    codecs.build()
}

fn index_name(name: &str) -> Result<String, Error> {
    match SourcePath::parse(name.as_bytes()) {
        Some(path) if !path.is_root() && !name.contains('/') => Ok(name.to_owned()),
        _ => Err(Error::config(format!("\"{name}\" is no file name for an index"))),
    }
}
