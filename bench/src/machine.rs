//! The machine that the figures are from, and who runs where.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// The core of the server under load.
pub(crate) const SERVER_CORE: usize = 0;

/// Which cores a program may have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cores {
    /// The server's.
    One,
    All,
}

impl Cores {
    /// `command`, on these cores from its first instruction on.
    pub(crate) fn of(self, command: &Command) -> Command {
        let list = match self {
            Self::One => SERVER_CORE.to_string(),
            Self::All => {
                let online = fs::read_to_string("/sys/devices/system/cpu/online");
                online.map_or_else(|_| SERVER_CORE.to_string(), |list| list.trim().to_owned())
            }
        };
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", &list]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        pinned
    }
}

/// What stands at the head of the page.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory: String,
    pub(crate) kernel: String,
    pub(crate) system: String,
    pub(crate) compiler: String,
    /// The day of the measurement.
    pub(crate) day: String,
    /// What git says is measured.
    pub(crate) revision: String,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
        let congestion = congestion.unwrap_or_default().trim().to_owned();
        let value = |text: &str, name: &str, separator: char| {
            let lines = text.lines().filter_map(|line| line.split_once(separator));
            let found = lines.into_iter().find(|(key, _)| key.trim() == name);
            found.map(|(_, value)| value.trim().trim_matches('"').to_owned()).unwrap_or_default()
        };
        let kibibytes = value(&memory, "MemTotal", ':').trim_end_matches(" kB").parse::<f64>();
        Self {
            processor: value(&cpuinfo, "model name", ':'),
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            memory: format!("{:.0} GiB", kibibytes.unwrap_or_default() / (1 << 20) as f64),
            kernel: format!("{}, TCP with {congestion}", said_by("uname", &["-sr"])),
            system: value(&release, "PRETTY_NAME", '='),
            compiler: said_by("rustc", &["--version"]),
            day: said_by("date", &["-u", "+%Y-%m-%d"]),
            revision: said_by("git", &["describe", "--always", "--dirty", "--abbrev=10"]),
        }
    }
}

/// The first line that a program prints, on either stream.
pub(crate) fn said_by(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

/// Moves this program and the load that it starts to the last core, and lifts its limit of open
/// files, which everything that it starts inherits.
pub(crate) fn prepare() -> Outcome<()> {
    let cores =
        sched_getaffinity(None).map_err(|error| format!("which cores are there? {error}"))?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|core| cores.is_set(*core)).unwrap_or_default();
    if last == SERVER_CORE || !cores.is_set(SERVER_CORE) {
        return Err("two cores are needed, one for the server and one for the load".into());
    }
    let mut own = CpuSet::new();
    own.set(last);
    sched_setaffinity(None, &own)
        .map_err(|error| format!("cannot move to core {last}: {error}"))?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .map_err(|error| format!("cannot lift the limit of open files: {error}"))
}
