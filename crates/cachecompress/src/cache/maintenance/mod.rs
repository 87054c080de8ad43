//! The care of a cache's directory: `verify` and `gc`, without a cache being opened.

mod files;
mod gc;
mod verify;

pub use files::{CacheFiles, Care, Litter};
pub use gc::GcSummary;
pub use verify::VerifySummary;
