//! The end of an encode, foretold from what is stored and from the source.

use std::sync::Arc;

use super::job::Job;
use super::verdict;
use crate::cache::{Entry, ReadError};
use crate::codec::Proof;
use crate::error::{Error, Failure};
use crate::http::CodedFile;

/// The end of an encode that was not begun.
#[derive(Debug)]
pub(crate) enum Foretold {
    /// The representation is stored.
    Stored(Arc<Entry>),
    /// It would be encoded.
    Encoded {
        /// Whether an entry of it is stored that is damaged.
        is_damaged: bool,
    },
    /// It is not to be had.
    Failure(Failure),
}

impl Job {
    /// Foretells the end of this job, and leaves the cache as it is. Blocks.
    ///
    /// A source of which a job takes a sample is sampled. A shorter one is encoded in memory, and a coded
    /// file beside it is decoded.
    pub(super) fn foretell(&self) -> Foretold {
        let mut is_damaged = false;
        let found = self.find_by(|key| match self.context.cache.look(key) {
            Err(ReadError::Damaged(_)) => {
                is_damaged = true;
                Ok(None)
            }
            Err(ReadError::Io(_)) => Err(Failure::Disk),
            Ok(entry) => Ok(entry),
        });
        match found {
            Ok(Some(entry)) => Foretold::Stored(entry),
            Ok(None) => match self.try_out() {
                Ok(()) => Foretold::Encoded { is_damaged },
                Err(failure) => Foretold::Failure(failure),
            },
            Err(failure) => Foretold::Failure(failure),
        }
    }

    fn try_out(&self) -> Result<(), Failure> {
        if let Some(file) = &self.codec.adopts {
            return self.try_file(file);
        }
        let (source, len) = (self.open()?, self.resource.len);
        if !self.sample_saves(&source)? {
            return Err(Failure::Unprofitable);
        }
        if self.insists || verdict::takes_sample(len) {
            return Ok(());
        }
        let encode = || -> Result<Vec<u8>, Error> {
            let (mut encoding, mut encoded) = (self.codec.encoder.begin(len)?, Vec::new());
            let mut pieces = source.pieces(0, len);
            while let Some(piece) = pieces.next()? {
                encoding.write(piece, &mut encoded)?;
            }
            encoding.finish(&mut encoded)?;
            Ok(encoded)
        };
        let encoded = encode().map_err(|_| Failure::Encoder)?;
        match verdict::is_worth_it(len, encoded.len() as u64) {
            true => Ok(()),
            false => Err(Failure::Unprofitable),
        }
    }

    /// Decodes a coded file and compares it with the source.
    fn try_file(&self, file: &CodedFile) -> Result<(), Failure> {
        let source = self.open_coded(file)?;
        let prove = || -> Result<_, Error> {
            let mut proof = Proof::new(self.codec.encoder.decoder(), self.resource.len);
            let mut pieces = source.pieces(0, file.len);
            while let Some(piece) = pieces.next()? {
                proof.write(piece)?;
            }
            proof.finish()
        };
        match prove() {
            Ok(Some(digest)) if digest == self.digest => Ok(()),
            _ => Err(Failure::Encoder),
        }
    }
}
