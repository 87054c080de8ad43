//! The compiler wrapper that switches on the portable fallbacks in this workspace's crates alone.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::command::exit_code;

/// Whether `word` is a compiler's path, as cargo passes to its `RUSTC_WORKSPACE_WRAPPER` first.
pub(crate) fn is_compiler(word: &str) -> bool {
    Path::new(word).file_stem().is_some_and(|name| name == "rustc")
}

/// Runs the compiler, the first of `arguments`, with the portable fallbacks switched on.
pub(crate) fn rustc(arguments: &[String]) -> ExitCode {
    let Some((compiler, rest)) = arguments.split_first() else { return ExitCode::FAILURE };
    let mut command = Command::new(compiler);
    command.args(rest).args(["--cfg", "cachecompress_portable"]);
    match command.status() {
        Ok(status) => exit_code(status.success()),
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
    fn is_compiler_tells_rustc_from_a_chore() {
        assert!(is_compiler("/home/me/toolchain/bin/rustc"));
        assert!(is_compiler("rustc"));
        assert!(!is_compiler("test"));
    }
}
