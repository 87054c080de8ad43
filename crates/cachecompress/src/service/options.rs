//! What one request, or its handler, may override.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::http::ContentCoding;

/// Overrides for one request: put it into the request's extensions.
///
/// ```
/// use cachecompress::{RequestOptions, semantics::ContentCoding};
///
/// let mut request = http::Request::new(());
/// let options = RequestOptions::new()
///     .codings([ContentCoding::GZIP])
///     .header(http::header::CACHE_CONTROL, http::HeaderValue::from_static("private"));
/// request.extensions_mut().insert(options);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RequestOptions {
    pub(crate) codings: Option<Vec<ContentCoding>>,
    pub(crate) headers: HeaderMap,
}

impl RequestOptions {
    /// Overrides nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers these codings only, in this order of preference; none: identity only.
    pub fn codings(mut self, codings: impl IntoIterator<Item = ContentCoding>) -> Self {
        self.codings = Some(codings.into_iter().collect());
        self
    }

    /// Sends this field with a 200, 206 or (if it is one that belongs there) 304, in place of
    /// one of the same name; but for those that follow from the representation: Content-Encoding,
    /// Content-Length, Content-Range, ETag and Transfer-Encoding stay as they are.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}
