//! The access log: one line for every response, written by a thread of its own.
//!
//! A line is the combined log format with further fields behind it:
//!
//! ```text
//! CLIENT - - [DAY/MONTH/YEAR:HH:MM:SS +0000] "REQUEST" STATUS SENT "REFERER" "USER-AGENT"
//!   coding=CODING cache="CACHE-STATUS" source=BYTES sent=BYTES first_byte=SECONDS
//!   end=complete|aborted
//! ```
//!
//! all in one line, with single spaces.
//!
//! - The time is the request's arrival, in UTC.
//! - `SENT` and `sent` are the bytes of the body that the connection took. The last of them may
//!   still have been on their way when the client left.
//! - `source` is the file's length.
//! - `first_byte` runs from the request's arrival to the body's first byte, or to the end of an
//!   empty body.
//! - An unknown value is `-`.
//! - In quotes, `"`, `\` and every byte other than visible ASCII and the space stand as `\xHH`, so
//!   that no client can forge a line.
//!
//! hyper answers some requests by itself (400 for what is no HTTP, 431). They have no line.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use cachecompress::Served;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;

use crate::exit::Failure;
use crate::flag_values::LogTarget;
use crate::limits::{LOG_BUFFER_BYTES, LOG_FLUSH_INTERVAL, LOG_QUEUE_LINES};

/// Takes lines without ever waiting for the disk. Clones share the log.
#[derive(Clone)]
pub(crate) struct AccessLog(Arc<LogState>);

struct LogState {
    queue: SyncSender<Message>,
    lost: AtomicU64,
    reopen: AtomicBool,
    closing: AtomicBool,
}

enum Message {
    Line(String),
    /// Wakes the thread, so that it reads the flags.
    Wake,
}

/// The thread that writes. [`close`](Self::close) ends it.
pub(crate) struct LogThread {
    log: AccessLog,
    ended: Mutex<Receiver<()>>,
}

impl AccessLog {
    /// Opens `target` and starts the thread that writes to it.
    ///
    /// # Errors
    ///
    /// [`Failure::Runtime`] if the file cannot be opened for appending.
    pub(crate) fn start(target: LogTarget) -> Result<(Self, LogThread), Failure> {
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
            cannot(&format!("write to {}", place.display()), error)
        })?;
        let (log, lines) = Self::with_queue(LOG_QUEUE_LINES);
        let (end, ended) = sync_channel(1);
        let state = Arc::clone(&log.0);
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || {
                LogWriter { target, output, state, reported: 0 }.run(&lines);
                let _ = end.send(());
            })
            .map_err(|error| cannot("start the access log's thread", error))?;
        Ok((log.clone(), LogThread { log, ended: Mutex::new(ended) }))
    }

    /// A log whose queue holds so many `lines`, and the queue's other end.
    fn with_queue(lines: usize) -> (Self, Receiver<Message>) {
        let (queue, receiver) = sync_channel(lines);
        let state = LogState {
            queue,
            lost: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        };
        (Self(Arc::new(state)), receiver)
    }

    /// Begins the line of `request`, which has just arrived.
    pub(crate) fn begin<B>(&self, client: IpAddr, request: &Request<B>) -> LogLine {
        let field = |name| request.headers().get(name).cloned();
        // An HTTP/2 request has no target, only its parts.
        let target = match request.version() {
            Version::HTTP_2 => request.uri().path_and_query().map(ToString::to_string),
            _ => Some(request.uri().to_string()),
        };
        LogLine {
            log: self.clone(),
            client: client.to_canonical(),
            arrived: SystemTime::now(),
            started: Instant::now(),
            method: request.method().clone(),
            target: target.unwrap_or_default(),
            version: request.version(),
            referer: field(header::REFERER),
            user_agent: field(header::USER_AGENT),
            status: StatusCode::OK,
            coding: None,
            cache_status: None,
            source_len: None,
            announced: None,
            sent: 0,
            first_byte: None,
            complete: false,
        }
    }

    /// Has the thread open the file anew, after it was renamed.
    pub(crate) fn reopen(&self) {
        self.0.reopen.store(true, Ordering::Release);
        self.wake();
    }

    fn push(&self, line: String) {
        if self.0.queue.try_send(Message::Line(line)).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wake(&self) {
        // A full queue wakes the thread as well.
        let _ = self.0.queue.try_send(Message::Wake);
    }
}

impl LogThread {
    /// Writes the lines that wait and ends the thread.
    ///
    /// Gives up after `timeout`, because stdout may be a pipe that nobody reads, and at once if
    /// another caller is closing it.
    pub(crate) fn close(&self, timeout: Duration) {
        self.log.0.closing.store(true, Ordering::Release);
        self.log.wake();
        let Ok(ended) = self.ended.try_lock() else { return };
        if ended.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the access log could not be written to its end");
        }
    }
}

/// Opens `target` for appending.
fn open(target: &LogTarget) -> io::Result<Box<dyn Write + Send>> {
    Ok(match target {
        LogTarget::Stdout => Box::new(BufWriter::with_capacity(LOG_BUFFER_BYTES, io::stdout())),
        LogTarget::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            Box::new(BufWriter::with_capacity(LOG_BUFFER_BYTES, file))
        }
    })
}

/// The writing thread's part of the log.
struct LogWriter {
    target: LogTarget,
    output: Box<dyn Write + Send>,
    state: Arc<LogState>,
    /// Lost lines that a warning has told of.
    reported: u64,
}

impl LogWriter {
    fn run(&mut self, lines: &Receiver<Message>) {
        let mut flush_at = Instant::now() + LOG_FLUSH_INTERVAL;
        loop {
            // Read before the queue, so that no line slips through between the two.
            let closing = self.state.closing.load(Ordering::Acquire);
            let wait = match closing {
                true => Duration::ZERO,
                false => flush_at.saturating_duration_since(Instant::now()),
            };
            match lines.recv_timeout(wait) {
                Ok(Message::Line(line)) => self.write(&line),
                Ok(Message::Wake) => {}
                Err(RecvTimeoutError::Timeout) if !closing => {}
                Err(_) => break self.flush(),
            }
            if self.state.reopen.swap(false, Ordering::AcqRel) {
                self.flush();
                match open(&self.target) {
                    Ok(output) => self.output = output,
                    Err(error) => tracing::warn!(
                        %error,
                        "cannot reopen the access log; the old file goes on"
                    ),
                }
            }
            if Instant::now() >= flush_at {
                self.flush();
                flush_at = Instant::now() + LOG_FLUSH_INTERVAL;
            }
        }
    }

    fn write(&mut self, line: &str) {
        if self.output.write_all(line.as_bytes()).is_err() {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&mut self) {
        if let Err(error) = self.output.flush() {
            tracing::warn!(%error, "cannot write the access log");
        }
        let lost = self.state.lost.load(Ordering::Relaxed);
        if lost > self.reported {
            tracing::warn!(lines = lost - self.reported, "lines of the access log were lost");
            self.reported = lost;
        }
    }
}

/// A line under way. It is queued for the thread when it is dropped.
pub(crate) struct LogLine {
    log: AccessLog,
    client: IpAddr,
    arrived: SystemTime,
    started: Instant,
    method: Method,
    target: String,
    version: Version,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    status: StatusCode,
    coding: Option<String>,
    cache_status: Option<String>,
    source_len: Option<u64>,
    announced: Option<u64>,
    sent: u64,
    first_byte: Option<Duration>,
    complete: bool,
}

impl LogLine {
    /// Adds the response's status and coding, and the length that its body announces.
    pub(crate) fn answered<B: Body>(&mut self, response: &Response<B>, served: Option<&Served>) {
        self.status = response.status();
        self.announced = response.body().size_hint().exact();
        // A response without a body by definition cannot be cut short (RFC 9112 §6.3).
        self.complete = self.method == Method::HEAD
            || matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || response.body().is_end_stream();
        self.coding = coding_sent(response.headers())
            .or_else(|| served.map(|served| served.coding.to_string()));
        if let Some(served) = served {
            self.cache_status = served.cache_status.map(|status| status.as_str().to_owned());
            self.source_len = served.source_len;
        }
    }

    /// Counts a frame of `bytes`; `is_last` says that the body has no more.
    pub(crate) fn sent(&mut self, bytes: usize, is_last: bool) {
        if bytes > 0 {
            self.first_byte.get_or_insert_with(|| self.started.elapsed());
            self.sent += bytes as u64;
        }
        // hyper polls a body no further than the length that it announced.
        self.complete |= is_last || self.announced.is_some_and(|len| self.sent >= len);
    }

    /// Records how the body ended: `complete`, or with an error.
    pub(crate) fn end(&mut self, complete: bool) {
        self.complete = complete;
    }

    fn render(&self) -> String {
        let mut line = String::with_capacity(320);
        let first_byte = self.first_byte.unwrap_or_else(|| self.started.elapsed());
        let end = if self.complete { "complete" } else { "aborted" };
        let _ = write!(line, "{} - - [{}] \"", self.client, clf_time(self.arrived));
        escape(&mut line, self.method.as_str().as_bytes());
        line.push(' ');
        escape(&mut line, self.target.as_bytes());
        let _ = write!(line, " {:?}\" {} {} ", self.version, self.status.as_u16(), self.sent);
        quote(&mut line, self.referer.as_ref().map(HeaderValue::as_bytes));
        line.push(' ');
        quote(&mut line, self.user_agent.as_ref().map(HeaderValue::as_bytes));
        let _ = write!(line, " coding={} cache=", self.coding.as_deref().unwrap_or("-"));
        quote(&mut line, self.cache_status.as_ref().map(String::as_bytes));
        line.push_str(" source=");
        match self.source_len {
            Some(len) => drop(write!(line, "{len}")),
            None => line.push('-'),
        }
        let _ = writeln!(
            line,
            " sent={} first_byte={:.6} end={end}",
            self.sent,
            first_byte.as_secs_f64()
        );
        line
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        self.log.push(self.render());
    }
}

/// The coding in the response's head.
fn coding_sent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_ENCODING)?.to_str().ok()?;
    value.bytes().all(|byte| byte.is_ascii_graphic()).then(|| value.to_owned())
}

/// A time as in `23/Nov/2026:01:53:09 +0000`.
fn clf_time(time: SystemTime) -> String {
    // As in `Sun, 06 Nov 1994 08:49:37 GMT`.
    let date = httpdate::fmt_http_date(time);
    format!("{}/{}/{}:{} +0000", &date[5..7], &date[8..11], &date[12..16], &date[17..25])
}

fn quote(line: &mut String, text: Option<&[u8]>) {
    line.push('"');
    escape(line, text.unwrap_or(b"-"));
    line.push('"');
}

fn escape(line: &mut String, text: &[u8]) {
    for byte in text {
        match byte {
            b'"' | b'\\' => drop(write!(line, "\\x{byte:02X}")),
            b' '..=b'~' => line.push(char::from(*byte)),
            _ => drop(write!(line, "\\x{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_the_common_log_format() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(clf_time(time), "06/Nov/1994:08:49:37 +0000");
    }

    #[test]
    fn quoted_text_ends_neither_its_quotes_nor_its_line() {
        let mut line = String::new();
        quote(&mut line, Some(b"a\"b\\c\r\nd\x1b[31m\xff e"));
        assert_eq!(line, r#""a\x22b\x5Cc\x0D\x0Ad\x1B[31m\xFF e""#);
        line.clear();
        quote(&mut line, None);
        assert_eq!(line, "\"-\"");
    }

    #[test]
    fn full_queue_counts_the_lines_that_it_loses() {
        let (log, _lines) = AccessLog::with_queue(1);
        for _ in 0..3 {
            log.push("line\n".into());
        }
        assert_eq!(log.0.lost.load(Ordering::Relaxed), 2);
    }
}
