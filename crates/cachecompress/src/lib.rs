//! Compress every static file exactly once, keep the result on disk, and never make anyone wait.

pub mod cache;
pub mod codec;
mod error;
mod flight;
pub mod fs;
mod metrics;
mod progress;
pub mod semantics;
pub mod source;
mod sync;
mod threads;

pub use cache::Cache;
pub use codec::Preference;
pub use error::{Error, ErrorKind};
pub use metrics::{EncodeMetrics, Metrics, Outcome};
pub use source::{Directory, Embedded, Memory, Overlay, Source};
