//! A representation that is sent while it is produced.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::Chunks;
use crate::cache::Payload;
use crate::concurrency::progress::{Progress, Stage, Watch};
use crate::concurrency::thread_pool::ThreadPool;
use crate::error::{Error, ErrorKind, Failure};

/// What a production shares with those who read along.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    /// Where its bytes are.
    pub(crate) payload: Payload,
    /// Whether they lay in the cache already.
    pub(crate) stored: bool,
    /// Whether they lie in the cache now.
    pub(crate) kept: bool,
}

/// Reads a growing payload up to what is committed, as far as that is.
#[derive(Debug)]
pub(crate) struct GrowingBody {
    watch: Watch<Product, Failure>,
    chunks: Chunks,
    start: u64,
    sent: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// All of it was handed out, and the producer ended well.
    Whole,
    /// The producer, or the disk, failed.
    Aborted,
}

impl GrowingBody {
    pub(crate) fn new(
        progress: &Arc<Progress<Product, Failure>>,
        payload: Payload,
        threads: ThreadPool,
    ) -> Self {
        Self {
            watch: Watch::new(progress),
            chunks: Chunks::new(payload.file, threads),
            start: payload.start,
            sent: 0,
            state: State::Reading,
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        self.state == State::Whole
    }

    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if self.state != State::Reading {
            return Poll::Ready(None);
        }
        let sent = self.sent;
        let stage = ready!(self.watch.poll_until(cx, |stage| stage.available() > sent));
        let more = stage.available() - sent;
        let chunk = match stage {
            // What there is goes out before the end is told, whichever it is.
            _ if more > 0 => ready!(self.chunks.poll_read(cx, self.start + sent, more, false))
                .map(|chunk| chunk.bytes),
            Stage::Finished { .. } => {
                self.state = State::Whole;
                return Poll::Ready(None);
            }
            _ => Err(Error::new(ErrorKind::Aborted, "the encode that this body follows failed")),
        };
        match &chunk {
            Ok(chunk) => self.sent += chunk.len() as u64,
            Err(_) => self.state = State::Aborted,
        }
        Poll::Ready(Some(chunk))
    }
}
