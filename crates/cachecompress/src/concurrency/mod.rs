//! ThreadPool, flights and locks: what runs at the same time, and who waits for whom.

pub(crate) mod cpu_time;
pub(crate) mod progress;
pub(crate) mod singleflight;
pub(crate) mod sync;
pub(crate) mod thread_pool;
pub(crate) mod versioned;
