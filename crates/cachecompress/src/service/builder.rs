//! Building a service.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::headers::HeaderRules;
use super::response_cache::ResponseCache;
use super::serve_compressed::{NoFallback, ServeCompressed};
use super::site::{Settings, Site};
use crate::cache::Cache;
use crate::codec::{Codecs, CodecsBuilder, Encoder, Preference};
use crate::encode::EncoderConfig;
use crate::error::Error;
use crate::http::{ContentCoding, SourcePath};
use crate::limits::{DEFAULT_CACHE, DEFAULT_MEMORY};
use crate::representations::{Config, Representations};
use crate::source::Source;

/// Builds a [`ServeCompressed`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    source: Arc<dyn Source>,
    cache: Option<Cache>,
    encoders: Vec<(Option<ContentCoding>, ContentCoding, Arc<dyn Encoder>)>,
    levels: Vec<(ContentCoding, i32)>,
    preference: Preference,
    encode_threads: Option<usize>,
    queue: usize,
    revalidate: Duration,
    patience: Duration,
    prove: bool,
    memory_cache: u64,
    sendfile_sources: bool,
    globs: Vec<(String, HeaderName, HeaderValue)>,
    headers: HeaderRules,
    index: Vec<String>,
    settings: Settings,
}

impl ServeCompressed {
    /// Starts to build a service over `source`.
    pub fn builder(source: impl Source) -> Builder {
        Builder::new(source)
    }
}

impl Builder {
    fn new(source: impl Source) -> Self {
        Self {
            source: Arc::new(source),
            cache: None,
            encoders: Vec::new(),
            levels: Vec::new(),
            preference: Preference::Auto,
            encode_threads: None,
            queue: 1024,
            revalidate: Duration::from_secs(1),
            patience: Duration::from_millis(50),
            prove: true,
            memory_cache: DEFAULT_MEMORY,
            sendfile_sources: false,
            globs: Vec::new(),
            headers: HeaderRules::default(),
            index: vec!["index.html".to_owned()],
            settings: Settings::default(),
        }
    }

    /// Where encoded files are kept, default `Cache::in_memory` with 64 MiB.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Which codings are offered, and the order among those that a client likes equally;
    /// default [`Preference::Auto`].
    pub fn preference(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
    }

    /// The level of a built-in coding; defaults: br 5, zstd 3, gzip 6, deflate 6.
    ///
    /// A level that the coding does not have fails at [`build`](Self::build).
    pub fn level(mut self, coding: ContentCoding, level: i32) -> Self {
        self.levels.push((coding, level));
        self
    }

    /// Adds an encoder under a coding of your own, preferred to the built-in ones in the order
    /// of registration; or puts it in place of the built-in one of that coding.
    pub fn encoder(mut self, coding: ContentCoding, encoder: Arc<dyn Encoder>) -> Self {
        self.encoders.push((None, coding, encoder));
        self
    }

    /// As [`encoder`](Self::encoder), with the place right before the coding `before`.
    pub fn encoder_before(
        mut self,
        before: ContentCoding,
        coding: ContentCoding,
        encoder: Arc<dyn Encoder>,
    ) -> Self {
        self.encoders.push((Some(before), coding, encoder));
        self
    }

    /// The threads that encode what somebody waits for, at least 2, of which one takes only
    /// sources up to 1 MiB; default half the cores. As many again, at the lowest priority, encode
    /// what nobody waits for. A large source is spread over no more than so many.
    pub fn encode_threads(mut self, threads: usize) -> Self {
        self.encode_threads = Some(threads);
        self
    }

    /// How many encodes may wait for a thread, at least 1, default 1,024; beyond that the answer
    /// is identity.
    pub fn queue(mut self, jobs: usize) -> Self {
        self.queue = jobs;
        self
    }

    /// How old the knowledge of a file may be, default 1 s; zero looks at every request.
    pub fn revalidate(mut self, age: Duration) -> Self {
        self.revalidate = age;
        self
    }

    /// How long a request waits for a coding before it is answered with identity, default
    /// 50 ms, counted from the moment that the file's digest is known.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Whether every encode is decoded and compared before it is published, default `true`.
    pub fn prove(mut self, prove: bool) -> Self {
        self.prove = prove;
        self
    }

    /// How many bytes of small bodies and of whole answers are kept in memory, so that what is
    /// asked for again needs no file; default 64 MiB, zero keeps none.
    pub fn memory_cache(mut self, bytes: u64) -> Self {
        self.memory_cache = bytes;
        self
    }

    /// Sends identity, too, by `sendfile`, on connections that can; default `false`.
    ///
    /// Only for sources whose files are replaced and never overwritten in place: what a socket has
    /// queued is the file's memory itself, so no check can keep a mixture of old and new bytes
    /// from leaving. And a file that is cut in place kills the process (SIGBUS) when a layer around
    /// the service looks into a body made of it.
    #[cfg(feature = "sendfile")]
    pub fn sendfile_sources(mut self, sendfile_sources: bool) -> Self {
        self.sendfile_sources = sendfile_sources;
        self
    }

    /// Answers navigations to unknown paths with the index and status 200, for single-page
    /// applications; default `false`.
    pub fn spa(mut self, spa: bool) -> Self {
        self.settings.spa = spa;
        self
    }

    /// The names that are tried for a directory, default `index.html`.
    pub fn index(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.index = names.into_iter().collect();
        self
    }

    /// Sends a field with every file whose path matches `glob`; later ones win.
    ///
    /// `*` stops at a slash, `**` does not. A malformed glob fails at [`build`](Self::build).
    pub fn header(mut self, glob: impl Into<String>, name: HeaderName, value: HeaderValue) -> Self {
        self.globs.push((glob.into(), name, value));
        self
    }

    /// Marks files whose names carry a hash of their content (`app.3f9c2b1a.js`)
    /// `Cache-Control: public, max-age=31536000, immutable`; default `false`.
    pub fn immutable(mut self, immutable: bool) -> Self {
        self.headers.immutable = immutable;
        self
    }

    /// The `Cache-Control` of files for which nothing more specific is set; default none.
    pub fn default_cache_control(mut self, value: HeaderValue) -> Self {
        self.headers.default_cache_control = Some(value);
        self
    }

    /// Adds `X-Original-Content-Length`, the decoded size in bytes, to every 200, so that clients
    /// can show the progress of a download; default `false`.
    pub fn original_length(mut self, original_length: bool) -> Self {
        self.settings.original_length = original_length;
        self
    }

    /// Whether `X-Content-Type-Options: nosniff` is sent, default `true`.
    pub fn nosniff(mut self, nosniff: bool) -> Self {
        self.settings.nosniff = nosniff;
        self
    }

    /// Whether `Cache-Status` (RFC 9211) is sent, default `true`.
    pub fn cache_status(mut self, cache_status: bool) -> Self {
        self.settings.cache_status = cache_status;
        self
    }

    /// Builds the service. Needs no running runtime; the service's futures need tokio's, with
    /// its timers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a level that its coding does not have,
    /// a preference for a coding that has no encoder, or a malformed glob.
    pub fn build(self) -> Result<ServeCompressed<NoFallback>, Error> {
        let Self { mut headers, mut settings, .. } = self;
        let codecs = codecs(&self.levels, self.encoders)?;
        if let Preference::List(list) = &self.preference
            && let Some(missing) = list.iter().find(|coding| codecs.get(coding).is_none())
        {
            let message = format!(
                "there is no encoder for the coding \"{missing}\"; register one or leave it out"
            );
            return Err(Error::config(message));
        }
        for (glob, name, value) in self.globs {
            headers.add(&glob, name, value)?;
        }
        settings.headers = headers;
        settings.index =
            self.index.iter().map(|name| index_name(name)).collect::<Result<_, _>>()?;
        let half = || std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2);
        let config = Config {
            source: self.source,
            cache: self.cache.unwrap_or_else(|| Cache::in_memory(DEFAULT_CACHE)),
            codecs,
            preference: self.preference,
            encoder: EncoderConfig {
                threads: self.encode_threads.unwrap_or_else(half).max(2),
                queue: self.queue,
                prove: self.prove,
            },
            revalidate: self.revalidate,
            patience: self.patience,
            sendfile_sources: self.sendfile_sources,
            memory_bytes: self.memory_cache - self.memory_cache / 4,
        };
        Ok(ServeCompressed::new(Site {
            representations: Representations::new(config),
            settings,
            response_cache: ResponseCache::new(self.memory_cache / 4),
        }))
    }
}

fn codecs(
    levels: &[(ContentCoding, i32)],
    encoders: Vec<(Option<ContentCoding>, ContentCoding, Arc<dyn Encoder>)>,
) -> Result<Codecs, Error> {
    let mut codecs = CodecsBuilder::default();
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
        Some(path) if path.segments().count() == 1 => Ok(name.to_owned()),
        _ => Err(Error::config(format!("\"{name}\" is no file name for an index"))),
    }
}
