//! Reads of a file, chunk by chunk, that do not block the polling thread.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use crate::concurrency::places::{Area, InArea, Places};
use crate::concurrency::thread_pool::{Job, Priority, Refused, ThreadPool};
use crate::error::{Error, ErrorKind};
use crate::fs::{DiskFile, Fingerprint};
use crate::limits::READ_CHUNK;

/// Reads chunks of one file: from the page cache at once, from the disk on a reader thread.
#[derive(Debug)]
pub(crate) struct Chunks {
    file: Arc<dyn DiskFile>,
    threads: ThreadPool,
    /// The places among which a source's reads take theirs, and the device of the file.
    places: Option<(Places, u64)>,
    pending: Option<Pending>,
}

/// A read on another thread. The job knows by the last part whether anybody waits for it.
#[derive(Debug)]
struct Pending {
    receiver: oneshot::Receiver<Result<Chunk, Error>>,
    _wanted: Arc<()>,
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
        Self { file, threads, places: None, pending: None }
    }

    /// Takes a place of `places` for each read of the file, which lies on `device`.
    pub(crate) fn in_places(mut self, places: Places, device: u64) -> Self {
        self.places = Some((places, device));
        self
    }

    /// Queues a read.
    fn submit(
        &self,
        read: impl FnOnce() -> Result<Chunk, Error> + Send + 'static,
    ) -> Result<Pending, Refused> {
        let (sender, receiver) = oneshot::channel();
        let wanted = Arc::new(());
        let mut job = Job::new(true, move || {
            if !sender.is_closed() {
                let _ = sender.send(read());
            }
        });
        if let Some((places, device)) = &self.places {
            let wanted = Arc::downgrade(&wanted);
            job = job.on(InArea {
                places: places.clone(),
                area: Area::Device(*device),
                is_wanted: move || wanted.strong_count() > 0,
            });
        }
        self.threads.submit_job(Priority::Foreground, job)?;
        Ok(Pending { receiver, _wanted: wanted })
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
            let file = Arc::clone(&self.file);
            let submitted = self.submit(move || {
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
                Ok(Chunk { bytes: Bytes::new(), after: None })
            });
            match submitted {
                Ok(pending) => self.pending = Some(pending),
                Err(_) => return Poll::Ready(()),
            }
        }
        if let Some(pending) = &mut self.pending {
            let _ = std::task::ready!(Pin::new(&mut pending.receiver).poll(cx));
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
            let file = Arc::clone(&self.file);
            let submitted = self.submit(move || {
                let result =
                    read(&*file, offset, len, look, |buffer, offset| file.read_at(buffer, offset));
                result.map_err(error)
            });
            match submitted {
                Ok(pending) => self.pending = Some(pending),
                // Without a thread, a wait here is better than a broken body. It must end, though.
                Err(_) => {
                    if let Err(cause) = self.file.stat_nowait() {
                        return Poll::Ready(Err(error(cause)));
                    }
                    let result = read(&*self.file, offset, len, look, |buffer, offset| {
                        self.file.read_at(buffer, offset)
                    });
                    return Poll::Ready(result.map_err(error));
                }
            }
        }
        let Some(pending) = &mut self.pending else { return Poll::Pending };
        let result = std::task::ready!(Pin::new(&mut pending.receiver).poll(cx));
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
