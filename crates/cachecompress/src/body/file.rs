//! The body of a file whose length is known.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::Chunks;
use super::chunks::changed;
use crate::concurrency::sync::clock;
use crate::error::Error;
use crate::fs::Fingerprint;
use crate::http::{Digest, Hasher};
use crate::limits::SENDFILE_PIECE;
use crate::sendfile::{Connection, Mapping};

/// The body of a range of a file, or of several one after the other.
#[derive(Debug)]
pub(crate) struct FileBody {
    /// The connection and the mapping whose pieces go out unread. Dropped before the file, whose
    /// drop never waits where it must not.
    mapped: Option<(Connection, Arc<Mapping>)>,
    chunks: Chunks,
    start: u64,
    at: u64,
    end: u64,
    /// The ranges that follow, and their bytes.
    later: vec::IntoIter<Range<u64>>,
    later_len: u64,
    guard: Option<Box<Guard>>,
    /// Whether a piece was just given out, so that other connections come next.
    others_first: bool,
    failed: bool,
}

/// The state of a source's file when its body began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) fingerprint: Fingerprint,
    /// Whether an equal fingerprint means equal bytes. It does if the file had rested.
    pub(crate) vouches: bool,
    /// The digest that the validator names.
    pub(crate) digest: Option<Digest>,
}

/// Holds the last chunk back until the file is known to be unchanged.
struct Guard {
    snapshot: Snapshot,
    /// The checksum of the bytes sent of the current range.
    sent: Xxh3,
    /// The ranges before it, with their checksums.
    finished: Vec<(Range<u64>, u128)>,
    /// The last chunk, while the file is read a second time.
    held: Option<(Bytes, Rereading)>,
}

/// A second reading of the file, which must find the same bytes.
struct Rereading {
    at: u64,
    /// The length of the file when its body began.
    len: u64,
    /// The ranges that were sent, with their checksums, in the order of the file.
    sent: Vec<(Range<u64>, u128)>,
    /// The number of ranges that were found to be the same.
    same: usize,
    /// The checksum of the next range.
    found: Xxh3,
    is_other: bool,
    /// The digest of the file from its beginning, if the validator names one.
    digest: Option<Hasher>,
}

impl FileBody {
    /// Creates the body of the `len` bytes at offset `at`.
    ///
    /// With a `snapshot`, a file that is overwritten meanwhile ends as an abort and not as a
    /// mixture. The last chunk leaves if the file's fingerprint is the same as before. Otherwise
    /// it leaves if a second reading finds the same bytes, and the digest names them. A file that
    /// only grows (a log) passes the second reading.
    pub(crate) fn new(chunks: Chunks, at: u64, len: u64, snapshot: Option<Snapshot>) -> Self {
        Self::of_ranges(chunks, at..at + len, Vec::new(), snapshot)
    }

    /// Creates the body of the range `first` and of `later` ones. They share no byte; their order is
    /// any. No chunk has bytes of two ranges.
    ///
    /// A `snapshot` vouches for all of them, at the end of the last.
    pub(super) fn of_ranges(
        chunks: Chunks,
        first: Range<u64>,
        later: Vec<Range<u64>>,
        snapshot: Option<Snapshot>,
    ) -> Self {
        let guard = |snapshot| {
            let (sent, finished) = (Xxh3::new(), Vec::new());
            Box::new(Guard { snapshot, sent, finished, held: None })
        };
        Self {
            chunks,
            start: first.start,
            at: first.start,
            end: first.end,
            later_len: later.iter().map(|range| range.end - range.start).sum(),
            later: later.into_iter(),
            guard: snapshot.map(guard),
            mapped: None,
            others_first: false,
            failed: false,
        }
    }

    /// Sends from `mapping`, a mapping of the same file, as long as `connection` takes it.
    pub(crate) fn mapped(mut self, connection: &Connection, mapping: &Arc<Mapping>) -> Self {
        self.mapped = Some((connection.clone(), Arc::clone(mapping)));
        self
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.end - self.at + self.later_len
    }

    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if self.remaining() == 0 || self.failed {
            return Poll::Ready(None);
        }
        let chunk = ready!(self.poll_guarded(cx));
        match &chunk {
            Ok(chunk) => {
                self.at += chunk.len() as u64;
                if self.at == self.end {
                    self.begin_next_range();
                }
            }
            Err(_) => self.failed = true,
        }
        Poll::Ready(Some(chunk))
    }

    fn begin_next_range(&mut self) {
        let Some(next) = self.later.next() else { return };
        if let Some(guard) = &mut self.guard {
            let sent = std::mem::replace(&mut guard.sent, Xxh3::new());
            guard.finished.push((self.start..self.end, sent.digest128()));
        }
        self.later_len -= next.end - next.start;
        (self.start, self.at, self.end) = (next.start, next.start, next.end);
    }

    fn poll_guarded(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        if let Some((connection, mapping)) = &self.mapped {
            if std::mem::take(&mut self.others_first) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let (at, len) = (self.at, (self.end - self.at).min(SENDFILE_PIECE));
            ready!(self.chunks.poll_load(cx, at, len, || mapping.is_resident(at, len, clock())));
            if let Some(bytes) = connection.give_out(mapping, at, len, self.chunks.file()) {
                self.others_first = true;
                return Poll::Ready(Ok(bytes));
            }
        }
        let Some(guard) = &mut self.guard else {
            let chunk = ready!(self.chunks.poll_read(cx, self.at, self.end - self.at, false))?;
            return Poll::Ready(Ok(chunk.bytes));
        };
        if guard.held.is_none() {
            let is_last = self.later_len == 0;
            let chunk = ready!(self.chunks.poll_read(cx, self.at, self.end - self.at, is_last))?;
            guard.sent.update(&chunk.bytes);
            let Some(after) = chunk.after else { return Poll::Ready(Ok(chunk.bytes)) };
            let Snapshot { fingerprint, vouches, .. } = guard.snapshot;
            if after == fingerprint && vouches {
                return Poll::Ready(Ok(chunk.bytes));
            }
            if after.size < fingerprint.size {
                return Poll::Ready(Err(changed()));
            }
            let again = guard.reread(self.start..self.end);
            guard.held = Some((chunk.bytes, again));
        }
        let Some((_, again)) = &mut guard.held else { return Poll::Pending };
        let wanted = again.wanted();
        if !wanted.is_empty() {
            let len = wanted.end - wanted.start;
            let chunk = ready!(self.chunks.poll_read(cx, wanted.start, len, false))?;
            again.take(wanted.start, &chunk.bytes);
            // It reads one chunk at a time, so that other tasks of this thread get their turn.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(guard.release())
    }
}

impl Rereading {
    /// Returns the bytes that are still to be read: all of the file for its digest, else those of
    /// the ranges.
    fn wanted(&self) -> Range<u64> {
        if self.digest.is_some() {
            return self.at..self.len;
        }
        match self.sent.get(self.same).filter(|_| !self.is_other) {
            Some((range, _)) => self.at.max(range.start)..range.end,
            None => self.at..self.at,
        }
    }

    fn take(&mut self, at: u64, bytes: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.at = at + bytes.len() as u64;
        let within = |offset: u64| {
            let offset = offset.saturating_sub(at);
            usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len())
        };
        while let Some((range, sent)) = self.sent.get(self.same).filter(|_| !self.is_other) {
            self.found.update(&bytes[within(range.start)..within(range.end)]);
            if self.at < range.end {
                break;
            }
            self.is_other = self.found.digest128() != *sent;
            self.found = Xxh3::new();
            self.same += 1;
        }
    }
}

impl Guard {
    /// Begins the second reading, after the last range, which is `last`.
    fn reread(&mut self, last: Range<u64>) -> Rereading {
        let mut sent = std::mem::take(&mut self.finished);
        sent.push((last, self.sent.digest128()));
        sent.sort_unstable_by_key(|(range, _)| range.start);
        Rereading {
            at: 0,
            len: self.snapshot.fingerprint.size,
            sent,
            same: 0,
            found: Xxh3::new(),
            is_other: false,
            digest: self.snapshot.digest.map(|_| Hasher::new()),
        }
    }

    /// Returns the last chunk, if the second reading found the same bytes.
    fn release(&mut self) -> Result<Bytes, Error> {
        let (chunk, again) = self.held.take().ok_or_else(changed)?;
        let is_same = !again.is_other
            && again.same == again.sent.len()
            && again.digest.map(Hasher::finish) == self.snapshot.digest;
        if is_same { Ok(chunk) } else { Err(changed()) }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::concurrency::thread_pool::{Limits, ThreadPool};
    use crate::fs::{Disk as _, DiskFile, MemoryDisk};

    const LEN: u64 = 200_000;

    fn content() -> Vec<u8> {
        (0..LEN).map(|at| (at / 7 % 251) as u8).collect()
    }

    /// Reads `ranges`, and applies `change` to the file after the first chunk.
    fn read(
        ranges: &[Range<u64>],
        (vouches, named): (bool, bool),
        change: &dyn Fn(&dyn DiskFile),
    ) -> Result<Vec<u8>, Error> {
        let disk = MemoryDisk::new();
        disk.create_private_dir(Path::new("/d")).unwrap();
        let file = disk.create_unnamed(Path::new("/d")).unwrap();
        file.write_all_at(&content(), 0).unwrap();
        let fingerprint = file.stat().unwrap().fingerprint;
        let digest = named.then(|| Digest::of(&content()));
        let threads = ThreadPool::new("test", Limits { threads: 2, spare: 0, queue: 16 });
        let snapshot = Snapshot { fingerprint, vouches, digest };
        let chunks = Chunks::new(Arc::clone(&file), threads);
        let (first, later) = (ranges[0].clone(), ranges[1..].to_vec());
        let mut body = FileBody::of_ranges(chunks, first, later, Some(snapshot));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut sent = Vec::new();
            let len: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            assert_eq!(body.remaining(), len);
            while let Some(chunk) = std::future::poll_fn(|cx| body.poll_chunk(cx)).await {
                if sent.is_empty() {
                    change(&*file);
                }
                sent.extend_from_slice(&chunk?);
                assert_eq!(body.remaining(), len - sent.len() as u64);
            }
            Ok(sent)
        })
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "a case is a list of ranges")]
    fn body_aborts_when_the_file_changed_and_not_when_it_grew() {
        let append = |file: &dyn DiskFile| file.write_all_at(b"more", LEN).unwrap();
        let overwrite_sent = |file: &dyn DiskFile| {
            append(file);
            file.write_all_at(b"other", 50).unwrap();
        };
        let overwrite_ahead = |file: &dyn DiskFile| {
            append(file);
            file.write_all_at(b"other", LEN - 9).unwrap();
        };
        let cut = |file: &dyn DiskFile| file.set_len(LEN - 1).unwrap();
        let cut_and_grown = |file: &dyn DiskFile| {
            file.set_len(10).unwrap();
            file.write_all_at(b"x", LEN).unwrap();
        };
        let mut now = content();
        now[LEN as usize - 9..][..5].copy_from_slice(b"other");
        let cases: [&[Range<u64>]; 6] = [
            &[0..LEN],
            &[40..LEN],
            &[1..LEN - 1],
            &[40..1000, 150_000..LEN],
            &[0..100_000, 190_000..LEN, 120_000..130_000],
            &[50..51, 190_000..LEN, 49..50, 100_000..100_010, 0..1],
        ];
        for ranges in cases {
            let part = |bytes: &[u8]| {
                let slice = |range: &Range<u64>| &bytes[range.start as usize..range.end as usize];
                ranges.iter().map(slice).collect::<Vec<_>>().concat()
            };
            for vouches in [false, true] {
                for named in [false, true] {
                    let read = |change| read(ranges, (vouches, named), change).ok();
                    assert_eq!(read(&|_: &dyn DiskFile| {}), Some(part(&content())));
                    assert_eq!(read(&append), Some(part(&content())), "a log grows");
                    assert_eq!(read(&overwrite_sent), None);
                    // The file has the bytes that were sent, but its digest names others.
                    assert_eq!(read(&overwrite_ahead), (!named).then(|| part(&now)));
                    assert_eq!(read(&cut), None);
                    assert_eq!(read(&cut_and_grown), None);
                }
            }
        }
    }
}
