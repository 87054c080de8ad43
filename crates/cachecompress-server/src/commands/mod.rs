//! The commands, one per file.

mod gc;
mod progress_bar;
mod serve;
mod verify;

use crate::cli::{Cli, Command};
use crate::exit::{ExitStatus, Failure};
use crate::printer::Printer;

/// Runs the given command. `None`: help or version has been printed already.
pub(crate) fn run(cli: Option<Cli>) -> Result<ExitStatus, Failure> {
    match cli.map(|cli| cli.command) {
        None => Ok(ExitStatus::Success),
        Some(Command::Serve(args)) => serve::run(*args, Printer).map(|()| ExitStatus::Success),
        Some(Command::Verify(args)) => verify::run(args, Printer),
        Some(Command::Gc(args)) => gc::run(args, Printer),
    }
}
