//! A client for single requests over HTTP/1.1, which checks responses and times them.

use std::io::{self, BufRead as _, BufReader, Write};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ureq::Agent;
use ureq::http::HeaderMap;

/// The time in which more of a response must come.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// The size of one read.
const BUFFER: usize = 256 * 1024;

/// A response without its body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: HeaderMap,
    /// Length of the encoded body, without the framing of chunks.
    pub(crate) wire_bytes: u64,
    /// From before the request to the first byte of the body.
    pub(crate) first_byte: Duration,
    /// From before the request to the end of the body.
    pub(crate) total: Duration,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn coding(&self) -> &str {
        self.header("content-encoding").unwrap_or("identity")
    }
}

/// A client of one server, which keeps its connection open.
#[derive(Debug)]
pub(crate) struct Client {
    port: u16,
    agent: Agent,
}

impl Client {
    pub(crate) fn new(port: u16) -> Self {
        // It sends no headers but those that it is given.
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent("")
            .accept("")
            .accept_encoding("")
            .input_buffer_size(BUFFER)
            .timeout_per_read(Some(READ_TIMEOUT));
        Self { port, agent: config.build().new_agent() }
    }

    /// Requests `path`, and writes the encoded body into `sink`.
    pub(crate) fn get(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        sink: &mut dyn Write,
    ) -> anyhow::Result<Response> {
        let mut request = self.agent.get(format!("http://127.0.0.1:{}{path}", self.port));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let start = Instant::now();
        let fetch = || {
            let response = request.call().map_err(ureq::Error::into_io)?;
            let (head, body) = response.into_parts();
            let mut body = BufReader::with_capacity(BUFFER, body.into_reader());
            body.fill_buf()?;
            let first_byte = start.elapsed();
            let wire_bytes = io::copy(&mut body, sink)?;
            let (status, headers) = (head.status.as_u16(), head.headers);
            io::Result::Ok(Response {
                status,
                headers,
                wire_bytes,
                first_byte,
                total: start.elapsed(),
            })
        };
        fetch().with_context(|| format!("GET {path} on port {}", self.port))
    }
}

/// Requests `path` on a connection of its own, which is closed afterwards.
pub(crate) fn get(
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
    sink: &mut dyn Write,
) -> anyhow::Result<Response> {
    let headers = [headers, &[("Connection", "close")]].concat();
    Client::new(port).get(path, &headers, sink)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    /// The status and the body that the client reads from `answer`.
    fn read(answer: &'static [u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut tcp, _) = listener.accept().unwrap();
            let request_length = tcp.read(&mut [0; 1024]).unwrap();
            tcp.write_all(answer).unwrap();
            request_length
        });
        let mut body = Vec::new();
        let response = get(port, "/", &[], &mut body);
        assert!(server.join().unwrap() > 0);
        let response = response?;
        assert_eq!(response.wire_bytes, body.len() as u64);
        Ok((response.status, body))
    }

    #[test]
    fn bodies_of_a_length_and_in_chunks_are_read() {
        let (status, body) = read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        assert_eq!((status, &body[..]), (200, &b"abc"[..]));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n";
        assert_eq!(read(chunked).unwrap().1, b"abc");
        assert_eq!(read(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n").unwrap().0, 304);
    }

    #[test]
    fn truncated_body_is_an_error() {
        assert!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").is_err());
    }
}
