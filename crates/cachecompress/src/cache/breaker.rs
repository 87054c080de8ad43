//! The breaker, which takes a cache whose disk does not answer out of use until it does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, PoisonError};
use std::time::Duration;
use std::{io, thread};

use tokio::sync::watch;

use crate::concurrency::may_wait;
use crate::concurrency::sync::{Mutex, MutexGuard, clock, lock};
use crate::limits::{
    CALL_HANGS, CALL_LASTS, CALMS_AFTER, HANGING_CALLS, LONGEST_TRIAL_PAUSE, TRIAL_PAUSE,
    WRITE_HANGS,
};
use crate::log::{self, EscapedPath};

/// The breaker of one cache. It knows all calls to the disk that have not returned.
#[derive(Debug)]
pub(super) struct Breaker {
    root: PathBuf,
    calls: Mutex<Calls>,
    /// Wakes the watching thread, and a trial that pauses.
    changed: Condvar,
    is_out: AtomicBool,
    /// Whether the directory is known to be local, so that a call without a wait may be asked for.
    is_local: AtomicBool,
    outage: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Calls {
    next: u64,
    /// The calls by number, so that the oldest comes first.
    running: BTreeMap<u64, Call>,
    /// The number of the first call that counts: older ones hung when the disk answered others.
    counts_from: u64,
    /// Whether the watching thread waits for a call.
    is_idle: bool,
    /// Whether a write may take no longer than a read.
    is_hurried: bool,
    /// Whether the cache is closed, so that nobody watches any more.
    is_closed: bool,
    /// The trials in a row after which the disk soon hung again.
    relapses: u32,
    /// The time at which the disk answered last after an outage.
    answered: Option<u64>,
    /// Whether the disk has not answered since the start.
    is_opening: bool,
    /// Whether it was logged that the disk does not answer.
    is_told: bool,
}

/// A call that has not returned.
#[derive(Clone, Debug)]
struct Call {
    name: &'static str,
    path: PathBuf,
    /// In milliseconds of [`clock`].
    since: u64,
    /// Whether others may take the call's length for a hang.
    counts: bool,
}

/// A call under way, until it is dropped.
pub(super) struct Running<'a> {
    breaker: &'a Breaker,
    number: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.breaker.calls).running.remove(&self.number);
    }
}

impl Call {
    fn age(&self) -> Duration {
        Duration::from_millis(clock().saturating_sub(self.since))
    }

    /// The age from which on the call hangs.
    fn most(&self, is_hurried: bool) -> Duration {
        match self.name {
            "open" | "stat" | "fstat" | "statfs" | "read" | "readdir" => CALL_HANGS,
            _ if is_hurried => CALL_HANGS,
            _ => WRITE_HANGS,
        }
    }
}

impl Calls {
    /// The call that hangs first of those that count, and the time until it does.
    fn first_to_hang(&self) -> Option<(Duration, &Call)> {
        let counted = self.running.range(self.counts_from..).filter(|(_, call)| call.counts);
        let left = |call: &Call| call.most(self.is_hurried).saturating_sub(call.age());
        counted.map(|(_, call)| (left(call), call)).min_by_key(|(left, _)| *left)
    }

    fn hanging(&self) -> usize {
        self.running.values().filter(|call| call.counts && call.age() >= CALL_HANGS).count()
    }

    /// The pause before the next trial: none, unless the disk has just hung again.
    fn pause(&mut self) -> Duration {
        let calm = |at| clock().saturating_sub(at) >= CALMS_AFTER;
        match self.answered {
            Some(at) if !calm(at) => self.relapses += 1,
            _ => self.relapses = 0,
        }
        match self.relapses.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                TRIAL_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_TRIAL_PAUSE)
            }
        }
    }
}

impl Breaker {
    /// Creates the breaker of the cache in `root`: out of use until its disk has [`answered`].
    ///
    /// [`answered`]: Self::answered
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            calls: Mutex::new(Calls { is_opening: true, ..Calls::default() }),
            changed: Condvar::new(),
            is_out: AtomicBool::new(true),
            is_local: AtomicBool::new(false),
            outage: watch::Sender::new(true),
        }
    }

    /// Creates the breaker of a cache in memory, which always answers.
    pub(super) fn of_memory() -> Self {
        let breaker = Self::new(PathBuf::new());
        breaker.is_out.store(false, Ordering::Relaxed);
        breaker.is_local.store(true, Ordering::Relaxed);
        breaker.outage.send_replace(false);
        breaker
    }

    /// Whether the cache is out of use.
    pub(super) fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Relaxed)
    }

    /// Waits until the cache is out of use.
    pub(super) fn outage(&self) -> impl Future<Output = ()> + use<> {
        let mut outage = self.outage.subscribe();
        async move {
            if outage.wait_for(|is_out| *is_out).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(super) fn is_local(&self) -> bool {
        self.is_local.load(Ordering::Relaxed)
    }

    pub(super) fn set_local(&self, is_local: bool) {
        self.is_local.store(is_local, Ordering::Relaxed);
    }

    /// Notes a call that may wait, until the result is dropped.
    pub(super) fn running(&self, name: &'static str, path: &Path) -> Running<'_> {
        self.enter(name, path, true)
    }

    /// As [`running`](Self::running), for a call that takes long on a healthy disk too.
    pub(super) fn running_long(&self, name: &'static str, path: &Path) -> Running<'_> {
        self.enter(name, path, false)
    }

    fn enter(&self, name: &'static str, path: &Path, counts: bool) -> Running<'_> {
        debug_assert!(may_wait::is_allowed(), "{name} may wait, and this thread must not");
        let call = Call { name, path: path.to_owned(), since: clock(), counts };
        let mut calls = lock(&self.calls);
        let number = calls.next;
        calls.next += 1;
        calls.running.insert(number, call);
        if std::mem::take(&mut calls.is_idle) {
            self.changed.notify_all();
        }
        Running { breaker: self, number }
    }

    /// Fails if the cache is out of use.
    pub(super) fn admit(&self) -> io::Result<()> {
        match self.is_out() {
            true => {
                let why = "the cache's disk does not answer";
                Err(io::Error::new(io::ErrorKind::TimedOut, why))
            }
            false => Ok(()),
        }
    }

    /// Whether `error` is of [`admit`](Self::admit).
    pub(super) fn is_refusal(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none()
    }

    /// Takes the cache out of use whenever a call hangs, and has a `trial` run then. Returns when
    /// the cache is closed.
    pub(super) fn watch(self: &Arc<Self>, trial: &Arc<impl Fn() + Send + Sync + 'static>) {
        let mut calls = lock(&self.calls);
        while !calls.is_closed {
            let left = calls.first_to_hang().filter(|_| !self.is_out()).map(|(left, _)| left);
            match left {
                Some(Duration::ZERO) => {
                    self.trip(calls, trial);
                    calls = lock(&self.calls);
                }
                // A call that begins meanwhile may hang sooner.
                Some(left) => calls = self.wait(calls, left.min(CALL_HANGS)),
                None => {
                    calls.is_idle = true;
                    calls = self.changed.wait(calls).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn wait<'a>(&self, calls: MutexGuard<'a, Calls>, most: Duration) -> MutexGuard<'a, Calls> {
        self.changed.wait_timeout(calls, most).unwrap_or_else(PoisonError::into_inner).0
    }

    fn trip(
        self: &Arc<Self>,
        mut calls: MutexGuard<'_, Calls>,
        trial: &Arc<impl Fn() + Send + Sync + 'static>,
    ) {
        let hung = calls.first_to_hang().map(|(_, call)| call.clone());
        let pause = calls.pause();
        self.is_out.store(true, Ordering::Relaxed);
        drop(calls);
        self.outage.send_replace(true);
        if let Some(hung) = hung {
            self.warn_of(&hung);
        }
        let (breaker, trial) = (Arc::clone(self), Arc::clone(trial));
        let begun = thread::Builder::new().name("cc-trial".to_owned()).spawn(move || {
            may_wait::allow();
            if breaker.sleep(pause) {
                trial();
                breaker.answered();
            }
        });
        if let Err(error) = begun {
            // Without a trial nobody would put the cache to use again.
            log::warn!(%error, "cannot start a thread that tries the cache's disk");
            self.put_to_use();
        }
    }

    fn warn_of(&self, hung: &Call) {
        lock(&self.calls).is_told = true;
        let (cache, call, path) = (EscapedPath(&self.root), hung.name, EscapedPath(&hung.path));
        log::warn!(
            %call, %path,
            "the disk of the cache in {cache} does not answer; until it does, answers go out \
             uncompressed"
        );
    }

    /// Sleeps, unless the cache is closed first. Returns whether it is open.
    fn sleep(&self, pause: Duration) -> bool {
        let until = clock().saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        let mut calls = lock(&self.calls);
        while !calls.is_closed {
            match until.checked_sub(clock()) {
                None | Some(0) => return true,
                Some(left) => calls = self.wait(calls, Duration::from_millis(left)),
            }
        }
        false
    }

    /// Puts the cache to use, now that its disk has answered, unless too many calls still hang.
    pub(super) fn answered(&self) {
        while lock(&self.calls).hanging() > HANGING_CALLS {
            if !self.sleep(TRIAL_PAUSE) {
                return;
            }
        }
        let was_told = {
            let mut calls = lock(&self.calls);
            // The first answer ends no outage.
            if !calls.is_opening {
                calls.answered = Some(clock());
            }
            calls.is_opening = false;
            std::mem::take(&mut calls.is_told)
        };
        self.put_to_use();
        if was_told {
            log::info!("the disk of the cache in {} answers again", EscapedPath(&self.root));
        }
    }

    fn put_to_use(&self) {
        let mut calls = lock(&self.calls);
        calls.counts_from = calls.next;
        // Calls that begin from here on count, so the watching thread is to look again.
        calls.is_idle = false;
        self.is_out.store(false, Ordering::Relaxed);
        drop(calls);
        self.outage.send_replace(false);
        self.changed.notify_all();
    }

    /// Warns that the disk has not answered within the time that a start waits for it.
    pub(super) fn warn_of_start(&self) {
        let hung = lock(&self.calls).running.values().next().cloned();
        if let Some(hung) = hung {
            self.warn_of(&hung);
        }
    }

    /// Tells of the oldest call that does not return.
    pub(super) fn tell_hanging(&self) {
        let oldest = lock(&self.calls).running.values().next().cloned();
        if let Some(hung) = oldest.filter(|call| call.age() >= CALL_LASTS) {
            let (call, path) = (hung.name, EscapedPath(&hung.path));
            log::warn!(
                %call, %path,
                "a call to the cache's disk has not returned for {} s; the system may keep this \
                 process until it does",
                hung.age().as_secs()
            );
        }
    }

    /// Lets a write take no longer than a read from now on, because somebody waits for the end.
    pub(super) fn hurry(&self) {
        lock(&self.calls).is_hurried = true;
        self.changed.notify_all();
    }

    /// Ends the watch.
    pub(super) fn close(&self) {
        lock(&self.calls).is_closed = true;
        self.changed.notify_all();
    }
}
