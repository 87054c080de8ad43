//! A cache of whole responses, which are replayed for up to a second.
//!
//! Its key holds every part of a request that the response depends on. Nearly every request equals
//! another one of the same second in these parts. Its response is then a copy: nothing is parsed,
//! negotiated, looked up or read again. A request with a range, a date, another condition or
//! overrides is always answered from scratch, and so is HEAD.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    RANGE,
};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Version};

use super::options::RequestOptions;
use crate::body::Served;
use crate::cache::Entry;
use crate::catalog::Held;
use crate::encode::Use;
use crate::http::WANT_REPR_DIGEST;
use crate::limits::{CACHED_RESPONSE_LIFETIME, CACHED_RESPONSE_OVERHEAD};

/// The cached responses of one site, in a room that is bounded in bytes and that other sites may share.
/// The least useful ones are evicted.
#[derive(Clone)]
pub(super) struct ResponseCache {
    responses: Option<Arc<Responses>>,
    /// The number of the site among those that share the room.
    site: u64,
}

type Responses = quick_cache::sync::Cache<OfSite<RequestKey>, Arc<CachedResponse>, ByLength>;

/// A key of one of the sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OfSite<K> {
    site: u64,
    key: K,
}

/// The parts of a request that its response may depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestKey {
    path: Box<str>,
    accept_encoding: Option<Box<[u8]>>,
    available_dictionary: Option<Box<[u8]>>,
    if_none_match: Option<Box<[u8]>>,
}

/// A [`RequestKey`] that borrows from its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BorrowedKey<'a> {
    path: &'a str,
    accept_encoding: Option<&'a [u8]>,
    /// The dictionary that the request offers, if it may be used.
    available_dictionary: Option<&'a [u8]>,
    if_none_match: Option<&'a [u8]>,
}

/// A response that may be replayed.
#[derive(Debug)]
pub(super) struct CachedResponse {
    /// The time at which it was made, in milliseconds of
    /// [`clock`](crate::concurrency::sync::clock).
    pub(super) made: u64,
    /// The resource that it represents.
    pub(super) held: Held,
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) served: Arc<Served>,
    pub(super) body: CachedBody,
    /// The counter of the responses with the same payload, if there is one.
    pub(super) used: Option<Arc<Use>>,
}

/// The body of a cached response.
#[derive(Clone, Debug)]
pub(super) enum CachedBody {
    Empty,
    /// The bytes that the resource holds itself.
    Resource,
    /// A payload, as long as it is kept in memory.
    Payload(Weak<Bytes>),
    /// A payload that is a part of the program.
    Ahead(Bytes),
    /// An entry's payload, as long as the entry is open.
    Entry(Weak<Entry>),
}

impl CachedBody {
    /// The payload, if it is in memory.
    pub(super) fn payload(&self) -> Option<Bytes> {
        match self {
            Self::Payload(bytes) => bytes.upgrade().map(|bytes| Bytes::clone(&bytes)),
            Self::Ahead(bytes) => Some(bytes.clone()),
            Self::Empty | Self::Resource | Self::Entry(_) => None,
        }
    }
}

impl ResponseCache {
    /// Creates a cache of at most `bytes` bytes for the site of this number; zero keeps nothing.
    pub(super) fn new(bytes: u64, site: u64) -> Self {
        let room = usize::try_from(bytes / CACHED_RESPONSE_OVERHEAD).unwrap_or(usize::MAX);
        let responses = || Arc::new(Responses::with_weighter(room, bytes, ByLength));
        Self { responses: (room > 0).then(responses), site }
    }

    /// Returns the cache of another site in the same room.
    pub(super) fn of_site(&self, site: u64) -> Self {
        Self { responses: self.responses.clone(), site }
    }

    /// Finds the response to a request of this key, if it is still valid at `now`, in milliseconds
    /// of [`clock`](crate::concurrency::sync::clock).
    pub(super) fn get(&self, key: &BorrowedKey<'_>, now: u64) -> Option<Arc<CachedResponse>> {
        let key = OfSite { site: self.site, key: *key };
        let cached = self.responses.as_ref()?.get(&key)?;
        let lifetime = CACHED_RESPONSE_LIFETIME.min(cached.held.fresh);
        let holds = now.saturating_sub(cached.made) < lifetime && cached.held.is_fresh(now);
        holds.then_some(cached)
    }

    pub(super) fn insert(&self, key: RequestKey, response: CachedResponse) {
        if let Some(responses) = &self.responses {
            responses.insert(OfSite { site: self.site, key }, Arc::new(response));
        }
    }
}

impl<'a> BorrowedKey<'a> {
    /// Builds the key of a request; `None` if its response may depend on anything else.
    pub(super) fn new<B>(request: &'a Request<B>) -> Option<Self> {
        if request.method() != Method::GET || request.version() < Version::HTTP_11 {
            return None;
        }
        if request.extensions().get::<RequestOptions>().is_some() {
            return None;
        }
        let path = request.uri().path();
        let mut key =
            Self { path, accept_encoding: None, available_dictionary: None, if_none_match: None };
        let mut dated = false;
        for (name, value) in request.headers() {
            if !may_matter(name) {
                continue;
            }
            let field = match name {
                name if name == ACCEPT_ENCODING => &mut key.accept_encoding,
                name if name == IF_NONE_MATCH => &mut key.if_none_match,
                name if name == IF_MODIFIED_SINCE => {
                    dated = true;
                    continue;
                }
                name if [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE].contains(name) => {
                    return None;
                }
                name if name == WANT_REPR_DIGEST => return None,
                _ => continue,
            };
            if field.replace(value.as_bytes()).is_some() {
                return None;
            }
        }
        // RFC 9110 §13.1.3: If-Modified-Since is ignored beside If-None-Match.
        (!dated || key.if_none_match.is_some()).then_some(key)
    }

    /// Adds the dictionary that the request offers. One that may not be used, or that nobody knows, leads to
    /// the response of a request without any.
    pub(super) fn offering(self, dictionary: &'a [u8]) -> Self {
        Self { available_dictionary: Some(dictionary), ..self }
    }

    pub(super) fn to_owned(self) -> RequestKey {
        RequestKey {
            path: self.path.into(),
            accept_encoding: self.accept_encoding.map(Into::into),
            available_dictionary: self.available_dictionary.map(Into::into),
            if_none_match: self.if_none_match.map(Into::into),
        }
    }
}

/// Whether `name` begins like one of the fields that a response depends on. Most fields do not, and
/// cost the comparison of one byte.
fn may_matter(name: &HeaderName) -> bool {
    matches!(name.as_str().as_bytes(), [b'a' | b'i' | b'r' | b'w', ..])
}

impl RequestKey {
    /// Whether the request has If-None-Match.
    pub(super) fn is_conditional(&self) -> bool {
        self.if_none_match.is_some()
    }

    fn borrowed(&self) -> BorrowedKey<'_> {
        BorrowedKey {
            path: &self.path,
            accept_encoding: self.accept_encoding.as_deref(),
            available_dictionary: self.available_dictionary.as_deref(),
            if_none_match: self.if_none_match.as_deref(),
        }
    }
}

impl Hash for RequestKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl quick_cache::Equivalent<OfSite<RequestKey>> for OfSite<BorrowedKey<'_>> {
    fn equivalent(&self, other: &OfSite<RequestKey>) -> bool {
        self.site == other.site && self.key == other.key.borrowed()
    }
}

#[derive(Clone, Debug)]
struct ByLength;

impl quick_cache::Weighter<OfSite<RequestKey>, Arc<CachedResponse>> for ByLength {
    fn weight(&self, OfSite { key, .. }: &OfSite<RequestKey>, _: &Arc<CachedResponse>) -> u64 {
        let fields = [
            key.accept_encoding.as_deref(),
            key.available_dictionary.as_deref(),
            key.if_none_match.as_deref(),
        ];
        let key = key.path.len() + fields.into_iter().flatten().map(<[u8]>::len).sum::<usize>();
        CACHED_RESPONSE_OVERHEAD + key as u64
    }
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.responses.as_ref().map_or(0, |responses| responses.len());
        f.debug_struct("ResponseCache").field("kept", &kept).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/a?b");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn key(fields: &[(&str, &str)]) -> Option<RequestKey> {
        BorrowedKey::new(&request(fields)).map(BorrowedKey::to_owned)
    }

    #[test]
    fn key_differs_only_in_fields_that_the_response_depends_on() {
        let plain = key(&[]).unwrap();
        assert_eq!(key(&[("user-agent", "x"), ("accept", "*/*")]).unwrap(), plain);
        let gzip = key(&[("accept-encoding", "gzip")]).unwrap();
        assert_ne!(gzip, plain);
        assert_ne!(key(&[("accept-encoding", "")]).unwrap(), plain);
        assert_ne!(key(&[("accept-encoding", "gzip"), ("if-none-match", "\"a\"")]).unwrap(), gzip);
        assert_eq!(
            key(&[("if-none-match", "\"a\""), ("if-modified-since", "yesterday")]),
            key(&[("if-none-match", "\"a\"")])
        );
    }

    #[test]
    fn request_with_a_range_a_date_or_overrides_has_no_key() {
        for fields in [
            &[("range", "bytes=0-")][..],
            &[("if-range", "\"a\"")],
            &[("if-match", "\"a\"")],
            &[("if-unmodified-since", "today")],
            &[("if-modified-since", "today")],
            &[("want-repr-digest", "sha-256=1")],
            &[("accept-encoding", "gzip"), ("accept-encoding", "br")],
            &[("if-none-match", "\"a\""), ("if-none-match", "\"b\"")],
        ] {
            assert_eq!(key(fields), None, "{fields:?}");
        }
        let mut request = request(&[]);
        assert!(BorrowedKey::new(&request).is_some());
        request.extensions_mut().insert(RequestOptions::new());
        assert!(BorrowedKey::new(&request).is_none());
        request.extensions_mut().clear();
        *request.method_mut() = Method::HEAD;
        assert!(BorrowedKey::new(&request).is_none());
        *request.method_mut() = Method::GET;
        *request.version_mut() = Version::HTTP_10;
        assert!(BorrowedKey::new(&request).is_none());
    }
}
