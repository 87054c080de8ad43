//! Compress every static file exactly once, keep the result on disk, and never make anyone wait.

mod error;
pub mod semantics;

pub use error::{Error, ErrorKind};
