//! Sources and shortcuts for the tests of encoders.

use super::traits::Encoder;
use crate::error::Error;
use crate::limits::PIECE;

/// Encodes all of `source`.
pub(super) fn encode(encoder: &dyn Encoder, source: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let mut encoding = encoder.begin(source.len() as u64)?;
    for piece in source.chunks(PIECE) {
        encoding.write(piece, &mut out)?;
    }
    encoding.finish(&mut out)?;
    Ok(out)
}

/// Decodes all of `coded`, written in pieces of `cut` bytes.
pub(super) fn decode(encoder: &dyn Encoder, coded: &[u8], cut: usize) -> Result<Vec<u8>, Error> {
    let mut decoding = encoder.decoder().expect("built-in encoders have a decoder");
    let mut decoded = Vec::new();
    for piece in coded.chunks(cut) {
        decoding.write(piece, &mut |bytes| decoded.extend_from_slice(bytes))?;
    }
    decoding.finish(&mut |bytes| decoded.extend_from_slice(bytes))?;
    Ok(decoded)
}

/// Decodes `coded`, which need not be complete, as far as it goes.
#[cfg(feature = "brotli")]
pub(super) fn decode_some(encoder: &dyn Encoder, coded: &[u8]) -> Result<Vec<u8>, Error> {
    let mut decoding = encoder.decoder().expect("built-in encoders have a decoder");
    let mut decoded = Vec::new();
    decoding.write(coded, &mut |bytes| decoded.extend_from_slice(bytes))?;
    Ok(decoded)
}

/// Markup with the words of a made-up language.
pub(super) fn text(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut text = Vec::with_capacity(len + 64);
    while text.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = (state >> 8).trailing_zeros() * 41 + (state >> 20) % 97;
        text.extend_from_slice(format!("<li id=w{word}>{:x}</li>\n", word * word * 31).as_bytes());
    }
    text.truncate(len);
    text
}

/// A program: short runs of structure between bytes that look like chance.
pub(super) fn binary(len: usize) -> Vec<u8> {
    let mut state = 0x1234_5678_u32;
    let mut bytes = Vec::with_capacity(len + 16);
    while bytes.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 29 {
            0 | 1 => bytes.extend_from_slice(&[0x48, 0x8b, (state >> 8) as u8 & 0x7f, 0x24]),
            2 => bytes.extend_from_slice(&(state & 0x3ff).to_le_bytes()),
            3 => bytes.extend_from_slice(&[0; 12]),
            _ => bytes.extend_from_slice(&state.to_le_bytes()[1..]),
        }
    }
    bytes.truncate(len);
    bytes
}

/// Bytes that no encoder shortens.
pub(super) fn random(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(len)
    .collect()
}

pub(super) fn zeros(len: usize) -> Vec<u8> {
    vec![0; len]
}
