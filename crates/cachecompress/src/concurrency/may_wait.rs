//! The threads of the library's own, which may wait for a disk. All others may be an executor's.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

thread_local! {
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
    static IS_FORBIDDEN: Cell<bool> = const { Cell::new(false) };
    static DEFERRED: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

/// Says that this thread may wait for a disk from now on.
pub(crate) fn allow() {
    IS_OURS.set(true);
}

/// Whether this thread may wait for a disk now.
pub(crate) fn is_allowed() -> bool {
    // A thread without locals is ending, and no executor's task runs on it any more.
    is_ours() && !IS_FORBIDDEN.try_with(Cell::get).unwrap_or(false)
}

/// Whether this thread may wait for a disk, now or after the present stretch.
pub(crate) fn is_ours() -> bool {
    IS_OURS.try_with(Cell::get).unwrap_or(true)
}

/// Runs `job` when this thread may wait, which is one that [`is_ours`].
pub(crate) fn when_allowed(job: impl FnOnce() + 'static) {
    if is_allowed() {
        job();
    } else {
        DEFERRED.with_borrow_mut(|jobs| jobs.push(Box::new(job)));
    }
}

/// A stretch in which this thread must not wait, because others wait for it. At its end, what was
/// deferred is run.
#[derive(Debug)]
pub(crate) struct Forbidden {
    before: bool,
    /// The stretch is this thread's.
    _here: PhantomData<*const ()>,
}

/// Says that this thread must not wait until the result is dropped.
pub(crate) fn forbid() -> Forbidden {
    Forbidden { before: IS_FORBIDDEN.replace(true), _here: PhantomData }
}

impl Drop for Forbidden {
    fn drop(&mut self) {
        IS_FORBIDDEN.set(self.before);
        if !self.before {
            let jobs = DEFERRED.with_borrow_mut(std::mem::take);
            jobs.into_iter().for_each(|job| job());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn deferred_job_runs_at_the_end_of_the_outermost_stretch() {
        allow();
        let ran = Rc::new(Cell::new(0));
        let run = || {
            let ran = Rc::clone(&ran);
            when_allowed(move || ran.set(ran.get() + 1));
        };
        run();
        assert_eq!(ran.get(), 1);
        let outer = forbid();
        let inner = forbid();
        run();
        drop(inner);
        assert!(!is_allowed() && is_ours() && ran.get() == 1);
        drop(outer);
        assert!(is_allowed() && ran.get() == 2);
    }
}
