//! Reading a file piece by piece without ever holding up the thread that polls.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use crate::concurrency::thread_pool::{Priority, ThreadPool};
use crate::error::{Error, ErrorKind};
use crate::fs::{DiskFile, Fingerprint};

/// The most that is read at a time, and so the most that one body holds in memory.
const CHUNK: u64 = 64 * 1024;

/// Reads chunks of one file: from the page cache at once, from the disk on an I/O thread.
#[derive(Debug)]
pub(crate) struct Chunks {
    file: Arc<dyn DiskFile>,
    threads: ThreadPool,
    pending: Option<oneshot::Receiver<Result<Chunk, Error>>>,
}

/// What was read at once.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// The file's state afterwards, if that was asked for.
    pub(crate) after: Option<Fingerprint>,
}

impl Chunks {
    pub(crate) fn new(file: Arc<dyn DiskFile>, threads: ThreadPool) -> Self {
        Self { file, threads, pending: None }
    }

    /// The file that is read, for whoever keeps it in use.
    pub(crate) fn file(&self) -> Arc<dyn std::fmt::Debug + Send + Sync> {
        Arc::<dyn DiskFile>::clone(&self.file)
    }

    /// Sees to it that the `len` bytes at `offset` are in memory, unless they `are_there`: reads
    /// them on an I/O thread, and lets them go.
    pub(crate) fn poll_load(
        &mut self,
        cx: &mut Context<'_>,
        offset: u64,
        len: u64,
        are_there: impl FnOnce() -> bool,
    ) -> Poll<()> {
        if self.pending.is_none() {
            if are_there() {
                return Poll::Ready(());
            }
            let (sender, receiver) = oneshot::channel();
            let file = Arc::clone(&self.file);
            let submitted = self.threads.submit(Priority::Foreground, true, move || {
                let mut at = offset;
                while at < offset + len {
                    let most = (offset + len - at).min(CHUNK);
                    let read = |buffer: &mut [u8], offset| file.read_at(buffer, offset);
                    match self::read(&*file, at, most, false, read) {
                        Ok(chunk) => at += chunk.bytes.len() as u64,
                        // Whoever sends it finds out.
                        Err(_) => break,
                    }
                }
                let _ = sender.send(Ok(Chunk { bytes: Bytes::new(), after: None }));
            });
            if !submitted {
                return Poll::Ready(());
            }
            self.pending = Some(receiver);
        }
        if let Some(receiver) = &mut self.pending {
            let _ = std::task::ready!(Pin::new(receiver).poll(cx));
        }
        self.pending = None;
        Poll::Ready(())
    }

    /// Reads at `offset` at least 1 and at most `most` bytes.
    ///
    /// With `look`, it also looks at the file after it read the last of `most`.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        offset: u64,
        most: u64,
        look: bool,
    ) -> Poll<Result<Chunk, Error>> {
        if self.pending.is_none() {
            let len = most.min(CHUNK);
            let look = look && len == most;
            let now = read(&*self.file, offset, len, look, |buffer, offset| {
                self.file.read_at_nowait(buffer, offset)
            });
            match now {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result.map_err(error)),
            }
            let (sender, receiver) = oneshot::channel();
            let file = Arc::clone(&self.file);
            let submitted = self.threads.submit(Priority::Foreground, true, move || {
                let result =
                    read(&*file, offset, len, look, |buffer, offset| file.read_at(buffer, offset));
                let _ = sender.send(result.map_err(error));
            });
            if !submitted {
                // No thread is to be had: rather wait here than break the body.
                let result = read(&*self.file, offset, len, look, |buffer, offset| {
                    self.file.read_at(buffer, offset)
                });
                return Poll::Ready(result.map_err(error));
            }
            self.pending = Some(receiver);
        }
        let Some(receiver) = &mut self.pending else { return Poll::Pending };
        let result = std::task::ready!(Pin::new(receiver).poll(cx));
        self.pending = None;
        Poll::Ready(result.unwrap_or_else(|_| Err(error(io::ErrorKind::BrokenPipe.into()))))
    }
}

fn read(
    file: &dyn DiskFile,
    offset: u64,
    len: u64,
    look: bool,
    read_at: impl Fn(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<Chunk> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let mut buffer = BytesMut::zeroed(len);
    let read = loop {
        match read_at(&mut buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => break read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    buffer.truncate(read);
    let after = match look && read == len {
        true => Some(file.stat()?.fingerprint),
        false => None,
    };
    Ok(Chunk { bytes: buffer.freeze(), after })
}

/// The error for bytes that are no longer what they were when the body began.
pub(super) fn changed() -> Error {
    Error::new(ErrorKind::SourceChanged, "a file changed while it was sent")
}

fn error(cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => changed(),
        _ => Error::new(ErrorKind::Io, "a file could not be read while it was sent")
            .with_cause(cause),
    }
}
