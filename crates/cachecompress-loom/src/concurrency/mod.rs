//! The library's own files, over loom's primitives.

#[path = "../../../cachecompress/src/concurrency/progress.rs"]
pub(crate) mod progress;
#[path = "../../../cachecompress/src/concurrency/singleflight.rs"]
pub(crate) mod singleflight;
#[path = "../../../cachecompress/src/concurrency/sync.rs"]
pub(crate) mod sync;
#[path = "../../../cachecompress/src/concurrency/versioned.rs"]
pub(crate) mod versioned;
