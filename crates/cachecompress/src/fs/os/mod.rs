//! The operating system's file system.
//!
//! `platform` is Unix or Windows, chosen here. A call that only Linux has lies in a file of its own
//! with its fallback beside it: `tmpfile` ([`Disk::create_unnamed`](super::Disk::create_unnamed)
//! without a name), `preallocate` ([`DiskFile::reserve`](super::DiskFile::reserve)) and `nowait`
//! (the `…_nowait` calls). `--cfg cachecompress_portable` chooses the fallbacks on Linux too, so
//! that they can be tested there.

mod disk;
mod file;
mod links;
mod lock;
mod nowait;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(not(unix), path = "windows.rs")]
mod platform;
mod preallocate;
mod root;
mod tmpfile;

pub use disk::RealDisk;
pub(crate) use file::from_std;
pub(crate) use links::{leads_nowhere, real_path};
pub(crate) use platform::{is_exhausted, name_to_bytes, path_from_bytes};
pub use tmpfile::PRIVATE_PREFIX;
