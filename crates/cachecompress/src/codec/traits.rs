//! The traits of encoders and decoders, and the settings of an encoder.

use std::borrow::Cow;
use std::fmt;

use crate::error::Error;

/// One way to produce one content coding: an algorithm with all its settings fixed.
///
/// Two encodings that the same encoder begins for the same bytes must produce the same bytes,
/// on every machine that derives the same [`EncoderId`] for it.
///
/// [`EncoderId`]: crate::semantics::EncoderId
pub trait Encoder: fmt::Debug + Send + Sync + 'static {
    /// Everything that decides about the output bytes.
    fn settings(&self) -> Settings;

    /// Starts encoding a source of exactly `source_len` bytes.
    ///
    /// # Errors
    ///
    /// If the encoder cannot be set up.
    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error>;

    /// Starts a decoder for what [`begin`](Self::begin) produces, for the proof that every
    /// encode passes before it is published: best another implementation than the encoder's.
    ///
    /// `None`: the output cannot be decoded here; then only the source's bytes are checked.
    fn decoder(&self) -> Option<Box<dyn Decoding>>;
}

/// One encoding under way.
pub trait Encoding: Send {
    /// Takes the next piece of the source (of [`PIECE`](crate::codec::PIECE) bytes but for the last) and appends
    /// what output there is to `out`.
    ///
    /// # Errors
    ///
    /// If the encoder fails, the piece reaches beyond the length told at the start, or follows
    /// one shorter than [`PIECE`](crate::codec::PIECE); the encoding is then of no further use. After an error of the
    /// kind [`Busy`](crate::ErrorKind::Busy), before there was any output, the next request for it
    /// tries again.
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error>;

    /// Appends the rest of the output to `out`.
    ///
    /// # Errors
    ///
    /// If the encoder fails, or was not fed as many bytes as it was told at the start.
    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error>;
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
    /// nothing unless overridden, and [`Proof`](crate::codec::Proof) then stops only between two writes.
    fn limit(&mut self, bytes: u64) {
        let _ = bytes;
    }
}

/// What decides about an encoder's output bytes; written into every entry, hashed into the
/// [`EncoderId`](crate::semantics::EncoderId).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The implementation's name, such as `libzstd`.
    pub encoder: Cow<'static, str>,
    /// Its version at run time, or its series such as `0.5` where it has none to tell.
    pub version: Cow<'static, str>,
    /// Everything else, by name: level, window, flush schedule, worker mode.
    pub parameters: Vec<(&'static str, i64)>,
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
