//! The `zstd` coding, RFC 8878, with the window of RFC 9659.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zrip_core::dict::Dictionary;
use zrip_decode::streaming::FrameDecoder;
use zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

use super::decoded_limit::DecodedLimit;
use super::feed::Feed;
use super::id::JOBS_FROM;
use super::pool::Pool;
use super::traits::{Decoding, Encoder, Encoding, Settings};
use crate::error::{Error, ErrorKind};
use crate::limits::{ZSTD_LEVEL_OF_LARGEST_WINDOW, ZSTD_WINDOW_LOG_MAX};

/// The length of the longest block, decoded, in bytes: RFC 8878 §3.1.1.2.4.
const BLOCK: usize = 128 * 1024;

/// Frozen parameters of the id: the least length in bytes of sources that libzstd's worker threads
/// formerly encoded in jobs, and the lengths of a job and of the first job. The encoder reads none
/// of them. The id is derived from their text, and another id would void the entries of all
/// sources.
const FROZEN_JOBS_FROM: i64 = 16 << 20;
const FROZEN_JOB: i64 = 4 << 20;
const FROZEN_FIRST_JOB: i64 = 256 << 10;

/// `zstd` by libzstd.
///
/// - One frame, with content size and checksum, without a dictionary id.
/// - The window is never larger than 8 MiB (RFC 9659), nor than the source needs.
/// - No long-distance matching, no worker threads, no flushes: libzstd emits a block for every
///   128 KiB of source.
#[derive(Debug)]
pub struct Zstd {
    level: i32,
    idle: Arc<Pool<Context>>,
}

/// A context of libzstd and the buffer that it writes to.
struct Context {
    zstd: CCtx<'static>,
    buffer: Box<[u8]>,
}

impl Zstd {
    /// The default level.
    pub const DEFAULT_LEVEL: i32 = 3;

    /// Creates an encoder for a level from 1 (fastest) to 22 (smallest).
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) for any other level.
    pub fn new(level: i32) -> Result<Self, Error> {
        if !(1..=22).contains(&level) {
            return Err(Error::config(format!(
                "zstd has no level {level} here: choose one from 1 (fastest) to 22 (smallest)"
            )));
        }
        Ok(Self { level, idle: Arc::new(Pool::new()) })
    }

    fn has_largest_window(&self) -> bool {
        self.level >= ZSTD_LEVEL_OF_LARGEST_WINDOW
    }
}

impl Encoder for Zstd {
    fn settings(&self) -> Settings {
        // Levels with the largest window never had jobs.
        let jobs_from = if self.has_largest_window() { 0 } else { FROZEN_JOBS_FROM };
        Settings {
            encoder: Cow::Borrowed("libzstd"),
            version: Cow::Borrowed(zstd_safe::version_string()),
            parameters: vec![
                ("level", i64::from(self.level)),
                ("window_log_max", i64::from(ZSTD_WINDOW_LOG_MAX)),
                ("checksum", 1),
                ("content_size", 1),
                ("long_distance", 0),
                (JOBS_FROM, jobs_from),
                ("job", FROZEN_JOB),
                ("first_job", FROZEN_FIRST_JOB),
            ],
        }
    }

    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error> {
        let mut context = self.idle.take().map_or_else(Context::new, Ok)?;
        let zstd = &mut context.zstd;
        zstd.reset(ResetDirective::SessionAndParameters).map_err(failed)?;
        zstd.set_parameter(CParameter::CompressionLevel(self.level)).map_err(failed)?;
        if self.has_largest_window() {
            zstd.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG_MAX)).map_err(failed)?;
        }
        // Long-distance matching stays at its default: libzstd turns it on for windows of 128 MiB
        // only, and "false" would mean the same.
        zstd.set_parameter(CParameter::ChecksumFlag(true)).map_err(failed)?;
        zstd.set_parameter(CParameter::ContentSizeFlag(true)).map_err(failed)?;
        zstd.set_parameter(CParameter::DictIdFlag(false)).map_err(failed)?;
        zstd.set_pledged_src_size(Some(source_len)).map_err(failed)?;
        Ok(Box::new(ZstdEncoding {
            feed: Feed::new(source_len),
            context: Some(context),
            idle: Arc::clone(&self.idle),
        }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        Some(Box::new(ZstdDecoding::new()))
    }
}

impl Context {
    fn new() -> Result<Self, Error> {
        let zstd = CCtx::try_create()
            .ok_or_else(|| Error::new(ErrorKind::Busy, "libzstd has no memory for a context"))?;
        Ok(Self { zstd, buffer: vec![0; CCtx::out_size()].into_boxed_slice() })
    }
}

/// Encodes all of `piece` by way of `buffer`, and appends the blocks that are whole.
pub(super) fn write(
    zstd: &mut CCtx<'_>,
    buffer: &mut [u8],
    piece: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut input = InBuffer::around(piece);
    loop {
        let mut output = OutBuffer::around(&mut buffer[..]);
        zstd.compress_stream(&mut output, &mut input).map_err(failed)?;
        let written = output.pos();
        out.extend_from_slice(&buffer[..written]);
        if written == buffer.len() {
            continue;
        }
        // Only a full output keeps libzstd from taking all of the input.
        return match input.pos() == piece.len() {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Encoder, "libzstd makes no progress")),
        };
    }
}

/// Appends the last blocks and the checksum.
pub(super) fn finish(
    zstd: &mut CCtx<'_>,
    buffer: &mut [u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    loop {
        let mut output = OutBuffer::around(&mut buffer[..]);
        let left = zstd.end_stream(&mut output).map_err(failed)?;
        let written = output.pos();
        out.extend_from_slice(&buffer[..written]);
        if left == 0 {
            return Ok(());
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

struct ZstdEncoding {
    feed: Feed,
    /// `Some` until the encoding is dropped.
    context: Option<Context>,
    idle: Arc<Pool<Context>>,
}

impl Encoding for ZstdEncoding {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.take(piece)?;
        let Context { zstd, buffer } = self.context.as_mut().ok_or_else(gone)?;
        write(zstd, buffer, piece, out)
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.finish()?;
        let Context { zstd, buffer } = self.context.as_mut().ok_or_else(gone)?;
        finish(zstd, buffer, out)
    }
}

impl Drop for ZstdEncoding {
    fn drop(&mut self) {
        if let Some(context) = self.context.take() {
            let bytes = context.zstd.sizeof();
            self.idle.give(context, bytes);
        }
    }
}

/// Turns a code of libzstd into an error.
pub(super) fn failed(code: usize) -> Error {
    let no_memory = ZSTD_ErrorCode::ZSTD_error_memory_allocation as usize;
    let is_busy = code == no_memory.wrapping_neg();
    let kind = if is_busy { ErrorKind::Busy } else { ErrorKind::Encoder };
    Error::new(kind, format!("libzstd failed: {}", zstd_safe::get_error_name(code)))
}

fn gone() -> Error {
    Error::new(ErrorKind::Encoder, "the zstd context is gone")
}

/// Begins a decoder of any encoder's output that browsers read: one frame, with a window of at most 8 MiB.
pub(super) fn decoder() -> Box<dyn Decoding> {
    Box::new(ZstdDecoding::new())
}

/// A decoding of one frame by `zrip`, which reads whole blocks from [`Coded`].
pub(super) struct ZstdDecoding {
    frame: FrameDecoder<Coded>,
    coded: Coded,
    decoded: Box<[u8]>,
    /// The beginning of a header or block that is not complete yet.
    pending: Vec<u8>,
    next: Next,
    checksum: bool,
    limit: DecodedLimit,
    /// The largest window that a frame may declare, in bytes.
    max_window: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Header,
    Block,
    Nothing,
}

/// The bytes that the decoder has not read yet: the frame's header, until the first block is
/// complete, and one block.
#[derive(Clone, Default)]
struct Coded(Arc<Mutex<VecDeque<u8>>>);

impl Coded {
    fn lock(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Coded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buffer)
    }
}

impl ZstdDecoding {
    fn new() -> Self {
        let coded = Coded::default();
        // `limit` counts the output.
        let frame = FrameDecoder::with_limit(coded.clone(), usize::MAX);
        Self::of(frame, coded, 1 << ZSTD_WINDOW_LOG_MAX)
    }

    /// Begins a decoding of a frame that refers to `dictionary` and declares a window of at most
    /// `max_window` bytes.
    pub(super) fn with_dictionary(dictionary: Dictionary, max_window: u64) -> Self {
        let coded = Coded::default();
        let frame = FrameDecoder::with_dict_and_limit(coded.clone(), dictionary, usize::MAX);
        Self::of(frame, coded, max_window)
    }

    fn of(frame: FrameDecoder<Coded>, coded: Coded, max_window: u64) -> Self {
        Self {
            frame,
            coded,
            decoded: vec![0; BLOCK].into_boxed_slice(),
            pending: Vec::new(),
            next: Next::Header,
            checksum: false,
            limit: DecodedLimit::NONE,
            max_window,
        }
    }

    /// Returns the length of the header or block that begins with `bytes`. Where `bytes` are too
    /// few to tell, it returns the least length of bytes that tell more.
    fn unit_len(&self, bytes: &[u8]) -> usize {
        match (self.next, bytes) {
            (Next::Header, [_, _, _, _, descriptor, ..]) => frame_header_len(*descriptor),
            (Next::Header, _) => 5,
            (Next::Block, [a, b, c, ..]) => {
                let header = u32::from_le_bytes([*a, *b, *c, 0]);
                let size = (header >> 3) as usize;
                // RFC 8878 §3.1.1.2.2: a block of type 1 repeats one byte.
                let content = if header >> 1 & 3 == 1 { 1 } else { size };
                // One that is too long is refused by its header, and not gathered.
                let content = if content > BLOCK { 0 } else { content };
                let checksum = if header & 1 == 1 && self.checksum { 4 } else { 0 };
                3 + content + checksum
            }
            (Next::Block, _) => 3,
            (Next::Nothing, _) => 0,
        }
    }

    fn unit(&mut self, unit: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        match self.next {
            Next::Header => self.header(unit),
            Next::Block => self.block(unit, sink),
            Next::Nothing => Err(wrong("something follows the end of the zstd frame")),
        }
    }

    fn header(&mut self, unit: &[u8]) -> Result<(), Error> {
        if window(unit) > self.max_window {
            return Err(wrong("a zstd frame needs a larger window than clients have"));
        }
        self.checksum = unit[4] & 0b100 != 0;
        self.coded.lock().extend(unit);
        self.next = Next::Block;
        Ok(())
    }

    fn block(&mut self, unit: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let header = u32::from_le_bytes([unit[0], unit[1], unit[2], 0]);
        if header >> 1 & 3 != 1 && (header >> 3) as usize > BLOCK {
            return Err(wrong("a zstd block is longer than 128 KiB"));
        }
        self.coded.lock().extend(unit);
        let len = self.decode()?;
        sink(&self.decoded[..len]);
        self.limit.spend(len)?;
        if unit[0] & 1 == 1 {
            self.next = Next::Nothing;
            // The decoder checks the checksum and finds the end.
            self.decode()?;
        }
        Ok(())
    }

    /// Decodes a block, of at most [`BLOCK`] bytes, or finds the end.
    fn decode(&mut self) -> Result<usize, Error> {
        let read = self.frame.read(&mut self.decoded);
        read.map_err(|cause| wrong("a broken zstd frame").with_cause(cause))
    }
}

/// Returns the window in bytes that a frame's header declares, RFC 8878 §3.1.1.1.2.
fn window(header: &[u8]) -> u64 {
    let descriptor = header[4];
    if descriptor & 0b10_0000 == 0 {
        let base = 1_u64 << (10 + (header[5] >> 3));
        return base + base / 8 * u64::from(header[5] & 7);
    }
    let mut size = [0; 8];
    let len = 1 << (descriptor >> 6);
    size[..len].copy_from_slice(&header[5..5 + len]);
    u64::from_le_bytes(size) + if len == 2 { 256 } else { 0 }
}

/// Returns the length of a frame's header, RFC 8878 §3.1.1.1: magic, descriptor, window, dictionary
/// id, content size.
fn frame_header_len(descriptor: u8) -> usize {
    let single_segment = descriptor & 0b10_0000 != 0;
    let window = usize::from(!single_segment);
    let dictionary_id = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(single_segment),
        flag => 1 << flag,
    };
    4 + 1 + window + dictionary_id + content_size
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::Encoder, message)
}

impl Decoding for ZstdDecoding {
    fn write(&mut self, mut coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        while !coded.is_empty() {
            if self.pending.is_empty() {
                let len = self.unit_len(coded);
                if let Some((unit, rest)) = coded.split_at_checked(len) {
                    self.unit(unit, sink)?;
                    coded = rest;
                    continue;
                }
            }
            let wanted = self.unit_len(&self.pending) - self.pending.len();
            let (more, rest) = coded.split_at(wanted.min(coded.len()));
            self.pending.extend_from_slice(more);
            coded = rest;
            if self.unit_len(&self.pending) == self.pending.len() {
                let mut unit = std::mem::take(&mut self.pending);
                self.unit(&unit, sink)?;
                unit.clear();
                self.pending = unit;
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if self.next != Next::Nothing {
            return Err(wrong("the zstd frame is not complete"));
        }
        Ok(())
    }

    fn limit(&mut self, bytes: u64) {
        self.limit = DecodedLimit::new(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::proof::Proof;
    use super::super::testing::{encode, text};
    use super::*;
    use crate::http::Digest;
    use crate::limits::PIECE;

    /// Sources of this length were encoded in jobs once.
    const LONG: usize = FROZEN_JOBS_FROM as usize;

    /// Browsers reject frames whose window exceeds 8 MiB (RFC 9659), and libzstd's levels from 20
    /// on exceed it for large sources. vite-plugin-compression 93 shipped pages that no browser
    /// could read.
    #[test]
    fn window_is_at_most_8_mib_at_every_level() -> Result<(), Error> {
        let piece = text(PIECE);
        for level in 1..=22 {
            let mut encoding = Zstd::new(level)?.begin(40 << 20)?;
            let mut out = Vec::new();
            while out.len() < 18 {
                encoding.write(&piece, &mut out)?;
            }
            let window = window(&out);
            assert!(window <= 8 << 20, "level {level} declares {window}");
            assert!(level < 17 || window == 8 << 20, "level {level} declares only {window}");
        }
        Ok(())
    }

    #[test]
    fn window_is_no_larger_than_a_short_source() -> Result<(), Error> {
        for level in [1, 3, 19, 22] {
            for len in [0, 1, 255, 256, 5000, 91_000, 200_000] {
                let frame = encode(&Zstd::new(level)?, &text(len))?;
                assert_eq!(window(&frame), len as u64, "level {level}");
            }
        }
        Ok(())
    }

    #[test]
    fn frame_has_content_size_and_checksum() -> Result<(), Error> {
        let source = text(3 << 20);
        let frame = encode(&Zstd::new(3)?, &source)?;
        assert_eq!(zstd_safe::get_frame_content_size(&frame).ok().flatten(), Some(3 << 20));
        assert_eq!(frame[4] & 0b100, 0b100, "the checksum's flag");
        Ok(())
    }

    /// A checksum alone would find neither.
    #[test]
    fn decoding_rejects_a_large_window_and_a_wrong_content_size() -> Result<(), Error> {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3];
        let decode = |frame: &[u8]| {
            let mut decoding = ZstdDecoding::new();
            decoding.write(frame, &mut |_| ()).map_err(|error| error.to_string())
        };
        frame.extend_from_slice(&[0x09, 0, 0, b'x']);
        assert!(decode(&frame).is_err(), "16 MiB");
        frame[5] = 13 << 3;
        assert_eq!(decode(&frame), Ok(()), "8 MiB");

        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, 9, 0x09, 0, 0, b'x'];
        assert!(decode(&frame).is_err_and(|error| error.contains("content size")));
        frame[5] = 1;
        assert_eq!(decode(&frame), Ok(()));
        // A reserved bit, then a skippable frame, which decodes to nothing.
        frame[4] |= 8;
        assert!(decode(&frame).is_err());
        assert!(decode(&[0x50, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0, 0]).is_err());
        Ok(())
    }

    /// RFC 8878 §3.1.1.2.4. The decoder took the bytes of such a block in before it refused it.
    #[test]
    fn decoding_rejects_a_long_block_by_its_header() -> Result<(), Error> {
        for kind in [0_u32, 2] {
            let mut decoding = ZstdDecoding::new();
            // A frame with a window of 1 MiB, and a block that is one byte longer than a block may be.
            let header = ((BLOCK as u32 + 1) << 3 | kind << 1).to_le_bytes();
            let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x50][..], &header[..3]].concat();
            assert!(decoding.write(&frame, &mut |_| ()).is_err(), "type {kind}");
        }
        Ok(())
    }

    #[test]
    fn contexts_are_reused_unless_they_are_large() -> Result<(), Error> {
        let encoder = Zstd::new(3)?;
        encode(&encoder, &text(100_000))?;
        assert_eq!(encoder.idle.len(), 1);
        encode(&encoder, &text(LONG))?;
        assert_eq!(encoder.idle.len(), 1);

        let encoder = Zstd::new(19)?;
        let mut encoding = encoder.begin(LONG as u64 - 1)?;
        encoding.write(&text(PIECE), &mut Vec::new())?;
        drop(encoding);
        assert_eq!(encoder.idle.len(), 0, "dozens of MiB");
        Ok(())
    }

    #[test]
    fn long_source_round_trips() -> Result<(), Error> {
        let source = text(LONG + 12_345);
        for level in [1, Zstd::DEFAULT_LEVEL] {
            let encoder = Zstd::new(level)?;
            let mut proof = Proof::new(encoder.decoder(), source.len() as u64);
            proof.write(&encode(&encoder, &source)?)?;
            assert_eq!(proof.finish()?, Some(Digest::of(&source)), "level {level}");
        }
        Ok(())
    }

    #[test]
    fn long_source_is_emitted_by_blocks() -> Result<(), Error> {
        let piece = text(PIECE);
        for level in [1, 3, 9, 16] {
            let mut encoding = Zstd::new(level)?.begin(LONG as u64)?;
            let (mut out, mut decoded) = (Vec::new(), 0);
            let mut decoding = ZstdDecoding::new();
            for pieces in 1..=32 {
                encoding.write(&piece, &mut out)?;
                decoding.write(&out, &mut |bytes| decoded += bytes.len())?;
                out.clear();
                assert!(decoded + 2 * BLOCK >= pieces * PIECE, "level {level}: {decoded}");
            }
        }
        Ok(())
    }

    #[test]
    fn lack_of_memory_is_busy() {
        let kind = |code: usize| failed(code.wrapping_neg()).kind();
        assert_eq!(kind(ZSTD_ErrorCode::ZSTD_error_memory_allocation as usize), ErrorKind::Busy);
        assert_eq!(kind(ZSTD_ErrorCode::ZSTD_error_srcSize_wrong as usize), ErrorKind::Encoder);
    }
}
