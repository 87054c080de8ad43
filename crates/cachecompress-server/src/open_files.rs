//! How many files and sockets this process may have open.

/// More than this is never asked for.
#[cfg(unix)]
const WANTED: u64 = 65_536;

/// Raises the soft limit towards the hard one, and returns what then holds; `None` where there
/// is no limit, or none that can be asked for.
///
/// Shells set 1,024, for the sake of programs that use `select`; this one does not.
#[cfg(unix)]
pub(crate) fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    let wanted = limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
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
pub(crate) fn raise_limit() -> Option<u64> {
    None
}
