//! Numbers with a range.

use crate::limits;

/// Parses a number of threads.
pub(super) fn threads() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=limits::MAX_THREADS)
}

/// Parses a count of 1 to `most`.
pub(super) fn count(most: i64) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=most)
}
