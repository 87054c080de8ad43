//! Times as numbers.

use std::time::{Duration, SystemTime};

/// A time in Unix seconds.
pub(crate) fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}
