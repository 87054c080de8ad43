//! Keys of entries and verdicts, and the rules by which an encode is worth keeping.

use crate::cache::{Entry, Key, Kind};
use crate::codec::{Codec, PIECE};
use crate::error::{Error, Failure};
use crate::http::{Digest, EncoderId};
use crate::limits::{LEAST_IMPROVEMENT, LEAST_SAVING, RESERVED_SHARE, SAMPLE};

/// The version of these rules. Another version voids the verdicts of earlier ones.
const VERSION: &[u8] = b"policy 1: sample above 64 KiB, save 5 %";

/// The version of the rule for the second pass, likewise.
const IMPROVEMENT: &[u8] = b"second pass 1: save 1 %";

/// The cache key of the content `digest`, of `source_len` bytes, encoded by `codec`.
pub(crate) fn key(digest: Digest, source_len: u64, codec: &Codec) -> Key {
    Key { digest, coding: codec.coding.clone(), id: codec.id(source_len) }
}

/// The key of the entry that one for `digest` by `codec` takes the place of.
pub(crate) fn replaced_key(digest: Digest, source_len: u64, codec: &Codec) -> Option<Key> {
    codec.replaces.as_deref().map(|first| key(digest, source_len, first))
}

/// Whether `encoded` bytes save at least 5 % of `source` bytes.
pub(crate) fn is_worth_it(source: u64, encoded: u64) -> bool {
    encoded <= max_worth(source)
}

/// The most bytes that save enough of `source` bytes.
pub(crate) fn max_worth(source: u64) -> u64 {
    source - source / LEAST_SAVING
}

/// The most bytes that are enough fewer than the `earlier` ones to take their place.
pub(crate) fn max_better(earlier: u64) -> u64 {
    earlier - earlier.div_ceil(LEAST_IMPROVEMENT)
}

/// Whether a payload of `codec` goes out whatever it saves, to a client that `refuses_identity` or not.
/// The author of a coded file beside another one has decided that already.
pub(crate) fn insists(codec: &Codec, refuses_identity: bool) -> bool {
    refuses_identity || codec.adopts.is_some()
}

/// Judges whether a stored entry satisfies a client.
///
/// A client that refuses identity `insists` (see [`insists`]). An entry that was made for such a client
/// may save nothing, and is then `Unprofitable` for other clients. `source_len` is the resource's length,
/// not the header's.
pub(crate) fn judge(entry: &Entry, source_len: u64, insists: bool) -> Result<(), Failure> {
    match entry.kind() {
        Kind::EncoderAtFault => Err(Failure::Encoder),
        Kind::Unprofitable => Err(Failure::Unprofitable),
        Kind::Representation if insists => Ok(()),
        Kind::Representation if is_worth_it(source_len, entry.payload_len()) => Ok(()),
        Kind::Representation => Err(Failure::Unprofitable),
    }
}

/// Makes the key of the verdict "unprofitable" on `key`.
pub(crate) fn verdict_key(key: &Key) -> Key {
    let id = EncoderId::derive(VERSION, key.id.as_str().as_bytes());
    Key { id, ..key.clone() }
}

/// Makes the key of the verdict that the second pass, whose entry would have `key`, saves too little over the
/// first. Whoever wants the best bytes whatever they save does not ask for it.
pub(super) fn improvement_key(key: &Key) -> Key {
    let id = EncoderId::derive(IMPROVEMENT, key.id.as_str().as_bytes());
    Key { id, ..key.clone() }
}

/// Whether a sample is taken first. A short source is encoded faster than sampled.
pub(crate) fn takes_sample(source_len: u64) -> bool {
    source_len > PIECE as u64
}

/// The bytes of payload that are reserved before the first one is written. An honest encoder makes
/// no more of a source. The cache adds the entry's header and trailer.
pub(crate) fn max_payload(source_len: u64) -> u64 {
    source_len.saturating_add(source_len / RESERVED_SHARE).saturating_add(PIECE as u64)
}

/// Samples the start, the middle and the end of a source.
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

/// Encodes a sample. Returns whether it saves enough.
pub(crate) fn sample_saves(codec: &Codec, sample: &[u8]) -> Result<bool, Error> {
    let mut encoded = Vec::with_capacity(sample.len());
    let mut encoding = codec.encoder.begin(sample.len() as u64)?;
    encoding.write(sample, &mut encoded)?;
    encoding.finish(&mut encoded)?;
    Ok(is_worth_it(sample.len() as u64, encoded.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_is_worth_it_when_it_saves_five_per_cent() {
        assert!(is_worth_it(1000, 950));
        assert!(!is_worth_it(1000, 951));
        assert!(is_worth_it(0, 0));
        assert!(!is_worth_it(19, 20));
    }
}
