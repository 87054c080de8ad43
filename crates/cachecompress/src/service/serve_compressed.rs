//! The public service.

use std::path::Path;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};

use super::error_pages::{self, Delivery};
use super::fallback::{Fallback, NoFallback};
use super::settings::Shared;
use super::site::Site;
use super::warm::{self, WarmOptions, WarmProgress, WarmSummary, Warmed};
use super::{answer, respond};
use crate::body::Body;
use crate::error::{Error, ErrorKind};
use crate::fs;
use crate::http::SourcePath;
use crate::metrics::Metrics;
use crate::rules::headers::{ResponseKind, RulePaths};
use crate::sendfile::Connection;
use crate::source::{Directory, Found, Source as _, SourceFile};

/// Serves the files of a [`Source`](crate::Source), each compressed once, as a [`tower::Service`].
///
/// - `GET` and `HEAD` of a file are 200, 206, 304, 406, 412 or 416, as the request's fields require
///   (RFC 9110 §12.5.3, §13.2.2, §14).
/// - A directory without its trailing slash is 301. With the slash it is its index.
/// - A path that leads nowhere is 404, or the fallback answers it.
/// - A path that cannot be decoded is 400. A file that may not be read is 403.
/// - `OPTIONS` is 204 and any other method 405, both with `Allow` (RFC 9110 §9.3.7, §15.5.6).
///
/// The error is [`Infallible`](std::convert::Infallible): errors are logged and answered with 500
/// or 503. [`try_call`](Self::try_call) returns them. Cloning is cheap, and clones share
/// everything. The futures run on every executor.
///
/// Mount the service *outside* a `CompressionLayer`. Inside, the layer would encode identity
/// responses again for every request.
///
/// [`tower::Service`]: tower_service::Service
#[derive(Clone, Debug)]
pub struct ServeCompressed<F = NoFallback> {
    pub(super) site: Arc<Site>,
    /// The connection on which the requests come.
    pub(super) connection: Option<Connection>,
    /// Whether the requests came over TLS.
    pub(super) over_tls: bool,
    pub(super) fallback: F,
}

/// The way in which [`shutdown`](ServeCompressed::shutdown) ends encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// Encodes that requests wait or waited for are finished first. Those of
    /// [`warm_with`](ServeCompressed::warm_with) are given up.
    Finish,
    /// Encodes are given up. Bodies that follow them abort.
    Drop,
}

impl ServeCompressed {
    /// Serves the directory `path` with all defaults, which include a cache of 64 MiB in memory.
    ///
    /// [`builder`](Self::builder) has the settings, among them a cache on disk.
    ///
    /// ```
    /// use cachecompress::ServeCompressed;
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
    /// let service = ServeCompressed::new("site")?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Directory::new`].
    pub fn new(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder(Directory::new(path)?).build()
    }

    /// Serves the one file `path`, whatever the paths of the requests are, with all defaults.
    ///
    /// [`Builder::only`](crate::Builder::only) does the same beside other settings.
    ///
    /// ```
    /// use cachecompress::ServeCompressed;
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
    /// let page = ServeCompressed::file("site/index.html")?;
    /// let service = ServeCompressed::new("site")?.not_found_service(page);
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no such file now, or it is a symlink that leads out of its directory.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let missing = || {
            let message = "cannot serve the file, which is none or lies elsewhere:";
            Error::new(ErrorKind::NotFound, message).with_path(path)
        };
        let name = path.file_name().and_then(fs::name_to_bytes).ok_or_else(missing)?;
        let name = SourcePath::parse(&name).ok_or_else(missing)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = Directory::new(parent.unwrap_or(Path::new(".")))?.dotfiles(true);
        match directory.lookup(&name)? {
            Found::File(_) => Self::builder(directory).only_path(name).build(),
            Found::Directory | Found::Nothing => Err(missing()),
        }
    }

    /// Lets `service` answer requests whose paths lead nowhere, in place of the 404.
    ///
    /// [`Builder::fallback`](crate::Builder::fallback) says how. Default: no fallback.
    pub fn fallback<S>(self, service: S) -> ServeCompressed<Fallback<S>> {
        let Self { site, connection, over_tls, .. } = self;
        ServeCompressed { site, connection, over_tls, fallback: Fallback::new(service) }
    }

    /// As [`fallback`](Self::fallback), but every response of `service` becomes a 404.
    ///
    /// The service gets the request without its conditions and its range.
    pub fn not_found_service<S>(self, service: S) -> ServeCompressed<Fallback<S>> {
        let Self { site, connection, over_tls, .. } = self;
        ServeCompressed { site, connection, over_tls, fallback: Fallback::not_found(service) }
    }
}

impl<F> ServeCompressed<F> {
    pub(super) fn from_parts(site: Site, fallback: F) -> Self {
        Self { site: Arc::new(site), connection: None, over_tls: false, fallback }
    }

    /// Returns the same service for the requests of one connection.
    ///
    /// Stored files of more than 32 KiB then go to that connection by `sendfile`.
    #[cfg(feature = "sendfile")]
    #[must_use]
    pub fn on(&self, connection: Connection) -> Self
    where
        F: Clone,
    {
        Self { connection: Some(connection), ..self.clone() }
    }

    /// Returns the same service for requests that came over TLS, or for those that did not.
    ///
    /// Only responses over TLS have the `Strict-Transport-Security` of
    /// [`HeaderRule::security`](crate::HeaderRule::security) (RFC 6797 §7.2). A proxy in front that ends
    /// TLS and says so counts, too. Default: `false`.
    ///
    /// ```
    /// use cachecompress::{HeaderRule, Memory, ServeCompressed};
    /// use http::Request;
    /// use tower::ServiceExt as _;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let service = ServeCompressed::builder(Memory::new().file("a.txt", "a"))
    ///     .header_rule(HeaderRule::new("/**").security(true))
    ///     .build()?;
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// for over_tls in [true, false] {
    ///     let service = service.clone().over_tls(over_tls);
    ///     let response = service.oneshot(Request::get("/a.txt").body(())?).await?;
    ///     assert_eq!(response.headers().contains_key("strict-transport-security"), over_tls);
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[must_use]
    pub fn over_tls(mut self, over_tls: bool) -> Self {
        self.over_tls = over_tls;
        self
    }

    /// Applies the rules that are [`always`](crate::HeaderRule::always) to the fields of a response that
    /// a layer around the service gives in its place, such as a 401.
    ///
    /// `path` is that of the request's URI.
    pub fn apply_header_rules(&self, path: &str, fields: &mut HeaderMap) {
        let paths = RulePaths::of(path);
        self.site.rules.headers.apply(ResponseKind::Other, paths, fields);
        if !self.over_tls {
            self.site.rules.headers.keep_plain(fields);
        }
    }

    /// Answers a request as [`call`](tower_service::Service::call) does, but returns errors.
    ///
    /// A path that leads nowhere is a 404. The fallback is not asked.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the source cannot be read.
    /// - [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied) if the source may not
    ///   be read.
    /// - [`ErrorKind::SourceChanged`](crate::ErrorKind::SourceChanged) if the source changes faster
    ///   than it can be read.
    /// - [`ErrorKind::Busy`](crate::ErrorKind::Busy) if descriptors or places in a queue have run
    ///   out.
    pub async fn try_call<B>(&self, request: Request<B>) -> Result<Response<Body>, Error> {
        let missed = self.missed(&request);
        let (mut parts, _body) = request.into_parts();
        let key = missed.into_key(&mut parts);
        let (site, connection) = (&*self.site, self.connection.as_ref());
        let answer = answer::answer(site, connection, &parts, key).await?;
        let response = answer.unwrap_or_else(|| answer::not_found(site, &parts));
        let how = Delivery::of(connection, self.over_tls, &parts);
        Ok(error_pages::deliver(site, how, response).await)
    }

    /// Answers a request with the file `path` of the source, for handlers that choose the file
    /// themselves.
    ///
    /// - The request's own path does not count.
    /// - `path` is decoded. Slashes at its ends mean nothing. It is never an index or a redirect. It may
    ///   be
    ///   [excluded](crate::Builder::exclude).
    /// - A `path` that leads nowhere is 404.
    /// - Errors are answered with 403, 500 or 503.
    ///
    /// ```
    /// use cachecompress::{Body, RequestOptions, ServeCompressed};
    /// use http::{HeaderValue, Request, Response, StatusCode, header};
    ///
    /// /// A handler that checks a token before it hands a file out.
    /// async fn download(service: &ServeCompressed, request: Request<()>) -> Response<Body> {
    ///     let (mut parts, ()) = request.into_parts();
    ///     if parts.headers.get(header::AUTHORIZATION).is_none_or(|token| token != "Bearer 42") {
    ///         let mut response = Response::new(Body::empty());
    ///         *response.status_mut() = StatusCode::UNAUTHORIZED;
    ///         return response;
    ///     }
    ///     let private = HeaderValue::from_static("private");
    ///     parts.extensions.insert(RequestOptions::new().header(header::CACHE_CONTROL, private));
    ///     service.serve("agent-linux-amd64", &parts).await
    /// }
    /// ```
    pub async fn serve(&self, path: &str, parts: &Parts) -> Response<Body> {
        let (site, connection) = (&*self.site, self.connection.as_ref());
        let answer = answer::answer_file(site, connection, parts, path).await;
        let response = answer.unwrap_or_else(|error| respond::failed(site, &error));
        let file = SourcePath::parse(path.as_bytes());
        let how = Delivery::of_file(connection, self.over_tls, parts, file.as_ref());
        error_pages::deliver(site, how, response).await
    }

    /// Answers a request with `file`, which the handler has or makes, in place of one of the source.
    ///
    /// - `name` gives the media type, if the file brings none, and the fields of
    ///   [`Builder::header`](crate::Builder::header). No file of the source need have it. A name that
    ///   is no path, such as `../x`, gives neither.
    /// - The file is compressed once for its bytes, as every other, so it should not be made anew
    ///   for each request. Its digest is computed for each call, unless the file brings it.
    /// - Errors are answered with 500 or 503.
    ///
    /// ```
    /// use cachecompress::source::SourceFile;
    /// use cachecompress::{Body, ServeCompressed};
    /// use http::{Request, Response};
    ///
    /// /// A handler for reports that are kept in a database.
    /// async fn report(service: &ServeCompressed, request: Request<()>, csv: String) -> Response<Body> {
    ///     let (parts, ()) = request.into_parts();
    ///     service.serve_source("report.csv", SourceFile::from_bytes(csv), &parts).await
    /// }
    /// ```
    pub async fn serve_source(
        &self,
        name: &str,
        file: impl Into<SourceFile>,
        parts: &Parts,
    ) -> Response<Body> {
        let (site, connection) = (&*self.site, self.connection.as_ref());
        let answer = answer::answer_source(site, connection, parts, name, file.into()).await;
        let response = answer.unwrap_or_else(|error| respond::failed(site, &error));
        let file = SourcePath::parse(name.as_bytes());
        let how = Delivery::of_file(connection, self.over_tls, parts, file.as_ref());
        error_pages::deliver(site, how, response).await
    }

    /// Answers a request with an error of this `status`, for handlers that refuse a request.
    ///
    /// - The body is the page of [`Builder::error_page`](crate::Builder::error_page), or else a short
    ///   text.
    /// - Fields that the status requires, such as `WWW-Authenticate`, are the handler's to add.
    /// - A `status` that is no error has no body.
    ///
    /// ```
    /// use cachecompress::{Body, ServeCompressed};
    /// use http::{HeaderValue, Request, Response, StatusCode, header};
    ///
    /// /// A handler that lets nobody in.
    /// async fn guard(service: &ServeCompressed, request: Request<()>) -> Response<Body> {
    ///     let (parts, ()) = request.into_parts();
    ///     let mut response = service.serve_error(StatusCode::UNAUTHORIZED, &parts).await;
    ///     let challenge = HeaderValue::from_static("Bearer");
    ///     response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    ///     response
    /// }
    /// ```
    pub async fn serve_error(&self, status: StatusCode, parts: &Parts) -> Response<Body> {
        let response = respond::refuse(&self.site, status);
        let how = Delivery::of(self.connection.as_ref(), self.over_tls, parts);
        error_pages::deliver(&self.site, how, response).await
    }

    /// The parts that other services may share.
    pub(super) fn shared(&self) -> Shared {
        let site = &self.site;
        let engine = Arc::clone(site.representations.engine());
        Shared { engine, response_cache: site.response_cache.clone() }
    }

    /// Returns the present metrics, of all services that [share](crate::Builder::share) the cache.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.site.representations.engine().metrics()
    }

    /// Lists all files of the source that are not [excluded](crate::Builder::exclude). Blocks on the
    /// disk.
    ///
    /// # Errors
    ///
    /// If the source cannot be listed.
    pub fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        warm::paths(&self.site)
    }

    /// Encodes the files of `paths` in every coding that is offered, as far as the cache lacks
    /// them, and calls `each` for every representation that is done.
    ///
    /// [`warm_with`](Self::warm_with) says how, and has more to choose.
    pub async fn warm(
        &self,
        paths: impl IntoIterator<Item = SourcePath>,
        mut each: impl FnMut(&Warmed),
    ) -> WarmSummary {
        let paths = paths.into_iter().collect();
        warm::warm(&self.site, paths, (None, false), |progress| {
            if let Some(latest) = &progress.latest {
                each(latest);
            }
        })
        .await
    }

    /// Encodes files ahead of requests, as far as the cache lacks them.
    ///
    /// - It calls `progress` for every representation and every file that is done.
    /// - Its encodes run at the lowest priority, on threads of their own. A request that joins one
    ///   waits for it at that priority, no longer than its patience.
    /// - Dropping the future ends it: encodes that no request has joined are given up.
    /// - [`Shutdown::Finish`] does not wait for it either.
    /// - A file that cannot be read counts as failed.
    ///
    /// ```
    /// use cachecompress::{ContentCoding, Memory, ServeCompressed, WarmOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// # if cfg!(not(feature = "gzip")) { return Ok(()) }
    /// let files = Memory::new().file("app.js", "run(); ".repeat(1000)).file("logo.png", "…");
    /// let service = ServeCompressed::builder(files).build()?;
    /// let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// let options = WarmOptions::new().codings([ContentCoding::GZIP]);
    /// let summary = runtime.block_on(service.warm_with(options, |progress| {
    ///     println!("{} of {} files", progress.files_done, progress.files_total);
    /// }))?;
    /// assert_eq!((summary.stored, summary.failed), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the options name no paths and the source cannot be listed.
    pub async fn warm_with(
        &self,
        options: WarmOptions,
        progress: impl FnMut(&WarmProgress),
    ) -> Result<WarmSummary, Error> {
        let WarmOptions { paths, codings, best } = options;
        let paths = match paths {
            Some(paths) => paths,
            None => warm::list(&self.site).await?,
        };
        Ok(warm::warm(&self.site, paths, (codings.as_deref(), best), progress).await)
    }

    /// Ends all encoding, also that of services that [share](crate::Builder::share) the cache.
    ///
    /// The service goes on with stored representations and with identity.
    ///
    /// ```
    /// use cachecompress::{ServeCompressed, Shutdown};
    ///
    /// /// Runs after the server has answered its last request.
    /// async fn end(service: ServeCompressed) {
    ///     service.shutdown(Shutdown::Finish).await;
    /// }
    /// ```
    pub async fn shutdown(&self, mode: Shutdown) {
        self.site.representations.engine().shutdown(mode == Shutdown::Finish).await;
    }
}
