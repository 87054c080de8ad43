//! How many files and sockets this process may have open, and who gets how many of them.

use crate::limits;

/// Who may have how many of the process's descriptors. Together they never need all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FdBudget {
    /// Connections to the site: up to half.
    pub(crate) connections: usize,
    /// Requests under way, each of which may hold a file: up to a quarter.
    pub(crate) bodies: usize,
    /// Stored files that are kept open: up to an eighth.
    pub(crate) entries: usize,
    /// Connections to the admin listener: up to a sixteenth.
    pub(crate) admin: usize,
}

impl FdBudget {
    /// Divides the descriptors that this process with so many serving `threads` may have; `connections` and `bodies` are what
    /// the operator wants, and get no more than their share.
    pub(crate) fn new(threads: usize, connections: Option<usize>, bodies: Option<usize>) -> Self {
        Self::of(raise_limit(), threads, connections, bodies)
    }

    fn of(
        limit: Option<u64>,
        threads: usize,
        connections: Option<usize>,
        bodies: Option<usize>,
    ) -> Self {
        let all = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let spare = all.saturating_sub(limits::RESERVED_FDS + threads * limits::FDS_PER_WORKER);
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
            bodies: wanted(
                "--max-open-files",
                bodies,
                limits::OPEN_FILES_SHARE,
                limits::OPEN_FILES,
            ),
            entries: share(limits::OPEN_ENTRIES_SHARE, limits::OPEN_ENTRIES),
            admin: share(limits::ADMIN_CONNECTIONS_SHARE, limits::ADMIN_CONNECTIONS),
        }
    }
}

/// Raises the soft limit towards the hard one, and returns what then holds; `None` where there
/// is no limit, or none that can be asked for.
///
/// Shells set 1,024, for the sake of programs that use `select`; this one does not.
#[cfg(unix)]
fn raise_limit() -> Option<u64> {
    use limits::WANTED_FDS;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    let wanted = limit.maximum.map_or(WANTED_FDS, |maximum| maximum.min(WANTED_FDS));
    if current >= wanted {
        return Some(current);
    }
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => Some(wanted),
        Err(_) => Some(current),
    }
}

/// There is no such limit here.
#[cfg(not(unix))]
fn raise_limit() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_add_up_to_more_than_there_is() {
        let sum =
            |budget: FdBudget| budget.connections + budget.bodies + budget.entries + budget.admin;
        for limit in [0, 10, 64, 256, 1024, 4096, 20_000, 65_536, 1 << 40] {
            for wanted in [None, Some(1), Some(1_000_000)] {
                let budget = FdBudget::of(Some(limit), 2, wanted, wanted);
                assert!(
                    sum(budget) as u64
                        <= limit
                            .saturating_sub(
                                (limits::RESERVED_FDS + 2 * limits::FDS_PER_WORKER) as u64
                            )
                            .max(8),
                    "{limit}"
                );
                assert!(budget.connections >= 1 && budget.bodies >= 1 && budget.entries >= 1);
            }
        }
    }

    #[test]
    fn without_a_limit_the_defaults_hold() {
        let budget = FdBudget::of(None, 2, None, None);
        assert_eq!((budget.connections, budget.bodies), (limits::CONNECTIONS, limits::OPEN_FILES));
        let budget = FdBudget::of(None, 2, Some(20_000), Some(7));
        assert_eq!((budget.connections, budget.bodies), (20_000, 7));
    }
}
