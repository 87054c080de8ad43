//! The tower service.

mod again;
mod builder;
mod headers;
mod options;
pub(crate) mod plan;
mod respond;
mod response_cache;
mod warm;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use tower_service::Service;

pub use builder::Builder;
pub use options::RequestOptions;
pub use warm::{WarmSummary, Warmed};

use crate::body::Body;
use crate::error::{Error, ErrorKind};
use crate::http::{PathError, RequestPath, SourcePath};
use crate::metrics::Metrics;
use crate::representations::{LoadError, Loaded, Representations, Resource};
use crate::sendfile::Connection;
use crate::source::Source;
use headers::HeaderRules;
use respond::Refusal;
use response_cache::{Answers, Asked};

/// Serves the files of a [`Source`], each compressed once, as a [`tower::Service`].
///
/// - `GET` and `HEAD` of a file answer 200, 206, 304, 406, 412 or 416, as the request's fields
///   have it; a directory without its trailing slash 308, with it the index.
/// - A path that leads nowhere is 404, or the fallback's to answer; one that cannot be decoded
///   is 400; a file that may not be read 403.
/// - `OPTIONS` is 204 and any other method 405, both with `Allow`.
///
/// The error is [`Infallible`]: what goes wrong is logged and answered with 500 or 503; use
/// [`try_call`](Self::try_call) to see it. Cloning is cheap, and clones share everything. Its
/// futures want tokio's runtime with timers enabled.
///
/// Mount it *outside* a `CompressionLayer`: inside, the layer would encode identity answers
/// again for every request.
///
/// [`tower::Service`]: tower_service::Service
#[derive(Clone, Debug)]
pub struct ServeCompressed<F = NoFallback> {
    representations: Representations,
    settings: Arc<Settings>,
    answers: Arc<Answers>,
    /// The connection whose requests these are.
    connection: Option<Connection>,
    fallback: F,
}

/// No fallback: a path that leads nowhere is a plain 404.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFallback;

/// Another service answers what would be a 404.
#[derive(Clone, Debug)]
pub struct Fallback<S>(S);

/// How encodes under way end with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// All that run and all that wait are finished first.
    Finish,
    /// They are given up; bodies that follow them abort.
    Drop,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) headers: HeaderRules,
    pub(crate) index: Vec<String>,
    pub(crate) spa: bool,
    pub(crate) original_length: bool,
    pub(crate) nosniff: bool,
    pub(crate) cache_status: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            headers: HeaderRules::default(),
            index: Vec::new(),
            spa: false,
            original_length: false,
            nosniff: true,
            cache_status: true,
        }
    }
}

/// Where a request's path leads.
enum Located {
    File(Arc<Resource>),
    /// To the index, because a navigation to an unknown path leads there.
    Spa(Arc<Resource>),
    Redirect(String),
    Malformed,
    Nothing,
}

impl ServeCompressed {
    /// Starts to build a service over `source`.
    pub fn builder(source: impl Source) -> Builder {
        Builder::new(source)
    }

    pub(crate) fn new(
        representations: Representations,
        settings: Settings,
        answer_bytes: u64,
    ) -> Self {
        Self {
            representations,
            settings: Arc::new(settings),
            answers: Arc::new(Answers::new(answer_bytes)),
            connection: None,
            fallback: NoFallback,
        }
    }

    /// Lets `service` answer requests whose paths lead nowhere, in place of the 404.
    ///
    /// It gets the request as it came.
    pub fn fallback<S>(self, service: S) -> ServeCompressed<Fallback<S>> {
        let Self { representations, settings, answers, connection, .. } = self;
        let fallback = Fallback(service);
        ServeCompressed { representations, settings, answers, connection, fallback }
    }
}

impl<F> ServeCompressed<F> {
    /// The same service for the requests of one connection, to which stored files then go by
    /// `sendfile`.
    #[cfg(feature = "sendfile")]
    #[must_use]
    pub fn on(&self, connection: Connection) -> Self
    where
        F: Clone,
    {
        Self { connection: Some(connection), ..self.clone() }
    }

    /// As [`call`](Service::call), but what goes wrong is returned, not answered; a path that
    /// leads nowhere is a plain 404.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the source cannot be read, [`ErrorKind::PermissionDenied`] if it may
    /// not, [`ErrorKind::SourceChanged`] if it changes faster than it can be read,
    /// [`ErrorKind::Busy`] if descriptors or places in a queue have run out.
    pub async fn try_call<B>(&self, request: Request<B>) -> Result<Response<Body>, Error> {
        let (parts, _body) = request.into_parts();
        let response = self.answer(&parts).await?.unwrap_or_else(|| self.not_found());
        Ok(without_body_for_head(&parts.method, response))
    }

    /// Answers a request with the file `path` of the source, whatever the request's own path:
    /// for handlers that choose the file themselves. `path` is decoded and never an index or
    /// a redirect; one that leads nowhere is 404.
    pub async fn serve(&self, path: &str, parts: &Parts) -> Response<Body> {
        let response =
            self.serve_file(path, parts).await.unwrap_or_else(|error| self.failed(&error));
        without_body_for_head(&parts.method, response)
    }

    /// Present figures.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.representations.metrics()
    }

    /// All files of the source.
    ///
    /// # Errors
    ///
    /// If the source cannot be listed. Blocks on the disk.
    pub fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.representations.config().source.paths()
    }

    /// Encodes what is not in the cache yet of `paths`, in every coding that is offered, with
    /// the priority of work that nobody waits for; calls `each` as it gets on.
    pub async fn warm(
        &self,
        paths: impl IntoIterator<Item = SourcePath>,
        each: impl FnMut(&Warmed),
    ) -> WarmSummary {
        warm::warm(&self.representations, paths, each).await
    }

    /// Ends the encoding; the service goes on, with what is stored and with identity.
    pub async fn shutdown(&self, mode: Shutdown) {
        self.representations.shutdown(mode == Shutdown::Finish).await;
    }

    async fn serve_file(&self, path: &str, parts: &Parts) -> Result<Response<Body>, Error> {
        if let Some(response) = self.other_method(&parts.method) {
            return Ok(response);
        }
        let Some(path) = SourcePath::parse(path.as_bytes()) else {
            return Ok(self.refused(Refusal::NotFound));
        };
        let response = match self.look_up(&path, parts).await? {
            Loaded::File(resource) => self.respond(parts, resource, None, false).await?,
            Loaded::Directory | Loaded::Nothing => None,
        };
        Ok(response.unwrap_or_else(|| self.refused(Refusal::NotFound)))
    }

    /// The answer; `None` if the path leads nowhere.
    async fn answer(&self, parts: &Parts) -> Result<Option<Response<Body>>, Error> {
        if let Some(response) = self.other_method(&parts.method) {
            return Ok(Some(response));
        }
        match self.locate(parts).await? {
            Located::File(resource) => {
                let Parts { method, uri, version, headers, extensions, .. } = parts;
                let asked = Asked::new(method, uri, *version, headers, extensions);
                self.respond(parts, resource, asked, false).await
            }
            Located::Spa(resource) => self.respond(parts, resource, None, true).await,
            Located::Redirect(location) => Ok(Some(self.redirect(&location))),
            Located::Malformed => Ok(Some(self.refused(Refusal::BadRequest))),
            Located::Nothing => Ok(None),
        }
    }

    /// The answer, whatever goes wrong; `None` if the path leads nowhere.
    async fn reply(&self, parts: &Parts) -> Option<Response<Body>> {
        let answer = self.answer(parts).await.unwrap_or_else(|error| Some(self.failed(&error)));
        answer.map(|response| without_body_for_head(&parts.method, response))
    }

    fn other_method(&self, method: &Method) -> Option<Response<Body>> {
        match *method {
            Method::GET | Method::HEAD => None,
            Method::OPTIONS => Some(self.refused(Refusal::Options)),
            _ => Some(self.refused(Refusal::Method)),
        }
    }

    async fn locate(&self, parts: &Parts) -> Result<Located, Error> {
        let request = match RequestPath::parse(parts.uri.path()) {
            Ok(request) => request,
            Err(PathError::Nowhere) => return Ok(Located::Nothing),
            Err(PathError::Malformed) => return Ok(Located::Malformed),
        };
        if request.directory {
            if let Some(resource) = self.index_of(&request.path, parts).await? {
                return Ok(Located::File(resource));
            }
        } else {
            match self.look_up(&request.path, parts).await? {
                Loaded::File(resource) => return Ok(Located::File(resource)),
                Loaded::Directory => {
                    let location = request.directory_location(parts.uri.query());
                    return Ok(Located::Redirect(location));
                }
                Loaded::Nothing => {}
            }
        }
        if self.settings.spa
            && is_navigation(&parts.headers)
            && let Some(resource) = self.index_of(&SourcePath::root(), parts).await?
        {
            return Ok(Located::Spa(resource));
        }
        Ok(Located::Nothing)
    }

    async fn index_of(
        &self,
        directory: &SourcePath,
        parts: &Parts,
    ) -> Result<Option<Arc<Resource>>, Error> {
        for name in &self.settings.index {
            if let Loaded::File(resource) = self.look_up(&directory.join(name), parts).await? {
                return Ok(Some(resource));
            }
        }
        Ok(None)
    }

    async fn look_up(&self, path: &SourcePath, parts: &Parts) -> Result<Loaded, Error> {
        self.representations
            .resource(path, || self.likely(parts))
            .await
            .map_err(LoadError::into_error)
    }

    /// The answer to an error, which is logged if it is ours.
    fn failed(&self, error: &Error) -> Response<Body> {
        let refusal = match error.kind() {
            ErrorKind::NotFound => Refusal::NotFound,
            ErrorKind::PermissionDenied => Refusal::Forbidden,
            ErrorKind::Aborted | ErrorKind::Busy | ErrorKind::SourceChanged => Refusal::Busy,
            _ => Refusal::Internal,
        };
        if matches!(refusal, Refusal::Internal | Refusal::Busy) {
            tracing::error!(%error, "a request could not be answered");
        }
        self.refused(refusal)
    }
}

/// HEAD gets GET's fields and no body; over HTTP/2, hyper would send one that is there.
fn without_body_for_head(method: &Method, mut response: Response<Body>) -> Response<Body> {
    if method == Method::HEAD {
        response = response.map(Body::emptied);
    }
    response
}

/// Whether a browser is about to show the answer as a page.
fn is_navigation(headers: &HeaderMap) -> bool {
    if let Some(mode) = headers.get("sec-fetch-mode") {
        return mode == "navigate";
    }
    headers.get_all(http::header::ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value.split(',').any(|member| {
                let range = member.split(';').next().unwrap_or_default();
                range.trim().eq_ignore_ascii_case("text/html")
            })
        })
    })
}

/// The answer to one request, which may be there at once.
#[must_use = "an answer is there only once it is polled"]
pub struct ResponseFuture(Answering);

#[allow(clippy::large_enum_variant, reason = "the large one is what saves the allocation")]
enum Answering {
    Now(Option<Response<Body>>),
    Later(Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>),
}

impl ResponseFuture {
    fn now(response: Response<Body>) -> Self {
        Self(Answering::Now(Some(response)))
    }

    fn later(
        answer: impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
    ) -> Self {
        Self(Answering::Later(Box::pin(answer)))
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Answering::Now(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            Answering::Later(answer) => answer.as_mut().poll(cx),
        }
    }
}

impl std::fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for ServeCompressed<NoFallback> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        (&*self).call(request)
    }
}

/// For servers whose services are shared and not cloned, as hyper's are.
impl<B> Service<Request<B>> for &ServeCompressed<NoFallback> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        if let Some(response) = self.answer_again(&request) {
            return ResponseFuture::now(response);
        }
        let service = (*self).clone();
        let (parts, _body) = request.into_parts();
        ResponseFuture::later(async move {
            let reply = service.reply(&parts).await;
            Ok(reply.unwrap_or_else(|| without_body_for_head(&parts.method, service.not_found())))
        })
    }
}

impl<B, S, SB> Service<Request<B>> for ServeCompressed<Fallback<S>>
where
    B: Send + 'static,
    S: Service<Request<B>, Response = Response<SB>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    SB: http_body::Body<Data = Bytes> + Send + 'static,
    SB::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        if let Some(response) = self.answer_again(&request) {
            return ResponseFuture::now(response);
        }
        let service = self.clone();
        let (parts, body) = request.into_parts();
        let method = parts.method.clone();
        ResponseFuture::later(async move {
            if let Some(reply) = service.reply(&parts).await {
                return Ok(reply);
            }
            let mut fallback = service.fallback.0.clone();
            poll_fn(|cx| fallback.poll_ready(cx)).await?;
            let response = fallback.call(Request::from_parts(parts, body)).await?;
            Ok(without_body_for_head(&method, response.map(Body::foreign)))
        })
    }
}

impl<F> ServeCompressed<F> {
    fn redirect(&self, location: &str) -> Response<Body> {
        let mut response = self.refused(Refusal::Redirect);
        match http::HeaderValue::from_str(location) {
            Ok(location) => {
                response.headers_mut().insert(http::header::LOCATION, location);
                response
            }
            Err(_) => self.refused(Refusal::NotFound),
        }
    }
}
