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
//! - A longer method, target, Referer or User-Agent is cut to 1 KiB, of which the last bytes are
//!   `...`.
//!
//! hyper answers some requests by itself (400 for what is no HTTP, 431). They have no line.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use cachecompress::Served;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;

use crate::exit::Failure;
use crate::flag_values::LogTarget;
use crate::limits::{ACCESS_LOG_BYTES, LOG_FIELD_BYTES, LOG_FLUSH_INTERVAL};
use crate::log_queue::{LogOutput, LogQueue, LogThread, QueueLimits};
use crate::logging;
use crate::printer::EscapedPath;

/// Takes lines without ever waiting for the disk. Clones share the log.
#[derive(Clone)]
pub(crate) struct AccessLog(LogQueue);

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
            cannot(&format!("write to {}", EscapedPath(place)), error)
        })?;
        let limits = QueueLimits { bytes: ACCESS_LOG_BYTES, delay: LOG_FLUSH_INTERVAL };
        let queue = LogQueue::new(limits);
        let output = AccessLogOutput { target, output };
        let thread = queue
            .clone()
            .write_to("access-log", output)
            .map_err(|error| cannot("start the access log's thread", error))?;
        Ok((Self(queue), thread))
    }

    /// The queue of the log's lines.
    pub(crate) fn queue(&self) -> &LogQueue {
        &self.0
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
        self.log.0.push(self.render().as_bytes());
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

/// Adds `text`, escaped, up to [`LOG_FIELD_BYTES`] of it.
fn escape(line: &mut String, text: &[u8]) {
    const CUT: &str = "...";
    let begin = line.len();
    // The line's length before the first byte that a cut would remove.
    let mut cut_at = begin;
    for byte in text {
        match byte {
            b'"' | b'\\' => drop(write!(line, "\\x{byte:02X}")),
            b' '..=b'~' => line.push(char::from(*byte)),
            _ => drop(write!(line, "\\x{byte:02X}")),
        }
        let length = line.len() - begin;
        if length <= LOG_FIELD_BYTES - CUT.len() {
            cut_at = line.len();
        } else if length > LOG_FIELD_BYTES {
            line.truncate(cut_at);
            line.push_str(CUT);
            return;
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
    fn long_field_is_cut_after_whole_escapes() {
        let escaped = |text: &[u8]| {
            let mut line = String::from("before ");
            escape(&mut line, text);
            line.split_off(7)
        };
        let whole = "a".repeat(LOG_FIELD_BYTES);
        assert_eq!(escaped(whole.as_bytes()), whole);
        let cut = escaped(&[b'a'; LOG_FIELD_BYTES + 1]);
        assert_eq!(cut, format!("{}...", &whole[3..]));
        let cut = escaped(&[0xff; 15_800]);
        assert_eq!(cut, format!("{}...", "\\xFF".repeat((LOG_FIELD_BYTES - 3) / 4)));
    }
}
