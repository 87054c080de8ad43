//! Encoders, and the decoders that prove them.
//!
//! An [`Encoder`] describes how one content coding is produced; [`Encoder::begin`] starts one
//! encoding of one source. The built-in ones are `Gzip`, `Deflate`, `Brotli` and `Zstd`, each
//! there if its cargo feature is. [`Codecs`] is the set of those in use, each with its
//! [`EncoderId`]; [`Proof`] decodes again what an encoding emits, and digests it.

mod proof;
mod registry;

#[cfg(feature = "brotli")]
mod brotli;
#[cfg(feature = "gzip")]
mod deflate;
#[cfg(any(feature = "brotli", feature = "gzip", feature = "zstd"))]
mod feed;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(any(feature = "brotli", feature = "gzip", feature = "zstd"))]
mod limit;
#[cfg(any(feature = "brotli", feature = "gzip", feature = "zstd"))]
mod pool;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(all(test, any(feature = "brotli", feature = "gzip", feature = "zstd")))]
mod conformance;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::error::Error;
use crate::http::{Digest, EncoderId};

#[cfg(feature = "brotli")]
pub use brotli::Brotli;
#[cfg(feature = "gzip")]
pub use deflate::Deflate;
#[cfg(feature = "gzip")]
pub use gzip::Gzip;
pub use proof::Proof;
pub use registry::{Codec, Codecs, CodecsBuilder, Preference};
#[cfg(feature = "zstd")]
pub use zstd::Zstd;

/// How many source bytes an encoding is fed at a time, always at multiples of this offset; only
/// the last piece is shorter. Some encoders' output depends on the sizes they are fed.
pub const PIECE: usize = 64 * 1024;

/// One way to produce one content coding: an algorithm with all its settings fixed.
///
/// Two encodings that the same encoder begins for the same bytes must produce the same bytes,
/// on every machine that derives the same [`EncoderId`] for it.
pub trait Encoder: fmt::Debug + Send + Sync + 'static {
    /// Everything that decides about the output bytes.
    fn settings(&self) -> Settings;

    /// Starts encoding a source of exactly `source_len` bytes.
    ///
    /// # Errors
    ///
    /// If the encoder cannot be set up, or knows nothing of dictionaries and one was given.
    fn begin(
        &self,
        source_len: u64,
        dictionary: Option<&Dictionary>,
    ) -> Result<Box<dyn Encoding>, Error>;

    /// Starts a decoder for what [`begin`](Self::begin) produces, for the proof that every
    /// encode passes before it is published: best another implementation than the encoder's.
    ///
    /// `None`: the output cannot be decoded here; then only the source's bytes are checked.
    fn decoder(&self, dictionary: Option<&Dictionary>) -> Option<Box<dyn Decoding>>;
}

/// One encoding under way.
pub trait Encoding: Send {
    /// Takes the next piece of the source (of [`PIECE`] bytes but for the last) and appends
    /// what output there is to `out`.
    ///
    /// # Errors
    ///
    /// If the encoder fails, the piece reaches beyond the length told at the start, or follows
    /// one shorter than [`PIECE`]; the encoding is then of no further use. After an error of the
    /// kind [`Busy`](crate::ErrorKind::Busy), before there was any output, the next request for it
    /// tries again.
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error>;

    /// Appends the rest of the output to `out`.
    ///
    /// # Errors
    ///
    /// If the encoder fails, or was not fed as many bytes as it was told at the start.
    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error>;

    /// Offers up to `threads` threads beside the one that feeds it, at least 1, for which there
    /// are cores; returns how many it takes, which it starts and ends itself. Its output must not
    /// depend on their number. Called before the first write; takes none unless overridden.
    fn spread(&mut self, threads: usize) -> usize {
        let _ = threads;
        0
    }

    /// Whether threads of its own are behind, so that the next write or, once all of the source is
    /// written, the finish would wait for them; `false` unless overridden.
    fn is_behind(&self) -> bool {
        false
    }

    /// Waits for a part of what is behind, and appends what has come of it; not called unless
    /// something [`is_behind`](Self::is_behind).
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    fn wait(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let _ = out;
        Ok(())
    }
}

/// One decoding under way.
pub trait Decoding: Send {
    /// Takes the next coded bytes, cut anywhere, and hands what they decode to to `sink`, in
    /// order and in as many calls as it likes.
    ///
    /// # Errors
    ///
    /// If the bytes are not of the coding, or go on behind its end.
    fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error>;

    /// Ends the decoding.
    ///
    /// # Errors
    ///
    /// If the coded bytes are not complete.
    fn finish(self: Box<Self>, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error>;

    /// Asks that [`write`](Self::write) fail soon after more than `bytes` have come out, so
    /// that coded bytes gone wrong cannot decode for hours. Called before the first write; does
    /// nothing unless overridden, and [`Proof`] then stops only between two writes.
    fn limit(&mut self, bytes: u64) {
        let _ = bytes;
    }
}

/// What decides about an encoder's output bytes; written into every entry, hashed into the
/// [`EncoderId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The implementation's name, such as `libzstd`.
    pub encoder: Cow<'static, str>,
    /// Its version at run time, or its series such as `0.5` where it has none to tell.
    pub version: Cow<'static, str>,
    /// Everything else, by name: level, window, flush schedule, worker mode.
    pub parameters: Vec<(&'static str, i64)>,
}

/// Bytes that encoder and decoder both know before they start (RFC 9842).
#[derive(Clone, Debug)]
pub struct Dictionary {
    /// The SHA-256 of `bytes`.
    pub digest: Digest,
    /// The dictionary itself.
    pub bytes: Bytes,
}

impl Settings {
    /// One line for people and for hashing: `libzstd 1.5.7 level=3 window_log=23`.
    #[must_use]
    pub fn describe(&self) -> String {
        use fmt::Write as _;

        let mut text = format!("{} {}", self.encoder, self.version);
        for (name, value) in &self.parameters {
            let _ = write!(text, " {name}={value}");
        }
        text
    }
}

/// Derives the id of `encoder` with `dictionary`: settings, piece size and the output for a
/// fixed sample.
///
/// # Errors
///
/// If the encoder fails on the sample.
pub fn encoder_id(
    encoder: &dyn Encoder,
    dictionary: Option<&Dictionary>,
) -> Result<EncoderId, Error> {
    let mut description = encoder.settings().describe().into_bytes();
    description.extend_from_slice(&(PIECE as u64).to_le_bytes());
    if let Some(dictionary) = dictionary {
        description.extend_from_slice(dictionary.digest.as_bytes());
    }
    let sample = sample();
    let mut out = Vec::new();
    let mut encoding = encoder.begin(sample.len() as u64, dictionary)?;
    for piece in sample.chunks(PIECE) {
        encoding.write(piece, &mut out)?;
    }
    encoding.finish(&mut out)?;
    Ok(EncoderId::derive(&description, &out))
}

/// One piece and a half, that exercise literals, matches and both, and reach beyond the windows
/// and blocks of the formats. The slowest built-in encoder takes a tenth of a second for it.
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
