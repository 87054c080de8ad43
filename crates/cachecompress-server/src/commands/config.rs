//! `cachecompress config check`, `print` and `schema`

use std::ffi::OsString;
use std::path::Path;

use crate::cli::ConfigCommand;
use crate::config::ServeConfig;
use crate::config_file::{self, Keys};
use crate::exit::{ExitStatus, Failure};
use crate::live::{self, Findings};
use crate::printer::{Escaped, EscapedPath, Printer};

/// Runs the command under `config` that `arguments` name.
///
/// # Errors
///
/// If the configuration is wrong, but for `check`, which prints all of its mistakes.
pub(crate) fn run(
    command: ConfigCommand,
    arguments: &[OsString],
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    match command {
        ConfigCommand::Check(args) => check(args.config.file(), arguments, printer),
        ConfigCommand::Print(args) => {
            let in_force = config_file::resolve(arguments, args.config.file())?;
            print_lines(&config_file::print(&in_force), printer);
            Ok(ExitStatus::Success)
        }
        ConfigCommand::Schema => {
            print_lines(&config_file::schema(&Keys::of_serve()), printer);
            Ok(ExitStatus::Success)
        }
    }
}

fn check(
    named: Option<&Path>,
    arguments: &[OsString],
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    let in_force = match config_file::resolve(arguments, named) {
        Ok(in_force) => in_force,
        Err(Failure::Mistakes(mistakes)) => {
            print_lines(&mistakes.report(), printer);
            printer.line(format_args!("{}", Escaped(mistakes)));
            return Ok(ExitStatus::Problems);
        }
        Err(failure) => return Err(failure),
    };
    let Some(file) = in_force.file() else {
        let sentence = "there is no configuration to check; name one with --config FILE";
        return Err(Failure::Usage(sentence.to_owned()));
    };
    let Findings { failures, warnings } = match ServeConfig::resolve(&in_force) {
        Ok(config) => live::check(&config),
        Err(failure) => Findings { failures: vec![failure], warnings: Vec::new() },
    };
    for line in warnings {
        printer.line(format_args!("{}", Escaped(line)));
    }
    for failure in &failures {
        printer.line(format_args!("{}: {}", EscapedPath(file), Escaped(failure)));
    }
    if failures.is_empty() {
        printer.line(format_args!("{} has no mistakes", EscapedPath(file)));
    }
    Ok(ExitStatus::of(false, failures.len() as u64))
}

fn print_lines(text: &str, printer: Printer) {
    text.lines().for_each(|line| printer.line(format_args!("{}", Escaped(line))));
}
