//! The hash of a file that may change meanwhile.

use std::io;
use std::time::SystemTime;

use bytes::Bytes;

use super::resource::{Rest, Seen};
use crate::fs::{DiskFile, Fingerprint, read_full};
use crate::http::{Digest, Hasher, Question, Text, TextCheck};
use crate::limits::{CLOCK_TICK, HASH_BUFFER, HASH_TRIES, PAYLOAD_IN_MEMORY};

/// The end of a hash.
pub(super) enum Outcome {
    Hashed(Hashed),
    /// The file changes at every try, or its times cannot tell whether it does.
    Unstable,
    /// Nobody wants the digest any more.
    GivenUp,
}

/// The digest of a file that did not change while it was hashed.
pub(super) struct Hashed {
    pub(super) digest: Digest,
    /// The answer to the question that the file's type depends on.
    pub(super) text: Text,
    /// The file's bytes, if they are at most [`PAYLOAD_IN_MEMORY`].
    pub(super) buffer: Option<Bytes>,
    /// The reason for which the file's state names its bytes.
    pub(super) rest: Rest,
}

/// Hashes a file whose state was `fingerprint`, and answers `question`. Returns its state at the end, too.
/// `seen` is the state in which the file was known before. The hash is given up between two buffers once
/// it is not wanted.
pub(super) fn hash(
    file: &dyn DiskFile,
    mut fingerprint: Fingerprint,
    question: Option<Question>,
    seen: Option<Seen>,
    is_wanted: &dyn Fn() -> bool,
) -> io::Result<(Fingerprint, Outcome)> {
    for _ in 0..HASH_TRIES {
        let now = SystemTime::now();
        let steady = seen.filter(|seen| seen.is_steady(&fingerprint));
        // In whole seconds a change during the hash, or between two pieces of it, would not show.
        if fingerprint.is_coarse() && !fingerprint.names_bytes(now) && steady.is_none() {
            return Ok((fingerprint, Outcome::Unstable));
        }
        let began = let_tick_pass(fingerprint, now);
        let hashed = match hash_exactly(file, fingerprint.size, question, is_wanted)? {
            Read::GivenUp => return Ok((fingerprint, Outcome::GivenUp)),
            Read::Exactly(digest, text, buffer) => Some((digest, text, buffer)),
            Read::OtherLength => None,
        };
        let after = file.stat()?.fingerprint;
        if let Some((digest, text, buffer)) = hashed
            && after == fingerprint
        {
            let steady = steady.is_some_and(|seen| seen.digest.is_none_or(|seen| seen == digest));
            let rest = Rest::of(&fingerprint, steady, began);
            return Ok((after, Outcome::Hashed(Hashed { digest, text, buffer, rest })));
        }
        fingerprint = after;
    }
    Ok((fingerprint, Outcome::Unstable))
}

/// Waits until a later change of the file must show in its fingerprint, whose times are those of
/// the kernel's ticks. Returns the time after the wait.
pub(super) fn let_tick_pass(fingerprint: Fingerprint, now: SystemTime) -> SystemTime {
    if fingerprint.rested(CLOCK_TICK, now) {
        return now;
    }
    std::thread::sleep(CLOCK_TICK);
    now.checked_add(CLOCK_TICK).unwrap_or(now)
}

/// The end of one reading of a file.
enum Read {
    /// The digest, what the bytes tell of the type, and the bytes if they are at most
    /// [`PAYLOAD_IN_MEMORY`].
    Exactly(Digest, Text, Option<Bytes>),
    OtherLength,
    GivenUp,
}

/// Hashes exactly `len` bytes.
fn hash_exactly(
    file: &dyn DiskFile,
    len: u64,
    question: Option<Question>,
    is_wanted: &dyn Fn() -> bool,
) -> io::Result<Read> {
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
            return Ok(Read::OtherLength);
        }
        if filled < buffer.len() {
            break;
        }
        if !is_wanted() {
            return Ok(Read::GivenUp);
        }
    }
    if at != len {
        return Ok(Read::OtherLength);
    }
    buffer.truncate(usize::try_from(len.min(PAYLOAD_IN_MEMORY)).unwrap_or(0));
    let small = (len <= PAYLOAD_IN_MEMORY).then(|| Bytes::from(buffer));
    let text = check.map_or(Text::Unknown, TextCheck::finish);
    Ok(Read::Exactly(hasher.finish(), text, small))
}
