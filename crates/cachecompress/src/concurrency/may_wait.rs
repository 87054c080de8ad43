//! The threads of the library's own, which may wait for a disk. All others may be an executor's.

use std::cell::Cell;

thread_local! {
    static MAY_WAIT: Cell<bool> = const { Cell::new(false) };
}

/// Says that this thread may wait for a disk from now on.
pub(crate) fn allow() {
    MAY_WAIT.set(true);
}

/// Whether this thread may wait for a disk.
pub(crate) fn is_allowed() -> bool {
    // The thread is ending, and no executor's task runs on it any more.
    MAY_WAIT.try_with(Cell::get).unwrap_or(true)
}
