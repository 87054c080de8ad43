//! The services that answer requests whose paths lead nowhere.

use std::future::poll_fn;

use bytes::Bytes;
use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, Request, Response, StatusCode};
use tower_service::Service;

use crate::body::Body;
use crate::concurrency::sync::{Mutex, lock};

/// The absence of a fallback. A path that leads nowhere is a plain 404, or the page of
/// [`Builder::not_found`](crate::Builder::not_found).
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFallback;

/// A service that answers in place of a 404.
///
/// It is `Sync` even around a service that is not, such as `tower::util::BoxCloneService`.
#[derive(Debug)]
pub struct Fallback<S> {
    service: Mutex<S>,
    /// Whether the response is 404, whatever the service says.
    is_not_found: bool,
}

impl<S> Fallback<S> {
    /// Wraps a service whose status is kept.
    pub(super) fn new(service: S) -> Self {
        Self { service: Mutex::new(service), is_not_found: false }
    }

    /// Wraps a service whose status becomes 404.
    pub(super) fn not_found(service: S) -> Self {
        Self { service: Mutex::new(service), is_not_found: true }
    }

    /// Returns a clone of the service, for one request.
    pub(super) fn service(&self) -> S
    where
        S: Clone,
    {
        lock(&self.service).clone()
    }

    /// Returns the status that every response of the service gets.
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.is_not_found.then_some(StatusCode::NOT_FOUND)
    }
}

impl<S: Clone> Clone for Fallback<S> {
    fn clone(&self) -> Self {
        Self { service: Mutex::new(self.service()), is_not_found: self.is_not_found }
    }
}

/// Has `service` answer `request`, with `status` in place of its own if there is one.
///
/// A response whose status is 404 in any case depends on no condition and no range, which count for
/// a selected representation only (RFC 9110 §13.2.1, §14.2).
pub(super) async fn call<B, S, SB>(
    mut service: S,
    status: Option<StatusCode>,
    mut request: Request<B>,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<B>, Response = Response<SB>>,
    SB: http_body::Body<Data = Bytes> + Send + 'static,
    SB::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if status.is_some() {
        make_unconditional(request.headers_mut());
    }
    poll_fn(|cx| service.poll_ready(cx)).await?;
    let mut response = service.call(request).await?;
    if let Some(status) = status {
        *response.status_mut() = status;
    }
    Ok(response.map(Body::foreign))
}

/// Removes the conditions and the range of a request.
pub(super) fn make_unconditional(headers: &mut HeaderMap) {
    for name in [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE] {
        headers.remove(name);
    }
}
