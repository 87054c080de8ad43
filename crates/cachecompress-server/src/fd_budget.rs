//! The budget of file descriptors: how many the process may open, and who gets how many of them.

use crate::limits;

/// The shares of the process's descriptors. Together they never exceed the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FdBudget {
    /// Connections to the site.
    pub(crate) connections: usize,
    /// Requests under way, each of which may hold a file open.
    pub(crate) requests: usize,
    /// Entries of the cache that are kept open.
    pub(crate) entries: usize,
    /// Connections to the admin listener.
    pub(crate) admin: usize,
}

impl FdBudget {
    /// Raises the process's limit and divides it, for a process with so many `workers`.
    ///
    /// `connections` and `requests` are the operator's wish. They get no more than their share, and
    /// a warning says so.
    pub(crate) fn new(workers: usize, connections: Option<usize>, requests: Option<usize>) -> Self {
        Self::of(raise_limit(), workers, connections, requests)
    }

    fn of(
        limit: Option<u64>,
        workers: usize,
        connections: Option<usize>,
        requests: Option<usize>,
    ) -> Self {
        let all = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let spare = all.saturating_sub(reserved(workers));
        let share = |part: usize, most: usize| (spare / part).clamp(1, most);
        let wanted = |flag: &str, wanted: Option<usize>, part: usize, default: usize| {
            let given = share(part, wanted.unwrap_or(default));
            if wanted.is_some_and(|wanted| wanted > given) {
                tracing::warn!("{flag} is {given}: more open files are not allowed (ulimit -n)");
            }
            given
        };
        Self {
            connections: wanted(
                "--max-connections",
                connections,
                limits::CONNECTIONS_SHARE,
                limits::CONNECTIONS,
            ),
            requests: wanted(
                "--max-open-files",
                requests,
                limits::OPEN_FILES_SHARE,
                limits::OPEN_FILES,
            ),
            entries: share(limits::OPEN_ENTRIES_SHARE, limits::OPEN_ENTRIES),
            admin: share(limits::ADMIN_CONNECTIONS_SHARE, limits::ADMIN_CONNECTIONS),
        }
    }
}

/// The descriptors that are not shared out, in a process with so many `workers`.
fn reserved(workers: usize) -> usize {
    limits::RESERVED_FDS + workers * limits::FDS_PER_WORKER
}

/// Raises the soft limit towards the hard one and returns the limit that then holds.
///
/// `None`: there is no limit.
#[cfg(unix)]
fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(limits::WANTED_FDS);
    if current >= wanted {
        return Some(current);
    }
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => Some(wanted),
        Err(_) => Some(current),
    }
}

/// `None`: there is no such limit on this system.
#[cfg(not(unix))]
fn raise_limit() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_limit() {
        let sum =
            |budget: FdBudget| budget.connections + budget.requests + budget.entries + budget.admin;
        for limit in [0, 10, 64, 256, 1024, 4096, 20_000, 65_536, 1 << 40] {
            for wanted in [None, Some(1), Some(1_000_000)] {
                let budget = FdBudget::of(Some(limit), 2, wanted, wanted);
                let most = limit.saturating_sub(reserved(2) as u64).max(8);
                assert!(sum(budget) as u64 <= most, "{limit}");
                assert!(budget.connections >= 1 && budget.requests >= 1 && budget.entries >= 1);
            }
        }
    }

    #[test]
    fn defaults_hold_without_a_limit() {
        let budget = FdBudget::of(None, 2, None, None);
        assert_eq!(
            (budget.connections, budget.requests),
            (limits::CONNECTIONS, limits::OPEN_FILES)
        );
        let budget = FdBudget::of(None, 2, Some(20_000), Some(7));
        assert_eq!((budget.connections, budget.requests), (20_000, 7));
    }
}
