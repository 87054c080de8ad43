//! The body of a file whose length is known.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

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

/// The body of a range of a file.
#[derive(Debug)]
pub(crate) struct FileBody {
    chunks: Chunks,
    start: u64,
    at: u64,
    end: u64,
    guard: Option<Box<Guard>>,
    /// The connection and the mapping whose pieces go out unread.
    mapped: Option<(Connection, Arc<Mapping>)>,
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
    /// The checksum of the bytes sent.
    sent: Xxh3,
    /// The last chunk, while the file is read a second time.
    held: Option<(Bytes, Rereading)>,
}

/// A second reading of the file, which must find the same bytes.
struct Rereading {
    at: u64,
    end: u64,
    sent: Xxh3,
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
        let guard = |snapshot| Box::new(Guard { snapshot, sent: Xxh3::new(), held: None });
        Self {
            chunks,
            start: at,
            at,
            end: at + len,
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
        self.end - self.at
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
            Ok(chunk) => self.at += chunk.len() as u64,
            Err(_) => self.failed = true,
        }
        Poll::Ready(Some(chunk))
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
            let chunk = ready!(self.chunks.poll_read(cx, self.at, self.end - self.at, true))?;
            guard.sent.update(&chunk.bytes);
            let Some(after) = chunk.after else { return Poll::Ready(Ok(chunk.bytes)) };
            let Snapshot { fingerprint, vouches, digest } = guard.snapshot;
            if after == fingerprint && vouches {
                return Poll::Ready(Ok(chunk.bytes));
            }
            if after.size < fingerprint.size {
                return Poll::Ready(Err(changed()));
            }
            let (at, end) = match digest {
                Some(_) => (0, fingerprint.size),
                None => (self.start, self.end),
            };
            let again =
                Rereading { at, end, sent: Xxh3::new(), digest: digest.map(|_| Hasher::new()) };
            guard.held = Some((chunk.bytes, again));
        }
        let Some((_, again)) = &mut guard.held else { return Poll::Pending };
        if again.at < again.end {
            let chunk = ready!(self.chunks.poll_read(cx, again.at, again.end - again.at, false))?;
            again.take(&chunk.bytes, self.start..self.end);
            // It reads one chunk at a time, so that other tasks of this thread get their turn.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(guard.release())
    }
}

impl Rereading {
    fn take(&mut self, bytes: &[u8], sent: std::ops::Range<u64>) {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        let within = |at: u64| {
            let at = at.saturating_sub(self.at);
            usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len())
        };
        self.sent.update(&bytes[within(sent.start)..within(sent.end)]);
        self.at += bytes.len() as u64;
    }
}

impl Guard {
    /// Returns the last chunk, if the second reading found the same bytes.
    fn release(&mut self) -> Result<Bytes, Error> {
        let (chunk, again) = self.held.take().ok_or_else(changed)?;
        let is_same = again.sent.digest128() == self.sent.digest128()
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

    /// Reads the `len` bytes at `at`, and applies `change` to the file after the first chunk.
    fn read(
        at: u64,
        len: u64,
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
        let mut body =
            FileBody::new(Chunks::new(Arc::clone(&file), threads), at, len, Some(snapshot));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut sent = Vec::new();
            while let Some(chunk) = std::future::poll_fn(|cx| body.poll_chunk(cx)).await {
                if sent.is_empty() {
                    change(&*file);
                }
                sent.extend_from_slice(&chunk?);
            }
            Ok(sent)
        })
    }

    #[test]
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
        for (at, len) in [(0, LEN), (40, LEN - 40), (1, LEN - 2)] {
            let part = |bytes: &[u8]| bytes[at as usize..(at + len) as usize].to_vec();
            for vouches in [false, true] {
                for named in [false, true] {
                    let read = |change| read(at, len, (vouches, named), change).ok();
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
