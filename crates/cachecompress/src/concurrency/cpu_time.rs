//! The processor time of a thread.

use std::time::Duration;

/// The time that this thread has spent on the processor.
#[cfg(all(unix, not(cachecompress_portable)))]
pub(crate) fn time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The time that has passed, where the platform does not say more.
#[cfg(not(all(unix, not(cachecompress_portable))))]
pub(crate) fn time() -> Duration {
    Duration::from_millis(crate::concurrency::sync::clock())
}

#[cfg(all(test, unix, not(cachecompress_portable)))]
mod tests {
    use super::*;

    #[test]
    fn time_advances_with_work_and_not_with_sleep() {
        const SLEEP: Duration = Duration::from_millis(200);
        let before = time();
        std::thread::sleep(SLEEP);
        assert!(time() - before < SLEEP);
        let until = time() + Duration::from_millis(1);
        while time() < until {}
    }
}
