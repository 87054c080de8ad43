//! The operating system's file system.
//!
//! `platform` is Unix or Windows. Calls that only Linux has lie in a file each, with their fallback
//! beside them; `--cfg cachecompress_portable` chooses the fallbacks on Linux too.

mod absence;
mod disk;
mod lock;
mod nowait;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(not(unix), path = "windows.rs")]
mod platform;
mod preallocate;
mod root;
mod tmpfile;

pub(crate) use absence::leads_nowhere;
pub use disk::RealDisk;
pub(crate) use platform::{is_exhausted, name_to_bytes, path_from_bytes};
pub use tmpfile::PRIVATE_PREFIX;
pub(super) use tmpfile::has_a_name;
