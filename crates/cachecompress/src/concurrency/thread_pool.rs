//! A pool of the library's own threads, which start with the first job and end with the last
//! handle.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::concurrency::sync::clock;
use crate::concurrency::{may_wait, priority};
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
    /// Whether the lack of threads was logged since a thread last started.
    warned: AtomicBool,
    #[cfg(test)]
    lacks_threads: AtomicBool,
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
    /// The waiting jobs, the first due first.
    queue: VecDeque<Job>,
    /// Jobs whose condition did not let them begin, by what stood in their way. One of each kind tries
    /// again whenever a job ends, and so whenever the way may be free.
    parked: BTreeMap<Obstacle, VecDeque<Job>>,
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
    fn waiting(&self) -> usize {
        self.queue.len() + self.parked.values().map(VecDeque::len).sum::<usize>()
    }

    /// Inserts `job` after those that are due as early. Returns its place.
    fn insert(&mut self, job: Job) -> usize {
        let at = self.queue.partition_point(|other| other.due <= job.due);
        self.queue.insert(at, job);
        at
    }

    fn take_unwanted(&mut self) -> Vec<Job> {
        let mut unwanted = Vec::new();
        for queue in std::iter::once(&mut self.queue).chain(self.parked.values_mut()) {
            for job in std::mem::take(queue) {
                if job.is_wanted() { queue.push_back(job) } else { unwanted.push(job) }
            }
        }
        self.parked.retain(|_, jobs| !jobs.is_empty());
        unwanted
    }

    fn park(&mut self, obstacle: Obstacle, job: Job) {
        self.parked.entry(obstacle).or_default().push_back(job);
    }

    /// Lets a parked job of each kind try again. Returns `false` if none may begin.
    fn unpark(&mut self) -> bool {
        let mut any = false;
        for obstacle in self.parked.keys().cloned().collect::<Vec<_>>() {
            while let Some(job) = self.parked.get_mut(&obstacle).and_then(VecDeque::pop_front) {
                match job.obstacle() {
                    None => {
                        self.insert(job);
                        any = true;
                        break;
                    }
                    Some(same) if same == obstacle => {
                        self.parked.entry(same).or_default().push_front(job);
                        break;
                    }
                    // The next one may begin.
                    Some(other) => self.park(other, job),
                }
            }
        }
        self.parked.retain(|_, jobs| !jobs.is_empty());
        any
    }

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

/// The name of what keeps jobs from their beginning.
pub(crate) type Obstacle = Box<[u8]>;

/// A condition under which a job begins. The pool asks it under its lock.
pub(crate) trait Condition: Send + Sync {
    /// Whether anybody wants the job. A full queue drops jobs that nobody wants.
    fn is_wanted(&self) -> bool;
    /// Returns what keeps the job from its beginning. All jobs with this obstacle may begin once it is
    /// out of the way, unless they have another one.
    fn obstacle(&self) -> Option<Obstacle>;
    /// Takes the job's place among those that run. Without one, the job waits until another ends.
    ///
    /// # Errors
    ///
    /// The job's [`obstacle`](Self::obstacle).
    fn try_begin(&self) -> Result<(), Obstacle>;
    /// Gives the place back.
    fn end(&self);
}

/// A job for a thread.
pub(crate) struct Job {
    small: bool,
    due: u64,
    condition: Option<Box<dyn Condition>>,
    run: Box<dyn FnOnce() + Send>,
}

impl Job {
    pub(crate) fn new(small: bool, run: impl FnOnce() + Send + 'static) -> Self {
        Self { small, due: 0, condition: None, run: Box::new(run) }
    }

    /// Sets the job's place in the queue, before all that are due later.
    pub(crate) fn due(mut self, due: u64) -> Self {
        self.due = due;
        self
    }

    pub(crate) fn on(mut self, condition: impl Condition + 'static) -> Self {
        self.condition = Some(Box::new(condition));
        self
    }

    /// Runs the job on the calling thread.
    pub(crate) fn run(self) {
        (self.run)();
    }

    fn is_wanted(&self) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.is_wanted())
    }

    fn obstacle(&self) -> Option<Obstacle> {
        self.condition.as_ref().and_then(|condition| condition.obstacle())
    }

    fn try_begin(&self) -> Result<(), Obstacle> {
        self.condition.as_ref().map_or(Ok(()), |condition| condition.try_begin())
    }
}

/// A job that the pool did not take.
pub(crate) struct Refused {
    pub(crate) job: Job,
    /// Whether no thread can be had. Otherwise the queue is full, or the pool is closed.
    pub(crate) lacks_thread: bool,
}

impl ThreadPool {
    pub(crate) fn new(name: &'static str, limits: Limits) -> Self {
        let limits = Limits { threads: limits.threads.max(2), ..limits };
        Self(Arc::new(Owner(Arc::new(Shared {
            name,
            limits,
            state: Mutex::default(),
            work: Condvar::new(),
            warned: AtomicBool::new(false),
            #[cfg(test)]
            lacks_threads: AtomicBool::new(false),
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
        self.submit_job(priority, Job::new(small, run)).is_ok()
    }

    /// Queues `job`, or returns it.
    pub(crate) fn submit_job(&self, priority: Priority, job: Job) -> Result<(), Refused> {
        let shared = &self.0.0;
        let mut state = shared.lock();
        let unwanted = match state.ahead(priority) >= shared.limits.queue {
            true => state.lane(priority).take_unwanted(),
            false => Vec::new(),
        };
        let result = shared.enqueue(&mut state, priority, job);
        drop(state);
        // A job may own the last handle of this pool.
        drop(unwanted);
        if result.is_ok() {
            shared.work.notify_all();
        }
        result
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

    /// Lets no further thread start.
    #[cfg(test)]
    pub(crate) fn lack_threads(&self) {
        self.0.0.lacks_threads.store(true, Ordering::Relaxed);
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

    /// Counts the jobs before which a job of this priority may not wait. Jobs of the background take no
    /// place in the queue from requests.
    fn ahead(&self, priority: Priority) -> usize {
        match priority {
            Priority::Foreground => self.foreground.waiting(),
            Priority::Background => self.waiting(),
        }
    }

    fn waiting(&self) -> usize {
        self.foreground.waiting() + self.background.waiting()
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

    fn take(self, lane: &mut Lane) -> Option<Job> {
        if self == Self::Spare && lane.stalls_in() != Some(Duration::ZERO) {
            return None;
        }
        let takes = |job: &Job| job.small || self != Self::ForegroundSmall;
        while let Some(job) =
            lane.queue.iter().position(takes).and_then(|index| lane.queue.remove(index))
        {
            match job.try_begin() {
                Ok(()) => {
                    if self != Self::Spare {
                        lane.taken = clock();
                    }
                    return Some(job);
                }
                Err(obstacle) => lane.park(obstacle, job),
            }
        }
        None
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let clear =
            |lane: &mut Lane| (std::mem::take(&mut lane.queue), std::mem::take(&mut lane.parked));
        let waited = (clear(&mut state.foreground), clear(&mut state.background));
        drop(state);
        self.work.notify_all();
        drop(waited);
    }

    fn enqueue(
        self: &Arc<Self>,
        state: &mut Lanes,
        priority: Priority,
        job: Job,
    ) -> Result<(), Refused> {
        if state.closed || state.ahead(priority) >= self.limits.queue {
            return Err(Refused { job, lacks_thread: false });
        }
        let lane = state.lane(priority);
        let small = job.small;
        let at = lane.insert(job);
        if lane.idle < lane.queue.len()
            && Self::spawn_worker(self, lane, priority, small).is_err()
            && lane.threads == 0
            && let Some(job) = lane.queue.remove(at)
        {
            return Err(Refused { job, lacks_thread: true });
        }
        Ok(())
    }

    /// Starts a thread. Its failure is logged once, until another one starts.
    fn start(shared: &Arc<Self>, role: Role) -> std::io::Result<()> {
        let of_thread = Arc::clone(shared);
        let thread = thread::Builder::new().name(shared.name.to_owned());
        #[cfg(test)]
        let thread = match shared.lacks_threads.load(Ordering::Relaxed) {
            // No system has room for such a stack.
            true => thread.stack_size(usize::MAX / 2),
            false => thread,
        };
        let started = thread.spawn(move || of_thread.work(role)).map(drop);
        let warned = shared.warned.swap(started.is_err(), Ordering::Relaxed);
        if let Err(error) = &started
            && !warned
        {
            log::error!(%error, "cannot start a thread for {}", shared.name);
        }
        started
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
            priority::lowest();
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
                let Job { condition, run, .. } = job;
                // A job that panics drops its guards while it unwinds, which wakes waiting tasks.
                // The thread lives on for other jobs.
                if catch_unwind(AssertUnwindSafe(run)).is_err() {
                    log::error!("a job of {} panicked", self.name);
                }
                if let Some(condition) = &condition {
                    condition.end();
                }
                drop(condition);
                state = self.lock();
                state.lane(role.priority()).running -= 1;
                // Jobs of both priorities take the same places.
                if state.foreground.unpark() | state.background.unpark() {
                    self.work.notify_all();
                }
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

    /// Holds the one thread of a pool until the returned sender is dropped.
    fn hold(pool: &ThreadPool) -> mpsc::Sender<()> {
        let (hold, held) = mpsc::channel::<()>();
        let (sender, receiver) = mpsc::channel();
        assert!(pool.submit(Priority::Foreground, false, move || {
            sender.send(()).unwrap();
            let _ = held.recv();
        }));
        receiver.recv_timeout(SOON).unwrap();
        hold
    }

    #[test]
    fn job_that_is_due_earlier_runs_first() {
        let pool = pool(2, 16);
        let hold = hold(&pool);
        let order = Arc::new(Mutex::new(Vec::new()));
        for due in [30, 10, 20, 10] {
            let order = Arc::clone(&order);
            let job = Job::new(false, move || order.lock().unwrap().push(due)).due(due);
            assert!(pool.submit_job(Priority::Foreground, job).is_ok());
        }
        drop(hold);
        pool.drain();
        assert_eq!(*order.lock().unwrap(), [10, 10, 20, 30]);
    }

    /// A condition that lets one job run at a time.
    #[derive(Clone, Default)]
    struct OneAtATime {
        name: &'static [u8],
        runs: Arc<AtomicBool>,
        is_unwanted: bool,
    }

    impl Condition for OneAtATime {
        fn is_wanted(&self) -> bool {
            !self.is_unwanted
        }

        fn obstacle(&self) -> Option<Obstacle> {
            self.runs.load(Ordering::SeqCst).then(|| self.name.into())
        }

        fn try_begin(&self) -> Result<(), Obstacle> {
            match self.runs.swap(true, Ordering::SeqCst) {
                true => Err(self.name.into()),
                false => Ok(()),
            }
        }

        fn end(&self) {
            self.runs.store(false, Ordering::SeqCst);
        }
    }

    #[test]
    fn job_waits_for_its_condition_and_delays_no_other() {
        let pool = pool(2, 16);
        let one = OneAtATime::default();
        let (hold, held) = mpsc::channel::<()>();
        let (sender, receiver) = mpsc::channel();
        let first = Job::new(true, move || {
            let _ = held.recv();
        })
        .on(one.clone());
        assert!(pool.submit_job(Priority::Foreground, first).is_ok());
        while !one.runs.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        for name in ["second", "third"] {
            let sender = sender.clone();
            let job = Job::new(true, move || sender.send(name).unwrap()).on(one.clone());
            assert!(pool.submit_job(Priority::Foreground, job).is_ok());
        }
        assert!(pool.submit(Priority::Foreground, true, move || sender.send("free").unwrap()));
        assert_eq!(receiver.recv_timeout(SOON), Ok("free"));
        assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err());
        drop(hold);
        let mut next = [receiver.recv_timeout(SOON), receiver.recv_timeout(SOON)];
        next.sort_unstable_by_key(|next| next.ok());
        assert_eq!(next, [Ok("second"), Ok("third")]);
    }

    /// A hung mount's reads waited in front of those of a directory beside it, which never began once
    /// the last of them had ended.
    #[test]
    fn job_begins_when_its_condition_allows_it_although_others_wait_in_front() {
        let pool = pool(2, 64);
        let hung = OneAtATime { name: b"hung", ..OneAtATime::default() };
        hung.runs.store(true, Ordering::SeqCst);
        for _ in 0..5 {
            let job = Job::new(true, || panic!("its condition does not allow it"));
            assert!(pool.submit_job(Priority::Foreground, job.on(hung.clone())).is_ok());
        }
        for priority in [Priority::Foreground, Priority::Background] {
            let one = OneAtATime { name: b"one", ..OneAtATime::default() };
            let (hold, held) = mpsc::channel::<()>();
            let first = Job::new(true, move || _ = held.recv()).on(one.clone());
            assert!(pool.submit_job(Priority::Foreground, first).is_ok());
            while !one.runs.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            let (sender, receiver) = mpsc::channel();
            let second = Job::new(true, move || sender.send(()).unwrap()).on(one);
            assert!(pool.submit_job(priority, second).is_ok());
            while pool.0.0.lock().lane(priority).queue.iter().next().is_some() {
                thread::yield_now();
            }
            drop(hold);
            receiver.recv_timeout(SOON).expect("the first one has ended");
        }
    }

    #[test]
    fn full_queue_drops_jobs_that_nobody_wants() {
        let pool = pool(2, 2);
        let hold = hold(&pool);
        let unwanted = OneAtATime { is_unwanted: true, ..OneAtATime::default() };
        for _ in 0..5 {
            let job = Job::new(false, || panic!("nobody wants it")).on(unwanted.clone());
            assert!(pool.submit_job(Priority::Foreground, job).is_ok());
        }
        let job = || Job::new(false, || {});
        assert!(pool.submit_job(Priority::Foreground, job()).is_ok());
        assert!(pool.submit_job(Priority::Foreground, job()).is_ok());
        assert!(pool.submit_job(Priority::Foreground, job()).is_err(), "both are wanted");
        drop(hold);
        pool.drain();
    }

    /// At the limit of a user's processes each long file cost a 503 and a line of the log.
    #[test]
    fn pool_without_a_thread_returns_the_job_and_with_one_runs_it() {
        let pool = pool(4, 16);
        pool.lack_threads();
        let (sender, receiver) = mpsc::channel();
        let of_first = sender.clone();
        let job = Job::new(false, move || of_first.send("by the caller").unwrap());
        let Err(refused) = pool.submit_job(Priority::Foreground, job) else { panic!("no thread") };
        assert!(refused.lacks_thread);
        refused.job.run();
        assert_eq!(receiver.recv_timeout(SOON), Ok("by the caller"));
        assert!(pool.0.0.warned.load(Ordering::Relaxed), "told once");

        pool.0.0.lacks_threads.store(false, Ordering::Relaxed);
        let hold = hold(&pool);
        assert!(!pool.0.0.warned.load(Ordering::Relaxed), "the next lack is told again");
        pool.lack_threads();
        assert!(pool.submit(Priority::Foreground, false, move || sender.send("queued").unwrap()));
        drop(hold);
        assert_eq!(receiver.recv_timeout(SOON), Ok("queued"));
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
