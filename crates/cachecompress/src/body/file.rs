//! Bytes of a file whose length is known.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::Chunks;
use crate::error::Error;
use crate::fs::Fingerprint;

/// A stretch of a file.
#[derive(Debug)]
pub(crate) struct FileBody {
    chunks: Chunks,
    at: u64,
    end: u64,
    guard: Option<Fingerprint>,
    failed: bool,
}

impl FileBody {
    /// The `len` bytes at `at`.
    ///
    /// With a `guard`, the last chunk leaves only if the file is still in that state: a source
    /// that was overwritten meanwhile ends as an abort, not as a mixture.
    pub(crate) fn new(chunks: Chunks, at: u64, len: u64, guard: Option<Fingerprint>) -> Self {
        Self { chunks, at, end: at + len, guard, failed: false }
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.end - self.at
    }

    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if self.remaining() == 0 || self.failed {
            return Poll::Ready(None);
        }
        let chunk = ready!(self.chunks.poll_read(cx, self.at, self.remaining(), self.guard));
        match &chunk {
            Ok(chunk) => self.at += chunk.len() as u64,
            Err(_) => self.failed = true,
        }
        Poll::Ready(Some(chunk))
    }
}
