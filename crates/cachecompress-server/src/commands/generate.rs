//! `cachecompress generate man`, `completions` and `reference`

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::reference;
use crate::cli::{Cli, GenerateCommand};
use crate::exit::{ExitStatus, Failure};
use crate::printer::{EscapedPath, Printer};

/// Writes what packages have beside the program, by the definition of the command line.
///
/// # Errors
///
/// If a page cannot be written.
pub(crate) fn run(command: GenerateCommand, printer: Printer) -> Result<ExitStatus, Failure> {
    match command {
        GenerateCommand::Man { dir } => man(&dir)?,
        GenerateCommand::Completions { shell } => completions(shell, printer),
        GenerateCommand::Reference { dir } => reference_pages(&dir)?,
    }
    Ok(ExitStatus::Success)
}

fn man(dir: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Cli::command(), dir).map_err(|error| {
        let dir = EscapedPath(dir);
        Failure::Runtime(format!("cannot write the man pages into {dir}: {error}"))
    })
}

fn reference_pages(dir: &Path) -> Result<(), Failure> {
    for (name, page) in [("flags.md", reference::flags()), ("keys.md", reference::keys())] {
        let path = dir.join(name);
        std::fs::write(&path, page).map_err(|error| {
            Failure::Runtime(format!("cannot write {}: {error}", EscapedPath(&path)))
        })?;
    }
    Ok(())
}

fn completions(shell: Shell, printer: Printer) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cachecompress", &mut script);
    // Escapes would change the script, in which every character is the program's own.
    let script = String::from_utf8_lossy(&script);
    script.lines().for_each(|line| printer.line(format_args!("{line}")));
}
