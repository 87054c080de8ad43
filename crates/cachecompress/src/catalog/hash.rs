//! The hash of a file that may change meanwhile.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::fs::{DiskFile, Fingerprint, read_full};
use crate::http::{Digest, Hasher, Question, Text, TextCheck};
use crate::limits::{CLOCK_TICK, FILE_REST, HASH_BUFFER, HASH_TRIES, PAYLOAD_IN_MEMORY};

/// The digest of a file that did not change while it was hashed.
pub(super) struct Hashed {
    pub(super) digest: Digest,
    /// The answer to the question that the file's type depends on.
    pub(super) text: Text,
    /// The file's bytes, if they are at most [`PAYLOAD_IN_MEMORY`].
    pub(super) buffer: Option<Bytes>,
    /// Whether the file had rested before the hash.
    pub(super) rested: bool,
}

/// Hashes a file whose state was `fingerprint`, and answers `question`. Returns its state at the end,
/// and `None` if it changes at every try.
pub(super) fn hash(
    file: &dyn DiskFile,
    mut fingerprint: Fingerprint,
    question: Option<Question>,
) -> io::Result<(Fingerprint, Option<Hashed>)> {
    for _ in 0..HASH_TRIES {
        let began = let_tick_pass(fingerprint);
        let hashed = hash_exactly(file, fingerprint.size, question)?;
        let after = file.stat()?.fingerprint;
        if let Some((digest, text, buffer)) = hashed
            && after == fingerprint
        {
            let rested = fingerprint.rested(FILE_REST, began);
            return Ok((after, Some(Hashed { digest, text, buffer, rested })));
        }
        fingerprint = after;
    }
    Ok((fingerprint, None))
}

/// Waits until a later change of the file must show in its fingerprint, whose times are those of
/// the kernel's ticks. Returns the time after the wait.
fn let_tick_pass(fingerprint: Fingerprint) -> SystemTime {
    let now = SystemTime::now();
    if !fingerprint.rested(CLOCK_TICK, now) && fingerprint.rested(Duration::ZERO, now) {
        std::thread::sleep(CLOCK_TICK);
        return SystemTime::now();
    }
    now
}

/// Hashes exactly `len` bytes; `None` if the file has another length by now. Also returns the
/// bytes, if they are at most [`PAYLOAD_IN_MEMORY`].
fn hash_exactly(
    file: &dyn DiskFile,
    len: u64,
    question: Option<Question>,
) -> io::Result<Option<(Digest, Text, Option<Bytes>)>> {
    let mut hasher = Hasher::new();
    let mut check = question.map(TextCheck::new);
    let room = if len <= PAYLOAD_IN_MEMORY { len + 1 } else { HASH_BUFFER };
    let mut buffer = vec![0; usize::try_from(room).unwrap_or(usize::MAX)];
    let mut at = 0;
    loop {
        let filled = read_full(file, &mut buffer, at)?;
        at += filled as u64;
        hasher.update(&buffer[..filled]);
        if let Some(check) = &mut check {
            check.update(&buffer[..filled]);
        }
        if at > len {
            return Ok(None);
        }
        if filled < buffer.len() {
            break;
        }
    }
    if at != len {
        return Ok(None);
    }
    buffer.truncate(usize::try_from(len.min(PAYLOAD_IN_MEMORY)).unwrap_or(0));
    let small = (len <= PAYLOAD_IN_MEMORY).then(|| Bytes::from(buffer));
    let text = check.map_or(Text::Unknown, TextCheck::finish);
    Ok(Some((hasher.finish(), text, small)))
}
