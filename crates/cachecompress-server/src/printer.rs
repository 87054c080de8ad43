//! The one door to stdout for what commands report.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;

/// Prints whole lines to stdout, at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer;

impl Printer {
    /// Prints one line and flushes it: whoever started us may be waiting for it in a pipe.
    ///
    /// A stdout that nobody reads any more is no reason to stop serving.
    pub(crate) fn line(self, line: fmt::Arguments<'_>) {
        let mut stdout = std::io::stdout().lock();
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }
}

/// A path as one line of text: what could end the line or steer a terminal is written as an
/// escape, because names of files may be anybody's.
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
    fn a_path_is_one_line_that_steers_no_terminal() {
        let path = Path::new("/c/\x1b[2Jfoo\nbar é \u{9b}1m");
        assert_eq!(EscapedPath(path).to_string(), "/c/\\u{1b}[2Jfoo\\nbar é \\u{9b}1m");
    }
}
