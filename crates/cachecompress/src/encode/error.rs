//! Errors of an encode.

use std::io;

use crate::cache::WriteError;
use crate::error::{Error, ErrorKind, Failure};

/// The reasons for an encode to end without a proven payload.
pub(super) enum EncodeError {
    Failure(Failure),
    /// The cache's disk refused.
    Disk(io::Error),
    /// The encoder gave up.
    Encoder(Error),
    /// The encoder's output does not decode to the source.
    Disproved(Error),
}

impl EncodeError {
    /// The error of output that decodes to other bytes than those that were hashed.
    pub(super) fn other_source() -> Self {
        let message = "the encoded bytes are not those that were hashed";
        Self::Disproved(Error::new(ErrorKind::Encoder, message))
    }

    /// The error of output that outgrows its reservation.
    pub(super) fn too_long() -> Self {
        let message =
            "the encoder's output is longer than the source by more than 1/256 and 64 KiB";
        Self::Disproved(Error::new(ErrorKind::Encoder, message))
    }
}

impl From<WriteError> for EncodeError {
    fn from(error: WriteError) -> Self {
        match error {
            // The room reserved holds all output that an honest encoder may emit.
            WriteError::NoRoom => Self::too_long(),
            WriteError::Io(error) => Self::Disk(error),
        }
    }
}

impl From<Failure> for EncodeError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
