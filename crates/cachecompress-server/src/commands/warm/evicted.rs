//! The representations of a run that the cache has evicted before its end.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use cachecompress::cache::Care;
use cachecompress::{Cache, ContentCoding, ServeCompressed, SourcePath};

use super::work::Done;
use crate::exit::Failure;

/// The representations that a run has stored for one site.
#[derive(Debug)]
pub(super) struct Stored {
    service: ServeCompressed,
    /// The file, the coding and the representation's length in bytes.
    representations: Vec<(SourcePath, ContentCoding, u64)>,
}

impl Stored {
    /// Starts the list of the site of `service`.
    pub(super) fn new(service: ServeCompressed) -> Self {
        Self { service, representations: Vec::new() }
    }

    /// Adds the representations of a file.
    pub(super) fn add(&mut self, done: &Done) {
        let stored = done
            .codings
            .iter()
            .filter_map(|coding| Some((done.path.clone(), coding.coding.clone(), coding.len?)));
        self.representations.extend(stored);
    }
}

/// Counts the representations of `sites` that are not in the cache any more. Evicted entries of other
/// files are none of them. Equal files have one representation.
///
/// # Errors
///
/// If the cache or a site cannot be listed.
pub(super) fn count(cache: &Cache, sites: &[Stored]) -> Result<u64, Failure> {
    if cache.stats().evictions == 0 {
        return Ok(0);
    }
    let mut present = HashSet::new();
    cache.files().entries(|care| {
        if let Care::Entry { entry, .. } = care {
            present.insert((entry.digest, entry.coding.clone(), entry.encoded_len));
        }
        ControlFlow::Continue(())
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| Failure::Runtime(error.to_string()))?;
    let mut evicted = HashSet::new();
    for Stored { service, representations } in sites {
        let digests = runtime.block_on(service.digests(&["/**"]))?;
        let digests: HashMap<_, _> = digests.into_iter().collect();
        for (path, coding, len) in representations {
            // A file without a digest has changed meanwhile.
            let Some(digest) = digests.get(path) else { continue };
            let key = (*digest, coding.clone(), *len);
            if !present.contains(&key) {
                evicted.insert(key);
            }
        }
    }
    Ok(evicted.len() as u64)
}
