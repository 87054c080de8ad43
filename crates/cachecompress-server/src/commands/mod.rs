//! One command per file.

mod gc;
mod progress_bar;
mod serve;
mod verify;

use crate::cli::{Cli, Command};
use crate::exit::{ExitStatus, Failure};
use crate::printer::Printer;

/// Runs the command that was given, if one was.
pub(crate) fn run(cli: Option<Cli>) -> Result<ExitStatus, Failure> {
    match cli.map(|cli| cli.command) {
        None => Ok(ExitStatus::Done),
        Some(Command::Serve(args)) => serve::run(*args, Printer).map(|()| ExitStatus::Done),
        Some(Command::Verify(args)) => verify::run(args, Printer),
        Some(Command::Gc(args)) => gc::run(args, Printer),
    }
}
