//! The traits of encoders and decoders, and the settings of an encoder.

use std::borrow::Cow;
use std::fmt;

use crate::error::Error;

/// An algorithm that produces one content coding, with all its settings fixed.
///
/// Two encodings of the same source must produce the same bytes, on every machine that derives the
/// same id from its [`settings`](Self::settings) and its output for a sample.
pub trait Encoder: fmt::Debug + Send + Sync + 'static {
    /// Returns everything that decides about the output bytes.
    fn settings(&self) -> Settings;

    /// Starts encoding a source of exactly `source_len` bytes.
    ///
    /// # Errors
    ///
    /// If the encoder cannot be set up.
    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error>;

    /// Starts a decoder of the output of [`begin`](Self::begin), for the proof that every encode
    /// passes before it is published. Another implementation than the encoder's proves most.
    ///
    /// `None` says that the output cannot be decoded here; then only the source's bytes are
    /// checked.
    fn decoder(&self) -> Option<Box<dyn Decoding>>;
}

/// An encoding of one source.
pub trait Encoding: Send {
    /// Encodes the next piece of the source and appends the output that there is to `out`. Every
    /// piece but the last has [`PIECE`] bytes.
    ///
    /// # Errors
    ///
    /// If the encoder fails, or the piece reaches beyond the length told at the start or follows
    /// one shorter than [`PIECE`]; the encoding is then of no further use. An error of the kind
    /// [`Busy`](crate::ErrorKind::Busy) before any output lets the next request try again.
    ///
    /// [`PIECE`]: crate::codec::PIECE
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error>;

    /// Appends the rest of the output to `out`.
    ///
    /// # Errors
    ///
    /// If the encoder fails, or was not fed as many bytes as it was told at the start.
    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error>;
}

/// A decoding of one encoder's output.
pub trait Decoding: Send {
    /// Decodes the next coded bytes, cut anywhere, and hands the result to `sink`, in order and in
    /// any number of calls.
    ///
    /// # Errors
    ///
    /// If the bytes are not of the coding, or go on beyond its end.
    fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error>;

    /// Ends the decoding.
    ///
    /// # Errors
    ///
    /// If the coded bytes are not complete.
    fn finish(self: Box<Self>, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error>;

    /// Has [`write`](Self::write) fail soon after more than `bytes` bytes have come out, so that
    /// damaged input cannot decode for hours. Called before the first write.
    ///
    /// Does nothing by default; the proof then stops between two writes only.
    fn limit(&mut self, bytes: u64) {
        let _ = bytes;
    }
}

/// The settings that decide about an encoder's output bytes.
///
/// Every entry holds them as text, and the encoder's id is derived
/// from that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The implementation's name, such as `libzstd`.
    pub encoder: Cow<'static, str>,
    /// The implementation's version at run time, or its series such as `0.5` where it tells none.
    pub version: Cow<'static, str>,
    /// All other settings by name: level, window, flush schedule.
    pub parameters: Vec<(&'static str, i64)>,
}

impl Settings {
    /// Formats the settings as one line for people and for hashing, such as
    /// `libzstd 1.5.7 level=3 window_log=23`.
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
