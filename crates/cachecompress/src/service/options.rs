//! Overrides of the service's settings for one request.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::foresight::Foresight;
use crate::http::ContentCoding;

/// Overrides of the service's settings for one request, as a value in the request's extensions.
///
/// ```
/// use cachecompress::{RequestOptions, ContentCoding};
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
    pub(crate) original_length: Option<bool>,
    /// The notes of an explanation, for which nothing is encoded.
    pub(crate) foresight: Option<Arc<Foresight>>,
}

impl RequestOptions {
    /// Creates options that override nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers these codings only, in this order of preference.
    ///
    /// - An empty list offers identity only.
    /// - A coding without an encoder is left out.
    ///
    /// Default: the codings of [`Builder::preference`](crate::Builder::preference).
    pub fn codings(mut self, codings: impl IntoIterator<Item = ContentCoding>) -> Self {
        self.codings = Some(codings.into_iter().collect());
        self
    }

    /// Sends this field with the response, in place of a field of the same name.
    ///
    /// - It goes out with a 200 and a 206.
    /// - It goes out with a 304 only if it is `Cache-Control`, `Content-Location`, `Expires`,
    ///   `Last-Modified` or `Vary` (RFC 9110 §15.4.5).
    /// - `Vary` is added to the service's own.
    /// - `Content-Encoding`, `Content-Length`, `Content-Range`, `ETag` and `Transfer-Encoding`
    ///   follow from the representation and stay as they are.
    ///
    /// Default: no field.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets whether a 200 has `X-Original-Content-Length`, the decoded length in bytes.
    ///
    /// Default: as [`Builder::original_length`](crate::Builder::original_length) says.
    pub fn original_length(mut self, original_length: bool) -> Self {
        self.original_length = Some(original_length);
        self
    }
}
