//! The coding `x-pack` of the tests, whose encoder can be held, and broken in many ways.
//!
//! Every piece of the source becomes one record: a flag, a length, and bytes. Pieces that are
//! hexadecimal digits are packed two to a byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cachecompress::codec::{Decoding, Encoder, Encoding, Gzip, PIECE, Settings};
use cachecompress::{ContentCoding, Error, ErrorKind};

use crate::gate::Gate;

const RAW: u8 = 0;
const PACKED: u8 = 1;
const PADDING: u8 = 2;
const END: u8 = 3;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The lengths of the samples that the library encodes by itself: one for the encoder's id, one
/// for the estimate of what a source would save. No source in the tests has either length.
const SAMPLES: [u64; 2] = [(PIECE + PIECE / 2) as u64, 3 * 16 * 1024];

/// The name `x-pack`.
#[must_use]
pub fn coding() -> ContentCoding {
    ContentCoding::new("x-pack").unwrap()
}

/// A defect of the encoder, at the piece [`Pack::at`] or at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None.
    Nothing,
    /// The last byte of the piece is lost; the record itself is well-formed.
    DropByte,
    /// One bit is another one.
    FlipBit,
    /// The piece fails with an error.
    Error,
    /// The piece panics.
    Panic,
    /// The end fails with an error.
    ErrorAtEnd,
    /// The end panics.
    PanicAtEnd,
    /// The last record never comes.
    NoEnd,
    /// The output is right, and ten times as long as the source.
    Tenfold,
    /// No encoding can begin.
    ErrorAtBegin,
    /// The piece fails as busy until the encoder has [recovered](Pack::recover).
    Busy,
    /// No encoding can begin until the encoder has [recovered](Pack::recover).
    BusyAtBegin,
}

/// The encoder of `x-pack`. Clones share counts and gate.
#[derive(Clone, Debug)]
pub struct Pack {
    /// The defect.
    pub fault: Fault,
    /// The piece at which the defect shows, from 0.
    pub at: u64,
    /// Whether the defect shows in the sample of a source too.
    pub in_sample: bool,
    /// Whether there is a decoder for the proof.
    pub decoder: bool,
    /// Whether all output comes at the end.
    pub late: bool,
    /// Whether the output saves nothing.
    pub raw: bool,
    /// Holds every piece of a source until the gate lets it through.
    pub gate: Option<Arc<Gate>>,
    /// The encodings of sources and of samples of sources that were begun.
    pub begun: Arc<AtomicUsize>,
    /// Whether the encoder is busy no more.
    pub recovered: Arc<AtomicBool>,
    /// A setting, which is a part of the encoder's id.
    pub level: i64,
}

impl Default for Pack {
    fn default() -> Self {
        Self::new()
    }
}

impl Pack {
    /// An encoder without a defect.
    #[must_use]
    pub fn new() -> Self {
        Self {
            fault: Fault::Nothing,
            at: 0,
            in_sample: false,
            decoder: true,
            late: false,
            raw: false,
            gate: None,
            begun: Arc::default(),
            recovered: Arc::default(),
            level: 1,
        }
    }

    /// An encoder with a defect at the piece `at`.
    #[must_use]
    pub fn broken(fault: Fault, at: u64) -> Self {
        Self { fault, at, ..Self::new() }
    }

    /// An encoder that `gate` holds at every piece.
    #[must_use]
    pub fn gated(gate: &Arc<Gate>) -> Self {
        Self { gate: Some(Arc::clone(gate)), ..Self::new() }
    }

    /// Ends the defects [`Fault::Busy`] and [`Fault::BusyAtBegin`].
    pub fn recover(&self) {
        self.recovered.store(true, Ordering::SeqCst);
    }

    /// Whether the defect is `fault` and still shows.
    fn is_busy(&self, fault: Fault) -> bool {
        fault == self.fault && !self.recovered.load(Ordering::SeqCst)
    }

    /// Returns [`begun`](Self::begun).
    #[must_use]
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

/// An error that a custom encoder can make with the public API.
fn error() -> Error {
    Gzip::new(99).unwrap_err()
}

fn busy() -> Error {
    Error::new(ErrorKind::Busy, "the encoder is busy on purpose")
}

impl Encoder for Pack {
    fn settings(&self) -> Settings {
        Settings {
            encoder: "pack".into(),
            version: "1".into(),
            parameters: vec![("level", self.level)],
        }
    }

    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error> {
        let is_source = !SAMPLES.contains(&source_len);
        if source_len != SAMPLES[0] {
            self.begun.fetch_add(1, Ordering::SeqCst);
        }
        let is_broken = is_source || (self.in_sample && source_len == SAMPLES[1]);
        let fault = if is_broken { self.fault } else { Fault::Nothing };
        if fault == Fault::ErrorAtBegin {
            return Err(error());
        }
        if is_source && self.is_busy(Fault::BusyAtBegin) {
            return Err(busy());
        }
        Ok(Box::new(PackEncoding {
            pack: self.clone(),
            fault,
            held: is_source,
            piece: 0,
            kept: Vec::new(),
        }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        self.decoder.then(|| Box::new(PackDecoding::default()) as Box<dyn Decoding>)
    }
}

struct PackEncoding {
    pack: Pack,
    fault: Fault,
    held: bool,
    piece: u64,
    kept: Vec<u8>,
}

impl Encoding for PackEncoding {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(gate) = self.pack.gate.as_ref().filter(|_| self.held) {
            gate.pass();
        }
        let broken = self.piece == self.pack.at;
        self.piece += 1;
        let mut piece = piece;
        match self.fault {
            Fault::Error if broken => return Err(error()),
            Fault::Busy if broken && self.pack.is_busy(Fault::Busy) => return Err(busy()),
            Fault::Panic if broken => panic!("the encoder panics on purpose"),
            Fault::DropByte if broken => piece = &piece[..piece.len() - 1],
            _ => {}
        }
        let out = if self.pack.late { &mut self.kept } else { out };
        let start = out.len();
        put(piece, self.pack.raw, out);
        match self.fault {
            Fault::FlipBit if broken => {
                let middle = start + 5 + (out.len() - start - 5) / 2;
                out[middle] ^= 1;
            }
            Fault::Tenfold if broken => {
                (0..10).for_each(|_| record(PADDING, &vec![0; piece.len()], out));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend_from_slice(&self.kept);
        match self.fault {
            Fault::ErrorAtEnd => return Err(error()),
            Fault::PanicAtEnd => panic!("the encoder panics on purpose"),
            Fault::NoEnd => {}
            _ => record(END, &[], out),
        }
        Ok(())
    }
}

fn record(flag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(flag);
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn put(piece: &[u8], raw: bool, out: &mut Vec<u8>) {
    match if raw { None } else { pack(piece) } {
        Some(packed) => record(PACKED, &packed, out),
        None => record(RAW, piece, out),
    }
}

/// Packs two digits to a byte. Tests are not optimised and do this a lot, hence the tables and the
/// loop.
fn pack(piece: &[u8]) -> Option<Vec<u8>> {
    if !piece.len().is_multiple_of(2) {
        return None;
    }
    let mut packed = vec![0; piece.len() / 2];
    let mut at = 0;
    while at < packed.len() {
        let high = VALUES[usize::from(piece[2 * at])];
        let low = VALUES[usize::from(piece[2 * at + 1])];
        if high | low > 15 {
            return None;
        }
        packed[at] = high << 4 | low;
        at += 1;
    }
    Some(packed)
}

/// The value of each byte as a hexadecimal digit; 255 for other bytes.
static VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// The two digits that each byte stands for.
static PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// The decoder of the records that have come so far.
#[derive(Default)]
struct PackDecoding {
    pending: Vec<u8>,
    ended: bool,
}

impl Decoding for PackDecoding {
    fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.pending.extend_from_slice(coded);
        while self.pending.len() >= 5 {
            let len = u32::from_le_bytes(self.pending[1..5].try_into().unwrap()) as usize;
            if self.pending.len() < 5 + len {
                break;
            }
            let record: Vec<u8> = self.pending.drain(..5 + len).collect();
            let bytes = &record[5..];
            match record[0] {
                _ if self.ended => return Err(error()),
                RAW => sink(bytes),
                PACKED => {
                    let mut text = Vec::with_capacity(2 * bytes.len());
                    for byte in bytes {
                        text.extend_from_slice(&PAIRS[usize::from(*byte)]);
                    }
                    sink(&text);
                }
                PADDING => {}
                END => self.ended = true,
                _ => return Err(error()),
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if self.ended && self.pending.is_empty() { Ok(()) } else { Err(error()) }
    }
}

/// Decodes a whole body.
///
/// # Panics
///
/// If the body is not whole.
#[must_use]
#[track_caller]
pub fn unpack(coded: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoding = Box::<PackDecoding>::default();
    decoding.write(coded, &mut |bytes| out.extend_from_slice(bytes)).unwrap();
    decoding.finish(&mut |_| {}).unwrap();
    out
}
