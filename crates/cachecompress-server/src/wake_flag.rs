//! A flag that tells a task whether it was woken for a rare event.
//!
//! A connection's task wakes for its socket many times a second, and for its timer or the shutdown
//! hardly ever. The flag saves it a poll of those two at each wake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

/// A flag that is set when a future that was polled with its waker wakes the task.
#[derive(Debug, Default)]
pub(crate) struct WakeFlag(Option<Arc<FlagWaker>>);

/// A waker that sets a flag before it wakes its task.
#[derive(Debug)]
struct FlagWaker {
    woken: AtomicBool,
    task: Waker,
}

impl WakeFlag {
    /// Takes the flag. Returns the waker to poll with if the flag was set, at the first call, and
    /// for another task than before.
    pub(crate) fn take(&mut self, cx: &Context<'_>) -> Option<Waker> {
        if let Some(waker) = &self.0
            && waker.task.will_wake(cx.waker())
        {
            if !waker.woken.load(Ordering::Relaxed) {
                return None;
            }
            // The swap comes before the polls: they see what a wake before it was about, and a
            // wake after it sets the flag again.
            waker.woken.swap(false, Ordering::AcqRel);
            return Some(Waker::from(Arc::clone(waker)));
        }
        let task = cx.waker().clone();
        let waker = Arc::new(FlagWaker { woken: AtomicBool::new(false), task });
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
    fn flag_is_set_at_first_and_by_each_wake() {
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
    fn wake_between_take_and_poll_sets_the_flag_again() {
        let task = Waker::from(Arc::new(Task));
        let cx = Context::from_waker(&task);
        let mut flag = WakeFlag::default();
        let earlier = flag.take(&cx).unwrap();
        earlier.wake_by_ref();
        let later = flag.take(&cx).unwrap();
        // A future that kept the earlier waker uses it before it is polled with the later one.
        earlier.wake();
        assert!(flag.take(&cx).is_some());
        drop(later);
    }

    #[test]
    fn flag_gives_another_task_a_waker_of_its_own() {
        let (one, other) = (Waker::from(Arc::new(Task)), Waker::from(Arc::new(Task)));
        let mut flag = WakeFlag::default();
        assert!(flag.take(&Context::from_waker(&one)).is_some());
        assert!(flag.take(&Context::from_waker(&other)).is_some());
        assert!(flag.take(&Context::from_waker(&other)).is_none());
    }
}
