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

/// A stretch in which this thread must not wait, because others wait for it.
#[derive(Debug)]
pub(crate) struct Forbidden {
    before: bool,
    /// The stretch is this thread's.
    _here: std::marker::PhantomData<*const ()>,
}

/// Says that this thread must not wait until the result is dropped.
pub(crate) fn forbid() -> Forbidden {
    Forbidden { before: MAY_WAIT.replace(false), _here: std::marker::PhantomData }
}

impl Drop for Forbidden {
    fn drop(&mut self) {
        MAY_WAIT.set(self.before);
    }
}
