//! Tells a task what woke it, so that it need not ask everything that might have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

/// A waker for what rarely happens, in a task that mostly wakes for something else.
#[derive(Debug, Default)]
pub(crate) struct Bell(Option<Arc<Wire>>);

#[derive(Debug)]
struct Wire {
    rung: AtomicBool,
    task: Waker,
}

impl Bell {
    /// The waker to poll with, if it was rung since the last call, or nothing waits with it yet.
    pub(crate) fn rung(&mut self, cx: &Context<'_>) -> Option<Waker> {
        let is_quiet = self.0.as_ref().is_some_and(|wire| {
            wire.task.will_wake(cx.waker()) && !wire.rung.load(Ordering::Acquire)
        });
        if is_quiet {
            return None;
        }
        let known = self.0.take().filter(|wire| wire.task.will_wake(cx.waker()));
        let new = || Arc::new(Wire { rung: AtomicBool::new(false), task: cx.waker().clone() });
        let wire = known.unwrap_or_else(new);
        // What rings from here on is found by whoever polls with it next.
        wire.rung.store(false, Ordering::Release);
        self.0 = Some(Arc::clone(&wire));
        Some(Waker::from(wire))
    }
}

impl Wake for Wire {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
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
        let mut bell = Bell::default();
        let waker = bell.rung(&cx).unwrap();
        assert!(bell.rung(&cx).is_none());
        waker.wake_by_ref();
        waker.wake();
        let waker = bell.rung(&cx).unwrap();
        assert!(bell.rung(&cx).is_none());
        drop(bell);
        waker.wake();
    }

    #[test]
    fn another_task_has_to_wait_with_its_own() {
        let (one, other) = (Waker::from(Arc::new(Task)), Waker::from(Arc::new(Task)));
        let mut bell = Bell::default();
        assert!(bell.rung(&Context::from_waker(&one)).is_some());
        assert!(bell.rung(&Context::from_waker(&other)).is_some());
        assert!(bell.rung(&Context::from_waker(&other)).is_none());
    }
}
