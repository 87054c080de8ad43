//! Writes an entry.

use std::io;
use std::sync::Arc;

use super::entry::{Checksum, Header, TRAILER};
use super::eviction;
use super::index::Claim;
use super::key::Key;
use super::layout::with_directory;
use super::reader::{Entry, Payload};
use super::state::State;
use crate::fs::{DiskFile, DiskLock, read_full};
use crate::limits::VERIFY_BUFFER;

/// The exclusive right to write one key's entry, across processes, until it is dropped.
#[derive(Debug)]
pub(crate) struct KeyLock {
    lock: Box<dyn DiskLock>,
}

impl KeyLock {
    /// Takes the right to write `key`'s entry; `None` if somebody else has it.
    pub(super) fn try_new(state: &State, key: &Key) -> io::Result<Option<Self>> {
        let path = state.layout.lock(&key.name());
        let lock =
            with_directory(|| state.disk.try_lock(&path), || state.layout.create(&*state.disk))?;
        Ok(lock.map(|lock| Self { lock }))
    }
}

/// Writes one entry into a file that nobody finds, until [`publish`](Self::publish) names it.
///
/// A writer that is dropped before that leaves nothing behind.
pub(crate) struct EntryWriter {
    draft: Draft,
    lock: KeyLock,
    claim: Claim,
    header: Header,
    header_len: u64,
    payload_len: u64,
    checksum: Checksum,
}

/// A file without a name. If it never gets one, its bytes count against the cache's bound until
/// its last reader has closed it.
struct Draft {
    state: Arc<State>,
    file: Arc<dyn DiskFile>,
    reserved: u64,
    published: bool,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            self.state.index().linger(&self.file, self.reserved);
        }
    }
}

/// The reason why an entry cannot be written.
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
    /// Starts an entry: claims room for it, creates its file, reserves all of it on the disk and
    /// writes the header. See [`Cache::create`](super::Cache::create).
    pub(super) fn create(
        state: &Arc<State>,
        lock: KeyLock,
        header: Header,
        max_payload: u64,
    ) -> Result<Self, WriteError> {
        let head = header.encode();
        let bytes = max_payload.saturating_add((head.len() + TRAILER) as u64);
        if !state.could_hold(bytes) {
            return Err(WriteError::NoRoom);
        }
        let name = header.key.name();
        let claim =
            eviction::make_room(state, &*lock.lock, name, bytes)?.ok_or(WriteError::NoRoom)?;
        let shard = state.layout.shard(name.shard());
        let file = eviction::with_room(state, bytes, || {
            let file = with_directory(
                || state.disk.create_unnamed(&shard),
                || {
                    state.layout.create(&*state.disk)?;
                    state.disk.create_private_dir(&shard)
                },
            )?;
            file.reserve(bytes)?;
            file.write_all_at(&head, 0)?;
            Ok(file)
        })?;
        let mut checksum = Checksum::new();
        checksum.update(&head);
        let header_len = head.len() as u64;
        let draft = Draft { state: Arc::clone(state), file, reserved: bytes, published: false };
        Ok(Self { draft, lock, claim, header, header_len, payload_len: 0, checksum })
    }

    /// Returns the place of the growing payload, for readers that follow the writer.
    pub(crate) fn payload(&self) -> Payload {
        Payload { file: Arc::clone(&self.draft.file), start: self.header_len }
    }

    /// The number of payload bytes that have been written.
    pub(crate) fn payload_len(&self) -> u64 {
        self.payload_len
    }

    /// Takes back the payload behind its first `len` bytes. Blocks on the disk.
    pub(crate) fn rewind(&mut self, len: u64) -> io::Result<()> {
        debug_assert!(len <= self.payload_len, "no bytes can be taken back that were not written");
        let mut checksum = Checksum::new();
        checksum.update(&self.header.encode());
        let mut buffer = vec![0; VERIFY_BUFFER];
        let mut at = 0;
        while at < len {
            let part = usize::try_from(len - at).unwrap_or(VERIFY_BUFFER).min(VERIFY_BUFFER);
            let buffer = &mut buffer[..part];
            if read_full(&*self.draft.file, buffer, self.header_len + at)? < part {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            checksum.update(buffer);
            at += part as u64;
        }
        (self.checksum, self.payload_len) = (checksum, len);
        Ok(())
    }

    /// Gives the entry up, but not yet the right to write it.
    pub(crate) fn abandon(self) -> KeyLock {
        self.lock
    }

    /// Appends `bytes` to the payload.
    ///
    /// # Errors
    ///
    /// The errors of the disk, and [`WriteError::NoRoom`] when the payload outgrows the
    /// reservation.
    /// The writer is then of no further use.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let end = self.header_len + self.payload_len + (bytes.len() + TRAILER) as u64;
        if end > self.draft.reserved {
            return Err(WriteError::NoRoom);
        }
        self.draft.file.write_all_at(bytes, self.header_len + self.payload_len)?;
        self.checksum.update(bytes);
        self.payload_len += bytes.len() as u64;
        Ok(())
    }

    /// Completes the entry and gives it its name. The entry appears whole or not at all.
    ///
    /// An entry that somebody else published first is as good as this one.
    ///
    /// # Errors
    ///
    /// The errors of the disk. Nothing is known to be published then, but the payload stands whole
    /// in [`payload`](Self::payload) for its readers. `NotFound`: the cache's directory was removed
    /// meanwhile.
    pub(crate) fn publish(self) -> io::Result<Arc<Entry>> {
        let Self { mut draft, lock, claim, header, header_len, payload_len, checksum } = self;
        let (file, state) = (Arc::clone(&draft.file), Arc::clone(&draft.state));
        let name = header.key.name();
        let trailer = checksum.trailer(payload_len);
        let end = header_len + payload_len;
        file.write_all_at(&trailer, end)?;
        file.set_len(end + TRAILER as u64)?;
        draft.published = state.give_name(&file, &header.key)?;
        if draft.published {
            // Counted even if the `stat` fails: the file has its name.
            state.count(&name, end + TRAILER as u64, claim);
        }
        let stat = file.stat()?;
        let entry = Entry::trusted(header, file, header_len, payload_len, stat.fingerprint);
        let entry = Arc::new(entry);
        if draft.published {
            state.keep_open(&name, &entry);
        }
        drop(lock);
        Ok(entry)
    }
}
