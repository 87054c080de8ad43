//! The progress of one encode, as others see it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::http::{ContentCoding, Digest, SourcePath};

/// The progress of one encode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodeProgress {
    /// The path of the file, in the source of the service that was asked for it first.
    pub path: SourcePath,
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// The coding that is made.
    pub coding: ContentCoding,
    /// The file's length in bytes.
    pub source_bytes: u64,
    /// The number of its bytes that the encoder has taken.
    pub read_bytes: u64,
    /// The number of encoded bytes that requests may have.
    pub encoded_bytes: u64,
    /// The number of requests that wait for bytes of it.
    pub waiters: usize,
    /// The state that it is in.
    pub state: EncodeState,
    /// The time since it was queued, or since it runs.
    pub elapsed: Duration,
}

/// The state of an encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeState {
    /// It waits for a thread.
    Queued,
    /// A thread works at it.
    Running,
    /// All bytes were encoded and proven.
    Finished,
    /// It was given up, failed, or saved too little.
    Failed,
}

impl EncodeState {
    /// The word for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// A function that is told of encodes.
#[derive(Clone)]
pub(crate) struct EncodeObserver(Arc<dyn Fn(&EncodeProgress) + Send + Sync>);

impl EncodeObserver {
    pub(crate) fn new(observer: impl Fn(&EncodeProgress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }

    pub(crate) fn tell(&self, progress: &EncodeProgress) {
        (self.0)(progress);
    }
}

impl fmt::Debug for EncodeObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodeObserver")
    }
}
