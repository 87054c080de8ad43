//! The answer of a shared store to a request for one object.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::object::{Expected, ObjectReader};
use super::shared::{Held, Shared};
use crate::error::{Error, ErrorKind};
use crate::limits::TIER_PARTS_AHEAD;
use crate::metrics::TierOutcome;

/// A part of an answer.
#[derive(Debug)]
pub(super) enum Part {
    /// The object is there, with so many bytes. It is due to be stored again, or not.
    Found {
        len: u64,
        is_due: bool,
    },
    Bytes(Bytes),
    /// All bytes have come.
    End,
}

/// The answer to come of a store, and the lease that this replica may have.
///
/// A drop ends the transfer.
#[derive(Debug)]
pub(crate) struct Offer {
    state: State,
    lease: Option<Held>,
}

#[derive(Debug)]
enum State {
    Nothing,
    Asked(Asked),
    Found(Box<Found>),
}

#[derive(Debug)]
struct Asked {
    parts: Receiver<Part>,
    expected: Expected,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Found {
    asked: Asked,
    reader: ObjectReader,
    is_due: bool,
    /// The outcome, once the object was read or refused.
    outcome: TierOutcome,
}

/// The state of an [`Offer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The store has not answered yet.
    Pending,
    /// There is no object to be had.
    Nothing,
    /// The object is there, and comes.
    Object,
}

impl Offer {
    /// The offer of a store that has nothing.
    pub(super) fn nothing(lease: Option<Held>) -> Self {
        Self { state: State::Nothing, lease }
    }

    /// Makes the offer of an object that is asked for, and the sender of its parts.
    pub(super) fn asked(shared: &Arc<Shared>, expected: Expected) -> (Self, Sender<Part>) {
        let (sender, parts) = mpsc::channel(TIER_PARTS_AHEAD);
        let asked = Asked { parts, expected, shared: Arc::clone(shared) };
        (Self { state: State::Asked(asked), lease: None }, sender)
    }

    /// Looks for the store's answer. Does not wait.
    pub(crate) fn answer(&mut self) -> Answer {
        match &mut self.state {
            State::Nothing => Answer::Nothing,
            State::Found(found) if found.outcome == TierOutcome::Hit => Answer::Object,
            State::Found(_) => Answer::Nothing,
            State::Asked(asked) => match asked.parts.try_recv() {
                Err(TryRecvError::Empty) => Answer::Pending,
                received => self.judge(received.ok()),
            },
        }
    }

    /// Waits for the store's answer, at most as long as the store's deadlines.
    pub(super) fn wait(&mut self) -> Answer {
        let State::Asked(asked) = &mut self.state else { return self.answer() };
        let received = asked.parts.blocking_recv();
        self.judge(received)
    }

    fn judge(&mut self, received: Option<Part>) -> Answer {
        let state = std::mem::replace(&mut self.state, State::Nothing);
        let (State::Asked(asked), Some(Part::Found { len, is_due })) = (state, received) else {
            return Answer::Nothing;
        };
        let keys = asked.shared.keys.clone();
        let reader = ObjectReader::new(asked.expected.clone(), keys, len);
        // An object that nobody reads to its end was a hit all the same.
        let found = Found { asked, reader, is_due, outcome: TierOutcome::Hit };
        self.state = State::Found(Box::new(found));
        Answer::Object
    }

    /// Adds the next bytes of the payload to `payload`. Returns whether more may come. Waits, at most as
    /// long as the store's deadlines.
    ///
    /// # Errors
    ///
    /// If the store broke off, or the object is not the expected one. There is nothing to be had then.
    pub(crate) fn next(&mut self, payload: &mut Vec<u8>) -> Result<bool, Error> {
        let State::Found(found) = &mut self.state else { return Err(broken_off()) };
        let result = match found.asked.parts.blocking_recv() {
            Some(Part::Bytes(bytes)) => found.reader.take(&bytes, payload).map(|()| true),
            Some(Part::End) => found.reader.finish().map(|()| false),
            Some(Part::Found { .. }) | None => Err(broken_off()),
        };
        match &result {
            Err(error) if error.kind() == ErrorKind::Io => found.outcome = TierOutcome::Error,
            Err(_) => self.refuse(),
            Ok(_) => {}
        }
        result
    }

    /// Gives the object up, which comes too slowly.
    pub(crate) fn give_up(&mut self) {
        if let State::Found(found) = &mut self.state {
            found.outcome = TierOutcome::Timeout;
            let breaker = &found.asked.shared.breaker;
            if let Some(admission) = breaker.admit() {
                breaker.record(admission, false);
            }
        }
    }

    /// Refuses the object, which does not decode to the file.
    pub(crate) fn refuse(&mut self) {
        if let State::Found(found) = &mut self.state {
            found.outcome = TierOutcome::Disproved;
            found.asked.shared.misses.note_bad(&found.asked.expected.key);
        }
    }

    /// Whether the object, which was found, is to be stored again, before it is removed for its age.
    pub(crate) fn is_due(&self) -> bool {
        matches!(&self.state, State::Found(found) if found.is_due)
    }

    /// Takes the lease, if this replica has one.
    pub(crate) fn take_lease(&mut self) -> Option<Held> {
        self.lease.take()
    }
}

/// An object that was found in vain is a hit, as one that is not read to its end.
impl Drop for Asked {
    fn drop(&mut self) {
        self.parts.close();
        if let Ok(Part::Found { .. }) = self.parts.try_recv() {
            self.shared.counters.request(TierOutcome::Hit);
        }
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A decoder panics at it.
            self.outcome = TierOutcome::Disproved;
            self.asked.shared.misses.note_bad(&self.asked.expected.key);
        }
        self.asked.shared.counters.request(self.outcome);
    }
}

fn broken_off() -> Error {
    Error::new(ErrorKind::Io, "the shared store broke off")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use object_store::ObjectStoreExt as _;
    use object_store::path::Path;
    use tokio::runtime::Handle;

    use super::*;
    use crate::cache::Key;
    use crate::http::{ContentCoding, Digest, EncoderId};
    use crate::tier::mode::TierMode;
    use crate::tier::place::Place;
    use crate::tier::shared::Settings;
    use crate::tier::simulation::network::{Fault, Network, Weather};
    use crate::tier::{Owner, Tier, object};

    fn shared(place: Place) -> Arc<Shared> {
        let settings = Settings { mode: TierMode::ReadWrite, keys: None };
        Arc::new(Shared::new(place, settings, Handle::current(), 1))
    }

    fn expected() -> Expected {
        let key = Key {
            digest: Digest::of(b"source"),
            coding: ContentCoding::GZIP,
            id: EncoderId::derive(b"", b""),
        };
        Expected { key, source_len: 6, max_payload: 600 }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn object_that_is_there_is_asked_for_again_after_an_error() {
        for (faults, hits) in [(Fault::FirstCall, true), (Fault::Storm(1.0), false)] {
            let faults = vec![(Duration::ZERO..Duration::from_secs(600), faults)];
            let network = Network::new(Weather { faults, ..Weather::default() }, 1);
            let (store, prefix) = (network.client(1), Path::from("site"));
            let path = object::path_of(&prefix, &expected().key);
            network.memory().put(&path, vec![0; 100].into()).await.expect("memory");
            let shared = shared(Place { store, prefix, name: "simulated".into() });
            // A busy machine has the longest deadline.
            shared.latency.observe(Duration::from_secs(1));
            let (alive, _) = tokio::sync::oneshot::channel();
            let tier = Tier(Arc::new(Owner { shared, _alive: alive }));
            let taken = tokio::task::spawn_blocking(move || tier.take(&expected()).answer());
            let expected = if hits { Answer::Object } else { Answer::Nothing };
            assert_eq!((taken.await.expect("no panic"), network.calls()), (expected, 2));
        }
    }

    /// An encode that was done before anybody looked for the answer left no trace of it.
    #[tokio::test]
    async fn object_that_is_found_in_vain_is_a_hit() {
        let shared = shared(Place::open("memory:///").expect("a store"));
        let expected = expected();
        for is_seen in [false, true] {
            let (mut offer, sender) = Offer::asked(&shared, expected.clone());
            sender.send(Part::Found { len: 1, is_due: false }).await.expect("it is awaited");
            assert!(!is_seen || offer.answer() == Answer::Object);
            drop(offer);
        }
        let hits = (TierOutcome::Hit, 2);
        assert!(shared.counters.snapshot().requests.contains(&hits));
    }
}
