//! Thread pools, flights and locks, by which concurrent work runs and waits.

pub(crate) mod cpu_time;
pub(crate) mod may_wait;
pub(crate) mod places;
pub(crate) mod priority;
pub(crate) mod progress;
pub(crate) mod singleflight;
pub(crate) mod sync;
pub(crate) mod thread_pool;
pub(crate) mod timer;
pub(crate) mod versioned;
