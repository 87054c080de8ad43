//! The crate's error type: opaque, with a kind for programs and a sentence for people.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::log::{Escaped, EscapedPath};

/// An error of cachecompress.
///
/// [`kind`](Error::kind) is for programs. The message is for people: it is one sentence, and names
/// the path if there is one. It is one line: control characters, which a path may have, are escaped.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    path: Option<PathBuf>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`Error`] that a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration contradicts itself or names something that does not exist.
    Config,
    /// The file system answered with an error.
    Io,
    /// No such file in the source.
    NotFound,
    /// The file exists, but may not be read.
    PermissionDenied,
    /// The source's bytes changed while they were read. No mix of old and new bytes was sent.
    SourceChanged,
    /// An encoder failed, or its output did not decode to the source.
    Encoder,
    /// A body ended before its representation did, because its producer gave up.
    Aborted,
    /// Descriptors, or places in a queue, have run out. The call may be tried again soon.
    Busy,
}

/// The reason why a representation is not available now. The answer is then another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The queue was full, or its pool was closed, before the work began.
    #[default]
    Dropped,
    /// The warming that began the work was ended before any request joined.
    Abandoned,
    /// Another process encodes the representation.
    Locked,
    /// A better representation in the same coding is stored, and is to be looked up instead.
    Superseded,
    /// The cache's disk failed, or has no room.
    Disk,
    /// The source changed while it was read, or cannot be read.
    SourceChanged,
    /// Encoding would not save enough.
    Unprofitable,
    /// The encoder failed, or its output did not decode to the source.
    Encoder,
    /// The encoder lacks a thread or memory for the moment.
    Busy,
    /// The earlier version of the file that a delta refers to is stored nowhere.
    Dictionary,
}

impl Failure {
    /// Whether the same work may succeed at the next try.
    pub(crate) fn is_passing(self) -> bool {
        matches!(self, Self::Dropped | Self::Abandoned)
    }
}

impl Error {
    /// Creates an error of `kind` with a sentence for people, for your own encoders and sources.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), path: None, cause: None }))
    }

    pub(crate) fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn io(message: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::new(kind_of(&cause), message).with_path(path).with_cause(cause)
    }

    /// Names the file or directory concerned.
    #[must_use]
    pub fn with_path(mut self, path: &Path) -> Self {
        self.0.path = Some(path.to_owned());
        self
    }

    /// Names the cause.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file or directory concerned, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }
}

/// The kind is that of the `io::Error`: `NotFound`, `PermissionDenied` or `Io`.
impl From<io::Error> for Error {
    fn from(cause: io::Error) -> Self {
        let kind = kind_of(&cause);
        Self::new(kind, "the system failed").with_cause(cause)
    }
}

fn kind_of(cause: &io::Error) -> ErrorKind {
    match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        _ => ErrorKind::Io,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0.message).fmt(f)?;
        if let Some(path) = &self.0.path {
            write!(f, " {}", EscapedPath(path))?;
        }
        if let Some(cause) = &self.0.cause {
            write!(f, ": {}", Escaped(cause))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}, \"{self}\")", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}
