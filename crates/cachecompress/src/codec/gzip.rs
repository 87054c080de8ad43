//! The `gzip` coding, RFC 1952.

use zlib_rs::crc32::crc32;

use super::decoded_limit::DecodedLimit;
use super::deflate::{Inflate, Stream, Streams, wrong};
use super::feed::Feed;
use super::traits::{Decoding, Encoder, Encoding, Settings};
use crate::error::Error;
use crate::limits::GZIP_HEADER;

const HEADER_LEN: usize = 10;
const TRAILER_LEN: usize = 8;

/// `gzip` by zlib-rs.
///
/// One member, whose header tells no time, name or operating system. Nothing is flushed: a block
/// goes out for every 16 Ki literals and matches.
#[derive(Debug)]
pub struct Gzip {
    streams: Streams,
}

impl Gzip {
    /// The default level.
    pub const DEFAULT_LEVEL: i32 = 6;

    /// Creates an encoder for a level from 1 (fastest) to 9 (smallest).
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) for any other level.
    pub fn new(level: i32) -> Result<Self, Error> {
        Ok(Self { streams: Streams::new("gzip", level, false)? })
    }
}

impl Encoder for Gzip {
    fn settings(&self) -> Settings {
        self.streams.settings()
    }

    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error> {
        Ok(Box::new(GzipEncoding {
            feed: Feed::new(source_len),
            header: Some(header(self.streams.level())),
            stream: self.streams.begin(),
            check: Check::new(),
        }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        Some(Box::new(GzipDecoding::new()))
    }
}

/// Returns the header of a member, RFC 1952 §2.3: magic, method, no flags, no time, effort,
/// operating system unknown.
fn header(level: i32) -> [u8; HEADER_LEN] {
    let effort = match level {
        9 => 2,
        1 => 4,
        _ => 0,
    };
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, effort, 255]
}

/// The CRC-32 and the length of the source, which the trailer holds.
struct Check {
    crc: u32,
    len: u32,
}

impl Check {
    fn new() -> Self {
        Self { crc: 0, len: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.crc = crc32(self.crc, bytes);
        // RFC 1952 §2.3.1: the length modulo 2^32.
        self.len = self.len.wrapping_add(bytes.len() as u32);
    }

    fn trailer(self) -> [u8; TRAILER_LEN] {
        let mut trailer = [0; TRAILER_LEN];
        trailer[..4].copy_from_slice(&self.crc.to_le_bytes());
        trailer[4..].copy_from_slice(&self.len.to_le_bytes());
        trailer
    }
}

struct GzipEncoding {
    feed: Feed,
    /// `Some` until it is written.
    header: Option<[u8; HEADER_LEN]>,
    stream: Stream,
    check: Check,
}

impl Encoding for GzipEncoding {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.take(piece)?;
        self.check.update(piece);
        let start = out.len();
        self.stream.write(piece, out)?;
        // The header waits for the first block: its ten bytes alone would count as output.
        if out.len() > start
            && let Some(header) = self.header.take()
        {
            out.splice(start..start, header);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.finish()?;
        out.extend(self.header.take().into_iter().flatten());
        self.stream.finish(out)?;
        out.extend_from_slice(&self.check.trailer());
        Ok(())
    }
}

/// Begins a decoder of any encoder's output that browsers read: one member, whatever its header tells.
pub(super) fn decoder() -> Box<dyn Decoding> {
    Box::new(GzipDecoding { takes_any_header: true, ..GzipDecoding::new() })
}

struct GzipDecoding {
    part: Part,
    /// Whether the header may be one that the built-in encoder does not write.
    takes_any_header: bool,
    /// The beginning of the header or the trailer.
    pending: Vec<u8>,
    inflate: Inflate,
    check: Check,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    Stream,
    Trailer,
    Nothing,
}

impl GzipDecoding {
    fn new() -> Self {
        Self {
            part: Part::Header,
            takes_any_header: false,
            pending: Vec::with_capacity(HEADER_LEN),
            inflate: Inflate::new(false),
            check: Check::new(),
        }
    }

    /// Moves bytes from `coded` to `pending` until that has a whole header; returns whether it has.
    fn gather_any_header(&mut self, coded: &mut &[u8]) -> Result<bool, Error> {
        let before = self.pending.len();
        self.pending.extend_from_slice(&coded[..coded.len().min(GZIP_HEADER - before)]);
        match behind_header(&self.pending) {
            Some(behind) => {
                let len = self.pending.len() - behind.len();
                *coded = &coded[len - before..];
                self.pending.truncate(len);
                Ok(true)
            }
            None if self.pending.len() == GZIP_HEADER => Err(wrong("no header of a gzip member")),
            None => {
                *coded = &[];
                Ok(false)
            }
        }
    }

    /// Moves bytes from `coded` to `pending` until that has `len`; returns whether it has.
    fn gather(&mut self, coded: &mut &[u8], len: usize) -> bool {
        let (more, rest) = coded.split_at((len - self.pending.len()).min(coded.len()));
        self.pending.extend_from_slice(more);
        *coded = rest;
        self.pending.len() == len
    }
}

impl Decoding for GzipDecoding {
    fn write(&mut self, mut coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        while !coded.is_empty() {
            let part = self.part;
            match part {
                Part::Header if self.takes_any_header => {
                    if self.gather_any_header(&mut coded)? {
                        self.pending.clear();
                        self.part = Part::Stream;
                    }
                }
                Part::Header if self.gather(&mut coded, HEADER_LEN) => {
                    // The built-in encoder has three headers, which differ in the effort alone.
                    if ![1, 6, 9].iter().any(|level| self.pending == header(*level)) {
                        return Err(wrong("no gzip header of the built-in encoder"));
                    }
                    self.pending.clear();
                    self.part = Part::Stream;
                }
                Part::Stream => {
                    let check = &mut self.check;
                    let ended = self.inflate.write(&mut coded, &mut |bytes| {
                        check.update(bytes);
                        sink(bytes);
                    })?;
                    if ended {
                        self.part = Part::Trailer;
                    }
                }
                Part::Trailer if self.gather(&mut coded, TRAILER_LEN) => {
                    let check = std::mem::replace(&mut self.check, Check::new());
                    if self.pending != check.trailer() {
                        return Err(wrong("checksum or length of a gzip member do not match"));
                    }
                    self.part = Part::Nothing;
                }
                Part::Nothing => return Err(wrong("something follows the end of the gzip member")),
                Part::Header | Part::Trailer => {}
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if self.part != Part::Nothing {
            return Err(wrong("the gzip member is not complete"));
        }
        Ok(())
    }

    fn limit(&mut self, bytes: u64) {
        self.inflate.limit = DecodedLimit::new(bytes);
    }
}

/// Decodes a file of gzip, which has one member or several (RFC 1952 §2.2).
///
/// # Errors
///
/// If it is no whole and sound gzip, or decodes to more than `most` bytes.
pub(crate) fn unpack(mut coded: &[u8], most: u64) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    loop {
        coded = behind_header(coded).ok_or_else(|| wrong("no header of a gzip member"))?;
        let mut inflate = Inflate::new(false);
        inflate.limit = DecodedLimit::new(most - out.len() as u64);
        let mut check = Check::new();
        let ended = inflate.write(&mut coded, &mut |bytes| {
            check.update(bytes);
            out.extend_from_slice(bytes);
        })?;
        let trailer = coded.split_first_chunk::<TRAILER_LEN>().filter(|_| ended);
        let Some((trailer, rest)) = trailer else {
            return Err(wrong("the gzip member is not complete"));
        };
        if *trailer != check.trailer() {
            return Err(wrong("checksum or length of a gzip member do not match"));
        }
        if rest.is_empty() {
            return Ok(out);
        }
        coded = rest;
    }
}

/// Returns what follows the header of a member; `None` if there is no whole header.
fn behind_header(coded: &[u8]) -> Option<&[u8]> {
    const EXTRA: u8 = 4;
    const TEXTS: [u8; 2] = [8, 16];
    const HEADER_CHECK: u8 = 2;
    const RESERVED: u8 = 0b1110_0000;
    let (header, mut rest) = coded.split_first_chunk::<HEADER_LEN>()?;
    let [0x1f, 0x8b, 8, flags, ..] = *header else { return None };
    if flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (len, behind) = rest.split_first_chunk::<2>()?;
        rest = behind.get(usize::from(u16::from_le_bytes(*len))..)?;
    }
    for text in TEXTS {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & HEADER_CHECK != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoding = Gzip::new(6).unwrap().begin(bytes.len() as u64).unwrap();
        encoding.write(bytes, &mut out).unwrap();
        encoding.finish(&mut out).unwrap();
        out
    }

    #[test]
    fn unpack_takes_every_header_and_several_members() {
        let body = gzip(b"<svg/>")[HEADER_LEN..].to_vec();
        for (flags, fields) in [
            (0, &b""[..]),
            (1, b""),
            (2, b"\x12\x34"),
            (4, b"\x03\0abc"),
            (8, b"a.svg\0"),
            (16, b"a comment\0"),
            (31, b"\x01\0xa.svg\0c\0\x12\x34"),
        ] {
            let header = [0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3];
            let member = [&header[..], fields, &body].concat();
            assert_eq!(unpack(&member, 6).unwrap(), b"<svg/>", "{flags}");
            let twice = [&*member, &*member].concat();
            assert_eq!(unpack(&twice, 12).unwrap(), b"<svg/><svg/>", "{flags}");
            for cut in 0..member.len() {
                assert!(unpack(&member[..cut], 6).is_err(), "{flags} {cut}");
            }
        }
    }

    /// Browsers read the first member and ignore or refuse the rest.
    #[test]
    fn decoder_takes_every_header_and_one_member() {
        let body = gzip(b"<svg/>")[HEADER_LEN..].to_vec();
        let decode = |member: &[u8], cut: usize| {
            let (mut decoding, mut out) = (decoder(), Vec::new());
            for piece in member.chunks(cut) {
                decoding.write(piece, &mut |bytes| out.extend_from_slice(bytes))?;
            }
            decoding.finish(&mut |_| ())?;
            Ok::<_, Error>(out)
        };
        let long = [&b"\xff\xff"[..], &[b'x'; 65_535], b"a.svg\0"].concat();
        for (flags, fields) in
            [(0, &b""[..]), (8, b"a.svg\0"), (31, b"\x01\0xa.svg\0c\0\x12\x34"), (12, &long)]
        {
            let header = [0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3];
            let member = [&header[..], fields, &body].concat();
            for cut in [1, 3, 11, 1000, member.len()] {
                assert_eq!(decode(&member, cut).unwrap(), b"<svg/>", "{flags} {cut}");
            }
            assert!(decode(&member[..member.len() - 1], 7).is_err(), "{flags}");
            assert!(decode(&[&*member, &*member].concat(), 7).is_err(), "{flags}");
            assert!(decode(&[&*member, b"\0"].concat(), 1000).is_err(), "{flags}");
        }
        let endless =
            [&[0x1f, 0x8b, 8, 8, 1, 2, 3, 4, 0, 3][..], &vec![b'x'; GZIP_HEADER]].concat();
        assert!(decode(&endless, 1000).is_err());
        assert!(decode(b"no gzip at all", 3).is_err());
    }

    #[test]
    fn unpack_refuses_damage_and_too_many_bytes() {
        let member = gzip(&[b'a'; 100]);
        assert!(unpack(&member, 99).is_err());
        assert!(unpack(&[&*member, &*member].concat(), 199).is_err());
        assert!(unpack(&[&*member, b"x"].concat(), 1000).is_err());
        for bit in 0..8 * member.len() {
            let mut damaged = member.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // Some bits mean nothing, such as those of the time.
            if let Ok(out) = unpack(&damaged, 1000) {
                assert_eq!(out, [b'a'; 100], "{bit}");
            }
        }
        let reserved = [&[0x1f, 0x8b, 8, 0x20][..], &member[4..]].concat();
        assert!(unpack(&reserved, 1000).is_err());
    }

    #[test]
    fn header_tells_no_time_name_or_system() -> Result<(), Error> {
        for (level, effort) in [(1, 4), (6, 0), (9, 2)] {
            let mut encoding = Gzip::new(level)?.begin(5)?;
            let mut out = Vec::new();
            encoding.write(b"hello", &mut out)?;
            encoding.finish(&mut out)?;
            assert_eq!(out[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, effort, 255], "level {level}");
        }
        Ok(())
    }
}
