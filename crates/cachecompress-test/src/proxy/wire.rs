//! HTTP/1.1 on the wire: heads, and bodies by their framing.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::wait::read_once;

/// The end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    Close,
}

/// A request's or a response's first line and fields, as they came.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    text: String,
}

/// One side of a connection, which is read from.
#[derive(Debug)]
pub(super) struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Resets a connection: what is under way is lost, and the peer gets an error.
pub(super) fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    // The descriptor that lingers may not be the last one of the socket, so the peer is told by a shutdown
    // where no reset comes.
    let _ = stream.shutdown(Shutdown::Both);
}

impl Head {
    /// The words of the first line.
    pub(super) fn words(&self) -> (String, String) {
        let mut words = self.text.split([' ', '\r']).map(String::from);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.text.split("\r\n").filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    fn is_chunked(&self) -> bool {
        self.field("transfer-encoding").is_some_and(|value| value.contains("chunked"))
    }

    fn length(&self) -> Option<u64> {
        self.field("content-length").and_then(|value| value.parse().ok())
    }

    /// The framing of a request's body.
    pub(super) fn of_request(&self) -> Framing {
        if self.is_chunked() {
            return Framing::Chunked;
        }
        Framing::Length(self.length().unwrap_or(0))
    }

    /// The framing of the body of a response to a request with this method.
    pub(super) fn of_response(&self, method: &str) -> Framing {
        let (_, status) = self.words();
        if method == "HEAD" || status == "204" || status == "304" {
            return Framing::Length(0);
        }
        match self.length() {
            _ if self.is_chunked() => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::Close,
        }
    }
}

impl Reader {
    pub(super) fn new(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self { stream: stream.try_clone()?, buffer: Vec::new() })
    }

    /// Reads a head. `None` stands for a connection that has ended before one.
    pub(super) fn head(&mut self) -> io::Result<Option<Head>> {
        let end = b"\r\n\r\n";
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                let bytes: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return Ok(Some(Head { bytes, text }));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Passes a body on: its own bytes to `content`, and the lines between chunks to `frame`.
    pub(super) fn body(&mut self, framing: Framing, sink: &mut impl Sink) -> io::Result<()> {
        match framing {
            Framing::Length(length) => self.content(length, sink),
            Framing::Close => {
                while !self.buffer.is_empty() || self.fill()? > 0 {
                    sink.content(std::mem::take(&mut self.buffer))?;
                }
                Ok(())
            }
            Framing::Chunked => loop {
                let line = self.line()?;
                let text = String::from_utf8_lossy(&line).into_owned();
                let digits = text.trim().split(';').next().unwrap_or_default();
                let size = u64::from_str_radix(digits, 16);
                let size = size.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                sink.frame(&line)?;
                self.content(size, sink)?;
                let end = self.line()?;
                sink.frame(&end)?;
                if size == 0 {
                    return Ok(());
                }
            },
        }
    }

    fn content(&mut self, length: u64, sink: &mut impl Sink) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() && self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            left -= take as u64;
            sink.content(self.buffer.drain(..take).collect())?;
        }
        Ok(())
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Ok(self.buffer.drain(..=at).collect());
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 64 * 1024];
        let count = read_once(&mut self.stream, &mut piece)?;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count)
    }
}

/// The place where a body goes.
pub(super) trait Sink {
    fn content(&mut self, bytes: Vec<u8>) -> io::Result<()>;
    fn frame(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Passes everything on.
impl Sink for &TcpStream {
    fn content(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.write_all(&bytes)
    }

    fn frame(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
}

/// Drops everything.
impl Sink for () {
    fn content(&mut self, _: Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    fn frame(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
