//! Building the workspace with the portable fallbacks, but its dependencies only once.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Whether cargo calls this program as its `RUSTC_WORKSPACE_WRAPPER`: the first argument is then
/// the compiler's path.
pub(crate) fn is_compiler(word: &str) -> bool {
    Path::new(word).file_stem().is_some_and(|name| name == "rustc")
}

/// Runs the compiler that `arguments` begin with, with the portable fallbacks switched on.
pub(crate) fn rustc(arguments: &[String]) -> ExitCode {
    let Some((compiler, rest)) = arguments.split_first() else { return ExitCode::FAILURE };
    let mut command = Command::new(compiler);
    command.args(rest).args(["--cfg", "cachecompress_portable"]);
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
        }
        Err(error) => {
            eprintln!("{compiler}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_compiler_from_a_chore() {
        assert!(is_compiler("/home/me/toolchain/bin/rustc"));
        assert!(is_compiler("rustc"));
        assert!(!is_compiler("test"));
    }
}
