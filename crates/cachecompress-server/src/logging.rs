//! The program's own log, on stderr.
//!
//! An event is one line, whatever its fields hold: a client or a file's name may have put control
//! characters into them. Nothing waits for stderr, which may be a full pipe.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::Layer as _;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt as _};

use crate::cli::LogFormat;
use crate::limits::{LOG_BURST, LOG_BYTES, LOG_WINDOW};
use crate::log_queue::{LogOutput, LogQueue, LogThread, QueueLimits};
use crate::printer::{Escaped, is_harmless};

/// Sends events up to `level` to stderr from now on, for the whole process. Panics are events, too.
///
/// # Errors
///
/// If there is no stderr, or no thread that writes to it.
pub(crate) fn start(level: LevelFilter, format: LogFormat) -> io::Result<(LogQueue, LogThread)> {
    let queue = LogQueue::new(QueueLimits { bytes: LOG_BYTES, delay: Duration::ZERO });
    let output = StderrOutput(Box::new(unbuffered(io::stderr())?));
    let thread = queue.clone().write_to("log", output)?;
    let colours = has_colours();
    let subscriber = subscriber(level, format, colours, queue.clone());
    // This fails only if there is a subscriber already, which then keeps the log.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok((queue, thread))
}

/// Whether people see on a terminal what the log tells at `info`.
pub(crate) fn is_read_on_a_terminal(level: LevelFilter) -> bool {
    level >= LevelFilter::INFO && io::stderr().is_terminal()
}

/// Whether stderr is a terminal with colours, or is told to be one: by `NO_COLOR`, `CLICOLOR`,
/// `CLICOLOR_FORCE` and `TERM`, as for the help.
fn has_colours() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

fn subscriber(
    level: LevelFilter,
    format: LogFormat,
    colours: bool,
    queue: LogQueue,
) -> impl tracing::Subscriber + Send + Sync {
    // These libraries warn of the mistakes of their peers, which may be half a million lines in four
    // seconds. At debug one of them logs every frame.
    let theirs = level.min(LevelFilter::ERROR);
    let filter = ["h2", "hyper", "object_store", "reqwest"]
        .into_iter()
        .fold(Targets::new().with_default(level), |filter, target| {
            filter.with_target(target, theirs)
        });
    let filter = filter.and(KindLimit { kinds: Mutex::default(), queue: queue.clone() });
    let output = tracing_subscriber::fmt::layer();
    let layer = match format {
        LogFormat::Json => {
            output.with_writer(LogLines { queue, json: true }).json().flatten_event(true).boxed()
        }
        LogFormat::Text => {
            let fields = debug_fn(|output, field, value| match field.name() {
                "message" => write!(output, "{}", Escaped(format_args!("{value:?}"))),
                name => write!(output, "{name}={}", Escaped(format_args!("{value:?}"))),
            });
            let output = output.with_writer(LogLines { queue, json: false });
            output.fmt_fields(fields.delimited(" ")).with_ansi(colours).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(filter))
}

/// Leaves out warnings and errors of a kind that comes too often: a fault of ours that clients can
/// repeat shall not fill a disk. Messages that are left out count as lost lines.
struct KindLimit {
    /// For each line of code that sends messages, those of a minute.
    kinds: Mutex<HashMap<Identifier, Window>>,
    queue: LogQueue,
}

/// The messages of one kind in a minute.
struct Window {
    began: Instant,
    told: u32,
}

impl KindLimit {
    fn admits(&self, kind: Identifier, now: Instant) -> bool {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.entry(kind).or_insert(Window { began: now, told: 0 }).admits(now)
    }
}

impl Window {
    fn admits(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.began) >= LOG_WINDOW {
            *self = Self { began: now, told: 0 };
        }
        self.told = self.told.saturating_add(1);
        self.told <= LOG_BURST
    }
}

impl<S> Filter<S> for KindLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let kind = event.metadata();
        if *kind.level() > Level::WARN || self.admits(kind.callsite(), Instant::now()) {
            return true;
        }
        self.queue.lose(1);
        false
    }
}

/// Returns an output without a buffer, so that it is known which lines were written.
#[cfg(unix)]
pub(crate) fn unbuffered(output: impl std::os::fd::AsFd) -> io::Result<std::fs::File> {
    Ok(output.as_fd().try_clone_to_owned()?.into())
}

/// Returns the output itself: on this system it has no file that could be shared.
#[cfg(not(unix))]
pub(crate) fn unbuffered<W: Write + Send>(output: W) -> io::Result<W> {
    Ok(output)
}

/// The writer of the formatted events.
struct LogLines {
    queue: LogQueue,
    json: bool,
}

/// The writer of one event, which comes as a whole.
struct LogEvent<'a>(&'a LogLines);

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = LogEvent<'a>;

    fn make_writer(&'a self) -> LogEvent<'a> {
        LogEvent(self)
    }
}

impl Write for LogEvent<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Self(LogLines { queue, json }) = self;
        match std::str::from_utf8(line) {
            Ok(text) if *json && !text.is_ascii() => queue.push(escape_json(text).as_bytes()),
            _ => queue.push(line),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Escapes what JSON allows in strings and a terminal may obey. Outside of strings JSON has only
/// ASCII.
fn escape_json(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if c.is_ascii() || is_harmless(c) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

/// Stderr, the log of which tells of its own losses.
struct StderrOutput(Box<dyn Write + Send>);

impl fmt::Debug for StderrOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StderrOutput")
    }
}

impl LogOutput for StderrOutput {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.write(lines)
    }

    fn reopen(&mut self) {}

    fn tell_failure(&mut self, _: &io::Error) {}

    fn tell_lost(&mut self, lines: u64, failing: bool) -> bool {
        if !failing {
            tracing::error!(lines, "lines of this log were left out");
        }
        !failing
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    struct Collected(Sender<u8>);

    impl LogOutput for Collected {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            lines.iter().try_for_each(|byte| self.0.send(*byte)).map_err(io::Error::other)?;
            Ok(lines.len())
        }
        fn reopen(&mut self) {}
        fn tell_failure(&mut self, _: &io::Error) {}
        fn tell_lost(&mut self, _: u64, _: bool) -> bool {
            true
        }
    }

    /// The log of `events` in `format`.
    fn log(format: LogFormat, events: impl FnOnce()) -> String {
        log_with(format, |_| events())
    }

    /// The log of `events`, which are given its queue.
    fn log_with(format: LogFormat, events: impl FnOnce(&LogQueue)) -> String {
        let limits = QueueLimits { bytes: LOG_BYTES, delay: Duration::ZERO };
        let (sender, written) = channel();
        let queue = LogQueue::new(limits);
        let thread = queue.clone().write_to("test", Collected(sender)).unwrap();
        let subscriber = subscriber(LevelFilter::INFO, format, true, queue.clone());
        tracing::subscriber::with_default(subscriber, || events(&queue));
        assert!(thread.close(Duration::from_secs(60)));
        String::from_utf8(written.iter().collect()).unwrap()
    }

    const FORGED: &str = "x\n2026-01-01T00:00:00Z ERROR forged\r\x1b[31m\u{9b}1m\u{202e}\u{2028}é";

    fn forged_events() {
        let error = FORGED;
        tracing::warn!(%error, text = FORGED, debugged = ?FORGED, "cannot read {FORGED}");
        tracing::error!("{}", io::Error::other(FORGED));
    }

    #[test]
    fn events_are_one_line_each_without_control_characters() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = log(format, forged_events);
            assert_eq!(log.lines().count(), 2, "{log}");
            // The colours of a terminal are the log's own.
            let own = log.replace("\u{1b}[", "<");
            assert!(!own.contains("<31mx") && !own.contains("<31m\\"), "{own}");
            let bad = |c: &char| *c != '\n' && (c.is_control() || "\u{202e}\u{2028}".contains(*c));
            assert_eq!(own.chars().find(bad), None, "{log:?}");
            assert!(log.contains('é'), "{log}");
        }
    }

    /// A panic for each request would fill a disk as well as any other error.
    #[test]
    fn kind_that_comes_too_often_is_left_out_and_counted() {
        let mut lost = 0;
        let log = log_with(LogFormat::Text, |queue| {
            for number in 0..LOG_BURST + 7 {
                tracing::error!(number, "repeated");
                tracing::info!(number, "as often as the operator wishes");
            }
            tracing::error!("another kind");
            lost = queue.lost();
        });
        let count = |words: &str| log.matches(words).count();
        assert_eq!(count("repeated"), LOG_BURST as usize, "{log}");
        assert_eq!((count("as often as"), count("another kind"), lost), (27, 1, 7), "{log}");
    }

    #[test]
    fn kind_is_told_again_in_the_next_minute() {
        let begun = Instant::now();
        let mut window = Window { began: begun, told: 0 };
        assert!((0..LOG_BURST).all(|_| window.admits(begun)));
        assert!(!window.admits(begun + LOG_WINDOW / 2));
        assert!(window.admits(begun + LOG_WINDOW));
    }

    #[test]
    fn json_keeps_what_was_said() {
        let log = log(LogFormat::Json, forged_events);
        let event: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert_eq!(event["error"], FORGED);
        assert_eq!(event["message"], format!("cannot read {FORGED}"));
    }
}
