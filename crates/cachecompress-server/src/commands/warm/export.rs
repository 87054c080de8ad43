//! The export of coded files for other servers.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use cachecompress::{
    Body, ContentCoding, Directory, Error, ServeCompressed, Source as _, SourcePath, Symlinks,
};
use http::{HeaderMap, Request, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use tempfile::NamedTempFile;
use tower_service::Service as _;

use super::ledger::{self, FileDigest, Ledger};
use super::siblings::{self, Verdict};
use super::temporary;
use crate::exit::Failure;
use crate::printer::EscapedPath;

/// The failure of a file whose source does not stay as it is.
const CHANGED: &str = "it changed while it was exported";

/// A directory that gets coded files, and the list of those that are ours.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) directory: PathBuf,
    symlinks: Symlinks,
    pub(super) ledger: Ledger,
}

/// The end of one export that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exported {
    Written,
    /// The file was there already, with the same bytes.
    Unchanged,
    /// Somebody else's file is there, and holds the source.
    Kept,
}

/// A source, and the file that is to hold it in a coding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub(super) path: &'a SourcePath,
    pub(super) coding: &'a ContentCoding,
    pub(super) source: &'a Path,
    /// The state of the source before it was encoded.
    pub(super) state: &'a Metadata,
}

impl Export {
    /// Creates the directory if there is none, opens its list, and removes the temporary files of exports
    /// that were killed. `symlinks` are those beneath it that are followed.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written, or another export runs.
    pub(super) fn open(directory: PathBuf, symlinks: Symlinks) -> Result<Self, Failure> {
        fs::create_dir_all(&directory).map_err(|error| {
            Failure::Runtime(format!("cannot export to {}: {error}", EscapedPath(&directory)))
        })?;
        let ledger = Ledger::open(&directory)?;
        let export = Self { directory, symlinks, ledger };
        for path in export.paths()?.iter().filter(|path| temporary::is_named_so(path)) {
            let Some(file) = super::selection::file(&export.directory, path) else { continue };
            if let Err(error) = temporary::remove_abandoned(&file) {
                let file = EscapedPath(&file);
                tracing::warn!(%file, %error, "cannot remove the file of a killed export");
            }
        }
        Ok(export)
    }

    /// Lists all files of the directory, whatever serves it.
    ///
    /// # Errors
    ///
    /// If it cannot be listed.
    pub(super) fn paths(&self) -> Result<Vec<SourcePath>, Failure> {
        Ok(all_paths(&self.directory, self.symlinks)?)
    }

    /// Removes a file that an export has written, and its digest.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub(super) fn remove(&self, file: &Path, digest: &str) -> io::Result<()> {
        fs::remove_file(file)?;
        self.ledger.forget(digest);
        Ok(())
    }

    /// Removes the file of an earlier export in a coding that has no representation now, if it does not
    /// hold the `source` any more. Returns its path then.
    ///
    /// # Errors
    ///
    /// A sentence, also if somebody else's file does not hold it.
    pub(super) fn remove_stale(
        &self,
        path: &SourcePath,
        coding: &ContentCoding,
        source: &Path,
    ) -> Result<Option<SourcePath>, String> {
        let Some((path, target)) = self.target(path, coding)? else { return Ok(None) };
        let shown = EscapedPath(&target);
        let failed = |error: io::Error| format!("cannot remove {shown}: {error}");
        if !fs::metadata(&target).is_ok_and(|found| found.is_file()) {
            return Ok(None);
        }
        match siblings::judge(&target, coding, source).map_err(failed)? {
            Verdict::Holds | Verdict::Sourceless => return Ok(None),
            Verdict::Stale | Verdict::Broken(_) => {}
        }
        match self.ledger.find(path.as_bytes(), &target).map_err(failed)? {
            Some(digest) => {
                self.remove(&target, &digest).map_err(failed)?;
                Ok(Some(path))
            }
            None => Err(not_ours(&target)),
        }
    }

    /// The path and the file that hold the source at `path` in `coding`; `None` for a coding whose files
    /// have no name.
    fn target(
        &self,
        path: &SourcePath,
        coding: &ContentCoding,
    ) -> Result<Option<(SourcePath, PathBuf)>, String> {
        let Some(end) = siblings::end_of(coding) else { return Ok(None) };
        let path = [path.as_bytes(), end.as_bytes()].concat();
        let path = SourcePath::parse(&path).ok_or("its name is too long")?;
        let target = super::selection::file(&self.directory, &path);
        Ok(Some((path, target.ok_or("its name is none of this system")?)))
    }

    /// Writes the stored representation of a file, unless the file that is there has its bytes.
    /// `None` for a coding whose files have no name.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub(super) async fn write(
        &self,
        service: &ServeCompressed,
        order: Order<'_>,
    ) -> Result<Option<Exported>, String> {
        let Some((path, target)) = self.target(order.path, order.coding)? else {
            return Ok(None);
        };
        let shown = EscapedPath(&target);
        let failed = |error: io::Error| format!("cannot write {shown}: {error}");
        let found = match fs::symlink_metadata(&target) {
            Ok(found) if found.is_file() => Some(found),
            Ok(_) => return Err(format!("{shown} is no regular file; remove it")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let mut replaced = None;
        if let Some(found) = found {
            let body = coded(service, order).await?;
            let has_len = body.size_hint().exact().is_none_or(|len| len == found.len());
            if has_len && is_same(body, &target).await? {
                give_state(&target, &found, order.state).map_err(failed)?;
                return Ok(Some(Exported::Unchanged));
            }
            replaced = self.ledger.find(path.as_bytes(), &target).map_err(failed)?;
            if replaced.is_none() {
                let judged =
                    siblings::judge(&target, order.coding, order.source).map_err(failed)?;
                return match judged {
                    Verdict::Holds => Ok(Some(Exported::Kept)),
                    _ => Err(not_ours(&target)),
                };
            }
        }
        let body = coded(service, order).await?;
        let digest = FileDigest::of_path(path.as_bytes());
        self.replace(body, &target, digest, order).await?;
        if let Some(digest) = replaced {
            self.ledger.forget(&digest);
        }
        Ok(Some(Exported::Written))
    }

    /// Writes `body` beside `target`, and moves it there.
    async fn replace(
        &self,
        body: Body,
        target: &Path,
        mut digest: FileDigest,
        order: Order<'_>,
    ) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot write {}: {error}", EscapedPath(target));
        let directory = target.parent().unwrap_or(&self.directory);
        fs::create_dir_all(directory).map_err(failed)?;
        let mut beside = temporary::create(directory).map_err(failed)?;
        each_piece(body, |bytes| {
            let written = digest.write_all(bytes).and_then(|()| beside.write_all(bytes));
            written.map_err(failed).map(|()| true)
        })
        .await?;
        let now = fs::metadata(order.source).map_err(failed)?;
        if !is_unchanged(order.state, &now) {
            return Err(CHANGED.to_owned());
        }
        give_all(&beside, order.state).map_err(failed)?;
        self.ledger.add(digest).map_err(failed)?;
        beside.persist(target).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn not_ours(file: &Path) -> String {
    format!("{} is not ours and holds something else; remove it", EscapedPath(file))
}

/// Lists all files of `directory`, those that no server hands out, too.
///
/// # Errors
///
/// If it cannot be listed.
pub(super) fn all_paths(directory: &Path, symlinks: Symlinks) -> Result<Vec<SourcePath>, Error> {
    Directory::new(directory)?.symlinks(symlinks).dotfiles(true).paths()
}

/// Whether `path` has the name of a list or of a temporary file, which are files of no site.
pub(super) fn is_of_export(path: &SourcePath) -> bool {
    path.file_name() == ledger::NAME.as_bytes() || temporary::is_named_so(path)
}

/// The target of a request for the file at `path`, whatever its name.
pub(super) fn target_of(path: &SourcePath) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');
    format!("/{}", percent_encode(path.as_bytes(), ESCAPED))
}

/// Returns the body of the representation that was stored.
async fn coded(service: &ServeCompressed, order: Order<'_>) -> Result<Body, String> {
    let accepted = format!("{}, identity;q=0", order.coding);
    let request = Request::get(target_of(order.path)).header(header::ACCEPT_ENCODING, accepted);
    let request = request.body(()).map_err(|error| error.to_string())?;
    let Ok(response) = (&*service).call(request).await;
    let coding = response.headers().get(header::CONTENT_ENCODING);
    let is_coded = coding.is_some_and(|coding| coding == order.coding.as_str());
    match response.status() {
        StatusCode::OK if is_coded => Ok(response.into_body()),
        _ => Err(reason_for_none(service, order, response.headers()).to_owned()),
    }
}

/// The reason why a representation that was stored before is not answered with, by the fields of the
/// answer.
fn reason_for_none(
    service: &ServeCompressed,
    order: Order<'_>,
    fields: &HeaderMap,
) -> &'static str {
    let status = fields.get("cache-status").and_then(|status| status.to_str().ok());
    let is_unsettled = status.is_some_and(|status| status.ends_with("detail=unsettled"));
    let is_same = fs::metadata(order.source).is_ok_and(|now| is_unchanged(order.state, &now));
    match (is_same && !is_unsettled, service.metrics().evictions) {
        (false, _) => CHANGED,
        (true, 0) => "it is not in the cache any more",
        (true, _) => "it was evicted from the cache; a larger --cache-size keeps it",
    }
}

/// Hands all bytes of `body` to `take`, until that has enough.
async fn each_piece(
    mut body: Body,
    mut take: impl FnMut(&[u8]) -> Result<bool, String>,
) -> Result<(), String> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        if let Some(bytes) = frame.data_ref()
            && !take(bytes)?
        {
            break;
        }
    }
    Ok(())
}

/// Whether `file` has exactly the bytes of `body`.
async fn is_same(body: Body, file: &Path) -> Result<bool, String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", EscapedPath(file));
    let mut file = File::open(file).map_err(failed)?;
    let mut same = true;
    let mut own = Vec::new();
    each_piece(body, |bytes| {
        own.resize(bytes.len(), 0);
        same = match file.read_exact(&mut own) {
            Ok(()) => own == bytes,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(failed(error)),
        };
        Ok(same)
    })
    .await?;
    Ok(same && file.read(&mut [0]).map_err(failed)? == 0)
}

/// Gives a new file the time and the permissions of its source.
fn give_all(file: &NamedTempFile, source: &Metadata) -> io::Result<()> {
    file.as_file().set_modified(source.modified()?)?;
    #[cfg(unix)]
    file.as_file().set_permissions(permissions(source))?;
    Ok(())
}

/// Gives a file the time and the permissions of its source, as far as they differ.
fn give_state(file: &Path, found: &Metadata, source: &Metadata) -> io::Result<()> {
    let modified = source.modified()?;
    if found.modified()? != modified {
        File::options().write(true).open(file)?.set_modified(modified)?;
    }
    #[cfg(unix)]
    if (mode(found) ^ mode(source)) & PERMISSIONS != 0 {
        fs::set_permissions(file, permissions(source))?;
    }
    Ok(())
}

#[cfg(unix)]
const PERMISSIONS: u32 = 0o777;

#[cfg(unix)]
fn mode(file: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(file)
}

#[cfg(unix)]
fn permissions(source: &Metadata) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode(source) & PERMISSIONS)
}

/// Whether both are states of a file with the same bytes.
fn is_unchanged(then: &Metadata, now: &Metadata) -> bool {
    #[cfg(unix)]
    let is_same_file = {
        use std::os::unix::fs::MetadataExt as _;
        let of = |file: &Metadata| (file.dev(), file.ino(), file.ctime(), file.ctime_nsec());
        of(then) == of(now)
    };
    #[cfg(not(unix))]
    let is_same_file = true;
    is_same_file && then.len() == now.len() && then.modified().ok() == now.modified().ok()
}
