//! Opens and verifies an entry.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use super::entry::{Checksum, Damage, Header, Kind, MAX_HEADER, TRAILER, trailer_head};
use super::key::Key;
use crate::concurrency::sync::clock;
use crate::fs::{Disk, DiskFile, FileKind, Fingerprint, Stat, read_full};
use crate::limits::{TOUCH_EVERY, VERIFY_BUFFER, VERIFY_NOWAIT, VERIFY_TRIES};
use crate::sendfile::Mapping;

/// An entry whose every byte has passed its checksum.
#[derive(Debug)]
pub(crate) struct Entry {
    header: Header,
    /// The file as it is mapped to be sent from; `None` inside if it cannot be. Dropped before the
    /// file, whose drop never waits where it must not.
    mapping: OnceLock<Option<Arc<Mapping>>>,
    file: Arc<dyn DiskFile>,
    payload_start: u64,
    payload_len: u64,
    /// The state of the file that was verified.
    verified: Fingerprint,
    /// The time when the file was last seen in that state, in milliseconds of [`clock`].
    seen: AtomicU64,
    /// The time of the last touch, likewise; 0 if it is not known.
    touched: AtomicU64,
}

/// The place of a payload, complete or growing.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    /// The file.
    pub(crate) file: Arc<dyn DiskFile>,
    /// The offset of the payload's first byte.
    pub(crate) start: u64,
}

/// The reason why an entry cannot be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Its bytes are not the ones that were written.
    Damaged(Damage),
    /// The disk failed.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl Entry {
    /// Opens and verifies the entry at `path`, where a file of the kind `found` stands. The key in
    /// its header must be one that `belongs` there.
    ///
    /// A symlink is not followed and a FIFO not waited for: neither can be an entry.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        found: FileKind,
        belongs: impl Fn(&Key) -> bool,
    ) -> Result<Self, ReadError> {
        let mut entry = Self::verify(open_entry(disk, path, found)?, belongs)?;
        *entry.touched.get_mut() = 0;
        Ok(entry)
    }

    /// Reads all of `file` and checks it against its checksums and its name.
    ///
    /// A file whose inode changes meanwhile, by a touch or a new link, is read again.
    pub(crate) fn verify(
        file: Arc<dyn DiskFile>,
        belongs: impl Fn(&Key) -> bool,
    ) -> Result<Self, ReadError> {
        Self::verify_by(file, u64::MAX, belongs, |file| file.stat(), read_full)
    }

    /// As [`verify`](Self::verify), but only if the file is small and can be read without a wait.
    /// `None` says nothing of it.
    pub(super) fn verify_nowait(
        file: Arc<dyn DiskFile>,
        belongs: impl Fn(&Key) -> bool,
    ) -> Option<Self> {
        let read = |file: &dyn DiskFile, buffer: &mut [u8], at| file.read_at_nowait(buffer, at);
        Self::verify_by(file, VERIFY_NOWAIT, belongs, |file| file.stat_nowait(), read).ok()
    }

    fn verify_by(
        file: Arc<dyn DiskFile>,
        most: u64,
        belongs: impl Fn(&Key) -> bool,
        stat: impl Fn(&dyn DiskFile) -> io::Result<Stat>,
        read: impl Fn(&dyn DiskFile, &mut [u8], u64) -> io::Result<usize>,
    ) -> Result<Self, ReadError> {
        for _ in 0..VERIFY_TRIES {
            let Stat { kind, fingerprint: before } = stat(&*file)?;
            if kind != FileKind::Regular {
                return Err(Damage::FileKind.into());
            }
            if before.size > most {
                return Err(ReadError::Io(io::ErrorKind::WouldBlock.into()));
            }
            let read = |buffer: &mut [u8], at| read(&*file, buffer, at);
            let checked = check(before.size, &belongs, read);
            if stat(&*file)?.fingerprint == before {
                let (header, start, len) = checked?;
                return Ok(Self::trusted(header, file, start, len, before));
            }
        }
        Err(ReadError::Io(io::ErrorKind::Interrupted.into()))
    }

    /// Creates an entry whose bytes are known to be good, as those that were just written are.
    pub(super) fn trusted(
        header: Header,
        file: Arc<dyn DiskFile>,
        payload_start: u64,
        payload_len: u64,
        verified: Fingerprint,
    ) -> Self {
        Self {
            header,
            file,
            mapping: OnceLock::new(),
            payload_start,
            payload_len,
            verified,
            seen: AtomicU64::new(clock()),
            touched: AtomicU64::new(clock()),
        }
    }

    /// Whether the file was in its verified state at most `age` ago.
    pub(super) fn seen_within(&self, age: Duration) -> bool {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        clock().saturating_sub(self.seen.load(Ordering::Relaxed)) < age
    }

    /// Whether the file is still in its verified state.
    pub(super) fn still_verified(&self) -> bool {
        self.is_verified(self.file.stat())
    }

    /// Whether the file is known to be still in its verified state, without a wait.
    pub(crate) fn still_verified_nowait(&self) -> bool {
        self.is_verified(self.file.stat_nowait())
    }

    fn is_verified(&self, stat: io::Result<Stat>) -> bool {
        let same = stat.is_ok_and(|stat| stat.fingerprint == self.verified);
        if same {
            self.seen.store(clock(), Ordering::Relaxed);
        }
        same
    }

    /// Notes a use of the entry in its file's time, at most hourly.
    ///
    /// A touch is a write, and changes the inode, so that the entry is verified again. Hourly,
    /// neither is felt.
    pub(super) fn touch(&self) {
        let before = self.touched.load(Ordering::Relaxed);
        let now = clock().max(1);
        if self.is_touch_due() && self.touched.swap(now, Ordering::Relaxed) == before {
            let modified = self.file.stat().map(|stat| stat.fingerprint.modified_time());
            let age =
                modified.map(|time| SystemTime::now().duration_since(time).unwrap_or_default());
            if age.is_ok_and(|age| age >= TOUCH_EVERY) {
                let _ = self.file.touch();
            }
        }
    }

    /// Whether a use is to be noted in the file's time again.
    pub(super) fn is_touch_due(&self) -> bool {
        let every = u64::try_from(TOUCH_EVERY.as_millis()).unwrap_or(u64::MAX);
        let before = self.touched.load(Ordering::Relaxed);
        before == 0 || clock().saturating_sub(before) >= every
    }

    /// The time of the file's last modification, when it was verified.
    pub(super) fn modified(&self) -> SystemTime {
        self.verified.modified_time()
    }

    /// Whether a body reads the entry, or somebody is about to.
    pub(super) fn is_in_use(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 || Arc::strong_count(&self.file) > 1
    }

    /// The kind of the entry.
    pub(crate) fn kind(&self) -> Kind {
        self.header.kind
    }

    /// The entry's header.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The entry's file.
    pub(super) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// The place of the payload.
    pub(crate) fn payload(&self) -> Payload {
        Payload { file: Arc::clone(&self.file), start: self.payload_start }
    }

    /// The file, mapped to be sent from, if it can be.
    pub(crate) fn mapping(&self) -> Option<&Arc<Mapping>> {
        // Not remembered: the disk may become known as a local one later.
        let file = self.file.as_real()?;
        self.mapping.get_or_init(|| Mapping::new(Arc::clone(file)).map(Arc::new)).as_ref()
    }

    /// Fills `buffer` from offset `at` of the entry's file. Blocks on the disk.
    #[cfg(feature = "tier")]
    pub(crate) fn read_exact(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match read_full(&*self.file, buffer, at)? == buffer.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The payload's length in bytes.
    pub(crate) fn payload_len(&self) -> u64 {
        self.payload_len
    }

    /// The entry's size in bytes, header and trailer included.
    pub(crate) fn size(&self) -> u64 {
        self.payload_start + self.payload_len + TRAILER as u64
    }
}

/// Reads the header of the entry at `path`, where a file of the kind `found` stands, and leaves its
/// payload unread. The key in the header must be one that `belongs` there.
///
/// Returns the header, the payload's length and the state of the file.
pub(super) fn read_header(
    disk: &dyn Disk,
    path: &Path,
    found: FileKind,
    belongs: impl Fn(&Key) -> bool,
) -> Result<(Header, u64, Fingerprint), ReadError> {
    let file = open_entry(disk, path, found)?;
    let Stat { kind, fingerprint } = file.stat()?;
    if kind != FileKind::Regular {
        return Err(Damage::FileKind.into());
    }
    let mut start = [0; MAX_HEADER];
    let filled = read_full(&*file, &mut start, 0)?;
    let (header, header_len, payload_len) =
        check_header(fingerprint.size, belongs, &start[..filled])?;
    let mut head = [0; 16];
    let filled = read_full(&*file, &mut head, header_len as u64 + payload_len)?;
    if filled < head.len() || head != trailer_head(payload_len) {
        return Err(Damage::Length.into());
    }
    Ok((header, payload_len, fingerprint))
}

/// Opens the file at `path`, where one of the kind `found` stands, if it can be an entry.
fn open_entry(
    disk: &dyn Disk,
    path: &Path,
    found: FileKind,
) -> Result<Arc<dyn DiskFile>, ReadError> {
    if found != FileKind::Regular {
        return Err(Damage::FileKind.into());
    }
    match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Damage::Unreadable.into())
        }
        opened => Ok(opened?),
    }
}

/// Checks the header at the `start` of an entry of `size` bytes; returns it, its length, and the
/// payload's.
fn check_header(
    size: u64,
    belongs: impl Fn(&Key) -> bool,
    start: &[u8],
) -> Result<(Header, usize, u64), Damage> {
    let (header, header_len) = Header::decode(start)?;
    if !belongs(&header.key) {
        return Err(Damage::Key);
    }
    let frame = (header_len + TRAILER) as u64;
    let payload_len = size.checked_sub(frame).ok_or(Damage::Length)?;
    // A representation has bytes, a verdict has none. Nobody could decode an entry that needs a dictionary
    // and does not name it, or the other way round.
    let has_payload = header.kind == Kind::Representation;
    let names_dictionary = header.dictionary.is_some();
    if has_payload != (payload_len > 0) || header.key.coding.needs_dictionary() != names_dictionary
    {
        return Err(Damage::Field);
    }
    Ok((header, header_len, payload_len))
}

/// Checks the `size` bytes that `read` reads against their checksums and their name; returns the
/// header, and the offset and length of the payload.
fn check(
    size: u64,
    belongs: impl Fn(&Key) -> bool,
    read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
) -> Result<(Header, u64, u64), ReadError> {
    // A small entry is read by one call.
    let room = usize::try_from(size).unwrap_or(usize::MAX).min(VERIFY_BUFFER);
    let mut buffer = vec![0; room];
    let mut filled = read(&mut buffer, 0)?;
    let start = &buffer[..filled.min(MAX_HEADER)];
    let (header, header_len, payload_len) = check_header(size, belongs, start)?;
    let end = header_len as u64 + payload_len;
    if filled < buffer.len() {
        return Err(Damage::Length.into());
    }
    let mut trailer = [0; TRAILER];
    if size <= filled as u64 {
        trailer.copy_from_slice(&buffer[filled - TRAILER..]);
    } else if read(&mut trailer, end)? < TRAILER {
        return Err(Damage::Length.into());
    }
    // Checked before the payload is read: a hole of terabytes must not keep a thread for hours.
    if trailer[..16] != trailer_head(payload_len) {
        return Err(Damage::Length.into());
    }
    let mut checksum = Checksum::new();
    let mut at = 0;
    loop {
        filled = usize::try_from(end - at).unwrap_or(usize::MAX).min(filled);
        checksum.update(&buffer[..filled]);
        at += filled as u64;
        if at == end {
            break;
        }
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        filled = read(&mut buffer[..want], at)?;
        if filled < want {
            return Err(Damage::Length.into());
        }
    }
    if trailer != checksum.trailer(payload_len) {
        return Err(Damage::Checksum.into());
    }
    Ok((header, header_len as u64, payload_len))
}
