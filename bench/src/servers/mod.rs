//! The servers that are held against each other, each with the configuration that one would run.

mod caddy;
mod h2o;
mod lighttpd;
mod nginx;
mod ours;
mod static_web_server;
mod tower_http;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::machine::Cores;
use crate::programs::Programs;
use crate::{Outcome, cost, machine, places};

/// A server in one of its configurations.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// As it comes.
    Ours,
    /// With `--sendfile all`: also what is not encoded goes out by sendfile.
    OursSendfileAll,
    /// With a cache that is large enough for what comes of 2 GB.
    OursRoomy,
    /// `gzip_static`.
    Nginx,
    /// `file.send-compressed`.
    H2o,
    /// `deflate.cache-dir`.
    Lighttpd,
    /// `precompressed`.
    Caddy,
    /// `--compression-static`.
    StaticWebServer,
    /// `ServeDir` with `precompressed_gzip`.
    ServeDir,
    /// `gzip on`: compresses every answer.
    NginxGzip,
    /// `encode`: compresses every answer.
    CaddyEncode,
    /// `CompressionLayer` over `ServeDir`: compresses every answer.
    CompressionLayer,
}

/// All that serve what was compressed before.
pub(crate) const PRECOMPRESSED: [Kind; 7] = [
    Kind::Ours,
    Kind::Nginx,
    Kind::H2o,
    Kind::Lighttpd,
    Kind::Caddy,
    Kind::StaticWebServer,
    Kind::ServeDir,
];

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(10);
/// How long a server may take to end.
const END: Duration = Duration::from_secs(5);

impl Kind {
    /// Its name in tables and plots.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "cachecompress",
            Self::OursSendfileAll => "cachecompress --sendfile all",
            Self::OursRoomy => "cachecompress --cache-size 16GB",
            Self::Nginx => "nginx",
            Self::H2o => "h2o",
            Self::Lighttpd => "lighttpd",
            Self::Caddy => "Caddy",
            Self::StaticWebServer => "static-web-server",
            Self::ServeDir => "tower-http ServeDir",
            Self::NginxGzip => "nginx gzip on",
            Self::CaddyEncode => "Caddy encode",
            Self::CompressionLayer => "tower-http CompressionLayer",
        }
    }

    /// Codings that it compresses to by itself.
    pub(crate) fn encodes(self) -> &'static [&'static str] {
        match self {
            Self::Ours
            | Self::OursSendfileAll
            | Self::OursRoomy
            | Self::CaddyEncode
            | Self::CompressionLayer => &["gzip", "zstd"],
            Self::NginxGzip | Self::Lighttpd => &["gzip"],
            Self::Nginx | Self::H2o | Self::Caddy | Self::StaticWebServer | Self::ServeDir => &[],
        }
    }

    fn command(self, setup: &Setup<'_>) -> Outcome<Command> {
        match self {
            Self::Ours => ours::command(setup, &[]),
            Self::OursSendfileAll => ours::command(setup, &["--sendfile", "all"]),
            Self::OursRoomy => ours::command(setup, &["--cache-size", "16GB"]),
            Self::Nginx | Self::NginxGzip => nginx::command(setup, self == Self::NginxGzip),
            Self::H2o => h2o::command(setup),
            Self::Lighttpd => lighttpd::command(setup),
            Self::Caddy | Self::CaddyEncode => caddy::command(setup, self == Self::CaddyEncode),
            Self::StaticWebServer => static_web_server::command(setup),
            Self::ServeDir => tower_http::command(setup, "precompressed"),
            Self::CompressionLayer => tower_http::command(setup, "compress"),
        }
    }

    /// The program that it is, and how that prints its version.
    pub(crate) fn version(self, programs: &Programs) -> String {
        let path = programs.path(self).to_string_lossy();
        match self {
            Self::Ours | Self::OursSendfileAll | Self::OursRoomy => {
                machine::said_by(&path, &["--version"])
            }
            Self::Nginx | Self::NginxGzip | Self::H2o | Self::Lighttpd => {
                let line = machine::said_by(&path, &["-v"]);
                line.trim_start_matches("nginx version: ").to_owned()
            }
            Self::Caddy | Self::CaddyEncode => {
                let line = machine::said_by(&path, &["version"]);
                format!("Caddy {}", line.split(' ').next().unwrap_or_default())
            }
            Self::StaticWebServer => machine::said_by(&path, &["--version"]),
            Self::ServeDir | Self::CompressionLayer => tower_http::version(),
        }
    }
}

/// What a server is started with.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) program: &'a Path,
    pub(crate) site: &'a Path,
    /// For its configuration, logs and process number.
    pub(crate) dir: PathBuf,
    /// For what it compresses, if it keeps that.
    pub(crate) cache: PathBuf,
    pub(crate) port: u16,
    /// A second port, for HTTP/2 where that cannot share the first.
    pub(crate) h2c_port: u16,
}

/// A server that runs, mostly alone on its core.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    /// The port of HTTP/2, which may be the same.
    pub(crate) h2c_port: u16,
    /// From the start of its program until it listened.
    pub(crate) started: Instant,
    child: Child,
}

impl Server {
    /// Starts a server, and waits until it listens. `cache` is where it keeps what it compresses.
    pub(crate) fn start(
        kind: Kind,
        programs: &Programs,
        site: &Path,
        run: &Path,
        cache: &Path,
        cores: Cores,
    ) -> Outcome<Self> {
        let (port, second) = (free_port()?, free_port()?);
        let dir = run.join(kind.name().replace(' ', "-"));
        places::create_dir(&dir)?;
        places::create_dir(cache)?;
        let (program, cache) = (programs.path(kind), cache.to_owned());
        let setup = Setup { program, site, dir, cache, port, h2c_port: second };
        let command = kind.command(&setup)?;
        // nginx listens for HTTP/2 alone on its second port; the others tell the versions apart.
        let own_port = matches!(kind, Kind::Nginx | Kind::NginxGzip);
        let h2c_port = if own_port { second } else { port };
        let started = Instant::now();
        let child = cores
            .of(&command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", kind.name()))?;
        let mut server = Self { kind, port, h2c_port, started, child };
        server.wait_until_it_listens()?;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn wait_until_it_listens(&mut self) -> Outcome<()> {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if let Some(status) = ended {
                return Err(format!("{} ended at once: {status}", self.name()));
            }
            if start.elapsed() > START {
                return Err(format!("{} does not listen on its port", self.name()));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let descendants = cost::tree(self.pid());
        let start = Instant::now();
        for signal in [Signal::TERM, Signal::KILL] {
            for id in &descendants {
                // What has ended already needs no signal.
                if let Some(pid) = i32::try_from(*id).ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, signal);
                }
            }
            while start.elapsed() < END {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on; somebody may, before it is used, and then the start fails.
fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// The user that servers change to when root starts them: root, as the site is wherever this is.
fn user() -> &'static str {
    if rustix::process::geteuid().is_root() { "root" } else { "" }
}
