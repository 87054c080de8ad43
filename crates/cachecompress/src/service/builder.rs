//! The builder of a service.

mod coded_files;
mod deltas;
mod engine;

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::fallback::{Fallback, NoFallback};
use super::serve_compressed::ServeCompressed;
use super::settings::Settings;
use crate::codec::Preference;
use crate::error::Error;
use crate::rules::HeaderRule;
use crate::rules::redirects::Redirect;
use crate::source::Source;

/// Builds a [`ServeCompressed`]. Every setting has a default; [`build`](Self::build) checks them.
#[derive(Debug)]
#[must_use]
pub struct Builder<F = NoFallback> {
    pub(super) settings: Settings,
    fallback: F,
}

impl ServeCompressed {
    /// Returns the builder of a service over `source`.
    ///
    /// ```
    /// use cachecompress::{Cache, Directory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
    /// let service = ServeCompressed::builder(Directory::new("site")?)
    ///     .cache(Cache::in_memory(16 << 20))
    ///     .default_cache_control("no-cache")
    ///     .build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(source: impl Source) -> Builder {
        Builder { settings: Settings::new(source), fallback: NoFallback }
    }
}

impl Builder {
    /// Lets `service` answer requests whose paths lead nowhere, in place of the 404.
    ///
    /// - It gets the request as it came. Its response to HEAD loses the body.
    /// - Methods other than GET and HEAD are 405, unless
    ///   [`call_fallback_on_method_not_allowed`](Self::call_fallback_on_method_not_allowed) is set.
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use cachecompress::{Body, Memory, ServeCompressed};
    /// use http::{Request, Response};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let api = tower::service_fn(|request: Request<String>| async move {
    ///     Ok::<_, Infallible>(Response::new(format!("{} {}", request.method(), request.uri())))
    /// });
    /// let service = ServeCompressed::builder(Memory::new().file("app.js", "run()"))
    ///     .fallback(api)
    ///     .call_fallback_on_method_not_allowed(true)
    ///     .build()?;
    /// # use http_body_util::BodyExt as _;
    /// # use tower::ServiceExt as _;
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let response = service.oneshot(Request::post("/api/users").body(String::new())?).await?;
    /// assert_eq!(response.into_body().collect().await?.to_bytes(), "POST /api/users");
    /// #     Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// Default: no fallback.
    pub fn fallback<S>(self, service: S) -> Builder<Fallback<S>> {
        Builder { settings: self.settings, fallback: Fallback::new(service) }
    }

    /// As [`fallback`](Self::fallback), but every response of `service` becomes a 404.
    ///
    /// The service gets the request without its conditions and its range.
    pub fn not_found_service<S>(self, service: S) -> Builder<Fallback<S>> {
        Builder { settings: self.settings, fallback: Fallback::not_found(service) }
    }
}

impl<F> Builder<F> {
    /// Sets the codings that are offered, and their order among those that a request weighs
    /// equally (RFC 9110 §12.5.3).
    ///
    /// [`build`](Self::build) fails for a coding that has no encoder, unless files of the source are
    /// [precompressed](crate::Embedded::precompressed) in it. Default: [`Preference::Auto`].
    pub fn preference(mut self, preference: Preference) -> Self {
        self.settings.preference = preference;
        self
    }

    /// Sets the age up to which the last lookup of a file is used.
    ///
    /// A change of a file is seen within this time. Zero looks the file up at every request.
    /// Default: 1 s.
    pub fn revalidate(mut self, age: Duration) -> Self {
        self.settings.revalidate = age;
        self
    }

    /// Sets the time for which a request waits for a coding.
    ///
    /// - The time begins once the file's digest is known.
    /// - After it the response is identity (`detail=patience`), and the encode goes on.
    /// - A request that refuses identity waits as long as it takes.
    /// - Builds without optimisation are [slow](crate#unoptimised-builds).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let builder = ServeCompressed::builder(Memory::new()).patience(Duration::from_millis(200));
    /// # let _ = builder.build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: 50 ms.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.settings.patience = patience;
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
        self.settings.sendfile_sources = sendfile_sources;
        self
    }

    /// Sets whether the fallback also gets requests with methods other than GET and HEAD.
    ///
    /// Without a fallback, or without this, they are 405, and `OPTIONS` is 204. Default: `false`.
    pub fn call_fallback_on_method_not_allowed(mut self, call: bool) -> Self {
        self.settings.rules.other_methods_fall_back = call;
        self
    }

    /// Adds a rule that answers the requests of a path with a redirect, another file or an error.
    ///
    /// - The first rule that matches counts. One with [`force`](Redirect::force) goes before files;
    ///   another answers if the path leads nowhere, before [`spa`](Self::spa) and a fallback.
    /// - A redirect has a short text with a link. A 301 and a 308 are sent with `Cache-Control:
    ///   no-cache`, as a rule may change.
    /// - A rewrite has the type, the validators and the fields of its file. One that leads nowhere is a
    ///   404. It reaches no path that [`exclude`](Self::exclude) hides.
    /// - [`build`](Self::build) fails for what [`Redirect::check`] refuses, and for rules without
    ///   placeholders that lead in a ring.
    ///
    /// Default: none.
    pub fn redirect(mut self, rule: Redirect) -> Self {
        self.settings.redirects.push(rule);
        self
    }

    /// Hides the file `path` of the disk under every name by which the source reaches it.
    ///
    /// - Symlinks and hard links to it lead nowhere either, nor does a file that takes its place. If
    ///   `path` itself has symlinks, another target of theirs is hidden within a second.
    /// - It is for what must not get out wherever it lies: a configuration, keys, passwords. For paths of
    ///   the source there is [`exclude`](Self::exclude).
    /// - It may be called for several files. A relative path is resolved against the current directory.
    /// - A copy of the file is another file.
    ///
    /// ```
    /// use cachecompress::{Directory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
    /// let service = ServeCompressed::builder(Directory::new("site")?)
    ///     .hide_file("site/server.toml")
    ///     .build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: none.
    pub fn hide_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.hidden_files.push(path.into());
        self
    }

    /// Sets the `Content-Type` of the files with an extension, or with a name.
    ///
    /// - `usdz` and `.usdz` mean the same: files that end in `.usdz`, and a file that has the whole
    ///   name. Case does not count, and `.tar.gz` goes before `.gz`.
    /// - The value is sent as it stands: no `charset` is added. It also decides whether the files are
    ///   compressed.
    /// - A later call for the same name wins. The
    ///   [`media_type`](crate::source::SourceFile::media_type) of a source's file goes before.
    /// - [`build`](Self::build) fails for what is no extension or name, and for a value that is no
    ///   media type.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let service = ServeCompressed::builder(Memory::new().file("chair.usdz", "…"))
    ///     .media_type("usdz", "model/vnd.usdz+zip")
    ///     .media_type("openpgpkey", "application/octet-stream")
    ///     .build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: the usual types. Text has `charset=utf-8` if its bytes are UTF-8, and a file without
    /// an extension is `text/plain` if its bytes are UTF-8 without control characters, else
    /// `application/octet-stream`. Bytes are looked at when they are hashed.
    pub fn media_type<V>(mut self, name: impl Into<String>, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        self.settings.media_types.push((name.into(), value.try_into().map_err(Into::into)));
        self
    }

    /// Sends a field with every file whose path matches `glob`.
    ///
    /// It is a [`header_rule`](Self::header_rule) of one field.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    /// use http::header::CONTENT_DISPOSITION;
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let service = ServeCompressed::builder(Memory::new().file("report.pdf", "…"))
    ///     .header("**/*.json", "access-control-allow-origin", "*")
    ///     .header("report.pdf", CONTENT_DISPOSITION, "attachment")
    ///     .build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: no field.
    pub fn header<N, V>(self, glob: impl Into<String>, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: Into<http::Error>,
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        self.header_rule(HeaderRule::new(glob).set(name, value))
    }

    /// Adds a rule for the fields of responses, behind those that are there.
    ///
    /// [`build`](Self::build) fails for a malformed rule. Default: no rule.
    pub fn header_rule(mut self, rule: HeaderRule) -> Self {
        self.settings.header_rules.push(rule);
        self
    }

    /// Sets whether files whose names carry a hash of their content (`app.3f9c2b1a.js`) get
    /// `Cache-Control: public, max-age=31536000, immutable` (RFC 8246).
    ///
    /// A name that only looks so would be stale for a year. So these count, among scripts, styles,
    /// WebAssembly, images, fonts, sound, films and JSON:
    ///
    /// - scripts and styles with 16 or more hexadecimal digits, or 8 behind a dot, before the extension,
    ///   and esbuild's chunks. `.chunk`, `.bundle`, `.entry`, `.lean`, `.min` and `.map` may follow;
    /// - all files in `_next/static/`, `_astro/`, `_app/immutable/` and `_nuxt/`, and those with a likely
    ///   hash behind a dot in `static/js/`, `static/css/` and `static/media/`;
    /// - files with 8 characters of base64url, base36 or base32, or 8 and more hexadecimal digits, if
    ///   their directory shows it (Vite, Rollup, Angular, webpack). Most scripts and styles in it have
    ///   the same, and three and more of those are no words. Or a script and a style have one name and
    ///   two hashes;
    /// - files whose whole name is 16 or more hexadecimal digits, if three scripts, styles or fonts beside
    ///   them have as many, and these are of several kinds, or a map or `manifest.json` shows a build;
    /// - files with 12 and more hexadecimal digits, if the directory has each of them without those, too
    ///   (Django, Phoenix).
    ///
    /// Of 775 hashed names of builds that no rule was tuned on, 93.5 % are recognised. Of 825 other names
    /// there none counts. A name such as `camera-EOS5DMk4.js` does, if it stands singly among hashed ones.
    /// A word and a number (`Winter24`) and names of pages (`.html`) never count. The directory is read on
    /// a thread of the library, at most once a minute, by [`Source::names`].
    /// [`immutable_paths("assets/**")`](Self::immutable_paths) has all files of a directory.
    ///
    /// Default: `false`.
    pub fn immutable(mut self, immutable: bool) -> Self {
        self.settings.headers.immutable = immutable;
        self
    }

    /// Marks the paths that match `glob` as immutable, whatever their names.
    ///
    /// `*` stops at a slash, `**` does not. [`build`](Self::build) fails for a malformed glob.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let service = ServeCompressed::builder(Memory::new().file("_app/immutable/a.js", "run()"))
    ///     .immutable_paths("_app/immutable/**")
    ///     .build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: none.
    pub fn immutable_paths(mut self, glob: impl Into<String>) -> Self {
        self.settings.immutable_paths.push(glob.into());
        self
    }

    /// Sets the `Cache-Control` of files for which nothing more specific is set.
    ///
    /// [`build`](Self::build) fails for a malformed value. Default: none.
    pub fn default_cache_control<V>(mut self, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        self.settings.default_cache_control = Some(value.try_into().map_err(Into::into));
        self
    }

    /// Sets whether every 200 has `X-Original-Content-Length`, the decoded length in bytes.
    ///
    /// Clients show the progress of a download by it. Default: `false`.
    pub fn original_length(mut self, original_length: bool) -> Self {
        self.settings.rules.original_length = original_length;
        self
    }

    /// Sets whether `X-Content-Type-Options: nosniff` is sent.
    ///
    /// Default: `true`.
    pub fn nosniff(mut self, nosniff: bool) -> Self {
        self.settings.rules.nosniff = nosniff;
        self
    }

    /// Sets whether `Cache-Status` (RFC 9211) is sent.
    ///
    /// Default: `true`.
    pub fn cache_status(mut self, cache_status: bool) -> Self {
        self.settings.rules.cache_status = cache_status;
        self
    }

    /// Sets whether the extensions of every response have its [`Served`](crate::Served), but for those
    /// of a fallback.
    ///
    /// Layers around an axum `Router` find it there, as the router hides the type of the body, and
    /// so [`Body::served`](crate::Body::served). It costs three allocations a response. Default:
    /// `false`.
    ///
    /// ```
    /// use cachecompress::{Memory, Outcome, ServeCompressed, Served};
    /// use http::Request;
    /// use tower::ServiceExt as _;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let files = Memory::new().file("a.txt", "a");
    /// let service = ServeCompressed::builder(files).served_extension(true).build()?;
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let response = service.oneshot(Request::get("/a.txt").body(())?).await?;
    /// let served = response.extensions().get::<Served>();
    /// assert_eq!(served.and_then(|served| served.outcome), Some(Outcome::Identity));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn served_extension(mut self, served_extension: bool) -> Self {
        self.settings.rules.exposes_served = served_extension;
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
    /// - a preference for a coding that has no encoder and that no file has;
    /// - a setting that belongs to the service that [`share`](Self::share) names;
    /// - a malformed glob, field or media type, or a field that follows from the representation;
    /// - a redirect that is wrong by itself, or a ring of them;
    /// - a path of a file that no file can have, or an index name that is no file name.
    ///
    /// The error of an encoder of your own that fails on a sample.
    pub fn build(self) -> Result<ServeCompressed<F>, Error> {
        let Self { settings, fallback } = self;
        Ok(ServeCompressed::from_parts(settings.build()?, fallback))
    }
}
