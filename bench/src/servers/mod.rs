//! The measured servers, each with the configuration that one would run.

mod caddy;
mod h2o;
pub(crate) mod kind;
mod lighttpd;
mod nginx;
mod ours;
mod setup;
mod static_web_server;
mod tower_http;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};

use crate::machine::Cores;
use crate::programs::Programs;
use crate::{cost, machine};
use kind::Kind;
pub(crate) use setup::Identity;
use setup::Setup;

/// The time in which a server must listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// The time in which a server must end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The servers that are measured over TLS.
pub(crate) const SPEAK_TLS: [Kind; 3] = [Kind::Ours, Kind::Nginx, Kind::Caddy];

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    /// The port of HTTP/2, which may be the same.
    pub(crate) h2c_port: u16,
    /// The start of its program.
    pub(crate) started: Instant,
    child: Child,
}

impl Server {
    /// Starts a server, and waits until it listens. It keeps its own encodings in `cache`. With an
    /// `identity` its port speaks TLS.
    pub(crate) fn start(
        kind: Kind,
        programs: &Programs,
        site: &Path,
        run: &Path,
        cache: &Path,
        cores: Cores,
        identity: Option<&Identity>,
    ) -> anyhow::Result<Self> {
        let (port, second) = (free_port()?, free_port()?);
        let dir = run.join(kind.name().replace(' ', "-"));
        fs::create_dir_all(&dir)?;
        fs::create_dir_all(cache)?;
        let (program, cache) = (programs.path(kind), cache.to_owned());
        let setup = Setup { program, site, dir, cache, port, h2c_port: second, identity };
        let command = command(kind, &setup)?;
        // nginx has a port for HTTP/2 alone; the others tell the versions apart.
        let own_port = matches!(kind, Kind::Nginx | Kind::NginxGzip);
        let h2c_port = if own_port { second } else { port };
        let started = Instant::now();
        let child = cores
            .pin(&command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", kind.name()))?;
        let mut server = Self { kind, port, h2c_port, started, child };
        server.wait_until_listening()?;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn wait_until_listening(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once: {status}", self.name());
            }
            if start.elapsed() > START_TIMEOUT {
                bail!("{} does not listen on its port", self.name());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a program and its descendants, which have some seconds for it.
pub(crate) fn end(child: &mut Child) {
    let descendants = cost::tree(child.id());
    let start = Instant::now();
    for signal in [Signal::TERM, Signal::KILL] {
        for pid in descendants.iter().filter_map(|id| Pid::from_raw(*id)) {
            // A process that has ended needs no signal.
            let _ = kill_process(pid, signal);
        }
        while start.elapsed() < STOP_TIMEOUT {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let _ = child.wait();
}

/// Writes the server's configuration, and returns the command that starts it.
fn command(kind: Kind, setup: &Setup<'_>) -> anyhow::Result<Command> {
    match kind {
        Kind::Ours => Ok(ours::command(setup, &[])),
        Kind::OursSendfileAll => Ok(ours::command(setup, &["--sendfile", "all"])),
        Kind::OursRoomy => Ok(ours::command(setup, &["--cache-size", "16GB"])),
        Kind::Nginx | Kind::NginxGzip => nginx::command(setup, kind == Kind::NginxGzip),
        Kind::H2o => h2o::command(setup),
        Kind::Lighttpd => lighttpd::command(setup),
        Kind::Caddy | Kind::CaddyEncode => caddy::command(setup, kind == Kind::CaddyEncode),
        Kind::StaticWebServer => Ok(static_web_server::command(setup)),
        Kind::ServeDir => Ok(tower_http::command(setup, "precompressed")),
        Kind::CompressionLayer => Ok(tower_http::command(setup, "compress")),
    }
}

/// The version that the program of `kind` prints.
pub(crate) fn version(kind: Kind, programs: &Programs) -> String {
    let path = programs.path(kind).to_string_lossy();
    match kind {
        Kind::Ours | Kind::OursSendfileAll | Kind::OursRoomy | Kind::StaticWebServer => {
            machine::first_line_of(&path, &["--version"])
        }
        Kind::Nginx | Kind::NginxGzip | Kind::H2o | Kind::Lighttpd => {
            let line = machine::first_line_of(&path, &["-v"]);
            line.trim_start_matches("nginx version: ").to_owned()
        }
        Kind::Caddy | Kind::CaddyEncode => {
            let line = machine::first_line_of(&path, &["version"]);
            format!("Caddy {}", line.split(' ').next().unwrap_or_default())
        }
        Kind::ServeDir | Kind::CompressionLayer => tower_http::version(),
    }
}

/// A port on which nothing listens. If another program takes it first, the start fails.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}
