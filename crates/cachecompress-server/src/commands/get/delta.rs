//! The codings with a dictionary, `dcb` and `dcz` (RFC 9842 §4 and §5).

use cachecompress::codec::Decoding;
use cachecompress::{Digest, Error, ErrorKind};
use mbrotli::dictionary::{DecodeDictionary, DictionaryAttachment};
use mbrotli::{
    DecodeOperation, DecoderConfig, DecoderSessionOwned, DecoderStatus, Decompressor, WindowLimit,
};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::limits::{DCB_WINDOW_BITS, DCZ_WINDOW_LOG, GET_PIECE_BYTES};

const DCB: &[u8] = b"\xffDCB";
/// A skippable frame of zstd with 32 bytes.
const DCZ: &[u8] = b"\x5e\x2a\x4d\x18\x20\0\0\0";

/// Begins a decoder of `dcb` with this dictionary.
///
/// # Errors
///
/// If there is no memory for it.
pub(super) fn dcb(dictionary: &[u8], digest: &Digest) -> Result<Box<dyn Decoding>, Error> {
    let attachments = [DictionaryAttachment::Raw(dictionary)];
    let attached = DecodeDictionary::new(&attachments, Default::default()).map_err(wrong)?;
    let window = WindowLimit::standard(DCB_WINDOW_BITS).map_err(wrong)?;
    let decoder =
        Decompressor::new(DecoderConfig::new().with_window_limit(window)).map_err(wrong)?;
    let session =
        decoder.into_session_with_dictionary(attached, Default::default()).map_err(wrong)?;
    Ok(Box::new(Framed::new(DCB, digest, Brotli { session, out: vec![0; GET_PIECE_BYTES] })))
}

/// Begins a decoder of `dcz` with this dictionary.
///
/// # Errors
///
/// If there is no memory for it.
pub(super) fn dcz<'d>(
    dictionary: &'d [u8],
    digest: &Digest,
) -> Result<Box<dyn Decoding + 'd>, Error> {
    let memory = || Error::new(ErrorKind::Io, "there is no memory for a decoder");
    let mut context = DCtx::try_create().ok_or_else(memory)?;
    context.set_parameter(DParameter::WindowLogMax(DCZ_WINDOW_LOG)).map_err(of_zstd)?;
    // A prefix is raw whatever it begins with. A dictionary that begins with 37 a4 30 ec would be taken for one
    // of zstd's own format.
    context.ref_prefix(dictionary).map_err(of_zstd)?;
    let zstd = Zstd { context, out: vec![0; GET_PIECE_BYTES], is_finished: false };
    Ok(Box::new(Framed::new(DCZ, digest, zstd)))
}

fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Io, "the coded bytes are damaged").with_cause(error)
}

fn of_zstd(code: zstd_safe::ErrorCode) -> Error {
    Error::new(ErrorKind::Io, "the coded bytes are damaged")
        .with_cause(zstd_safe::get_error_name(code))
}

/// A decoder of what follows a head with the digest of the dictionary.
struct Framed<D> {
    head: Vec<u8>,
    /// The number of its bytes that have come.
    seen: usize,
    inner: D,
}

impl<D> Framed<D> {
    fn new(magic: &[u8], digest: &Digest, inner: D) -> Self {
        Self { head: [magic, digest.as_bytes()].concat(), seen: 0, inner }
    }
}

impl<D: Decoding> Decoding for Framed<D> {
    fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let (head, rest) = coded.split_at(coded.len().min(self.head.len() - self.seen));
        if *head != self.head[self.seen..self.seen + head.len()] {
            let sentence = "the delta is one of another dictionary";
            return Err(Error::new(ErrorKind::Io, sentence));
        }
        self.seen += head.len();
        if rest.is_empty() { Ok(()) } else { self.inner.write(rest, sink) }
    }

    fn finish(self: Box<Self>, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if self.seen < self.head.len() {
            return Err(cut());
        }
        Box::new(self.inner).finish(sink)
    }
}

fn cut() -> Error {
    Error::new(ErrorKind::Io, "the coded bytes end too early")
}

fn trailing() -> Error {
    Error::new(ErrorKind::Io, "there is something behind the end of the coded bytes")
}

struct Zstd<'d> {
    context: DCtx<'d>,
    out: Vec<u8>,
    is_finished: bool,
}

impl Decoding for Zstd<'_> {
    fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let mut input = InBuffer::around(coded);
        loop {
            if self.is_finished {
                return if input.pos() < coded.len() { Err(trailing()) } else { Ok(()) };
            }
            let mut output = OutBuffer::around(&mut self.out[..]);
            let left = self.context.decompress_stream(&mut output, &mut input).map_err(of_zstd)?;
            self.is_finished = left == 0;
            let written = output.pos();
            sink(&self.out[..written]);
            // A full buffer may leave something inside of the decoder.
            if input.pos() == coded.len() && written < self.out.len() && !self.is_finished {
                return Ok(());
            }
        }
    }

    fn finish(self: Box<Self>, _: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if self.is_finished { Ok(()) } else { Err(cut()) }
    }
}

struct Brotli {
    session: DecoderSessionOwned<DecodeDictionary>,
    out: Vec<u8>,
}

impl Brotli {
    fn drive(
        &mut self,
        mut coded: &[u8],
        operation: DecodeOperation,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Error> {
        loop {
            let progress = self.session.process(coded, &mut self.out, operation).map_err(wrong)?;
            sink(&self.out[..progress.produced]);
            coded = &coded[progress.consumed..];
            match progress.status {
                DecoderStatus::NeedsOutput => {}
                DecoderStatus::NeedsInput => return Ok(()),
                DecoderStatus::Finished if coded.is_empty() => return Ok(()),
                DecoderStatus::Finished => return Err(trailing()),
            }
        }
    }
}

impl Decoding for Brotli {
    fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.drive(coded, DecodeOperation::Process, sink)
    }

    fn finish(mut self: Box<Self>, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.drive(&[], DecodeOperation::Finish, sink)
    }
}
