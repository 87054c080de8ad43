//! The care of a cache's directory: `entries`, `verify`, `purge` and `gc`.

mod entries;
mod files;
mod gc;
mod purge;
mod verify;

pub use entries::EntriesSummary;
pub use files::{CacheFiles, Care, Litter};
pub use gc::GcSummary;
pub use purge::PurgeSummary;
pub use verify::VerifySummary;
