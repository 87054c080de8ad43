//! The production of a payload: by the encoder, or by the shared store if that is sooner.
//!
//! The encode begins at once. As soon as the store has the object, the encode is left, and the object's
//! bytes take over where it was. If the object breaks off, or is not the expected one, the payload is taken
//! back to the bytes that readers may have had, and encoded. So no reader waits for the store, and none
//! sees its faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::EncodeError;
use super::job::{EncodeLeader, Job, Made, Purpose};
use super::output::Output;
use super::pipeline::{End, Pipeline, Step};
use super::roundtrip::{self, Roundtrip};
use super::source_reader::SourceReader;
use super::under_way::Place;
use super::verdict;
use crate::body::Product;
use crate::cache::EntryWriter;
use crate::codec::{Comparison, Proof};
use crate::error::{Error, ErrorKind, Failure};
use crate::limits::{IMPORT_WITHHELD, LEASE_LIFE, PROVE_INLINE, SHORTEST_IMPORT, TIER_LEASE};
use crate::log;
use crate::tier::{Answer, Approach, Expected, Offer, Sharing, Tier};

/// The result of a production.
pub(super) struct Fed {
    /// The processor time of the thread that proves beside the encode.
    pub(super) beside: Duration,
    /// Whether the bytes come from the shared store.
    pub(super) imported: bool,
    /// Whether all of the encode was done by this thread, and nothing else.
    pub(super) is_measured: bool,
}

/// The producers of one payload.
struct Producers<'a> {
    begun: Option<Pipeline>,
    offer: Option<&'a mut Offer>,
    /// Whether the encoder has begun.
    encodes: bool,
    /// Whether bytes of the store were taken.
    imports: bool,
}

impl Job {
    /// Whether and how the shared store is to be asked for the payload, and the processor time that an encode
    /// is likely to take.
    pub(super) fn approach(&self) -> Option<(&Tier, Approach, Duration)> {
        let tier = self.context.tier.as_ref()?;
        if self.codec.adopts.is_some() || self.codec.dictionary.is_some() {
            return None;
        }
        let predicted = self.context.costs.predict(&self.codec, self.resource.len);
        // Nobody waits for a second pass, and its encodes are the most expensive ones.
        let predicted = match self.purpose {
            Purpose::SecondPass(_) => predicted.max(TIER_LEASE),
            _ => predicted,
        };
        let approach = tier.approach(&self.key(), predicted);
        // Nothing that comes in could be proven.
        let is_of_use = approach != Approach::Skip && self.codec.encoder.decoder().is_some();
        is_of_use.then_some((tier, approach, predicted))
    }

    /// Finds out, as the second pass does, whether the shared store has the payload, or another replica encodes
    /// it. Blocks.
    pub(super) fn settle(&self) -> Option<Sharing> {
        let (tier, approach, predicted) = self.approach()?;
        match approach {
            Approach::Skip => None,
            Approach::Race => Some(Sharing::Race),
            Approach::Lease => {
                let (sender, receiver) = std::sync::mpsc::channel();
                let context = Arc::clone(&self.context);
                let is_unwanted = move || context.is_closing();
                tier.settle(self.key(), predicted * 3 + LEASE_LIFE, is_unwanted, move |sharing| {
                    let _ = sender.send(sharing);
                });
                receiver.recv().ok()
            }
        }
    }

    /// Asks the shared store for the payload, if that is how it is shared. Waits for the answer if the store
    /// is known to have it.
    pub(super) fn offer(&self, sharing: Option<Sharing>) -> Option<Offer> {
        let tier = self.context.tier.as_ref()?;
        match sharing? {
            Sharing::Race => Some(tier.ask(self.expected())),
            Sharing::Import => Some(tier.take(&self.expected())),
            Sharing::Alone(lease) => Some(tier.ask_nothing(lease)),
        }
    }

    /// The object that the shared store may have. One that saves too little is no use.
    fn expected(&self) -> Expected {
        let source_len = self.resource.len;
        let max_payload = self.max_worth().unwrap_or_else(|| verdict::max_payload(source_len));
        Expected { key: self.key(), source_len, max_payload }
    }

    /// Makes the payload and proves it. On success it is whole and proven. Readers may have had all of it
    /// but the last bytes.
    pub(super) fn produce(
        &self,
        source: &SourceReader,
        (begun, offer): (Option<Pipeline>, Option<&mut Offer>),
        writer: &mut EntryWriter,
        watched: (&EncodeLeader, &Place),
    ) -> Result<Fed, EncodeError> {
        let mut producers = Producers { begun, offer, encodes: false, imports: false };
        let error = match self.feed(source, &mut producers, writer, watched) {
            Ok(fed) => return Ok(fed),
            Err(error) => error,
        };
        let error = match error {
            EncodeError::Disproved(error) | EncodeError::Encoder(error) if producers.imports => {
                error
            }
            error => return Err(error),
        };
        let (path, coding) = (&self.resource.path, &self.codec.coding);
        log::debug!(%error, %path, %coding, "an object of the shared store is of no use");
        if let Some(offer) = producers.offer.take_if(|_| error.kind() == ErrorKind::Encoder) {
            offer.refuse();
        }
        let committed = watched.0.progress().stage().available();
        writer.rewind(committed).map_err(EncodeError::Disk)?;
        let encodes = producers.encodes;
        let mut alone = Producers { begun: None, offer: None, encodes, imports: false };
        match self.feed(source, &mut alone, writer, watched) {
            Ok(fed) => Ok(Fed { is_measured: false, ..fed }),
            // The object was another encoder's. The bytes that readers have cannot be gone on with.
            Err(EncodeError::Disproved(_)) if committed > 0 => Err(Failure::Dropped.into()),
            Err(error) => Err(error),
        }
    }

    /// Makes the payload once.
    fn feed(
        &self,
        source: &SourceReader,
        producers: &mut Producers<'_>,
        writer: &mut EntryWriter,
        (leader, place): (&EncodeLeader, &Place),
    ) -> Result<Fed, EncodeError> {
        let len = self.resource.len;
        let is_asked = producers.offer.is_some();
        let is_measured = producers.begun.is_none();
        let decoding = producers.begun.as_mut().and_then(Pipeline::take_decoding);
        let is_proven = self.context.prove || is_asked;
        let decoding =
            decoding.or_else(|| is_proven.then(|| self.codec.encoder.decoder()).flatten());
        let beside = decoding.is_some() && len > PROVE_INLINE;
        let progress = leader.progress();
        let imported =
            producers.offer.as_mut().is_some_and(|offer| offer.answer() == Answer::Object);
        progress.start(Product { imported, ..Product::of_payload(writer.payload()) });
        let commit = |bytes| progress.commit(bytes);
        let hashes = decoding.is_none();
        let mut proof = Proof::new(decoding, len);
        if is_asked {
            proof = proof.comparing(comparison(source.clone()));
        }
        let mut digest = None;
        let payload = beside.then(|| writer.payload());
        let proven = roundtrip::prove(payload, Roundtrip::new(proof, &commit), |sink| {
            let mut output = Output::new(writer, sink);
            if !imported {
                match self.encode(source, producers, hashes, &mut output, (leader, place))? {
                    End::Whole(found) => {
                        digest = found;
                        return Ok(());
                    }
                    End::Left => {}
                }
            }
            self.import(producers, &mut output, leader)
        })?;
        let imported = producers.imports;
        if !imported {
            self.context.counters.encode_took(self.codec.coding.as_str(), proven.cpu);
        }
        if proven.digest.or(digest) != Some(self.digest) {
            return Err(EncodeError::other_source());
        }
        Ok(Fed { beside: proven.cpu, imported, is_measured })
    }

    /// Encodes the source, until the shared store has the object.
    fn encode(
        &self,
        source: &SourceReader,
        producers: &mut Producers<'_>,
        hashes: bool,
        output: &mut Output<'_>,
        (leader, place): (&EncodeLeader, &Place),
    ) -> Result<End, EncodeError> {
        let len = self.resource.len;
        let Producers { begun, offer, encodes, .. } = producers;
        if !std::mem::replace(encodes, true) {
            self.context.counters.encode_started(self.codec.coding.as_str());
            self.context.note_encode(len);
            place.begin();
        }
        let begin = || Pipeline::begin_bare(&self.codec, len, hashes);
        let pipeline = begun.take().map_or_else(begin, Ok).map_err(EncodeError::Encoder)?;
        let mut at = 0;
        let step = |fed| {
            place.read(fed);
            if let Some(why) = self.stopped(leader.progress()) {
                return Step::Stop(why);
            }
            // An encode that is nearly done is sooner than a transfer.
            let is_young = fed < len / 2;
            match offer.as_mut().filter(|_| is_young).map(|offer| offer.answer()) {
                Some(Answer::Object) => Step::Leave,
                Some(Answer::Pending | Answer::Nothing) | None => Step::On,
            }
        };
        pipeline.run(source, len, step, |out, readable| {
            output.put(at, out, if readable { u64::MAX } else { 0 })?;
            at += out.len() as u64;
            out.clear();
            Ok(())
        })
    }

    /// Takes the payload from the shared store.
    fn import(
        &self,
        producers: &mut Producers<'_>,
        output: &mut Output<'_>,
        leader: &EncodeLeader,
    ) -> Result<(), EncodeError> {
        let Producers { offer: Some(offer), imports, .. } = producers else {
            return Err(EncodeError::other_source());
        };
        *imports = true;
        let predicted = self.context.costs.predict(&self.codec, self.resource.len);
        let (begun, longest) = (Instant::now(), (2 * predicted).max(SHORTEST_IMPORT));
        let (mut at, mut part) = (0, Vec::new());
        loop {
            if begun.elapsed() > longest {
                offer.give_up();
                let message = "the object in the shared store comes too slowly";
                return Err(EncodeError::Disproved(Error::new(ErrorKind::Io, message)));
            }
            if let Some(why) = self.stopped(leader.progress()) {
                return Err(why.into());
            }
            part.clear();
            let more = offer.next(&mut part).map_err(EncodeError::Disproved)?;
            let readable = (at + part.len() as u64).saturating_sub(IMPORT_WITHHELD);
            output.put(at, &part, readable)?;
            at += part.len() as u64;
            if !more {
                break;
            }
        }
        if at < output.len() {
            let message = "the object in the shared store is shorter than the encode beside it";
            return Err(EncodeError::Disproved(Error::new(ErrorKind::Encoder, message)));
        }
        Ok(())
    }

    /// Tells the shared store of a payload that `took` so much processor time: stores it for other
    /// replicas, or counts what an import has saved.
    pub(super) fn share(&self, made: &mut Made, took: Duration) {
        let len = self.resource.len;
        let (costs, is_stored) = (&self.context.costs, made.product.stored);
        let Made { product, entry, offer, is_measured, .. } = made;
        // What a delta costs says nothing of others.
        if is_stored || self.codec.adopts.is_some() || self.codec.dictionary.is_some() {
            return;
        }
        if *is_measured && !product.imported {
            costs.learn(&self.codec, len, took);
        }
        let (Some(tier), Some(offer)) = (&self.context.tier, offer) else { return };
        let is_wanted = match product.imported {
            true => {
                tier.imported(took, costs.predict(&self.codec, len));
                offer.is_due()
            }
            false => offer.answer() != Answer::Object,
        };
        if let Some(entry) = entry.as_ref().filter(|_| is_wanted) {
            tier.store(entry, offer.take_lease(), self.context.cache.threads());
        }
    }
}

/// Compares decoded bytes with those of the source.
fn comparison(source: SourceReader) -> Comparison {
    let mut own = Vec::new();
    Box::new(move |decoded, at| {
        own.resize(decoded.len(), 0);
        source.read_exact(&mut own, at)?;
        match own == decoded {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Encoder, "the coded bytes decode to other content")),
        }
    })
}
