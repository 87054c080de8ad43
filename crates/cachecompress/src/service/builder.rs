//! The builder of a service.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::headers::HeaderRules;
use super::response_cache::ResponseCache;
use super::serve_compressed::{NoFallback, ServeCompressed};
use super::site::{AnswerRules, Site};
use crate::cache::Cache;
use crate::codec::{Codecs, CodecsBuilder, Encoder, Preference};
use crate::error::Error;
use crate::http::{ContentCoding, SourcePath};
use crate::limits::{
    DEFAULT_CACHE, DEFAULT_MEMORY, DEFAULT_PATIENCE, DEFAULT_QUEUE, DEFAULT_REVALIDATE,
    RESPONSE_SHARE,
};
use crate::representations::{Config, Representations};
use crate::source::Source;

/// Builds a [`ServeCompressed`]. Every setting has a default; [`build`](Self::build) checks them.
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
    rules: AnswerRules,
}

impl ServeCompressed {
    /// Returns the builder of a service over `source`.
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
            queue: DEFAULT_QUEUE,
            revalidate: DEFAULT_REVALIDATE,
            patience: DEFAULT_PATIENCE,
            prove: true,
            memory_cache: DEFAULT_MEMORY,
            sendfile_sources: false,
            globs: Vec::new(),
            headers: HeaderRules::default(),
            index: vec!["index.html".to_owned()],
            rules: AnswerRules::default(),
        }
    }

    /// Sets the cache that keeps encoded files.
    ///
    /// Default: [`Cache::in_memory`] with 64 MiB.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Sets the codings that are offered, and their order among those that a request weighs
    /// equally (RFC 9110 §12.5.3).
    ///
    /// [`build`](Self::build) fails for a coding that has no encoder. Default:
    /// [`Preference::Auto`].
    pub fn preference(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
    }

    /// Sets the level of a built-in coding.
    ///
    /// [`build`](Self::build) fails for a level that the coding does not have, and for a coding
    /// that [`encoder`](Self::encoder) replaces. Defaults: br 5, zstd 3, gzip 6, deflate 6.
    pub fn level(mut self, coding: ContentCoding, level: i32) -> Self {
        self.levels.push((coding, level));
        self
    }

    /// Adds an encoder for a coding.
    ///
    /// - A coding of your own goes before the built-in ones, in the order of registration.
    /// - The encoder of a built-in coding takes the place of the built-in encoder.
    ///
    /// Default: the built-in encoders of the enabled features.
    pub fn encoder(mut self, coding: ContentCoding, encoder: Arc<dyn Encoder>) -> Self {
        self.encoders.push((None, coding, encoder));
        self
    }

    /// Adds an encoder as [`encoder`](Self::encoder) does, at the place right before the coding
    /// `before`.
    ///
    /// [`build`](Self::build) fails if `before` has no encoder.
    pub fn encoder_before(
        mut self,
        before: ContentCoding,
        coding: ContentCoding,
        encoder: Arc<dyn Encoder>,
    ) -> Self {
        self.encoders.push((Some(before), coding, encoder));
        self
    }

    /// Sets the number of threads that encode for requests.
    ///
    /// - There are at least 2. One of them takes only sources up to 1 MiB.
    /// - As many threads again, at the lowest priority, encode for [`warm`](ServeCompressed::warm).
    /// - A thread beside each of them proves a source of more than 1 MiB.
    ///
    /// Default: half the cores.
    pub fn encode_threads(mut self, threads: usize) -> Self {
        self.encode_threads = Some(threads);
        self
    }

    /// Sets the number of encodes that may wait for a thread, at least 1.
    ///
    /// A request whose encode finds no place gets identity (`detail=queue`). Default: 1,024.
    pub fn queue(mut self, jobs: usize) -> Self {
        self.queue = jobs;
        self
    }

    /// Sets the age up to which the last lookup of a file is used.
    ///
    /// A change of a file is seen within this time. Zero looks the file up at every request.
    /// Default: 1 s.
    pub fn revalidate(mut self, age: Duration) -> Self {
        self.revalidate = age;
        self
    }

    /// Sets the time for which a request waits for a coding.
    ///
    /// - The time begins once the file's digest is known.
    /// - After it the response is identity (`detail=patience`), and the encode goes on.
    /// - A request that refuses identity waits as long as it takes.
    ///
    /// Default: 50 ms.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets whether every encode is decoded and compared with its source before it is published.
    ///
    /// Default: `true`.
    pub fn prove(mut self, prove: bool) -> Self {
        self.prove = prove;
        self
    }

    /// Sets the number of bytes of small bodies and of whole responses that are kept in memory.
    ///
    /// - Three quarters hold bodies of up to 256 KiB each. A request for one of them needs no file.
    /// - One quarter holds responses, each for at most 1 s.
    /// - Zero keeps none.
    ///
    /// Default: 64 MiB.
    pub fn memory_cache(mut self, bytes: u64) -> Self {
        self.memory_cache = bytes;
        self
    }

    /// Sets whether identity, too, is sent by `sendfile` on connections that can.
    ///
    /// This is only for sources whose files are replaced and never overwritten in place:
    ///
    /// - A socket's queue is the file's memory itself. No check can keep a mixture of old and new
    ///   bytes from leaving.
    /// - A file that is cut in place kills the process (SIGBUS) when a layer around the service
    ///   looks into a body made of it.
    ///
    /// Default: `false`.
    #[cfg(feature = "sendfile")]
    pub fn sendfile_sources(mut self, sendfile_sources: bool) -> Self {
        self.sendfile_sources = sendfile_sources;
        self
    }

    /// Sets whether the index answers navigations to unknown paths, for single-page applications.
    ///
    /// - The status is 200.
    /// - A navigation has `Sec-Fetch-Mode: navigate`, or `text/html` in `Accept` if it lacks that
    ///   field.
    /// - `Vary` names both fields.
    ///
    /// Default: `false`.
    pub fn spa(mut self, spa: bool) -> Self {
        self.rules.spa = spa;
        self
    }

    /// Sets the file names that are tried for a directory, in order.
    ///
    /// [`build`](Self::build) fails for a name with a slash. Default: `index.html`.
    pub fn index(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.index = names.into_iter().collect();
        self
    }

    /// Sends a field with every file whose path matches `glob`.
    ///
    /// - `*` stops at a slash, `**` does not.
    /// - The last match for a field's name wins.
    /// - [`build`](Self::build) fails for a malformed glob.
    /// - `build` fails for `Content-Encoding`, `Content-Length`, `Content-Range`, `ETag` and
    ///   `Transfer-Encoding`, which follow from the representation.
    ///
    /// Default: no field.
    pub fn header(mut self, glob: impl Into<String>, name: HeaderName, value: HeaderValue) -> Self {
        self.globs.push((glob.into(), name, value));
        self
    }

    /// Sets whether files whose names carry a hash of their content (`app.3f9c2b1a.js`) get
    /// `Cache-Control: public, max-age=31536000, immutable` (RFC 8246).
    ///
    /// Default: `false`.
    pub fn immutable(mut self, immutable: bool) -> Self {
        self.headers.immutable = immutable;
        self
    }

    /// Sets the `Cache-Control` of files for which nothing more specific is set.
    ///
    /// Default: none.
    pub fn default_cache_control(mut self, value: HeaderValue) -> Self {
        self.headers.default_cache_control = Some(value);
        self
    }

    /// Sets whether every 200 has `X-Original-Content-Length`, the decoded length in bytes.
    ///
    /// Clients show the progress of a download by it. Default: `false`.
    pub fn original_length(mut self, original_length: bool) -> Self {
        self.rules.original_length = original_length;
        self
    }

    /// Sets whether `X-Content-Type-Options: nosniff` is sent.
    ///
    /// Default: `true`.
    pub fn nosniff(mut self, nosniff: bool) -> Self {
        self.rules.nosniff = nosniff;
        self
    }

    /// Sets whether `Cache-Status` (RFC 9211) is sent.
    ///
    /// Default: `true`.
    pub fn cache_status(mut self, cache_status: bool) -> Self {
        self.rules.cache_status = cache_status;
        self
    }

    /// Builds the service.
    ///
    /// It needs no running runtime. The service's futures need tokio's, with timers enabled.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for:
    ///
    /// - a level that its coding does not have, or of a coding whose encoder is replaced;
    /// - an encoder for `identity` or `*`, or before a coding that has no encoder;
    /// - a preference for a coding that has no encoder;
    /// - a malformed glob, or a field that follows from the representation;
    /// - an index name that is no file name.
    ///
    /// The error of an encoder of your own that fails on a sample.
    pub fn build(self) -> Result<ServeCompressed<NoFallback>, Error> {
        let Self { mut headers, mut rules, .. } = self;
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
        rules.headers = headers;
        rules.index = self.index.iter().map(|name| index_name(name)).collect::<Result<_, _>>()?;
        let half = || std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2);
        let config = Config {
            source: self.source,
            cache: self.cache.unwrap_or_else(|| Cache::in_memory(DEFAULT_CACHE)),
            codecs,
            preference: self.preference,
            encode_threads: self.encode_threads.unwrap_or_else(half).max(2),
            queue: self.queue,
            prove: self.prove,
            revalidate: self.revalidate,
            patience: self.patience,
            sendfile_sources: self.sendfile_sources,
            memory_bytes: self.memory_cache - self.memory_cache / RESPONSE_SHARE,
        };
        Ok(ServeCompressed::new(Site {
            representations: Representations::new(config),
            rules,
            response_cache: ResponseCache::new(self.memory_cache / RESPONSE_SHARE),
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
