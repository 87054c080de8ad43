//! The way to a file beneath a root: its symlinks, and the errors which say that it leads nowhere.

use std::io;
use std::path::{Component, Path, PathBuf};

use cap_std::fs::Dir;

use super::platform;
use crate::fs::RefusedLink;
use crate::limits::LINKS;

/// Resolves the symlinks of `path` beneath `root`, which has none itself. Returns a path beneath
/// `root` without symlinks.
///
/// Each symlink's target must lie in the root. A later change is for the caller to notice: the files
/// are only looked at.
///
/// # Errors
///
/// A [`RefusedLink`] if a target lies outside or cannot be found out; `NotFound` for a dangling
/// symlink in the root and for too many symlinks; or as [`std::fs::symlink_metadata`].
pub(super) fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut resolved = PathBuf::new();
    let mut followed = 0;
    for prefix in prefixes(path) {
        let Some(name) = prefix.file_name() else { continue };
        resolved.push(name);
        let named = root.join(&resolved);
        if !std::fs::symlink_metadata(&named)?.is_symlink() {
            continue;
        }
        followed += 1;
        if followed > LINKS {
            return Err(io::ErrorKind::NotFound.into());
        }
        resolved = target_within(root, &named, &prefix)?;
    }
    Ok(resolved)
}

/// Returns the path beneath `root` to which the symlink `named` leads. Its path in the request is
/// `path`.
fn target_within(root: &Path, named: &Path, path: &Path) -> io::Result<PathBuf> {
    let refused = || io::Error::from(RefusedLink { path: path.to_owned() });
    match std::fs::canonicalize(named) {
        Ok(target) => match target.strip_prefix(root) {
            Ok(target) => Ok(target.to_owned()),
            Err(_) => Err(refused()),
        },
        Err(error) if leads_nowhere(&error) => {
            // By now it may be no symlink.
            let Ok(target) = std::fs::read_link(named) else { return Err(error) };
            let is_outside = target.is_absolute() && !target.starts_with(root);
            Err(if is_outside { refused() } else { error })
        }
        // A directory outside may be closed to the process, or its disk be gone. It is none of ours.
        Err(_) => Err(refused()),
    }
}

/// Returns the absolute `path` without symlinks. The part of it that does not exist stays as it is.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let existing = path.ancestors().find_map(|above| Some((above, real(above)?)));
    match existing {
        Some((above, real)) => real.join(path.strip_prefix(above).unwrap_or(Path::new(""))),
        None => path.to_owned(),
    }
}

/// Refuses a path with a symlink in it.
pub(super) fn refuse_any(dir: &Dir, path: &Path) -> io::Result<()> {
    for path in prefixes(path) {
        if dir.symlink_metadata(&path)?.is_symlink() {
            return Err(RefusedLink { path }.into());
        }
    }
    Ok(())
}

/// Lists the paths of the directories on the way to `path`, and `path` itself.
fn prefixes(path: &Path) -> impl Iterator<Item = PathBuf> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    names.scan(PathBuf::new(), |prefix, name| {
        prefix.push(name);
        Some(prefix.clone())
    })
}

/// Whether `error` says that the path leads to nothing, rather than that something is there and
/// cannot be read.
///
/// The cases are: no such file, a file in place of a directory, symlinks in a circle, a name that no
/// file can have.
pub(crate) fn leads_nowhere(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
        || platform::is_impossible_path(error)
}
