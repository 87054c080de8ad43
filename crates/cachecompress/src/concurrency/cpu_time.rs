//! The processor time of a thread, and the pressure on the processors.

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

/// The share of the last ten seconds in which some task of the machine waited for a processor, in per cent;
/// `None` where the system does not tell (`/proc/pressure/cpu` of Linux).
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
#[allow(clippy::disallowed_methods, reason = "the kernel answers, and no disk")]
pub(crate) fn pressure() -> Option<f64> {
    pressure_in(&std::fs::read_to_string("/proc/pressure/cpu").ok()?)
}

#[cfg(not(all(target_os = "linux", not(cachecompress_portable))))]
pub(crate) fn pressure() -> Option<f64> {
    None
}

/// Reads `some avg10` of the text `some avg10=1.53 avg60=… …`.
#[cfg(any(test, all(target_os = "linux", not(cachecompress_portable))))]
fn pressure_in(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split_ascii_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

/// The scheduling policy of this thread, as the kernel numbers them.
#[cfg(all(test, target_os = "linux", not(cachecompress_portable)))]
#[allow(clippy::disallowed_methods, reason = "the kernel answers, and no disk")]
pub(crate) fn policy_of_thread() -> Option<u32> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
    // The name before it may have spaces. The policy is the 41st field, the 39th behind the name.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(38)?.parse().ok()
}

#[cfg(test)]
#[test]
fn pressure_is_that_of_some_tasks_within_ten_seconds() {
    let text =
        "some avg10=1.53 avg60=2.04 avg300=1.90 total=9\nfull avg10=7.00 avg60=0.00 total=0\n";
    assert_eq!(pressure_in(text), Some(1.53));
    assert_eq!(pressure_in("full avg10=7.00\n"), None);
    assert_eq!(pressure_in(""), None);
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
