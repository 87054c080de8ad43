//! The body of several ranges of a representation, as `multipart/byteranges`.

use std::task::{Context, Poll, ready};
use std::vec;

use bytes::Bytes;

use super::chunks::changed;
use super::{Chunks, FileBody, Snapshot};
use crate::error::Error;
use crate::http::{ByteRange, Multipart};

/// The body of several ranges, each after its head.
#[derive(Debug)]
pub(crate) struct MultipartBody {
    /// The parts that have not begun: the head, and the length of the range.
    parts: vec::IntoIter<(Bytes, u64)>,
    end: Bytes,
    ranges: Ranges,
    /// The bytes of the current range that are left.
    left: u64,
    /// The bytes of the whole body that are left.
    remaining: u64,
    failed: bool,
}

/// The bytes of the ranges. No chunk has bytes of two.
#[derive(Debug)]
enum Ranges {
    Bytes(vec::IntoIter<Bytes>),
    File(FileBody),
}

impl MultipartBody {
    /// Creates the body of ranges that lie within `bytes`.
    pub(crate) fn of_bytes(multipart: &Multipart, bytes: &Bytes) -> Self {
        let bound = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let slices: Vec<_> = multipart
            .parts()
            .iter()
            .map(|(_, ByteRange { first, last })| bytes.slice(bound(*first)..bound(last + 1)))
            .collect();
        Self::new(multipart, Ranges::Bytes(slices.into_iter()))
    }

    /// Creates the body of ranges of a file. For `snapshot` see [`FileBody::new`].
    pub(crate) fn of_file(
        multipart: &Multipart,
        chunks: Chunks,
        snapshot: Option<Snapshot>,
    ) -> Self {
        let mut ranges = multipart.parts().iter().map(|(_, range)| range.first..range.last + 1);
        let first = ranges.next().unwrap_or_default();
        let file = FileBody::of_ranges(chunks, first, ranges.collect(), snapshot);
        Self::new(multipart, Ranges::File(file))
    }

    fn new(multipart: &Multipart, ranges: Ranges) -> Self {
        let parts: Vec<_> =
            multipart.parts().iter().map(|(head, range)| (head.clone(), range.len())).collect();
        Self {
            parts: parts.into_iter(),
            end: multipart.end().clone(),
            ranges,
            left: 0,
            remaining: multipart.len(),
            failed: false,
        }
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if self.remaining == 0 || self.failed {
            return Poll::Ready(None);
        }
        let chunk = if self.left > 0 {
            // Ranges that end early are those of another file.
            let next = ready!(self.ranges.poll_chunk(cx)).unwrap_or_else(|| Err(changed()));
            next.inspect(|chunk| self.left -= chunk.len() as u64)
        } else if let Some((head, len)) = self.parts.next() {
            self.left = len;
            Ok(head)
        } else {
            Ok(std::mem::take(&mut self.end))
        };
        match &chunk {
            Ok(chunk) => self.remaining -= chunk.len() as u64,
            Err(_) => self.failed = true,
        }
        Poll::Ready(Some(chunk))
    }
}

impl Ranges {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        match self {
            Self::Bytes(slices) => Poll::Ready(slices.next().map(Ok)),
            Self::File(file) => file.poll_chunk(cx),
        }
    }
}
