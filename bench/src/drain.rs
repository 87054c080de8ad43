//! A load that takes bodies as fast as a core can send them: the kernel drops what has come, and
//! copies none of it.
//!
//! wrk reads 8 KiB at a time, so its core is busy with long bodies while the server's idles; and
//! who pays for the kernel's sending is chance then.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::Outcome;
use crate::load::{Request, Tally, percentile};

/// No head is longer.
const HEAD: usize = 4096;
/// As much is dropped at a time at most.
const DROPPED: usize = 8 << 20;
/// How long a server may say nothing.
const SILENCE: Duration = Duration::from_secs(20);

/// Loads a server over HTTP/1.1 for so many seconds.
pub(crate) fn drain(request: &Request<'_>, seconds: u32) -> Outcome<Tally> {
    run(request, Duration::from_secs(seconds.into()))
        .map_err(|error| format!("drain of {}: {error}", request.path))
}

fn run(request: &Request<'_>, duration: Duration) -> io::Result<Tally> {
    let asked = text(request);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut clients = Vec::new();
    for number in 0..request.connections {
        let tcp = TcpStream::connect(("127.0.0.1", request.port))?;
        tcp.set_nonblocking(true)?;
        epoll::add(&epoll, &tcp, EventData::new_u64(number.into()), EventFlags::IN)?;
        clients.push(Client { tcp, left: None, began: Instant::now() });
    }
    let mut scratch = vec![0; DROPPED];
    let mut micros = Vec::new();
    let mut bytes = 0;
    let start = Instant::now();
    for client in &mut clients {
        client.ask(&asked)?;
    }
    let mut events = Vec::with_capacity(clients.len());
    let silence = SILENCE.try_into().ok();
    while start.elapsed() < duration {
        events.clear();
        if epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), silence.as_ref())? == 0
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        for &Event { data, .. } in &events {
            let client = &mut clients[usize::try_from(data.u64()).unwrap_or(usize::MAX)];
            bytes += client.take(&mut scratch)?;
            if client.left == Some(0) {
                micros.push(client.began.elapsed().as_secs_f64() * 1e6);
                client.ask(&asked)?;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    micros.sort_by(f64::total_cmp);
    Ok(Tally {
        requests: micros.len() as f64,
        bytes: bytes as f64,
        seconds,
        errors: 0.0,
        p50_ms: percentile(&micros, 0.5),
        p99_ms: percentile(&micros, 0.99),
    })
}

fn text(request: &Request<'_>) -> Vec<u8> {
    let mut text = format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", request.path, request.port);
    for (name, value) in &request.fields {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "\r\n").into_bytes()
}

struct Client {
    tcp: TcpStream,
    /// What is still to come of a body; `None` before its head has come.
    left: Option<u64>,
    began: Instant,
}

impl Client {
    fn ask(&mut self, asked: &[u8]) -> io::Result<()> {
        self.left = None;
        self.began = Instant::now();
        self.tcp.write_all(asked)
    }

    /// Takes what has come; returns how much of it was body.
    fn take(&mut self, scratch: &mut [u8]) -> io::Result<u64> {
        let left = match self.left {
            Some(left) => left,
            None => match self.take_head()? {
                Some(left) => left,
                None => return Ok(0),
            },
        };
        self.left = Some(left);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(scratch.len());
        // With TRUNC, TCP drops bytes in place of copying them.
        let dropped = match recv(self.tcp.as_fd(), &mut scratch[..most], RecvFlags::TRUNC) {
            Ok((_, 0)) if left > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((_, dropped)) => dropped as u64,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        self.left = Some(left - dropped);
        Ok(dropped)
    }

    /// Reads the head, and no more, if all of it has come; returns the body's length.
    fn take_head(&mut self) -> io::Result<Option<u64>> {
        let mut head = [0; HEAD];
        let (_, seen) = recv(self.tcp.as_fd(), &mut head[..], RecvFlags::PEEK)?;
        let unknown =
            || io::Error::new(io::ErrorKind::InvalidData, "not an answer of known length");
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
    fn reads_heads() {
        let head = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 12";
        assert_eq!(length(head), Some(12));
        assert_eq!(length(b"HTTP/1.1 404 Not Found\r\nContent-Length: 12"), None);
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"), None);
    }

    /// Serves one answer after the other to one client, in two pieces, and counts them.
    fn serve(listener: &TcpListener, length: usize) -> f64 {
        let (mut tcp, _) = listener.accept().unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let answer = [answer.into_bytes(), vec![7; length]].concat();
        let mut request = [0; 1024];
        let mut served = 0.0;
        while tcp.read(&mut request).is_ok_and(|read| read > 0) {
            let (head, body) = answer.split_at(10);
            if tcp.write_all(head).and_then(|()| tcp.write_all(body)).is_err() {
                break;
            }
            served += 1.0;
        }
        served
    }

    #[test]
    fn counts_what_came() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || serve(&listener, 100_000));
        let request = Request { port, path: "/", fields: Vec::new(), connections: 1 };
        let tally = run(&request, Duration::from_millis(300)).unwrap();
        let served = server.join().unwrap();
        assert!(tally.requests > 0.0 && served - tally.requests <= 1.0, "{tally:?}, {served}");
        assert!(tally.bytes - tally.requests * 100_000.0 < 100_000.0, "{tally:?}");
        assert!(tally.bytes >= tally.requests * 100_000.0, "{tally:?}");
    }
}
