//! The derivation of an encoder's id.

use super::traits::{Encoder, Settings};
use crate::error::Error;
#[cfg(any(feature = "brotli", feature = "zstd"))]
use crate::http::Digest;
use crate::http::EncoderId;
use crate::limits::PIECE;

/// Derives the id of `encoder` from its settings, the size of a piece and the output for a fixed
/// sample.
///
/// # Errors
///
/// If the encoder fails on the sample.
pub(crate) fn encoder_id(encoder: &dyn Encoder) -> Result<EncoderId, Error> {
    let mut description = encoder.settings().describe().into_bytes();
    description.extend_from_slice(&(PIECE as u64).to_le_bytes());
    let sample = sample();
    let mut out = Vec::new();
    let mut encoding = encoder.begin(sample.len() as u64)?;
    for piece in sample.chunks(PIECE) {
        encoding.write(piece, &mut out)?;
    }
    encoding.finish(&mut out)?;
    Ok(EncoderId::derive(&description, &out))
}

/// Derives the id of an encoder whose output refers to the dictionary with this digest, of the id that
/// it has for the [sample's](sample_dictionary).
#[cfg(any(feature = "brotli", feature = "zstd"))]
pub(super) fn delta_id(of_sample: EncoderId, dictionary: &Digest) -> EncoderId {
    EncoderId::derive(of_sample.as_str().as_bytes(), dictionary.as_bytes())
}

/// Generates a dictionary for the sample: most of it, in another order.
#[cfg(any(feature = "brotli", feature = "zstd"))]
pub(super) fn sample_dictionary() -> Vec<u8> {
    let mut dictionary = sample();
    let len = dictionary.len();
    dictionary.rotate_left(len / 3);
    dictionary.drain(1000..2000);
    dictionary
}

/// The name of the parameter that holds the least length in bytes of sources that were formerly
/// encoded in jobs, or 0 if none were.
pub(super) const JOBS_FROM: &str = "jobs_from";

/// Derives the id for long sources of an encoder that formerly had jobs; returns their least length
/// in bytes with it.
///
/// zstd formerly encoded long sources in jobs, by worker threads, and now encodes them as one
/// stream. Only the bytes of those sources have changed, so `id` stays the id of all shorter ones.
pub(super) fn long_source_id(settings: &Settings, id: EncoderId) -> Option<(u64, EncoderId)> {
    if settings.encoder != "libzstd" {
        return None;
    }
    let (_, from) = settings.parameters.iter().find(|(name, _)| *name == JOBS_FROM)?;
    let from = u64::try_from(*from).ok().filter(|from| *from > 0)?;
    Some((from, EncoderId::derive(b"one thread", id.as_str().as_bytes())))
}

/// Generates the sample for an id: one piece and a half of literals, matches and both, longer than
/// the formats' smallest windows and blocks. The slowest built-in encoder takes 0.1 s for it.
fn sample() -> Vec<u8> {
    use std::io::Write as _;

    const LEN: usize = PIECE + PIECE / 2;
    let mut state = 0x9e37_79b9_u32;
    let mut sample = Vec::with_capacity(LEN + 64);
    while sample.len() < LEN {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 30 {
            0 => sample.extend_from_slice(&state.to_le_bytes()),
            1 => sample.extend_from_slice(b"function render(state) { return "),
            _ => {
                let _ = write!(sample, "<p class=\"n{}\">", (state >> 20) & 63);
            }
        }
    }
    sample.truncate(LEN);
    sample
}
