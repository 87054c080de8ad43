//! Requests and responses, one after the other, with their faults.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::state::{Fault, Shared};
use super::wire::{Framing, Reader, Sink};

/// Serves a connection to its end. An error asks for its reset.
pub(super) fn serve(shared: &Shared, connection: u64, client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut requests = Reader::new(client)?;
    let mut upstream: Option<(TcpStream, Reader)> = None;
    while let Some(head) = requests.head()? {
        let (method, target) = head.words();
        let (fault, epoch) = shared.befall(&method, &target);
        match &fault {
            Fault::BlackHole => {
                shared.until_changed(epoch);
                return Err(io::ErrorKind::TimedOut.into());
            }
            Fault::Refuse => return Err(io::ErrorKind::ConnectionReset.into()),
            Fault::Answer(bytes) => {
                requests.body(head.of_request(), &mut ())?;
                (&*client).write_all(bytes)?;
                continue;
            }
            Fault::Zeros(length) => {
                requests.body(head.of_request(), &mut ())?;
                answer_zeros(client, *length, method == "HEAD")?;
                continue;
            }
            Fault::Latency { to_store, .. } => shared.wait(*to_store, epoch),
            _ => {}
        }
        if upstream.is_none() {
            let store = TcpStream::connect(shared.store)?;
            store.set_nodelay(true)?;
            shared.remember(connection, &store)?;
            let responses = Reader::new(&store)?;
            upstream = Some((store, responses));
        }
        let (store, responses) = upstream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        (&*store).write_all(&head.bytes)?;
        let limit = match fault {
            Fault::ResetUploadAfter(count) => Some(count),
            _ => None,
        };
        let mut upload = Upload { shared, store, left: limit, fault: &fault, epoch };
        let sent = requests.body(head.of_request(), &mut upload);
        if limit.is_some() {
            sent?;
        }
        // A store may answer, and close, before it has read a body.
        if !respond(shared, client, responses, &method, &fault, epoch)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Passes a response on. Returns whether the connection may go on.
fn respond(
    shared: &Shared,
    client: &TcpStream,
    responses: &mut Reader,
    method: &str,
    fault: &Fault,
    epoch: u64,
) -> io::Result<bool> {
    let head = loop {
        let head = responses.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if !head.words().1.starts_with('1') {
            break head;
        }
        (&*client).write_all(&head.bytes)?;
    };
    if let Fault::Latency { from_store, .. } = fault {
        shared.wait(*from_store, epoch);
    }
    shared.pass_black_hole();
    (&*client).write_all(&head.bytes)?;
    let framing = head.of_response(method);
    let mut download = Download { shared, client, fault, epoch, passed: 0 };
    match responses.body(framing, &mut download) {
        Err(error) if error.kind() == io::ErrorKind::WriteZero => Ok(false),
        result => result.map(|()| framing != Framing::Close),
    }
}

/// A request's body on its way to the store.
struct Upload<'a> {
    shared: &'a Shared,
    store: &'a TcpStream,
    /// The bytes before the connection is reset.
    left: Option<u64>,
    fault: &'a Fault,
    epoch: u64,
}

impl Sink for Upload<'_> {
    fn content(&mut self, mut bytes: Vec<u8>) -> io::Result<()> {
        self.shared.pace(self.fault, self.epoch, bytes.len());
        let Some(left) = &mut self.left else { return self.store.write_all(&bytes) };
        let count = bytes.len() as u64;
        bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
        self.store.write_all(&bytes)?;
        *left = left.saturating_sub(count);
        if *left == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    fn frame(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.store.write_all(bytes)
    }
}

/// A response's body on its way to the client.
struct Download<'a> {
    shared: &'a Shared,
    client: &'a TcpStream,
    fault: &'a Fault,
    epoch: u64,
    passed: u64,
}

impl Sink for Download<'_> {
    /// Passes bytes on. `WriteZero` is the fault that closes the connection.
    fn content(&mut self, mut bytes: Vec<u8>) -> io::Result<()> {
        self.shared.pass_black_hole();
        self.shared.pace(self.fault, self.epoch, bytes.len());
        let start = self.passed;
        self.passed += bytes.len() as u64;
        let kept = |limit: u64| usize::try_from(limit.saturating_sub(start)).unwrap_or(usize::MAX);
        match *self.fault {
            Fault::FlipFrom(offset) => {
                bytes.iter_mut().skip(kept(offset)).for_each(|byte| *byte ^= 1);
            }
            Fault::ResetAfter(limit) | Fault::CloseAfter(limit) if self.passed > limit => {
                bytes.truncate(kept(limit));
                self.client.write_all(&bytes)?;
                let resets = matches!(self.fault, Fault::ResetAfter(_));
                return Err(if resets {
                    io::ErrorKind::ConnectionReset.into()
                } else {
                    io::ErrorKind::WriteZero.into()
                });
            }
            Fault::Trickle => {
                for byte in bytes {
                    self.client.write_all(&[byte])?;
                    self.shared.wait(Duration::from_secs(1), self.epoch);
                }
                return Ok(());
            }
            _ => {}
        }
        self.client.write_all(&bytes)
    }

    fn frame(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.client.write_all(bytes)
    }
}

/// Answers with a body of zeros, as an object in S3 has its fields.
fn answer_zeros(mut client: &TcpStream, length: u64, is_head: bool) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\netag: \"0123456789abcdef\"\r\n\
         last-modified: Mon, 30 Nov 2026 08:00:00 GMT\r\n\r\n"
    );
    client.write_all(head.as_bytes())?;
    let zeros = [0; 64 * 1024];
    let mut left = if is_head { 0 } else { length };
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        client.write_all(&zeros[..count])?;
        left -= count as u64;
    }
    Ok(())
}
