//! The error of a lookup.

use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// The error of a lookup, which all requests that waited for it share.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadError(pub(super) Option<Arc<Error>>);

impl LoadError {
    /// Makes the error for one of these requests.
    pub(crate) fn into_error(self) -> Error {
        match self.0 {
            Some(error) => {
                let kind = error.kind();
                Error::new(kind, "the source could not be read").with_cause(error)
            }
            None => Error::new(ErrorKind::Busy, "too much is being read from the source"),
        }
    }
}
