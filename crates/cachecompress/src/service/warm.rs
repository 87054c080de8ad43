//! Warming: the cache is filled ahead of requests.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::adoption;
use super::site::Site;
use crate::body::Product;
use crate::catalog::{Loaded, Resource};
use crate::codec::Codec;
use crate::concurrency::thread_pool::Priority;
use crate::concurrency::timer;
use crate::encode::Warming;
use crate::error::{Error, ErrorKind, Failure};
use crate::http::{Compressibility, ContentCoding, Detail, SourcePath};
use crate::limits::{SMALLEST_SOURCE, WARM_AT_ONCE, WARM_PAUSE};
use crate::representations::detail_of;

/// The files and codings of [`warm_with`](crate::ServeCompressed::warm_with). Default: all files in
/// every coding that is offered.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct WarmOptions {
    pub(super) paths: Option<Vec<SourcePath>>,
    pub(super) codings: Option<Vec<ContentCoding>>,
    pub(super) best: bool,
}

impl WarmOptions {
    /// Creates options for all files in every coding that is offered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Warms these files only, in this order.
    ///
    /// Default: all files of the source that are not [excluded](crate::Builder::exclude).
    pub fn paths(mut self, paths: impl IntoIterator<Item = SourcePath>) -> Self {
        self.paths = Some(paths.into_iter().collect());
        self
    }

    /// Encodes in these codings only. A coding without an encoder is left out.
    ///
    /// Default: the codings of [`Builder::preference`](crate::Builder::preference).
    pub fn codings(mut self, codings: impl IntoIterator<Item = ContentCoding>) -> Self {
        self.codings = Some(codings.into_iter().collect());
        self
    }

    /// Encodes at the levels of [`Builder::recompress`](crate::Builder::recompress), if the service has a second
    /// pass.
    ///
    /// An entry of the first pass goes when the better one is there. Default: `false`.
    pub fn best(mut self, best: bool) -> Self {
        self.best = best;
        self
    }
}

/// The progress of [`warm_with`](crate::ServeCompressed::warm_with).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WarmProgress {
    /// The number of files that are done, those that need no encode among them.
    pub files_done: u64,
    /// The number of all files.
    pub files_total: u64,
    /// The totals so far.
    pub summary: WarmSummary,
    /// The representation that was done last; `None` if a file is done that has none.
    pub latest: Option<Warmed>,
}

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
    /// The reason for having no representation; `None` if there is one.
    pub missing: Option<Detail>,
    /// Whether the representation was there before, in the cache or in the program.
    pub reused: bool,
    /// The processor time of the encode and its proof; zero for a representation that is reused, and
    /// for one that is missing.
    pub encode_time: Duration,
}

/// The totals of [`warm`](crate::ServeCompressed::warm).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmSummary {
    /// The number of representations that are in the cache now, or
    /// [in the program](crate::Embedded::precompressed).
    pub stored: u64,
    /// The number of representations that would not save 5 %.
    pub unprofitable: u64,
    /// The number of representations that could not be made, and of files that could not be read.
    pub failed: u64,
}

/// Lists the files that requests reach. Blocks on the disk.
pub(super) fn paths(site: &Site) -> Result<Vec<SourcePath>, Error> {
    let mut paths = site.representations.catalog().source().paths()?;
    let is_used = |path: &SourcePath| {
        let rules = &site.rules;
        rules.only.as_ref() == Some(path)
            || rules.spa.page.as_ref() == Some(path)
            || rules.error_pages.use_file(path, &rules.excluded)
    };
    paths.retain(|path| !site.rules.excluded.covers(path) || is_used(path));
    Ok(paths)
}

/// Lists the files that requests reach, on a thread that may block.
pub(super) async fn list(site: &Arc<Site>) -> Result<Vec<SourcePath>, Error> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let listed = Arc::clone(site);
    site.representations.readers().submit(Priority::Background, false, move || {
        let _ = sender.send(paths(&listed));
    });
    receiver.await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Busy, "too much is being read from the source"))
    })
}

/// Encodes the files of `paths` in `codings`, or in all that are offered.
pub(super) async fn warm(
    site: &Site,
    paths: Vec<SourcePath>,
    (codings, best): (Option<&[ContentCoding]>, bool),
    mut report: impl FnMut(&WarmProgress),
) -> WarmSummary {
    let representations = &site.representations;
    // Its encodes are given up when this future is dropped, and the warming with it.
    let warming = Warming::default();
    let mut progress = WarmProgress {
        files_done: 0,
        files_total: paths.len() as u64,
        summary: WarmSummary::default(),
        latest: None,
    };
    for paths in paths.chunks(WARM_AT_ONCE) {
        let mut begun = Vec::new();
        for path in paths {
            if representations.is_closing() {
                break;
            }
            begun.push(begin(site, path, (codings, best), &warming).await);
        }
        for encodes in begun {
            let encodes = encodes.unwrap_or_else(|| {
                progress.summary.failed += 1;
                Vec::new()
            });
            let last = encodes.len();
            progress.latest = None;
            for (index, encode) in encodes.into_iter().enumerate() {
                let Encode { resource, coding, codec, done } = encode;
                let mut result = done.await;
                // A full queue, or another process that encodes the same, delays a file and leaves none
                // out, as no request waits.
                while let Some(codec) = &codec
                    && result.as_ref().is_err_and(is_awaited)
                    && !representations.is_closing()
                {
                    timer::sleep(WARM_PAUSE).await;
                    result = encoded(representations.warm(&resource, codec, &warming)).await;
                }
                match &result {
                    Ok(_) => progress.summary.stored += 1,
                    Err(Failure::Unprofitable) => progress.summary.unprofitable += 1,
                    Err(_) => progress.summary.failed += 1,
                }
                progress.files_done += u64::from(index + 1 == last);
                progress.latest = Some(Warmed {
                    path: resource.path.clone(),
                    coding,
                    source_len: resource.len,
                    encoded_len: result.as_ref().ok().map(|done| done.len),
                    missing: result.as_ref().err().map(|why| detail_of(*why)),
                    reused: result.as_ref().is_ok_and(|done| done.reused),
                    encode_time: result.map_or(Duration::ZERO, |done| done.took),
                });
                report(&progress);
            }
            if last == 0 {
                progress.files_done += 1;
                report(&progress);
            }
        }
    }
    progress.summary
}

/// An encode that was begun.
struct Encode<'a> {
    resource: Arc<Resource>,
    coding: ContentCoding,
    /// The codec; `None` if the program has the result since it was built.
    codec: Option<Codec>,
    done: Warm<'a>,
}

type Warm<'a> = Pin<Box<dyn Future<Output = Result<Done, Failure>> + Send + 'a>>;

/// A representation that is there.
struct Done {
    /// Its length in bytes.
    len: u64,
    /// Whether it was there before.
    reused: bool,
    /// The processor time that it took.
    took: Duration,
}

/// Waits for the end of an encode.
async fn encoded(
    encode: impl Future<Output = Result<(Product, u64), Failure>>,
) -> Result<Done, Failure> {
    let (product, len) = encode.await?;
    Ok(Done { len, reused: product.stored, took: product.took })
}

/// The result for a coding that is known since the program was built.
fn known_ahead(resource: &Resource, coding: &ContentCoding) -> Option<Result<Done, Failure>> {
    let precompressed = resource.precompressed.as_ref()?;
    if let Some(ahead) = precompressed.payload(coding) {
        let len = ahead.payload.len() as u64;
        return Some(Ok(Done { len, reused: true, took: Duration::ZERO }));
    }
    precompressed.unprofitable().contains(coding).then_some(Err(Failure::Unprofitable))
}

/// Whether the representation may be had a little later.
fn is_awaited(why: &Failure) -> bool {
    why.is_passing() || matches!(why, Failure::Locked | Failure::Superseded)
}

/// Begins the encodes of a file; `None` if it cannot be read.
async fn begin<'a>(
    site: &'a Site,
    path: &SourcePath,
    (codings, best): (Option<&[ContentCoding]>, bool),
    warming: &'a Warming,
) -> Option<Vec<Encode<'a>>> {
    let representations = &site.representations;
    let Ok(Loaded::File(resource, _)) = representations.catalog().load(path).await else {
        return None;
    };
    let resource = representations.catalog().hashed(resource).await;
    if resource.compressibility == Compressibility::Never || resource.len < SMALLEST_SOURCE {
        return Some(Vec::new());
    }
    let codings = representations.offered_of(codings, &resource);
    let mut encodes = Vec::new();
    for coding in codings {
        if let Some(known) = known_ahead(&resource, &coding) {
            let (resource, done) = (Arc::clone(&resource), Box::pin(std::future::ready(known)));
            encodes.push(Encode { resource, coding, codec: None, done });
            continue;
        }
        let Some(codec) = representations.codecs().get(&coding) else { continue };
        let own = resource.coded.clone().filter(|coded| coded.coding == codec.coding);
        let file = match own {
            Some(own) => Some(own),
            None => {
                let sibling = adoption::look_beside(site, &resource, &codec.coding).await;
                sibling.and_then(|sibling| sibling.file)
            }
        };
        let file = file.filter(|file| file.is_shorter_than(resource.len));
        let copying = file.and_then(Codec::adopting);
        let copy = copying.map(|codec| representations.warm(&resource, &codec, warming));
        let better = match best {
            true => representations.better_than(codec).await,
            false => None,
        };
        // The encoder takes the place of a file that is at fault, and of a better encoder.
        let first = copy.map(|copy| Box::pin(encoded(copy)) as Warm<'_>).or_else(|| {
            let improved = representations.warm(&resource, better?, warming);
            Some(Box::pin(encoded(improved)))
        });
        let done: Warm<'_> = match first {
            None => Box::pin(encoded(representations.warm(&resource, codec, warming))),
            Some(first) => {
                let (resource, codec) = (Arc::clone(&resource), codec.clone());
                Box::pin(async move {
                    match first.await {
                        Err(Failure::Encoder | Failure::Unprofitable) => {
                            encoded(representations.warm(&resource, &codec, warming)).await
                        }
                        made => made,
                    }
                })
            }
        };
        let codec = Some(better.unwrap_or(codec).clone());
        let resource = Arc::clone(&resource);
        encodes.push(Encode { resource, coding, codec, done });
    }
    Some(encodes)
}
