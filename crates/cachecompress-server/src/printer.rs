//! The printer, through which commands write to stdout, and text that is safe to print.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::OnceLock;

use crate::limits::LOG_CLOSE_TIMEOUT;

/// The first error of stdout, of which a process has one.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Prints whole lines to stdout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer;

impl Printer {
    /// Prints one line and flushes it, because a parent process may wait for it in a pipe.
    ///
    /// An error is noted for [`failure`](Self::failure). A closed stdout is no reason to stop what is done.
    pub(crate) fn line(self, line: fmt::Arguments<'_>) {
        let mut stdout = io::stdout().lock();
        self.note(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
    }

    /// Notes the outcome of something that was written to stdout.
    pub(crate) fn note(self, written: io::Result<()>) {
        if let Err(error) = written {
            let _ = FAILURE.set(error);
        }
    }

    /// The first error of stdout, if not all that was printed went out. A reader that has left, such as
    /// `head`, has all that it wanted.
    pub(crate) fn failure(self) -> Option<&'static io::Error> {
        FAILURE.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }
}

/// Writes a program's last sentence to stderr, and does not wait for ever: it may be a full pipe.
pub(crate) fn last_words(sentence: &str) {
    // A closed stderr is no reason to panic: the exit code says enough.
    let write = |sentence: &str| drop(writeln!(io::stderr(), "{sentence}"));
    let (written, done) = std::sync::mpsc::sync_channel(1);
    let words = sentence.to_owned();
    let writer = std::thread::Builder::new().spawn(move || {
        write(&words);
        let _ = written.send(());
    });
    match writer {
        Ok(_) => drop(done.recv_timeout(LOG_CLOSE_TIMEOUT)),
        // Threads may be what the sentence is about.
        Err(_) => write(sentence),
    }
}

/// A path as one line of text, in which [`Escaped`] characters and bytes that are no UTF-8 are
/// escaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EscapedPath<'a>(pub(crate) &'a Path);

impl fmt::Display for EscapedPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_os_str().as_encoded_bytes().utf8_chunks() {
            Escaped(chunk.valid()).fmt(f)?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02X}"))?;
        }
        Ok(())
    }
}

/// A text as one line, without characters that end a line, steer a terminal or turn the direction
/// of what follows. Files' names and requests come from anybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match is_harmless(c) {
            true => self.0.write_char(c),
            false => write!(self.0, "{}", c.escape_debug()),
        })
    }
}

/// Whether a character is only seen where it stands.
pub(crate) fn is_harmless(c: char) -> bool {
    // std escapes what is not printable: control and format characters, and unassigned ones.
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_one_line_without_control_characters() {
        let path = Path::new("/c/\x1b[2Jfoo\nbar \"é\" \u{9b}1m\u{202e}");
        let shown = EscapedPath(path).to_string();
        assert_eq!(shown, "/c/\\u{1b}[2Jfoo\\nbar \"é\" \\u{9b}1m\\u{202e}");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_of_a_path_that_are_no_text_are_shown() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"a\xff\xe9b"));
        assert_eq!(EscapedPath(path).to_string(), "a\\xFF\\xE9b");
    }
}
