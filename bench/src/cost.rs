//! What a server costs: the processor time and the memory of all its processes, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::Outcome;

/// The fields of `/proc/PID/stat` that count here.
#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    /// User and system time, also of children that are gone, in ticks.
    ticks: u64,
}

/// `pid` and all that descend from it.
pub(crate) fn tree(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that ended meanwhile has nothing to say.
        if let Some(stat) = stat(id) {
            children.entry(stat.parent).or_default().push(id);
        }
    }
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(id) = found.get(next) {
        found.extend(children.remove(id).unwrap_or_default());
        next += 1;
    }
    found
}

/// The processor time that `pid` and its descendants have used so far.
pub(crate) fn cpu(pid: u32) -> Duration {
    let ticks: u64 = tree(pid).into_iter().filter_map(stat).map(|stat| stat.ticks).sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Forgets how much memory was held at most until now.
pub(crate) fn reset_peak(pid: u32) -> Outcome<()> {
    for id in tree(pid) {
        fs::write(format!("/proc/{id}/clear_refs"), "5")
            .map_err(|error| format!("cannot reset the peak memory of {id}: {error}"))?;
    }
    Ok(())
}

/// The most bytes that `pid` and its descendants have had in memory, each by itself.
pub(crate) fn peak(pid: u32) -> u64 {
    let status = |id| fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    tree(pid).into_iter().filter_map(|id| peak_in(&status(id))).sum()
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 4 and 14 to 17; the second is the name, which may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let ticks = (11..=14).map(number).sum::<Option<u64>>()?;
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stat_behind_an_odd_name() {
        let text = "71 (a) b (c)) S 42 71 71 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 5 0 900 1 2 3";
        assert_eq!(parse_stat(text), Some(Stat { parent: 42, ticks: 127 }));
        assert_eq!(parse_stat("71 (short) S 42"), None);
    }

    #[test]
    fn reads_the_peak() {
        assert_eq!(peak_in("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(peak_in("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn a_child_belongs_to_the_tree() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(tree(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
