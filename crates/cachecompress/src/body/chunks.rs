//! Reads of a file, chunk by chunk, that do not block the polling thread.

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
use crate::limits::READ_CHUNK;

/// Reads chunks of one file: from the page cache at once, from the disk on a reader thread.
#[derive(Debug)]
pub(crate) struct Chunks {
    file: Arc<dyn DiskFile>,
    threads: ThreadPool,
    pending: Option<oneshot::Receiver<Result<Chunk, Error>>>,
}

/// The bytes of one read.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// The file's state after the read, if the caller asked for it.
    pub(crate) after: Option<Fingerprint>,
}

impl Chunks {
    pub(crate) fn new(file: Arc<dyn DiskFile>, threads: ThreadPool) -> Self {
        Self { file, threads, pending: None }
    }

    /// A handle that keeps the file open.
    pub(crate) fn file(&self) -> Arc<dyn std::fmt::Debug + Send + Sync> {
        Arc::<dyn DiskFile>::clone(&self.file)
    }

    /// Brings the `len` bytes at `offset` into the page cache, unless they `are_there`. A reader
    /// thread reads them.
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
                    let most = (offset + len - at).min(READ_CHUNK);
                    let read = |buffer: &mut [u8], offset| file.read_at(buffer, offset);
                    match self::read(&*file, at, most, false, read) {
                        Ok(chunk) => at += chunk.bytes.len() as u64,
                        // The send meets the error again.
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

    /// Reads at least 1 and at most `most` bytes at `offset`.
    ///
    /// With `look`, the chunk that ends at `most` also has the file's state after the read.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        offset: u64,
        most: u64,
        look: bool,
    ) -> Poll<Result<Chunk, Error>> {
        if self.pending.is_none() {
            let len = most.min(READ_CHUNK);
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
                // Without a thread, a wait here is better than a broken body. It must end, though.
                if let Err(cause) = self.file.stat_nowait() {
                    return Poll::Ready(Err(error(cause)));
                }
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

/// The error of a file that changed after its body began.
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
