//! Answers that were given a moment ago, kept under all that they depended on.
//!
//! Nearly every request is like another one of the same second in everything that matters. Its
//! answer is then a copy: nothing is parsed, negotiated, looked up or read again. Whatever has
//! more to it (a range, a date, HEAD, overrides) is answered from scratch.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    RANGE,
};
use http::{Extensions, HeaderMap, HeaderName, Method, StatusCode, Uri, Version};

use super::options::RequestOptions;
use crate::body::Served;
use crate::cache::Entry;
use crate::representations::Held;

/// For how many milliseconds an answer is given again at most. Then it is made anew, which looks at
/// its entry, and notes that it is in use; and at what else its path might lead to, for which
/// nothing but its age tells that it is time.
const LIFETIME: u64 = 1000;
/// What an answer takes in memory beside its key, in bytes, more or less.
const OVERHEAD: u64 = 2048;

/// The answers, bounded in bytes; the least useful ones make room.
pub(super) struct Answers(Option<quick_cache::sync::Cache<Key, Arc<Answer>, ByLength>>);

/// All of a request that an answer may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked<'a> {
    path: &'a str,
    accept_encoding: Option<&'a [u8]>,
    if_none_match: Option<&'a [u8]>,
}

/// An answer that may be given again.
#[derive(Debug)]
pub(super) struct Answer {
    /// When it was made, in milliseconds of [`clock`](crate::concurrency::sync::clock).
    pub(super) made: u64,
    /// What it tells of.
    pub(super) resource: Held,
    pub(super) status: StatusCode,
    pub(super) head: HeaderMap,
    pub(super) served: Arc<Served>,
    pub(super) content: Content,
}

/// What is in an answer.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// No body.
    Nothing,
    /// The bytes that the resource has itself.
    Own,
    /// This payload, as long as it is kept in memory.
    Payload(Weak<Bytes>),
    /// This entry's payload, as long as it is open.
    Entry(Weak<Entry>),
}

impl Content {
    /// The payload, if it is one that is still kept.
    pub(super) fn payload(&self) -> Option<Bytes> {
        match self {
            Self::Payload(bytes) => bytes.upgrade().map(|bytes| Bytes::clone(&bytes)),
            Self::Nothing | Self::Own | Self::Entry(_) => None,
        }
    }
}

impl Answers {
    /// Answers of at most `bytes` bytes; none if that is zero.
    pub(super) fn new(bytes: u64) -> Self {
        let room = usize::try_from(bytes / OVERHEAD).unwrap_or(usize::MAX);
        Self((room > 0).then(|| quick_cache::sync::Cache::with_weighter(room, bytes, ByLength)))
    }

    /// The answer that was given to `asked`, if it still holds at `now`.
    pub(super) fn get(&self, asked: &Asked<'_>, now: u64) -> Option<Arc<Answer>> {
        let answer = self.0.as_ref()?.get(asked)?;
        let lifetime = LIFETIME.min(answer.resource.fresh);
        let holds = now.saturating_sub(answer.made) < lifetime && answer.resource.is_fresh(now);
        holds.then_some(answer)
    }

    /// Keeps an answer to `asked`.
    pub(super) fn keep(&self, asked: &Asked<'_>, answer: Answer) {
        if let Some(answers) = &self.0 {
            answers.insert(asked.into(), Arc::new(answer));
        }
    }
}

impl<'a> Asked<'a> {
    /// What was asked; `None` if the answer may depend on anything else.
    pub(super) fn new(
        method: &Method,
        uri: &'a Uri,
        version: Version,
        headers: &'a HeaderMap,
        extensions: &Extensions,
    ) -> Option<Self> {
        if method != Method::GET || version < Version::HTTP_11 {
            return None;
        }
        if extensions.get::<RequestOptions>().is_some() {
            return None;
        }
        let mut asked = Self { path: uri.path(), accept_encoding: None, if_none_match: None };
        let mut dated = false;
        for (name, value) in headers {
            if !may_matter(name) {
                continue;
            }
            let field = match name {
                name if name == ACCEPT_ENCODING => &mut asked.accept_encoding,
                name if name == IF_NONE_MATCH => &mut asked.if_none_match,
                name if name == IF_MODIFIED_SINCE => {
                    dated = true;
                    continue;
                }
                name if [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE].contains(name) => {
                    return None;
                }
                _ => continue,
            };
            if field.replace(value.as_bytes()).is_some() {
                return None;
            }
        }
        // RFC 9110 §13.1.3: beside If-None-Match it says nothing.
        (!dated || asked.if_none_match.is_some()).then_some(asked)
    }

    /// Whether it asks for no more than to know whether something has changed.
    pub(super) fn is_conditional(&self) -> bool {
        self.if_none_match.is_some()
    }
}

/// Whether `name` begins as one of those that an answer depends on: most do not, and are passed
/// over at the cost of a byte.
fn may_matter(name: &HeaderName) -> bool {
    matches!(name.as_str().as_bytes(), [b'a' | b'i' | b'r', ..])
}

/// As [`Asked`], on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    path: Box<str>,
    accept_encoding: Option<Box<[u8]>>,
    if_none_match: Option<Box<[u8]>>,
}

impl Key {
    fn as_asked(&self) -> Asked<'_> {
        Asked {
            path: &self.path,
            accept_encoding: self.accept_encoding.as_deref(),
            if_none_match: self.if_none_match.as_deref(),
        }
    }
}

impl From<&Asked<'_>> for Key {
    fn from(asked: &Asked<'_>) -> Self {
        Self {
            path: asked.path.into(),
            accept_encoding: asked.accept_encoding.map(Into::into),
            if_none_match: asked.if_none_match.map(Into::into),
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_asked().hash(state);
    }
}

impl quick_cache::Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.as_asked()
    }
}

#[derive(Clone, Debug)]
struct ByLength;

impl quick_cache::Weighter<Key, Arc<Answer>> for ByLength {
    fn weight(&self, key: &Key, _: &Arc<Answer>) -> u64 {
        let fields = [key.accept_encoding.as_deref(), key.if_none_match.as_deref()];
        let key = key.path.len() + fields.into_iter().flatten().map(<[u8]>::len).sum::<usize>();
        OVERHEAD + key as u64
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.0.as_ref().map_or(0, quick_cache::sync::Cache::len);
        f.debug_struct("Answers").field("kept", &kept).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(fields: &[(&str, &str)]) -> Option<Key> {
        let mut request = Request::builder().uri("/a?b");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        of(&parts)
    }

    fn of(parts: &http::request::Parts) -> Option<Key> {
        let http::request::Parts { method, uri, version, headers, extensions, .. } = parts;
        Asked::new(method, uri, *version, headers, extensions).map(|asked| Key::from(&asked))
    }

    #[test]
    fn what_answers_depend_on_tells_requests_apart_and_nothing_else_does() {
        let plain = asked(&[]).unwrap();
        assert_eq!(asked(&[("user-agent", "x"), ("accept", "*/*")]).unwrap(), plain);
        let gzip = asked(&[("accept-encoding", "gzip")]).unwrap();
        assert_ne!(gzip, plain);
        assert_ne!(asked(&[("accept-encoding", "")]).unwrap(), plain);
        assert_ne!(
            asked(&[("accept-encoding", "gzip"), ("if-none-match", "\"a\"")]).unwrap(),
            gzip
        );
        assert_eq!(
            asked(&[("if-none-match", "\"a\""), ("if-modified-since", "yesterday")]),
            asked(&[("if-none-match", "\"a\"")])
        );
    }

    #[test]
    fn what_has_more_to_it_is_answered_from_scratch() {
        for fields in [
            &[("range", "bytes=0-")][..],
            &[("if-range", "\"a\"")],
            &[("if-match", "\"a\"")],
            &[("if-unmodified-since", "today")],
            &[("if-modified-since", "today")],
            &[("accept-encoding", "gzip"), ("accept-encoding", "br")],
            &[("if-none-match", "\"a\""), ("if-none-match", "\"b\"")],
        ] {
            assert_eq!(asked(fields), None, "{fields:?}");
        }
        let mut parts = Request::new(()).into_parts().0;
        assert!(of(&parts).is_some());
        parts.extensions.insert(RequestOptions::new());
        assert!(of(&parts).is_none());
        parts.extensions.clear();
        parts.method = Method::HEAD;
        assert!(of(&parts).is_none());
        parts.method = Method::GET;
        parts.version = Version::HTTP_10;
        assert!(of(&parts).is_none());
    }
}
