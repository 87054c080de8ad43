//! From a plan to a response.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, RANGE, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};

use super::ServeCompressed;
use super::headers::OWN;
use super::options::RequestOptions;
use super::plan::{self, Facts, Head, Intent, Plan, Selection};
use super::response_cache::{Asked, Content};
use crate::body::{Body, Served};
use crate::error::Error;
use crate::http::{
    AcceptEncoding, CacheStatus, Compressibility, ContentCoding, Detail, EntityTag, Forward,
    RangeSpec, content_range, http_date, unsatisfied_range,
};
use crate::metrics::Outcome;
use crate::representations::{
    Coded, Config, Identity, Likely, LoadError, Loaded, Resource, SMALLEST, Selected, Wish,
};
use crate::sendfile::Connection;

/// The fields that tell a navigation from other requests.
const NAVIGATION: &str = "Accept, Sec-Fetch-Mode";
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const ORIGINAL_LENGTH: HeaderName = HeaderName::from_static("x-original-content-length");

/// How often a file that changes under a request is looked at anew.
const TRIES: usize = 4;

/// The answers that need no resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Options,
    Redirect,
    BadRequest,
    Forbidden,
    NotFound,
    Method,
    NotAcceptable,
    PreconditionFailed,
    Internal,
    Busy,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Options => StatusCode::NO_CONTENT,
            Self::Redirect => StatusCode::PERMANENT_REDIRECT,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Refusal {
    fn outcome(self) -> Option<Outcome> {
        (!matches!(self, Self::Options | Self::Redirect)).then_some(Outcome::Error)
    }
}

/// A short text for those who look, and the fields that its status asks for.
fn refuse(refusal: Refusal, nosniff: bool) -> Response<Body> {
    let status = refusal.status();
    let error = status.is_client_error() || status.is_server_error();
    let text = if error { format!("{status}\n") } else { String::new() };
    let mut fields = HeaderMap::new();
    if error {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if nosniff {
            fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
    }
    if status != StatusCode::NO_CONTENT {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    }
    match refusal {
        Refusal::Options | Refusal::Method => {
            fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        }
        Refusal::Busy => {
            fields.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    let served = Served {
        coding: ContentCoding::IDENTITY,
        cache_status: None,
        source_len: None,
        outcome: refusal.outcome(),
    };
    let mut response = Response::new(Body::bytes(text.into()).of(Arc::new(served)));
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

/// The codings that may be chosen from for a source of `len` bytes, in the server's order.
fn offered(config: &Config, options: Option<&RequestOptions>, len: u64) -> Vec<ContentCoding> {
    let Config { codecs, preference, .. } = config;
    let chosen = options.and_then(|options| options.codings.as_deref());
    let known = |coding: &&ContentCoding| codecs.get(coding).is_some();
    let ordered = chosen.unwrap_or_else(|| preference.order(codecs, len));
    ordered.iter().filter(known).cloned().collect()
}

/// One request for one resource.
pub(super) struct Exchange<'a> {
    head: Head<'a>,
    options: Option<&'a RequestOptions>,
    connection: Option<Connection>,
    pub(super) resource: Arc<Resource>,
    /// What the answer may be given to again.
    pub(super) asked: Option<Asked<'a>>,
    /// Whether the path itself leads elsewhere, which the request's other fields decided.
    spa: bool,
}

impl Exchange<'_> {
    fn negotiable(&self) -> bool {
        self.resource.compressibility != Compressibility::Never
    }
}

/// A response, and what it takes to give it again.
pub(super) struct Answered {
    pub(super) response: Response<Body>,
    pub(super) again: Option<Content>,
}

impl From<Response<Body>> for Answered {
    fn from(response: Response<Body>) -> Self {
        Self { response, again: None }
    }
}

/// The validator and length of what was selected.
struct Representation {
    coding: ContentCoding,
    tag: Option<EntityTag>,
    len: Option<u64>,
    cache_status: Option<CacheStatus>,
}

impl<F> ServeCompressed<F> {
    /// The answer to a request for `resource`; `None` if there is no such file any more.
    pub(super) async fn respond(
        &self,
        parts: &Parts,
        resource: Arc<Resource>,
        asked: Option<Asked<'_>>,
        spa: bool,
    ) -> Result<Option<Response<Body>>, Error> {
        let head = Head { method: &parts.method, version: parts.version, headers: &parts.headers };
        let options = parts.extensions.get();
        let connection = self.connection_of(parts.version, &parts.extensions);
        let mut exchange = Exchange { head, options, connection, resource, asked, spa };
        for _ in 0..TRIES {
            if let Some(answered) = self.attempt(&exchange).await? {
                return Ok(Some(self.remember(&exchange, answered)));
            }
            let loaded = self.representations.load(&exchange.resource.path).await;
            match loaded.map_err(LoadError::into_error)? {
                Loaded::File(resource) => exchange.resource = resource,
                Loaded::Directory | Loaded::Nothing => return Ok(None),
            }
        }
        // Once may be a deployment; this often is a file that is being written. It goes out as
        // it is, without a name.
        exchange.resource = self.representations.distrust(&exchange.resource);
        Ok(self.attempt(&exchange).await?.map(|answered| answered.response))
    }

    /// The connection that a body may give out memory on: over HTTP/2, frames lie between.
    pub(super) fn connection_of(
        &self,
        version: Version,
        extensions: &Extensions,
    ) -> Option<Connection> {
        if version >= Version::HTTP_2 {
            return None;
        }
        self.connection.clone().or_else(|| Connection::of(extensions))
    }

    /// Answers, or finds that the resource is no longer what it was.
    async fn attempt(&self, exchange: &Exchange<'_>) -> Result<Option<Answered>, Error> {
        let Selection { wish, range, whole } = match self.intend(exchange) {
            Intent::NotModified(tag, wish) => {
                let response = self.not_modified(exchange, tag, &wish);
                return Ok(Some(Answered { response, again: Some(Content::Nothing) }));
            }
            Intent::PreconditionFailed => {
                return Ok(Some(self.refused(Refusal::PreconditionFailed).into()));
            }
            Intent::NotAcceptable => return Ok(Some(self.not_acceptable(exchange).into())),
            Intent::Select(selection) => selection,
        };
        match self.representations.select(&exchange.resource, &wish).await {
            Selected::Unavailable if range.is_some() => {
                // What the range is of is not there: all of what else will do.
                let selected = self.representations.select(&exchange.resource, &whole).await;
                self.send(exchange, selected, None, &whole).await
            }
            selected => self.send(exchange, selected, range, &wish).await,
        }
    }

    /// What a large file of which nothing is known yet will most likely be encoded by, if it is
    /// encoded at all. Few look-ups come to one, so that little is done before.
    pub(super) fn likely(&self, parts: &Parts) -> Option<Likely> {
        let mut lines = parts.headers.get_all(ACCEPT_ENCODING).iter();
        let (Some(accept), None) = (lines.next(), lines.next()) else { return None };
        // Who asks for a part or names what he has most likely gets nothing encoded.
        let others = [RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE];
        if parts.method != Method::GET || others.iter().any(|name| parts.headers.contains_key(name))
        {
            return None;
        }
        let (accept, options) = (accept.clone(), parts.extensions.get::<RequestOptions>().cloned());
        let representations = self.representations.clone();
        Some(Box::new(move || {
            let config = representations.config();
            let offered = offered(config, options.as_ref(), u64::MAX);
            let accept = AcceptEncoding::parse(std::iter::once(accept.as_bytes()));
            let codings = accept.negotiate(&offered).codings;
            codings.first().and_then(|coding| config.codecs.get(coding)).cloned()
        }))
    }

    /// What the request comes to.
    fn intend(&self, exchange: &Exchange<'_>) -> Intent {
        let resource = &exchange.resource;
        let config = self.representations.config();
        let large = exchange.negotiable() && self.representations.is_too_large(resource);
        let codings = match large {
            true => Vec::new(),
            false => offered(config, exchange.options, resource.len),
        };
        let facts = Facts {
            tags: resource.tags.as_ref(),
            last_modified: resource.last_modified,
            negotiable: exchange.negotiable(),
            small: resource.len < SMALLEST,
            large,
            codings: &codings,
            current: &|coding| config.codecs.get(coding).map(|codec| codec.id),
            now: SystemTime::now(),
        };
        plan::intend(exchange.head, &facts)
    }

    async fn send(
        &self,
        exchange: &Exchange<'_>,
        selected: Selected,
        range: Option<RangeSpec>,
        wish: &Wish,
    ) -> Result<Option<Answered>, Error> {
        match selected {
            Selected::Coded(coded) => {
                // Another than the best is what there is now, not what there will be.
                let is_best = wish.codings.first() == Some(&coded.codec.coding);
                let content = match (&coded.entry, range) {
                    (Some(entry), None) if is_best => self.content(exchange, entry),
                    _ => None,
                };
                Ok(Some(self.send_coded(exchange, &coded, content, range)))
            }
            Selected::Identity(detail) => {
                let is_best = wish.codings.is_empty();
                let answered = self.send_identity(exchange, detail, range).await?;
                Ok(answered.map(|answered| Answered {
                    again: answered.again.filter(|_| is_best && range.is_none()),
                    ..answered
                }))
            }
            Selected::Stale => Ok(None),
            Selected::Unavailable => Ok(Some(self.refused(Refusal::Busy).into())),
        }
    }

    fn send_coded(
        &self,
        exchange: &Exchange<'_>,
        coded: &Coded,
        content: Option<Content>,
        range: Option<RangeSpec>,
    ) -> Answered {
        let coding = &coded.codec.coding;
        let tags = exchange.resource.tags.as_ref();
        let representation = Representation {
            coding: coding.clone(),
            tag: tags.map(|tags| tags.coded(coding, &coded.codec.id)),
            len: coded.len,
            cache_status: Some(coded.status),
        };
        let plan = plan::fulfil(range, coded.len);
        let mut response = self.head_of(exchange, &representation, plan);
        if exchange.head.method == Method::GET {
            let counters = self.representations.counters();
            let connection = exchange.connection.as_ref();
            let (body, source_len) = match plan {
                Plan::Full => {
                    let body = match content.as_ref().and_then(Content::payload) {
                        Some(bytes) => Body::bytes(bytes),
                        None => self.representations.coded_body(coded, None, connection),
                    };
                    (body, exchange.resource.len)
                }
                Plan::Partial(bytes, _) => {
                    let part = Some((bytes.first, bytes.len()));
                    (self.representations.coded_body(coded, part, connection), bytes.len())
                }
                Plan::RangeNotSatisfiable(_) => (Body::empty(), 0),
            };
            fill(&mut response, body.metered(counters, source_len));
        }
        Answered { response, again: content }
    }

    async fn send_identity(
        &self,
        exchange: &Exchange<'_>,
        detail: Option<Detail>,
        range: Option<RangeSpec>,
    ) -> Result<Option<Answered>, Error> {
        let resource = &exchange.resource;
        let identity = match exchange.head.method == Method::GET {
            true => Some(self.representations.identity(resource).await?),
            false => None,
        };
        if matches!(identity, Some(Identity::Stale)) {
            return Ok(None);
        }
        let whole = identity.as_ref().map_or(resource.len, Identity::len);
        let representation = Representation {
            coding: ContentCoding::IDENTITY,
            tag: resource.tags.as_ref().map(crate::http::RepresentationTags::identity),
            len: Some(whole),
            cache_status: detail
                .filter(|_| exchange.negotiable())
                .map(|detail| CacheStatus::Forward(Forward::Bypass(detail))),
        };
        let plan = plan::fulfil(range, Some(whole));
        let mut response = self.head_of(exchange, &representation, plan);
        let (at, len) = match plan {
            Plan::Full => (0, whole),
            Plan::Partial(bytes, _) => (bytes.first, bytes.len()),
            Plan::RangeNotSatisfiable(_) => (0, 0),
        };
        let again = match &identity {
            Some(Identity::Bytes(_)) if resource.own_bytes().is_some() => Some(Content::Own),
            Some(Identity::Bytes(_)) => {
                let kept = self.representations.identity_payload(resource);
                kept.map(|bytes| Content::Payload(Arc::downgrade(&bytes)))
            }
            _ => None,
        };
        if let Some(identity) = identity {
            let connection = exchange.connection.as_ref();
            let body = self.representations.identity_body(identity, at, len, connection);
            fill(&mut response, body.metered(self.representations.counters(), len));
        }
        Ok(Some(Answered { response, again }))
    }

    /// Status and fields of a 200, 206 or 416.
    fn head_of(
        &self,
        exchange: &Exchange<'_>,
        representation: &Representation,
        plan: Plan,
    ) -> Response<Body> {
        let resource = &exchange.resource;
        let mut fields = self.fields(exchange);
        if !fields.contains_key(CONTENT_TYPE) {
            fields.insert(CONTENT_TYPE, resource.media_type.clone());
        }
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if self.settings.nosniff {
            fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if let Some(tag) = &representation.tag {
            fields.insert(ETAG, tag.to_header_value());
        }
        if let Some(modified) = resource.last_modified {
            fields.insert(LAST_MODIFIED, http_date(modified));
        }
        if !representation.coding.is_identity()
            && let Ok(coding) = HeaderValue::from_str(representation.coding.as_str())
        {
            fields.insert(CONTENT_ENCODING, coding);
        }
        let status = match plan {
            Plan::Full => {
                if let Some(len) = representation.len {
                    fields.insert(CONTENT_LENGTH, HeaderValue::from(len));
                }
                if self.settings.original_length {
                    let len = match representation.coding.is_identity() {
                        true => representation.len.unwrap_or(resource.len),
                        false => resource.len,
                    };
                    fields.insert(ORIGINAL_LENGTH, HeaderValue::from(len));
                }
                StatusCode::OK
            }
            Plan::Partial(bytes, len) => {
                fields.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
                fields.insert(CONTENT_RANGE, content_range(bytes, len));
                StatusCode::PARTIAL_CONTENT
            }
            Plan::RangeNotSatisfiable(len) => {
                for name in [CONTENT_TYPE, CONTENT_ENCODING, LAST_MODIFIED, ETAG] {
                    fields.remove(name);
                }
                fields.insert(CONTENT_LENGTH, HeaderValue::from(0));
                fields.insert(CONTENT_RANGE, unsatisfied_range(len));
                StatusCode::RANGE_NOT_SATISFIABLE
            }
        };
        self.overrides(exchange, &mut fields);
        let outcome = outcome(status, representation.cache_status);
        self.finish(
            exchange,
            status,
            fields,
            representation.coding.clone(),
            representation.cache_status,
            outcome,
        )
    }

    /// 304, RFC 9110 §15.4.5: the fields that a cache needs to update what it has.
    fn not_modified(
        &self,
        exchange: &Exchange<'_>,
        tag: Option<EntityTag>,
        wish: &Wish,
    ) -> Response<Body> {
        let resource = &exchange.resource;
        let tags = resource.tags.as_ref();
        let likely = || match self.representations.likely(resource, wish) {
            Some(codec) => tags.map(|tags| tags.coded(&codec.coding, &codec.id)),
            None => tags.map(crate::http::RepresentationTags::identity),
        };
        let tag = tag.or_else(likely);
        let mut fields = self.fields(exchange);
        if let Some(tag) = &tag {
            fields.insert(ETAG, tag.to_header_value());
        }
        if let Some(modified) = resource.last_modified {
            fields.insert(LAST_MODIFIED, http_date(modified));
        }
        self.overrides(exchange, &mut fields);
        let mut kept = HeaderMap::new();
        for name in [CACHE_CONTROL, CONTENT_LOCATION, ETAG, EXPIRES, LAST_MODIFIED, VARY] {
            for value in fields.get_all(&name) {
                kept.append(&name, value.clone());
            }
        }
        let named = tag.as_ref().zip(tags).and_then(|(tag, tags)| tags.recognise(tag));
        let coding = named.map_or(ContentCoding::IDENTITY, |named| named.coding);
        let status = exchange.negotiable().then_some(CacheStatus::Hit);
        let outcome = Outcome::NotModified;
        self.finish(exchange, StatusCode::NOT_MODIFIED, kept, coding, status, outcome)
    }

    /// Counts and gives an answer that needs no resource.
    pub(super) fn refused(&self, refusal: Refusal) -> Response<Body> {
        if let Some(outcome) = refusal.outcome() {
            self.representations.counters().request(outcome);
        }
        refuse(refusal, self.settings.nosniff)
    }

    /// 404; which of a page and this it is hangs on the request's fields, where the index
    /// answers navigations.
    pub(super) fn not_found(&self) -> Response<Body> {
        let mut response = self.refused(Refusal::NotFound);
        if self.settings.spa {
            response.headers_mut().insert(VARY, HeaderValue::from_static(NAVIGATION));
        }
        response
    }

    fn not_acceptable(&self, exchange: &Exchange<'_>) -> Response<Body> {
        let mut response = self.refused(Refusal::NotAcceptable);
        response.headers_mut().insert(VARY, vary(exchange.spa));
        response
    }

    fn finish(
        &self,
        exchange: &Exchange<'_>,
        status: StatusCode,
        mut fields: HeaderMap,
        coding: ContentCoding,
        cache_status: Option<CacheStatus>,
        outcome: Outcome,
    ) -> Response<Body> {
        if let Some(cache_status) = cache_status.filter(|_| self.settings.cache_status) {
            fields.insert(CACHE_STATUS, cache_status.to_header_value());
        }
        self.representations.counters().request(outcome);
        let source_len = Some(exchange.resource.len);
        let served = Served { coding, cache_status, source_len, outcome: Some(outcome) };
        let mut response = Response::new(Body::empty().of(Arc::new(served)));
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        response
    }

    /// The fields that go with the resource's path, and Vary: the one place where it is made.
    fn fields(&self, exchange: &Exchange<'_>) -> HeaderMap {
        let mut fields = self.settings.headers.fields(&exchange.resource.path);
        if exchange.negotiable() {
            fields.append(VARY, vary(exchange.spa));
        } else if exchange.spa {
            fields.append(VARY, HeaderValue::from_static(NAVIGATION));
        }
        fields
    }

    fn overrides(&self, exchange: &Exchange<'_>, fields: &mut HeaderMap) {
        let Some(options) = exchange.options else { return };
        for (name, value) in options.headers.iter().filter(|(name, _)| !OWN.contains(name)) {
            if name == VARY {
                fields.append(name, value.clone());
            } else {
                fields.insert(name, value.clone());
            }
        }
    }
}

/// Gives `response` its body, which tells of it what the one before did.
fn fill(response: &mut Response<Body>, body: Body) {
    let served = response.body().shared_served().cloned();
    *response.body_mut() = match served {
        Some(served) => body.of(served),
        None => body,
    };
}

fn vary(spa: bool) -> HeaderValue {
    HeaderValue::from_static(if spa {
        "Accept-Encoding, Accept, Sec-Fetch-Mode"
    } else {
        "Accept-Encoding"
    })
}

fn outcome(status: StatusCode, cache_status: Option<CacheStatus>) -> Outcome {
    if status.is_client_error() {
        return Outcome::Error;
    }
    match cache_status {
        Some(CacheStatus::Hit) => Outcome::Hit,
        Some(CacheStatus::Forward(Forward::Stored)) => Outcome::Miss,
        Some(CacheStatus::Forward(Forward::Collapsed)) => Outcome::Collapsed,
        Some(CacheStatus::Forward(Forward::Bypass(
            Detail::Identity | Detail::Small | Detail::Unprofitable,
        )))
        | None => Outcome::Identity,
        Some(CacheStatus::Forward(Forward::Bypass(_))) => Outcome::Bypass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_cache_kept_from_its_client_counts_as_bypass() {
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
