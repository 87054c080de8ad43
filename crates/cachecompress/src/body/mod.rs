//! Response bodies.

mod chunks;
mod file;
mod growing;
mod multipart;
mod product;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

pub(crate) use chunks::Chunks;
pub(crate) use file::{FileBody, Snapshot};
pub(crate) use growing::GrowingBody;
pub(crate) use multipart::MultipartBody;
pub(crate) use product::{Product, Production};

use crate::error::{Error, ErrorKind};
use crate::http::{CacheStatus, ContentCoding};
use crate::metrics::{Counters, Outcome};

/// The body of a response, which yields the bytes of a representation.
///
/// - It yields data frames only. The body of a fallback may yield trailers, too.
/// - An end without an error means that the representation is whole.
/// - An error means that it is not. A server must then break the connection or reset the stream
///   (RFC 9112 §8, RFC 9113 §8.1), as hyper does.
/// - Its length is known from the start, unless it follows an encode under way or comes from a
///   fallback.
#[must_use]
pub struct Body {
    content: BodyContent,
    meter: Option<Meter>,
    served: Option<Arc<Served>>,
}

/// The facts about a response that [`Body::served`] returns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Served {
    /// The coding of the representation.
    pub coding: ContentCoding,
    /// The value of `Cache-Status` (RFC 9211), also if the field is not sent.
    pub cache_status: Option<CacheStatus>,
    /// The file's length in bytes.
    pub source_len: Option<u64>,
    /// The outcome as which it was counted; `None` for redirects and `OPTIONS`.
    pub outcome: Option<Outcome>,
}

enum BodyContent {
    Bytes(Bytes),
    File(FileBody),
    Growing(GrowingBody),
    Multipart(Box<MultipartBody>),
    Foreign(Foreign),
    /// No bytes, in place of a body of unknown length.
    Unsized,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Foreign = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// Counts the bytes of a body that are sent.
struct Meter {
    counters: Arc<Counters>,
    /// The bytes of the source that the whole body stands for.
    source_len: u64,
}

impl Body {
    /// Returns the facts about the response; `None` for a response that the service did not make
    /// itself.
    ///
    /// They stand here and not among the response's extensions, because those cost three
    /// allocations a response ([`Builder::served_extension`](crate::Builder::served_extension)).
    ///
    /// ```
    /// use cachecompress::{Body, Outcome};
    /// use http::Response;
    ///
    /// /// A layer around the service, as by `tower::ServiceExt::map_response`.
    /// fn log(response: Response<Body>) -> Response<Body> {
    ///     if let Some(served) = response.body().served() {
    ///         println!("{} as {}", served.outcome.map_or("", Outcome::as_str), served.coding);
    ///     }
    ///     response
    /// }
    /// ```
    #[must_use]
    pub fn served(&self) -> Option<&Served> {
        self.served.as_deref()
    }

    pub(crate) fn of(mut self, served: Arc<Served>) -> Self {
        self.served = Some(served);
        self
    }

    pub(crate) fn shared_served(&self) -> Option<&Arc<Served>> {
        self.served.as_ref()
    }

    /// Drops the bytes, for a response to HEAD. `has_length` says whether a field tells the length.
    ///
    /// If none does, the size is unknown: axum would send an exact 0 as the length of GET's body.
    pub(crate) fn emptied(self, has_length: bool) -> Self {
        let content = match has_length {
            true => BodyContent::Bytes(Bytes::new()),
            false => BodyContent::Unsized,
        };
        Self { content, meter: None, served: self.served }
    }

    /// Creates a body without bytes.
    pub fn empty() -> Self {
        Self::bytes(Bytes::new())
    }

    pub(crate) fn bytes(bytes: Bytes) -> Self {
        BodyContent::Bytes(bytes).into()
    }

    pub(crate) fn file(file: FileBody) -> Self {
        BodyContent::File(file).into()
    }

    pub(crate) fn growing(growing: GrowingBody) -> Self {
        BodyContent::Growing(growing).into()
    }

    pub(crate) fn multipart(multipart: MultipartBody) -> Self {
        BodyContent::Multipart(Box::new(multipart)).into()
    }

    /// Wraps the body of a fallback.
    pub(crate) fn foreign<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = http_body_util::BodyExt::map_err(body, Into::into);
        BodyContent::Foreign(Box::pin(body)).into()
    }

    pub(crate) fn metered(mut self, counters: &Arc<Counters>, source_len: u64) -> Self {
        self.meter = Some(Meter { counters: Arc::clone(counters), source_len });
        self
    }

    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.content {
            BodyContent::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            BodyContent::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            BodyContent::File(file) => {
                file.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
            BodyContent::Growing(growing) => {
                growing.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
            BodyContent::Multipart(multipart) => {
                multipart.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
            BodyContent::Unsized => Poll::Ready(None),
            BodyContent::Foreign(foreign) => foreign.as_mut().poll_frame(cx).map_err(|error| {
                Error::new(ErrorKind::Aborted, "the fallback's body failed").with_cause(error)
            }),
        }
    }
}

impl From<BodyContent> for Body {
    fn from(content: BodyContent) -> Self {
        Self { content, meter: None, served: None }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.poll_content(cx));
        if let (Some(meter), Some(Ok(frame))) = (&self.meter, &frame) {
            meter.counters.sent_bytes(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        if self.is_end_stream()
            && let Some(meter) = self.meter.take()
        {
            meter.counters.source_bytes(meter.source_len);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            BodyContent::Bytes(bytes) => bytes.is_empty(),
            BodyContent::File(file) => file.remaining() == 0,
            BodyContent::Growing(growing) => growing.is_end(),
            BodyContent::Multipart(multipart) => multipart.remaining() == 0,
            BodyContent::Unsized => true,
            BodyContent::Foreign(foreign) => foreign.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            BodyContent::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            BodyContent::File(file) => SizeHint::with_exact(file.remaining()),
            BodyContent::Multipart(multipart) => SizeHint::with_exact(multipart.remaining()),
            BodyContent::Growing(_) | BodyContent::Unsized => SizeHint::default(),
            BodyContent::Foreign(foreign) => foreign.size_hint(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.content {
            BodyContent::Bytes(_) => "bytes",
            BodyContent::File(_) => "file",
            BodyContent::Growing(_) => "growing",
            BodyContent::Multipart(_) => "multipart",
            BodyContent::Foreign(_) => "foreign",
            BodyContent::Unsized => "unsized",
        };
        f.debug_struct("Body").field("content", &kind).finish_non_exhaustive()
    }
}
