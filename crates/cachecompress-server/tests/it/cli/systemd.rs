//! Sockets that systemd passes on, what it is told, and a restart that no client notices.

#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use cachecompress_test::client::fetch;
use cachecompress_test::server::{command, output};
use cachecompress_test::tools::require;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::*;

/// A service, with what a service manager gives it.
struct Service {
    site: Site,
    directory: tempfile::TempDir,
}

/// The program as a service. It is killed when dropped.
struct Program {
    child: Child,
    stdout: Receiver<String>,
}

impl Service {
    fn new(source: &[u8]) -> Self {
        Self { site: Site::with("a.txt", source), directory: tempfile::tempdir().unwrap() }
    }

    /// The program with `sockets` as its descriptors 3 and 4, as `sd_listen_fds(3)` has it.
    fn serve(&self, sockets: Vec<OwnedFd>, names: &str) -> Command {
        let pass = match sockets.len() {
            0 => "exec \"$@\"",
            1 => "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 </dev/null",
            _ => "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\" 3<&0 4<&2 </dev/null 2>/dev/null",
        };
        let mut serve = command(Path::new("sh"));
        serve.args(["-c", pass, "sh", PROGRAM, "serve"]).arg(self.site.path());
        serve.arg("--cache-dir").arg(self.directory.path().join("cache"));
        serve.args(PATIENT.split(' ')).env("LISTEN_FDNAMES", names);
        let mut sockets = sockets.into_iter();
        serve.stdin(sockets.next().map_or_else(Stdio::null, Stdio::from));
        if let Some(second) = sockets.next() {
            serve.stderr(second);
        }
        serve
    }
}

impl Program {
    fn start(serve: &mut Command) -> Self {
        let mut child = serve.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, stdout) = channel();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| drop(send.send(line)));
        });
        Self { child, stdout }
    }

    fn line(&self) -> String {
        self.stdout.recv_timeout(PATIENCE).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end, which must be a success.
    fn end(&mut self) {
        let status = eventually("the program's end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tcp() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn copy(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().unwrap().into()
}

#[test]
fn passed_sockets_are_served_instead_of_the_default() {
    let source = site::text(90, 5000);
    let service = Service::new(&source);
    let ((site, address), (admin, admin_address)) = (tcp(), tcp());
    let mut serve = service.serve(vec![copy(&site), copy(&admin)], "web:admin");
    let mut program = Program::start(&mut serve);
    assert_eq!(program.line(), format!("listening on http://{address}"));
    assert_eq!(program.line(), format!("admin on http://{admin_address}"));
    for _ in 0..20 {
        assert_is(
            &fetch(address, &Request::get("/a.txt").accept("gzip")).unwrap(),
            &source,
            "gzip",
        );
    }
    assert_eq!(fetch(admin_address, &Request::get("/readyz")).unwrap().status(), 200);
    program.signal(Signal::TERM);
    program.end();
}

#[test]
fn passed_unix_socket_stays_when_the_program_ends() {
    let service = Service::new(b"x");
    let path = service.directory.path().join("site.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let mut serve = service.serve(vec![socket.into()], "");
    // An address that is given by name is served beside it.
    let mut program = Program::start(serve.args(["--listen", "127.0.0.1:0"]));
    assert_eq!(program.line(), format!("listening on unix:{}", path.display()));
    let line = program.line();
    let address = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
    assert_eq!(fetch(address, &Request::get("/a.txt")).unwrap().status(), 200);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nx"), "{answer}");
    program.signal(Signal::TERM);
    program.end();
    assert!(path.exists(), "it is the service manager's");
}

#[test]
fn descriptor_that_does_not_listen_is_refused_in_one_sentence() {
    let service = Service::new(b"x");
    let (client, _server) = UnixStream::pair().unwrap();
    let (datagrams, _other) = UnixDatagram::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    for given in [client.into(), datagrams.into(), OwnedFd::from(file)] {
        let output = output(&mut service.serve(vec![given], "web"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.lines().count() == 1 && said.contains("socket 1 of LISTEN_FDS (`web`)"),
            "{said}"
        );
        assert!(output.stdout.is_empty(), "nothing was announced");
    }
}

#[test]
fn socket_for_redirects_needs_https() {
    let service = Service::new(b"x");
    let (listener, _) = tcp();
    let output = output(&mut service.serve(vec![copy(&listener)], "redirect-from"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`redirect-from`") && said.contains("--tls-cert"), "{said}");
}

/// Descriptors are for the process that is named beside them.
#[test]
fn sockets_of_another_program_are_none_of_ours() {
    let service = Service::new(b"x");
    let mut serve = service.serve(Vec::new(), "");
    serve.env("LISTEN_PID", "1").env("LISTEN_FDS", "1").args(["--listen", "127.0.0.1:0"]);
    let program = Program::start(&mut serve);
    assert!(program.line().starts_with("listening on http://127.0.0.1:"));
}

/// A service manager's end of `NOTIFY_SOCKET`.
struct Notified(UnixDatagram);

impl Notified {
    fn new(service: &Service) -> (Self, PathBuf) {
        let path = service.directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        (Self(socket), path)
    }

    fn next(&self) -> String {
        let mut message = [0; 512];
        let length = self.0.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}

#[test]
fn supervisor_is_told_of_start_reload_and_end() {
    let service = Service::new(b"x");
    let (notified, path) = Notified::new(&service);
    let (listener, address) = tcp();
    let log = service.directory.path().join("log");
    let mut serve = service.serve(vec![copy(&listener)], "");
    let mut program =
        Program::start(serve.env("NOTIFY_SOCKET", &path).arg("--access-log").arg(&log));
    assert_eq!(notified.next(), "READY=1\n");
    // A request right after the message is answered.
    assert_eq!(fetch(address, &Request::get("/a.txt")).unwrap().status(), 200);
    fs::rename(&log, service.directory.path().join("log.1")).unwrap();
    program.signal(Signal::HUP);
    let message = notified.next();
    let micros = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(micros.trim_end().parse::<u64>().is_ok(), "{message}");
    assert_eq!(notified.next(), "READY=1\n");
    program.signal(Signal::TERM);
    assert_eq!(notified.next(), "STOPPING=1\n");
    program.end();
}

#[test]
fn watchdog_hears_of_a_program_that_answers() {
    let service = Service::new(b"x");
    let (notified, path) = Notified::new(&service);
    let (listener, _) = tcp();
    let mut serve = service.serve(vec![copy(&listener)], "");
    serve.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let program = Program::start(&mut serve);
    assert_eq!(notified.next(), "READY=1\n");
    for _ in 0..5 {
        assert_eq!(notified.next(), "WATCHDOG=1\n");
    }
    // A program that stands still tells nothing.
    program.signal(Signal::STOP);
    notified.0.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
    let mut rest = [0; 64];
    while notified.0.recv(&mut rest).is_ok() {}
    program.signal(Signal::CONT);
    notified.0.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(notified.next(), "WATCHDOG=1\n");
}

/// Asks again and again, on a new connection each time or on one that is kept. Returns the number of
/// answers.
fn keep_asking(address: SocketAddr, source: &[u8], kept: bool, ended: &AtomicBool) -> usize {
    let request = Request::get("/a.txt").accept("gzip");
    let request = if kept { request } else { request.header("connection", "close") };
    let (mut count, mut connection) = (0, None);
    while !ended.load(Ordering::Relaxed) {
        let mut open = connection.take().unwrap_or_else(|| Connection::open(address).unwrap());
        open.send(&request).unwrap();
        let response = open.receive("GET").unwrap();
        assert_is(&response, source, "gzip");
        let closes = response.header("connection").is_some_and(|value| value == "close");
        connection = (kept && !closes).then_some(open);
        count += 1;
    }
    count
}

/// The old program leaves what it has not accepted to the new one.
#[test]
fn restart_on_passed_sockets_loses_no_request() {
    let source = site::text(91, 20_000);
    let service = Service::new(&source);
    let (listener, address) = tcp();
    let start = || {
        let program = Program::start(&mut service.serve(vec![copy(&listener)], ""));
        assert_eq!(program.line(), format!("listening on http://{address}"));
        program
    };
    let mut program = start();
    assert_is(&fetch(address, &Request::get("/a.txt").accept("gzip")).unwrap(), &source, "gzip");
    let ended = AtomicBool::new(false);
    let counts = std::thread::scope(|scope| {
        let stop = Stop(&ended);
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let (source, ended) = (&source, &ended);
                scope.spawn(move || keep_asking(address, source, number % 2 == 0, ended))
            })
            .collect();
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(200));
            program.signal(Signal::TERM);
            let next = start();
            program.end();
            program = next;
        }
        drop(stop);
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(counts.iter().all(|count| *count > 4), "{counts:?}");
}

/// The queue of a listener is the service manager's: nobody is refused while no program runs.
#[test]
fn clients_wait_while_no_program_runs() {
    let source = site::text(92, 5000);
    let service = Service::new(&source);
    let (listener, address) = tcp();
    let mut program = Program::start(&mut service.serve(vec![copy(&listener)], ""));
    program.line();
    program.signal(Signal::TERM);
    program.end();
    let mut early: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    for stream in &mut early {
        stream.write_all(b"GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    }
    let _program = Program::start(&mut service.serve(vec![copy(&listener)], ""));
    for mut stream in early {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(&source));
    }
}

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd").join(name)
}

#[test]
fn units_are_valid() {
    let Some(analyze) = require("systemd-analyze") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for name in ["cachecompress.service", "cachecompress.socket", "cachecompress-admin.socket"] {
        let path = directory.path().join(name);
        // The program must be there.
        let text = fs::read_to_string(unit(name)).unwrap();
        fs::write(&path, text.replace("/usr/bin/cachecompress", PROGRAM)).unwrap();
        units.push(path);
    }
    let mut verify = Command::new(analyze);
    verify.args(["verify", "--recursive-errors=no", "--man=no"]).args(&units);
    let output = output(&mut verify);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// `systemd-analyze security` finds an exposure of 1.5, of which 0 is none and 10 all.
#[test]
fn service_is_little_exposed() {
    let Some(analyze) = require("systemd-analyze") else { return };
    let mut security = Command::new(analyze);
    security.args(["security", "--offline=true", "--no-pager", "--threshold=20"]);
    let output = output(security.arg(unit("cachecompress.service")));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
