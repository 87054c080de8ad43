//! The flags, exit codes, sockets, signals and logs of the real program.
//!
//! The library's tests hold the responses for files. These tests hold the program's additions.

#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use cachecompress_test::server::{command, output};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::{Duration, Instant, PATIENCE, PROGRAM, Path, eventually, fs};

/// A time less than the 10 s that the program gives running requests after a signal.
const AT_ONCE: Duration = Duration::from_secs(9);
const BIG: u64 = 32 << 20;

fn program() -> Command {
    let mut command = command(Path::new(PROGRAM));
    command.stdin(Stdio::null());
    command
}

/// A site with a small file and one that fills every socket buffer, and room for a cache.
fn site() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("site")).unwrap();
    fs::write(dir.path().join("site/hello.txt"), "Hello, hello, hello.\n".repeat(20)).unwrap();
    fs::File::create(dir.path().join("site/big.bin")).unwrap().set_len(BIG).unwrap();
    dir
}

struct Server {
    child: Child,
    stdout: Receiver<String>,
    dir: TempDir,
    address: SocketAddr,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        Self::start_with(flags, &[])
    }

    fn start_with(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let dir = site();
        let mut command = program();
        command.arg("serve").arg(dir.path().join("site")).args(flags);
        command.env("CACHECOMPRESS_CACHE_DIR", dir.path().join("cache"));
        if !environment.iter().any(|(name, _)| *name == "CACHECOMPRESS_LISTEN") {
            command.env("CACHECOMPRESS_LISTEN", "127.0.0.1:0");
        }
        command.envs(environment.iter().copied()).current_dir(dir.path());
        Self::run(command, dir)
    }

    fn run(command: Command, dir: TempDir) -> Self {
        let mut server = Self::spawn(command, dir);
        server.address = server.next_address("listening on http://");
        server
    }

    /// Runs `command`, unless it ends before it listens.
    fn try_run(command: Command, dir: TempDir) -> Option<Self> {
        let mut server = Self::spawn(command, dir);
        let line = server.stdout.recv_timeout(PATIENCE).ok()?;
        server.address = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
        Some(server)
    }

    fn spawn(mut command: Command, dir: TempDir) -> Self {
        let stderr = fs::File::create(dir.path().join("stderr")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, stdout) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Self { child, stdout, dir, address: ([127, 0, 0, 1], 0).into() }
    }

    fn next_line(&self) -> String {
        self.stdout.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("stderr: {}", self.stderr()))
    }

    fn next_address(&self, prefix: &str) -> SocketAddr {
        let line = self.next_line();
        let address = line.strip_prefix(prefix).unwrap_or_else(|| panic!("{line:?}"));
        address.parse().unwrap()
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        eventually("the end of the program", || self.child.try_wait().unwrap())
    }

    fn get(&self, path: &str) -> String {
        get(self.address, path)
    }

    /// Waits until `enough` is true of the file `name` in the test's directory. Returns its text.
    fn file(&self, name: &str, enough: impl Fn(&str) -> bool) -> String {
        let path = self.dir.path().join(name);
        eventually(name, || fs::read_to_string(&path).ok().filter(|text| enough(text)))
    }

    /// A connection on which the head of `/big.bin` has come and its body waits to be read.
    fn stalled_download(&self) -> TcpStream {
        let mut stream = connect(self.address);
        stream.write_all(b"GET /big.bin HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `request` and reads until the server closes. Bodies must be text.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(address: SocketAddr, path: &str) -> String {
    exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    )
}

fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

/// Runs the program, which must end by itself. Returns exit code, stdout and stderr.
fn end_of(command: &mut Command) -> (Option<i32>, String, String) {
    let output = output(command);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Asserts that the program refuses with `code` and exactly one sentence that contains `words`.
fn refuses(command: &mut Command, code: i32, words: &[&str]) {
    let (status, out, err) = end_of(command);
    assert_eq!(status, Some(code), "{command:?}: {err}");
    assert_eq!(out, "", "{command:?}");
    assert!(err.starts_with("cachecompress: ") && err.ends_with('\n'), "{err:?}");
    assert_eq!(err.lines().count(), 1, "{err:?}");
    for word in words {
        assert!(err.contains(word), "{word:?} is not in {err:?}");
    }
}

fn refuses_flags(flags: &[&str], words: &[&str]) {
    refuses(program().arg("serve").args(flags), 2, words);
}

#[test]
fn help_names_every_flag_its_variable_and_its_default() {
    let flags = [
        ("listen", "127.0.0.1:8080"),
        ("socket-mode", "0660"),
        ("cache-dir", "the user's cache directory + /cachecompress"),
        ("cache-size", "1GiB"),
        ("memory-cache", "64MiB"),
        ("sendfile", "entries"),
        ("codings", "auto"),
        ("level", "br=5 zstd=3 gzip=6"),
        ("threads", "the number of cores"),
        ("encode-threads", "half the number of cores, at least 2"),
        ("revalidate", "1s"),
        ("patience", "50ms"),
        ("prove", "on"),
        ("cache-control", "no-cache"),
        ("index", "index.html"),
        ("clean-urls", "off"),
        ("trailing-slash", "auto"),
        ("spa", ""),
        ("spa-except", ""),
        ("not-found", "the nearest 404.html upwards, if there is one"),
        ("dotfiles", "deny"),
        ("immutable", ""),
        ("queue", "1024"),
        ("max-connections", "10000"),
        ("max-open-files", "4096"),
        ("max-streams", "128"),
        ("max-header-bytes", "32KiB"),
        ("max-headers", "100"),
        ("header-timeout", "30s"),
        ("idle-timeout", "60s"),
        ("write-timeout", "60s"),
        ("trusted-proxies", "none"),
        ("proxy-protocol", ""),
        ("access-log", "off"),
        ("access-log-format", "combined"),
        ("access-log-sample", "1"),
        ("original-length", ""),
        ("admin", "off"),
        ("log-level", "info"),
        ("log-format", "text"),
    ];
    let (code, help, err) = end_of(program().args(["serve", "--help"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (flag, default) in flags {
        let is_named = [" ", "[="].iter().any(|end| words.contains(&format!("--{flag}{end}")));
        assert!(is_named, "{flag}");
        let variable = format!("CACHECOMPRESS_{}", flag.to_uppercase().replace('-', "_"));
        assert!(words.contains(&format!("[env: {variable}")), "{variable}");
        if !default.is_empty() {
            assert!(words.contains(&format!("[default: {default}]")), "{flag}");
        }
    }
    let warm =
        ["cache-dir", "codings", "best", "jobs", "include", "exclude", "prune", "check", "json"];
    for (command, flags) in [
        ("verify", &["cache-dir"][..]),
        ("gc", &["cache-dir", "dry-run"]),
        ("warm", &warm),
        ("inspect", &["cache-dir", "accept-encoding", "host", "sort", "filter", "json"]),
        ("purge", &["cache-dir", "host", "dry-run", "json"]),
    ] {
        let (code, help, err) = end_of(program().args([command, "--help"]));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for flag in flags {
            assert!(words.contains(&format!("--{flag} ")), "{command}: {flag}");
            let variable = format!("CACHECOMPRESS_{}", flag.to_uppercase().replace('-', "_"));
            assert!(words.contains(&format!("[env: {variable}")), "{variable}");
        }
        assert!(words.contains("[default: the user's cache directory + /cachecompress]"));
        assert!(words.contains("Exit codes: 0 "), "{help}");
    }
    let (code, short, _) = end_of(program().arg("--help"));
    let commands = ["serve", "warm", "verify", "gc", "inspect", "purge"];
    assert!(code == Some(0) && commands.iter().all(|command| short.contains(command)), "{short}");
    let (code, version, _) = end_of(program().arg("--version"));
    assert_eq!(code, Some(0));
    assert_eq!(version, format!("cachecompress {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_ends_with_2_and_one_sentence() {
    refuses(&mut program(), 2, &["serve DIR"]);
    refuses(program().arg("sevre"), 2, &["sevre"]);
    refuses_flags(&["--lissten", "127.0.0.1:0"], &["--lissten", "--listen"]);
    refuses_flags(&["--listen", "8080"], &["--listen", "127.0.0.1:8080"]);
    refuses_flags(&["--admin", "localhost"], &["--admin"]);
    refuses_flags(&["--listen", "unix:site.sock"], &["--listen", "unix:/run/site.sock"]);
    refuses_flags(&["--socket-mode", "0999"], &["--socket-mode", "0660"]);
    refuses_flags(&["--cache-size", "lots"], &["--cache-size", "1GiB"]);
    refuses_flags(&["--codings", "br,lzma"], &["lzma", "br, zstd, gzip, deflate"]);
    refuses_flags(&["--level", "br=99"], &["br", "0 to 11"]);
    refuses_flags(&["--level", "best"], &["CODING=N"]);
    refuses_flags(&["--threads", "0"], &["--threads"]);
    refuses_flags(&["--trusted-proxies", "10.0.0.0/33"], &["--trusted-proxies", "10.0.0.0/8"]);
    refuses_flags(&["--proxy-protocol"], &["--proxy-protocol", "--trusted-proxies"]);
    refuses_flags(&["--access-log-format", "xml"], &["--access-log-format", "combined, json"]);
    refuses_flags(&["--access-log-sample", "0"], &["--access-log-sample", "1..="]);
    refuses_flags(&["--encode-threads", "-1"], &["-1"]);
    refuses_flags(&["--revalidate", "soon"], &["--revalidate", "1s"]);
    refuses_flags(&["--patience", "50"], &["--patience", "50ms"]);
    refuses_flags(&["--prove", "maybe"], &["--prove", "on, off"]);
    refuses_flags(&["--cache-control", "a\r\nX: y"], &["--cache-control", "no-cache"]);
    refuses_flags(&["--queue", "0"], &["--queue", "1..=1000000"]);
    refuses_flags(&["--max-connections", "lots"], &["--max-connections"]);
    refuses_flags(&["--max-open-files", "0"], &["--max-open-files"]);
    refuses_flags(&["--max-streams", "0"], &["--max-streams"]);
    refuses_flags(&["--max-header-bytes", "1KiB"], &["--max-header-bytes", "8KiB to 1MiB"]);
    refuses_flags(&["--max-headers", "-1"], &["-1"]);
    for flag in ["--header-timeout", "--idle-timeout", "--write-timeout"] {
        refuses_flags(&[flag, "0"], &[flag, "above 0", "30s"]);
        refuses_flags(&[flag, "10"], &[flag, "above 0", "30s"]);
    }
    refuses_flags(&["--log-level", "loud"], &["--log-level", "info"]);
    refuses_flags(&["--log-format", "xml"], &["--log-format", "json"]);
    refuses_flags(&["a", "b"], &["b"]);
    for command in ["verify", "gc"] {
        let help = format!("see `cachecompress {command} --help`");
        let other = "but `cachecompress serve` has; see `cachecompress serve --help`";
        refuses(program().args([command, "--listen", "127.0.0.1:0"]), 2, &["--listen", other]);
        refuses(program().args([command, "somewhere"]), 2, &["somewhere", &help]);
    }
    let mut command = program();
    refuses(command.arg("serve").env("CACHECOMPRESS_CACHE_SIZE", "lots"), 2, &["--cache-size"]);
}

/// A directory that is no cache was reported as a cache in order.
#[test]
fn verify_and_gc_refuse_other_directories() {
    let dir = site();
    for command in ["verify", "gc"] {
        for (path, words) in
            [("site", "there is no cache of cachecompress"), ("nowhere", "there is no directory")]
        {
            let path = dir.path().join(path);
            refuses(program().arg(command).arg("--cache-dir").arg(&path), 2, &[words]);
            refuses(program().arg(command).env("CACHECOMPRESS_CACHE_DIR", &path), 2, &[words]);
        }
        let mut homeless = program();
        homeless.arg(command).env_remove("HOME").env_remove("XDG_CACHE_HOME");
        refuses(&mut homeless, 2, &["--cache-dir"]);
    }
    assert_eq!(fs::read_dir(dir.path().join("site")).unwrap().count(), 2);
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
fn unusable_paths_and_addresses_end_with_1_and_one_sentence() {
    let dir = site();
    let site = dir.path().join("site");
    let cache = dir.path().join("cache");
    let serve = |site: &Path| {
        let mut command = program();
        command.arg("serve").arg(site).arg("--cache-dir").arg(&cache);
        command
    };
    let missing = dir.path().join("nowhere");
    let any = ["--listen", "127.0.0.1:0"];
    refuses(serve(&missing).args(any), 1, &["nowhere", "no such directory", "serve DIR"]);
    refuses(serve(&site.join("hello.txt")).args(any), 1, &["hello.txt", "serve DIR"]);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = [address.as_str(), "address in use", "--listen"];
    refuses(serve(&site).args(["--listen", &address]), 1, &words);
    // The program announces no address before it has all of them.
    refuses(serve(&site).args(any).args(["--admin", &address]), 1, &["in use", "--admin"]);
    refuses(serve(&site).args(["--listen", "192.0.2.1:0"]), 1, &["no such address"]);
    let log = dir.path().join("no/such/dir/log");
    refuses(serve(&site).args(any).arg("--access-log").arg(&log), 1, &["--access-log"]);
}

#[test]
fn bound_addresses_are_printed_and_answer() {
    let server = Server::start(&["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]);
    let second = server.next_address("listening on http://");
    assert_ne!(server.address.port(), 0);
    assert_eq!(second.ip().to_string(), "127.0.0.2");
    for address in [server.address, second] {
        let answer = get(address, "/hello.txt");
        assert_eq!(status(&answer), 200);
        let head = answer.to_ascii_lowercase();
        assert!(head.contains("\r\ndate: "), "{answer}");
        assert!(head.contains("\r\ncache-control: no-cache\r\n"), "{answer}");
        assert!(!head.contains("\r\nserver:"), "{answer}");
    }
}

/// Whether this machine has IPv6, so that both families can be tested.
fn has_ipv6() -> bool {
    let there = TcpListener::bind("[::1]:0").is_ok();
    if !there {
        cachecompress_test::decode::skipped("listening on both families needs IPv6");
    }
    there
}

fn is_served(ip: &str, port: u16) {
    let address = SocketAddr::new(ip.parse().unwrap(), port);
    assert_eq!(status(&get(address, "/hello.txt")), 200, "{address}");
}

#[test]
fn port_alone_listens_on_all_addresses() {
    let server = Server::start(&["--listen", ":0", "--admin", ":0"]);
    let admin = server.next_address("admin on http://");
    assert!(server.address.ip().is_unspecified() && server.address.port() != 0);
    is_served("127.0.0.1", server.address.port());
    assert_eq!(status(&get(([127, 0, 0, 1], admin.port()).into(), "/healthz")), 200);
    if has_ipv6() {
        assert!(server.address.is_ipv6(), "one socket takes both");
        is_served("::1", server.address.port());
    }
}

#[test]
fn name_listens_on_all_its_addresses() {
    let server = Server::start(&["--listen", "localhost:0"]);
    assert!(server.address.ip().is_loopback());
    assert_eq!(status(&server.get("/hello.txt")), 200);
    let dir = site();
    let mut command = program();
    command.arg("serve").arg(dir.path().join("site")).args(["--listen", "no-such.invalid:80"]);
    command.arg("--cache-dir").arg(dir.path().join("cache"));
    refuses(&mut command, 1, &["cannot listen on no-such.invalid:80", "--listen"]);
}

/// The IPv6 socket took IPv4 as well, so that the second address was in use.
#[test]
fn all_addresses_of_both_families_share_a_port() {
    if !has_ipv6() {
        return;
    }
    for addresses in [["0.0.0.0", "[::]"], ["[::]", "0.0.0.0"], ["[::]", "127.0.0.1"]] {
        let server = eventually("a port that is free in both families", || {
            let port = TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
            let listen = addresses.map(|ip| format!("{ip}:{port}")).join(",");
            let dir = site();
            let mut command = program();
            command.arg("serve").arg(dir.path().join("site")).args(["--listen", &listen]);
            command.arg("--cache-dir").arg(dir.path().join("cache"));
            // Another test may have taken the port meanwhile.
            Server::try_run(command, dir)
        });
        let second = server.next_address("listening on http://");
        assert_eq!(second.port(), server.address.port());
        is_served("127.0.0.1", second.port());
        is_served("::1", second.port());
    }
}

#[test]
fn flags_can_come_from_the_environment() {
    let environment = [
        ("CACHECOMPRESS_LISTEN", "127.0.0.1:0,127.0.0.2:0"),
        ("CACHECOMPRESS_CACHE_CONTROL", "max-age=7"),
        ("CACHECOMPRESS_ORIGINAL_LENGTH", "yes"),
        ("CACHECOMPRESS_SPA", ""),
        ("CACHECOMPRESS_LEVEL", "br=1,zstd=2"),
    ];
    let server = Server::start_with(&[], &environment);
    assert_eq!(server.next_address("listening on http://").ip().to_string(), "127.0.0.2");
    let answer = server.get("/hello.txt");
    assert!(answer.contains("cache-control: max-age=7\r\n"), "{answer}");
    assert!(answer.contains("x-original-content-length: "), "{answer}");
}

#[test]
fn cache_control_can_be_set_and_switched_off() {
    let set = [("CACHECOMPRESS_CACHE_CONTROL", "max-age=7")];
    let from_environment = Server::start_with(&[], &set);
    assert!(from_environment.get("/hello.txt").contains("cache-control: max-age=7\r\n"));
    let from_flag = Server::start_with(&["--cache-control", "max-age=8"], &set);
    assert!(from_flag.get("/hello.txt").contains("cache-control: max-age=8\r\n"));
    let off = Server::start(&["--cache-control", "off", "--prove", "off"]);
    assert!(!off.get("/hello.txt").contains("cache-control:"));
}

#[test]
fn cache_is_in_memory_without_a_usable_home_or_with_size_0() {
    let dir = site();
    let mut command = program();
    command.arg("serve").arg(dir.path().join("site")).args(["--listen", "127.0.0.1:0"]);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let homeless = Server::run(command, dir);
    assert_eq!(status(&homeless.get("/hello.txt")), 200);
    homeless.file("stderr", |text| text.contains("--cache-dir"));

    // A home directory that is not the service's own: this one cannot be, even by root.
    let dir = site();
    let home = dir.path().join("site/hello.txt");
    let mut command = program();
    command.arg("serve").arg(dir.path().join("site")).args(["--listen", "127.0.0.1:0"]);
    command.env_remove("XDG_CACHE_HOME").env("HOME", &home);
    let elsewhere = Server::run(command, dir);
    let coded = "GET /hello.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
        Accept-Encoding: gzip, identity;q=0\r\n\r\n";
    assert!(exchange(elsewhere.address, coded).contains("fwd=miss; stored"));
    assert!(exchange(elsewhere.address, coded).contains("cachecompress; hit"));
    elsewhere.file("stderr", |text| text.contains("cannot be written; set --cache-dir"));

    let small = Server::start(&["--cache-size", "0"]);
    assert_eq!(status(&small.get("/hello.txt")), 200);
    small.file("stderr", |text| text.contains("in memory"));
    assert!(!small.dir.path().join("cache").exists());
}

#[test]
fn logs_are_json_if_wanted_and_nothing_if_off() {
    let json = Server::start(&["--log-format", "json", "--cache-size", "0"]);
    let line = json.file("stderr", |text| text.ends_with('\n'));
    assert!(line.starts_with('{') && line.contains("\"level\":\"WARN\""), "{line:?}");
    let mut silent = Server::start(&["--log-level", "off", "--cache-size", "0"]);
    silent.signal(Signal::TERM);
    assert_eq!(silent.wait().code(), Some(0));
    assert_eq!(silent.stderr(), "");
}

#[test]
fn request_needs_exactly_one_valid_host() {
    let server = Server::start(&[]);
    let ask = |head: &str| status(&exchange(server.address, &format!("{head}\r\n\r\n")));
    let close = "\r\nConnection: close";
    assert_eq!(ask(&format!("GET /hello.txt HTTP/1.1{close}")), 400);
    assert_eq!(ask(&format!("GET /hello.txt HTTP/1.1\r\nHost: a\r\nHost: a{close}")), 400);
    assert_eq!(ask(&format!("GET /hello.txt HTTP/1.1\r\nHost: a b{close}")), 400);
    assert_eq!(ask(&format!("GET /hello.txt HTTP/1.1\r\nHost: [::1]:80{close}")), 200);
    assert_eq!(ask("GET /hello.txt HTTP/1.0"), 200);
}

#[test]
fn targets_of_every_form_are_understood() {
    let server = Server::start(&[]);
    let ask = |line: &str| {
        exchange(server.address, &format!("{line}\r\nHost: h\r\nConnection: close\r\n\r\n"))
    };
    assert_eq!(status(&ask("GET http://h/hello.txt HTTP/1.1")), 200);
    let body = |answer: String| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(ask("GET http://h HTTP/1.1")), body(ask("GET / HTTP/1.1")));
    let options = ask("OPTIONS * HTTP/1.1");
    assert_eq!(status(&options), 204);
    assert!(options.contains("allow: GET, HEAD, OPTIONS\r\n"), "{options}");
    assert_eq!(status(&ask("GET * HTTP/1.1")), 400);
    assert_eq!(status(&ask("OPTIONS /hello.txt HTTP/1.1")), 204);
    assert_eq!(status(&ask("DELETE /hello.txt HTTP/1.1")), 405);
    assert_eq!(status(&ask("CONNECT h:80 HTTP/1.1")), 405);
}

#[test]
fn pipelined_requests_are_answered_in_order_after_a_half_close() {
    let server = Server::start(&[]);
    let mut stream = connect(server.address);
    let request = "GET /hello.txt HTTP/1.1\r\nHost: h\r\n\r\n";
    stream
        .write_all(format!("{request}{request}HEAD / HTTP/1.1\r\nHost:\r\n\r\n").as_bytes())
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 3, "{answers}");
    assert!(answers.ends_with("\r\n\r\n"), "{answers}");
}

#[test]
fn http_2_is_spoken_with_prior_knowledge() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let server = Server::start(&["--access-log", "log"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let body = http_body_util::Empty::<bytes::Bytes>::new();
        let request = http::Request::get("http://h/hello.txt").body(body).unwrap();
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        let response = response.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers().contains_key("date"));
        let body = http_body_util::BodyExt::collect(response.into_body());
        assert!(
            !tokio::time::timeout(PATIENCE, body).await.unwrap().unwrap().to_bytes().is_empty()
        );
    });
    let log = server.file("log", |text| text.ends_with('\n'));
    assert!(log.contains("\"GET /hello.txt HTTP/2.0\" 200 "), "{log}");
}

#[test]
fn sigterm_lets_downloads_finish_while_readyz_says_no() {
    let mut server = Server::start(&["--admin", "127.0.0.1:0", "--access-log", "-"]);
    let admin = server.next_address("admin on http://");
    assert_eq!(status(&get(admin, "/readyz")), 200);
    let idle = connect(server.address);
    let mut download = server.stalled_download();
    server.signal(Signal::TERM);
    eventually("readyz to say no", || (status(&get(admin, "/readyz")) == 503).then_some(()));
    assert_eq!(status(&get(admin, "/healthz")), 200);
    eventually("the listener to close", || {
        TcpStream::connect(server.address).is_err().then_some(())
    });
    assert!(server.child.try_wait().unwrap().is_none());
    let mut rest = Vec::new();
    download.read_to_end(&mut rest).unwrap();
    assert!(rest.len() as u64 > BIG, "cut short: {}", rest.len());
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr());
    // The log's last lines are not lost.
    assert!(server.next_line().contains("end=complete"));
    drop(idle);
}

#[test]
fn sigint_ends_an_idle_server_with_0() {
    let mut server = Server::start(&[]);
    assert_eq!(status(&server.get("/hello.txt")), 200);
    let started = Instant::now();
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
    assert!(started.elapsed() < AT_ONCE, "the program waited for no request");
}

#[test]
fn second_signal_ends_the_program_at_once() {
    let mut server = Server::start(&["--admin", "127.0.0.1:0"]);
    let admin = server.next_address("admin on http://");
    let _download = server.stalled_download();
    server.signal(Signal::INT);
    eventually("the end to begin", || (status(&get(admin, "/readyz")) == 503).then_some(()));
    assert!(server.child.try_wait().unwrap().is_none());
    let started = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(143));
    assert!(started.elapsed() < AT_ONCE, "the program waited for the download");
}

#[test]
fn access_log_has_a_line_for_each_response_and_no_forged_one() {
    let server = Server::start(&["--access-log", "log"]);
    let forged = "GET /hello.txt?\\\u{e9} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
        User-Agent: a\" 200 \\ \tb\r\nReferer: caf\u{e9}\r\n\r\n";
    exchange(server.address, forged);
    exchange(server.address, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    let log = server.file("log", |text| text.lines().count() == 2);
    let line = log.lines().next().unwrap();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.contains(r#" +0000] "GET /hello.txt?\x5C\xC3\xA9 HTTP/1.1" 200 "#), "{line}");
    assert!(line.contains(r#" "caf\xC3\xA9" "a\x22 200 \x5C \x09b"#), "{line}");
    assert_eq!(line.matches('"').count(), 8, "{line}");
    for field in [" coding=", " cache=\"", " source=", " sent=", " first_byte=0.", " end=complete"]
    {
        assert!(line.contains(field), "{field} is not in {line}");
    }
    let refused = log.lines().nth(1).unwrap();
    assert!(refused.contains("\"GET / HTTP/1.1\" 400 "), "{refused}");
}

#[test]
fn access_log_marks_aborted_responses() {
    let server = Server::start(&["--access-log", "log"]);
    drop(server.stalled_download());
    let log = server.file("log", |text| text.ends_with('\n'));
    assert!(log.contains(" end=aborted"), "{log}");
    exchange(server.address, "HEAD /big.bin HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let log = server.file("log", |text| text.lines().count() == 2);
    assert!(log.lines().nth(1).unwrap().contains(" sent=0 "), "{log}");
    assert!(log.ends_with(" end=complete\n"), "{log}");
}

#[test]
fn sighup_reopens_the_access_log() {
    let server = Server::start(&["--access-log", "log"]);
    server.get("/first");
    server.file("log", |text| text.contains("/first"));
    fs::rename(server.dir.path().join("log"), server.dir.path().join("log.1")).unwrap();
    server.signal(Signal::HUP);
    server.file("log", str::is_empty);
    server.get("/second");
    server.file("log", |text| text.contains("/second"));
    assert!(!fs::read_to_string(server.dir.path().join("log.1")).unwrap().contains("/second"));
}

#[test]
fn metrics_have_the_names_that_others_rely_on() {
    let server = Server::start(&["--admin", "127.0.0.1:0"]);
    let admin = server.next_address("admin on http://");
    assert_eq!(status(&server.get("/hello.txt")), 200);
    let metrics = get(admin, "/metrics");
    assert_eq!(status(&metrics), 200);
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    let open_metrics = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n";
    let answer = exchange(admin, open_metrics);
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"));
    for counter in ["requests", "encodes", "encode_seconds", "source_bytes", "sent_bytes"] {
        let line = format!("# TYPE cachecompress_{counter}_total counter\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
        let line = format!("# TYPE cachecompress_{counter} counter\n");
        assert!(answer.contains(&line), "{line}{answer}");
    }
    assert!(metrics.contains("\ncachecompress_requests_total{outcome=\""), "{metrics}");
    for single in [
        "source_bytes_total",
        "sent_bytes_total",
        "entries",
        "entry_bytes",
        "evictions_total",
        "damaged_entries_total",
        "inflight",
        "queue_length",
    ] {
        let name = format!("cachecompress_{single} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        assert!(value.is_some_and(|value| value.parse::<u64>().is_ok()), "{name}: {metrics}");
    }
    assert!(answer.ends_with("# EOF\n"), "{answer}");
    assert_eq!(status(&get(admin, "/missing")), 404);
    let post = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&exchange(admin, post)), 405);
}

#[test]
fn clients_wait_for_their_turn_when_descriptors_are_few() {
    let dir = site();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$@\"", "sh", PROGRAM]);
    command.arg("serve").arg(dir.path().join("site")).args(["--listen", "127.0.0.1:0"]);
    command.arg("--cache-dir").arg(dir.path().join("cache"));
    let mut server = Server::run(command, dir);
    let crowd: Vec<_> = (0..100).map(|_| connect(server.address)).collect();
    assert!(server.child.try_wait().unwrap().is_none());
    drop(crowd);
    assert_eq!(status(&server.get("/hello.txt")), 200);
}
