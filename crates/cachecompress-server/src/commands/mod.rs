//! One command per file.

mod serve;

use crate::cli::{Cli, Command};
use crate::exit::Failure;
use crate::printer::Printer;

/// Runs the command that was given, if one was.
pub(crate) fn run(cli: Option<Cli>) -> Result<(), Failure> {
    match cli.map(|cli| cli.command) {
        None => Ok(()),
        Some(Command::Serve(args)) => serve::run(*args, Printer),
    }
}
