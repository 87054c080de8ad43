//! The buckets in which the times of requests are counted.
//!
//! Their bounds are powers of two of 1/1024 ms, with four equal steps between two of them. So a time's
//! bucket is found without a search, a quantile is at most a quarter off, and the bounds that
//! Prometheus gets are bounds here, too.

use std::time::Duration;

use crate::limits::LONGEST_MEASURED_TIME;

/// The steps between two powers of two, as a power of two.
const STEP_BITS: u32 = 2;
const STEPS: usize = 1 << STEP_BITS;
/// Units in a millisecond.
const UNITS_PER_MILLI: u64 = 1024;
/// The power of two that is the longest time that is told from others.
const LAST_POWER: u32 = (LONGEST_MEASURED_TIME * UNITS_PER_MILLI).ilog2();
/// The number of buckets. The last one has no bound.
pub(super) const BUCKETS: usize = ((LAST_POWER - STEP_BITS + 1) as usize) * STEPS + 1;

/// The bounds that Prometheus gets, in units, from a sixteenth of a millisecond to a minute. Each is twice
/// the one before where most times lie, and four times elsewhere.
pub(super) const BOUNDS: [u64; 17] = [
    1 << 6,
    1 << 8,
    1 << 9,
    1 << 10,
    1 << 11,
    1 << 12,
    1 << 13,
    1 << 14,
    1 << 15,
    1 << 16,
    1 << 17,
    1 << 18,
    1 << 19,
    1 << 20,
    1 << 22,
    1 << 24,
    1 << 26,
];

/// A time in units, rounded up, so that a bound holds itself.
pub(super) fn units(time: Duration) -> u64 {
    // 1,024 units are 1,000,000 ns.
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX >> 10);
    (nanos << 4).div_ceil(15_625)
}

/// Seconds of so many units.
pub(super) fn seconds(units: u64) -> f64 {
    units as f64 / (UNITS_PER_MILLI * 1000) as f64
}

/// The bucket of a time in units. A bucket holds its upper bound, and not its lower one.
pub(super) fn bucket(units: u64) -> usize {
    let before = units.saturating_sub(1);
    let power = before.checked_ilog2().unwrap_or(0);
    if power < STEP_BITS {
        return before as usize;
    }
    let step = (before >> (power - STEP_BITS)) as usize & (STEPS - 1);
    let place = ((power - STEP_BITS + 1) as usize) * STEPS + step;
    place.min(BUCKETS - 1)
}

/// The upper bound of a bucket, in units.
pub(super) fn bound(bucket: usize) -> u64 {
    let (octave, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    match octave {
        0 => step + 1,
        _ => (STEPS as u64 + step + 1) << (octave - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_holds_what_lies_between_its_bounds() {
        for place in 0..BUCKETS - 1 {
            assert_eq!(bucket(bound(place)), place, "{}", bound(place));
            assert_eq!(bucket(bound(place) + 1), place + 1, "{}", bound(place));
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn bound_of_prometheus_is_that_of_a_bucket() {
        for each in BOUNDS {
            assert_eq!(bound(bucket(each)), each);
        }
        assert_eq!(BOUNDS.last(), Some(&bound(BUCKETS - 2)));
        assert_eq!(BOUNDS.last(), Some(&(LONGEST_MEASURED_TIME * UNITS_PER_MILLI)));
    }

    #[test]
    fn time_is_as_many_seconds_as_its_units() {
        assert_eq!(units(Duration::from_millis(1)), 1024);
        assert_eq!(units(Duration::from_nanos(1_000_001)), 1025);
        assert!((seconds(units(Duration::from_secs(60))) - 60.0).abs() < 1e-9);
    }
}
