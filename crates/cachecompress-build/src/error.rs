//! The crate's error.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

/// The reason for which a directory could not be embedded, as one sentence for people.
///
/// A build script that returns it shows the sentence, by `Debug` as by `Display`.
pub struct Error {
    message: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None }
    }

    /// An error about what cannot be done with `path`.
    pub(crate) fn of_path(
        message: &str,
        path: &Path,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::new(format!("{message} {}", path.display())).because(cause)
    }

    pub(crate) fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as &(dyn StdError + 'static))
    }
}

impl From<cachecompress::Error> for Error {
    fn from(error: cachecompress::Error) -> Self {
        Self::new(error.to_string())
    }
}
