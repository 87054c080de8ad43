//! Handshakes that fail, stall or never come, and those that are not about TLS at all.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use cachecompress_test::frames;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::pki::*;
use crate::common::*;

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// All bytes until the server ends the connection in any way.
#[track_caller]
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    if let Err(error) = stream.read_to_end(&mut all) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is still open");
    }
    all
}

fn client_hello(authority: &Authority) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(authority.client(&[b"h2"]), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn half_open_handshakes_end_in_time_and_others_are_served() {
    let site = Site::with("app.js", b"page");
    let authority = Authority::new();
    let pair = authority.issue("site", &["localhost"]);
    let server = launch_tls(&site, &pair).args("--header-timeout 1s --idle-timeout 1h").start();
    let hello = client_hello(&authority);
    let before = server.descriptors();
    let mut silent = Vec::new();
    for start in [&b""[..], &hello[..1], &hello[..5], &hello[..100], &hello] {
        silent.extend((0..40).map(|_| {
            let mut stream = connect(server.address());
            stream.write_all(start).unwrap();
            stream
        }));
    }
    let started = Instant::now();
    let config = authority.client(&[b"http/1.1"]);
    // Dripping clients send their hello byte by byte.
    let mut dripping: Vec<_> = (0..20).map(|_| connect(server.address())).collect();
    let mut drops = hello.iter().cycle();
    while !dripping.is_empty() {
        assert!(started.elapsed() < PATIENCE, "{} of them drip on", dripping.len());
        let drop = *drops.next().unwrap();
        dripping.retain(|mut stream| stream.write_all(&[drop]).is_ok());
        let mut punctual = TlsClient::connect(server.address(), &config).unwrap();
        assert_eq!(punctual.get("/app.js").unwrap(), b"page");
        std::thread::sleep(Duration::from_millis(20));
    }
    for stream in &mut silent {
        // Only whole hellos are answered, and with nothing but the server's share.
        let _ = rest(stream);
    }
    assert!(started.elapsed() > Duration::from_millis(900), "too early");
    eventually("descriptors are free again", || (server.descriptors() <= before + 4).then_some(()));
    assert!(server.stderr().is_empty(), "{}", server.stderr());
}

/// A client that has shaken hands and asks for nothing has the rest of the same time.
#[test]
fn handshake_and_head_have_one_time_together() {
    let site = Site::with("app.js", b"page");
    let authority = Authority::new();
    let pair = authority.issue("site", &["localhost"]);
    let server = launch_tls(&site, &pair).args("--header-timeout 1s --idle-timeout 1s").start();
    for protocols in [&[][..], &[&b"http/1.1"[..]], &[&b"h2"[..]]] {
        let mut client =
            TlsClient::connect(server.address(), &authority.client(protocols)).unwrap();
        let (answer, _) = client.rest();
        // HTTP/2 has its settings sent.
        assert!(answer.len() < 100, "{protocols:?}: {}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn stalled_handshakes_count_as_connections() {
    let site = Site::with("app.js", b"page");
    let authority = Authority::new();
    let pair = authority.issue("site", &["localhost"]);
    let limits = "--max-connections 3 --threads 1 --header-timeout 1s";
    let server = launch_tls(&site, &pair).args(limits).start();
    let stalled: Vec<_> = (0..3).map(|_| connect(server.address())).collect();
    let asked = Instant::now();
    let config = authority.client(&[]);
    let mut waiting = TlsClient::connect(server.address(), &config).unwrap();
    assert_eq!(waiting.get("/app.js").unwrap(), b"page");
    assert!(asked.elapsed() > Duration::from_millis(900), "the limit did not hold");
    drop(stalled);
}

#[test]
fn garbage_and_floods_of_handshakes_harm_nobody() {
    let site = Site::with("app.js", b"page");
    let authority = Authority::new();
    let server = launch_tls(&site, &authority.issue("site", &["localhost"])).start();
    let hello = client_hello(&authority);
    let mut wrong = hello.clone();
    wrong[9..].fill(0xff);
    for number in 0..300_usize {
        let mut stream = connect(server.address());
        let noise = site::random(number as u64, 400);
        let bytes = [&hello[..], &wrong, &noise, b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x03"];
        let _ = stream.write_all(bytes[number % 5]);
    }
    let mut alerted = connect(server.address());
    alerted.write_all(&wrong).unwrap();
    assert_eq!(rest(&mut alerted).first(), Some(&21), "an alert's record");
    let config = authority.client(&[]);
    let mut client = TlsClient::connect(server.address(), &config).unwrap();
    assert_eq!(client.get("/app.js").unwrap(), b"page");
    assert!(server.stderr().is_empty(), "{}", server.stderr());
}

#[test]
fn plain_http_on_the_port_of_tls_gets_a_400() {
    let site = Site::with("index.html", b"page");
    let authority = Authority::new();
    let server = launch_tls(&site, &authority.issue("site", &["localhost"])).start();
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(100_000));
    for request in [&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..], frames::PREFACE, long.as_bytes()] {
        let mut stream = connect(server.address());
        stream.write_all(request).unwrap();
        let answer = String::from_utf8(rest(&mut stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.ends_with("a plain HTTP request was sent to a port of https://\n"));
    }
}

/// The protocol is what ALPN says, whatever the first bytes look like.
#[test]
fn agreed_protocol_is_not_guessed_again() {
    let site = Site::with("index.html", b"page");
    let authority = Authority::new();
    let server = launch_tls(&site, &authority.issue("site", &["localhost"])).start();
    let http1 = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = |protocols: &[&[u8]], bytes: &[u8]| {
        let config: Arc<_> = authority.client(protocols);
        let mut client = TlsClient::connect(server.address(), &config).unwrap();
        client.0.write_all(bytes).unwrap();
        client.0.flush().unwrap();
        client.rest().0
    };
    let is_http1 = |bytes: &[u8]| bytes.starts_with(b"HTTP/1.1 ");
    assert!(answer(&[], http1).starts_with(b"HTTP/1.1 200 "));
    assert!(answer(&[b"http/1.1"], http1).starts_with(b"HTTP/1.1 200 "));
    assert!(!is_http1(&answer(&[b"h2"], http1)));
    // HTTP/1.1 knows no such version, and says so in its own words, if at all.
    let preface = [frames::PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    for protocols in [&[][..], &[&b"http/1.1"[..]]] {
        let bytes = answer(protocols, &preface);
        assert!(bytes.is_empty() || is_http1(&bytes), "{bytes:?}");
    }
}
