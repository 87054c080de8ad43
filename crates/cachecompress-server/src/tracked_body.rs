//! A body that keeps something until it is through.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

pin_project_lite::pin_project! {
    /// Passes a body on as it is, and drops what it keeps with it.
    pub(crate) struct Keeping<B, T> {
        #[pin]
        body: B,
        kept: Option<T>,
    }
}

impl<B, T> Keeping<B, T> {
    pub(crate) fn new(body: B, kept: Option<T>) -> Self {
        Self { body, kept }
    }
}

impl<B: Body, T> Body for Keeping<B, T> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
