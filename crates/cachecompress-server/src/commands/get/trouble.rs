//! The reasons for which a download does not go on.

use std::io;

/// A reason, as one sentence for people.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be over in a moment.
    Transient(Transient),
    /// No server was reached. It counts as transient once one was reached before.
    Unreached(String),
    /// The response cannot be decoded with the dictionary, or gives other bytes.
    Delta(String),
    /// The bytes are damaged, or those of several responses are not of one file.
    Restart(String),
    /// The disk is full.
    Full(String),
    /// Another try would not help.
    Last(String),
    /// Ctrl-C.
    Interrupted,
}

/// A reason that may be over in a moment.
#[derive(Debug)]
pub(super) struct Transient {
    pub(super) sentence: String,
    /// The seconds after which the server may be asked again.
    pub(super) retry_after: Option<u64>,
}

impl Trouble {
    pub(super) fn transient(sentence: String) -> Self {
        Self::Transient(Transient { sentence, retry_after: None })
    }

    pub(super) fn last(sentence: String) -> Self {
        Self::Last(sentence)
    }
}

/// Kept bytes that cannot be read.
impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Restart(format!("the kept bytes cannot be read: {error}"))
    }
}
