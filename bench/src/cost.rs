//! The processor time and the memory of a server: the sums over all its processes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use procfs::ProcResult;
use procfs::process::{ClearRefs, Process, Stat, all_processes};

/// The ids of `pid` and of all its descendants.
pub(crate) fn tree(pid: u32) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    // Processes that have just ended have no `stat`.
    let stats = all_processes().into_iter().flatten().flatten();
    for stat in stats.filter_map(|process| process.stat().ok()) {
        children.entry(stat.ppid).or_default().push(stat.pid);
    }
    let mut found: Vec<i32> = i32::try_from(pid).into_iter().collect();
    let mut next = 0;
    while let Some(id) = found.get(next) {
        found.extend(children.remove(id).unwrap_or_default());
        next += 1;
    }
    found
}

/// The processor time that `pid` and its descendants have used so far.
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = |id| Process::new(id)?.stat();
    let ticks: u64 = tree(pid).into_iter().filter_map(|id| stat(id).ok()).map(ticks).sum();
    Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64)
}

/// User and system time, also of children that have ended.
fn ticks(stat: Stat) -> u64 {
    let of_children = stat.cutime + stat.cstime;
    stat.utime + stat.stime + u64::try_from(of_children).unwrap_or_default()
}

/// Sets the peak memory of `pid` and its descendants to their current memory.
pub(crate) fn reset_peak(pid: u32) -> anyhow::Result<()> {
    for id in tree(pid) {
        let process = Process::new(id);
        process
            .and_then(|process| process.clear_refs(ClearRefs::PeakRSS))
            .with_context(|| format!("cannot reset the peak memory of {id}"))?;
    }
    Ok(())
}

/// The sum of the peak memory of `pid` and its descendants, in bytes.
pub(crate) fn peak(pid: u32) -> u64 {
    let kibibytes = |id| -> ProcResult<u64> { Ok(Process::new(id)?.status()?.vmhwm.unwrap_or(0)) };
    tree(pid).into_iter().filter_map(|id| kibibytes(id).ok()).sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_includes_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(tree(std::process::id()).contains(&i32::try_from(child.id()).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn cpu_and_peak_of_this_process_are_read() {
        let pid = std::process::id();
        let start = std::time::Instant::now();
        while cpu(pid) < Duration::from_millis(30) {
            assert!(start.elapsed() < Duration::from_secs(20), "no processor time is counted");
        }
        assert!(peak(pid) > 1 << 20);
        reset_peak(pid).unwrap();
    }
}
