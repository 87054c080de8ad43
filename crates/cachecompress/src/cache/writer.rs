//! An entry while it is written.

use std::io;
use std::sync::Arc;

use super::entry::{Checksum, Header, TRAILER};
use super::index::Claim;
use super::reader::{Entry, Payload};
use super::store::Cache;
use crate::fs::{DiskFile, DiskLock};

/// The exclusive right to write one key's entry, across processes, until it is dropped.
#[derive(Debug)]
pub(crate) struct KeyLock {
    pub(super) lock: Box<dyn DiskLock>,
}

/// Writes one entry into a file that nobody finds, until [`publish`](Self::publish) names it.
///
/// Dropped before that, it leaves nothing behind.
pub(crate) struct EntryWriter {
    pub(super) draft: Draft,
    pub(super) lock: KeyLock,
    pub(super) claim: Claim,
    pub(super) header: Header,
    pub(super) header_len: u64,
    pub(super) payload_len: u64,
    pub(super) checksum: Checksum,
}

/// A file without a name. If it never gets one, its bytes count against the cache's bound until
/// the last who reads along has closed it.
pub(super) struct Draft {
    cache: Cache,
    file: Arc<dyn DiskFile>,
    reserved: u64,
    published: bool,
}

impl Draft {
    pub(super) fn new(cache: &Cache, file: Arc<dyn DiskFile>, reserved: u64) -> Self {
        Self { cache: cache.clone(), file, reserved, published: false }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            self.cache.linger(&self.file, self.reserved);
        }
    }
}

/// Why an entry cannot be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The bound leaves no room for it.
    NoRoom,
    /// The disk refused.
    Io(io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl EntryWriter {
    /// Where the payload grows, for those who read along.
    pub(crate) fn payload(&self) -> Payload {
        Payload { file: Arc::clone(&self.draft.file), start: self.header_len }
    }

    /// How much of the payload has been written, in bytes.
    pub(crate) fn payload_len(&self) -> u64 {
        self.payload_len
    }

    /// Gives the entry up, but not yet the right to write it.
    pub(crate) fn abandon(self) -> KeyLock {
        self.lock
    }

    /// Appends `bytes` to the payload.
    ///
    /// # Errors
    ///
    /// Those of the disk, and [`WriteError::NoRoom`] when the payload outgrows what was
    /// reserved; the writer is then of no further use.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let end = self.header_len + self.payload_len + (bytes.len() + TRAILER) as u64;
        if end > self.claim.bytes() {
            return Err(WriteError::NoRoom);
        }
        self.draft.file.write_all_at(bytes, self.header_len + self.payload_len)?;
        self.checksum.update(bytes);
        self.payload_len += bytes.len() as u64;
        Ok(())
    }

    /// Completes the entry and gives it its name, all at once: whoever finds it finds all of it.
    ///
    /// An entry that somebody else published first is as good as this one.
    ///
    /// # Errors
    ///
    /// Those of the disk: nothing is known to be published, but the payload stands whole in
    /// [`payload`](Self::payload) for those who read it already. `NotFound`: somebody removed the
    /// cache's directory meanwhile.
    pub(crate) fn publish(self) -> io::Result<Arc<Entry>> {
        let Self { mut draft, lock, claim, header, header_len, payload_len, checksum } = self;
        let (file, cache) = (Arc::clone(&draft.file), draft.cache.clone());
        let trailer = checksum.trailer(payload_len);
        let end = header_len + payload_len;
        file.write_all_at(&trailer, end)?;
        file.set_len(end + TRAILER as u64)?;
        draft.published = cache.give_name(&file, &header.key)?;
        if draft.published {
            // Counted whatever comes next: it lies there.
            cache.count(&header.key.name(), end + TRAILER as u64, claim);
        }
        let stat = file.stat()?;
        let entry = Entry::trusted(header, file, header_len, payload_len, stat.fingerprint);
        let entry = Arc::new(entry);
        if draft.published {
            cache.keep_open(&entry);
        }
        drop(lock);
        Ok(entry)
    }
}
