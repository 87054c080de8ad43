//! The progress of a production, and its watchers.
//!
//! There is one producer and any number of watchers. `T` is shared as soon as the production starts
//! (the growing file). `F` is the reason for a failure.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::concurrency::sync::{Arc, Mutex, lock};

/// The progress of one production.
#[derive(Debug)]
pub(crate) struct Progress<T, F> {
    state: Mutex<Watched<T, F>>,
}

#[derive(Debug)]
struct Watched<T, F> {
    stage: Stage<T, F>,
    demand: Demand,
    watches: usize,
    next_watch: u64,
    /// The wakers by the number of their watch, so that the first to come is woken first.
    wakers: BTreeMap<u64, Waker>,
}

/// The need for a production. It is settled once: a production that is required is never abandoned, nor
/// the reverse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Demand {
    #[default]
    Open,
    Required,
    Abandoned,
}

/// The stages of a production.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage<T, F> {
    /// No byte may be read yet.
    Pending,
    /// `committed` bytes may be read, and more will come.
    Growing { shared: T, committed: u64 },
    /// All `len` bytes may be read.
    Finished { shared: T, len: u64 },
    /// No more bytes will come. The `committed` ones may still be read.
    Failed { why: F, committed: u64 },
}

impl<T, F> Watched<T, F> {
    fn is_wanted(&self) -> bool {
        self.watches > 0 || self.demand == Demand::Required
    }
}

impl<T, F> Stage<T, F> {
    /// Counts the bytes that may be read.
    pub(crate) fn available(&self) -> u64 {
        match self {
            Self::Pending => 0,
            Self::Growing { committed, .. } | Self::Failed { committed, .. } => *committed,
            Self::Finished { len, .. } => *len,
        }
    }

    /// Whether the production ended badly.
    pub(crate) fn failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// Whether the production ended, well or badly.
    pub(crate) fn ended(&self) -> bool {
        matches!(self, Self::Finished { .. } | Self::Failed { .. })
    }
}

impl<T: Clone, F: Clone> Progress<T, F> {
    pub(crate) fn new() -> Arc<Self> {
        let state = Watched {
            stage: Stage::Pending,
            demand: Demand::Open,
            watches: 0,
            next_watch: 0,
            wakers: BTreeMap::new(),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Requires the production. Returns `false` if the producer has abandoned it: it is about to
    /// fail.
    pub(crate) fn require(&self) -> bool {
        self.settle(Demand::Required) == Demand::Required
    }

    /// Abandons the production, on behalf of its producer. Returns `false` if somebody requires it.
    pub(crate) fn abandon(&self) -> bool {
        self.settle(Demand::Abandoned) == Demand::Abandoned
    }

    /// Whether somebody watches the production, or requires it.
    pub(crate) fn is_wanted(&self) -> bool {
        lock(&self.state).is_wanted()
    }

    /// Whether somebody watches the production.
    pub(crate) fn is_watched(&self) -> bool {
        lock(&self.state).watches > 0
    }

    /// Counts the watchers.
    pub(crate) fn watchers(&self) -> usize {
        lock(&self.state).watches
    }

    /// Ends the production badly, unless it is wanted. Returns whether it has ended so: nobody can
    /// [join](Watch::join) it any more.
    pub(crate) fn fail_unless_wanted(&self, why: F) -> bool {
        let mut state = lock(&self.state);
        if state.is_wanted() {
            return false;
        }
        if !state.stage.ended() {
            state.stage = Stage::Failed { why, committed: state.stage.available() };
        }
        true
    }

    fn settle(&self, demand: Demand) -> Demand {
        let mut state = lock(&self.state);
        if state.demand == Demand::Open {
            state.demand = demand;
        }
        state.demand
    }

    /// Shares `shared` with nothing committed. Has no effect after an end.
    pub(crate) fn start(&self, shared: T) {
        self.change(|stage| Stage::Growing { shared, committed: stage.available() });
    }

    /// Lets watchers read up to `committed` bytes. Never takes bytes back.
    pub(crate) fn commit(&self, committed: u64) {
        self.change(|stage| match stage {
            Stage::Growing { shared, committed: before } => {
                Stage::Growing { shared: shared.clone(), committed: committed.max(*before) }
            }
            other => other.clone(),
        });
    }

    /// Ends the production well, with `len` bytes of `shared`.
    pub(crate) fn finish(&self, shared: T, len: u64) {
        self.change(|_| Stage::Finished { shared, len });
    }

    /// Ends the production badly.
    pub(crate) fn fail(&self, why: F) {
        self.change(|stage| Stage::Failed { why, committed: stage.available() });
    }

    /// Returns the present stage.
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

/// A watcher's place, which a drop gives up.
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
        state.watches += 1;
        drop(state);
        Self { progress: Arc::clone(progress), id }
    }

    /// Watches a production that has not ended. It is not given up from then on.
    pub(crate) fn join(progress: &Arc<Progress<T, F>>) -> Option<Self> {
        let watch = Self::new(progress);
        (!progress.stage().ended()).then_some(watch)
    }

    /// Returns the stage as soon as it is `enough` or an end.
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

    /// Waits until the stage is `enough` or an end, and returns it.
    pub(crate) async fn until(&mut self, enough: impl Fn(&Stage<T, F>) -> bool) -> Stage<T, F> {
        poll_fn(|cx| self.poll_until(cx, &enough)).await
    }
}

impl<T: Clone, F: Clone> Drop for Watch<T, F> {
    fn drop(&mut self) {
        let mut state = lock(&self.progress.state);
        state.watches -= 1;
        let waker = state.wakers.remove(&self.id);
        drop(state);
        // A waker may own what waits for this lock.
        drop(waker);
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
    fn commit_wakes_watchers() {
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
        assert_eq!(progress.stage().available(), 7, "committed bytes stay committed");
    }

    #[test]
    fn end_is_final_and_keeps_committed_bytes() {
        let progress: Arc<Plain> = Progress::new();
        progress.start("file");
        progress.commit(5);
        progress.fail("disk");
        progress.finish("file", 9);
        progress.commit(8);
        assert_eq!(progress.stage(), Stage::Failed { why: "disk", committed: 5 });
    }

    #[test]
    fn production_fails_for_want_of_watchers_and_is_not_joined_then() {
        let progress: Arc<Plain> = Progress::new();
        let watch = Watch::join(&progress).unwrap();
        assert!(!progress.fail_unless_wanted("nobody"));
        drop(watch);
        assert!(progress.fail_unless_wanted("nobody"));
        assert_eq!(progress.stage(), Stage::Failed { why: "nobody", committed: 0 });
        assert!(Watch::join(&progress).is_none());

        let required: Arc<Plain> = Progress::new();
        assert!(required.require());
        assert!(!required.fail_unless_wanted("nobody"), "it is required");
    }

    #[test]
    fn dropped_watcher_is_forgotten() {
        let progress: Arc<Plain> = Progress::new();
        let mut watch = Watch::new(&progress);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(watch.poll_until(&mut cx, |_| false).is_pending());
        assert_eq!(lock(&progress.state).wakers.len(), 1);
        drop(watch);
        assert_eq!(lock(&progress.state).wakers.len(), 0);
    }
}
