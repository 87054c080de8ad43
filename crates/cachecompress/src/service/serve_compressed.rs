//! The public service.

use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};

use super::response_cache::BorrowedKey;
use super::site::Site;
use super::warm::{self, WarmSummary, Warmed};
use super::{answer, respond};
use crate::body::Body;
use crate::error::Error;
use crate::http::SourcePath;
use crate::metrics::Metrics;
use crate::sendfile::Connection;

/// Serves the files of a [`Source`](crate::Source), each compressed once, as a [`tower::Service`].
///
/// - `GET` and `HEAD` of a file are 200, 206, 304, 406, 412 or 416, as the request's fields require
///   (RFC 9110 §12.5.3, §13.2.2, §14).
/// - A directory without its trailing slash is 308. With the slash it is its index.
/// - A path that leads nowhere is 404, or the fallback answers it.
/// - A path that cannot be decoded is 400. A file that may not be read is 403.
/// - `OPTIONS` is 204 and any other method 405, both with `Allow` (RFC 9110 §9.3.7, §15.5.6).
///
/// The error is [`Infallible`](std::convert::Infallible): errors are logged and answered with 500
/// or 503. [`try_call`](Self::try_call) returns them. Cloning is cheap, and clones share
/// everything. The futures need tokio's runtime with timers enabled.
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
    pub(super) fallback: F,
}

/// The absence of a fallback. A path that leads nowhere is a plain 404.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFallback;

/// A service that answers in place of a 404.
#[derive(Clone, Debug)]
pub struct Fallback<S>(pub(super) S);

/// The way in which [`shutdown`](ServeCompressed::shutdown) ends encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// Encodes that run or wait are finished first.
    Finish,
    /// Encodes are given up. Bodies that follow them abort.
    Drop,
}

impl ServeCompressed {
    pub(super) fn new(site: Site) -> Self {
        Self { site: Arc::new(site), connection: None, fallback: NoFallback }
    }

    /// Lets `service` answer requests whose paths lead nowhere, in place of the 404.
    ///
    /// It gets the request as it came. Its response to HEAD loses the body. Default: no fallback.
    pub fn fallback<S>(self, service: S) -> ServeCompressed<Fallback<S>> {
        let Self { site, connection, .. } = self;
        ServeCompressed { site, connection, fallback: Fallback(service) }
    }
}

impl<F> ServeCompressed<F> {
    /// Returns the same service for the requests of one connection.
    ///
    /// Stored files of more than 256 KiB then go to that connection by `sendfile`.
    #[cfg(feature = "sendfile")]
    #[must_use]
    pub fn on(&self, connection: Connection) -> Self
    where
        F: Clone,
    {
        Self { connection: Some(connection), ..self.clone() }
    }

    /// Answers a request as [`call`](tower_service::Service::call) does, but returns errors.
    ///
    /// A path that leads nowhere is a plain 404. The fallback is not asked.
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
        let key = BorrowedKey::new(&request).map(BorrowedKey::to_owned);
        let (parts, _body) = request.into_parts();
        let response = answer::answer(&self.site, self.connection.as_ref(), &parts, key).await?;
        let response = response.unwrap_or_else(|| respond::not_found(&self.site));
        Ok(respond::without_body_for_head(&parts.method, response))
    }

    /// Answers a request with the file `path` of the source, for handlers that choose the file
    /// themselves.
    ///
    /// - The request's own path does not count.
    /// - `path` is decoded. It is never an index or a redirect.
    /// - A `path` that leads nowhere is 404.
    /// - Errors are answered with 403, 500 or 503.
    pub async fn serve(&self, path: &str, parts: &Parts) -> Response<Body> {
        let site = &*self.site;
        let answer = answer::answer_file(site, self.connection.as_ref(), parts, path).await;
        let response = answer.unwrap_or_else(|error| respond::failed(site, &error));
        respond::without_body_for_head(&parts.method, response)
    }

    /// Returns the present metrics.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.site.representations.metrics()
    }

    /// Lists all files of the source. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// If the source cannot be listed.
    pub fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.site.representations.catalog().source().paths()
    }

    /// Encodes the files of `paths` in every coding that is offered, as far as the cache lacks
    /// them.
    ///
    /// - It calls `each` for every representation that is done.
    /// - Its encodes run at the lowest priority, on threads of their own.
    /// - A file that cannot be read counts as failed.
    pub async fn warm(
        &self,
        paths: impl IntoIterator<Item = SourcePath>,
        each: impl FnMut(&Warmed),
    ) -> WarmSummary {
        warm::warm(&self.site.representations, paths, each).await
    }

    /// Ends all encoding.
    ///
    /// The service goes on with stored representations and with identity.
    pub async fn shutdown(&self, mode: Shutdown) {
        self.site.representations.shutdown(mode == Shutdown::Finish).await;
    }
}
