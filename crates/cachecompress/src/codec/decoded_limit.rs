//! Stops a decoder whose output is longer than its source.

use std::error::Error as _;
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

/// Whether a decoder was stopped because of the length of its output.
pub(crate) fn is_too_long(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::FileTooLarge)
}
