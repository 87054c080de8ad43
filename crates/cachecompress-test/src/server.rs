//! The program under test: its start, its requests, its end.

use crate::wait::read_once;
use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::{self, Protocol, Request, Response};
use crate::http2;
use crate::wait::{PATIENCE, eventually};

/// Physical memory, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The maximum so far.
    pub peak: u64,
    /// The present amount.
    pub now: u64,
}

/// The settings of a start of the program. Every setter consumes and returns them.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    /// Another program, with arguments, that becomes this one.
    through: Vec<OsString>,
    /// The directory; `None` if a configuration file names it.
    site: Option<PathBuf>,
    cache: Option<PathBuf>,
    listen: SocketAddr,
    /// The address of the admin listener; `None` for a new port.
    admin: Option<SocketAddr>,
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
}

/// A running server. It is killed when dropped, and its stderr shown if the test has failed.
pub struct Server {
    launch: Launch,
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    redirect: Option<SocketAddr>,
    stderr: Arc<Mutex<String>>,
    /// The directory to remove after the server's end. `None` if the test brought its own.
    own_cache: Option<Arc<TempDir>>,
}

impl Launch {
    /// Serves `site` with `program`. Each server gets a cache directory of its own.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, site: &Path) -> Self {
        Self {
            program: program.into(),
            through: Vec::new(),
            site: Some(site.into()),
            cache: None,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            admin: None,
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Serves by the configuration `file` with `program`.
    #[must_use]
    pub fn by_file(program: impl Into<PathBuf>, file: &Path) -> Self {
        Self { site: None, ..Self::new(program, Path::new("")) }.arg("--config").arg(file)
    }

    /// Uses this cache directory, which the test keeps.
    #[must_use]
    pub fn cache(mut self, directory: &Path) -> Self {
        self.cache = Some(directory.into());
        self
    }

    /// Listens at this address, in place of a new port on loopback.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Has the admin listener at this address, such as that of a server that has ended.
    #[must_use]
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// Starts the program through another one that takes a command line and becomes it, as
    /// `setpriv` does. White space separates the arguments of `command`.
    #[must_use]
    pub fn through(mut self, command: &str) -> Self {
        self.through = command.split_whitespace().map(OsString::from).collect();
        self
    }

    /// Adds arguments, separated by white space.
    #[must_use]
    pub fn args(mut self, arguments: &str) -> Self {
        self.arguments.extend(arguments.split_whitespace().map(OsString::from));
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable in the program's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Lets the program open no more files and sockets than this, as `ulimit -n` does.
    #[must_use]
    pub fn open_files(mut self, limit: u32) -> Self {
        let limited = format!("ulimit -n {limit}; exec \"$@\"");
        self.through = ["sh", "-c", &limited, "sh"].map(OsString::from).into();
        self
    }

    /// Starts the program, and waits until it has printed both of its addresses.
    ///
    /// # Panics
    ///
    /// If it prints none.
    #[must_use]
    pub fn start(self) -> Server {
        let own = self.cache.is_none();
        let own_cache =
            own.then(|| Arc::new(TempDir::with_prefix("cache-").expect("a temporary directory")));
        self.start_with(own_cache)
    }

    fn start_with(self, own_cache: Option<Arc<TempDir>>) -> Server {
        let cache = match (&self.cache, &own_cache) {
            (Some(cache), _) => cache.clone(),
            (None, Some(own)) => own.path().join("cache"),
            (None, None) => unreachable!("a cache directory is made where none is given"),
        };
        let admin =
            self.admin.map_or_else(|| "127.0.0.1:0".to_owned(), |address| address.to_string());
        let mut words =
            self.through.iter().map(OsString::as_os_str).chain([self.program.as_os_str()]);
        let first = words.next().expect("the program at least");
        let mut child = command(Path::new(first))
            .args(words)
            .arg("serve")
            .args(&self.site)
            .args(["--listen", &self.listen.to_string(), "--log-level", "warn", "--admin"])
            .arg(admin)
            .arg("--cache-dir")
            .arg(cache)
            .args(&self.arguments)
            // It would change tags and counts in a test that takes long. A test of it has the flag.
            .env("CACHECOMPRESS_RECOMPRESS", "off")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let stderr = collect(child.stderr.take().expect("a pipe was asked for"));
        let lines = lines(child.stdout.take().expect("a pipe was asked for"));
        match addresses(&lines) {
            Ok(Addresses { site: address, admin, redirect }) => {
                Server { launch: self, child, address, admin, redirect, stderr, own_cache }
            }
            Err(why) => {
                let _ = child.kill();
                let status = child.wait();
                let stderr = text_of(&stderr);
                panic!("the server did not start: {why}; {status:?}; stderr:\n{stderr}");
            }
        }
    }
}

/// Makes a command of the program, without settings from the outer environment.
#[must_use]
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CACHECOMPRESS_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program that must end by itself, and collects its output.
///
/// # Panics
///
/// If it does not end within [`PATIENCE`].
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A pipe that nobody reads is full after 64 KiB, and a program waits for room in it.
    let stdout = read_aside(child.stdout.take().expect("a pipe was asked for"));
    let stderr = read_aside(child.stderr.take().expect("a pipe was asked for"));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            let printed = (stdout.join(), stderr.join());
            panic!("{command:?} does not end: {printed:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let whole = |reader: JoinHandle<Vec<u8>>| reader.join().expect("the output");
    Output { status, stdout: whole(stdout), stderr: whole(stderr) }
}

/// Reads a pipe to its end on a thread of its own.
fn read_aside(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe");
        bytes
    })
}

/// The addresses that a server has printed.
struct Addresses {
    site: SocketAddr,
    admin: SocketAddr,
    redirect: Option<SocketAddr>,
}

fn addresses(lines: &Receiver<String>) -> Result<Addresses, String> {
    let end = Instant::now() + PATIENCE;
    let (mut site, mut redirect) = (None, None);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).map_err(|error| error.to_string())?;
        let Some((what, url)) = line.split_once(" http") else { continue };
        let address = url.trim_start_matches('s').trim_start_matches("://").parse().ok();
        match what {
            "listening on" => site = site.or(address),
            "redirecting from" => redirect = redirect.or(address),
            // The last line.
            "admin on" => {
                let (Some(site), Some(admin)) = (site, address) else { continue };
                return Ok(Addresses { site, admin, redirect });
            }
            _ => {}
        }
    }
}

fn lines(stdout: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The pipe is read on after the addresses are known, so that it does not fill up.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn collect(mut stderr: impl std::io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = read_once(&mut stderr, &mut piece) {
            let more = String::from_utf8_lossy(&piece[..count]).into_owned();
            into.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push_str(&more);
        }
    });
    text
}

fn text_of(text: &Mutex<String>) -> String {
    text.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

impl Server {
    /// The address of the site.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the admin listener.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The address of the first `--redirect-from`.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn redirect(&self) -> SocketAddr {
        self.redirect.expect("--redirect-from")
    }

    /// The program's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The cache directory.
    ///
    /// # Panics
    ///
    /// Never: there is always one.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        match (&self.launch.cache, &self.own_cache) {
            (Some(cache), _) => cache.clone(),
            (None, Some(own)) => own.path().join("cache"),
            (None, None) => unreachable!("a cache directory is made where none is given"),
        }
    }

    /// The program's stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        text_of(&self.stderr)
    }

    /// Sends a request over HTTP/1.1, on a connection of its own.
    ///
    /// # Panics
    ///
    /// If no whole head comes back.
    #[must_use]
    #[track_caller]
    pub fn fetch(&self, request: &Request) -> Response {
        self.fetch_over(Protocol::Http1, request)
    }

    /// Sends a request on a connection of its own.
    ///
    /// # Panics
    ///
    /// If no whole head comes back.
    #[must_use]
    #[track_caller]
    pub fn fetch_over(&self, protocol: Protocol, request: &Request) -> Response {
        let answer = match protocol {
            Protocol::Http1 => client::fetch(self.address, request),
            Protocol::Http2 => http2::fetch(self.address, request),
        };
        answer.unwrap_or_else(|error| panic!("{error}, {protocol:?}, {request:?}"))
    }

    /// Sends a GET with this Accept-Encoding.
    #[must_use]
    #[track_caller]
    pub fn get(&self, target: &str, accept_encoding: &str) -> Response {
        self.fetch(&Request::get(target).accept(accept_encoding))
    }

    /// Repeats a request until a stored representation answers it.
    ///
    /// # Panics
    ///
    /// If that takes more than [`PATIENCE`].
    #[track_caller]
    pub fn until_hit(&self, request: &Request) -> Response {
        let what = format!("a hit for {request:?}");
        eventually(&what, || Some(self.fetch(request)).filter(Response::is_hit))
    }

    /// The text of `/metrics`.
    ///
    /// # Panics
    ///
    /// If the admin listener does not answer with 200.
    #[must_use]
    #[track_caller]
    pub fn metrics(&self) -> String {
        let answer = client::fetch(self.admin, &Request::get("/metrics")).expect("metrics");
        assert_eq!(answer.status(), 200, "/metrics");
        String::from_utf8(answer.decoded()).expect("metrics are text")
    }

    /// The sum of a metric's samples that carry all of these labels, 0 if there are none.
    #[must_use]
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        sum(&self.metrics(), name, labels)
    }

    /// The number of encodes started so far, in all codings.
    #[must_use]
    #[track_caller]
    pub fn encodes(&self) -> u64 {
        self.metric("cachecompress_encodes_total", &[]) as u64
    }

    /// The number of entries in the cache.
    #[must_use]
    #[track_caller]
    pub fn entries(&self) -> u64 {
        self.metric("cachecompress_entries", &[]) as u64
    }

    /// Waits until no encode runs or waits.
    ///
    /// # Panics
    ///
    /// If that takes more than [`PATIENCE`].
    #[track_caller]
    pub fn until_idle(&self) {
        eventually("no encode runs or waits", || {
            let text = self.metrics();
            let busy = sum(&text, "cachecompress_inflight", &[])
                + sum(&text, "cachecompress_queue_length", &[]);
            (busy == 0.0).then_some(())
        });
    }

    /// The program's physical memory, in KiB (Linux).
    ///
    /// # Panics
    ///
    /// If the system does not tell.
    #[must_use]
    #[track_caller]
    pub fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("/proc");
        let figure = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let words = line.and_then(|line| line.split_whitespace().next());
            words.and_then(|number| number.parse().ok()).expect("a figure in /proc")
        };
        Memory { peak: figure("VmHWM:"), now: figure("VmRSS:") }
    }

    /// The number of files and sockets that the program has open (Linux).
    ///
    /// # Panics
    ///
    /// If the system does not tell.
    #[must_use]
    #[track_caller]
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).expect("/proc").count()
    }

    /// Sends a signal.
    ///
    /// # Panics
    ///
    /// If the program is gone.
    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        let id = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(id, signal).expect("the program runs");
    }

    /// Waits until the program ends.
    ///
    /// # Panics
    ///
    /// If that takes more than [`PATIENCE`].
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the program's end", || self.child.try_wait().expect("a child"))
    }

    /// Whether the program still runs.
    ///
    /// # Panics
    ///
    /// If the system does not know it.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Ends the program as an operator would, with SIGTERM, and asserts that it exits with 0.
    ///
    /// # Panics
    ///
    /// If it exits with another status.
    #[cfg(unix)]
    pub fn stop(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "after SIGTERM: {status}; stderr:\n{}", self.stderr());
    }

    /// Ends the program with no chance to clean up, as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the program again with the same settings and cache directory, after
    /// [`stop`](Self::stop) or [`kill`](Self::kill). Its ports are new ones.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.kill();
        let launch = self.launch.clone();
        let own_cache = self.own_cache.clone();
        drop(self);
        launch.start_with(own_cache)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the server's stderr:\n{}", self.stderr());
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Sums the samples of Prometheus text that have this name and carry all of these labels.
#[must_use]
pub fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let (sample_name, sample_labels) = sample.split_once('{').unwrap_or((sample, ""));
            let carried = labels
                .iter()
                .all(|(key, wanted)| sample_labels.contains(&format!("{key}=\"{wanted}\"")));
            (sample_name == name && carried).then(|| value.parse().ok()).flatten()
        })
        .fold(0.0, |sum, value: f64| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The completions for bash outgrew a pipe, and the tests of them waited for its end for two minutes.
    #[test]
    fn output_longer_than_a_pipe_is_read() {
        let mut command = Command::new("sh");
        let output = output(command.args(["-c", "head -c 200000 /dev/zero; echo no >&2; exit 3"]));
        assert_eq!(output.stdout, [0; 200_000]);
        assert_eq!((output.stderr.as_slice(), output.status.code()), (&b"no\n"[..], Some(3)));
    }

    #[test]
    fn sum_spans_labels_that_are_not_asked_for() {
        let text = "# TYPE a_total counter\na_total{coding=\"gzip\"} 2\n\
                    a_total{coding=\"br\"} 3\nb 4.5\nab_total 9\n# EOF\n";
        assert_eq!(sum(text, "a_total", &[]), 5.0);
        assert_eq!(sum(text, "a_total", &[("coding", "br")]), 3.0);
        assert_eq!(sum(text, "b", &[]), 4.5);
        assert_eq!(sum(text, "c", &[]), 0.0);
    }
}
