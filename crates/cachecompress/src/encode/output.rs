//! The output of the producers of one payload.

use super::error::EncodeError;
use super::roundtrip::Sink;
use crate::cache::EntryWriter;
use crate::error::{Error, ErrorKind};
use crate::fs::read_full;
use crate::limits::PROOF_CHUNK;

/// The place of a payload's bytes, which several producers make, each from the start.
///
/// Two producers of a payload make the same bytes. The one that is ahead has them written and proven. Bytes
/// that are written already are compared.
pub(super) struct Output<'a> {
    writer: &'a mut EntryWriter,
    sink: &'a mut dyn Sink,
    /// The number of bytes that the proof has.
    proven: u64,
}

impl<'a> Output<'a> {
    /// Begins with a proof that has no byte yet.
    pub(super) fn new(writer: &'a mut EntryWriter, sink: &'a mut dyn Sink) -> Self {
        Self { writer, sink, proven: 0 }
    }

    /// The number of bytes that are written.
    pub(super) fn len(&self) -> u64 {
        self.writer.payload_len()
    }

    /// Takes a producer's bytes from offset `at`, which is at most [`len`](Self::len). Readers may have
    /// those before offset `readable` before the end.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8], readable: u64) -> Result<(), EncodeError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let known = self.len().saturating_sub(at).min(bytes.len() as u64) as usize;
        self.compare(at, &bytes[..known])?;
        self.writer.write(&bytes[known..])?;
        let old = self.proven.saturating_sub(at).min(bytes.len() as u64) as usize;
        if old < bytes.len() {
            self.proven = at + bytes.len() as u64;
            self.sink.take(&bytes[old..], readable)?;
        }
        Ok(())
    }

    /// Compares bytes with those that are written at offset `at`.
    fn compare(&self, at: u64, bytes: &[u8]) -> Result<(), EncodeError> {
        let payload = self.writer.payload();
        let mut written = vec![0; bytes.len().min(PROOF_CHUNK)];
        let mut at = payload.start + at;
        for bytes in bytes.chunks(PROOF_CHUNK) {
            let written = &mut written[..bytes.len()];
            let read = read_full(&*payload.file, written, at).map_err(EncodeError::Disk)?;
            if read < bytes.len() || written != bytes {
                let message = "two encodes of the same file differ";
                return Err(EncodeError::Disproved(Error::new(ErrorKind::Encoder, message)));
            }
            at += bytes.len() as u64;
        }
        Ok(())
    }
}
