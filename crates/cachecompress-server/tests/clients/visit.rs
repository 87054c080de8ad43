//! A client's visit to a server, in every state of the cache that the client may meet.
#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::AtomicU64;
use std::thread;

use crate::common::*;

/// The state of a server's cache when a client comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody has asked for anything.
    Cold,
    /// The same client was here before.
    Again,
    /// Every file has been fetched in every coding.
    Coded,
    /// Another client fetches every file in every coding, at the same time and over and over.
    Meanwhile,
}

/// A client's place of work, and the server that it asks.
pub(crate) struct Visit<'a> {
    pub(crate) state: State,
    pub(crate) site: &'a Site,
    server: &'a Server,
    log: &'a Path,
    home: tempfile::TempDir,
}

/// Calls `client` in every state.
pub(crate) fn in_every_state(site: &Site, client: impl Fn(&Visit<'_>)) {
    let logs = tempfile::tempdir().unwrap();
    let start = |log: &Path| Launch::new(PROGRAM, site.path()).arg("--access-log").arg(log).start();
    let log = logs.path().join("first");
    let server = start(&log);
    client(&Visit::new(State::Cold, site, &server, &log));
    client(&Visit::new(State::Again, site, &server, &log));
    fetch_in_every_coding(&server, site);
    client(&Visit::new(State::Coded, site, &server, &log));
    drop(server);

    let log = logs.path().join("second");
    let server = start(&log);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                each_coding(&server, site, |_, _| !ended.load(Ordering::Relaxed));
            }
        });
        let _stop = Stop(&ended);
        client(&Visit::new(State::Meanwhile, site, &server, &log));
    });
}

/// Fetches every file in every coding, and asserts that each is right.
fn fetch_in_every_coding(server: &Server, site: &Site) {
    each_coding(server, site, |path, response| {
        assert_eq!(response.status(), 200, "{}: {:?}", path.display(), response.head);
        assert!(response.decoded() == fs::read(path).unwrap(), "{}", path.display());
        true
    });
    server.until_idle();
}

fn each_coding(server: &Server, site: &Site, mut each: impl FnMut(&Path, Response) -> bool) {
    for path in site::files_below(site.path()) {
        for coding in CODINGS.into_iter().chain(["identity"]) {
            let target = target(site, &path);
            if !each(&path, server.get(&target, coding)) {
                return;
            }
        }
    }
}

/// The request target of a file of the site.
fn target(site: &Site, path: &Path) -> String {
    let relative = path.strip_prefix(site.path()).unwrap();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let encode = |byte: u8| match byte {
        byte if is_plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    format!("/{}", relative.to_str().unwrap().bytes().map(encode).collect::<String>())
}

impl<'a> Visit<'a> {
    fn new(state: State, site: &'a Site, server: &'a Server, log: &'a Path) -> Self {
        let home = tempfile::TempDir::with_prefix("client-").unwrap();
        Self { state, site, server, log, home }
    }

    /// Asserts, by the access log, that the client asked for a range of a target that contains `name`,
    /// as otherwise it tried less than its test is about. Nobody else asks for ranges.
    #[track_caller]
    pub(crate) fn assert_asked_for_ranges(&self, name: &str) {
        let begun = Instant::now();
        loop {
            let log = fs::read_to_string(self.log).unwrap();
            let of_name: Vec<&str> = log.lines().filter(|line| line.contains(name)).collect();
            if of_name.iter().any(|line| line.contains("\" 206 ")) {
                return;
            }
            let by_others = |line: &&&str| !line.contains("\"-\" \"-\"");
            let asked: Vec<_> = of_name.iter().filter(by_others).collect();
            assert!(begun.elapsed() < PATIENCE, "{:?}: no 206 of {name}: {asked:#?}", self.state);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The URL of a path that begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// A path in the client's home, which is also its working directory. It is new for each visit.
    pub(crate) fn home(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    /// Writes a file in the client's home, and the directories above it.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        write(&self.home(path), bytes);
    }

    /// Runs a client, and asserts that it succeeds.
    #[track_caller]
    pub(crate) fn run(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Output {
        self.run_command(command(program, self.home.path()).args(arguments))
    }

    /// Runs a client that [`Visit::command`] made, and asserts that it succeeds.
    #[track_caller]
    pub(crate) fn run_command(&self, command: &mut Command) -> Output {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(output.status.success(), "{:?}: {command:?}\n{}", self.state, text(&output));
        output
    }

    /// A client's command in its home, with no setting from outside.
    pub(crate) fn command(&self, program: &Path) -> Command {
        command(program, self.home.path())
    }

    /// Asserts that a file in the client's home has the bytes of a file of the site.
    #[track_caller]
    pub(crate) fn assert_same(&self, path: &str, of: &str) {
        self.assert_bytes(path, &fs::read(self.site.file(of)).unwrap());
    }

    /// Asserts that a file in the client's home has these bytes.
    #[track_caller]
    pub(crate) fn assert_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.home(path);
        let found = fs::read(&path)
            .unwrap_or_else(|error| panic!("{:?}: {}: {error}", self.state, path.display()));
        if found != bytes {
            let equal = found.iter().zip(bytes).take_while(|(one, other)| one == other).count();
            let (path, lengths) = (path.display(), [found.len(), bytes.len()]);
            panic!("{:?}: {path}: lengths {lengths:?}, equal up to byte {equal}", self.state);
        }
    }

    /// Waits until the server has seen every change of the site: it looks at a file once in
    /// `--revalidate`.
    pub(crate) fn until_current(&self) {
        for path in site::files_below(self.site.path()) {
            let bytes = fs::read(&path).unwrap();
            let request = Request::get(&target(self.site, &path)).accept("identity");
            eventually(&format!("the present bytes of {}", path.display()), || {
                (self.server.fetch(&request).body == bytes).then_some(())
            });
        }
    }

    /// Waits until the server tells the time of a file. A new file with the old bytes is told from the
    /// old one by nothing else.
    pub(crate) fn until_dated(&self, name: &str) {
        let request = Request::get(&target(self.site, &self.site.file(name))).method("HEAD");
        let date = httpdate::fmt_http_date(self.site.modified(name));
        eventually(&format!("the date of {name}"), || {
            let told = self.server.fetch(&request);
            (told.header("last-modified") == Some(&*date)).then_some(())
        });
    }
}

/// Runs a program that makes a part of a site, in `directory`, and asserts that it succeeds.
#[track_caller]
pub(crate) fn make(
    program: &Path,
    arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    directory: &Path,
) -> Output {
    let mut command = command(program, directory);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", text(&output));
    output
}

/// A command in `directory`, with no setting from outside but the search path. A program that does
/// not end by itself is ended.
fn command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg(program);
    command.env_clear().env("HOME", directory).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// Writes a file and the directories above it.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Puts a file into the site, whole and with its time, as deployments do: a rename takes the name
/// over. The times lie long ago, and each is later than the last one: clients that know no entity
/// tags see a change by it.
pub(crate) fn put(site: &Site, name: &str, bytes: impl AsRef<[u8]>) {
    static MINUTES: AtomicU64 = AtomicU64::new(20_000 * 24 * 60);
    let beside = site.file(&format!("{name}.new~"));
    write(&beside, bytes);
    let time =
        SystemTime::UNIX_EPOCH + Duration::from_secs(60 * MINUTES.fetch_add(1, Ordering::Relaxed));
    fs::File::options().write(true).open(&beside).unwrap().set_modified(time).unwrap();
    fs::rename(beside, site.file(name)).unwrap();
}

/// Makes a site of these files.
pub(crate) fn site_of(files: &[(&str, &[u8])]) -> Site {
    let site = Site::new();
    for (name, bytes) in files {
        put(&site, name, bytes);
    }
    site
}

/// A program's output, to read.
pub(crate) fn text(output: &Output) -> String {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{stdout}{stderr}")
}

/// A digest as indexes of packages have it.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    decode::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
