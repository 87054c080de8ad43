//! The response made of a selected representation.

use std::sync::Arc;

use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::deltas;
use super::exchange::{Exchange, NAVIGATION, add_vary, default_fields, framing, overrides, vary};
use super::plan::{self, Plan};
use super::response_cache::CachedBody;
use super::site::Site;
use crate::body::{Body, Served};
use crate::encode::Use;
use crate::error::{Error, ErrorKind};
use crate::http::{
    CacheStatus, ContentCoding, Detail, Digest, EncoderId, EntityTag, Forward, REPR_DIGEST,
    RepresentationTags, content_range, http_date, unsatisfied_range, wants_repr_digest,
};
use crate::log;
use crate::metrics::Outcome;
use crate::representations::{Candidates, Coded, Identity, Made, RangeOf, Selected};
use crate::rules::headers::{ResponseKind, RulePaths};

pub(super) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const ORIGINAL_LENGTH: HeaderName = HeaderName::from_static("x-original-content-length");

/// The status of the response to a method other than GET and HEAD.
pub(super) fn status_of_method(method: &Method) -> Option<StatusCode> {
    match *method {
        Method::GET | Method::HEAD => None,
        Method::OPTIONS => Some(StatusCode::NO_CONTENT),
        _ => Some(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Counts and builds a response that needs no resource. An error has a short text for people as its
/// body. The fields are those that the status requires.
pub(super) fn refuse(site: &Site, status: StatusCode) -> Response<Body> {
    let mut response = match status.is_client_error() || status.is_server_error() {
        true => {
            site.representations.counters().response(Outcome::Error, None);
            short_text(site, status)
        }
        false => Response::new(Body::empty().of(Arc::new(served_nothing(None)))),
    };
    *response.status_mut() = status;
    let fields = response.headers_mut();
    match status {
        StatusCode::NO_CONTENT | StatusCode::METHOD_NOT_ALLOWED => {
            fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            fields.insert(CACHE_CONTROL, NO_CACHE);
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            fields.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

/// Builds an error with its name as a text for people.
fn short_text(site: &Site, status: StatusCode) -> Response<Body> {
    let text = format!("{status}\n");
    let mut response = brief(site, "text/plain; charset=utf-8", text, Some(Outcome::Error));
    *response.status_mut() = status;
    response
}

/// Builds a response with a short text for people.
pub(super) fn brief(
    site: &Site,
    media_type: &'static str,
    text: String,
    outcome: Option<Outcome>,
) -> Response<Body> {
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if site.rules.nosniff {
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    fields.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    let mut response =
        Response::new(Body::bytes(text.into()).of(Arc::new(served_nothing(outcome))));
    *response.headers_mut() = fields;
    response
}

fn served_nothing(outcome: Option<Outcome>) -> Served {
    Served { coding: ContentCoding::IDENTITY, cache_status: None, source_len: None, outcome }
}

/// Builds the response to an error. An error of the server is logged.
pub(super) fn failed(site: &Site, error: &Error) -> Response<Body> {
    let status = match error.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::Aborted | ErrorKind::Busy | ErrorKind::SourceChanged => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if status.is_server_error() {
        log::error!(%error, "a request could not be answered");
    }
    refuse(site, status)
}

/// 404 with a short text.
///
/// In SPA mode the choice between this and the page may depend on Accept, hence Vary.
pub(super) fn not_found(site: &Site, varies: bool) -> Response<Body> {
    let mut response = refuse(site, StatusCode::NOT_FOUND);
    if varies {
        response.headers_mut().insert(VARY, HeaderValue::from_static(NAVIGATION));
    }
    response
}

/// An error with a short text, as its page cannot be had in a coding that the client accepts. The error
/// itself is counted already.
fn without_page(site: &Site, exchange: &Exchange<'_>, status: StatusCode) -> Response<Body> {
    let mut response = short_text(site, status);
    response.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    add_vary(exchange, response.headers_mut());
    response
}

/// 503 for a resource of which no acceptable representation can be had now.
pub(super) fn unavailable(site: &Site, exchange: &Exchange<'_>) -> Response<Body> {
    if let Some(status) = exchange.page_of {
        return without_page(site, exchange, status);
    }
    let mut response = refuse(site, StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(VARY, vary(exchange));
    response
}

pub(super) fn not_acceptable(site: &Site, exchange: &Exchange<'_>) -> Response<Body> {
    if let Some(status) = exchange.page_of {
        return without_page(site, exchange, status);
    }
    let mut response = refuse(site, StatusCode::NOT_ACCEPTABLE);
    response.headers_mut().insert(VARY, vary(exchange));
    response
}

/// Drops the body of a response to HEAD and keeps GET's fields. Over HTTP/2, hyper would send a
/// body that is there.
pub(super) fn without_body_for_head(method: &Method, response: Response<Body>) -> Response<Body> {
    if method != Method::HEAD {
        return response;
    }
    let has_length = response.headers().contains_key(CONTENT_LENGTH);
    response.map(|body| body.emptied(has_length))
}

/// Finishes a response of the service's own: drops the body for HEAD and fields that are for TLS,
/// applies rules to a response without a file, and exposes its `Served`.
///
/// A response with a file has had the rules for its file by then, also if it is a copy.
pub(super) fn deliver(
    site: &Site,
    over_tls: bool,
    method: &Method,
    paths: RulePaths<'_>,
    response: Response<Body>,
) -> Response<Body> {
    let mut response = without_body_for_head(method, response);
    if response.body().served().is_none_or(|served| served.source_len.is_none()) {
        site.rules.headers.apply(ResponseKind::Other, paths, response.headers_mut());
    }
    if !over_tls {
        site.rules.headers.keep_plain(response.headers_mut());
    }
    if site.rules.exposes_served
        && let Some(served) = response.body().served().cloned()
    {
        response.extensions_mut().insert(served);
    }
    response
}

/// A response and the body to cache with it; `None` if it may not be replayed.
pub(super) struct Answered {
    pub(super) response: Response<Body>,
    pub(super) body: Option<CachedBody>,
    /// The counter of the responses with the same payload, if there is one.
    pub(super) used: Option<Arc<Use>>,
}

impl From<Response<Body>> for Answered {
    fn from(response: Response<Body>) -> Self {
        Self { response, body: None, used: None }
    }
}

/// Coding, validator, length and cache status of the selected representation.
struct Representation {
    coding: ContentCoding,
    tag: Option<EntityTag>,
    /// The digest of its bytes, if it is known. No coded bytes are hashed.
    digest: Option<Digest>,
    len: Option<u64>,
    cache_status: Option<CacheStatus>,
}

/// Responds with the selected representation; `None` if the resource has changed.
pub(super) async fn respond(
    site: &Site,
    exchange: &Exchange<'_>,
    selected: Selected,
    range: Option<&RangeOf>,
) -> Result<Option<Answered>, Error> {
    match selected {
        Selected::Coded(coded) => Ok(Some(respond_coded(site, exchange, &coded, range))),
        Selected::Identity { detail, is_best } => {
            let answered = respond_identity(site, exchange, detail, range).await?;
            // Identity as a second choice is not cached: the next request may get a coding.
            Ok(answered.map(|answered| Answered {
                body: answered.body.filter(|_| is_best && range.is_none()),
                ..answered
            }))
        }
        Selected::Unencoded(codec) => {
            let stored = CacheStatus::Forward(Forward::Stored);
            let name = (codec.coding.clone(), codec.id(exchange.resource.len));
            let representation = coded_representation(exchange, name, None, stored);
            Ok(Some(head_of(site, exchange, &representation, &Plan::Full).into()))
        }
        Selected::Stale => Ok(None),
        Selected::Unavailable => Ok(Some(Answered::from(match exchange.page_of {
            Some(status) => without_page(site, exchange, status),
            None => refuse(site, StatusCode::SERVICE_UNAVAILABLE),
        }))),
    }
}

fn respond_coded(
    site: &Site,
    exchange: &Exchange<'_>,
    coded: &Coded,
    range: Option<&RangeOf>,
) -> Answered {
    let representations = &site.representations;
    let name = (coded.coding.clone(), coded.id);
    let representation = coded_representation(exchange, name, coded.len, coded.status);
    // A second choice is not cached: the first choice may be there a moment later.
    let is_kept = range.is_none() && coded.is_best && exchange.is_remembered;
    let kept = match &coded.made {
        Made::Stored(entry) if is_kept => Some(match representations.short_payload(entry) {
            Some(bytes) => CachedBody::Payload(Arc::downgrade(&bytes)),
            None => CachedBody::Entry(Arc::downgrade(entry)),
        }),
        Made::Ahead(payload) if is_kept => Some(CachedBody::Ahead(payload.clone())),
        _ => None,
    };
    let plan = match coded.len {
        Some(len) => plan::fulfil(range, len, || framing(site, exchange)),
        None => Plan::Full,
    };
    let mut response = head_of(site, exchange, &representation, &plan);
    let mut used = None;
    if exchange.head.method == Method::GET {
        let connection = exchange.connection.as_ref();
        let (body, source_len) = match plan {
            Plan::Full => {
                used = representations.note_use(&exchange.resource, coded);
                let body = match kept.as_ref().and_then(CachedBody::payload) {
                    Some(bytes) => Body::bytes(bytes),
                    None => representations.coded_body(coded, None, connection),
                };
                (body, exchange.resource.len)
            }
            Plan::Partial(bytes, _) => {
                let part = Some((bytes.first, bytes.len()));
                (representations.coded_body(coded, part, connection), bytes.len())
            }
            Plan::Several(_) | Plan::RangeNotSatisfiable(_) => (Body::empty(), 0),
        };
        fill(&mut response, body.metered(representations.counters(), source_len));
    }
    Answered { response, body: kept, used }
}

/// Describes the representation in a coding, by the encoder of an id.
fn coded_representation(
    exchange: &Exchange<'_>,
    (coding, id): (ContentCoding, EncoderId),
    len: Option<u64>,
    cache_status: CacheStatus,
) -> Representation {
    let tags = exchange.resource.tags.as_ref();
    Representation {
        tag: tags.map(|tags| tags.coded(&coding, &id)),
        digest: None,
        coding,
        len,
        cache_status: Some(cache_status),
    }
}

async fn respond_identity(
    site: &Site,
    exchange: &Exchange<'_>,
    detail: Option<Detail>,
    range: Option<&RangeOf>,
) -> Result<Option<Answered>, Error> {
    let (resource, representations) = (&exchange.resource, &site.representations);
    let identity = match exchange.head.method == Method::GET {
        true => Some(representations.identity(resource).await?),
        false => None,
    };
    if matches!(identity, Some(Identity::Stale)) {
        return Ok(None);
    }
    let whole = identity.as_ref().map_or(resource.len, Identity::len);
    let representation = Representation {
        coding: exchange.only_coding().cloned().unwrap_or(ContentCoding::IDENTITY),
        tag: exchange.tags().map(RepresentationTags::identity),
        digest: resource.digest(),
        len: Some(whole),
        cache_status: detail
            .filter(|_| exchange.is_negotiable())
            .map(|detail| CacheStatus::Forward(Forward::Bypass(detail))),
    };
    let plan = plan::fulfil(range, whole, || framing(site, exchange));
    let mut response = head_of(site, exchange, &representation, &plan);
    let kept = match &identity {
        Some(Identity::Bytes(_)) if resource.bytes.is_some() => Some(CachedBody::Resource),
        Some(Identity::Bytes(_)) => {
            let kept = representations.identity_payload(resource);
            kept.map(|bytes| CachedBody::Payload(Arc::downgrade(&bytes)))
        }
        _ => None,
    };
    if let Some(identity) = identity {
        let connection = exchange.connection.as_ref();
        let (body, len) = match &plan {
            Plan::Full => (representations.identity_body(identity, 0, whole, connection), whole),
            Plan::Partial(bytes, _) => {
                let (at, len) = (bytes.first, bytes.len());
                (representations.identity_body(identity, at, len, connection), len)
            }
            Plan::Several(multipart) => {
                (representations.multipart_body(identity, multipart), multipart.content_len())
            }
            Plan::RangeNotSatisfiable(_) => (Body::empty(), 0),
        };
        fill(&mut response, body.metered(representations.counters(), len));
    }
    Ok(Some(Answered { response, body: kept, used: None }))
}

/// Builds the head of a 200, 206 or 416, or that of an error with a page.
fn head_of(
    site: &Site,
    exchange: &Exchange<'_>,
    representation: &Representation,
    plan: &Plan,
) -> Response<Body> {
    let (mut fields, status) = match *plan {
        Plan::Full => match exchange.page_of {
            Some(status) => error_fields(exchange, representation, status),
            None => full_fields(site, exchange, representation),
        },
        Plan::Partial(bytes, len) => {
            let mut fields = selected_fields(site, exchange, representation);
            fields.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            fields.insert(CONTENT_RANGE, content_range(bytes, len));
            (fields, StatusCode::PARTIAL_CONTENT)
        }
        Plan::Several(ref multipart) => {
            let mut fields = selected_fields(site, exchange, representation);
            fields.insert(CONTENT_LENGTH, HeaderValue::from(multipart.len()));
            (fields, StatusCode::PARTIAL_CONTENT)
        }
        Plan::RangeNotSatisfiable(len) => unsatisfied_fields(exchange, len),
    };
    if site.rules.nosniff {
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    add_cache_status(site, &mut fields, representation.cache_status);
    let kind = match plan {
        Plan::Full if exchange.page_of.is_some() => ResponseKind::Page,
        Plan::RangeNotSatisfiable(_) => ResponseKind::Other,
        _ => ResponseKind::File,
    };
    site.rules.headers.apply(kind, exchange.paths(), &mut fields);
    if status.is_success() {
        overrides(exchange, &mut fields, |_| true);
    }
    if let Plan::Several(multipart) = plan {
        fields.insert(CONTENT_TYPE, multipart.media_type().clone());
    }
    if status == StatusCode::OK {
        deltas::announce(site, exchange, &mut fields);
    }
    let outcome = outcome(status, representation.cache_status);
    finish(
        site,
        exchange,
        status,
        fields,
        representation.coding.clone(),
        representation.cache_status,
        outcome,
    )
}

fn full_fields(
    site: &Site,
    exchange: &Exchange<'_>,
    representation: &Representation,
) -> (HeaderMap, StatusCode) {
    let mut fields = selected_fields(site, exchange, representation);
    if let Some(len) = representation.len {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(len));
    }
    let chosen = exchange.options.and_then(|options| options.original_length);
    if chosen.unwrap_or(site.rules.original_length) {
        let len = match representation.coding.is_identity() {
            true => representation.len.unwrap_or(exchange.resource.len),
            false => exchange.resource.len,
        };
        fields.insert(ORIGINAL_LENGTH, HeaderValue::from(len));
    }
    (fields, StatusCode::OK)
}

/// Collects the fields of an error with a page. It has no validator, as it is no representation of the
/// target (RFC 9110 §8.8).
fn error_fields(
    exchange: &Exchange<'_>,
    representation: &Representation,
    status: StatusCode,
) -> (HeaderMap, StatusCode) {
    let mut fields = HeaderMap::new();
    fields.insert(CACHE_CONTROL, NO_CACHE);
    add_vary(exchange, &mut fields);
    add_content_fields(exchange, representation, &mut fields);
    if let Some(len) = representation.len {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(len));
    }
    (fields, status)
}

/// Collects the fields of a 416, which has none of those that are meant for the file's bytes.
fn unsatisfied_fields(exchange: &Exchange<'_>, len: u64) -> (HeaderMap, StatusCode) {
    let mut fields = HeaderMap::new();
    add_vary(exchange, &mut fields);
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    fields.insert(CONTENT_LENGTH, HeaderValue::from(0));
    fields.insert(CONTENT_RANGE, unsatisfied_range(len));
    (fields, StatusCode::RANGE_NOT_SATISFIABLE)
}

/// Collects the fields that a 200 and a 206 have in common.
fn selected_fields(
    site: &Site,
    exchange: &Exchange<'_>,
    representation: &Representation,
) -> HeaderMap {
    let mut fields = default_fields(site, exchange);
    add_content_fields(exchange, representation, &mut fields);
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(tag) = &representation.tag {
        fields.insert(ETAG, tag.to_header_value());
    }
    if let Some(modified) = exchange.resource.last_modified_at(exchange.found) {
        fields.insert(LAST_MODIFIED, http_date(modified));
    }
    // RFC 9530 §3.1: it is that of the whole representation, also in a 206.
    if let Some(digest) = representation.digest.filter(|_| wants_repr_digest(exchange.head.headers))
    {
        fields.insert(REPR_DIGEST, digest.repr_digest());
    }
    fields
}

fn add_content_fields(
    exchange: &Exchange<'_>,
    representation: &Representation,
    fields: &mut HeaderMap,
) {
    fields.insert(CONTENT_TYPE, exchange.media_type().clone());
    if !representation.coding.is_identity()
        && let Ok(coding) = HeaderValue::from_str(representation.coding.as_str())
    {
        fields.insert(CONTENT_ENCODING, coding);
    }
}

/// Builds a 304 (RFC 9110 §15.4.5) with the fields that a cache needs to update its stored
/// response.
pub(super) fn not_modified(
    site: &Site,
    exchange: &Exchange<'_>,
    tag: Option<EntityTag>,
    candidates: &Candidates,
) -> Answered {
    let resource = &exchange.resource;
    let tags = exchange.tags();
    let likely = || match site.representations.most_likely(resource, candidates, &exchange.adopted)
    {
        Some((coding, id)) => tags.map(|tags| tags.coded(&coding, &id)),
        None => tags.map(RepresentationTags::identity),
    };
    let tag = tag.or_else(likely);
    let mut fields = default_fields(site, exchange);
    if let Some(tag) = &tag {
        fields.insert(ETAG, tag.to_header_value());
    }
    if let Some(modified) = resource.last_modified_at(exchange.found) {
        fields.insert(LAST_MODIFIED, http_date(modified));
    }
    let status = exchange.is_negotiable().then_some(CacheStatus::Hit);
    add_cache_status(site, &mut fields, status);
    site.rules.headers.apply(ResponseKind::NotModified, exchange.paths(), &mut fields);
    let own = [CACHE_CONTROL, CONTENT_LOCATION, EXPIRES, LAST_MODIFIED, VARY];
    overrides(exchange, &mut fields, |name| own.contains(name));
    let named = tag.as_ref().zip(tags).and_then(|(tag, tags)| tags.recognise(tag));
    let coding = named.map_or(ContentCoding::IDENTITY, |named| named.coding);
    let outcome = Outcome::NotModified;
    let not_modified = StatusCode::NOT_MODIFIED;
    let response = finish(site, exchange, not_modified, fields, coding, status, outcome);
    Answered { response, body: Some(CachedBody::Empty), used: None }
}

fn add_cache_status(site: &Site, fields: &mut HeaderMap, cache_status: Option<CacheStatus>) {
    if let Some(cache_status) = cache_status.filter(|_| site.rules.cache_status) {
        fields.insert(CACHE_STATUS, cache_status.to_header_value());
    }
}

fn finish(
    site: &Site,
    exchange: &Exchange<'_>,
    status: StatusCode,
    fields: HeaderMap,
    coding: ContentCoding,
    cache_status: Option<CacheStatus>,
    outcome: Outcome,
) -> Response<Body> {
    // An error is counted before its page is looked for.
    if exchange.page_of.is_none() {
        site.representations.counters().response(outcome, cache_status);
    }
    let source_len = Some(exchange.resource.len);
    let served = Served { coding, cache_status, source_len, outcome: Some(outcome) };
    let mut response = Response::new(Body::empty().of(Arc::new(served)));
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

/// Replaces the empty body of `response` by `body`, which takes over its [`Served`].
fn fill(response: &mut Response<Body>, body: Body) {
    let served = response.body().shared_served().cloned();
    *response.body_mut() = match served {
        Some(served) => body.of(served),
        None => body,
    };
}

fn outcome(status: StatusCode, cache_status: Option<CacheStatus>) -> Outcome {
    if status.is_client_error() || status.is_server_error() {
        return Outcome::Error;
    }
    match cache_status {
        Some(CacheStatus::Hit | CacheStatus::Improved) => Outcome::Hit,
        Some(CacheStatus::Forward(Forward::Stored | Forward::Imported)) => Outcome::Miss,
        Some(CacheStatus::Forward(Forward::Collapsed)) => Outcome::Collapsed,
        Some(CacheStatus::Forward(Forward::Bypass(
            Detail::Identity | Detail::Range | Detail::Small | Detail::Unprofitable,
        )))
        | None => Outcome::Identity,
        Some(CacheStatus::Forward(Forward::Bypass(_))) => Outcome::Bypass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_is_bypass_only_when_a_wanted_coding_is_not_sent() {
        let bypass = |detail| Some(CacheStatus::Forward(Forward::Bypass(detail)));
        assert_eq!(outcome(StatusCode::OK, bypass(Detail::Patience)), Outcome::Bypass);
        assert_eq!(outcome(StatusCode::OK, bypass(Detail::Identity)), Outcome::Identity);
        assert_eq!(outcome(StatusCode::OK, None), Outcome::Identity);
        assert_eq!(outcome(StatusCode::OK, Some(CacheStatus::Hit)), Outcome::Hit);
        assert_eq!(
            outcome(StatusCode::RANGE_NOT_SATISFIABLE, Some(CacheStatus::Hit)),
            Outcome::Error
        );
    }
}
