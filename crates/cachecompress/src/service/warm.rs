//! Warming: the cache is filled ahead of requests.

use std::sync::Arc;

use crate::catalog::{Loaded, Resource};
use crate::codec::Codec;
use crate::error::Failure;
use crate::http::{Compressibility, ContentCoding, SourcePath};
use crate::limits::{SMALLEST_SOURCE, WARM_AT_ONCE, WARM_PAUSE};
use crate::representations::Representations;

/// The result of [`warm`](crate::ServeCompressed::warm) for one representation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Warmed {
    /// The file's path in the source.
    pub path: SourcePath,
    /// The content coding.
    pub coding: ContentCoding,
    /// The file's length in bytes.
    pub source_len: u64,
    /// The representation's length in bytes; `None` if it would not save 5 % or could not be made.
    pub encoded_len: Option<u64>,
}

/// The totals of [`warm`](crate::ServeCompressed::warm).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmSummary {
    /// The number of representations that are in the cache now.
    pub stored: u64,
    /// The number of representations that would not save 5 %.
    pub unprofitable: u64,
    /// The number of representations that could not be made, and of files that could not be read.
    pub failed: u64,
}

pub(super) async fn warm(
    representations: &Representations,
    paths: impl IntoIterator<Item = SourcePath>,
    mut each: impl FnMut(&Warmed),
) -> WarmSummary {
    let mut summary = WarmSummary::default();
    let mut paths = paths.into_iter().peekable();
    while paths.peek().is_some() {
        let mut under_way = Vec::new();
        for path in paths.by_ref().take(WARM_AT_ONCE) {
            match representations.catalog().load(&path).await {
                Ok(Loaded::File(resource, _)) => {
                    let resource = representations.catalog().hashed(resource).await;
                    if is_encoded(&resource) {
                        under_way.extend(begin(representations, &resource));
                    }
                }
                Ok(Loaded::Directory | Loaded::Nothing) | Err(_) => summary.failed += 1,
            }
        }
        for (resource, codec, done) in under_way {
            let mut result = done.await;
            // A full queue delays a file and leaves none out, as no request waits.
            while result == Err(Failure::Dropped) && !representations.is_closing() {
                tokio::time::sleep(WARM_PAUSE).await;
                result = representations.warm(&resource, &codec).await;
            }
            match result {
                Ok(_) => summary.stored += 1,
                Err(Failure::Unprofitable) => summary.unprofitable += 1,
                Err(_) => summary.failed += 1,
            }
            each(&Warmed {
                path: resource.path.clone(),
                coding: codec.coding,
                source_len: resource.len,
                encoded_len: result.ok(),
            });
        }
    }
    summary
}

fn is_encoded(resource: &Resource) -> bool {
    resource.compressibility != Compressibility::Never && resource.len >= SMALLEST_SOURCE
}

type Done =
    (Arc<Resource>, Codec, std::pin::Pin<Box<dyn Future<Output = Result<u64, Failure>> + Send>>);

fn begin(representations: &Representations, resource: &Arc<Resource>) -> Vec<Done> {
    let codings = representations.offered(None, resource.len);
    let codecs = codings.iter().filter_map(|coding| representations.codecs().get(coding));
    let begin = |codec: &Codec| -> Done {
        (Arc::clone(resource), codec.clone(), Box::pin(representations.warm(resource, codec)))
    };
    codecs.map(begin).collect()
}
