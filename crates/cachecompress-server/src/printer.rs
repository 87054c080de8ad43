//! The one door to stdout for what commands report.

use std::fmt;
use std::io::Write as _;

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
