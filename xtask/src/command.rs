//! Running other programs.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::workspace;

/// `cargo` with `arguments`, in the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root()).stdin(Stdio::null());
    if io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// Prints a command line and runs it; its output is shown.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    run_in(Path::new("."), words)
}

/// Prints a command line and runs it in `dir`; its output is shown.
pub(crate) fn run_in(dir: &Path, words: &[&str]) -> Result<(), String> {
    println!("    {}", words.join(" "));
    let (program, arguments) = words.split_first().ok_or("no command")?;
    let mut command = Command::new(program);
    match command.args(arguments).current_dir(dir).stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{program}` failed: {status}")),
        Err(error) => Err(format!("`{program}` cannot be run: {error}")),
    }
}

/// Whether `command` succeeds; its output is discarded.
pub(crate) fn succeeds_quietly(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The exit code of a chore.
pub(crate) fn exit_code(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The path of an installed program.
pub(crate) fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Servers lie in directories that only root has on its path.
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_on_path_finds_installed_programs_only() {
        assert!(find_on_path("sh").is_some());
        assert!(find_on_path("no-such-program-anywhere").is_none());
    }

    #[test]
    fn run_reports_failure_and_absence() {
        assert_eq!(run(&["true"]), Ok(()));
        assert!(run(&["false"]).is_err_and(|error| error.starts_with("`false` failed")));
        assert!(run(&["no-such-program-anywhere"]).is_err());
    }
}
