//! How the program ends: 0, or one sentence on stderr and an exit code.

use std::fmt;
use std::process::ExitCode;

use cachecompress::{Error, ErrorKind};

/// Why a command could not do its work, as one sentence for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line, or the environment, asks for what cannot be: exit code 2.
    Usage(String),
    /// The machine says no: exit code 1.
    Runtime(String),
}

/// How a command ended that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// All is well: exit code 0.
    Done,
    /// It found what it looks for, and has told so: exit code 1.
    Found,
    /// Ctrl-C ended it early: exit code 130, as a shell reports it.
    Interrupted,
}

impl Failure {
    /// 2 for usage, 1 for the rest.
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Runtime(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(sentence) | Self::Runtime(sentence)) = self;
        f.write_str(sentence)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Config => Self::Usage(error.to_string()),
            _ => Self::Runtime(error.to_string()),
        }
    }
}

/// Says what went wrong, if anything did, and with which code to end.
pub(crate) fn code(outcome: Result<ExitStatus, Failure>) -> ExitCode {
    match outcome {
        Ok(ExitStatus::Done) => ExitCode::SUCCESS,
        Ok(ExitStatus::Found) => ExitCode::FAILURE,
        Ok(ExitStatus::Interrupted) => ExitCode::from(130),
        Err(failure) => {
            use std::io::Write as _;
            // A closed stderr is no reason to panic; the code says enough.
            let _ = writeln!(std::io::stderr(), "cachecompress: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
