//! Calls that Windows does otherwise. Nobody has run this yet; it is small enough to be read.
//!
//! `std` has no inode change time here, so a fingerprint takes the time of the last modification
//! for it. A program that rewrites a file in place, keeps its size and sets the time back is not
//! noticed.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use cap_fs_ext::{MetadataExt as _, OpenOptionsMaybeDirExt as _};
use cap_std::fs::Dir;

use crate::fs::{FileKind, Fingerprint, Stat};

/// Returns options for a new file. Its directory's access list decides who may read it.
pub(super) fn private_file() -> OpenOptions {
    OpenOptions::new()
}

/// Returns a builder of directories. The parent's access list decides who may read them.
pub(super) fn private_dir() -> DirBuilder {
    DirBuilder::new()
}

pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

pub(super) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
        }
    }
    Ok(())
}

/// Does nothing: a process has no limit for the length of its files on Windows.
pub(super) fn may_be_long(_: u64) -> io::Result<()> {
    Ok(())
}

/// Does nothing: a file that is made longer takes that room on Windows.
pub(super) fn set_sparse_len(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

/// Does nothing: a lock on a file's bytes would keep its own writer out.
pub(super) fn mark_used(_: &File) -> bool {
    true
}

/// Removes `path`. A reader that has it open keeps its bytes.
pub(super) fn remove_unused(path: &Path) -> io::Result<bool> {
    std::fs::remove_file(path).map(|()| true)
}

pub(super) fn stat_file(file: &File) -> io::Result<Stat> {
    let metadata = cap_std::fs::Metadata::from_file(file)?;
    let kind = match metadata.file_type() {
        kind if kind.is_file() => FileKind::Regular,
        kind if kind.is_dir() => FileKind::Directory,
        _ => FileKind::Other,
    };
    let modified = crate::fs::nanos(metadata.modified()?.into_std());
    let fingerprint = Fingerprint {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.len(),
        modified,
        changed: modified,
    };
    Ok(Stat { kind, fingerprint })
}

const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000; // lets a directory be opened
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000; // opens a symlink itself

pub(super) fn stat_path(path: &Path) -> io::Result<Stat> {
    let mut options = OpenOptions::new();
    options.access_mode(0).custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
    stat_file(&options.open(path)?)
}

pub(super) fn stat_link(path: &Path) -> io::Result<Stat> {
    let mut options = OpenOptions::new();
    options.access_mode(0).custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
    stat_file(&options.open(path)?)
}

/// Returns options to open an existing file for reading. Of a symlink they open the link itself,
/// which is then no regular file.
pub(super) fn plain_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    options
}

/// Returns options to open a source's file or directory.
pub(super) fn source_file() -> cap_std::fs::OpenOptions {
    let mut options = cap_std::fs::OpenOptions::new();
    options.read(true).maybe_dir(true);
    options
}

/// Opens a regular file or a directory beneath the root at `path`, through any symlink; `None` for
/// anything else.
pub(super) fn open_following(_: &File, root: &Path, path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
    let file = options.open(root.join(path))?;
    let is_served = stat_file(&file)?.kind != FileKind::Other;
    Ok(is_served.then_some(file))
}

/// Opens a regular file or a directory beneath `root`; `None` for anything else. The caller has looked
/// for symlinks. One that takes a name meanwhile is followed if it stays beneath the root.
pub(super) fn open_without_links(root: &Dir, path: &Path) -> io::Result<Option<File>> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let file = root.open_with(path, &source_file())?.into_std();
    let is_served = stat_file(&file)?.kind != FileKind::Other;
    Ok(is_served.then_some(file))
}

/// Whether no regular file can be at the path: symlinks in a circle.
pub(super) fn is_impossible_path(error: &io::Error) -> bool {
    const ERROR_CANT_RESOLVE_FILENAME: i32 = 1921;
    error.raw_os_error() == Some(ERROR_CANT_RESOLVE_FILENAME)
}

/// Whether no handle is left to the process.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    const ERROR_TOO_MANY_OPEN_FILES: i32 = 4;
    error.raw_os_error() == Some(ERROR_TOO_MANY_OPEN_FILES)
}

/// Returns the path in the file system for a source path's bytes. They must be UTF-8, no name of a
/// device, of a stream or of a drive, and none that Windows would shorten.
pub(crate) fn path_from_bytes(bytes: &[u8]) -> Option<&Path> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.split('/').all(is_plain_name).then(|| Path::new(text))
}

fn is_plain_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |port: &str| {
        let number = stem.strip_prefix(port).map(|rest| rest.chars().collect::<Vec<_>>());
        matches!(number.as_deref(), Some(['0'..='9' | '¹' | '²' | '³']))
    };
    let device = matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT");
    let forbidden = |c: char| c < ' ' || r#"<>:"\|?*"#.contains(c);
    !device && !name.contains(forbidden) && !name.ends_with(['.', ' '])
}

/// Returns the bytes of one name of a directory, as they stand in a source path.
pub(crate) fn name_to_bytes(name: &OsStr) -> Option<Cow<'_, [u8]>> {
    name.to_str().map(|name| Cow::Borrowed(name.as_bytes()))
}
