//! A coding of the tests' own, `x-pack`, whose encoder can be held, and broken in many ways.
//!
//! Every piece of the source becomes one record: a flag, a length, and bytes. Pieces that are
//! hexadecimal digits are packed two to a byte.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use cachecompress::codec::{Decoding, Encoder, Encoding, Gzip, PIECE, Settings};
use cachecompress::semantics::ContentCoding;
use cachecompress::{Error, ErrorKind};

const RAW: u8 = 0;
const PACKED: u8 = 1;
const PADDING: u8 = 2;
const END: u8 = 3;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The lengths of the samples that the library encodes by itself: one for the encoder's id, one
/// to see whether a source is worth it. Neither is a source's in these tests.
const SAMPLES: [u64; 2] = [(PIECE + PIECE / 2) as u64, 3 * 16 * 1024];

pub(crate) fn coding() -> ContentCoding {
    ContentCoding::new("x-pack").unwrap()
}

/// What goes wrong, at the piece [`Pack::at`] or at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// The last byte of the piece is lost; the record itself is well-formed.
    DropByte,
    /// One bit is another one.
    FlipBit,
    Error,
    Panic,
    ErrorAtEnd,
    PanicAtEnd,
    /// The last record never comes.
    NoEnd,
    /// Right, but ten times as long as the source.
    Tenfold,
    /// An encoder that cannot even begin.
    ErrorAtBegin,
    /// It might do better later, and does once it has [recovered](Pack::recover).
    Busy,
    BusyAtBegin,
}

#[derive(Clone, Debug)]
pub(crate) struct Pack {
    pub(crate) fault: Fault,
    /// The piece at which it goes wrong, from 0.
    pub(crate) at: u64,
    /// Whether it goes wrong in the sample too that is taken of a source.
    pub(crate) in_sample: bool,
    /// Whether there is a decoder for the proof.
    pub(crate) decoder: bool,
    /// Whether all output comes at the end.
    pub(crate) late: bool,
    /// Whether it saves nothing.
    pub(crate) raw: bool,
    /// Holds every piece of a source until it is let through.
    pub(crate) gate: Option<Arc<Gate>>,
    /// How often an encoding of a source, or of a sample of one, was begun.
    pub(crate) begun: Arc<AtomicUsize>,
    /// Whether it is busy no more.
    pub(crate) recovered: Arc<AtomicBool>,
    pub(crate) level: i64,
}

impl Pack {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn broken(fault: Fault, at: u64) -> Self {
        Self { fault, at, ..Self::new() }
    }

    pub(crate) fn gated(gate: &Arc<Gate>) -> Self {
        Self { gate: Some(Arc::clone(gate)), ..Self::new() }
    }

    pub(crate) fn recover(&self) {
        self.recovered.store(true, Ordering::SeqCst);
    }

    /// Whether it goes wrong by `fault` now.
    fn is_busy(&self, fault: Fault) -> bool {
        fault == self.fault && !self.recovered.load(Ordering::SeqCst)
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

/// Holds encodes until the test lets them go on, a piece at a time.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<(u64, u64)>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets `pieces` more through.
    pub(crate) fn open(&self, pieces: u64) {
        let mut state = self.state.lock().unwrap();
        state.1 = state.1.saturating_add(pieces);
        self.changed.notify_all();
    }

    /// Lets everything through from now on.
    pub(crate) fn open_wide(&self) {
        self.open(u64::MAX);
    }

    /// How many pieces have come to the gate.
    pub(crate) fn arrived(&self) -> u64 {
        self.state.lock().unwrap().0
    }

    /// Waits until it may go on.
    pub(crate) fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        let bound = Duration::from_secs(25);
        let wait = self.changed.wait_timeout_while(state, bound, |state| state.1 == 0);
        let mut state = wait.unwrap().0;
        if state.1 < u64::MAX {
            state.1 = state.1.saturating_sub(1);
        }
    }
}

/// An error, as far as a custom encoder can make one with the public API.
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

/// Two digits to a byte. Tests are not optimised and do this a lot; hence the tables and the loop.
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

/// What each byte is worth as a hexadecimal digit; 255 for what is none.
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

/// Decodes what has come so far.
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

/// Decodes all of it, or fails the test.
#[track_caller]
pub(crate) fn unpack(coded: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoding = Box::<PackDecoding>::default();
    decoding.write(coded, &mut |bytes| out.extend_from_slice(bytes)).unwrap();
    decoding.finish(&mut |_| {}).unwrap();
    out
}
