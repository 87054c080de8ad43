//! The encode of one source, piece by piece.

use super::error::EncodeError;
use super::source_reader::SourceReader;
use crate::codec::{Codec, Decoding, Encoding, PIECE};
use crate::error::{Error, Failure};
use crate::http::{Digest, Hasher};

/// The next step of an encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes on.
    On,
    /// It ends here. Its output comes from elsewhere.
    Leave,
    /// It is given up.
    Stop(Failure),
}

/// The end of an encode that was not given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All of the source was encoded. The digest is there if it was computed.
    Whole(Option<Digest>),
    /// It was left.
    Left,
}

/// An encoding between two pieces of its source.
pub(super) struct Pipeline {
    encoding: Box<dyn Encoding>,
    /// The decoder of the proof, if there is to be one.
    decoding: Option<Box<dyn Decoding>>,
    /// The hasher of the source, if there is to be no proof.
    hasher: Option<Hasher>,
    /// The number of bytes of the source that were fed.
    fed: u64,
    /// The output that was not handed on yet.
    out: Vec<u8>,
}

impl Pipeline {
    /// Begins to encode a source of `source_len` bytes.
    pub(super) fn begin(codec: &Codec, source_len: u64, prove: bool) -> Result<Self, Error> {
        let decoding = prove.then(|| codec.encoder.decoder()).flatten();
        let pipeline = Self::begin_bare(codec, source_len, decoding.is_none())?;
        Ok(Self { decoding, ..pipeline })
    }

    /// Begins to encode a source whose decoder is elsewhere, and hashes the source if it is to.
    pub(super) fn begin_bare(codec: &Codec, source_len: u64, hashes: bool) -> Result<Self, Error> {
        let encoding = codec.encoder.begin(source_len)?;
        let hasher = hashes.then(Hasher::new);
        Ok(Self { encoding, decoding: None, hasher, fed: 0, out: Vec::new() })
    }

    /// Takes the decoder of the proof.
    pub(super) fn take_decoding(&mut self) -> Option<Box<dyn Decoding>> {
        self.decoding.take()
    }

    /// Has the source hashed beside the proof. To be called before the first piece.
    pub(super) fn hash_source(&mut self) {
        debug_assert_eq!(self.fed, 0, "the digest is that of the whole source");
        self.hasher = Some(Hasher::new());
    }

    /// Encodes into memory. It ends when `is_stopped` says so, when there are `room` bytes of
    /// output, or before the last piece.
    pub(super) fn fill(
        &mut self,
        source: &SourceReader,
        source_len: u64,
        room: usize,
        is_stopped: impl Fn() -> bool,
    ) -> Result<(), Error> {
        self.out.reserve_exact(room + 2 * PIECE);
        let mut pieces = source.pieces(self.fed, source_len);
        while !is_stopped() && self.out.len() < room && self.fed + (PIECE as u64) < source_len {
            let Some(piece) = pieces.next()? else { break };
            self.feed(piece)?;
        }
        Ok(())
    }

    /// Encodes the rest of the source.
    ///
    /// `step` is told before each piece how many bytes were fed, and decides whether to go on. `emit` takes the output and empties it. Its second argument says whether
    /// readers may have the output before the end.
    pub(super) fn run(
        mut self,
        source: &SourceReader,
        source_len: u64,
        mut step: impl FnMut(u64) -> Step,
        mut emit: impl FnMut(&mut Vec<u8>, bool) -> Result<(), EncodeError>,
    ) -> Result<End, EncodeError> {
        emit(&mut self.out, true)?;
        self.out = Vec::with_capacity(2 * PIECE);
        let mut pieces = source.pieces(self.fed, source_len);
        loop {
            match step(self.fed) {
                Step::On => {}
                Step::Leave => return Ok(End::Left),
                Step::Stop(why) => return Err(why.into()),
            }
            let piece = pieces.next().map_err(|_| Failure::SourceChanged)?;
            let Some(piece) = piece else { break };
            self.feed(piece).map_err(EncodeError::Encoder)?;
            // The output of the last piece waits for the proof, which is near. So a source of one
            // piece is available as a whole, with its length, or not at all.
            emit(&mut self.out, !pieces.at_end())?;
        }
        let Self { encoding, hasher, mut out, .. } = self;
        encoding.finish(&mut out).map_err(EncodeError::Encoder)?;
        emit(&mut out, false)?;
        Ok(End::Whole(hasher.map(Hasher::finish)))
    }

    fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.fed += piece.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece);
        }
        self.encoding.write(piece, &mut self.out)
    }
}
