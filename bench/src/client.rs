//! A client for single requests over HTTP/1.1, to check answers and to time them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Outcome;

/// How long an answer may take nothing of its body to come.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much is read at once.
const PIECE: usize = 256 * 1024;

/// An answer without its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    /// Length of the body on the wire, chunk sizes not counted.
    pub(crate) wire_bytes: u64,
    /// From before the request was sent to the first byte of the body.
    pub(crate) first_byte: Duration,
    /// From before the request was sent to the end of the body.
    pub(crate) total: Duration,
}

impl Answer {
    /// The value of a field, whose name is in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn coding(&self) -> &str {
        self.field("content-encoding").unwrap_or("identity")
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(port: u16) -> Outcome<Self> {
        let open = || {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            io::Result::Ok(BufReader::with_capacity(PIECE, stream))
        };
        let stream = open().map_err(|error| format!("cannot connect to port {port}: {error}"))?;
        Ok(Self { port, stream })
    }

    /// Asks for `path`, and writes the body, as it was on the wire, into `sink`.
    pub(crate) fn get(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        sink: &mut dyn Write,
    ) -> Outcome<Answer> {
        self.try_get(path, fields, sink)
            .map_err(|error| format!("GET {path} on port {}: {error}", self.port))
    }

    fn try_get(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        sink: &mut dyn Write,
    ) -> io::Result<Answer> {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", self.port);
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        let start = Instant::now();
        self.stream.get_mut().write_all((head + "\r\n").as_bytes())?;
        let (status, fields) = read_head(&mut self.stream)?;
        let first_byte = match status {
            204 | 304 => start.elapsed(),
            _ => {
                self.stream.fill_buf()?;
                start.elapsed()
            }
        };
        let mut answer =
            Answer { status, fields, wire_bytes: 0, first_byte, total: Duration::ZERO };
        answer.wire_bytes = read_body(&mut self.stream, &answer, sink)?;
        answer.total = start.elapsed();
        Ok(answer)
    }
}

/// Asks once, on a connection of its own.
pub(crate) fn get(
    port: u16,
    path: &str,
    fields: &[(&str, &str)],
    sink: &mut dyn Write,
) -> Outcome<Answer> {
    Connection::open(port)?.get(path, fields, sink)
}

type Head = (u16, Vec<(String, String)>);

fn read_head(stream: &mut impl BufRead) -> io::Result<Head> {
    let status_line = read_line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| invalid(&format!("a status line `{status_line}`")))?;
    let mut fields = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Ok((status, fields));
        }
        let (name, value) =
            line.split_once(':').ok_or_else(|| invalid(&format!("a field `{line}`")))?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// Reads the body to its end; one that breaks off is an error.
fn read_body(stream: &mut impl BufRead, answer: &Answer, sink: &mut dyn Write) -> io::Result<u64> {
    if matches!(answer.status, 204 | 304) {
        return Ok(0);
    }
    if answer.field("transfer-encoding") == Some("chunked") {
        return read_chunks(stream, sink);
    }
    let length = answer.field("content-length").and_then(|value| value.parse().ok());
    let length = length.ok_or_else(|| invalid("a body without a length"))?;
    copy(stream, length, sink)?;
    Ok(length)
}

fn read_chunks(stream: &mut impl BufRead, sink: &mut dyn Write) -> io::Result<u64> {
    let mut sum = 0;
    loop {
        let line = read_line(stream)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16);
        let size = size.map_err(|_| invalid(&format!("a chunk size `{line}`")))?;
        copy(stream, size, sink)?;
        if !read_line(stream)?.is_empty() {
            return Err(invalid("a chunk longer than its size, or trailers"));
        }
        if size == 0 {
            return Ok(sum);
        }
        sum += size;
    }
}

fn copy(stream: &mut impl BufRead, length: u64, sink: &mut dyn Write) -> io::Result<()> {
    let copied = io::copy(&mut stream.take(length), sink)?;
    if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("got {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mut text: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let (status, fields) = read_head(&mut text)?;
        let (first_byte, total) = Default::default();
        let answer = Answer { status, fields, wire_bytes: 0, first_byte, total };
        let mut body = Vec::new();
        let length = read_body(&mut text, &answer, &mut body)?;
        assert_eq!(length, body.len() as u64);
        Ok((status, body))
    }

    #[test]
    fn reads_bodies_of_a_length_and_in_chunks() {
        let (status, body) = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        assert_eq!((status, &body[..]), (200, &b"abc"[..]));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap().1, b"abc");
        assert_eq!(parse(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n").unwrap().0, 304);
    }

    #[test]
    fn a_body_that_breaks_off_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").is_err());
        assert!(
            parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").is_err()
        );
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\nabc").is_err());
    }
}
