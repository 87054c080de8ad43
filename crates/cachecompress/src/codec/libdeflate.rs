//! The codings `gzip` and `deflate` by libdeflate, for encodes that nobody waits for.

use std::borrow::Cow;

use libdeflater::{CompressionLvl, Compressor};

use super::deflate::Deflate;
use super::feed::Feed;
use super::gzip::Gzip;
use super::traits::{Decoding, Encoder, Encoding, Settings};
use crate::error::{Error, ErrorKind};
use crate::limits::LIBDEFLATE_MOST;

/// The revision of the output, raised whenever an update changes any of it. libdeflate tells no version at run
/// time. A test keeps the digest of the output.
const REVISION: i64 = 1;

/// libdeflate's slowest level.
const LEVEL: i32 = 12;

/// The level of zlib for sources that are too long.
const LONG_LEVEL: i32 = 9;

/// `gzip` or `deflate` by libdeflate at its slowest level.
///
/// libdeflate takes a source as a whole. One of more than [`LIBDEFLATE_MOST`] bytes, whose memory would have no
/// bound, is encoded by zlib-rs at level 9.
#[derive(Debug)]
pub(super) struct Libdeflate {
    format: Format,
    long: Box<dyn Encoder>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Gzip,
    Zlib,
}

impl Libdeflate {
    pub(super) fn gzip() -> Result<Self, Error> {
        Ok(Self { format: Format::Gzip, long: Box::new(Gzip::new(LONG_LEVEL)?) })
    }

    pub(super) fn deflate() -> Result<Self, Error> {
        Ok(Self { format: Format::Zlib, long: Box::new(Deflate::new(LONG_LEVEL)?) })
    }
}

impl Encoder for Libdeflate {
    fn settings(&self) -> Settings {
        let long = self.long.settings().parameters.into_iter();
        let revision_of_long =
            long.clone().find_map(|(name, value)| (name == "revision").then_some(value));
        Settings {
            encoder: Cow::Borrowed("libdeflate"),
            version: Cow::Borrowed("1"),
            parameters: vec![
                ("level", i64::from(LEVEL)),
                ("revision", REVISION),
                ("zlib", i64::from(self.format == Format::Zlib)),
                ("most", LIBDEFLATE_MOST as i64),
                ("long_level", i64::from(LONG_LEVEL)),
                ("long_revision", revision_of_long.unwrap_or(0)),
            ],
        }
    }

    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error> {
        match usize::try_from(source_len) {
            Ok(len) if source_len <= LIBDEFLATE_MOST => {
                let source = Vec::with_capacity(len);
                Ok(Box::new(Whole { format: self.format, feed: Feed::new(source_len), source }))
            }
            _ => self.long.begin(source_len),
        }
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        self.long.decoder()
    }
}

/// A source that is gathered until its end.
struct Whole {
    format: Format,
    feed: Feed,
    source: Vec<u8>,
}

impl Encoding for Whole {
    fn write(&mut self, piece: &[u8], _: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.take(piece)?;
        self.source.extend_from_slice(piece);
        Ok(())
    }

    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error> {
        let Self { format, feed, source } = *self;
        feed.finish()?;
        let failed = |_| Error::new(ErrorKind::Encoder, "libdeflate fails");
        let level =
            CompressionLvl::new(LEVEL).map_err(|_| Error::config("libdeflate has no level 12"))?;
        let mut compressor = Compressor::new(level);
        let bound = match format {
            Format::Gzip => compressor.gzip_compress_bound(source.len()),
            Format::Zlib => compressor.zlib_compress_bound(source.len()),
        };
        let start = out.len();
        out.resize(start + bound, 0);
        let len = match format {
            Format::Gzip => compressor.gzip_compress(&source, &mut out[start..]).map_err(failed)?,
            Format::Zlib => compressor.zlib_compress(&source, &mut out[start..]).map_err(failed)?,
        };
        out.truncate(start + len);
        Ok(())
    }
}
