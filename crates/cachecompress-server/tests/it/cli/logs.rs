//! The access log and the log on stderr, whose readers may be slow, gone, or full disks.

#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use cachecompress_test::client::fetch;
use cachecompress_test::server::command;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::*;

/// A time less than the 10 s that the program gives running requests after a signal.
const AT_ONCE: Duration = Duration::from_secs(9);

/// The program with pipes that the test reads or not. It is killed when dropped.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    /// Starts `command`, whose stdout is read up to the address.
    fn start(mut command: Command, site: &Site, cache: &Path) -> Self {
        command.args(["--listen", "127.0.0.1:0", "--cache-dir"]).arg(cache).arg(site.path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::with_capacity(1, child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        child.stdout = Some(stdout.into_inner());
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { child, address }
    }

    fn serve(flags: &[&str]) -> Command {
        let mut serve = command(Path::new(PROGRAM));
        serve.arg("serve").args(flags);
        serve
    }

    /// Ends the program by SIGTERM.
    fn stop(&mut self) {
        let begun = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = eventually("the program's end", || self.child.try_wait().unwrap());
        assert!(status.success() && begun.elapsed() < AT_ONCE, "{status} {:?}", begun.elapsed());
    }

    /// Waits for the program's last words on stderr.
    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that is full.
fn full_pipe() -> (std::io::PipeReader, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    let writer = OwnedFd::from(writer);
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for piece in [4096, 1] {
        while rustix::io::write(&writer, &vec![b'\n'; piece]).is_ok() {}
    }
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// Any line of the log blocked the thread that wrote it, and a signal was never heard.
#[test]
fn full_stderr_delays_neither_answers_nor_the_end() {
    let source = site::text(1, 5000);
    let site = Site::with("app.js", &source);
    let cache = tempfile::tempdir().unwrap();
    let (_reader, writer) = full_pipe();
    let mut serve = Program::serve(&["--log-level", "debug", "--threads", "1"]);
    serve.args(PATIENT.split(' ')).stderr(writer);
    let mut program = Program::start(serve, &site, cache.path());
    for _ in 0..20 {
        // The end of this connection is told at debug.
        let mut bad = TcpStream::connect(program.address).unwrap();
        bad.write_all(b"no HTTP\r\n\r\n").unwrap();
        bad.read_to_end(&mut Vec::new()).unwrap();
        let request = Request::get("/app.js").accept("gzip");
        assert_is(&fetch(program.address, &request).unwrap(), &source, "gzip");
    }
    program.stop();
}

/// A failure at the start is told, if it can be, and else ends the program nevertheless.
#[test]
fn full_stderr_delays_no_failure_at_the_start() {
    let (_reader, writer) = full_pipe();
    let mut serve = Program::serve(&["/no/such/directory"]);
    let mut child = serve.stderr(writer).stdout(Stdio::null()).spawn().unwrap();
    let status = eventually("the program's end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
}

/// The most memory of the program so far, in KiB.
#[cfg(target_os = "linux")]
fn peak(program: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Sends `request`, which gets a 404, so many times on one connection.
fn ask_often(address: SocketAddr, request: &[u8], count: usize) {
    const STATUS: &[u8] = b"HTTP/1.1 404 ";
    let mut connection = TcpStream::connect(address).unwrap();
    let mut answers = connection.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut text, mut piece, mut seen) = (Vec::new(), [0; 1 << 16], 0);
            while seen < count {
                let read = answers.read(&mut piece).unwrap();
                assert_ne!(read, 0, "after {seen} answers");
                text.extend_from_slice(&piece[..read]);
                seen += text.windows(STATUS.len()).filter(|part| *part == STATUS).count();
                text.drain(..text.len().saturating_sub(STATUS.len() - 1));
            }
        });
        (0..count).for_each(|_| connection.write_all(request).unwrap());
    });
}

/// The queue was bounded in lines, which clients make long: it grew to 1 GB.
#[cfg(target_os = "linux")]
#[test]
fn access_log_that_nobody_reads_takes_bounded_memory() {
    let site = Site::with("app.js", &site::text(2, 300));
    let cache = tempfile::tempdir().unwrap();
    let mut serve = Program::serve(&["--threads", "1", "--access-log", "-"]);
    serve.stderr(Stdio::piped());
    let mut program = Program::start(serve, &site, cache.path());
    let junk = vec![0xff; 15_800];
    let request = b"GET /none HTTP/1.1\r\nHost: h\r\nUser-Agent: ".to_vec();
    let request = [&request, &junk[..], b"\r\nReferer: ", &junk, b"\r\n\r\n"].concat();
    ask_often(program.address, &request, 10);
    let before = peak(&program);
    ask_often(program.address, &request, 4000);
    let grown = peak(&program) - before;
    assert!(grown < 24 << 10, "{grown} KiB");

    // The lines that had room come whole, and the log on stderr has the number of the others.
    let stdout = BufReader::new(program.child.stdout.take().unwrap());
    let lines = std::thread::spawn(move || {
        let lines = stdout.lines().map_while(Result::ok);
        lines.filter(|line| !line.is_empty()).inspect(|line| assert!(is_whole(line))).count()
    });
    program.stop();
    let written = lines.join().unwrap();
    let told = program.stderr();
    let lost: usize =
        told.split("lines=").skip(1).map(|rest| digits(rest).parse::<usize>().unwrap()).sum();
    assert_eq!(written + lost, 4010, "{told}");
    assert!(written > 1000, "{written}");
}

fn digits(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_digit()).next().unwrap()
}

/// Whether a line of the access log has its beginning and its end.
fn is_whole(line: &str) -> bool {
    line.starts_with("127.0.0.1 - - [") && line.ends_with(" end=complete")
}

/// The start waited for a reader of the FIFO.
#[test]
fn fifo_without_a_reader_is_an_access_log() {
    let site = Site::with("app.js", &site::text(3, 300));
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let server = launch(&site).arg("--access-log").arg(&fifo).start();
    assert_eq!(server.get("/app.js", "gzip").status(), 200);
    // A reader that comes late gets what was written meanwhile.
    let mut lines = BufReader::new(fs::File::open(&fifo).unwrap()).lines();
    assert!(is_whole(&lines.next().unwrap().unwrap()));
}

/// A write beyond the limit ended the server by SIGXFSZ: one of the cache or of the access log.
#[cfg(target_os = "linux")]
#[test]
fn limit_of_a_files_size_ends_nothing() {
    let source = site::text(4, 200_000);
    let site = Site::with("app.js", &source);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let through = "prlimit --fsize=20000";
    let mut server = launch(&site).through(through).arg("--access-log").arg(&log).start();
    for coding in CODINGS {
        assert_is(&server.get("/app.js", coding), &source, "identity");
    }
    let request = b"GET /none HTTP/1.1\r\nHost: h\r\n\r\n";
    ask_often(server.address(), request, 500);
    let lost = || server.metric("cachecompress_lost_log_lines_total", &[("log", "access")]);
    eventually("lost lines", || (lost() > 0.0).then_some(()));
    assert_eq!(server.get("/app.js", "identity").status(), 200);
    let lines = || fs::read_to_string(&log).unwrap().matches('\n').count();
    let count = 500 + CODINGS.len() + 1;
    eventually("all lines", || (lines() + lost() as usize == count).then_some(()));
    assert_eq!(fs::metadata(&log).unwrap().len(), 20_000, "a line is torn there");
    assert!(server.stderr().contains("cannot write the access log"), "{}", server.stderr());
    assert!(server.stderr().contains("lines of the access log were lost"), "{}", server.stderr());
    // A new file has room again, and begins with a whole line.
    fs::rename(&log, directory.path().join("old")).unwrap();
    server.signal(Signal::HUP);
    eventually("the new log", || log.exists().then_some(()));
    let _ = server.get("/none", "identity");
    eventually("a line", || (lines() == 1).then_some(()));
    assert!(is_whole(fs::read_to_string(&log).unwrap().trim_end()));
    server.stop();
}

/// The signal ended the program unless the access log was a file.
#[test]
fn sighup_ends_no_server() {
    let source = site::text(5, 300);
    let site = Site::with("app.js", &source);
    for log in ["", "--access-log -"] {
        let mut server = launch(&site).args(log).args("--log-level info").start();
        server.signal(Signal::HUP);
        eventually("the reload", || server.stderr().contains("reloaded").then_some(()));
        assert_is(&server.get("/app.js", "gzip"), &source, "gzip");
        server.stop();
    }
}
