//! How the program ends: 0, or one sentence on stderr and an exit code.

use std::fmt;
use std::process::ExitCode;

/// Why a command could not do its work, as one sentence for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line, or the environment, asks for what cannot be: exit code 2.
    Usage(String),
    /// The machine says no: exit code 1.
    Runtime(String),
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

/// Says what went wrong, if anything did, and with which code to end.
pub(crate) fn code(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            use std::io::Write as _;
            // A closed stderr is no reason to panic; the code says enough.
            let _ = writeln!(std::io::stderr(), "cachecompress: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
