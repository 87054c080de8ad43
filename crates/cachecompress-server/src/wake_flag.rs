//! Tells a task what woke it, so that it need not ask everything that might have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

/// A waker for what rarely happens, in a task that mostly wakes for something else.
#[derive(Debug, Default)]
pub(crate) struct WakeFlag(Option<Arc<FlagWaker>>);

#[derive(Debug)]
struct FlagWaker {
    woken: AtomicBool,
    task: Waker,
}

impl WakeFlag {
    /// The waker to poll with, if it was woken since the last call, or nothing waits with it yet.
    pub(crate) fn take(&mut self, cx: &Context<'_>) -> Option<Waker> {
        let is_quiet = self.0.as_ref().is_some_and(|waker| {
            waker.task.will_wake(cx.waker()) && !waker.woken.load(Ordering::Acquire)
        });
        if is_quiet {
            return None;
        }
        let known = self.0.take().filter(|waker| waker.task.will_wake(cx.waker()));
        let new =
            || Arc::new(FlagWaker { woken: AtomicBool::new(false), task: cx.waker().clone() });
        let waker = known.unwrap_or_else(new);
        // What rings from here on is found by whoever polls with it next.
        waker.woken.store(false, Ordering::Release);
        self.0 = Some(Arc::clone(&waker));
        Some(Waker::from(waker))
    }
}

impl Wake for FlagWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn it_rings_once_at_first_and_then_whenever_it_is_woken() {
        let task = Waker::from(Arc::new(Task));
        let cx = Context::from_waker(&task);
        let mut flag = WakeFlag::default();
        let waker = flag.take(&cx).unwrap();
        assert!(flag.take(&cx).is_none());
        waker.wake_by_ref();
        waker.wake();
        let waker = flag.take(&cx).unwrap();
        assert!(flag.take(&cx).is_none());
        drop(flag);
        waker.wake();
    }

    #[test]
    fn another_task_has_to_wait_with_its_own() {
        let (one, other) = (Waker::from(Arc::new(Task)), Waker::from(Arc::new(Task)));
        let mut flag = WakeFlag::default();
        assert!(flag.take(&Context::from_waker(&one)).is_some());
        assert!(flag.take(&Context::from_waker(&other)).is_some());
        assert!(flag.take(&Context::from_waker(&other)).is_none());
    }
}
