//! Response bodies.

mod chunks;
mod file;
mod growing;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

pub(crate) use chunks::Chunks;
pub(crate) use file::{FileBody, Snapshot};
pub(crate) use growing::{GrowingBody, Product, Production};

use crate::error::{Error, ErrorKind};
use crate::http::{CacheStatus, ContentCoding};
use crate::metrics::{Counters, Outcome};

/// The body of a response.
///
/// It yields data frames only. An end without an error means that the representation is whole;
/// anything that keeps it from being so is an error, on which a server must break the connection
/// or reset the stream, as hyper does.
#[must_use]
pub struct Body {
    content: Content,
    meter: Option<Meter>,
    served: Option<Arc<Served>>,
}

/// What was served; [`Body::served`] has it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Served {
    /// The coding of the representation.
    pub coding: ContentCoding,
    /// The same as in the `Cache-Status` field, whether that is sent or not.
    pub cache_status: Option<CacheStatus>,
    /// The length of the file behind it, in bytes.
    pub source_len: Option<u64>,
    /// How it was counted; redirects and `OPTIONS` are not.
    pub outcome: Option<Outcome>,
}

enum Content {
    Bytes(Bytes),
    File(FileBody),
    Growing(GrowingBody),
    Foreign(Foreign),
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Foreign = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// Counts what is sent.
struct Meter {
    counters: Arc<Counters>,
    /// The bytes of the source that the whole body stands for.
    source_len: u64,
}

impl Body {
    /// What the response that this is the body of was made of; `None` for those that the service
    /// did not make itself.
    ///
    /// It stands here, and not among the response's extensions, because those cost three
    /// allocations a response.
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

    /// Without its bytes.
    pub(crate) fn emptied(self) -> Self {
        Self { served: self.served, ..Self::empty() }
    }

    /// A body without bytes.
    pub fn empty() -> Self {
        Self::bytes(Bytes::new())
    }

    pub(crate) fn bytes(bytes: Bytes) -> Self {
        Content::Bytes(bytes).into()
    }

    pub(crate) fn file(file: FileBody) -> Self {
        Content::File(file).into()
    }

    pub(crate) fn growing(growing: GrowingBody) -> Self {
        Content::Growing(growing).into()
    }

    /// The body of a service that answers in our place.
    pub(crate) fn foreign<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = http_body_util::BodyExt::map_err(body, Into::into);
        Content::Foreign(Box::pin(body)).into()
    }

    pub(crate) fn metered(mut self, counters: &Arc<Counters>, source_len: u64) -> Self {
        self.meter = Some(Meter { counters: Arc::clone(counters), source_len });
        self
    }

    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.content {
            Content::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::File(file) => {
                file.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
            Content::Growing(growing) => {
                growing.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
            Content::Foreign(foreign) => foreign.as_mut().poll_frame(cx).map_err(|error| {
                Error::new(ErrorKind::Aborted, "the fallback's body failed").with_cause(error)
            }),
        }
    }
}

impl From<Content> for Body {
    fn from(content: Content) -> Self {
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
            Content::Bytes(bytes) => bytes.is_empty(),
            Content::File(file) => file.remaining() == 0,
            Content::Growing(growing) => growing.is_end(),
            Content::Foreign(foreign) => foreign.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::File(file) => SizeHint::with_exact(file.remaining()),
            Content::Growing(_) => SizeHint::default(),
            Content::Foreign(foreign) => foreign.size_hint(),
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
            Content::Bytes(_) => "bytes",
            Content::File(_) => "file",
            Content::Growing(_) => "growing",
            Content::Foreign(_) => "foreign",
        };
        f.debug_struct("Body").field("content", &kind).finish_non_exhaustive()
    }
}
