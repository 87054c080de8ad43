//! A source's file that lies on no disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cachecompress::fs::{DiskFile, FileKind, Fingerprint, Stat};
use cachecompress::source::SourceFile;

use crate::gate::Gate;

/// A moment of 2020, in nanoseconds since 1970: a file that was changed then has rested.
pub const LONG_AGO: i128 = 1_600_000_000_000_000_000;

/// A made-up file, which counts the bytes that are read of it.
#[derive(Debug)]
pub struct MadeFile {
    bytes: Bytes,
    fingerprint: Fingerprint,
    gate: Option<Arc<Gate>>,
    broken: AtomicBool,
    read: AtomicU64,
}

#[derive(Debug)]
enum Bytes {
    Given(Vec<u8>),
    Repeated(u8),
}

impl MadeFile {
    /// A file with these bytes, last changed [`LONG_AGO`].
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        Self::with(Bytes::Given(bytes), size)
    }

    /// A file of one byte over and over, last changed [`LONG_AGO`].
    #[must_use]
    pub fn repeated(byte: u8, size: u64) -> Self {
        Self::with(Bytes::Repeated(byte), size)
    }

    fn with(bytes: Bytes, size: u64) -> Self {
        let fingerprint =
            Fingerprint { device: 1, inode: 1, size, modified: LONG_AGO, changed: LONG_AGO };
        let (broken, read) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { bytes, fingerprint, gate: None, broken, read }
    }

    /// Sets the inode.
    #[must_use]
    pub fn inode(mut self, inode: u64) -> Self {
        self.fingerprint.inode = inode;
        self
    }

    /// Sets the device.
    #[must_use]
    pub fn device(mut self, device: u64) -> Self {
        self.fingerprint.device = device;
        self
    }

    /// Sets the time of the last change, in nanoseconds since 1970.
    #[must_use]
    pub fn changed(mut self, time: i128) -> Self {
        (self.fingerprint.modified, self.fingerprint.changed) = (time, time);
        self
    }

    /// Holds every read of the first byte at `gate`.
    #[must_use]
    pub fn held(mut self, gate: Option<Arc<Gate>>) -> Self {
        self.gate = gate;
        self
    }

    /// Fails the next read.
    pub fn break_once(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    /// Whether the next read fails.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }

    /// Returns the number of bytes that were read.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }

    /// The file as a source finds it.
    #[must_use]
    pub fn source(self: &Arc<Self>) -> SourceFile {
        SourceFile::from_disk_file(Arc::clone(self) as _, self.fingerprint)
    }
}

impl DiskFile for MadeFile {
    fn stat(&self) -> io::Result<Stat> {
        Ok(Stat { kind: FileKind::Regular, fingerprint: self.fingerprint })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Some(gate) = self.gate.as_ref().filter(|_| offset == 0) {
            gate.pass();
        }
        if self.broken.swap(false, Ordering::SeqCst) {
            return Err(io::ErrorKind::Other.into());
        }
        let left = usize::try_from(self.fingerprint.size.saturating_sub(offset)).unwrap();
        let len = left.min(buffer.len());
        match &self.bytes {
            Bytes::Repeated(byte) => buffer[..len].fill(*byte),
            Bytes::Given(bytes) if len > 0 => {
                let start = usize::try_from(offset).unwrap();
                buffer[..len].copy_from_slice(&bytes[start..start + len]);
            }
            Bytes::Given(_) => {}
        }
        self.read.fetch_add(len as u64, Ordering::SeqCst);
        Ok(len)
    }
}
