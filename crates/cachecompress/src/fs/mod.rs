//! The crate's only door to the file system, for the cache and for sources.
//!
//! [`Disk`] is narrow on purpose: a test can put a disk that fails at its k-th call under all of
//! the crate's code. [`RealDisk`] is the operating system's. [`MemoryDisk`] is forgotten with the
//! process.
//!
//! The traits stand by role: [`Disk`] is a file system, [`DiskFile`] an open file, [`DiskLock`] a
//! held lock, and [`DiskRoot`] the directory of a source.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the door that std::fs is forbidden everywhere else for"
)]

/// An open file of the standard library, as embedders bring it.
pub(crate) type StdFile = std::fs::File;

mod disk;
mod file;
mod lock;
mod memory;
mod os;
mod root;
mod stat;

pub use disk::Disk;
pub use file::DiskFile;
pub(crate) use file::{SystemFile, read_full};
pub use lock::DiskLock;
pub use memory::MemoryDisk;
pub use os::{PRIVATE_PREFIX, RealDisk};
pub(crate) use os::{
    from_std, is_exhausted, leads_nowhere, name_to_bytes, path_from_bytes, real_path,
};
pub(crate) use root::RefusedLink;
pub use root::{DiskRoot, Symlinks};
pub(crate) use stat::nanos;
pub use stat::{FileKind, Fingerprint, Stat};

/// Reads a short file of the system's, such as one of keys: at most 64 KiB of it. Follows symlinks.
#[cfg(feature = "tier")]
pub(crate) fn read_small(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(64 * 1024).read_to_end(&mut bytes)?;
    Ok(bytes)
}
