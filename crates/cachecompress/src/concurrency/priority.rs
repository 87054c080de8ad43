//! The priorities of threads.

/// Sets nice 19 for the calling thread. On Linux a "process" of `setpriority` is a thread.
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
pub(crate) fn lowest() {
    let _ = rustix::process::setpriority_process(None, 19);
}

/// Leaves the priority unchanged: elsewhere all threads of a process share one.
#[cfg(not(all(target_os = "linux", not(cachecompress_portable))))]
pub(crate) fn lowest() {}

/// Lets the calling thread run only while no other wants its processor, and the threads that it starts, too.
/// Where the system has no such policy, the priority is the lowest.
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
#[allow(unsafe_code, reason = "no safe wrapper of `sched_setscheduler` is among the dependencies")]
pub(crate) fn idle() {
    // `nice` counts among threads of the same policy, and where the policy is refused.
    lowest();
    // SAFETY: an all-zero `sched_param` is a valid one.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the call reads the parameters, which live until it returns. 0 is the calling thread.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
}

#[cfg(not(all(target_os = "linux", not(cachecompress_portable))))]
pub(crate) fn idle() {
    lowest();
}

#[cfg(all(test, target_os = "linux", not(cachecompress_portable)))]
mod tests {
    use super::*;

    #[test]
    fn idle_thread_has_the_idle_policy() {
        let policy = std::thread::spawn(|| {
            idle();
            crate::concurrency::cpu_time::policy_of_thread()
        });
        assert_eq!(policy.join().unwrap(), Some(5), "SCHED_IDLE");
        assert_eq!(
            crate::concurrency::cpu_time::policy_of_thread(),
            Some(0),
            "of that thread alone"
        );
    }
}
