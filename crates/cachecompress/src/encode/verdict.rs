//! What is worth encoding.

use crate::cache::{Entry, Key, Kind};
use crate::codec::{Codec, PIECE};
use crate::error::{Error, Failure};
use crate::http::EncoderId;

/// Sources shorter than this many bytes go out as they are: a coding's own frame, a field and an
/// entry cost more than they save.
pub(crate) const SMALLEST: u64 = 256;

/// A change to the rules here makes old verdicts void.
const VERSION: &[u8] = b"policy 1: sample above 64 KiB, save 5 %";

/// How much of a source is sampled, at each of three offsets.
const SAMPLE: usize = 16 * 1024;

/// Whether `encoded` bytes save enough against `source` bytes: at least 5 %.
pub(crate) fn worth(source: u64, encoded: u64) -> bool {
    encoded <= source - source / 20
}

/// Whether a stored entry is what a client wants that takes identity as well, or (`insists`)
/// does not: an entry that was made for one who insists may save nothing. `source_len` is what
/// the resource is long, not what the entry's header says.
pub(crate) fn judge(entry: &Entry, source_len: u64, insists: bool) -> Result<(), Failure> {
    match entry.kind() {
        Kind::EncoderAtFault => Err(Failure::Encoder),
        Kind::Unprofitable => Err(Failure::Unprofitable),
        Kind::Representation if insists => Ok(()),
        Kind::Representation if worth(source_len, entry.payload_len()) => Ok(()),
        Kind::Representation => Err(Failure::Unprofitable),
    }
}

/// The key under which the verdict "unprofitable" is kept for what `key` names.
pub(crate) fn verdict_key(key: &Key) -> Key {
    let id = EncoderId::derive(VERSION, key.id.as_str().as_bytes());
    Key { id, ..key.clone() }
}

/// Whether a source is worth a sample first: a short one is encoded faster than sampled.
pub(crate) fn samples(source_len: u64) -> bool {
    source_len > PIECE as u64
}

/// The most that an honest encoder makes of a source, header and trailer of the entry included:
/// what is reserved before the first byte is written.
pub(crate) fn most(source_len: u64) -> u64 {
    source_len.saturating_add(source_len / 256).saturating_add(PIECE as u64)
}

/// Samples from the start, the middle and the end of a source.
pub(crate) fn sample<E>(
    source_len: u64,
    mut read: impl FnMut(&mut [u8], u64) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let last = source_len.saturating_sub(SAMPLE as u64);
    let mut sample = vec![0; 3 * SAMPLE];
    for (part, offset) in sample.chunks_mut(SAMPLE).zip([0, last / 2, last]) {
        read(part, offset)?;
    }
    Ok(sample)
}

/// Encodes a sample, and says whether that saves enough.
pub(crate) fn sample_saves(codec: &Codec, sample: &[u8]) -> Result<bool, Error> {
    let mut encoded = Vec::with_capacity(sample.len());
    let mut encoding = codec.encoder.begin(sample.len() as u64, None)?;
    encoding.write(sample, &mut encoded)?;
    encoding.finish(&mut encoded)?;
    Ok(worth(sample.len() as u64, encoded.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_per_cent_is_worth_it() {
        assert!(worth(1000, 950));
        assert!(!worth(1000, 951));
        assert!(worth(0, 0));
        assert!(!worth(19, 20));
    }
}
