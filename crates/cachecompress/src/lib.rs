//! Compress every static file exactly once, keep the result on disk, and never make anyone wait.

pub mod codec;
mod error;
pub mod fs;
pub mod semantics;
pub mod source;

pub use codec::Preference;
pub use error::{Error, ErrorKind};
pub use source::{Directory, Embedded, Memory, Overlay, Source};
