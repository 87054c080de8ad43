//! A pool of the library's own threads: started when there is work, ended with the last handle.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::concurrency::sync::clock;

/// How long the threads of a pool may take no job, while some wait, before spare ones do.
const STALL: Duration = Duration::from_secs(1);

/// A bounded pool with a bounded queue.
///
/// Cloned handles share it. When the last one is dropped, what is queued is dropped with it and
/// the threads end after the job that they are at.
#[derive(Clone, Debug)]
pub(crate) struct ThreadPool(Arc<Owner>);

/// Ends the threads when the last handle goes.
#[derive(Debug)]
struct Owner(Arc<Shared>);

struct Shared {
    name: &'static str,
    limits: Limits,
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
}

/// Thread priorities.
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
mod nice {
    /// Gives this thread what no other wants. On Linux a "process" of `setpriority` is a thread.
    pub(super) fn lowest() {
        let _ = rustix::process::setpriority_process(None, 19);
    }
}

/// Elsewhere a process has one priority for all its threads; it stays as it is.
#[cfg(not(all(target_os = "linux", not(cachecompress_portable))))]
mod nice {
    pub(super) fn lowest() {}
}

/// How much of everything a pool may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// ThreadPool for each class, at least 2: one of those that somebody waits for takes only small
    /// jobs, so that large ones cannot hold all of them.
    pub(crate) threads: usize,
    /// Further threads for jobs that somebody waits for, started one by one when all others have
    /// taken none for a second: they hang, as reads from a network's disk may.
    pub(crate) spare: usize,
    /// Jobs that wait for a thread.
    pub(crate) queue: usize,
}

#[derive(Default)]
struct State {
    foreground: Lane,
    background: Lane,
    closed: bool,
}

/// The jobs of one class, and the threads that take them.
#[derive(Default)]
struct Lane {
    queue: VecDeque<Job>,
    running: usize,
    threads: usize,
    /// ThreadPool that wait for work, but for the one that takes only small jobs.
    idle: usize,
    /// Spare threads, and how many of them are at no job.
    spare: usize,
    spare_idle: usize,
    /// When a thread that is no spare one last took a job, in milliseconds of [`clock`].
    taken: u64,
}

impl Lane {
    /// How long until the jobs that wait are a spare thread's to take; `None` if none wait.
    fn stalls_in(&self) -> Option<Duration> {
        let since = Duration::from_millis(clock().saturating_sub(self.taken));
        (!self.queue.is_empty()).then(|| STALL.saturating_sub(since))
    }
}

/// What a thread takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Foreground,
    ForegroundSmall,
    /// Any job of the waited lane, if that stalls.
    Spare,
    Background,
}

/// Whether somebody waits for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Somebody does.
    Foreground,
    /// Nobody does: it runs on threads of its own, at the lowest priority that the system has.
    Background,
}

struct Job {
    small: bool,
    run: Box<dyn FnOnce() + Send>,
}

impl ThreadPool {
    pub(crate) fn new(name: &'static str, limits: Limits) -> Self {
        let limits = Limits { threads: limits.threads.max(2), ..limits };
        Self(Arc::new(Owner(Arc::new(Shared {
            name,
            limits,
            state: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
        }))))
    }

    /// Queues `run`; gives it back unrun, by dropping it, and returns `false` when the queue is
    /// full or the pool is closed.
    pub(crate) fn submit(
        &self,
        class: Priority,
        small: bool,
        run: impl FnOnce() + Send + 'static,
    ) -> bool {
        let shared = &self.0.0;
        let mut state = shared.lock();
        // Nobody who waits is held up by what waits in the background.
        let ahead = match class {
            Priority::Foreground => state.foreground.queue.len(),
            Priority::Background => state.waiting(),
        };
        if state.closed || ahead >= shared.limits.queue {
            return false;
        }
        let lane = state.lane(class);
        lane.queue.push_back(Job { small, run: Box::new(run) });
        if lane.idle < lane.queue.len()
            && let Err(error) = Shared::spawn_worker(shared, lane, class, small)
        {
            tracing::error!(%error, "cannot start a thread for {}", shared.name);
            if lane.threads == 0 {
                let unrun = lane.queue.pop_back();
                drop(state);
                drop(unrun);
                return false;
            }
        }
        drop(state);
        shared.work.notify_all();
        true
    }

    /// Whether a job that is not small would be begun at once.
    pub(crate) fn has_idle_worker(&self, class: Priority) -> bool {
        let shared = &self.0.0;
        let mut state = shared.lock();
        let lane = state.lane(class);
        // The second thread is the one for small jobs.
        let startable = lane.threads.max(2) < shared.limits.threads || lane.threads == 0;
        lane.queue.is_empty() && (lane.idle > 0 || startable)
    }

    /// Whether a job that is not small waits for a thread.
    pub(crate) fn is_short(&self, class: Priority) -> bool {
        let mut state = self.0.0.lock();
        let lane = state.lane(class);
        lane.queue.iter().filter(|job| !job.small).count() > lane.idle
    }

    /// How many jobs wait for a thread.
    pub(crate) fn waiting(&self) -> usize {
        self.0.0.lock().waiting()
    }

    /// Takes no more jobs and drops those that wait.
    pub(crate) fn close(&self) {
        self.0.0.close();
    }

    /// Waits until nothing runs and nothing waits.
    #[cfg(test)]
    fn drain(&self) {
        let mut state = self.0.0.lock();
        while !state.rests() {
            state = self.0.0.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    fn lane(&mut self, class: Priority) -> &mut Lane {
        match class {
            Priority::Foreground => &mut self.foreground,
            Priority::Background => &mut self.background,
        }
    }

    fn waiting(&self) -> usize {
        self.foreground.queue.len() + self.background.queue.len()
    }

    fn rests(&self) -> bool {
        self.foreground.running + self.background.running + self.waiting() == 0
    }

    #[cfg(test)]
    fn threads(&self) -> usize {
        self.foreground.threads + self.foreground.spare + self.background.threads
    }
}

impl Role {
    fn class(self) -> Priority {
        match self {
            Self::Foreground | Self::ForegroundSmall | Self::Spare => Priority::Foreground,
            Self::Background => Priority::Background,
        }
    }

    fn take(self, lane: &mut Lane) -> Option<Job> {
        if self == Self::Spare && lane.stalls_in() != Some(Duration::ZERO) {
            return None;
        }
        let index = lane.queue.iter().position(|job| job.small || self != Self::ForegroundSmall)?;
        if self != Self::Spare {
            lane.taken = clock();
        }
        lane.queue.remove(index)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waited = std::mem::take(&mut state.foreground.queue);
        let background = std::mem::take(&mut state.background.queue);
        drop(state);
        self.work.notify_all();
        self.idle.notify_all();
        drop((waited, background));
    }

    fn start(shared: &Arc<Self>, role: Role) -> std::io::Result<()> {
        let shared = Arc::clone(shared);
        thread::Builder::new()
            .name(shared.name.to_owned())
            .spawn(move || shared.work(role))
            .map(drop)
    }

    /// Starts a thread that takes a `small` job or another, or sees to a spare one if there are as
    /// many as there may be.
    fn spawn_worker(
        shared: &Arc<Self>,
        lane: &mut Lane,
        class: Priority,
        small: bool,
    ) -> std::io::Result<()> {
        while lane.threads < shared.limits.threads {
            let role = match (class, lane.threads) {
                (Priority::Background, _) => Role::Background,
                (Priority::Foreground, 1) => Role::ForegroundSmall,
                (Priority::Foreground, _) => Role::Foreground,
            };
            Self::start(shared, role)?;
            lane.threads += 1;
            if small || role != Role::ForegroundSmall {
                return Ok(());
            }
        }
        if class == Priority::Foreground {
            Self::spare(shared, lane);
        }
        Ok(())
    }

    /// Sees to it that there is a spare thread at no job, if there may be one more.
    fn spare(shared: &Arc<Self>, lane: &mut Lane) {
        // Without it the pool is only slower.
        if lane.spare_idle == 0
            && lane.spare < shared.limits.spare
            && Self::start(shared, Role::Spare).is_ok()
        {
            lane.spare += 1;
            lane.spare_idle += 1;
        }
    }

    fn work(self: &Arc<Self>, role: Role) {
        if role == Role::Background {
            nice::lowest();
        }
        let mut state = self.lock();
        loop {
            if let Some(job) = role.take(state.lane(role.class())) {
                if role == Role::Spare {
                    state.foreground.spare_idle -= 1;
                    Self::spare(self, &mut state.foreground);
                }
                state.lane(role.class()).running += 1;
                drop(state);
                // A job that panics has dropped its guards while unwinding, which told everybody
                // who waits; the thread lives on for the others.
                if catch_unwind(AssertUnwindSafe(job.run)).is_err() {
                    tracing::error!("a job of {} panicked", self.name);
                }
                state = self.lock();
                state.lane(role.class()).running -= 1;
                state.foreground.spare_idle += usize::from(role == Role::Spare);
                if state.rests() {
                    self.idle.notify_all();
                }
            } else if state.closed {
                if role == Role::Spare {
                    state.foreground.spare -= 1;
                } else {
                    state.lane(role.class()).threads -= 1;
                }
                return;
            } else if role == Role::Spare {
                state = self.wait_for_a_stall(state);
            } else {
                let counts = usize::from(role != Role::ForegroundSmall);
                state.lane(role.class()).idle += counts;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.lane(role.class()).idle -= counts;
            }
        }
    }

    fn wait_for_a_stall<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match state.foreground.stalls_in() {
            None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(left) => {
                let waited = self.work.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadPool")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn pool(threads: usize, queue: usize) -> ThreadPool {
        ThreadPool::new("test", Limits { threads, spare: 0, queue })
    }

    /// Four reads from a disk that hung held all readers, and everybody else.
    #[test]
    fn spare_threads_take_what_hanging_ones_leave_and_are_bounded() {
        let pool = ThreadPool::new("test", Limits { threads: 2, spare: 3, queue: 64 });
        let (hold, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let hang = || {
            let held = Arc::clone(&held);
            assert!(pool.submit(Priority::Foreground, true, move || {
                let _ = held.lock().unwrap().recv();
            }));
        };
        (0..4).for_each(|_| hang());
        let (sender, receiver) = mpsc::channel();
        assert!(pool.submit(Priority::Foreground, true, move || sender.send(()).unwrap()));
        receiver.recv_timeout(SOON).expect("four hang, the last thread goes on");
        hang();
        let (sender, receiver) = mpsc::channel();
        assert!(pool.submit(Priority::Foreground, true, move || sender.send(()).unwrap()));
        assert!(receiver.recv_timeout(3 * STALL).is_err(), "all five hang");
        assert_eq!(pool.0.0.lock().threads(), 5);
        drop(hold);
        receiver.recv_timeout(SOON).expect("they go on");
        pool.drain();
    }

    /// The second large job started the thread for small ones, and waited until the first ended,
    /// or a third came.
    #[test]
    fn the_second_large_job_starts_a_thread_that_takes_it() {
        for (threads, spare) in [(3, 0), (2, 1)] {
            let pool = ThreadPool::new("test", Limits { threads, spare, queue: 16 });
            let (hold, held) = mpsc::channel::<()>();
            assert!(pool.submit(Priority::Foreground, false, move || {
                let _ = held.recv();
            }));
            let (sender, receiver) = mpsc::channel();
            assert!(pool.submit(Priority::Foreground, false, move || sender.send(()).unwrap()));
            receiver.recv_timeout(SOON).expect("it does not wait for the first");
            drop(hold);
            pool.drain();
        }
    }

    #[test]
    fn large_jobs_leave_a_thread_for_small_ones() {
        let pool = pool(2, 16);
        let (hold, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..3 {
            let held = Arc::clone(&held);
            assert!(pool.submit(Priority::Foreground, false, move || {
                let _ = held.lock().unwrap().recv();
            }));
        }
        let (sender, receiver) = mpsc::channel();
        assert!(pool.submit(Priority::Foreground, true, move || sender.send(()).unwrap()));
        receiver.recv_timeout(SOON).expect("a small job overtakes the large ones");
        drop(hold);
        pool.drain();
    }

    #[test]
    fn what_would_begin_does() {
        let pool = pool(3, 16);
        let (hold, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let begun = Arc::new(Mutex::new(0));
        let mut holding = 0;
        for small in [false, true, false] {
            assert!(small || pool.has_idle_worker(Priority::Foreground), "{holding} are held");
            let (held, counted) = (Arc::clone(&held), Arc::clone(&begun));
            assert!(pool.submit(Priority::Foreground, small, move || {
                *counted.lock().unwrap() += 1;
                let _ = held.lock().unwrap().recv();
            }));
            holding += 1;
            while *begun.lock().unwrap() < holding {
                thread::yield_now();
            }
        }
        assert!(!pool.has_idle_worker(Priority::Foreground), "all threads are held");
        assert!(pool.submit(Priority::Foreground, true, || {}));
        assert!(!pool.is_short(Priority::Foreground), "what waits is small");
        assert!(pool.submit(Priority::Foreground, false, || {}));
        assert!(pool.is_short(Priority::Foreground));
        drop(hold);
        pool.drain();
        while !pool.has_idle_worker(Priority::Foreground) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_full_queue_refuses_and_a_panic_ends_no_thread() {
        let pool = pool(2, 2);
        let (hold, held) = mpsc::channel::<()>();
        let (sender, receiver) = mpsc::channel();
        assert!(pool.submit(Priority::Foreground, false, move || {
            sender.send(()).unwrap();
            let _ = held.recv();
        }));
        receiver.recv_timeout(SOON).unwrap();
        assert!(pool.submit(Priority::Foreground, false, || panic!("on purpose")));
        assert!(pool.submit(Priority::Foreground, false, || {}));
        assert!(!pool.submit(Priority::Foreground, false, || {}), "the queue is full");
        assert!(!pool.submit(Priority::Background, false, || {}), "for the background, too");
        drop(hold);
        pool.drain();
        let (sender, receiver) = mpsc::channel();
        assert!(pool.submit(Priority::Foreground, false, move || sender.send(()).unwrap()));
        receiver.recv_timeout(SOON).expect("the threads live on");
    }

    #[test]
    fn the_last_handle_ends_the_threads_and_drops_what_waits() {
        let pool = pool(2, 8);
        let (hold, held) = mpsc::channel::<()>();
        let (sender, receiver) = mpsc::channel::<()>();
        assert!(pool.submit(Priority::Foreground, false, move || {
            let _ = held.recv();
        }));
        assert!(pool.submit(Priority::Foreground, false, move || drop(sender)));
        let shared = Arc::clone(&pool.0.0);
        drop(pool);
        assert!(receiver.recv_timeout(SOON).is_err(), "the waiting job was dropped unrun");
        drop(hold);
        let deadline = std::time::Instant::now() + SOON;
        while shared.lock().threads() > 0 {
            assert!(std::time::Instant::now() < deadline, "the threads have not ended");
            thread::yield_now();
        }
    }

    #[test]
    fn background_jobs_hold_up_nobody_who_waits() {
        let pool = pool(2, 16);
        let running = |priority| pool.0.0.lock().lane(priority).running;
        let (hold, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..4 {
            let held = Arc::clone(&held);
            assert!(pool.submit(Priority::Background, true, move || {
                let _ = held.lock().unwrap().recv();
            }));
        }
        let (sender, receiver) = mpsc::channel();
        assert!(pool.submit(Priority::Foreground, false, move || sender.send(()).unwrap()));
        receiver.recv_timeout(SOON).expect("somebody waits for this one");
        while (running(Priority::Foreground), running(Priority::Background)) != (0, 2) {
            thread::yield_now();
        }
        drop(hold);
        pool.drain();
        assert_eq!(running(Priority::Background), 0);
    }
}
