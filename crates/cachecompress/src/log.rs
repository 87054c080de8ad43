//! The library's messages to the application's log.
//!
//! Clients and the names of files have a say in messages. A path with a newline forges a line, and one
//! with an escape steers the terminal of its reader. A request that fails fills a disk when it is
//! repeated. Every message therefore goes through the macros of this module. They escape all of it,
//! and let a few warnings and errors of each kind through in a minute.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::limits::{LOG_BURST, LOG_WINDOW};

/// A text as one line, without characters that end a line, steer a terminal or turn the direction
/// of what follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// A path as [`Escaped`] text, in which bytes that are no UTF-8 are escaped as well.
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

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // std escapes what is not printable, and quotes and backslashes, which are harmless here.
        text.chars().try_for_each(|c| match c {
            '"' | '\'' | '\\' => self.0.write_char(c),
            _ => write!(self.0, "{}", c.escape_debug()),
        })
    }
}

/// Lets the first messages of one kind through, in each minute with any.
#[derive(Debug)]
pub(crate) struct Throttle(Mutex<Window>);

#[derive(Debug)]
struct Window {
    began: Option<Instant>,
    told: u32,
    left_out: u64,
}

impl Throttle {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Window { began: None, told: 0, left_out: 0 }))
    }

    /// Whether a message may be told now. The number is that of the messages that were left out in
    /// the last minute with any, if this is the first one since.
    pub(crate) fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |began| now.saturating_duration_since(began) >= LOG_WINDOW;
        let mut left_out = 0;
        if window.began.is_none_or(over) {
            left_out = window.left_out;
            *window = Window { began: Some(now), told: 0, left_out: 0 };
        }
        if window.told == LOG_BURST {
            window.left_out += 1;
            return None;
        }
        window.told += 1;
        Some(left_out)
    }
}

/// Sends an escaped event to `tracing`: `%field`s, then a message as `format!` takes it.
macro_rules! event {
    ($level:ident, $(% $field:ident,)* $message:literal $($argument:tt)*) => {
        tracing::$level!(
            $($field = %$crate::log::Escaped(&$field),)*
            "{}",
            $crate::log::Escaped(format_args!($message $($argument)*))
        )
    };
}

/// Sends an [`event!`], unless this line of code has sent too many lately.
macro_rules! limited {
    ($level:ident, $($event:tt)+) => {{
        static THROTTLE: $crate::log::Throttle = $crate::log::Throttle::new();
        if let Some(left_out) = THROTTLE.admit() {
            if left_out > 0 {
                tracing::$level!("{left_out} messages like the next one were left out");
            }
            $crate::log::event!($level, $($event)+);
        }
    }};
}

macro_rules! error_ { ($($event:tt)+) => { $crate::log::limited!(error, $($event)+) }; }
macro_rules! warn_ { ($($event:tt)+) => { $crate::log::limited!(warn, $($event)+) }; }
macro_rules! info_ { ($($event:tt)+) => { $crate::log::event!(info, $($event)+) }; }
macro_rules! debug_ { ($($event:tt)+) => { $crate::log::event!(debug, $($event)+) }; }

pub(crate) use debug_ as debug;
pub(crate) use error_ as error;
pub(crate) use event;
pub(crate) use info_ as info;
pub(crate) use limited;
pub(crate) use warn_ as warn;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_is_one_line_that_steers_no_terminal() {
        let text =
            "a\n2026 ERROR b\r\t\x1b[31m\0\x7f\u{9b}1m\u{202e}\u{2066}\u{2028}\u{feff} \"é\\\"";
        let shown = Escaped(text).to_string();
        assert_eq!(
            shown,
            "a\\n2026 ERROR b\\r\\t\\u{1b}[31m\\0\\u{7f}\\u{9b}1m\\u{202e}\\u{2066}\\u{2028}\
             \\u{feff} \"é\\\""
        );
        assert_eq!(Escaped(&shown).to_string(), shown, "it is escaped once");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_of_a_path_that_are_no_text_are_shown() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"a\xff\n\xe9b"));
        assert_eq!(EscapedPath(path).to_string(), "a\\xFF\\n\\xE9b");
    }

    #[test]
    fn throttle_lets_a_few_through_and_counts_the_others() {
        let throttle = Throttle::new();
        let begun = Instant::now();
        for _ in 0..LOG_BURST {
            assert_eq!(throttle.admit_at(begun), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(throttle.admit_at(begun + LOG_WINDOW / 2), None);
        }
        let later = begun + LOG_WINDOW;
        assert_eq!(throttle.admit_at(later), Some(7));
        assert_eq!(throttle.admit_at(later), Some(0));
        assert_eq!(throttle.admit_at(later + LOG_WINDOW), Some(0), "nothing was left out");
    }
}
