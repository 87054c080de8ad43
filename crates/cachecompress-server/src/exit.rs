//! The exit code of the program, and the one sentence on stderr that explains a failure.

use std::fmt;
use std::process::ExitCode;

use cachecompress::{Error, ErrorKind};

use crate::config_file::Mistakes;
use crate::printer::{Escaped, last_words};

/// A command's failure, as one sentence for people.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the environment is wrong: exit code 2.
    Usage(String),
    /// The configuration file is wrong: exit code 2.
    Mistakes(Mistakes),
    /// The machine refuses something: exit code 1.
    Runtime(String),
}

/// The exit status of a command that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// All is well: exit code 0.
    Success,
    /// The command found problems, and has printed them: exit code 1.
    Problems,
    /// A file is not current, which is what was asked: exit code 3.
    Stale,
    /// Ctrl-C ended it early: exit code 130, as a shell reports it.
    Interrupted,
}

impl ExitStatus {
    /// The status of a command that was `stopped` early or not, and found so many `problems`.
    pub(crate) fn of(stopped: bool, problems: u64) -> Self {
        match (stopped, problems) {
            (true, _) => Self::Interrupted,
            (false, 0) => Self::Success,
            (false, _) => Self::Problems,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(sentence) | Self::Runtime(sentence) => f.write_str(sentence),
            Self::Mistakes(mistakes) => mistakes.fmt(f),
        }
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

/// Prints the failure, if there is one, and returns the code to exit with.
pub(crate) fn code(outcome: Result<ExitStatus, Failure>) -> ExitCode {
    match outcome {
        Ok(ExitStatus::Success) => ExitCode::SUCCESS,
        Ok(ExitStatus::Problems) => ExitCode::FAILURE,
        Ok(ExitStatus::Stale) => ExitCode::from(3),
        Ok(ExitStatus::Interrupted) => ExitCode::from(130),
        Err(failure) => {
            if let Failure::Mistakes(mistakes) = &failure {
                mistakes.report().lines().for_each(|line| last_words(&Escaped(line).to_string()));
            }
            last_words(&format!("cachecompress: {}", Escaped(&failure)));
            ExitCode::from(match failure {
                Failure::Usage(_) | Failure::Mistakes(_) => 2,
                Failure::Runtime(_) => 1,
            })
        }
    }
}
