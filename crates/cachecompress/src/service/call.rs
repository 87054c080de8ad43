//! The calls of tower's `Service`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;

use super::error_pages::{self, Delivery};
use super::fallback::{self, Fallback, NoFallback};
use super::response_cache::{BorrowedKey, RequestKey};
use super::serve_compressed::ServeCompressed;
use super::site::Site;
use super::site_deltas::UsesDictionary;
use super::{answer, replay, respond};
use crate::body::Body;
use crate::http::{AVAILABLE_DICTIONARY, Readability, readability};
use crate::rules::headers::RulePaths;
use crate::sendfile::Connection;

/// The future of a response to one request.
///
/// - It is ready at the first poll if the response is a copy of one that was made within the last
///   second.
/// - Its error is [`Infallible`]: an error of the source becomes a response.
#[must_use = "the response is there only once the future is polled"]
pub struct ResponseFuture(Answering);

#[allow(clippy::large_enum_variant, reason = "the large variant saves the allocation")]
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

/// The service by reference, for servers such as hyper that share a service and do not clone it.
impl<B> Service<Request<B>> for &ServeCompressed<NoFallback> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let missed = match self.replay(&request) {
            Ok(response) => return ResponseFuture::now(response),
            Err(missed) => missed,
        };
        let (site, connection) = (Arc::clone(&self.site), self.connection.clone());
        let over_tls = self.over_tls;
        let (mut parts, _body) = request.into_parts();
        let key = missed.into_key(&mut parts);
        ResponseFuture::later(async move {
            let reply = reply(&site, connection.as_ref(), &parts, key).await;
            let response = reply.unwrap_or_else(|| answer::not_found(&site, &parts));
            let how = Delivery::of(connection.as_ref(), over_tls, &parts);
            Ok(error_pages::deliver(&site, how, response).await)
        })
    }
}

impl<B, S, SB> Service<Request<B>> for ServeCompressed<Fallback<S>>
where
    B: Send + 'static,
    S: Service<Request<B>, Response = Response<SB>, Error = Infallible> + Clone + Send + 'static,
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
        (&*self).call(request)
    }
}

/// The service by reference, as without a fallback.
impl<B, S, SB> Service<Request<B>> for &ServeCompressed<Fallback<S>>
where
    B: Send + 'static,
    S: Service<Request<B>, Response = Response<SB>, Error = Infallible> + Clone + Send + 'static,
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
        let missed = match self.replay(&request) {
            Ok(response) => return ResponseFuture::now(response),
            Err(missed) => missed,
        };
        let (site, connection) = (Arc::clone(&self.site), self.connection.clone());
        let over_tls = self.over_tls;
        let (service, status) = (self.fallback.service(), self.fallback.status());
        let (mut parts, body) = request.into_parts();
        let key = missed.into_key(&mut parts);
        ResponseFuture::later(async move {
            let falls_back = site.rules.other_methods_fall_back
                && respond::status_of_method(&parts.method).is_some();
            if !falls_back && let Some(reply) = reply(&site, connection.as_ref(), &parts, key).await
            {
                let how = Delivery::of(connection.as_ref(), over_tls, &parts);
                return Ok(error_pages::deliver(&site, how, reply).await);
            }
            let method = parts.method.clone();
            let request = Request::from_parts(parts, body);
            let response = fallback::call(service, status, request).await?;
            Ok(respond::without_body_for_head(&method, response))
        })
    }
}

impl<F> ServeCompressed<F> {
    /// The cached response to a request.
    fn replay<B>(&self, request: &Request<B>) -> Result<Response<Body>, Missed> {
        let (key, uses_dictionary) = self.key(request);
        let missed = |key| Missed { key, uses_dictionary };
        let key = key.ok_or(missed(None))?;
        let paths = RulePaths::of(request.uri().path());
        let replayed = replay::replay(&self.site, self.connection.as_ref(), request, &key);
        let deliver = |response| {
            respond::deliver(&self.site, self.over_tls, request.method(), paths, response)
        };
        replayed.map(deliver).ok_or_else(|| missed(Some(key.to_owned())))
    }

    /// Returns the key of the response to a request, if it may be cached, and whether the response may
    /// depend on the dictionary that the request offers.
    ///
    /// A dictionary that may not be used, or that nobody knows, is no part of the key: an invented digest
    /// leads to the response of a request without any.
    fn key<'a, B>(&self, request: &'a Request<B>) -> (Option<BorrowedKey<'a>>, bool) {
        let key = BorrowedKey::new(request);
        let offered = request.headers().get(AVAILABLE_DICTIONARY);
        let (Some(deltas), Some(dictionary)) = (&self.site.deltas, offered) else {
            return (key, false);
        };
        if !deltas.may_matter(self.over_tls, request.uri(), request.headers()) {
            return (key, false);
        }
        // It is not known yet whether the response is shared with an origin.
        let is_decided = readability(request.headers()) == Readability::Yes;
        let key = key.filter(|_| is_decided).map(|key| key.offering(dictionary.as_bytes()));
        (key, true)
    }

    /// Prepares a request that is answered from scratch.
    pub(super) fn missed<B>(&self, request: &Request<B>) -> Missed {
        let (key, uses_dictionary) = self.key(request);
        Missed { key: key.map(BorrowedKey::to_owned), uses_dictionary }
    }
}

/// A request that no cached response answers.
pub(super) struct Missed {
    /// The key to cache its response under.
    key: Option<RequestKey>,
    /// Whether the response may depend on the dictionary that the request offers. Decided once, for the
    /// key says the same.
    uses_dictionary: bool,
}

impl Missed {
    /// Marks the request if it may use its dictionary, and returns the key.
    pub(super) fn into_key(self, parts: &mut Parts) -> Option<RequestKey> {
        match self.uses_dictionary {
            true => drop(parts.extensions.insert(UsesDictionary)),
            // A service before this one may have marked it.
            false => drop(parts.extensions.remove::<UsesDictionary>()),
        }
        self.key
    }
}

/// Answers a request, and an error too; `None` if the path leads nowhere.
async fn reply(
    site: &Site,
    connection: Option<&Connection>,
    parts: &Parts,
    key: Option<RequestKey>,
) -> Option<Response<Body>> {
    let answer = answer::answer(site, connection, parts, key).await;
    answer.unwrap_or_else(|error| Some(respond::failed(site, &error)))
}
