//! The evidence for a hash in a file's name: the files beside it, and its own content.

use std::io;
use std::sync::Arc;

use quick_cache::sync::Cache;

use super::resource::Resource;
use crate::concurrency::sync::clock;
use crate::fs::read_full;
use crate::http::{ContentHash, Hasher, NameEvidence, SourcePath};
use crate::limits::{
    EVIDENCE_DIRECTORIES, EVIDENCE_NAMES, EVIDENCE_TRUSTED, HASH_BUFFER, NAME_HASH_MAX,
};
use crate::source::{Content, Found, Source};

/// The evidence of each directory, kept for a while.
pub(super) struct EvidenceCache {
    /// With the time at which it was collected, in milliseconds of [`clock`]; `None` if nobody asks.
    known: Option<Cache<SourcePath, (u64, Arc<NameEvidence>)>>,
}

impl EvidenceCache {
    /// Creates an empty one. If `is_wanted` is false, no directory is ever read.
    pub(super) fn new(is_wanted: bool) -> Self {
        Self { known: is_wanted.then(|| Cache::new(EVIDENCE_DIRECTORIES)) }
    }

    /// Whether the files beside `resource` are to be asked.
    pub(super) fn is_missing(&self, resource: &Resource) -> bool {
        self.known.is_some() && resource.lacks_evidence()
    }

    /// Asks the files beside `resource` whether its name has a hash, then its content, if that is not
    /// known. Blocks on the disk.
    pub(super) fn ask(&self, source: &dyn Source, resource: &Resource) {
        let Some(known) = self.known.as_ref().filter(|_| resource.lacks_evidence()) else { return };
        let directory = resource.path.parent();
        let is_fresh = |at: u64| clock().saturating_sub(at) <= EVIDENCE_TRUSTED;
        let evidence = match known.get(&directory).filter(|(at, _)| is_fresh(*at)) {
            Some((_, evidence)) => evidence,
            None => {
                let names = source.names(&directory, EVIDENCE_NAMES).unwrap_or_default();
                let evidence = Arc::new(NameEvidence::of(names.iter().map(|name| &**name)));
                known.insert(directory, (clock(), Arc::clone(&evidence)));
                evidence
            }
        };
        let file_name = resource.path.file_name();
        let is_named_by_content = evidence.vouch_for(file_name)
            || resource.was_never_asked() && is_hash_of_content(source, resource);
        resource.note_evidence(is_named_by_content);
    }
}

/// Whether the name of `resource` has a hash of its content, which is read once more for that.
fn is_hash_of_content(source: &dyn Source, resource: &Resource) -> bool {
    let (Some(digest), Some(mut hash)) = (resource.digest(), ContentHash::new(&resource.path))
    else {
        return false;
    };
    if resource.len > NAME_HASH_MAX {
        return false;
    }
    // The name speaks of the bytes that the digest names, not of those that the file has by now.
    let mut read = Hasher::new();
    let update = |bytes: &[u8]| {
        read.update(bytes);
        hash.update(bytes);
    };
    let Ok(Found::File(file)) = source.lookup(&resource.path) else { return false };
    read_all(&file.content, update).is_ok() && read.finish() == digest && hash.agrees(&digest)
}

fn read_all(content: &Content, mut update: impl FnMut(&[u8])) -> io::Result<()> {
    let file = match content {
        Content::Bytes(bytes) => {
            update(bytes);
            return Ok(());
        }
        Content::File { file, .. } => file,
    };
    let (mut buffer, mut at) = (vec![0; HASH_BUFFER as usize], 0);
    while at <= NAME_HASH_MAX {
        let filled = read_full(&**file, &mut buffer, at)?;
        update(&buffer[..filled]);
        at += filled as u64;
        if filled < buffer.len() {
            break;
        }
    }
    Ok(())
}
