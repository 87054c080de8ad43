//! The processor time of jobs, of which a part may be spent by threads that a foreign library
//! starts and tells nothing of.

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// What other threads have spent for this one.
    static ELSEWHERE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The time that this thread has spent on the processor, and [`Hired`] ones for it.
pub(crate) fn time() -> Duration {
    here() + ELSEWHERE.get()
}

#[cfg(all(unix, not(cachecompress_portable)))]
fn here() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The time that has passed, where the platform does not say more.
#[cfg(not(all(unix, not(cachecompress_portable))))]
fn here() -> Duration {
    Duration::from_millis(crate::concurrency::sync::clock())
}

/// ThreadPool that something else started. Their time is known on Linux; elsewhere it counts as
/// none.
#[cfg(feature = "zstd")]
#[derive(Debug)]
pub(crate) struct Hired(name::Name);

#[cfg(feature = "zstd")]
impl Hired {
    /// Runs `start`, and knows the threads that it starts.
    pub(crate) fn by<T>(start: impl FnOnce() -> T) -> (Self, T) {
        let name = name::Name::new();
        let started = name.borne_while(start);
        (Self(name), started)
    }

    /// Has what they have spent so far counted as this thread's. Those that have ended are not
    /// among them.
    pub(crate) fn settle(self) {
        ELSEWHERE.set(ELSEWHERE.get() + self.0.time());
    }
}

/// A thread bears the name of the one that starts it, until it is given another: so one that
/// nobody else bears tells them from all others.
#[cfg(all(feature = "zstd", target_os = "linux", not(cachecompress_portable)))]
#[allow(clippy::disallowed_methods, reason = "the kernel's own tables are on no disk")]
mod name {
    use std::ffi::CString;
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[derive(Debug)]
    pub(super) struct Name(String);

    impl Name {
        pub(super) fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            // The kernel keeps 15 bytes.
            Self(format!("cc-hired-{}", NEXT.fetch_add(1, Ordering::Relaxed) % 1_000_000))
        }

        pub(super) fn borne_while<T>(&self, start: impl FnOnce() -> T) -> T {
            let former = rustix::thread::name();
            if let Ok(name) = CString::new(self.0.as_str()) {
                let _ = rustix::thread::set_name(&name);
            }
            let started = start();
            if let Ok(name) = former {
                let _ = rustix::thread::set_name(&name);
            }
            started
        }

        /// What all who bear it have spent.
        pub(super) fn time(&self) -> Duration {
            let Ok(threads) = fs::read_dir("/proc/self/task") else { return Duration::ZERO };
            threads.flatten().filter_map(|thread| self.time_of(&thread.path())).sum()
        }

        fn time_of(&self, thread: &Path) -> Option<Duration> {
            let name = fs::read_to_string(thread.join("comm")).ok()?;
            if name.trim_end() != self.0 {
                return None;
            }
            let times = fs::read_to_string(thread.join("schedstat")).ok()?;
            times.split(' ').next()?.parse().ok().map(Duration::from_nanos)
        }
    }
}

#[cfg(all(feature = "zstd", not(all(target_os = "linux", not(cachecompress_portable)))))]
mod name {
    use std::time::Duration;

    #[derive(Debug)]
    pub(super) struct Name;

    impl Name {
        pub(super) fn new() -> Self {
            Self
        }

        pub(super) fn borne_while<T>(&self, start: impl FnOnce() -> T) -> T {
            start()
        }

        pub(super) fn time(&self) -> Duration {
            Duration::ZERO
        }
    }
}

#[cfg(all(test, feature = "zstd", target_os = "linux", not(cachecompress_portable)))]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    const WORK: Duration = Duration::from_millis(30);

    fn work() {
        let until = here() + WORK;
        while here() < until {}
    }

    /// std names the threads that it starts, so their names are taken back here.
    #[test]
    fn what_hired_threads_spend_is_counted_and_nobody_elses() {
        thread::Builder::new()
            .name("cc-test".to_owned())
            .spawn(|| {
                let (worked, done) = channel();
                let (end, ended) = channel::<()>();
                let (hired, thread) = Hired::by(|| {
                    let mine = rustix::thread::name().unwrap();
                    assert_ne!(mine.to_bytes(), b"cc-test");
                    thread::spawn(move || {
                        rustix::thread::set_name(&mine).unwrap();
                        work();
                        worked.send(()).unwrap();
                        let _ = ended.recv();
                    })
                });
                assert_eq!(rustix::thread::name().unwrap().to_bytes(), b"cc-test");
                let (other, ()) = Hired::by(|| ());
                done.recv().unwrap();
                let before = time();
                other.settle();
                assert!(time() - before < WORK, "there are none");
                let before = time();
                hired.settle();
                assert!(time() - before >= WORK);
                drop(end);
                thread.join().unwrap();
            })
            .unwrap()
            .join()
            .unwrap();
    }
}
