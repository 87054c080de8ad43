//! The body of a representation that is still produced.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::chunks::Chunks;
use super::product::{Product, Production};
use crate::cache::Payload;
use crate::concurrency::progress::{Stage, Watch};
use crate::concurrency::thread_pool::ThreadPool;
use crate::error::{Error, ErrorKind, Failure};

/// Reads a growing payload as far as it is committed.
#[derive(Debug)]
pub(crate) struct GrowingBody {
    watch: Watch<Product, Failure>,
    chunks: Chunks,
    start: u64,
    sent: u64,
    end: Option<BodyEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyEnd {
    /// The whole payload was handed out, and the encode ended well.
    Whole,
    /// The encode, or the disk, failed.
    Aborted,
}

impl GrowingBody {
    pub(crate) fn new(progress: &Arc<Production>, payload: Payload, threads: ThreadPool) -> Self {
        Self {
            watch: Watch::new(progress),
            chunks: Chunks::new(payload.file, threads),
            start: payload.start,
            sent: 0,
            end: None,
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        self.end == Some(BodyEnd::Whole)
    }

    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        let sent = self.sent;
        let stage = ready!(self.watch.poll_until(cx, |stage| stage.available() > sent));
        let more = stage.available() - sent;
        let chunk = match stage {
            // Committed bytes go out before a good or bad end is reported.
            _ if more > 0 => ready!(self.chunks.poll_read(cx, self.start + sent, more, false))
                .map(|chunk| chunk.bytes),
            Stage::Finished { .. } => {
                self.end = Some(BodyEnd::Whole);
                return Poll::Ready(None);
            }
            _ => Err(Error::new(ErrorKind::Aborted, "the encode that this body follows failed")),
        };
        match &chunk {
            Ok(chunk) => self.sent += chunk.len() as u64,
            Err(_) => self.end = Some(BodyEnd::Aborted),
        }
        Poll::Ready(Some(chunk))
    }
}
