//! Earlier versions of a file, read back from the cache as dictionaries.

use std::sync::Arc;

use crate::cache::{Cache, Entry, Key, Kind, Version};
use crate::codec::{Codecs, Decoding, DeltaCodecs, Dictionary};
use crate::error::{Error, ErrorKind};
use crate::fs::read_full;
use crate::limits::PROOF_CHUNK;
use crate::memory_cache::MemoryCache;

/// The places in which the content of an earlier version may be.
#[derive(Clone, Debug)]
pub(crate) struct EarlierVersions {
    pub(crate) cache: Cache,
    pub(crate) memory: MemoryCache,
    pub(crate) codecs: Codecs,
    pub(crate) deltas: DeltaCodecs,
}

impl EarlierVersions {
    /// Returns the first of `versions` as a dictionary. Its bytes are read when they are needed first: from
    /// memory, from a stored coding of it, or from a delta of one of the others. The ledger forgets a
    /// version whose content is nowhere.
    pub(crate) fn dictionary(&self, versions: &[Version]) -> Option<Arc<Dictionary>> {
        let (first, others) = versions.split_first()?;
        let (this, first, others) = (self.clone(), *first, others.to_vec());
        Some(Arc::new(Dictionary::new(first.digest, first.len, move || {
            let found = this.read(&first, &others);
            if found.is_none() {
                this.cache.dictionaries().forget(&first.digest);
            }
            found.ok_or_else(|| Error::new(ErrorKind::NotFound, "its content is stored nowhere"))
        })))
    }

    /// Reads the content of `version`. Blocks on the disk.
    fn read(&self, version: &Version, others: &[Version]) -> Option<Arc<[u8]>> {
        if let Some(bytes) = self.memory.get(&(version.digest, None)) {
            return Some(bytes[..].into());
        }
        for codec in &self.codecs {
            let key = super::key(version.digest, version.len, codec);
            if let Some(bytes) = self.stored(&key, version.len, || codec.encoder.decoder()) {
                return Some(bytes);
            }
        }
        // Each step has one version less, so a ring of deltas ends.
        (0..others.len()).find_map(|at| {
            let mut chain = others.to_vec();
            chain.swap(0, at);
            let dictionary = self.dictionary(&chain)?;
            self.deltas.codecs(&dictionary, version.len).iter().find_map(|codec| {
                let key = super::key(version.digest, version.len, codec);
                self.stored(&key, version.len, || codec.encoder.decoder())
            })
        })
    }

    /// Decodes the entry of `key`, if there is one.
    fn stored(
        &self,
        key: &Key,
        len: u64,
        decoder: impl FnOnce() -> Option<Box<dyn Decoding>>,
    ) -> Option<Arc<[u8]>> {
        let entry = self.cache.get(key).ok().flatten()?;
        if entry.kind() != Kind::Representation {
            return None;
        }
        decode(&entry, len, decoder()?).ok().map(Into::into)
    }
}

/// Decodes the payload of `entry`, which has `len` bytes then.
fn decode(entry: &Entry, len: u64, mut decoding: Box<dyn Decoding>) -> Result<Vec<u8>, Error> {
    let payload = entry.payload();
    let mut out = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
    let mut chunk = vec![0; PROOF_CHUNK];
    let mut at = 0;
    decoding.limit(len);
    while at < entry.payload_len() {
        let left = usize::try_from(entry.payload_len() - at).unwrap_or(PROOF_CHUNK);
        let part = &mut chunk[..left.min(PROOF_CHUNK)];
        let read = read_full(&*payload.file, part, payload.start + at);
        let read = read.map_err(|cause| {
            Error::new(ErrorKind::Io, "an entry cannot be read").with_cause(cause)
        })?;
        if read < part.len() {
            return Err(Error::new(ErrorKind::Io, "an entry ends early"));
        }
        decoding.write(part, &mut |bytes| out.extend_from_slice(bytes))?;
        at += read as u64;
    }
    decoding.finish(&mut |bytes| out.extend_from_slice(bytes))?;
    Ok(out)
}
