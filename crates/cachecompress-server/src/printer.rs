//! The printer, through which commands write to stdout.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;

/// Prints whole lines to stdout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer;

impl Printer {
    /// Prints one line and flushes it, because a parent process may wait for it in a pipe.
    ///
    /// Errors are ignored: a closed stdout is no reason to stop serving.
    pub(crate) fn line(self, line: fmt::Arguments<'_>) {
        let mut stdout = std::io::stdout().lock();
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }
}

/// A path as one line of text.
///
/// Control characters are escaped, because a file's name may come from anybody: they could end the
/// line or steer a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EscapedPath<'a>(pub(crate) &'a Path);

impl fmt::Display for EscapedPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        text.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_one_line_without_control_characters() {
        let path = Path::new("/c/\x1b[2Jfoo\nbar é \u{9b}1m");
        assert_eq!(EscapedPath(path).to_string(), "/c/\\u{1b}[2Jfoo\\nbar é \\u{9b}1m");
    }
}
