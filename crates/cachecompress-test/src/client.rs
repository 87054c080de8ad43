//! A raw HTTP/1.x client, which shows the exact bytes of an answer and its end.
//!
//! No HTTP library stands between a test and the wire here, because a library hides what the tests
//! are about: duplicate header lines, the framing, and whether a body ended or broke off.

use crate::wait::read_once;
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use crate::decode;
use crate::wait::PATIENCE;

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, by [`Connection`].
    Http1,
    /// HTTP/2 with prior knowledge, by the module `http2`.
    Http2,
}

impl Protocol {
    /// Both, for checks that must hold over either.
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];
}

/// A request without a body.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target as it goes over the wire.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`; HTTP/2 ignores it.
    pub version: &'static str,
    /// Header lines in order; names may repeat.
    pub headers: Vec<(String, String)>,
    /// Whether a `Host` line is added.
    pub host: bool,
    /// The host that is asked for; `None` for the server's address.
    pub authority: Option<String>,
}

/// The sign of a body's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body: HEAD, 204, 304.
    None,
    /// The length in `Content-Length`.
    Length(u64),
    /// The final chunk.
    Chunked,
    /// The end of the connection, which cannot be told from an abort.
    Close,
    /// HTTP/2's END_STREAM.
    Stream,
}

/// The end of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The final chunk, the whole `Content-Length`, or END_STREAM.
    Clean,
    /// An end in the middle, with its description.
    Aborted(String),
}

/// A response's status line and header lines.
#[derive(Clone, Debug)]
pub struct Head {
    /// `HTTP/1.1` and so on.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// Header lines in order, names as sent.
    pub headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status line and headers.
    pub head: Head,
    /// The content as sent, still coded.
    pub body: Vec<u8>,
    /// The sign of the body's end.
    pub framing: Framing,
    /// The end of the body.
    pub end: End,
    /// The time at which the request had been sent.
    pub sent: Instant,
    /// The arrival of the body's first byte.
    pub first_byte: Option<Instant>,
    /// The arrival of the body's last byte.
    pub last_byte: Instant,
}

impl Request {
    /// Creates a request with any method.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            version: "HTTP/1.1",
            headers: Vec::new(),
            host: true,
            authority: None,
        }
    }

    /// Creates a GET without an Accept-Encoding.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Creates a HEAD without an Accept-Encoding.
    #[must_use]
    pub fn head(target: &str) -> Self {
        Self::new("HEAD", target)
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds an Accept-Encoding line.
    #[must_use]
    pub fn accept(self, codings: &str) -> Self {
        self.header("accept-encoding", codings)
    }

    /// Adds a Range line.
    #[must_use]
    pub fn range(self, range: &str) -> Self {
        self.header("range", range)
    }

    /// Speaks HTTP/1.0.
    #[must_use]
    pub fn http10(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// Leaves the Host line out.
    #[must_use]
    pub fn without_host(mut self) -> Self {
        self.host = false;
        self
    }

    /// Asks for this host, in place of the server's address.
    #[must_use]
    pub fn to_host(mut self, authority: &str) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// Replaces the method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// Returns the request's bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self, authority: &str) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        if self.host {
            let authority = self.authority.as_deref().unwrap_or(authority);
            text.push_str(&format!("host: {authority}\r\n"));
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

impl Head {
    /// The first value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every value of a header, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    fn parse(text: &str) -> io::Result<Self> {
        let bad =
            |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{why}: {text:?}"));
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|word| word.parse().ok());
        let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
            return Err(bad("no status line"));
        };
        let headers = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':').ok_or_else(|| bad("no header line"))?;
                if name.is_empty() || name.contains(' ') {
                    return Err(bad("a bad header name"));
                }
                Ok((name.to_owned(), value.trim().to_owned()))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { version: version.into(), status, headers })
    }
}

impl Response {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// The content coding, `identity` where no field names one.
    #[must_use]
    pub fn coding(&self) -> &str {
        self.header("content-encoding").unwrap_or("identity")
    }

    /// The entity tag; the test fails if there is none.
    #[must_use]
    pub fn etag(&self) -> &str {
        self.header("etag").unwrap_or_else(|| panic!("no ETag in {:?}", self.head))
    }

    /// The first [`22 characters`](decode::tag_digest) of the entity tag: the digest it names.
    #[must_use]
    pub fn etag_digest(&self) -> &str {
        self.etag().trim_start_matches('"').get(..22).unwrap_or_default()
    }

    /// The Cache-Status field, empty if there is none.
    #[must_use]
    pub fn cache_status(&self) -> &str {
        self.header("cache-status").unwrap_or_default()
    }

    /// Whether the response came from a stored representation.
    #[must_use]
    pub fn is_hit(&self) -> bool {
        self.cache_status() == "cachecompress; hit"
    }

    /// Whether the body ended as its framing promised.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.end == End::Clean
    }

    /// The source bytes: the body, decoded by its Content-Encoding. The test fails if the body was
    /// broken off or cannot be decoded.
    #[must_use]
    pub fn decoded(&self) -> Vec<u8> {
        assert!(self.is_clean(), "{:?} after {} bytes, {:?}", self.end, self.body.len(), self.head);
        match decode::decode(self.coding(), &self.body) {
            Ok(bytes) => bytes,
            Err(error) => panic!("{error}: {} bytes, {:?}", self.body.len(), self.head),
        }
    }
}

/// One connection, for requests one after the other, pipelined, or broken off.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    authority: String,
    buffer: Vec<u8>,
    start: usize,
    sent: Instant,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            authority: address.to_string(),
            buffer: Vec::new(),
            start: 0,
            sent: Instant::now(),
        })
    }

    /// Sends a request; several in a row are pipelined.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let bytes = request.to_bytes(&self.authority);
        self.send_raw(&bytes)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.sent = Instant::now();
        Ok(())
    }

    /// Closes the sending side, as `nc -N` does.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Whether the peer closes, with nothing left to read; waits up to [`PATIENCE`] for that.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        self.start == self.buffer.len()
            && match self.fill() {
                Ok(count) => count == 0,
                // The read timed out, and the connection is open.
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            }
    }

    /// Reads one response to a request with this method; 1xx responses are skipped.
    ///
    /// # Errors
    ///
    /// If no whole head arrives. A body that breaks off is no error but [`End::Aborted`].
    pub fn receive(&mut self, method: &str) -> io::Result<Response> {
        let mut body = Vec::new();
        let mut response = self.receive_with(method, |piece| body.extend_from_slice(piece))?;
        response.body = body;
        Ok(response)
    }

    /// Reads as [`receive`](Self::receive) does, but passes the content on and keeps none.
    ///
    /// # Errors
    ///
    /// If no whole head arrives.
    pub fn receive_with(&mut self, method: &str, sink: impl FnMut(&[u8])) -> io::Result<Response> {
        let head = self.receive_head()?;
        Ok(self.receive_body_with(method, head, sink))
    }

    /// Reads the next final head; its body follows on the connection.
    ///
    /// # Errors
    ///
    /// If the connection ends first, or the bytes are no HTTP/1.x response.
    pub fn receive_head(&mut self) -> io::Result<Head> {
        loop {
            let text = self.until(b"\r\n\r\n")?;
            let text = String::from_utf8(text)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a head in no UTF-8"))?;
            let head = Head::parse(&text)?;
            if head.status >= 200 {
                return Ok(head);
            }
        }
    }

    /// Waits until at least `count` raw bytes of the body have arrived, framing included.
    ///
    /// # Errors
    ///
    /// If the connection ends first.
    pub fn wait_for_bytes(&mut self, count: usize) -> io::Result<()> {
        while self.buffer.len() - self.start < count {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Reads the body that follows `head`, for tests that did something after
    /// [`receive_head`](Self::receive_head).
    pub fn receive_body(&mut self, method: &str, head: Head) -> Response {
        let mut body = Vec::new();
        let mut response =
            self.receive_body_with(method, head, |piece| body.extend_from_slice(piece));
        response.body = body;
        response
    }

    fn receive_body_with(
        &mut self,
        method: &str,
        head: Head,
        mut sink: impl FnMut(&[u8]),
    ) -> Response {
        let framing = framing(method, &head);
        let mut first_byte = None;
        let mut on_piece = |piece: &[u8]| {
            if !piece.is_empty() {
                first_byte.get_or_insert_with(Instant::now);
            }
            sink(piece);
        };
        let end = match framing {
            Framing::None | Framing::Stream => Ok(()),
            Framing::Length(length) => self.body_of(length, &mut on_piece),
            Framing::Chunked => self.chunked(&mut on_piece),
            Framing::Close => self.read_to_end_of_stream(&mut on_piece),
        };
        let end = end.map_or_else(|error| End::Aborted(error.to_string()), |()| End::Clean);
        let (sent, last_byte) = (self.sent, Instant::now());
        Response { head, body: Vec::new(), framing, end, sent, first_byte, last_byte }
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 && self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        let mut piece = [0; 64 * 1024];
        let count = read_once(&mut self.stream, &mut piece)?;
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        let mut seen = 0;
        loop {
            let rest = &self.buffer[self.start..];
            let from = seen_from(seen, end.len());
            if let Some(at) = rest[from..].windows(end.len()).position(|window| window == end) {
                let text = rest[..from + at].to_vec();
                self.start += from + at + end.len();
                return Ok(text);
            }
            seen = rest.len();
            if self.fill()? == 0 {
                let got = String::from_utf8_lossy(&self.buffer[self.start..]).into_owned();
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the connection ended after {got:?}"),
                ));
            }
        }
    }

    fn body_of(&mut self, length: u64, sink: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.start == self.buffer.len() && self.fill()? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("closed {left} bytes before the end"),
                ));
            }
            let available = self.buffer.len() - self.start;
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(available);
            sink(&self.buffer[self.start..self.start + take]);
            self.start += take;
            left -= take as u64;
        }
        Ok(())
    }

    fn chunked(&mut self, sink: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let bad = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        loop {
            let line = self.until(b"\r\n")?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).map_err(|_| bad("a bad chunk size"))?;
            if size == 0 {
                while !self.until(b"\r\n")?.is_empty() {}
                return Ok(());
            }
            self.body_of(size, sink)?;
            if !self.until(b"\r\n")?.is_empty() {
                return Err(bad("no line end after a chunk"));
            }
        }
    }

    fn read_to_end_of_stream(&mut self, sink: &mut impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            sink(&self.buffer[self.start..]);
            self.start = self.buffer.len();
            if self.fill()? == 0 {
                return Ok(());
            }
        }
    }
}

/// The offset at which the search for a separator of `length` bytes goes on after `seen` bytes
/// without one.
fn seen_from(seen: usize, length: usize) -> usize {
    seen.saturating_sub(length - 1)
}

/// Determines the framing by RFC 9112 §6.3.
fn framing(method: &str, head: &Head) -> Framing {
    let chunked = head.all("transfer-encoding").iter().any(|value| value.contains("chunked"));
    let lengths = head.all("content-length");
    assert!(lengths.len() <= 1, "several Content-Length lines: {head:?}");
    assert!(!chunked || lengths.is_empty(), "Content-Length beside chunked: {head:?}");
    if method == "HEAD" || head.status == 204 || head.status == 304 {
        return Framing::None;
    }
    match lengths.first() {
        _ if chunked => Framing::Chunked,
        Some(length) => match length.parse() {
            Ok(length) => Framing::Length(length),
            Err(_) => panic!("a bad Content-Length: {head:?}"),
        },
        None => Framing::Close,
    }
}

/// Sends one request on a connection of its own and reads the answer.
///
/// # Errors
///
/// If no whole head arrives.
pub fn fetch(address: SocketAddr, request: &Request) -> io::Result<Response> {
    let mut connection = Connection::open(address)?;
    connection.send(request)?;
    connection.receive(&request.method)
}
