//! The ends of connections and bodies over TLS.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::thread;

use cachecompress_test::server::output;
use cachecompress_test::tools::require;

use super::pki::*;
use crate::common::*;

const REQUEST: &[u8] = b"GET /noise.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn whole_answer_ends_with_close_notify() {
    let source = site::random(1, 300_000);
    let site = Site::with("noise.bin", &source);
    let authority = Authority::new();
    let server = launch_tls(&site, &authority.issue("site", &["localhost"])).start();
    let mut client = TlsClient::connect(server.address(), &authority.client(&[])).unwrap();
    client.0.write_all(REQUEST).unwrap();
    let (answer, closed) = client.rest();
    assert!(answer.ends_with(&source) && closed, "{} bytes", answer.len());
}

/// A `close_notify` after half a body would let the half pass for the whole with clients that do
/// not count (promise 1).
#[test]
fn aborted_answer_ends_without_close_notify() {
    let source = site::random(2, 40 << 20);
    let authority = Authority::new();
    let pair = authority.issue("site", &["localhost"]);
    let site = Site::with("noise.bin", &source);
    let server = launch_tls(&site, &pair).start();
    let mut client = TlsClient::connect(server.address(), &authority.client(&[])).unwrap();
    client.0.write_all(REQUEST).unwrap();
    client.0.read_exact(&mut [0; 1000]).unwrap();
    site.replace_in_place("noise.bin", b"cut off");
    let (answer, closed) = client.rest();
    assert!(answer.len() < source.len() && !closed, "{} bytes, {closed}", answer.len());
}

/// A growing body is chunked, and its missing last chunk is the sign of its abort.
#[test]
fn aborted_chunks_end_without_close_notify() {
    let source = site::text(3, 60 << 20);
    let authority = Authority::new();
    let pair = authority.issue("site", &["localhost"]);
    let site = Site::with("app.js", &source);
    let server = launch_tls(&site, &pair).args("--level gzip=9").start();
    let mut client = TlsClient::connect(server.address(), &authority.client(&[])).unwrap();
    let request = b"GET /app.js HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\
        Connection: close\r\n\r\n";
    client.0.write_all(request).unwrap();
    let mut head = [0; 1000];
    client.0.read_exact(&mut head).unwrap();
    assert!(String::from_utf8_lossy(&head).contains("transfer-encoding: chunked"));
    site.replace_in_place("app.js", b"cut off");
    let (answer, closed) = client.rest();
    assert!(!answer.ends_with(b"\r\n0\r\n\r\n") && !closed, "{} bytes, {closed}", answer.len());
}

#[test]
fn download_ends_whole_when_the_server_is_told_to_end() {
    let Some(curl) = require("curl") else { return };
    let source = site::random(4, 12 << 20);
    let site = Site::with("noise.bin", &source);
    let authority = Authority::new();
    let pair = authority.issue("site", &["localhost"]);
    for protocol in ["--http1.1", "--http2"] {
        let mut server = launch_tls(&site, &pair).start();
        let into = authority.path().join("body");
        let _ = fs::remove_file(&into);
        let mut command = Command::new(&curl);
        command.args(["-sS", protocol, "--limit-rate", "6M", "-w", "%{http_code}", "--resolve"]);
        command.arg(format!("localhost:{}:127.0.0.1", server.address().port()));
        command.arg("--cacert").arg(authority.ca()).arg("-o").arg(&into);
        command.arg(format!("https://localhost:{}/noise.bin", server.address().port()));
        thread::scope(|scope| {
            let download = scope.spawn(|| output(&mut command));
            eventually("the download's start", || {
                fs::metadata(&into).ok().filter(|file| file.len() > 0)
            });
            server.stop();
            let output = download.join().unwrap();
            assert!(output.status.success(), "{protocol}: {output:?}");
        });
        assert!(fs::read(&into).unwrap() == source, "{protocol}");
    }
}

/// Bytes that a client still sends after the answer would make the kernel reset the connection, and
/// the answer would be lost with it.
#[test]
fn leftovers_of_a_request_cost_no_answer() {
    let site = Site::with("index.html", b"page");
    let authority = Authority::new();
    let server = launch_tls(&site, &authority.issue("site", &["localhost"])).start();
    let mut client = TlsClient::connect(server.address(), &authority.client(&[])).unwrap();
    client.0.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n").unwrap();
    for _ in 0..3 {
        // The answer comes meanwhile, and is not read yet.
        thread::sleep(Duration::from_millis(200));
        client.0.write_all(&[b'x'; 30_000]).unwrap();
    }
    thread::sleep(Duration::from_millis(200));
    let (answer, closed) = client.rest();
    assert!(answer.starts_with(b"HTTP/1.1 405 ") && closed, "{} bytes, {closed}", answer.len());
}
