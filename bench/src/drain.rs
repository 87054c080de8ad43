//! A load over HTTP/1.1 whose kernel drops the bodies unread, as fast as a core can send them.
//!
//! wrk reads 8 KiB at a time. With long bodies its core is busy while the server's idles, and
//! chance decides which of them is charged with the kernel's sending.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::load::{LoadStats, Request, percentile};

/// The bytes of the longest head.
const HEAD: usize = 4096;
/// The bytes that are dropped at once at most.
const DROPPED: usize = 8 << 20;
/// The time in which a response must come on one of the connections.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Loads a server for `seconds`.
pub(crate) fn drain(request: &Request<'_>, seconds: u32) -> anyhow::Result<LoadStats> {
    run(request, Duration::from_secs(seconds.into()))
        .with_context(|| format!("drain of {}", request.path))
}

fn run(request: &Request<'_>, duration: Duration) -> io::Result<LoadStats> {
    let head = request_head(request);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut clients = Vec::new();
    for number in 0..request.connections {
        let tcp = TcpStream::connect(("127.0.0.1", request.port))?;
        tcp.set_nonblocking(true)?;
        epoll::add(&epoll, &tcp, EventData::new_u64(number.into()), EventFlags::IN)?;
        clients.push(Client { tcp, left: None, requested: Instant::now() });
    }
    let mut scratch = vec![0; DROPPED];
    let mut micros = Vec::new();
    let mut bytes = 0;
    let start = Instant::now();
    for client in &mut clients {
        client.send(&head)?;
    }
    let mut events = Vec::with_capacity(clients.len());
    let timeout = READ_TIMEOUT.try_into().ok();
    while start.elapsed() < duration {
        events.clear();
        if epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref())? == 0
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        for &Event { data, .. } in &events {
            let client = &mut clients[usize::try_from(data.u64()).unwrap_or(usize::MAX)];
            bytes += client.receive(&mut scratch)?;
            if client.left == Some(0) {
                micros.push(client.requested.elapsed().as_secs_f64() * 1e6);
                client.send(&head)?;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    micros.sort_by(f64::total_cmp);
    Ok(LoadStats {
        requests: micros.len() as f64,
        bytes: bytes as f64,
        seconds,
        errors: 0.0,
        p50_ms: percentile(&micros, 0.5),
        p99_ms: percentile(&micros, 0.99),
    })
}

fn request_head(request: &Request<'_>) -> Vec<u8> {
    let mut text = format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", request.path, request.port);
    for (name, value) in &request.headers {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "\r\n").into_bytes()
}

struct Client {
    tcp: TcpStream,
    /// The missing bytes of a body; `None` before its head has come.
    left: Option<u64>,
    requested: Instant,
}

impl Client {
    fn send(&mut self, head: &[u8]) -> io::Result<()> {
        self.left = None;
        self.requested = Instant::now();
        self.tcp.write_all(head)
    }

    /// Reads the head, if it has come, and drops what has come of the body; returns the dropped
    /// bytes.
    fn receive(&mut self, scratch: &mut [u8]) -> io::Result<u64> {
        let left = match self.left {
            Some(left) => left,
            None => match self.receive_head()? {
                Some(left) => left,
                None => return Ok(0),
            },
        };
        self.left = Some(left);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(scratch.len());
        // With TRUNC, TCP drops the bytes and does not copy them.
        let dropped = match recv(self.tcp.as_fd(), &mut scratch[..most], RecvFlags::TRUNC) {
            Ok((_, 0)) if left > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((_, dropped)) => dropped as u64,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        self.left = Some(left - dropped);
        Ok(dropped)
    }

    /// Reads the head alone, if all of it has come; returns the body's length.
    fn receive_head(&mut self) -> io::Result<Option<u64>> {
        let mut head = [0; HEAD];
        let (_, seen) = recv(self.tcp.as_fd(), &mut head[..], RecvFlags::PEEK)?;
        let unknown =
            || io::Error::new(io::ErrorKind::InvalidData, "not a response of known length");
        let Some(end) = head[..seen].windows(4).position(|four| four == b"\r\n\r\n") else {
            return if seen == 0 || seen == HEAD { Err(unknown()) } else { Ok(None) };
        };
        self.tcp.read_exact(&mut head[..end + 4])?;
        length(&head[..end]).map(Some).ok_or_else(unknown)
    }
}

/// The length of the body that follows `head`, if it is a 200.
fn length(head: &[u8]) -> Option<u64> {
    let head = std::str::from_utf8(head).ok()?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return None;
    }
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn length_is_read_from_a_head_of_status_200() {
        let head = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 12";
        assert_eq!(length(head), Some(12));
        assert_eq!(length(b"HTTP/1.1 404 Not Found\r\nContent-Length: 12"), None);
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"), None);
    }

    /// Sends one response after the other to one client, in two pieces, and counts them.
    fn serve(listener: &TcpListener, length: usize) -> f64 {
        let (mut tcp, _) = listener.accept().unwrap();
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let response = [response.into_bytes(), vec![7; length]].concat();
        let mut request = [0; 1024];
        let mut served = 0.0;
        while tcp.read(&mut request).is_ok_and(|read| read > 0) {
            let (head, body) = response.split_at(10);
            if tcp.write_all(head).and_then(|()| tcp.write_all(body)).is_err() {
                break;
            }
            served += 1.0;
        }
        served
    }

    #[test]
    fn drain_counts_responses_and_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || serve(&listener, 100_000));
        let request =
            Request { scheme: "http", port, path: "/", headers: Vec::new(), connections: 1 };
        let stats = run(&request, Duration::from_millis(300)).unwrap();
        let served = server.join().unwrap();
        assert!(stats.requests > 0.0 && served - stats.requests <= 1.0, "{stats:?}, {served}");
        assert!(stats.bytes - stats.requests * 100_000.0 < 100_000.0, "{stats:?}");
        assert!(stats.bytes >= stats.requests * 100_000.0, "{stats:?}");
    }
}
