//! Stops a decoder whose output is longer than its source.

use std::io;

use crate::error::{Error, ErrorKind};

/// The number of bytes that a decoder may still produce.
#[derive(Debug)]
pub(super) struct DecodedLimit(u64);

impl DecodedLimit {
    pub(super) const NONE: Self = Self(u64::MAX);

    pub(super) fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Subtracts `produced` bytes.
    pub(super) fn spend(&mut self, produced: usize) -> Result<(), Error> {
        self.0 = self.0.checked_sub(produced as u64).ok_or_else(|| {
            Error::new(ErrorKind::Encoder, "the coded bytes decode to more than the source")
                .with_cause(io::Error::from(io::ErrorKind::FileTooLarge))
        })?;
        Ok(())
    }
}
