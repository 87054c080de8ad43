//! How far a producer has come, and who waits for it.
//!
//! One producer, any number of watchers. `T` is what the producer shares as soon as it starts
//! (the growing file), `F` is why it failed.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::concurrency::sync::{Arc, Mutex, lock};

/// The state of one production.
#[derive(Debug)]
pub(crate) struct Progress<T, F> {
    state: Mutex<State<T, F>>,
}

#[derive(Debug)]
struct State<T, F> {
    stage: Stage<T, F>,
    next_watch: u64,
    /// By their watches, so that who came first is woken first.
    wakers: BTreeMap<u64, Waker>,
}

/// What a watcher sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage<T, F> {
    /// Nothing to be had yet.
    Pending,
    /// `committed` bytes may be read, more will come.
    Growing { shared: T, committed: u64 },
    /// The whole is `len` bytes, and all may be read.
    Finished { shared: T, len: u64 },
    /// There will be no more. What was committed before may still be read.
    Failed { why: F, committed: u64 },
}

impl<T, F> Stage<T, F> {
    /// How many bytes may be read.
    pub(crate) fn available(&self) -> u64 {
        match self {
            Self::Pending => 0,
            Self::Growing { committed, .. } | Self::Failed { committed, .. } => *committed,
            Self::Finished { len, .. } => *len,
        }
    }

    /// Whether it ended badly.
    pub(crate) fn failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// Whether nothing will change any more.
    pub(crate) fn ended(&self) -> bool {
        matches!(self, Self::Finished { .. } | Self::Failed { .. })
    }
}

impl<T: Clone, F: Clone> Progress<T, F> {
    pub(crate) fn new() -> Arc<Self> {
        let state = State { stage: Stage::Pending, next_watch: 0, wakers: BTreeMap::new() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Shares `shared`, with nothing committed. Without effect after an end.
    pub(crate) fn start(&self, shared: T) {
        self.change(|stage| Stage::Growing { shared, committed: stage.available() });
    }

    /// Lets watchers read up to `committed` bytes. Never takes any back.
    pub(crate) fn commit(&self, committed: u64) {
        self.change(|stage| match stage {
            Stage::Growing { shared, committed: before } => {
                Stage::Growing { shared: shared.clone(), committed: committed.max(*before) }
            }
            other => other.clone(),
        });
    }

    /// Ends well: the whole is `len` bytes of `shared`.
    pub(crate) fn finish(&self, shared: T, len: u64) {
        self.change(|_| Stage::Finished { shared, len });
    }

    /// Ends badly.
    pub(crate) fn fail(&self, why: F) {
        self.change(|stage| Stage::Failed { why, committed: stage.available() });
    }

    /// The present state.
    pub(crate) fn stage(&self) -> Stage<T, F> {
        lock(&self.state).stage.clone()
    }

    fn change(&self, next: impl FnOnce(&Stage<T, F>) -> Stage<T, F>) {
        let wakers = {
            let mut state = lock(&self.state);
            if state.stage.ended() {
                return;
            }
            let stage = next(&state.stage);
            state.stage = stage;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_values().for_each(Waker::wake);
    }
}

/// One watcher's place; dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Watch<T: Clone, F: Clone> {
    progress: Arc<Progress<T, F>>,
    id: u64,
}

impl<T: Clone, F: Clone> Watch<T, F> {
    pub(crate) fn new(progress: &Arc<Progress<T, F>>) -> Self {
        let mut state = lock(&progress.state);
        let id = state.next_watch;
        state.next_watch += 1;
        drop(state);
        Self { progress: Arc::clone(progress), id }
    }

    /// The stage as soon as `enough` says so, or it has ended.
    pub(crate) fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        enough: impl Fn(&Stage<T, F>) -> bool,
    ) -> Poll<Stage<T, F>> {
        let mut state = lock(&self.progress.state);
        if state.stage.ended() || enough(&state.stage) {
            return Poll::Ready(state.stage.clone());
        }
        state.wakers.insert(self.id, cx.waker().clone());
        Poll::Pending
    }

    /// [`poll_until`](Self::poll_until) as a future.
    pub(crate) async fn until(&mut self, enough: impl Fn(&Stage<T, F>) -> bool) -> Stage<T, F> {
        poll_fn(|cx| self.poll_until(cx, &enough)).await
    }
}

impl<T: Clone, F: Clone> Drop for Watch<T, F> {
    fn drop(&mut self) {
        lock(&self.progress.state).wakers.remove(&self.id);
    }
}

#[cfg(all(test, not(cachecompress_loom)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    type Plain = Progress<&'static str, &'static str>;

    #[test]
    fn a_watcher_is_woken_by_a_commit_and_sees_it() {
        let count = std::sync::Arc::new(Count::default());
        let waker = Waker::from(std::sync::Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let progress: Arc<Plain> = Progress::new();
        let mut watch = Watch::new(&progress);

        assert!(watch.poll_until(&mut cx, |stage| stage.available() > 0).is_pending());
        progress.start("file");
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(watch.poll_until(&mut cx, |stage| stage.available() > 0).is_pending());
        progress.commit(7);
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        assert_eq!(
            watch.poll_until(&mut cx, |stage| stage.available() > 0),
            Poll::Ready(Stage::Growing { shared: "file", committed: 7 })
        );
        progress.commit(3);
        assert_eq!(progress.stage().available(), 7, "what was committed stays so");
    }

    #[test]
    fn an_end_is_final_and_keeps_what_was_committed() {
        let progress: Arc<Plain> = Progress::new();
        progress.start("file");
        progress.commit(5);
        progress.fail("disk");
        progress.finish("file", 9);
        progress.commit(8);
        assert_eq!(progress.stage(), Stage::Failed { why: "disk", committed: 5 });
    }

    #[test]
    fn a_watcher_that_left_is_forgotten() {
        let progress: Arc<Plain> = Progress::new();
        let mut watch = Watch::new(&progress);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(watch.poll_until(&mut cx, |_| false).is_pending());
        assert_eq!(lock(&progress.state).wakers.len(), 1);
        drop(watch);
        assert_eq!(lock(&progress.state).wakers.len(), 0);
    }
}
