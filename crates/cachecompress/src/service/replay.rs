//! Replay of cached responses, and their storing.

use std::sync::Arc;

use http::{Request, Response, StatusCode};

use super::exchange::Exchange;
use super::respond::Answered;
use super::response_cache::{BorrowedKey, CachedBody, CachedResponse, RequestKey};
use super::site::{Site, connection_of};
use crate::body::Body;
use crate::concurrency::sync::clock;
use crate::sendfile::Connection;

/// Replays the response that is cached under `key`, if it is still valid.
pub(super) fn replay<B>(
    site: &Site,
    connection: Option<&Connection>,
    request: &Request<B>,
    key: &BorrowedKey<'_>,
) -> Option<Response<Body>> {
    let cached = site.response_cache.get(key, clock())?;
    let resource = &cached.held.resource;
    let body = match &cached.body {
        CachedBody::Empty => Body::empty(),
        CachedBody::Resource => Body::bytes(resource.bytes.clone()?),
        CachedBody::Payload(_) | CachedBody::Ahead(_) => Body::bytes(cached.body.payload()?),
        CachedBody::Entry(entry) => {
            let connection = connection_of(connection, request.version(), request.extensions());
            site.representations.stored_body(&*entry.upgrade()?, connection.as_ref())
        }
    };
    let counters = site.representations.counters();
    if let Some(outcome) = cached.served.outcome {
        counters.response(outcome, cached.served.cache_status);
    }
    if let Some(used) = &cached.used {
        used.hit();
    }
    let body = match &cached.body {
        CachedBody::Empty => body,
        _ => body.metered(counters, resource.len),
    };
    let mut response = Response::new(body.of(Arc::clone(&cached.served)));
    *response.status_mut() = cached.status;
    *response.headers_mut() = cached.fields.clone();
    Some(response)
}

/// Caches a response under `key`, if it may be replayed. One whose date is not told yet may not: the
/// date is due within the response's lifetime.
pub(super) fn remember(
    site: &Site,
    exchange: Exchange<'_>,
    key: Option<RequestKey>,
    answered: Answered,
) -> Response<Body> {
    let Answered { response, body, used } = answered;
    let resource = &exchange.resource;
    let is_dated = resource.last_modified_at(exchange.found) == resource.last_modified;
    if let Some(body) = body
        && is_dated
        && let Some(key) = key
        && (!key.is_conditional() || response.status() == StatusCode::NOT_MODIFIED)
        && let Some(served) = response.body().shared_served().cloned()
        && let Some(held) = site.representations.catalog().hold(resource, exchange.siblings)
    {
        let (status, fields) = (response.status(), response.headers().clone());
        let cached = CachedResponse { made: clock(), held, status, fields, served, body, used };
        site.response_cache.insert(key, cached);
    }
    response
}

#[cfg(all(test, feature = "brotli", feature = "gzip", feature = "zstd"))]
mod tests;
