//! Real sockets, and mapped memory that kills a process that reads it.

#![cfg(all(target_os = "linux", not(cachecompress_portable)))]

use std::io::{IoSlice, Read as _, Write as _};
use std::net::TcpListener as StdListener;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body_util::Full;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Connection, Mapping, Stream};
use crate::body::{Chunks, FileBody};
use crate::concurrency::thread_pool::{Limits, ThreadPool};
use crate::fs::Disk as _;

fn content(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 5 % 251) as u8 ^ seed).collect()
}

/// Maps a file with that content, and forbids reads of the memory.
fn mapped(content: &[u8]) -> Arc<Mapping> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    let mapping = Mapping::new(Arc::new(file)).unwrap();
    mapping.forbid_looks();
    Arc::new(mapping)
}

/// Creates a stream, and the client at its other end.
async fn pair() -> (Stream, std::net::TcpStream) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let own = stream.local_addr().unwrap();
    // A stranger may still know the port from before.
    let mut accepted = std::iter::from_fn(|| listener.accept().ok());
    let (client, _) = accepted.find(|(_, peer)| *peer == own).unwrap();
    (stream.into(), client)
}

/// Sends `buffers` as hyper does: the rest of them in each vectored write.
async fn send(stream: &mut Stream, buffers: Vec<Bytes>) -> std::io::Result<()> {
    let mut buffers = std::collections::VecDeque::from(buffers);
    while !buffers.is_empty() {
        let sent = std::future::poll_fn(|cx| {
            let slices: Vec<_> = buffers.iter().map(|buffer| IoSlice::new(buffer)).collect();
            Pin::new(&mut *stream).poll_write_vectored(cx, &slices)
        });
        let mut sent = sent.await?;
        while sent > 0 {
            let first = &mut buffers[0];
            let of_first = sent.min(first.len());
            first.advance(of_first);
            sent -= of_first;
            if first.is_empty() {
                buffers.pop_front();
            }
        }
    }
    Ok(())
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(test)
}

#[test]
fn stream_sends_heads_and_files_in_order_without_reading_the_mapping() {
    let (one, other) = (content(1, 3 << 20), content(2, 70_000));
    let (mapped_one, mapped_other) = (mapped(&one), mapped(&other));
    run(async {
        let (mut stream, mut client) = pair().await;
        let connection = stream.connection();
        // A slow client, so that writes are partial and some would block.
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            let mut buffer = [0; 50_000];
            loop {
                match client.read(&mut buffer).unwrap() {
                    0 => return all,
                    read => all.extend_from_slice(&buffer[..read]),
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let piece = |mapping: &Arc<Mapping>, at: u64, len: u64| {
            connection.give_out(mapping, at, len, Arc::new(())).unwrap()
        };
        let buffers = vec![
            Bytes::new(),
            Bytes::from("head one|"),
            Bytes::new(),
            piece(&mapped_one, 5, (3 << 20) - 5),
            Bytes::from("|head other|"),
            piece(&mapped_other, 0, 70_000),
            piece(&mapped_one, 0, 9),
            Bytes::from("|end"),
        ];
        send(&mut stream, buffers).await.unwrap();
        assert!(!connection.has_pieces(), "all is sent");
        drop(stream);
        let expected =
            [b"head one|", &one[5..], b"|head other|", &other, &one[..9], b"|end"].concat();
        assert!(reader.join().unwrap() == expected);
    });
    assert_eq!(Arc::strong_count(&mapped_one), 1, "nothing keeps what is sent");
}

/// Without turns, a fast client would hold its thread for as long as a file is, and all sockets
/// would fill up.
#[test]
fn body_yields_to_other_connections_between_two_pieces() {
    let mapping = mapped(&content(6, 600_000));
    let file = crate::fs::MemoryDisk::new();
    file.create_private_dir("/".as_ref()).unwrap();
    let file = file.create_unnamed("/".as_ref()).unwrap();
    let threads = ThreadPool::new("test", Limits { threads: 1, spare: 0, queue: 1 });
    let connection = Connection::new(None);
    let body = FileBody::new(Chunks::new(file, threads), 0, 600_000, None);
    let mut body = body.mapped(&connection, &mapping);
    let woken = Arc::new(Woken::default());
    let waker = std::task::Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut given = Vec::new();
    let mut turns = 0;
    loop {
        match body.poll_chunk(&mut cx) {
            Poll::Ready(None) => break,
            Poll::Ready(Some(piece)) => given.push(piece.unwrap().len()),
            Poll::Pending => {
                turns += 1;
                assert_eq!(woken.0.load(Ordering::Relaxed), turns, "or nobody polls again");
                assert_eq!(given.len(), turns, "one piece before each turn of the others");
            }
        }
    }
    assert_eq!((given, turns), (vec![262_144, 262_144, 75_712], 2));
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn sending_ends_and_frees_the_mapping_when_the_client_leaves() {
    let mapping = mapped(&content(3, 8 << 20));
    run(async {
        let (mut stream, client) = pair().await;
        let piece = stream.connection().give_out(&mapping, 0, 8 << 20, Arc::new(())).unwrap();
        drop(client);
        assert!(send(&mut stream, vec![piece]).await.is_err());
    });
    assert_eq!(Arc::strong_count(&mapping), 1);
}

#[test]
fn sending_fails_when_the_file_was_cut_off() {
    let mapping = mapped(&content(4, 100_000));
    run(async {
        let (mut stream, _client) = pair().await;
        let piece = stream.connection().give_out(&mapping, 50_000, 50_000, Arc::new(())).unwrap();
        mapping.file().set_len(60_000).unwrap();
        let error = send(&mut stream, vec![piece]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn connection_gives_out_existing_bytes_in_at_most_16_pieces() {
    let mapping = mapped(&content(5, 1000));
    let connection = Connection::new(None);
    assert!(connection.give_out(&mapping, 999, 2, Arc::new(())).is_none());
    assert!(connection.give_out(&mapping, u64::MAX, 2, Arc::new(())).is_none());
    let given: Vec<_> =
        (0..99).map_while(|at| connection.give_out(&mapping, at, 1, Arc::new(()))).collect();
    assert_eq!(given.len(), 16);
}

/// hyper must pass on the very addresses that it is given.
#[test]
fn hyper_sends_files_when_requests_are_pipelined() {
    let body = content(6, 300_000);
    let mapping = mapped(&body);
    run(async {
        let (stream, mut client) = pair().await;
        let connection = stream.connection();
        let service = hyper::service::service_fn(|_| {
            let piece = connection.give_out(&mapping, 0, 300_000, Arc::new(())).unwrap();
            async { Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(piece))) }
        });
        let client = std::thread::spawn(move || {
            let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
            client.write_all(&request.repeat(3)).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            all
        });
        let io = hyper_util::rt::TokioIo::new(stream);
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.unwrap();
        let mut all = &*client.join().unwrap();
        for _ in 0..4 {
            let head = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            assert!(all[..head].starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert!(all[head..].starts_with(&body));
            all = &all[head + body.len()..];
        }
        assert!(all.is_empty());
        assert!(!connection.has_pieces());
    });
}

#[test]
fn stream_writes_other_bytes_unchanged() {
    run(async {
        let (mut stream, mut client) = pair().await;
        let mapping = mapped(&content(7, 10));
        let _waits = stream.connection().give_out(&mapping, 0, 10, Arc::new(())).unwrap();
        stream.write_all(b"plain").await.unwrap();
        send(&mut stream, vec![Bytes::from("vec"), Bytes::from("tored")]).await.unwrap();
        drop(stream);
        let mut all = String::new();
        client.read_to_string(&mut all).unwrap();
        assert_eq!(all, "plainvectored");
    });
}
