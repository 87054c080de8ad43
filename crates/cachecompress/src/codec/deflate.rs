//! The `deflate` coding, which is the zlib format (RFC 1950), and the stream that it shares with
//! `gzip`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use zlib_rs::{DeflateFlush, Status};

use super::decoded_limit::DecodedLimit;
use super::feed::Feed;
use super::pool::Pool;
use super::traits::{Decoding, Encoder, Encoding, Settings};
use crate::error::{Error, ErrorKind};

/// The revision of the output, raised whenever an update changes any of it. `zlib-rs` tells no
/// version at run time that the id could hold. A test keeps the digest of the output.
const REVISION: i64 = 1;

/// The length in bytes of the buffer that zlib-rs writes to. The output depends on it.
const BUFFER: usize = 64 * 1024;

/// The binary logarithm of the window, the largest that deflate has.
const WINDOW_LOG: u8 = 15;

/// The memory of a context in bytes, about the same at every level: zlib's 268 KiB and the buffer.
const CONTEXT: usize = 268 * 1024 + BUFFER;

/// `deflate` by zlib-rs: the zlib format, with its Adler-32.
///
/// Nothing is flushed: a block goes out for every 16 Ki literals and matches.
#[derive(Debug)]
pub struct Deflate {
    streams: Streams,
}

impl Deflate {
    /// The default level.
    pub const DEFAULT_LEVEL: i32 = 6;

    /// Creates an encoder for a level from 1 (fastest) to 9 (smallest).
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) for any other level.
    pub fn new(level: i32) -> Result<Self, Error> {
        Ok(Self { streams: Streams::new("deflate", level, true)? })
    }
}

impl Encoder for Deflate {
    fn settings(&self) -> Settings {
        self.streams.settings()
    }

    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error> {
        Ok(Box::new(DeflateEncoding { feed: Feed::new(source_len), stream: self.streams.begin() }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        Some(Box::new(DeflateDecoding { inflate: Inflate::new(true), ended: false }))
    }
}

struct DeflateEncoding {
    feed: Feed,
    stream: Stream,
}

impl Encoding for DeflateEncoding {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.take(piece)?;
        self.stream.write(piece, out)
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.finish()?;
        self.stream.finish(out)
    }
}

struct DeflateDecoding {
    inflate: Inflate,
    ended: bool,
}

impl Decoding for DeflateDecoding {
    fn write(&mut self, mut coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if !self.ended {
            self.ended = self.inflate.write(&mut coded, sink)?;
        }
        if !coded.is_empty() {
            return Err(wrong("something follows the end of the zlib stream"));
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if !self.ended {
            return Err(wrong("the zlib stream is not complete"));
        }
        Ok(())
    }

    fn limit(&mut self, bytes: u64) {
        self.inflate.limit = DecodedLimit::new(bytes);
    }
}

/// The settings and the idle contexts of one encoder.
#[derive(Debug)]
pub(super) struct Streams {
    level: i32,
    zlib: bool,
    idle: Arc<Pool<Context>>,
}

/// One deflate stream that is being encoded.
pub(super) struct Stream {
    /// `Some` until the stream is dropped.
    context: Option<Context>,
    idle: Arc<Pool<Context>>,
}

struct Context {
    deflate: zlib_rs::Deflate,
    buffer: Box<[u8]>,
}

impl Streams {
    /// Creates streams in the zlib format, or bare ones.
    pub(super) fn new(coding: &str, level: i32, zlib: bool) -> Result<Self, Error> {
        if !(1..=9).contains(&level) {
            return Err(Error::config(format!(
                "{coding} has no level {level} here: choose one from 1 (fastest) to 9 (smallest)"
            )));
        }
        Ok(Self { level, zlib, idle: Arc::new(Pool::new()) })
    }

    pub(super) fn level(&self) -> i32 {
        self.level
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            encoder: Cow::Borrowed("zlib-rs"),
            version: Cow::Borrowed("0.6"),
            parameters: vec![
                ("level", i64::from(self.level)),
                ("revision", REVISION),
                ("window_log", i64::from(WINDOW_LOG)),
                ("zlib_format", i64::from(self.zlib)),
                ("buffer", BUFFER as i64),
            ],
        }
    }

    pub(super) fn begin(&self) -> Stream {
        let context = match self.idle.take() {
            Some(mut context) => {
                context.deflate.reset();
                context
            }
            None => Context {
                deflate: zlib_rs::Deflate::new(self.level, self.zlib, WINDOW_LOG),
                buffer: vec![0; BUFFER].into_boxed_slice(),
            },
        };
        Stream { context: Some(context), idle: Arc::clone(&self.idle) }
    }
}

impl Stream {
    pub(super) fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.run(piece, DeflateFlush::NoFlush, out)
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.run(&[], DeflateFlush::Finish, out)
    }

    fn run(
        &mut self,
        mut piece: &[u8],
        flush: DeflateFlush,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Context { deflate, buffer } = self
            .context
            .as_mut()
            .ok_or_else(|| Error::new(ErrorKind::Encoder, "the deflate context is gone"))?;
        loop {
            let (read, written) = (deflate.total_in(), deflate.total_out());
            let status = deflate.compress(piece, buffer, flush).map_err(|cause| {
                Error::new(ErrorKind::Encoder, format!("zlib-rs failed: {}", cause.as_str()))
            })?;
            // Both are at most the length of a slice.
            piece = &piece[(deflate.total_in() - read) as usize..];
            let written = (deflate.total_out() - written) as usize;
            out.extend_from_slice(&buffer[..written]);
            let finish = matches!(flush, DeflateFlush::Finish);
            match status {
                Status::StreamEnd => return Ok(()),
                _ if !finish && piece.is_empty() && written < buffer.len() => return Ok(()),
                _ if written == 0 => {
                    return Err(Error::new(ErrorKind::Encoder, "zlib-rs makes no progress"));
                }
                _ => {}
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(context) = self.context.take() {
            self.idle.give(context, CONTEXT);
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

/// A decoding of one deflate stream (RFC 1951), bare or in the zlib format, by `miniz_oxide`.
pub(super) struct Inflate {
    state: Box<DecompressorOxide>,
    /// A ring of the last output, in which matches reach back 32 KiB.
    window: Box<[u8]>,
    at: usize,
    flags: u32,
    pub(super) limit: DecodedLimit,
}

impl Inflate {
    /// A power of two, as `miniz_oxide` demands, and small enough to stay in the CPU's cache.
    const WINDOW: usize = 64 * 1024;

    pub(super) fn new(zlib: bool) -> Self {
        let format = if zlib {
            inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER | inflate_flags::TINFL_FLAG_COMPUTE_ADLER32
        } else {
            0
        };
        Self {
            state: Box::default(),
            window: vec![0; Self::WINDOW].into_boxed_slice(),
            at: 0,
            flags: format | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT,
            limit: DecodedLimit::NONE,
        }
    }

    /// Takes the bytes that it needs from `coded`; returns whether the stream has ended.
    pub(super) fn write(
        &mut self,
        coded: &mut &[u8],
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Error> {
        loop {
            let (status, read, written) =
                decompress(&mut self.state, coded, &mut self.window, self.at, self.flags);
            *coded = &coded[read..];
            self.limit.spend(written)?;
            if written > 0 {
                sink(&self.window[self.at..self.at + written]);
            }
            self.at = (self.at + written) & (Self::WINDOW - 1);
            match status {
                TINFLStatus::Done => return Ok(true),
                TINFLStatus::NeedsMoreInput => return Ok(false),
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::Adler32Mismatch => {
                    return Err(wrong("the checksum of a zlib stream does not match"));
                }
                _ => return Err(wrong("a broken deflate stream")),
            }
        }
    }
}

pub(super) fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::Encoder, message)
}
