//! Reading a file piece by piece without ever holding up the thread that polls.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind};
use crate::fs::{DiskFile, Fingerprint};
use crate::threads::{Class, Threads};

/// The most that is read at a time, and so the most that one body holds in memory.
const CHUNK: u64 = 64 * 1024;

/// Reads chunks of one file: from the page cache at once, from the disk on an I/O thread.
#[derive(Debug)]
pub(crate) struct Chunks {
    file: Arc<dyn DiskFile>,
    threads: Threads,
    pending: Option<oneshot::Receiver<Result<Bytes, Error>>>,
}

impl Chunks {
    pub(crate) fn new(file: Arc<dyn DiskFile>, threads: Threads) -> Self {
        Self { file, threads, pending: None }
    }

    /// Reads at `offset` at least 1 and at most `most` bytes.
    ///
    /// With a `guard`, a chunk that reaches `most` is handed out only if the file is still in
    /// that state after it was read.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        offset: u64,
        most: u64,
        guard: Option<Fingerprint>,
    ) -> Poll<Result<Bytes, Error>> {
        if self.pending.is_none() {
            let len = most.min(CHUNK);
            let guard = guard.filter(|_| len == most);
            let now = read(&*self.file, offset, len, guard, |buffer, offset| {
                self.file.read_at_nowait(buffer, offset)
            });
            match now {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result.map_err(error)),
            }
            let (sender, receiver) = oneshot::channel();
            let file = Arc::clone(&self.file);
            let submitted = self.threads.submit(Class::Waited, true, move || {
                let result =
                    read(&*file, offset, len, guard, |buffer, offset| file.read_at(buffer, offset));
                let _ = sender.send(result.map_err(error));
            });
            if !submitted {
                // No thread is to be had: rather wait here than break the body.
                let result = read(&*self.file, offset, len, guard, |buffer, offset| {
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
    guard: Option<Fingerprint>,
    read_at: impl Fn(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<Bytes> {
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
    if let Some(guard) = guard
        && read == len
        && file.stat()?.fingerprint != guard
    {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(buffer.freeze())
}

fn error(cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Error::new(ErrorKind::SourceChanged, "a file changed while it was sent")
        }
        _ => Error::new(ErrorKind::Io, "a file could not be read while it was sent")
            .with_cause(cause),
    }
}
