//! The selection of a representation, which it has produced if need be.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Representations;
use super::engine::unless;
use crate::body::{Product, Production};
use crate::cache::{Entry, Key};
use crate::catalog::{DigestState, Resource};
use crate::codec::Codec;
use crate::concurrency::progress::{Stage, Watch};
use crate::concurrency::singleflight::Join;
use crate::concurrency::thread_pool::Priority;
use crate::concurrency::timer;
use crate::encode::{self, Part};
use crate::error::Failure;
use crate::http::{
    CacheStatus, ContentCoding, Detail, Digest, EncoderId, Forward, NamedCoding, RangeSpec, Ranges,
};
use crate::limits::{DELTA_LEAVES, SMALL_JOB};
use crate::source::{EncodedAhead, Precompressed};

/// The representations that a request accepts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    /// The codings that go before identity, the best first.
    pub(crate) codings: Vec<ContentCoding>,
    /// Whether identity is acceptable.
    pub(crate) identity: bool,
    /// The reason for identity when no coding is a candidate.
    pub(crate) detail: Option<Detail>,
    pub(crate) availability: Availability,
    /// The id of the only coded representation that counts, as the request named it.
    pub(crate) pinned: Option<EncoderId>,
}

/// The part of a representation that must be there for it to be selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Availability {
    /// The first bytes.
    #[default]
    Begun,
    /// The whole: the protocol cannot tell an abort from an end.
    Whole,
}

/// The candidates that a request selects among, and its range.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) candidates: Candidates,
    pub(crate) range: Option<RangeOf>,
}

/// A range, and the representation that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RangeOf {
    /// Of identity, which is then the only candidate.
    Identity(Ranges),
    /// Of this coded representation, if it is stored: a range starts no encode. If it is not, all of a
    /// candidate is sent.
    Coded(NamedCoding, RangeSpec),
}

impl From<Candidates> for Selection {
    fn from(candidates: Candidates) -> Self {
        Self { candidates, range: None }
    }
}

/// The selected representation.
#[derive(Debug)]
pub(crate) enum Selected {
    Coded(Coded),
    Identity {
        detail: Option<Detail>,
        /// Whether it is the first candidate.
        is_best: bool,
    },
    /// The output of this codec, before anybody has encoded it. Only [`Representations::foresee`] selects it.
    Unencoded(Codec),
    /// The resource has changed and is to be looked up again.
    Stale,
    /// Identity is not acceptable, and nothing else is available now.
    Unavailable,
}

/// A coded representation.
#[derive(Debug)]
pub(crate) struct Coded {
    pub(crate) coding: ContentCoding,
    pub(crate) id: EncoderId,
    pub(crate) status: CacheStatus,
    /// Its length in bytes, once it is whole.
    pub(crate) len: Option<u64>,
    /// Whether no other candidate would be preferred.
    pub(crate) is_best: bool,
    pub(crate) made: Made,
}

/// The way in which a coded representation was made.
#[derive(Debug)]
pub(crate) enum Made {
    /// Before. The cache has it as this entry.
    Stored(Arc<Entry>),
    /// When the program was built, of which it is a part.
    Ahead(Bytes),
    /// Now. It may still grow.
    Now(Product, Option<Arc<Production>>),
}

/// The knowledge of a key in memory.
enum Known {
    Entry(Arc<Entry>),
    Verdict(Failure),
    Nothing,
}

/// The result of one codec.
enum Tried {
    Coded(Coded),
    /// The resource has changed, or the condition of the request does not hold any more.
    Stale,
    /// There is no entry of the second pass.
    Nothing,
    Verdict(Failure),
    /// It is not available now, for this reason.
    Late(Detail),
}

/// The reason for which a coding was not obtained.
enum Unobtained {
    Stale,
    /// A better entry is stored.
    Superseded,
    Detail(Detail),
}

impl From<Detail> for Unobtained {
    fn from(detail: Detail) -> Self {
        Self::Detail(detail)
    }
}

impl Representations {
    /// Selects the best candidate that is available, or becomes available before patience ends.
    /// Also returns the range that applies to it. The output of the codecs of `adopted` goes before that
    /// of the service's own.
    pub(crate) async fn select<'a>(
        &self,
        resource: &Arc<Resource>,
        selection: &'a Selection,
        adopted: &[Codec],
    ) -> (Selected, Option<&'a RangeOf>) {
        let (range, candidates) = (selection.range.as_ref(), &selection.candidates);
        if let Some(RangeOf::Coded(named, _)) = range {
            if let Some(ahead) =
                resource.precompressed.as_ref().and_then(|ahead| ahead.named(named))
            {
                return (Selected::Coded(Coded::ahead(ahead)), range);
            }
            if let Some(stored) = self.stored(resource, named, adopted).await {
                return (Selected::Coded(stored), range);
            }
            return (self.select_among(resource, candidates, adopted).await, None);
        }
        (self.select_among(resource, candidates, adopted).await, range)
    }

    async fn select_among(
        &self,
        resource: &Arc<Resource>,
        candidates: &Candidates,
        adopted: &[Codec],
    ) -> Selected {
        let mut detail = candidates.detail;
        if let Some(precompressed) = &resource.precompressed {
            if let Some(ahead) = of_payloads(precompressed, candidates) {
                return Selected::Coded(Coded::ahead(ahead));
            }
            if let Some(refused) = refused_ahead(precompressed, candidates) {
                return identity(candidates, Some(refused));
            }
        }
        let digest = match self.digest_for(resource, candidates) {
            Ok(digest) => digest,
            Err(detail) => return identity(candidates, Some(detail)),
        };
        let (deadline, of_delta) = self.deadlines(resource, candidates, adopted);
        let (mut passes_plain, mut passes_deltas) = (false, false);
        for (index, codec) in self.codecs_of(resource, candidates, adopted) {
            let is_delta = codec.dictionary.is_some();
            let is_passed = if is_delta { passes_deltas } else { passes_plain };
            if is_passed {
                continue;
            }
            let deadline = if is_delta { of_delta } else { deadline };
            let why = match self.try_codec((resource, digest), codec, candidates, deadline).await {
                Tried::Coded(coded) => {
                    return Selected::Coded(Coded { is_best: index == 0, ..coded });
                }
                Tried::Stale => return Selected::Stale,
                // The first pass has an entry.
                Tried::Nothing => continue,
                Tried::Verdict(failure) => {
                    detail = Some(detail_of(failure));
                    passes_plain |= ends_plain(failure, codec);
                    continue;
                }
                Tried::Late(why) => why,
            };
            detail = Some(why);
            match why {
                // Another coding may be available.
                Detail::Encoder => {}
                Detail::Dictionary => passes_deltas = true,
                Detail::Unprofitable => passes_plain |= ends_plain(Failure::Unprofitable, codec),
                // The best coding is not available in time. Another one may be there already.
                _ => match self.second_best(resource, digest, candidates, adopted) {
                    Some(second) => return Selected::Coded(second),
                    None if is_delta => passes_deltas = true,
                    None => break,
                },
            }
        }
        identity(candidates, detail)
    }

    /// Returns the time until which a coding is waited for, and that for a delta. The dictionary of a delta has
    /// to be read first. If that takes long, a plain coding still begins in time.
    fn deadlines(
        &self,
        resource: &Resource,
        candidates: &Candidates,
        adopted: &[Codec],
    ) -> (Option<Instant>, Option<Instant>) {
        let (now, patience) = (Instant::now(), self.0.patience);
        // An endless patience has no deadline.
        let within = |wait| candidates.identity.then(|| now.checked_add(wait)).flatten();
        let is_plain = |(_, codec): (usize, &Codec)| codec.dictionary.is_none();
        let has_plain = self.codecs_of(resource, candidates, adopted).any(is_plain);
        let of_delta = if has_plain { patience - patience / DELTA_LEAVES } else { patience };
        (within(patience), within(of_delta))
    }

    /// Looks for the representation by `codec`, or has it encoded. Nobody waits for an encode of the second pass.
    async fn try_codec(
        &self,
        (resource, digest): (&Arc<Resource>, Digest),
        codec: &Codec,
        candidates: &Candidates,
        deadline: Option<Instant>,
    ) -> Tried {
        let stored = |entry| Tried::Coded(Coded::stored(codec, resource.len, entry));
        let key = encode::key(digest, resource.len, codec);
        let insists = encode::insists(codec, !candidates.identity);
        let is_second = codec.replaces.is_some();
        let judged = |entry: &Entry| encode::judge(entry, resource.len, insists).is_ok();
        match self.known(&key, resource.len, insists) {
            Known::Entry(entry) => return stored(entry),
            Known::Verdict(_) if is_second => return Tried::Nothing,
            Known::Verdict(failure) => return Tried::Verdict(failure),
            Known::Nothing => {}
        }
        if let Some(entry) = self.0.engine.cache.get_nowait(&key).filter(|entry| judged(entry)) {
            return stored(entry);
        }
        // In a box, as the future of either wait is larger than that of all else.
        if is_second {
            let fetched = Box::pin(self.fetch(&key, resource.len));
            return match self.within(deadline, Detail::Patience, fetched).await {
                Ok(Some(entry)) if judged(&entry) => stored(entry),
                Ok(_) => Tried::Nothing,
                Err(late) => Tried::Late(late),
            };
        }
        match Box::pin(self.obtain(resource, codec, candidates, deadline)).await {
            Ok(obtained) => Tried::Coded(obtained),
            Err(Unobtained::Stale) => Tried::Stale,
            // The better entry is known now.
            Err(Unobtained::Superseded) => match self.better_entry(resource, codec) {
                Some((better, entry)) if candidates.pinned.is_none() => {
                    Tried::Coded(Coded::stored(better, resource.len, entry))
                }
                _ => Tried::Stale,
            },
            Err(Unobtained::Detail(why)) => Tried::Late(why),
        }
    }

    /// Returns the digest by which the candidates are looked up, or the reason for identity.
    pub(super) fn digest_for(
        &self,
        resource: &Resource,
        candidates: &Candidates,
    ) -> Result<Digest, Detail> {
        let digest = match resource.state {
            DigestState::Known(digest) => digest,
            DigestState::Unstable => return Err(Detail::Unsettled),
            DigestState::Unhashed => return Err(Detail::Unhashed),
        };
        if !self.0.engine.cache.is_available() && !candidates.codings.is_empty() {
            return Err(Detail::Disk);
        }
        Ok(digest)
    }

    fn second_best(
        &self,
        resource: &Resource,
        digest: Digest,
        candidates: &Candidates,
        adopted: &[Codec],
    ) -> Option<Coded> {
        let codecs = self.codecs_of(resource, candidates, adopted);
        codecs.enumerate().find_map(|(place, (_, codec))| {
            let insists = encode::insists(codec, !candidates.identity);
            match self.known(&encode::key(digest, resource.len, codec), resource.len, insists) {
                Known::Entry(entry) => {
                    let stored = Coded::stored(codec, resource.len, entry);
                    Some(Coded { is_best: place == 0, ..stored })
                }
                Known::Verdict(_) | Known::Nothing => None,
            }
        })
    }

    /// Returns the coding that [`select`](Self::select) would most likely select, and the id of its
    /// encoder, by the knowledge in memory.
    pub(crate) fn most_likely(
        &self,
        resource: &Resource,
        candidates: &Candidates,
        adopted: &[Codec],
    ) -> Option<(ContentCoding, EncoderId)> {
        if let Some(precompressed) = &resource.precompressed {
            if let Some(ahead) = of_payloads(precompressed, candidates) {
                return Some((ahead.coding.clone(), ahead.id));
            }
            if refused_ahead(precompressed, candidates).is_some() {
                return None;
            }
        }
        let digest = resource.digest()?;
        self.codecs_of(resource, candidates, adopted).find_map(|(_, codec)| {
            let insists = encode::insists(codec, !candidates.identity);
            match self.known(&encode::key(digest, resource.len, codec), resource.len, insists) {
                Known::Verdict(_) => None,
                // Nothing is proven of the file.
                Known::Nothing if codec.adopts.is_some() => None,
                Known::Entry(_) | Known::Nothing => {
                    Some((codec.coding.clone(), codec.id(resource.len)))
                }
            }
        })
    }

    /// Looks `key` up in memory, for a request that accepts identity or `insists` on a coding.
    fn known(&self, key: &Key, source_len: u64, insists: bool) -> Known {
        let cache = &self.0.engine.cache;
        if self.0.engine.scheduler.is_faulty(key) {
            return Known::Verdict(Failure::Encoder);
        }
        if let Some(entry) = cache.peek(key) {
            return match encode::judge(&entry, source_len, insists) {
                Ok(()) => Known::Entry(entry),
                Err(failure) => Known::Verdict(failure),
            };
        }
        if !insists && cache.peek(&encode::verdict_key(key)).is_some() {
            return Known::Verdict(Failure::Unprofitable);
        }
        Known::Nothing
    }

    /// Leads or follows the flight of one representation until enough of it is there.
    async fn obtain(
        &self,
        resource: &Arc<Resource>,
        codec: &Codec,
        candidates: &Candidates,
        deadline: Option<Instant>,
    ) -> Result<Coded, Unobtained> {
        let insists = !candidates.identity;
        let late = match candidates.availability {
            Availability::Whole => Detail::Protocol,
            Availability::Begun => Detail::Patience,
        };
        loop {
            let joined = self.0.engine.scheduler.join((&self.0.catalog, resource), codec, insists);
            let Some((progress, part)) = joined else { return Err(Unobtained::Stale) };
            if part == Part::Abandoned {
                let mut watch = Watch::new(&progress);
                self.within(deadline, late, watch.until(Stage::ended)).await?;
                continue;
            }
            // A follower's source must still be the one that the flight reads.
            if part == Part::Follower {
                let is_current = self.0.catalog.is_current(resource);
                if !self.within(deadline, late, is_current).await? {
                    return Err(Unobtained::Stale);
                }
            }
            let enough = |stage: &Stage<Product, Failure>| {
                candidates.availability == Availability::Begun && stage.available() > 0
            };
            let mut watch = Watch::new(&progress);
            let stage = self.within(deadline, late, watch.until(enough)).await?;
            let source_len = resource.len;
            return match stage {
                Stage::Finished { shared, len } => {
                    let coded = Coded::produced(codec, source_len, part, shared, None);
                    Ok(Coded { len: Some(len), ..coded })
                }
                Stage::Growing { shared, .. } => {
                    Ok(Coded::produced(codec, source_len, part, shared, Some(progress)))
                }
                Stage::Failed { why: Failure::SourceChanged, .. } => Err(Unobtained::Stale),
                Stage::Failed { why: Failure::Superseded, .. } => Err(Unobtained::Superseded),
                // The warming that led the encode was ended as this request came.
                Stage::Failed { why: Failure::Abandoned, .. } => continue,
                // The leader accepts identity. A client that refuses it leads a flight of its own.
                Stage::Failed { why: Failure::Unprofitable, .. }
                    if part != Part::Leader && insists =>
                {
                    continue;
                }
                Stage::Failed { why, .. } => Err(detail_of(why).into()),
                Stage::Pending => Err(late.into()),
            };
        }
    }

    /// Finds the stored representation that is `named`, for a range of it. Waits until the entry is
    /// verified, whatever patience says: the client has a part of it already.
    async fn stored(
        &self,
        resource: &Resource,
        named: &NamedCoding,
        adopted: &[Codec],
    ) -> Option<Coded> {
        let digest = resource.digest()?;
        let mut codecs = self.codecs_in(&named.coding, adopted);
        let codec = codecs.find(|codec| named.id == Some(codec.id(resource.len)))?;
        let key = encode::key(digest, resource.len, codec);
        match self.known(&key, resource.len, true) {
            Known::Entry(entry) => return Some(Coded::stored(codec, resource.len, entry)),
            Known::Verdict(_) => return None,
            Known::Nothing => {}
        }
        let entry = match self.0.engine.cache.get_nowait(&key) {
            Some(entry) => entry,
            None => self.fetch(&key, resource.len).await?,
        };
        encode::judge(&entry, resource.len, true).ok()?;
        Some(Coded::stored(codec, resource.len, entry))
    }

    /// Looks `key` up on the disk.
    async fn fetch(&self, key: &Key, source_len: u64) -> Option<Arc<Entry>> {
        let progress = match self.0.engine.fetches.join(key) {
            Join::Follow(progress) => progress,
            Join::Lead(leader) => {
                let progress = Arc::clone(leader.progress());
                let small = source_len <= SMALL_JOB;
                let (cache, key) = (self.0.engine.cache.clone(), key.clone());
                self.0.engine.cache.threads().submit(Priority::Foreground, small, move || {
                    match cache.get(&key) {
                        Ok(entry) => leader.finish(entry, 0),
                        Err(error) => cache.warn_once(&error),
                    }
                });
                progress
            }
        };
        let mut watch = Watch::new(&progress);
        match self.within(None, Detail::Disk, watch.until(Stage::ended)).await {
            Ok(Stage::Finished { shared, .. }) => shared,
            _ => None,
        }
    }
}

impl Representations {
    /// Awaits `future`, until `deadline` if there is one, which is `late`. No longer than the
    /// cache's disk answers.
    async fn within<T>(
        &self,
        deadline: Option<Instant>,
        late: Detail,
        future: impl Future<Output = T>,
    ) -> Result<T, Detail> {
        let awaited = unless(self.0.engine.cache.outage(), future);
        let output = match deadline {
            Some(deadline) => timer::until(deadline, awaited).await.ok_or(late)?,
            None => awaited.await,
        };
        output.ok_or(Detail::Disk)
    }
}

impl Coded {
    /// Describes the product of a flight, without its length.
    fn produced(
        codec: &Codec,
        source_len: u64,
        part: Part,
        product: Product,
        progress: Option<Arc<Production>>,
    ) -> Self {
        let status = match part {
            _ if product.stored => CacheStatus::Hit,
            Part::Late if product.kept => CacheStatus::Hit,
            Part::Leader if product.imported => CacheStatus::Forward(Forward::Imported),
            Part::Leader => CacheStatus::Forward(Forward::Stored),
            Part::Follower | Part::Late | Part::Abandoned => {
                CacheStatus::Forward(Forward::Collapsed)
            }
        };
        let (coding, id) = (codec.coding.clone(), codec.id(source_len));
        let made = Made::Now(product, progress);
        Self { coding, id, status, len: None, is_best: false, made }
    }

    pub(super) fn stored(codec: &Codec, source_len: u64, entry: Arc<Entry>) -> Self {
        Self {
            coding: codec.coding.clone(),
            id: codec.id(source_len),
            status: match codec.replaces {
                Some(_) => CacheStatus::Improved,
                None => CacheStatus::Hit,
            },
            len: Some(entry.payload_len()),
            is_best: false,
            made: Made::Stored(entry),
        }
    }

    pub(super) fn ahead(ahead: &EncodedAhead) -> Self {
        Self {
            coding: ahead.coding.clone(),
            id: ahead.id,
            status: CacheStatus::Hit,
            len: Some(ahead.payload.len() as u64),
            is_best: true,
            made: Made::Ahead(ahead.payload.clone()),
        }
    }
}

/// Returns the first candidate that was encoded ahead.
pub(super) fn of_payloads<'a>(
    precompressed: &'a Precompressed,
    candidates: &Candidates,
) -> Option<&'a EncodedAhead> {
    let payloads = candidates.codings.iter().filter_map(|coding| precompressed.payload(coding));
    let is_admitted = |ahead: &&EncodedAhead| candidates.pinned.is_none_or(|id| id == ahead.id);
    payloads.into_iter().find(is_admitted)
}

/// The reason for identity, if it is known since the program was built that the first candidate saves too
/// little. As for an encode, that stands for all codings.
pub(super) fn refused_ahead(
    precompressed: &Precompressed,
    candidates: &Candidates,
) -> Option<Detail> {
    let first = candidates.codings.first().filter(|_| candidates.identity)?;
    precompressed.unprofitable().contains(first).then_some(Detail::Unprofitable)
}

/// Whether a verdict on what `codec` makes stands for the codecs behind it, too, but for those with a
/// dictionary: a source that is unprofitable in one coding is so in the next. Another file may hold the
/// coding badly, but not the encoders, and a delta tells nothing of the whole.
pub(super) fn ends_plain(failure: Failure, codec: &Codec) -> bool {
    failure == Failure::Unprofitable && codec.adopts.is_none() && codec.dictionary.is_none()
}

pub(super) fn identity(candidates: &Candidates, detail: Option<Detail>) -> Selected {
    if candidates.identity {
        return Selected::Identity { detail, is_best: candidates.codings.is_empty() };
    }
    Selected::Unavailable
}

/// The reason that a response gives for a failure.
pub(crate) fn detail_of(failure: Failure) -> Detail {
    match failure {
        Failure::Dropped | Failure::Abandoned => Detail::Queue,
        Failure::Locked | Failure::Superseded => Detail::Locked,
        Failure::Disk => Detail::Disk,
        Failure::SourceChanged => Detail::Unsettled,
        Failure::Unprofitable => Detail::Unprofitable,
        Failure::Encoder | Failure::Busy => Detail::Encoder,
        Failure::Dictionary => Detail::Dictionary,
    }
}

#[cfg(test)]
#[cfg(all(feature = "brotli", feature = "gzip"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::Cache;
    use crate::catalog::{Loaded, Names};
    use crate::codec::{Codecs, Preference};
    use crate::http::{MediaTypes, SourcePath};
    use crate::representations::{Config, Engine, EngineConfig};
    use crate::source::Memory;

    const GZIP: ContentCoding = ContentCoding::GZIP;
    const BROTLI: ContentCoding = ContentCoding::BROTLI;

    /// Representations of one file of text, and its resource.
    async fn representations(patience: Duration) -> (Representations, Arc<Resource>) {
        let engine = Engine::new(EngineConfig {
            cache: Cache::in_memory(1 << 20),
            codecs: Codecs::new().unwrap(),
            encode_threads: 2,
            queue: 16,
            prove: true,
            memory_bytes: 0,
            tier: None,
            observer: None,
            recompress: None,
        });
        let config = Config {
            types: MediaTypes::default(),
            names: Names::default(),
            source: Arc::new(Memory::new().file("a.txt", "text ".repeat(1000))),
            preference: Preference::Auto,
            revalidate: Duration::ZERO,
            patience,
            sendfile_sources: false,
        };
        let representations = Representations::new(config, Arc::new(engine));
        let loaded = representations.catalog().load(&SourcePath::root().join("a.txt")).await;
        let Ok(Loaded::File(resource, _)) = loaded else { panic!("{loaded:?}") };
        (representations, resource)
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(test);
    }

    fn candidates(codings: &[ContentCoding], identity: bool) -> Candidates {
        Candidates { codings: codings.to_vec(), identity, ..Candidates::default() }
    }

    fn coded((selected, _): (Selected, Option<&RangeOf>)) -> Coded {
        match selected {
            Selected::Coded(coded) => coded,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn select_encodes_the_best_candidate_and_then_finds_it() {
        run(async {
            let (representations, resource) = representations(Duration::from_secs(600)).await;
            let selection = candidates(&[BROTLI, GZIP], true).into();
            let first = coded(representations.select(&resource, &selection, &[]).await);
            assert_eq!((first.coding, first.is_best), (BROTLI, true));
            assert_eq!(first.status, CacheStatus::Forward(Forward::Stored));
            let second = coded(representations.select(&resource, &selection, &[]).await);
            assert_eq!(second.status, CacheStatus::Hit);
        });
    }

    #[test]
    fn select_falls_back_to_a_stored_second_best_without_patience() {
        run(async {
            let (representations, resource) = representations(Duration::ZERO).await;
            let insisting = candidates(&[GZIP], false).into();
            coded(representations.select(&resource, &insisting, &[]).await);
            representations.engine().shutdown(true).await;
            let selection = candidates(&[BROTLI, GZIP], true).into();
            let second = coded(representations.select(&resource, &selection, &[]).await);
            assert_eq!((second.coding, second.is_best), (GZIP, false));
        });
    }

    #[test]
    fn select_sends_all_of_a_candidate_when_the_coding_of_a_range_is_not_stored() {
        run(async {
            let (representations, resource) = representations(Duration::from_secs(600)).await;
            let id = representations.codecs().get(&GZIP).map(|codec| codec.id(resource.len));
            let range = RangeOf::Coded(NamedCoding { coding: GZIP, id }, RangeSpec::Suffix(5));
            let identity = candidates(&[], true);
            let selection = Selection { candidates: identity, range: Some(range.clone()) };
            let (selected, applied) = representations.select(&resource, &selection, &[]).await;
            assert!(matches!(selected, Selected::Identity { is_best: true, .. }), "{selected:?}");
            assert_eq!(applied, None, "the range was of another representation");

            let whole = candidates(&[GZIP], false).into();
            coded(representations.select(&resource, &whole, &[]).await);
            let (selected, applied) = representations.select(&resource, &selection, &[]).await;
            assert!(matches!(selected, Selected::Coded(_)), "{selected:?}");
            assert_eq!(applied, Some(&range));
        });
    }
}
