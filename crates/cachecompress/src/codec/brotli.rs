//! The `br` coding, RFC 7932.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use brotli_decompressor::{
    BrotliDecompressStreamWithDictionary, BrotliResult, BrotliState, StandardAlloc,
};
use mbrotli::{
    Compressor, EncoderConfig, EncoderSessionOwned, EncoderStatus, InputSize, Operation, Quality,
    RetentionPolicy, Window,
};

use super::decoded_limit::DecodedLimit;
use super::feed::Feed;
use super::pool::Pool;
use super::traits::{Decoding, Encoder, Encoding, Settings};
use crate::error::{Error, ErrorKind};
use crate::limits::{
    BROTLI_FIRST_FLUSH, BROTLI_FLUSH_ABOVE, BROTLI_FLUSH_EVERY, BROTLI_WINDOW_LOG, CONTEXT_BYTES,
};

/// The revision of the output, raised whenever an update changes any of it. `mbrotli` tells no
/// version at run time that the id could hold. A test keeps the digest of the output.
const REVISION: i64 = 1;

/// The length in bytes of the buffer between brotli and the output.
const BUFFER: usize = 64 * 1024;

/// `br` by `mbrotli`.
///
/// - The window has 22 bits, and is never the large one of RFC 9841.
/// - Sources over 1 MiB are flushed after 128 KiB and then after every MiB, because brotli alone
///   gathers 8 MiB before it emits a byte.
#[derive(Debug)]
pub struct Brotli {
    level: i32,
    quality: Quality,
    idle: Arc<Pool<Context>>,
}

struct Context {
    compressor: Compressor,
    buffer: Box<[u8]>,
}

impl Brotli {
    /// The default level.
    pub const DEFAULT_LEVEL: i32 = 5;

    /// Creates an encoder for a level (brotli calls it quality) from 0 (fastest) to 11
    /// (smallest).
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) for any other level.
    pub fn new(level: i32) -> Result<Self, Error> {
        let quality = u8::try_from(level).ok().and_then(|level| Quality::try_from(level).ok());
        let Some(quality) = quality else {
            return Err(Error::config(format!(
                "br has no level {level}: choose one from 0 (fastest) to 11 (smallest)"
            )));
        };
        Ok(Self { level, quality, idle: Arc::new(Pool::new()) })
    }

    fn context(&self) -> Result<Context, Error> {
        if let Some(context) = self.idle.take() {
            return Ok(context);
        }
        let window = Window::standard(BROTLI_WINDOW_LOG)
            .map_err(|cause| failed("brotli refuses its window").with_cause(cause))?;
        let config = EncoderConfig::default().with_quality(self.quality).with_window(window);
        let retention = RetentionPolicy::Bounded { max_bytes: CONTEXT_BYTES };
        let compressor = Compressor::builder(config)
            .with_retention(retention)
            .build()
            .map_err(|cause| failed("brotli refuses its settings").with_cause(cause))?;
        Ok(Context { compressor, buffer: vec![0; BUFFER].into_boxed_slice() })
    }
}

impl Encoder for Brotli {
    fn settings(&self) -> Settings {
        Settings {
            encoder: Cow::Borrowed("mbrotli"),
            version: Cow::Borrowed("0.5"),
            parameters: vec![
                ("level", i64::from(self.level)),
                ("revision", REVISION),
                ("window_log", i64::from(BROTLI_WINDOW_LOG)),
                ("flush_above", BROTLI_FLUSH_ABOVE as i64),
                ("first_flush", BROTLI_FIRST_FLUSH as i64),
                ("flush_every", BROTLI_FLUSH_EVERY as i64),
            ],
        }
    }

    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error> {
        let Context { compressor, buffer } = self.context()?;
        let session = compressor
            .into_session(InputSize::Exact(source_len).into())
            .map_err(|cause| failed("brotli cannot begin").with_cause(cause))?;
        Ok(Box::new(BrotliEncoding {
            feed: Feed::new(source_len),
            schedule: Schedule { source_len, offset: 0 },
            session: Some(session),
            buffer,
            idle: Some(Arc::clone(&self.idle)),
        }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        Some(Box::new(BrotliDecoding::new()))
    }
}

/// The offsets at which a source is flushed, a function of its length alone.
struct Schedule {
    source_len: u64,
    offset: u64,
}

impl Schedule {
    /// Advances by `len` bytes; returns whether to flush there.
    fn advance(&mut self, len: usize) -> bool {
        self.offset += len as u64;
        self.source_len > BROTLI_FLUSH_ABOVE
            && self.offset < self.source_len
            && (self.offset == BROTLI_FIRST_FLUSH || self.offset.is_multiple_of(BROTLI_FLUSH_EVERY))
    }
}

/// An encoding of one source by `mbrotli`.
pub(super) struct BrotliEncoding {
    feed: Feed,
    schedule: Schedule,
    /// `Some` until the encoding is dropped.
    session: Option<EncoderSessionOwned>,
    buffer: Box<[u8]>,
    /// The place that the context is for, if another encoding may use it.
    idle: Option<Arc<Pool<Context>>>,
}

impl BrotliEncoding {
    /// Encodes a source of `source_len` bytes in `session`, which no other encoding uses afterwards.
    pub(super) fn alone(session: EncoderSessionOwned, source_len: u64) -> Self {
        Self {
            feed: Feed::new(source_len),
            schedule: Schedule { source_len, offset: 0 },
            session: Some(session),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            idle: None,
        }
    }

    /// Runs `operation` on `piece` to its end.
    fn run(
        &mut self,
        mut piece: &[u8],
        operation: Operation,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let session = self.session.as_mut().ok_or_else(|| failed("the brotli context is gone"))?;
        loop {
            let progress = session
                .process(piece, &mut self.buffer, operation)
                .map_err(|cause| failed("brotli failed").with_cause(cause))?;
            piece = &piece[progress.consumed..];
            out.extend_from_slice(&self.buffer[..progress.produced]);
            match progress.status {
                EncoderStatus::Finished => return Ok(()),
                EncoderStatus::NeedsInput if piece.is_empty() && operation != Operation::Finish => {
                    return Ok(());
                }
                _ if progress.consumed == 0 && progress.produced == 0 => {
                    return Err(failed("brotli makes no progress"));
                }
                _ => {}
            }
        }
    }
}

impl Encoding for BrotliEncoding {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.take(piece)?;
        self.run(piece, Operation::Process, out)?;
        if self.schedule.advance(piece.len()) {
            self.run(&[], Operation::Flush, out)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.finish()?;
        self.run(&[], Operation::Finish, out)
    }
}

impl Drop for BrotliEncoding {
    fn drop(&mut self) {
        if let Some(idle) = &self.idle
            && let Some(session) = self.session.take()
        {
            let buffer = std::mem::take(&mut self.buffer);
            let compressor = session.into_compressor();
            let bytes = compressor.retained_bytes();
            idle.give(Context { compressor, buffer }, bytes);
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

pub(super) fn failed(message: &'static str) -> Error {
    Error::new(ErrorKind::Encoder, message)
}

/// Begins a decoder of any encoder's output.
pub(super) fn decoder() -> Box<dyn Decoding> {
    Box::new(BrotliDecoding::new())
}

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// A decoding of one stream by `brotli-decompressor`.
pub(super) struct BrotliDecoding {
    state: Box<State>,
    /// The dictionary, which may be empty.
    dictionary: Arc<[u8]>,
    buffer: Box<[u8]>,
    ended: bool,
    limit: DecodedLimit,
}

impl BrotliDecoding {
    fn new() -> Self {
        Self::with_dictionary(Arc::default())
    }

    /// Begins a decoding of a stream that refers to `dictionary` (RFC 9841).
    pub(super) fn with_dictionary(dictionary: Arc<[u8]>) -> Self {
        let alloc = StandardAlloc::default;
        // Strict: RFC 9841's larger windows are neither `br` nor `dcb`.
        let mut state = Box::new(State::new_strict(alloc(), alloc(), alloc()));
        if !dictionary.is_empty() {
            // Each write lends its bytes. One that lends others than were attached fails.
            state.attach_external_dictionary(dictionary.len());
        }
        Self {
            state,
            dictionary,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            ended: false,
            limit: DecodedLimit::NONE,
        }
    }
}

impl Decoding for BrotliDecoding {
    fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let (mut left, mut at) = (coded.len(), 0);
        while !self.ended {
            let (mut space, mut written, mut total) = (self.buffer.len(), 0, 0);
            let result = BrotliDecompressStreamWithDictionary(
                &mut left,
                &mut at,
                coded,
                &mut space,
                &mut written,
                &mut self.buffer,
                &mut total,
                &self.dictionary,
                &mut self.state,
            );
            self.limit.spend(written)?;
            if written > 0 {
                sink(&self.buffer[..written]);
            }
            match result {
                BrotliResult::ResultSuccess => self.ended = true,
                // With a full buffer it may ask for input and still hold output back.
                BrotliResult::NeedsMoreInput if written < self.buffer.len() => return Ok(()),
                BrotliResult::NeedsMoreInput => {}
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultFailure => return Err(failed("a broken brotli stream")),
            }
        }
        if left > 0 {
            return Err(failed("something follows the end of the brotli stream"));
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if !self.ended {
            return Err(failed("the brotli stream is not complete"));
        }
        Ok(())
    }

    fn limit(&mut self, bytes: u64) {
        self.limit = DecodedLimit::new(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{decode_some, text};
    use super::*;
    use crate::limits::PIECE;

    /// Returns the bits of the window, RFC 7932 §9.1: the first bits of the stream are WBITS.
    /// 0010001 is reserved, and RFC 9841 put its large window there.
    fn window_bits(first: u8) -> Option<u8> {
        match (first & 1, first >> 1 & 7, first >> 4 & 7) {
            (0, ..) => Some(16),
            (_, 0, 0) => Some(17),
            (_, 0, 1) => None,
            (_, 0, n) => Some(8 + n),
            (_, n, _) => Some(17 + n),
        }
    }

    #[test]
    fn window_is_no_large_one_at_any_level() -> Result<(), Error> {
        let source = text(300_000);
        for level in 0..=11 {
            let mut out = Vec::new();
            let mut encoding = Brotli::new(level)?.begin(40 << 20)?;
            for piece in source.chunks_exact(PIECE) {
                encoding.write(piece, &mut out)?;
            }
            let bits = window_bits(out[0]);
            assert!(bits.is_some_and(|bits| bits <= 24), "level {level}: {bits:?}");
        }
        Ok(())
    }

    #[test]
    fn large_source_is_flushed_at_fixed_offsets() -> Result<(), Error> {
        let source = text(3 << 20);
        let encoder = Brotli::new(Brotli::DEFAULT_LEVEL)?;
        let mut encoding = encoder.begin(source.len() as u64)?;
        let mut out = Vec::new();
        let mut offset = 0;
        for piece in source.chunks(PIECE) {
            encoding.write(piece, &mut out)?;
            offset += piece.len();
            if (offset == 128 << 10 || offset % (1 << 20) == 0) && offset < source.len() {
                let decoded = decode_some(&encoder, &out)?;
                assert_eq!(decoded.len(), offset, "all of the source so far decodes");
            }
        }
        Ok(())
    }

    #[test]
    fn small_source_is_never_flushed() -> Result<(), Error> {
        let source = text(1 << 20);
        let mut schedule = Schedule { source_len: source.len() as u64, offset: 0 };
        assert!(source.chunks(PIECE).all(|piece| !schedule.advance(piece.len())));
        Ok(())
    }

    #[test]
    fn contexts_are_reused() -> Result<(), Error> {
        let encoder = Brotli::new(5)?;
        drop(encoder.begin(10)?);
        assert_eq!(encoder.idle.len(), 1);
        let one = encoder.begin(10)?;
        let two = encoder.begin(10)?;
        assert_eq!(encoder.idle.len(), 0);
        drop((one, two));
        assert_eq!(encoder.idle.len(), 2);
        Ok(())
    }
}
