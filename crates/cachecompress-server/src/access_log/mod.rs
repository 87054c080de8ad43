//! The access log: one line for every response, written by a thread of its own.
//!
//! A line is the combined log format with further fields behind it:
//!
//! ```text
//! CLIENT - USER [DAY/MONTH/YEAR:HH:MM:SS +0000] "REQUEST" STATUS SENT "REFERER" "USER-AGENT"
//!   coding=CODING cache="CACHE-STATUS" source=BYTES sent=BYTES first_byte=SECONDS
//!   end=complete|aborted
//! ```
//!
//! all in one line, with single spaces; or it is an object of JSON with the same fields and some
//! more.
//!
//! - The time is the request's arrival, in UTC.
//! - `USER` has shown a password. A space in the name is `\x20`.
//! - `SENT` and `sent` are the bytes of the body that the connection took. The last of them may
//!   still have been on their way when the client left.
//! - `source` is the file's length.
//! - `first_byte` runs from the request's arrival to the body's first byte, or to the end of an
//!   empty body.
//! - An unknown value is `-`, in JSON `null`.
//! - In quotes, `"`, `\` and every byte other than visible ASCII and the space stand as `\xHH`, so
//!   that no client can forge a line. JSON has its own escapes for them.
//! - A longer method, target, host, Referer or User-Agent is cut to 1 KiB, of which the last bytes
//!   are `...`.
//! - With a sample of N, a line stands for N responses, and says so. Errors and aborted responses
//!   stand for themselves: all of them have their line.
//!
//! hyper answers some requests by itself (400 for what is no HTTP, 431). They have no line.

mod combined;
mod field;
mod identity;
mod json;
mod record;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use cachecompress::Served;
use http::{Request, Response};
use http_body::Body;

pub(crate) use self::field::escape as escape_field;
use self::record::Record;
use crate::cli::AccessLogFormat;
use crate::exit::Failure;
use crate::flag_values::LogTarget;
use crate::limits::{ACCESS_LOG_BYTES, LOG_FLUSH_INTERVAL};
use crate::log_queue::{LogOutput, LogQueue, LogThread, QueueLimits};
use crate::logging;
use crate::peer::Peer;
use crate::printer::EscapedPath;

/// The access log's place and form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessLogConfig {
    pub(crate) target: LogTarget,
    pub(crate) format: AccessLogFormat,
    /// One of so many successful responses has a line.
    pub(crate) sample: u32,
}

/// Takes lines without ever waiting for the disk. Clones share the log.
#[derive(Clone)]
pub(crate) struct AccessLog {
    queue: LogQueue,
    format: AccessLogFormat,
    sample: u32,
}

impl AccessLog {
    /// Opens the file of `config` and starts the thread that writes to it.
    ///
    /// # Errors
    ///
    /// [`Failure::Runtime`] if the file cannot be opened for appending.
    pub(crate) fn start(config: AccessLogConfig) -> Result<(Self, LogThread), Failure> {
        let AccessLogConfig { target, format, sample } = config;
        let cannot = |what: &str, error: io::Error| {
            Failure::Runtime(format!(
                "cannot {what}: {error}; choose another file with --access-log"
            ))
        };
        let output = open(&target).map_err(|error| {
            let place = match &target {
                LogTarget::Stdout => Path::new("stdout"),
                LogTarget::File(path) => path,
            };
            cannot(&format!("write to {}", EscapedPath(place)), error)
        })?;
        let limits = QueueLimits { bytes: ACCESS_LOG_BYTES, delay: LOG_FLUSH_INTERVAL };
        let queue = LogQueue::new(limits);
        let output = AccessLogOutput { target, output };
        let thread = queue
            .clone()
            .write_to("access-log", output)
            .map_err(|error| cannot("start the access log's thread", error))?;
        Ok((Self { queue, format, sample }, thread))
    }

    /// The queue of the log's lines.
    pub(crate) fn queue(&self) -> &LogQueue {
        &self.queue
    }

    /// Begins the line of `request`, which has just `arrived` from `peer`.
    pub(crate) fn begin<B>(&self, peer: &Peer, request: &Request<B>, arrived: Instant) -> LogLine {
        let with_origin = self.format == AccessLogFormat::Json;
        LogLine { log: self.clone(), record: Record::new(peer, request, arrived, with_origin) }
    }
}

/// The access log's file, or stdout.
struct AccessLogOutput {
    target: LogTarget,
    output: Box<dyn Write + Send>,
}

impl LogOutput for AccessLogOutput {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.output.write(lines)
    }

    fn reopen(&mut self) {
        match open(&self.target) {
            Ok(output) => self.output = output,
            Err(error) => {
                tracing::warn!(%error, "cannot reopen the access log; the old file goes on");
            }
        }
    }

    fn tell_failure(&mut self, error: &io::Error) {
        tracing::warn!(%error, "cannot write the access log");
    }

    fn tell_lost(&mut self, lines: u64, _: bool) -> bool {
        tracing::warn!(lines, "lines of the access log were lost");
        true
    }
}

/// Opens `target` for appending.
fn open(target: &LogTarget) -> io::Result<Box<dyn Write + Send>> {
    Ok(match target {
        LogTarget::Stdout => Box::new(logging::unbuffered(io::stdout())?),
        LogTarget::File(path) => Box::new(open_file(path)?),
    })
}

/// Opens a file for appending. A FIFO is opened for reading as well: to open it for writing alone
/// waits for a reader.
fn open_file(path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    if std::fs::metadata(path)
        .is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type()))
    {
        return OpenOptions::new().read(true).write(true).open(path);
    }
    OpenOptions::new().append(true).create(true).open(path)
}

/// A line under way. It is queued for the thread when it is dropped.
pub(crate) struct LogLine {
    log: AccessLog,
    record: Record,
}

impl LogLine {
    /// Adds the name of the `user` whose password was right.
    pub(crate) fn authenticated(&mut self, user: Arc<str>) {
        self.record.user = Some(user);
    }

    /// Adds the response's status and coding, and the length that its body announces.
    pub(crate) fn answered<B: Body>(&mut self, response: &Response<B>, served: Option<&Served>) {
        self.record.answered(response, served);
    }

    /// Counts a frame of `bytes`; `is_last` says that the body has no more.
    pub(crate) fn sent(&mut self, bytes: usize, is_last: bool) {
        self.record.sent(bytes, is_last);
    }

    /// Records how the body ended: `complete`, or with an error.
    pub(crate) fn end(&mut self, complete: bool) {
        self.record.complete = complete;
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let Self { log, record } = self;
        let sample = if record.is_success() { log.sample } else { 1 };
        if sample > 1 && !identity::random().is_multiple_of(sample.into()) {
            log.queue.leave_out();
            return;
        }
        let mut line = String::with_capacity(512);
        match log.format {
            AccessLogFormat::Combined => combined::render(record, sample, &mut line),
            AccessLogFormat::Json => json::render(record, sample, &mut line),
        }
        log.queue.push(line.as_bytes());
    }
}
