//! The codecs that count for a resource.

use std::sync::Arc;

use super::Representations;
use super::select::{Candidates, Coded, Made};
use crate::cache::Entry;
use crate::catalog::Resource;
use crate::codec::Codec;
use crate::concurrency::thread_pool::Priority;
use crate::encode::{self, Use};
use crate::http::{CacheStatus, ContentCoding, Forward, NamedCoding};

impl Representations {
    /// Iterates over the codecs of the candidates, each with the place of its coding among them. A better codec
    /// is among them if its entry is stored.
    pub(super) fn codecs_of<'a>(
        &'a self,
        resource: &'a Resource,
        candidates: &'a Candidates,
        adopted: &'a [Codec],
    ) -> impl Iterator<Item = (usize, &'a Codec)> {
        let codings = candidates.codings.iter().enumerate();
        codings
            .flat_map(move |(index, coding)| {
                let codecs = self.codecs_in(coding, adopted);
                codecs.map(move |codec| (index, codec))
            })
            .filter(move |(_, codec)| {
                let id = codec.id(resource.len);
                candidates.pinned.is_none_or(|pinned| id == pinned)
                    && (codec.replaces.is_none() || self.counts(resource, codec))
            })
    }

    /// Iterates over the codecs of `coding`, the best first.
    pub(super) fn codecs_in<'a>(
        &'a self,
        coding: &'a ContentCoding,
        adopted: &'a [Codec],
    ) -> impl Iterator<Item = &'a Codec> {
        let own = self.0.engine.codecs.get(coding);
        // A coding that is not in use is not adopted either.
        let is_in_use = move |codec: &&Codec| own.is_some() || codec.dictionary.is_some();
        let adopted = adopted.iter().filter(is_in_use).filter(move |codec| codec.coding == *coding);
        adopted.chain(own.and_then(Codec::better)).chain(own)
    }

    /// Whether an entry of `resource` by `codec` is counted.
    pub(super) fn counts(&self, resource: &Resource, codec: &Codec) -> bool {
        let key = resource.digest().map(|digest| encode::key(digest, resource.len, codec));
        key.is_some_and(|key| self.0.engine.cache.counts(&key))
    }

    /// Whether the representation that is `named` could be had today. One of the second pass could as long as it is
    /// stored, and one of the first pass until then.
    pub(crate) fn is_current(
        &self,
        resource: &Resource,
        named: &NamedCoding,
        adopted: &[Codec],
    ) -> bool {
        let named_by = |codec: &&Codec| named.id == Some(codec.id(resource.len));
        let Some(codec) = self.codecs_in(&named.coding, adopted).find(named_by) else {
            return false;
        };
        match codec.better() {
            _ if codec.replaces.is_some() => self.counts(resource, codec),
            Some(better) => self.counts(resource, codec) || !self.counts(resource, better),
            None => true,
        }
    }

    /// Returns the better codec than `codec` and its entry, if that is open.
    pub(super) fn better_entry<'a>(
        &self,
        resource: &Resource,
        codec: &'a Codec,
    ) -> Option<(&'a Codec, Arc<Entry>)> {
        let better = codec.better()?;
        let key = encode::key(resource.digest()?, resource.len, better);
        Some((better, self.0.engine.cache.peek(&key)?))
    }

    /// Returns the better codec than `codec`, if there is one. Its id may still have to be derived.
    pub(crate) async fn better_than<'a>(&self, codec: &'a Codec) -> Option<&'a Codec> {
        if codec.has_better() && codec.better().is_none() {
            let (sender, derived) = tokio::sync::oneshot::channel();
            let codec = codec.clone();
            self.readers().submit(Priority::Background, false, move || {
                let _ = codec.derive_better();
                let _ = sender.send(());
            });
            let _ = derived.await;
        }
        codec.better()
    }

    /// Notes that a response is sent whose body is all of a coded representation of `resource`. Returns the
    /// counter of such responses, if the second pass counts them.
    pub(crate) fn note_use(&self, resource: &Arc<Resource>, coded: &Coded) -> Option<Arc<Use>> {
        let is_of_cache = !matches!(coded.made, Made::Ahead(_));
        let second_pass = self.0.engine.second_pass.as_ref().filter(|_| is_of_cache)?;
        let name = (&coded.coding, coded.id);
        let is_new = coded.status == CacheStatus::Forward(Forward::Stored);
        second_pass.note(&self.0.catalog, resource, name, (coded.len, is_new))
    }
}
