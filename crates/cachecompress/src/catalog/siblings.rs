//! The coded files beside a file: `app.js.br` beside `app.js`.

use std::sync::Arc;
use std::time::Instant;

use super::held::{Seen, Sibling};
use super::lookup::{Loaded, Looked};
use super::requests::{Catalog, millis};
use super::resource::Resource;
use crate::concurrency::sync::clock;
use crate::concurrency::timer;
use crate::error::Error;
use crate::http::{CodedFile, ContentCoding, SourcePath, sibling_path};
use crate::source::Found;

impl Catalog {
    /// Looks for the file in `coding` beside that of `resource`, by a lookup that began at most
    /// `revalidate` ago. `None` for a coding or a resource that has none.
    ///
    /// A file that is not shorter than the resource counts as missing, and is not hashed for long.
    ///
    /// One that cannot be read, changes, or whose lookup takes longer than patience is passed over for
    /// this time. As for any file, a hash that has begun is waited for: an encode would take longer.
    pub(crate) async fn sibling(
        &self,
        resource: &Resource,
        coding: &ContentCoding,
    ) -> Option<Sibling> {
        if resource.brought.is_some() {
            return None;
        }
        let path = sibling_path(&resource.path, coding)?;
        let (at, fresh) = (clock(), millis(self.revalidate() / 2));
        let nothing = |at| Sibling { file: None, seen: Seen::Nothing { at, fresh } };
        if let Some(then) = self.absent().get(&path)
            && at.saturating_sub(then) < fresh
        {
            return Some(nothing(then));
        }
        let looked = self.looked(&path, || None);
        let looked = match Instant::now().checked_add(self.patience()) {
            Some(deadline) => timer::until(deadline, looked).await,
            None => Some(looked.await),
        };
        let Some(Ok(looked)) = looked else { return Some(Sibling::UNKNOWN) };
        let is_missing = match &looked {
            // The drop of the hash ends it.
            Looked::Hashing(found, _) => found.len >= resource.len,
            Looked::Loaded(Loaded::File(found, _)) => {
                let coded = found.coded.as_ref().map_or(found.len, |coded| coded.len);
                coded >= resource.len
            }
            Looked::Loaded(Loaded::Directory | Loaded::Nothing) => true,
        };
        if is_missing {
            self.absent().insert(path, at);
            return Some(nothing(at));
        }
        Some(match self.hashed_within(looked, Some(self.patience())).await {
            Ok(Loaded::File(found, _)) => Sibling {
                file: coded_file(&found, coding),
                seen: self.hold(&found, Vec::new()).map_or(Seen::Never, Seen::File),
            },
            Ok(Loaded::Directory | Loaded::Nothing) | Err(_) => Sibling::UNKNOWN,
        })
    }
}

impl Catalog {
    /// Looks a coded file up again, as it is. Blocks on the disk.
    pub(crate) fn open_coded(&self, path: &SourcePath) -> Result<Found, Error> {
        self.undecoded().lookup(path)
    }
}

/// Describes the file of `found` as one in `coding`; `None` without a digest.
fn coded_file(found: &Resource, coding: &ContentCoding) -> Option<Arc<CodedFile>> {
    // Its name already says that it is coded.
    if let Some(coded) = &found.coded {
        return (coded.coding == *coding).then(|| Arc::clone(coded));
    }
    let digest = found.digest()?;
    Some(Arc::new(CodedFile {
        path: found.path.clone(),
        coding: coding.clone(),
        digest,
        len: found.len,
        bytes: found.bytes.clone(),
    }))
}
