//! The machine of a measurement, and the cores of each program.

use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use procfs::{CpuInfo, Current as _, Meminfo};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

/// The core of the server under load.
pub(crate) const SERVER_CORE: usize = 0;

/// The cores that a program may use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cores {
    /// The core of the server under load.
    One,
    All,
}

impl Cores {
    /// `command`, pinned to these cores from its first instruction on.
    pub(crate) fn pin(self, command: &Command) -> Command {
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

/// The description of a machine at the head of the page.
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
    /// The measured revision, as git describes it.
    pub(crate) revision: String,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn here() -> Self {
        let processors = CpuInfo::current().ok();
        let processor = processors.as_ref().and_then(|cpus| cpus.model_name(0));
        let memory = Meminfo::current().map_or(0, |memory| memory.mem_total);
        let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
        let congestion = congestion.unwrap_or_default().trim().to_owned();
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Self {
            processor: processor.unwrap_or_default().to_owned(),
            cores: processors.as_ref().map_or(0, CpuInfo::num_cores),
            memory: format!("{:.0} GiB", memory as f64 / (1 << 30) as f64),
            kernel: format!("{}, TCP with {congestion}", first_line_of("uname", &["-sr"])),
            system: system.unwrap_or_default().trim_matches('"').to_owned(),
            compiler: first_line_of("rustc", &["--version"]),
            day: first_line_of("date", &["-u", "+%Y-%m-%d"]),
            revision: first_line_of("git", &["describe", "--always", "--dirty", "--abbrev=10"]),
        }
    }
}

/// The first line that a program prints, on either stream; empty if it does not run.
pub(crate) fn first_line_of(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

/// Moves this program to the last core, and raises its limit of open files. All programs that it
/// starts inherit both.
pub(crate) fn prepare() -> anyhow::Result<()> {
    let cores = sched_getaffinity(None).context("cannot list the cores")?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|core| cores.is_set(*core)).unwrap_or_default();
    ensure!(
        last != SERVER_CORE && cores.is_set(SERVER_CORE),
        "two cores are needed, one for the server and one for the load"
    );
    let mut own = CpuSet::new();
    own.set(last);
    sched_setaffinity(None, &own).with_context(|| format!("cannot move to core {last}"))?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("cannot raise the limit of open files")
}
