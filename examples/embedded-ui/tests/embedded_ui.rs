//! Runs the example, and asks for each of its files in each coding.
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const UI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ui");

/// The files, and whether they have codings.
const FILES: [(&str, bool); 5] = [
    ("assets/app.9f86d081884c7d65.js", true),
    ("assets/pixels.5994471abb01112a.png", false),
    ("assets/style.60303ae22b998861.css", true),
    ("icon.svg", true),
    ("index.html", true),
];

/// A running example, killed when dropped.
struct Example {
    child: Child,
    address: SocketAddr,
}

impl Example {
    /// Starts the program in `directory`, which is all that it may write to.
    fn start(directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cachecompress-embedded-ui"))
            .arg("0")
            .env_clear()
            .env("APP_TITLE", "Mine & {{user}}")
            .env("HOME", directory)
            .env("TMPDIR", directory)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
        let address = line.trim_end().strip_prefix("listening on http://");
        let address = address.and_then(|address| address.parse().ok());
        // The child is held before anything can fail, so that none is left behind.
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let example = Self { child, address: address.unwrap_or(nowhere) };
        read.unwrap();
        assert!(address.is_some(), "no address: {line:?}");
        example
    }

    fn get(&self, target: &str, fields: &[(&str, &str)]) -> Response {
        let mut request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n");
        for (name, value) in fields {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        Response { head, body: answer[end + 4..].to_vec() }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
struct Response {
    head: String,
    body: Vec<u8>,
}

impl Response {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The value of a field, empty if there is none.
    fn field(&self, name: &str) -> &str {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// The decoded body, which must be as long as announced.
    fn decoded(&self) -> Vec<u8> {
        assert_eq!(self.field("content-length"), self.body.len().to_string(), "{}", self.head);
        let (mut decoded, body) = (Vec::new(), &mut &self.body[..]);
        match self.field("content-encoding") {
            "" => return self.body.clone(),
            "br" => brotli_decompressor::BrotliDecompress(body, &mut decoded).unwrap(),
            "gzip" => {
                let read = flate2::bufread::GzDecoder::new(body).read_to_end(&mut decoded);
                read.unwrap();
            }
            "zstd" => {
                let mut decoder = ruzstd::decoding::StreamingDecoder::new(body).unwrap();
                decoder.read_to_end(&mut decoded).unwrap();
            }
            other => panic!("an unknown coding: {other}"),
        }
        decoded
    }
}

fn source(name: &str) -> Vec<u8> {
    fs::read(Path::new(UI).join(name)).unwrap()
}

/// A directory that is empty now.
fn empty_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn first_request_for_each_file_gets_its_coding() {
    let directory = empty_directory("codings");
    let example = Example::start(&directory);
    for (file, is_coded) in FILES {
        let target = format!("/{file}");
        for coding in ["br", "zstd", "gzip"] {
            let response = example.get(&target, &[("accept-encoding", coding)]);
            let expected = if is_coded { coding } else { "" };
            assert_eq!(response.status(), 200, "{target}");
            assert_eq!(response.field("content-encoding"), expected, "{target}");
            let status = if is_coded { "cachecompress; hit" } else { "" };
            assert_eq!(response.field("cache-status"), status, "{target}");
            assert!(response.decoded() == source(file), "{target} has other bytes in {coding}");
            if is_coded {
                assert!(response.body.len() < source(file).len(), "{target} in {coding}");
            }
            let tag = response.field("etag");
            let again =
                example.get(&target, &[("accept-encoding", coding), ("if-none-match", tag)]);
            assert_eq!((again.status(), again.field("etag")), (304, tag));
        }
        assert!(example.get(&target, &[]).decoded() == source(file), "{target} as it is");
    }
    let deflate = example.get("/index.html", &[("accept-encoding", "deflate")]);
    assert_eq!(deflate.field("cache-status"), "cachecompress; fwd=bypass; detail=identity");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "the program writes no file");
}

#[test]
fn navigation_gets_the_page_of_the_application() {
    let example = Example::start(&empty_directory("navigation"));
    let page = source("index.html");
    let navigate =
        |target| example.get(target, &[("accept", "text/html"), ("accept-encoding", "br")]);
    for target in ["/", "/notes", "/notes/7"] {
        let response = navigate(target);
        assert_eq!(
            (response.status(), response.field("content-encoding")),
            (200, "br"),
            "{target}"
        );
        assert!(response.decoded() == page, "{target}");
    }
    assert_eq!(navigate("/assets/none.js").status(), 404);
    assert_eq!(navigate("/api/none").status(), 404);
    assert_eq!(example.get("/api/greeting/you", &[]).body, b"Hello, you!");
    let script = navigate("/assets/app.9f86d081884c7d65.js");
    assert_eq!(script.field("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(navigate("/").field("cache-control"), "no-cache");
}

#[test]
fn template_is_filled_in_for_each_request() {
    let example = Example::start(&empty_directory("template"));
    for user in ["Ann", "<b>{{title}}</b>"] {
        for target in ["/admin", "/admin/users"] {
            let response = example.get(target, &[("x-user", user), ("accept-encoding", "br")]);
            let page = String::from_utf8(response.body.clone()).unwrap();
            assert!(page.contains("<h1>Mine &amp; &#123;&#123;user}}</h1>"), "{page}");
            let shown = user.replace("<", "&lt;").replace(">", "&gt;").replace("{", "&#123;");
            assert!(page.contains(&format!("You are {shown}.")), "{page}");
            assert_eq!(response.field("cache-control"), "private, no-store");
        }
    }
    assert_eq!(example.get("/admin.html", &[]).status(), 404, "the template itself is no file");
}
