//! Selecting a representation, or having it produced.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Loaded, Representations, Shared};
use crate::body::{Product, Snapshot};
use crate::cache::{Entry, Key};
use crate::catalog::resource::{Resource, SMALL, State};
use crate::codec::{Codec, Codecs};
use crate::concurrency::progress::{Progress, Stage, Watch};
use crate::concurrency::singleflight::Join;
use crate::concurrency::thread_pool::Priority;
use crate::encode::job::{self as encode, Task};
use crate::encode::verdict as policy;
use crate::error::{Error, Failure};
use crate::fs::{DiskFile, Fingerprint, read_full};
use crate::http::{CacheStatus, ContentCoding, Detail, Digest, Forward};
use crate::source::{Content, Found, SourceFile};

/// How often a long hash is looked after by those who have time.
const HASH_POLL: std::time::Duration = std::time::Duration::from_millis(50);

/// How often a small file that changes while it is read is read again.
const SNAPSHOTS: usize = 5;

/// Which representations a request would take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// Codings that go before identity, the best first.
    pub(crate) codings: Vec<ContentCoding>,
    /// Whether identity will do.
    pub(crate) identity: bool,
    /// What identity is explained with when no coding is wished.
    pub(crate) plain: Option<Detail>,
    /// How much of a representation must be there.
    pub(crate) extent: Extent,
}

/// How much of a representation must be there for it to be selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Its first bytes.
    #[default]
    Begun,
    /// All of it, because the protocol cannot tell an abort from an end.
    Whole,
    /// All of it, and nothing is produced for it, because only a range is asked for.
    Stored,
}

/// What was selected.
#[derive(Debug)]
pub(crate) enum Selected {
    Coded(Coded),
    Identity(Option<Detail>),
    /// The resource is no longer what it was: look it up again.
    Stale,
    /// Identity will not do, and nothing else is to be had now.
    Unavailable,
}

/// A coded representation.
#[derive(Debug)]
pub(crate) struct Coded {
    pub(crate) codec: Codec,
    pub(crate) status: CacheStatus,
    /// Its length in bytes, once it is whole.
    pub(crate) len: Option<u64>,
    /// The entry that it is, if it comes from the cache.
    pub(crate) entry: Option<Arc<Entry>>,
    pub(crate) product: Product,
    pub(crate) progress: Option<Arc<Progress<Product, Failure>>>,
}

/// Identity, ready to be sent.
#[derive(Debug)]
pub(crate) enum Identity {
    Bytes(Bytes),
    /// Sent from the file, as long as what is sent stays as it is.
    File {
        file: Arc<dyn DiskFile>,
        snapshot: Snapshot,
    },
    /// The source's bytes are no longer those of the resource.
    Stale,
}

/// What is remembered of a key without asking the disk.
enum Known {
    Entry(Arc<Entry>),
    Verdict(Failure),
    Nothing,
}

impl Representations {
    /// Selects the best representation of `resource` that `wish` allows and that is there, or
    /// begins to be, before patience ends.
    pub(crate) async fn select(&self, resource: &Arc<Resource>, wish: &Wish) -> Selected {
        let digest = match resource.state {
            State::Known(digest) => digest,
            State::Unsettled => return plain(wish, Some(Detail::Unsettled)),
            State::Unhashed => return plain(wish, Some(Detail::Unhashed)),
        };
        let deadline = tokio::time::Instant::now() + self.0.config.patience;
        let mut detail = wish.plain;
        for coding in &wish.codings {
            let Some(codec) = self.0.config.codecs.get(coding) else { continue };
            let key = encode::key(digest, codec);
            match self.known(&key, resource.len, wish) {
                Known::Entry(entry) => return Selected::Coded(Coded::stored(codec, &entry)),
                Known::Verdict(failure) => {
                    detail = Some(detail_of(failure));
                    if failure == Failure::Unprofitable {
                        break;
                    }
                    continue;
                }
                Known::Nothing => {}
            }
            if let Some(entry) = self.0.config.cache.get_nowait(&key)
                && policy::judge(&entry, resource.len, !wish.identity).is_ok()
            {
                return Selected::Coded(Coded::stored(codec, &entry));
            }
            let wait = wish.identity.then_some(deadline);
            match self.obtain(resource, codec, &key, wish, wait).await {
                Ok(coded) => return Selected::Coded(coded),
                Err(Unobtained::Stale) => return Selected::Stale,
                Err(Unobtained::Detail(why)) => {
                    detail = Some(why);
                    match why {
                        // Another coding may do.
                        Detail::Encoder | Detail::Range => {}
                        // What is unprofitable in one coding is so in the next.
                        Detail::Unprofitable => break,
                        // The best is not to be had in time: another may be there already.
                        _ => match self.second_best(resource, digest, wish) {
                            Some(coded) => return Selected::Coded(coded),
                            None => break,
                        },
                    }
                }
            }
        }
        plain(wish, detail)
    }

    fn second_best(&self, resource: &Resource, digest: Digest, wish: &Wish) -> Option<Coded> {
        wish.codings.iter().filter_map(|coding| self.0.config.codecs.get(coding)).find_map(
            |codec| match self.known(&encode::key(digest, codec), resource.len, wish) {
                Known::Entry(entry) => Some(Coded::stored(codec, &entry)),
                Known::Verdict(_) | Known::Nothing => None,
            },
        )
    }

    /// Whether the cache would not take any coding of `resource`; says so once.
    pub(crate) fn is_too_large(&self, resource: &Resource) -> bool {
        let too_large = !self.0.config.cache.could_hold(policy::most(resource.len));
        if too_large && !self.0.told_of_large.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                path = %resource.path,
                bytes = resource.len,
                "a file is larger than a quarter of the cache and goes out uncompressed, as will \
                 others; a larger cache would compress them"
            );
        }
        too_large
    }

    /// The coding that [`select`](Self::select) would most likely end at, as far as memory knows.
    pub(crate) fn likely(&self, resource: &Resource, wish: &Wish) -> Option<Codec> {
        let digest = resource.digest()?;
        wish.codings.iter().filter_map(|coding| self.0.config.codecs.get(coding)).find_map(
            |codec| match self.known(&encode::key(digest, codec), resource.len, wish) {
                Known::Verdict(_) => None,
                Known::Entry(_) | Known::Nothing => Some(codec.clone()),
            },
        )
    }

    fn known(&self, key: &Key, source_len: u64, wish: &Wish) -> Known {
        let cache = &self.0.config.cache;
        if self.0.faults.get(key).is_some() {
            return Known::Verdict(Failure::Encoder);
        }
        if let Some(entry) = cache.peek(key) {
            return match policy::judge(&entry, source_len, !wish.identity) {
                Ok(()) => Known::Entry(entry),
                Err(failure) => Known::Verdict(failure),
            };
        }
        if wish.identity && cache.peek(&policy::verdict_key(key)).is_some() {
            return Known::Verdict(Failure::Unprofitable);
        }
        Known::Nothing
    }

    /// Leads or follows the production of one representation until enough of it is there.
    async fn obtain(
        &self,
        resource: &Arc<Resource>,
        codec: &Codec,
        key: &Key,
        wish: &Wish,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<Coded, Unobtained> {
        if wish.extent == Extent::Stored {
            return self.fetch(resource, codec, key, wish, deadline).await;
        }
        let late = match wish.extent {
            Extent::Whole => Detail::Protocol,
            Extent::Begun | Extent::Stored => Detail::Patience,
        };
        loop {
            let (progress, part) = match self.0.flights.join(key) {
                Join::Lead(lead) => {
                    let progress = Arc::clone(lead.progress());
                    self.submit(resource, codec, !wish.identity, Priority::Foreground, lead);
                    (progress, Part::Leader)
                }
                // It has just ended, and is about to be forgotten.
                Join::Follow(progress) if progress.stage().ended() => (progress, Part::Late),
                Join::Follow(progress) => {
                    // A flight is joined only for a source that is still the one it reads.
                    if !within(deadline, self.is_current(resource)).await.ok_or(late)? {
                        return Err(Unobtained::Stale);
                    }
                    (progress, Part::Follower)
                }
            };
            let mut watch = Watch::new(&progress);
            let enough = |stage: &Stage<Product, Failure>| {
                wish.extent == Extent::Begun && stage.available() > 0
            };
            let stage = within(deadline, watch.until(enough)).await.ok_or(late)?;
            return match stage {
                Stage::Finished { shared, len } => {
                    Ok(Coded::produced(codec, part, shared, Ok(len)))
                }
                Stage::Growing { shared, .. } => {
                    Ok(Coded::produced(codec, part, shared, Err(progress)))
                }
                Stage::Failed { why: Failure::SourceChanged, .. } => Err(Unobtained::Stale),
                // The leader could do without; who insists leads anew.
                Stage::Failed { why: Failure::Unprofitable, .. }
                    if part != Part::Leader && !wish.identity =>
                {
                    continue;
                }
                Stage::Failed { why, .. } => Err(detail_of(why).into()),
                Stage::Pending => Err(late.into()),
            };
        }
    }

    /// A stored entry, for those who have use for nothing else.
    async fn fetch(
        &self,
        resource: &Resource,
        codec: &Codec,
        key: &Key,
        wish: &Wish,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<Coded, Unobtained> {
        let progress = match self.0.fetches.join(key) {
            Join::Follow(progress) => progress,
            Join::Lead(lead) => {
                let progress = Arc::clone(lead.progress());
                let (shared, wanted) = (Arc::clone(&self.0), key.clone());
                let small = resource.len <= Codecs::SMALL;
                self.0.readers.submit(Priority::Foreground, small, move || {
                    match shared.config.cache.get(&wanted) {
                        Ok(entry) => lead.finish(entry, 0),
                        Err(error) => shared.config.cache.warn_once(&error),
                    }
                });
                progress
            }
        };
        let mut watch = Watch::new(&progress);
        let stage = within(deadline, watch.until(Stage::ended)).await.ok_or(Detail::Patience)?;
        match stage {
            Stage::Finished { shared: Some(entry), .. }
                if policy::judge(&entry, resource.len, !wish.identity).is_ok() =>
            {
                Ok(Coded::stored(codec, &entry))
            }
            Stage::Failed { .. } => Err(Detail::Disk.into()),
            _ => Err(Detail::Range.into()),
        }
    }

    fn submit(
        &self,
        resource: &Arc<Resource>,
        codec: &Codec,
        unconditional: bool,
        class: Priority,
        lead: encode::EncodeLead,
    ) {
        let Some(digest) = resource.digest() else { return };
        let ahead = self.0.ahead.of(resource, codec);
        // An encode may take long, and is not to keep what is none of its own.
        let resource = match resource.ahead {
            Some(_) => Arc::new(resource.copy()),
            None => Arc::clone(resource),
        };
        let (codec, encode) = (codec.clone(), !self.0.is_closing());
        let task = Task { resource, digest, codec, class, encode, unconditional };
        let (shared, small) = (Arc::clone(&self.0), task.is_small());
        // A submission that is refused drops the leader, which tells its followers.
        self.0.readers.submit(class, small, move || Shared::lead(&shared, task, ahead, lead));
    }

    async fn is_current(&self, resource: &Arc<Resource>) -> bool {
        resource.fingerprint.is_none()
            || matches!(
                self.load(&resource.path).await,
                Ok(Loaded::File(now)) if now.state == resource.state
            )
    }

    /// `resource`, or once it is hashed, if that is under way, what it then is.
    pub(crate) async fn hashed(&self, resource: Arc<Resource>) -> Arc<Resource> {
        while resource.state == State::Unhashed && self.0.hashing.contains(&resource.path) {
            tokio::time::sleep(HASH_POLL).await;
        }
        self.0.known_resource(&resource.path).unwrap_or(resource)
    }

    /// Has `resource` encoded by `codec`, if it is not yet, as work that nobody waits for; the
    /// future tells the representation's length, or why there is none.
    pub(crate) fn warm(
        &self,
        resource: &Arc<Resource>,
        codec: &Codec,
    ) -> impl Future<Output = Result<u64, Failure>> + use<> {
        let progress = resource.digest().map(|digest| {
            match self.0.flights.join(&encode::key(digest, codec)) {
                Join::Lead(lead) => {
                    let progress = Arc::clone(lead.progress());
                    self.submit(resource, codec, false, Priority::Background, lead);
                    progress
                }
                Join::Follow(progress) => progress,
            }
        });
        async move {
            let Some(progress) = progress else { return Err(Failure::SourceChanged) };
            match Watch::new(&progress).until(Stage::ended).await {
                Stage::Finished { shared, len } if shared.kept => Ok(len),
                Stage::Finished { .. } => Err(Failure::Unprofitable),
                Stage::Failed { why, .. } => Err(why),
                Stage::Pending | Stage::Growing { .. } => Err(Failure::Dropped),
            }
        }
    }

    /// The bytes of `resource` itself.
    pub(crate) async fn identity(&self, resource: &Arc<Resource>) -> Result<Identity, Error> {
        if let Some(bytes) = &resource.bytes {
            return Ok(Identity::Bytes(bytes.clone()));
        }
        if let Some(bytes) = self.identity_payload(resource) {
            return Ok(Identity::Bytes(Bytes::clone(&bytes)));
        }
        if let Some(identity) = self.0.open_identity(resource) {
            return Ok(identity);
        }
        let (shared, resource) = (Arc::clone(&self.0), Arc::clone(resource));
        let read = self.0.on_reader(move || shared.read_identity(&resource));
        read.await.unwrap_or(Ok(Identity::Stale))
    }
}

impl Shared {
    /// Runs `work` on a thread that may wait for a disk; `None` if there is none to be had.
    async fn on_reader<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.readers.submit(Priority::Foreground, true, move || drop(sender.send(work())));
        receiver.await.ok()
    }

    /// The file of a large resource, if it is as it was and can be opened without a wait.
    fn open_identity(&self, resource: &Resource) -> Option<Identity> {
        if resource.len <= SMALL || resource.digest().is_none() {
            return None;
        }
        match self.config.source.lookup_nowait(&resource.path)? {
            Found::File(SourceFile { content: Content::File { file, fingerprint }, .. })
                if resource.fingerprint == Some(fingerprint) =>
            {
                Some(Identity::of_file(resource, file, fingerprint))
            }
            _ => None,
        }
    }

    fn read_identity(&self, resource: &Resource) -> Result<Identity, Error> {
        let file = match self.config.source.lookup(&resource.path)? {
            Found::File(file) => file,
            Found::Directory | Found::Nothing => return Ok(Identity::Stale),
        };
        match file.content {
            Content::File { file, fingerprint } => Ok(match resource.digest() {
                None => nameless(file, fingerprint, resource.state),
                Some(_) if resource.fingerprint != Some(fingerprint) => Identity::Stale,
                Some(digest) if fingerprint.size <= SMALL => {
                    self.read_small(&*file, fingerprint.size, digest)
                }
                Some(_) => Identity::of_file(resource, file, fingerprint),
            }),
            Content::Bytes(bytes) if resource.digest() == Some(Digest::of(&bytes)) => {
                Ok(Identity::Bytes(bytes))
            }
            Content::Bytes(_) => Ok(Identity::Stale),
        }
    }

    fn read_small(&self, file: &dyn DiskFile, len: u64, digest: Digest) -> Identity {
        let mut buffer = vec![0; usize::try_from(len).unwrap_or(0)];
        let read = read_full(file, &mut buffer, 0);
        if read.is_ok_and(|read| read == buffer.len()) && Digest::of(&buffer) == digest {
            let bytes = Bytes::from(buffer);
            self.payloads.insert((digest, None), bytes.clone());
            return Identity::Bytes(bytes);
        }
        Identity::Stale
    }
}

/// Identity of a file that has no name yet, as it is right now: a small one is read until two
/// readings agree.
fn nameless(file: Arc<dyn DiskFile>, mut fingerprint: Fingerprint, state: State) -> Identity {
    for _ in 0..SNAPSHOTS {
        if fingerprint.size > SMALL {
            break;
        }
        let len = usize::try_from(fingerprint.size).unwrap_or(0);
        let (mut one, mut other) = (vec![0; len], vec![0; len]);
        let read = |into: &mut [u8]| read_full(&*file, into, 0).is_ok_and(|read| read == len);
        if read(&mut one) && read(&mut other) && one == other {
            return Identity::Bytes(one.into());
        }
        let Ok(after) = file.stat() else { break };
        fingerprint = after.fingerprint;
    }
    // What goes out before it is hashed has not been seen to change.
    let vouches = state == State::Unhashed;
    Identity::File { file, snapshot: Snapshot { fingerprint, vouches, digest: None } }
}

impl Identity {
    /// A hashed resource's file, which is in the state in which it was hashed.
    fn of_file(resource: &Resource, file: Arc<dyn DiskFile>, fingerprint: Fingerprint) -> Self {
        let (vouches, digest) = (resource.rested, resource.digest());
        Self::File { file, snapshot: Snapshot { fingerprint, vouches, digest } }
    }

    /// The length in bytes of what can be sent.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { snapshot, .. } => snapshot.fingerprint.size,
            Self::Stale => 0,
        }
    }
}

impl Coded {
    /// What a flight led to: all of it, or what grows still.
    fn produced(
        codec: &Codec,
        part: Part,
        product: Product,
        extent: Result<u64, Arc<Progress<Product, Failure>>>,
    ) -> Self {
        let status = match part {
            _ if product.stored => CacheStatus::Hit,
            Part::Late if product.kept => CacheStatus::Hit,
            Part::Leader => CacheStatus::Forward(Forward::Stored),
            Part::Follower | Part::Late => CacheStatus::Forward(Forward::Collapsed),
        };
        let (len, progress) = match extent {
            Ok(len) => (Some(len), None),
            Err(progress) => (None, Some(progress)),
        };
        Self { codec: codec.clone(), status, len, entry: None, product, progress }
    }

    fn stored(codec: &Codec, entry: &Arc<Entry>) -> Self {
        Self {
            codec: codec.clone(),
            status: CacheStatus::Hit,
            len: Some(entry.payload_len()),
            entry: Some(Arc::clone(entry)),
            product: encode::product(entry, true),
            progress: None,
        }
    }
}

/// A request's part in a flight.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Leader,
    Follower,
    /// It came when the flight had ended.
    Late,
}

/// Why a coding was not obtained.
enum Unobtained {
    Stale,
    Detail(Detail),
}

impl From<Detail> for Unobtained {
    fn from(detail: Detail) -> Self {
        Self::Detail(detail)
    }
}

fn plain(wish: &Wish, detail: Option<Detail>) -> Selected {
    if wish.identity {
        return Selected::Identity(detail);
    }
    Selected::Unavailable
}

fn detail_of(failure: Failure) -> Detail {
    match failure {
        Failure::Dropped => Detail::Queue,
        Failure::Locked => Detail::Locked,
        Failure::Disk => Detail::Disk,
        Failure::SourceChanged => Detail::Unsettled,
        Failure::Unprofitable => Detail::Unprofitable,
        Failure::Encoder | Failure::Busy => Detail::Encoder,
    }
}

/// `future`'s output, unless `deadline` comes first. A deadline that has passed still takes what
/// is ready.
async fn within<T>(
    deadline: Option<tokio::time::Instant>,
    future: impl Future<Output = T>,
) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}
