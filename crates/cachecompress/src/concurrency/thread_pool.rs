//! A pool of the library's own threads, which start with the first job and end with the last
//! handle.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::concurrency::may_wait;
use crate::concurrency::sync::clock;
use crate::limits::STALL;
use crate::log;

/// A bounded pool of threads with a bounded queue.
///
/// Cloned handles share it. The drop of the last one drops queued jobs, and the threads end after
/// their present job.
#[derive(Clone, Debug)]
pub(crate) struct ThreadPool(Arc<Owner>);

/// The owner of the threads, whose drop ends them.
#[derive(Debug)]
struct Owner(Arc<Shared>);

struct Shared {
    name: &'static str,
    limits: Limits,
    state: Mutex<Lanes>,
    work: Condvar,
}

/// Thread priorities.
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
mod nice {
    /// Sets nice 19 for this thread. On Linux a "process" of `setpriority` is a thread.
    pub(super) fn lowest() {
        let _ = rustix::process::setpriority_process(None, 19);
    }
}

/// Thread priorities, which stay unchanged: elsewhere all threads of a process share one.
#[cfg(not(all(target_os = "linux", not(cachecompress_portable))))]
mod nice {
    pub(super) fn lowest() {}
}

/// The limits of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The number of threads for each priority, at least 2. One foreground thread takes only small
    /// jobs, so that large ones cannot hold all threads.
    pub(crate) threads: usize,
    /// The number of spare threads for the foreground. They start one by one when the others have
    /// taken no job for [`STALL`], as reads from a network's disk may hang.
    pub(crate) spare: usize,
    /// The number of jobs that may wait for a thread.
    pub(crate) queue: usize,
}

#[derive(Default)]
struct Lanes {
    foreground: Lane,
    background: Lane,
    closed: bool,
}

/// The jobs of one priority, and the threads that take them.
#[derive(Default)]
struct Lane {
    queue: VecDeque<Task>,
    running: usize,
    threads: usize,
    /// The number of threads that wait for work, but for the one that takes only small jobs.
    idle: usize,
    /// The number of spare threads. `spare_idle` counts those without a job.
    spare: usize,
    spare_idle: usize,
    /// The time at which a regular thread last took a job, in milliseconds of [`clock`].
    taken: u64,
}

impl Lane {
    /// Returns the time until a spare thread may take waiting jobs; `None` if none wait.
    fn stalls_in(&self) -> Option<Duration> {
        let since = Duration::from_millis(clock().saturating_sub(self.taken));
        (!self.queue.is_empty()).then(|| STALL.saturating_sub(since))
    }
}

/// The kind of jobs that a thread takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Foreground,
    ForegroundSmall,
    /// Any job of the foreground, if its threads stall.
    Spare,
    Background,
}

/// The priority of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// A request waits for the job.
    Foreground,
    /// No request waits for the job. It runs on threads of the background, at the lowest priority
    /// of the system.
    Background,
}

struct Task {
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
        }))))
    }

    /// Queues `run`. If the queue is full or the pool is closed, drops it unrun and returns
    /// `false`.
    pub(crate) fn submit(
        &self,
        priority: Priority,
        small: bool,
        run: impl FnOnce() + Send + 'static,
    ) -> bool {
        let shared = &self.0.0;
        let mut state = shared.lock();
        // Jobs of the background take no place in the queue from requests.
        let ahead = match priority {
            Priority::Foreground => state.foreground.queue.len(),
            Priority::Background => state.waiting(),
        };
        if state.closed || ahead >= shared.limits.queue {
            return false;
        }
        let lane = state.lane(priority);
        lane.queue.push_back(Task { small, run: Box::new(run) });
        if lane.idle < lane.queue.len()
            && let Err(error) = Shared::spawn_worker(shared, lane, priority, small)
        {
            log::error!(%error, "cannot start a thread for {}", shared.name);
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

    /// Whether a thread could begin a large job at once.
    pub(crate) fn has_idle_worker(&self, priority: Priority) -> bool {
        let shared = &self.0.0;
        let mut state = shared.lock();
        let lane = state.lane(priority);
        // The second thread takes small jobs only.
        let startable = lane.threads.max(2) < shared.limits.threads || lane.threads == 0;
        lane.queue.is_empty() && (lane.idle > 0 || startable)
    }

    /// Whether a large job waits for a thread.
    pub(crate) fn is_short(&self, priority: Priority) -> bool {
        let mut state = self.0.0.lock();
        let lane = state.lane(priority);
        lane.queue.iter().filter(|job| !job.small).count() > lane.idle
    }

    /// Counts the jobs that wait for a thread.
    pub(crate) fn waiting(&self) -> usize {
        self.0.0.lock().waiting()
    }

    /// Takes no more jobs, and drops waiting ones.
    pub(crate) fn close(&self) {
        self.0.0.close();
    }

    /// Waits until no job runs or waits.
    #[cfg(test)]
    fn drain(&self) {
        while !self.0.0.lock().rests() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Lanes {
    fn lane(&mut self, priority: Priority) -> &mut Lane {
        match priority {
            Priority::Foreground => &mut self.foreground,
            Priority::Background => &mut self.background,
        }
    }

    fn waiting(&self) -> usize {
        self.foreground.queue.len() + self.background.queue.len()
    }

    #[cfg(test)]
    fn rests(&self) -> bool {
        self.foreground.running + self.background.running + self.waiting() == 0
    }

    #[cfg(test)]
    fn threads(&self) -> usize {
        self.foreground.threads + self.foreground.spare + self.background.threads
    }
}

impl Role {
    fn priority(self) -> Priority {
        match self {
            Self::Foreground | Self::ForegroundSmall | Self::Spare => Priority::Foreground,
            Self::Background => Priority::Background,
        }
    }

    fn take(self, lane: &mut Lane) -> Option<Task> {
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
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waited = std::mem::take(&mut state.foreground.queue);
        let background = std::mem::take(&mut state.background.queue);
        drop(state);
        self.work.notify_all();
        drop((waited, background));
    }

    fn start(shared: &Arc<Self>, role: Role) -> std::io::Result<()> {
        let shared = Arc::clone(shared);
        thread::Builder::new()
            .name(shared.name.to_owned())
            .spawn(move || shared.work(role))
            .map(drop)
    }

    /// Starts a thread for a `small` or a large job. If all regular threads run, starts a spare
    /// one.
    fn spawn_worker(
        shared: &Arc<Self>,
        lane: &mut Lane,
        priority: Priority,
        small: bool,
    ) -> std::io::Result<()> {
        while lane.threads < shared.limits.threads {
            let role = match (priority, lane.threads) {
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
        if priority == Priority::Foreground {
            Self::spawn_spare(shared, lane);
        }
        Ok(())
    }

    /// Starts a spare thread, if all spare threads have a job and one more is allowed.
    fn spawn_spare(shared: &Arc<Self>, lane: &mut Lane) {
        // Without a spare thread the pool is only slower.
        if lane.spare_idle == 0
            && lane.spare < shared.limits.spare
            && Self::start(shared, Role::Spare).is_ok()
        {
            lane.spare += 1;
            lane.spare_idle += 1;
        }
    }

    fn work(self: &Arc<Self>, role: Role) {
        may_wait::allow();
        if role == Role::Background {
            nice::lowest();
        }
        let mut state = self.lock();
        loop {
            if let Some(job) = role.take(state.lane(role.priority())) {
                if role == Role::Spare {
                    state.foreground.spare_idle -= 1;
                    Self::spawn_spare(self, &mut state.foreground);
                }
                state.lane(role.priority()).running += 1;
                drop(state);
                // A job that panics drops its guards while it unwinds, which wakes waiting tasks.
                // The thread lives on for other jobs.
                if catch_unwind(AssertUnwindSafe(job.run)).is_err() {
                    log::error!("a job of {} panicked", self.name);
                }
                state = self.lock();
                state.lane(role.priority()).running -= 1;
                state.foreground.spare_idle += usize::from(role == Role::Spare);
            } else if state.closed {
                if role == Role::Spare {
                    state.foreground.spare -= 1;
                } else {
                    state.lane(role.priority()).threads -= 1;
                }
                return;
            } else if role == Role::Spare {
                state = self.wait_for_a_stall(state);
            } else {
                let counts = usize::from(role != Role::ForegroundSmall);
                state.lane(role.priority()).idle += counts;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.lane(role.priority()).idle -= counts;
            }
        }
    }

    fn wait_for_a_stall<'a>(&self, state: MutexGuard<'a, Lanes>) -> MutexGuard<'a, Lanes> {
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

    /// Four reads from a hanging disk held all readers, and all requests with them.
    #[test]
    fn spare_threads_take_over_within_their_bound_when_others_hang() {
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
        receiver.recv_timeout(SOON).expect("the last thread runs it while four hang");
        hang();
        let (sender, receiver) = mpsc::channel();
        assert!(pool.submit(Priority::Foreground, true, move || sender.send(()).unwrap()));
        assert!(receiver.recv_timeout(3 * STALL).is_err(), "all five hang");
        assert_eq!(pool.0.0.lock().threads(), 5);
        drop(hold);
        receiver.recv_timeout(SOON).expect("the freed threads run it");
        pool.drain();
    }

    /// The second large job started the thread for small jobs. It then waited until the first one
    /// ended or a third one came.
    #[test]
    fn second_large_job_starts_a_thread_of_its_own() {
        for (threads, spare) in [(3, 0), (2, 1)] {
            let pool = ThreadPool::new("test", Limits { threads, spare, queue: 16 });
            let (hold, held) = mpsc::channel::<()>();
            assert!(pool.submit(Priority::Foreground, false, move || {
                let _ = held.recv();
            }));
            let (sender, receiver) = mpsc::channel();
            assert!(pool.submit(Priority::Foreground, false, move || sender.send(()).unwrap()));
            receiver.recv_timeout(SOON).expect("the second job does not wait for the first");
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
    fn idle_worker_begins_a_job_at_once() {
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
        assert!(!pool.is_short(Priority::Foreground), "the waiting job is small");
        assert!(pool.submit(Priority::Foreground, false, || {}));
        assert!(pool.is_short(Priority::Foreground));
        drop(hold);
        pool.drain();
        while !pool.has_idle_worker(Priority::Foreground) {
            thread::yield_now();
        }
    }

    #[test]
    fn full_queue_refuses_jobs_and_threads_survive_a_panic() {
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
        assert!(
            !pool.submit(Priority::Background, false, || {}),
            "the queue is full for the background, too"
        );
        drop(hold);
        pool.drain();
        let (sender, receiver) = mpsc::channel();
        assert!(pool.submit(Priority::Foreground, false, move || sender.send(()).unwrap()));
        receiver.recv_timeout(SOON).expect("the threads live on");
    }

    #[test]
    fn last_handle_ends_the_threads_and_drops_waiting_jobs() {
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
    fn background_jobs_never_delay_the_foreground() {
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
        receiver.recv_timeout(SOON).expect("the foreground job does not wait for the background");
        while (running(Priority::Foreground), running(Priority::Background)) != (0, 2) {
            thread::yield_now();
        }
        drop(hold);
        pool.drain();
        assert_eq!(running(Priority::Background), 0);
    }
}
