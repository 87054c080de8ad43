//! `verify`: reads every object of a store and checks it against its name, its signatures and its digest.

use std::ops::ControlFlow;

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _};
use tokio::time::timeout;

use super::Tier;
use super::object::{self, ObjectReader};
use super::shared::Shared;
use crate::cache::{FIXED, Header, Key, TRAILER};
use crate::codec::{Codecs, CodecsBuilder, Proof};
use crate::error::{Error, ErrorKind};
use crate::limits::TIER_VERIFY;

/// A finding of [`Tier::verify`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TierFinding<'a> {
    /// So much of the store was read.
    Progress {
        /// The number of objects that were looked at.
        objects: u64,
        /// The bytes that were read.
        bytes: u64,
    },
    /// An object is as it was stored.
    Whole {
        /// Its size in bytes.
        bytes: u64,
    },
    /// An object is not what its name says.
    Damaged {
        /// Its path in the store.
        path: &'a str,
        /// The damage, as the end of a sentence: `has a wrong checksum`.
        damage: &'a str,
    },
    /// An object was removed, for its damage.
    Removed {
        /// Its path in the store.
        path: &'a str,
        /// The damage.
        damage: &'a str,
    },
    /// An object could not be read or removed.
    Failed {
        /// Its path in the store.
        path: &'a str,
        /// The error of the store.
        error: &'a Error,
    },
}

/// The result of [`Tier::verify`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierSummary {
    /// The number of objects that are as they were stored.
    pub entries: u64,
    /// The bytes of those objects.
    pub bytes: u64,
    /// The number of damaged objects that stay.
    pub damaged: u64,
    /// The number of damaged objects that were removed.
    pub removed: u64,
    /// The number of objects that could not be read or removed.
    pub failed: u64,
    /// Whether the caller ended the work before all was looked at.
    pub stopped: bool,
}

impl Tier {
    /// Reads every object of the store, and checks its name, its signatures if there are keys, its header and
    /// its checksum. The payload must decode to the source that the header names, if its coding is built in.
    ///
    /// - It changes nothing, or removes what is damaged if it is to `remove`.
    /// - An object that a replica stores meanwhile may or may not be looked at.
    /// - `watch` is told of every object and ends the work by returning [`ControlFlow::Break`].
    /// - Memory is bounded, whatever the number and the size of the objects.
    ///
    /// It blocks until it is done.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the store cannot be listed. `watch` is told of an object that cannot be read.
    ///
    /// # Panics
    ///
    /// On a thread of an async runtime.
    pub fn verify(
        &self,
        remove: bool,
        watch: impl FnMut(TierFinding<'_>) -> ControlFlow<()>,
    ) -> Result<TierSummary, Error> {
        let shared = &self.0.shared;
        let codecs = CodecsBuilder::default().build()?;
        let summary = TierSummary::default();
        let mut run = Run { shared, codecs, remove, watch, summary, read: 0 };
        // The runtime's own thread waits for the store, this one decodes.
        let flow = shared.runtime.block_on(run.all())?;
        Ok(TierSummary { stopped: flow.is_break(), ..run.summary })
    }
}

/// One run over a store.
struct Run<'a, W> {
    shared: &'a Shared,
    codecs: Codecs,
    remove: bool,
    watch: W,
    summary: TierSummary,
    /// The bytes that were read.
    read: u64,
}

/// The reason why an object is not whole.
enum Fault {
    Damage(String),
    /// The store failed.
    Store(Error),
    /// The caller has ended the work.
    Stopped,
}

impl<W: FnMut(TierFinding<'_>) -> ControlFlow<()>> Run<'_, W> {
    async fn all(&mut self) -> Result<ControlFlow<()>, Error> {
        let place = &self.shared.place;
        let entries = place.prefix.clone().join("v1").join("e");
        let mut listed = place.store.list(Some(&entries));
        loop {
            let next = timeout(TIER_VERIFY, listed.try_next()).await.map_err(|_| silent())?;
            let Some(meta) = next.map_err(unlisted)? else { return Ok(ControlFlow::Continue(())) };
            if self.one(&meta).await.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    async fn one(&mut self, meta: &ObjectMeta) -> ControlFlow<()> {
        let path = meta.location.to_string();
        let damage = match self.check(meta).await {
            Ok(()) => {
                self.summary.entries += 1;
                self.summary.bytes += meta.size;
                (self.watch)(TierFinding::Whole { bytes: meta.size })?;
                return self.progress();
            }
            Err(Fault::Stopped) => return ControlFlow::Break(()),
            // It was removed since it was listed.
            Err(Fault::Store(error)) if error.kind() == ErrorKind::NotFound => {
                return ControlFlow::Continue(());
            }
            Err(Fault::Store(error)) => return self.failed(&path, &error),
            Err(Fault::Damage(damage)) => damage,
        };
        if !self.remove {
            self.summary.damaged += 1;
            (self.watch)(TierFinding::Damaged { path: &path, damage: &damage })?;
            return self.progress();
        }
        let removed = timeout(TIER_VERIFY, self.shared.place.store.delete(&meta.location)).await;
        match removed {
            Ok(Ok(()) | Err(object_store::Error::NotFound { .. })) => {
                self.summary.removed += 1;
                (self.watch)(TierFinding::Removed { path: &path, damage: &damage })?;
                self.progress()
            }
            Ok(Err(error)) => self.failed(&path, &store(error)),
            Err(_) => self.failed(&path, &silent()),
        }
    }

    fn failed(&mut self, path: &str, error: &Error) -> ControlFlow<()> {
        self.summary.failed += 1;
        (self.watch)(TierFinding::Failed { path, error })?;
        self.progress()
    }

    fn progress(&mut self) -> ControlFlow<()> {
        let TierSummary { entries, damaged, removed, failed, .. } = self.summary;
        let objects = entries + damaged + removed + failed;
        (self.watch)(TierFinding::Progress { objects, bytes: self.read })
    }

    async fn check(&mut self, meta: &ObjectMeta) -> Result<(), Fault> {
        let is_long_enough = meta.size >= (FIXED + TRAILER) as u64;
        let name = entry_name(&self.shared.place.prefix, &meta.location);
        let Some(name) = name.filter(|_| is_long_enough) else {
            return Err(Fault::Damage("is no entry".to_owned()));
        };
        let got = timeout(TIER_VERIFY, self.shared.place.store.get(&meta.location));
        let got = got.await.map_err(|_| Fault::Store(silent()))?.map_err(Fault::store)?;
        let mut reader = ObjectReader::of_name(name, self.shared.keys.clone(), got.meta.size);
        let (mut parts, mut payload, mut proof) = (got.into_stream(), Vec::new(), None);
        let mut undecodable = None;
        loop {
            let next = timeout(TIER_VERIFY, parts.next()).await;
            let Some(part) = next.map_err(|_| Fault::Store(silent()))? else { break };
            let part = part.map_err(Fault::store)?;
            self.read += part.len() as u64;
            reader.take(&part, &mut payload).map_err(Fault::damage)?;
            if let Some(header) = reader.header() {
                let proof = proof.get_or_insert_with(|| self.proof_of(header));
                if undecodable.is_none() {
                    undecodable = proof.write(&payload).err();
                }
                payload.clear();
            }
            if self.progress().is_break() {
                return Err(Fault::Stopped);
            }
        }
        // A wrong checksum tells more than what the decoder makes of it.
        reader.finish().map_err(Fault::damage)?;
        if let Some(error) = undecodable {
            return Err(Fault::damage(error));
        }
        let (Some(proof), Some(header)) = (proof, reader.header()) else {
            return Err(Fault::Damage("is cut off".to_owned()));
        };
        match proof.finish().map_err(Fault::damage)? {
            Some(digest) if digest != header.key.digest => {
                Err(Fault::Damage("decodes to other content than its name says".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Begins the proof of the payload behind `header`. A coding that is not built in is not decoded.
    fn proof_of(&self, header: &Header) -> Proof {
        let codec = self.codecs.get(&header.key.coding);
        Proof::new(codec.and_then(|codec| codec.encoder.decoder()), header.source_len)
    }
}

impl Fault {
    fn damage(error: Error) -> Self {
        Self::Damage(object::damage(&error))
    }

    fn store(error: object_store::Error) -> Self {
        Self::Store(store(error))
    }
}

/// The name of the entry that an object at `path` would be; `None` if it is none's.
fn entry_name(prefix: &Path, path: &Path) -> Option<String> {
    let name = path.filename()?;
    let is_in_its_place = *path == object::path_of_name(prefix, name);
    (Key::is_file_name(name) && is_in_its_place).then(|| name.to_owned())
}

fn silent() -> Error {
    let seconds = TIER_VERIFY.as_secs();
    Error::new(ErrorKind::Io, format!("the shared store does not answer within {seconds} s"))
}

fn unlisted(error: object_store::Error) -> Error {
    Error::new(ErrorKind::Io, "the shared store cannot be listed").with_cause(error)
}

fn store(error: object_store::Error) -> Error {
    let kind = match error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        _ => ErrorKind::Io,
    };
    Error::new(kind, "the shared store fails").with_cause(error)
}
