//! The commands, one per file.

mod config;
mod explain;
mod gc;
mod generate;
mod healthcheck;
mod inspect;
mod progress_bar;
mod purge;
mod reference;
mod serve;
mod verify;
mod warm;

use std::ffi::OsString;

use clap::Parser as _;

use crate::cli::{self, Cli, Command};
use crate::config_file;
use crate::exit::{ExitStatus, Failure};
use crate::printer::Printer;

/// Runs the command that `arguments` name, the program's own name first.
///
/// # Errors
///
/// If the arguments, the environment or the configuration file are wrong, or the command fails.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitStatus, Failure> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return cli::explain(&error).map(|()| ExitStatus::Success),
    };
    match cli.command {
        Command::Serve(args) => {
            let in_force = config_file::resolve(arguments, args.config.file())?;
            serve::run(&in_force, Printer).map(|()| ExitStatus::Success)
        }
        Command::Verify(args) => {
            let in_force = config_file::resolve(arguments, args.config.file())?;
            verify::run(in_force.args()?, Printer)
        }
        Command::Gc(args) => {
            let in_force = config_file::resolve(arguments, args.config.file())?;
            gc::run(in_force.args()?, Printer)
        }
        Command::Warm(args) => {
            let in_force = config_file::resolve(arguments, args.config.file())?;
            warm::run(&in_force, Printer)
        }
        Command::Inspect(args) => {
            let in_force = config_file::resolve(arguments, args.serve.config.file())?;
            inspect::run(&in_force, Printer)
        }
        Command::Purge(args) => {
            let in_force = config_file::resolve(arguments, args.serve.config.file())?;
            purge::run(&in_force, Printer)
        }
        Command::Config { command } => config::run(command, arguments, Printer),
        Command::Healthcheck(args) => {
            let in_force = config_file::resolve(arguments, args.config.file())?;
            healthcheck::run(in_force.args()?, Printer)
        }
        Command::Generate { command } => generate::run(command, Printer),
    }
}
