//! `--listen unix:/path`: the socket, its file, and its clients in the log.

#![cfg(unix)]

use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use cachecompress_test::server::{command, output};

use crate::common::*;

/// The head and the body of the answer to a request over HTTP/1.1.
fn fetch(socket: &Path, method: &str, target: &str, fields: &str) -> (String, Vec<u8>) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap(), body)
}

/// The status and the length of the body of a GET over HTTP/2.
fn fetch_http2(socket: &Path, target: &str) -> (u16, usize) {
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
        let handshake =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut client, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get(format!("http://h{target}"));
        let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes().len())
    })
}

struct Room {
    site: Site,
    directory: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        let site = Site::with("app.js", &site::text(80, 400_000));
        Self { site, directory: tempfile::tempdir().unwrap() }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("site.sock")
    }

    fn launch(&self) -> Launch {
        let listen = format!("--listen unix:{}", self.socket().display());
        launch(&self.site).args(&listen)
    }

    /// The program, which must end by itself.
    fn refused(&self, path: &str) -> String {
        let mut serve: Command = command(Path::new(PROGRAM));
        serve.arg("serve").arg(self.site.path()).arg("--cache-dir");
        serve.arg(self.directory.path().join("cache"));
        let output = output(serve.arg("--listen").arg(format!("unix:{path}")));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.lines().count() == 1 && said.contains("--listen"), "{said}");
        assert!(output.stdout.is_empty(), "nothing was announced");
        said
    }
}

#[test]
fn unix_socket_serves_as_tcp_does() {
    let room = Room::new();
    let log = room.directory.path().join("log");
    let server = room.launch().arg("--access-log").arg(&log).start();
    let source = fs::read(room.site.file("app.js")).unwrap();
    let socket = room.socket();
    let warm = server.until_hit(&Request::get("/app.js").accept("gzip"));
    for method in ["GET", "HEAD", "GET"] {
        let (head, body) = fetch(&socket, method, "/app.js", "");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(body == if method == "GET" { &source[..] } else { b"" });
        let (head, body) = fetch(&socket, method, "/app.js", "Accept-Encoding: gzip\r\n");
        assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
        assert!(body == if method == "GET" { &warm.body[..] } else { b"" });
    }
    assert_eq!(fetch_http2(&socket, "/app.js"), (200, source.len()));
    assert_eq!(fetch_http2(&socket, "/none").0, 404);
    let text = eventually("the lines", || {
        let text = fs::read_to_string(&log).ok()?;
        (text.lines().filter(|line| line.starts_with("unix: - - [")).count() == 8).then_some(text)
    });
    assert!(text.lines().any(|line| line.starts_with("127.0.0.1 - - [")), "{text}");
}

#[test]
fn socket_file_has_its_mode_and_goes_with_the_server() {
    let room = Room::new();
    let socket = room.socket();
    let mut server = room.launch().args("--socket-mode 0600").start();
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
    server.stop();
    assert!(!socket.exists());

    let mut server = room.launch().start();
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o660, "the default");
    server.kill();
    assert!(socket.exists(), "a server that is killed leaves its file");
    let mut server = room.launch().start();
    assert!(fetch(&socket, "GET", "/app.js", "").0.starts_with("HTTP/1.1 200 "));

    // Another program's file is none of ours.
    fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    server.stop();
    assert!(socket.exists());
}

#[test]
fn path_that_is_in_use_is_refused_in_one_sentence() {
    let room = Room::new();
    let server = room.launch().start();
    let said = room.refused(&room.socket().display().to_string());
    assert!(said.contains("a server listens there"), "{said}");
    assert!(fetch(&room.socket(), "GET", "/app.js", "").0.starts_with("HTTP/1.1 200 "));
    drop(server);
    let file = room.directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    let said = room.refused(&file.display().to_string());
    assert!(said.contains("no socket") && fs::read(&file).unwrap() == b"precious", "{said}");
    let nowhere = room.directory.path().join("none/site.sock");
    assert!(room.refused(&nowhere.display().to_string()).contains("no such directory"));
    let long = room.directory.path().join("x".repeat(120));
    assert!(room.refused(&long.display().to_string()).contains("too long"));
}

#[test]
fn unix_socket_is_announced_by_its_path() {
    let room = Room::new();
    let mut serve = command(Path::new(PROGRAM));
    serve.arg("serve").arg(room.site.path()).arg("--cache-dir");
    serve.arg(room.directory.path().join("cache"));
    let (site, admin) = (room.socket(), room.directory.path().join("admin.sock"));
    serve.arg("--listen").arg(format!("unix:{}", site.display()));
    serve.arg("--admin").arg(format!("unix:{}", admin.display()));
    let mut child = serve.stdout(std::process::Stdio::piped()).spawn().unwrap();
    eventually("the sockets", || (site.exists() && admin.exists()).then_some(()));
    let (head, body) = eventually("an answer", || {
        UnixStream::connect(&admin).ok()?;
        Some(fetch(&admin, "GET", "/readyz", ""))
    });
    assert!(head.starts_with("HTTP/1.1 200 ") && body == b"ready\n", "{head}");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    let lines =
        format!("listening on unix:{}\nadmin on unix:{}\n", site.display(), admin.display());
    assert_eq!(said, lines);
    assert!(!site.exists() && !admin.exists());
}
