//! Reads of a source in pieces, for an encoder.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::PIECE;
use crate::error::{Error, ErrorKind};
use crate::fs::{DiskFile, read_full};

/// A source that is open for encoding.
#[derive(Clone)]
pub(crate) enum SourceReader {
    Bytes(Bytes),
    File(Arc<dyn DiskFile>),
}

/// The pieces of a source, in order.
pub(crate) struct Pieces<'a> {
    source: &'a SourceReader,
    at: u64,
    end: u64,
    /// The last piece, if it was read from a file.
    piece: Vec<u8>,
}

impl SourceReader {
    /// Fills `buffer` from offset `at`. A source that ends too early has changed.
    pub(crate) fn read_exact(&self, buffer: &mut [u8], at: u64) -> Result<(), Error> {
        match self {
            Self::Bytes(bytes) => buffer.copy_from_slice(part(bytes, at, buffer.len())?),
            Self::File(file) => {
                let read = read_full(&**file, buffer, at);
                if !read.is_ok_and(|read| read == buffer.len()) {
                    return Err(changed());
                }
            }
        }
        Ok(())
    }

    /// Splits the bytes from offset `at` to `end` into pieces.
    pub(crate) fn pieces(&self, at: u64, end: u64) -> Pieces<'_> {
        Pieces { source: self, at, end, piece: Vec::new() }
    }
}

impl Pieces<'_> {
    /// Returns the next [`PIECE`] bytes, or the rest of the source; `None` at its end.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        if self.at_end() {
            return Ok(None);
        }
        let at = self.at;
        let len = usize::try_from(self.end - at).unwrap_or(usize::MAX).min(PIECE);
        self.at += len as u64;
        if let SourceReader::Bytes(bytes) = self.source {
            return part(bytes, at, len).map(Some);
        }
        self.piece.resize(len, 0);
        self.source.read_exact(&mut self.piece, at)?;
        Ok(Some(&self.piece))
    }

    /// Whether the whole source was handed out.
    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.end
    }
}

fn part(bytes: &Bytes, at: u64, len: usize) -> Result<&[u8], Error> {
    let at = usize::try_from(at).map_err(|_| changed())?;
    bytes.get(at..).and_then(|rest| rest.get(..len)).ok_or_else(changed)
}

fn changed() -> Error {
    Error::new(ErrorKind::SourceChanged, "the source is shorter than it was")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Disk, MemoryDisk};

    fn readers(bytes: &[u8]) -> [SourceReader; 2] {
        let file = MemoryDisk::new().create_unnamed(std::path::Path::new("/")).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        [SourceReader::Bytes(Bytes::copy_from_slice(bytes)), SourceReader::File(file)]
    }

    /// The output of encoders depends on the sizes of their writes.
    #[test]
    fn pieces_are_whole_but_the_last_and_join_to_the_source() {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            let bytes: Vec<u8> = (0..len).map(|at| (at / 7) as u8).collect();
            for source in readers(&bytes) {
                let mut pieces = source.pieces(0, len as u64);
                let mut all = Vec::new();
                while let Some(piece) = pieces.next().unwrap().map(<[u8]>::to_vec) {
                    assert!(all.len() % PIECE == 0, "a piece follows a short one, {len}");
                    all.extend_from_slice(&piece);
                    assert!(piece.len() == PIECE || pieces.at_end(), "{} of {len}", piece.len());
                }
                assert!(pieces.at_end() && all == bytes, "{len}");
            }
        }
    }

    #[test]
    fn shrunk_source_has_changed() {
        for len in [1, PIECE, 2 * PIECE + 1] {
            for source in readers(&vec![0; len]) {
                let mut pieces = source.pieces(0, len as u64 + 1);
                let error = loop {
                    match pieces.next() {
                        Ok(Some(_)) => {}
                        Ok(None) => break None,
                        Err(error) => break Some(error.kind()),
                    }
                };
                assert_eq!(error, Some(ErrorKind::SourceChanged), "{len}");
                let mut part = [0; 2];
                assert!(source.read_exact(&mut part, len as u64 - 1).is_err(), "{len}");
            }
        }
    }
}
