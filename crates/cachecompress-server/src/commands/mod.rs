//! The commands, one per file.

mod config;
mod explain;
mod gc;
mod generate;
mod get;
mod healthcheck;
mod inspect;
mod progress_bar;
mod purge;
mod reference;
mod serve;
mod verify;
mod warm;

use std::ffi::OsString;

use clap::FromArgMatches as _;

use crate::cli::{Cli, Command};
use crate::config_file;
use crate::exit::{ExitStatus, Failure};
use crate::printer::{Printer, last_words};
use crate::usage;
use crate::variables::unknown_variables;

/// Runs the command that `arguments` name, the program's own name first.
///
/// # Errors
///
/// If the arguments, the environment or the configuration file are wrong, or the command fails.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitStatus, Failure> {
    let parsed = Cli::command_for(arguments).try_get_matches_from(arguments);
    let command = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli.command,
        Err(error) => return usage::explain(&error).map(|()| ExitStatus::Success),
    };
    // A server has a log for that. A health check is run every few seconds.
    let has_log = matches!(command, Command::Serve(_));
    if !has_log && !matches!(command, Command::Healthcheck(_)) {
        for sentence in unknown_variables() {
            last_words(&format!("cachecompress: {sentence}"));
        }
    }
    let status = run_command(command, arguments)?;
    // A server goes on without stdout. All others print their result there.
    if !has_log {
        usage::check_stdout()?;
    }
    Ok(status)
}

fn run_command(command: Command, arguments: &[OsString]) -> Result<ExitStatus, Failure> {
    match command {
        Command::Serve(args) => {
            let in_force = config_file::resolve(arguments, args.config.file())?;
            serve::run(&in_force, Printer).map(|()| ExitStatus::Success)
        }
        Command::Verify(args) => {
            let in_force = config_file::resolve(arguments, args.config.file())?;
            verify::run(&in_force, Printer)
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
        Command::Get(args) => get::run(args, Printer),
        Command::Config { command } => config::run(command, arguments, Printer),
        Command::Healthcheck(args) => {
            let in_force = config_file::resolve(arguments, args.config.file())?;
            healthcheck::run(in_force.args()?, Printer)
        }
        Command::Generate { command } => generate::run(command, Printer),
    }
}
