//! A directory with the file that `get` writes, and servers that answer as a test says.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use cachecompress_test::server::{command, output};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::*;

/// The files that `get` keeps beside FILE.
pub(crate) const PART: &str = ".tool.cachecompress-part";
pub(crate) const PART_OF: &str = ".tool.cachecompress-part.json";

/// A directory for the file `tool`.
pub(crate) struct Stage {
    directory: TempDir,
}

/// A run of the program that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::with_prefix("get-").unwrap() }
    }

    /// A directory with an earlier version of the file.
    pub(crate) fn with(bytes: &[u8]) -> Self {
        let stage = Self::new();
        fs::write(stage.file(), bytes).unwrap();
        stage
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The path of the file.
    pub(crate) fn file(&self) -> PathBuf {
        self.path().join("tool")
    }

    /// The bytes of the file.
    pub(crate) fn content(&self) -> Vec<u8> {
        fs::read(self.file()).unwrap()
    }

    /// The names of all files in the directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The command `get URL -o tool` in the directory.
    pub(crate) fn command(&self, url: &str, flags: &[&str]) -> Command {
        command_in(self.path(), url, flags)
    }

    /// Runs `get URL -o tool` to its end.
    pub(crate) fn get(&self, url: &str, flags: &[&str]) -> Run {
        Run::of(&mut self.command(url, flags))
    }

    /// Runs `get` and returns its document.
    #[track_caller]
    pub(crate) fn report(&self, url: &str, flags: &[&str]) -> Value {
        let run = self.get(url, &[flags, &["--json"]].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        serde_json::from_str(&run.stdout).unwrap()
    }
}

pub(crate) fn command_in(directory: &Path, url: &str, flags: &[&str]) -> Command {
    let mut get = command(Path::new(PROGRAM));
    get.args(["get", url, "-o", "tool"]).args(flags).current_dir(directory).stdin(Stdio::null());
    // A machine's proxy is none of loopback.
    get.env("NO_PROXY", "*");
    get
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = output(command);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Asserts the code, and parts of the text.
    #[track_caller]
    pub(crate) fn assert(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in parts {
            assert!(self.stdout.contains(part) || self.stderr.contains(part), "{part:?}: {self:?}");
        }
    }

    /// Asserts a failure with one sentence on stderr and nothing on stdout.
    #[track_caller]
    pub(crate) fn assert_fails(&self, code: i32, parts: &[&str]) {
        self.assert(code, parts);
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("cachecompress: ") && self.stdout.is_empty(), "{self:?}");
    }
}

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Asked(String);

impl Asked {
    pub(crate) fn is(&self, method: &str) -> bool {
        self.0.starts_with(method)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A server that answers each request as a function says, and then closes the connection.
pub(crate) struct Origin {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Origin {
    /// Starts a server. `answer` returns the bytes of a response.
    pub(crate) fn start(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, heads) = (Arc::new(answer), Arc::clone(&asked));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (answer, heads) = (Arc::clone(&answer), Arc::clone(&heads));
                std::thread::spawn(move || {
                    let Some(head) = read_head(&stream) else { return };
                    let bytes = answer(&head);
                    heads.lock().unwrap().push(head);
                    drop((&stream).write_all(&bytes));
                });
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/tool", self.address)
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read_head(stream: &TcpStream) -> Option<Asked> {
    let mut head = String::new();
    let mut lines = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(Asked(head))
}

/// A response with this body, its length and these fields.
pub(crate) fn response(status: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    for (name, value) in fields {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The URL of the file `tool` of a server, or of a proxy before one.
pub(crate) fn url_of(address: SocketAddr) -> String {
    format!("http://{address}/tool")
}

/// Two versions of a program of a MiB: the second has other bytes in some places.
pub(crate) fn versions() -> (Vec<u8>, Vec<u8>) {
    let first = site::binary(7, 1 << 20);
    let mut second = first.clone();
    for place in (1000..second.len() - 64).step_by(100_000) {
        second[place..place + 64].copy_from_slice(&site::random(place as u64, 64));
    }
    (first, second)
}

/// The hexadecimal digits of the SHA-256 of `bytes`.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    decode::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of `bytes` as a field has it.
pub(crate) fn byte_sequence(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    format!(":{}:", engine.encode(decode::sha256(bytes)))
}
