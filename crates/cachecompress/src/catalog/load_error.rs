//! The error of a lookup.

use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// The error of a lookup, which all requests that waited for it share.
#[derive(Clone, Debug, Default)]
pub(crate) enum LoadError {
    /// Too much waits already.
    #[default]
    Busy,
    /// Another file is being decoded. The lookup may begin again soon.
    Decodes,
    /// The source does not answer.
    Hangs,
    Failed(Arc<Error>),
}

impl LoadError {
    /// Makes the error for one of these requests.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Failed(error) => {
                let kind = error.kind();
                Error::new(kind, "the source could not be read").with_cause(error)
            }
            Self::Busy => Error::new(ErrorKind::Busy, "too much is being read from the source"),
            Self::Decodes => Error::new(ErrorKind::Busy, "too many files are being decoded"),
            Self::Hangs => Error::new(ErrorKind::Busy, "the source does not answer"),
        }
    }
}

impl From<Error> for LoadError {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}
