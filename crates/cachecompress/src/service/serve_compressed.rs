//! The public service.

use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};

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
/// - `GET` and `HEAD` of a file answer 200, 206, 304, 406, 412 or 416, as the request's fields
///   have it; a directory without its trailing slash 308, with it the index.
/// - A path that leads nowhere is 404, or the fallback's to answer; one that cannot be decoded
///   is 400; a file that may not be read 403.
/// - `OPTIONS` is 204 and any other method 405, both with `Allow`.
///
/// The error is [`Infallible`](std::convert::Infallible): errors are logged and answered with 500
/// or 503; [`try_call`](Self::try_call) returns them. Cloning is cheap, and clones share
/// everything. The futures need tokio's runtime with timers enabled.
///
/// Mount it *outside* a `CompressionLayer`: inside, the layer would encode identity answers
/// again for every request.
///
/// [`tower::Service`]: tower_service::Service
#[derive(Clone, Debug)]
pub struct ServeCompressed<F = NoFallback> {
    pub(super) site: Arc<Site>,
    /// The connection whose requests these are.
    pub(super) connection: Option<Connection>,
    pub(super) fallback: F,
}

/// No fallback: a path that leads nowhere is a plain 404.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFallback;

/// Another service answers in place of a 404.
#[derive(Clone, Debug)]
pub struct Fallback<S>(pub(super) S);

/// How encodes that run end with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// All that run and all that wait are finished first.
    Finish,
    /// They are given up; bodies that follow them abort.
    Drop,
}

impl ServeCompressed {
    pub(super) fn new(site: Site) -> Self {
        Self { site: Arc::new(site), connection: None, fallback: NoFallback }
    }

    /// Lets `service` answer requests whose paths lead nowhere, in place of the 404.
    ///
    /// It gets the request as it came.
    pub fn fallback<S>(self, service: S) -> ServeCompressed<Fallback<S>> {
        let Self { site, connection, .. } = self;
        ServeCompressed { site, connection, fallback: Fallback(service) }
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

    /// As [`call`](tower_service::Service::call), but errors are returned, not answered; a path
    /// that leads nowhere is a plain 404.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the source cannot be read,
    /// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied) if it may not,
    /// [`ErrorKind::SourceChanged`](crate::ErrorKind::SourceChanged) if it changes faster than it
    /// can be read, [`ErrorKind::Busy`](crate::ErrorKind::Busy) if descriptors or places in a queue
    /// have run out.
    pub async fn try_call<B>(&self, request: Request<B>) -> Result<Response<Body>, Error> {
        let (parts, _body) = request.into_parts();
        let response = answer::answer(&self.site, self.connection.as_ref(), &parts, None).await?;
        let response = response.unwrap_or_else(|| respond::not_found(&self.site));
        Ok(respond::without_body_for_head(&parts.method, response))
    }

    /// Answers a request with the file `path` of the source, whatever the request's own path:
    /// for handlers that choose the file themselves. `path` is decoded and never an index or
    /// a redirect; one that leads nowhere is 404.
    pub async fn serve(&self, path: &str, parts: &Parts) -> Response<Body> {
        let site = &*self.site;
        let answer = answer::answer_file(site, self.connection.as_ref(), parts, path).await;
        let response = answer.unwrap_or_else(|error| respond::failed(site, &error));
        respond::without_body_for_head(&parts.method, response)
    }

    /// Present figures.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.site.representations.metrics()
    }

    /// All files of the source.
    ///
    /// # Errors
    ///
    /// If the source cannot be listed. Blocks on the disk.
    pub fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.site.representations.catalog().source().paths()
    }

    /// Encodes what is not in the cache yet of `paths`, in every coding that is offered, with
    /// the priority of work that nobody waits for; calls `each` as it gets on.
    pub async fn warm(
        &self,
        paths: impl IntoIterator<Item = SourcePath>,
        each: impl FnMut(&Warmed),
    ) -> WarmSummary {
        warm::warm(&self.site.representations, paths, each).await
    }

    /// Ends the encoding; the service goes on, with what is stored and with identity.
    pub async fn shutdown(&self, mode: Shutdown) {
        self.site.representations.shutdown(mode == Shutdown::Finish).await;
    }
}
