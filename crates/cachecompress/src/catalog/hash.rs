//! Hashing files that may change meanwhile.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::catalog::resource::SMALL;
use crate::fs::{DiskFile, Fingerprint, read_full};
use crate::http::{Digest, Hasher};

/// How long a file must have rested for its fingerprint to vouch for its bytes.
pub(crate) const REST: Duration = Duration::from_secs(2);
/// Longer than the kernel's clock takes between two of its ticks.
const TICK: Duration = Duration::from_millis(20);
/// How often a file that changes while it is hashed is hashed again.
const TRIES: usize = 3;

/// What a file's bytes are, that held still while they were hashed.
pub(crate) struct Hashed {
    pub(crate) digest: Digest,
    /// The bytes, if they are few.
    pub(crate) buffer: Option<Bytes>,
    /// Whether the file had rested before.
    pub(crate) rested: bool,
}

/// Hashes a file whose state was `fingerprint`; also returns its state at the end. `None` if it
/// changes at every try.
pub(crate) fn hash(
    file: &dyn DiskFile,
    mut fingerprint: Fingerprint,
) -> io::Result<(Fingerprint, Option<Hashed>)> {
    for _ in 0..TRIES {
        let began = let_tick_pass(fingerprint);
        let hashed = hash_exactly(file, fingerprint.size)?;
        let after = file.stat()?.fingerprint;
        if let Some((digest, buffer)) = hashed
            && after == fingerprint
        {
            let rested = fingerprint.rested(REST, began);
            return Ok((after, Some(Hashed { digest, buffer, rested })));
        }
        fingerprint = after;
    }
    Ok((fingerprint, None))
}

/// Waits until a later change of the file must show in its fingerprint, which counts in the ticks
/// of the kernel's clock; returns the time.
fn let_tick_pass(fingerprint: Fingerprint) -> SystemTime {
    let now = SystemTime::now();
    if !fingerprint.rested(TICK, now) && fingerprint.rested(Duration::ZERO, now) {
        std::thread::sleep(TICK);
        return SystemTime::now();
    }
    now
}

/// Hashes exactly `len` bytes; also returns them if they are few. `None` if the file has another
/// length by now.
fn hash_exactly(file: &dyn DiskFile, len: u64) -> io::Result<Option<(Digest, Option<Bytes>)>> {
    let mut hasher = Hasher::new();
    let room = if len <= SMALL { len + 1 } else { 256 * 1024 };
    let mut buffer = vec![0; usize::try_from(room).unwrap_or(usize::MAX)];
    let mut at = 0;
    loop {
        let filled = read_full(file, &mut buffer, at)?;
        at += filled as u64;
        hasher.update(&buffer[..filled]);
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
    buffer.truncate(usize::try_from(len.min(SMALL)).unwrap_or(0));
    let small = (len <= SMALL).then(|| Bytes::from(buffer));
    Ok(Some((hasher.finish(), small)))
}
