//! The transfer of an object from a shared store.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use object_store::{GetOptions, ObjectStore as _};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, timeout};

use super::object::{self, Expected};
use super::offer::{Offer, Part};
use super::shared::Shared;
use crate::limits::{TIER_OLD, TIER_RENEW_ONE_IN, TIER_STALL};
use crate::metrics::TierOutcome;

/// Asks for an object. The answer comes in the offer.
pub(super) fn ask(shared: &Arc<Shared>, expected: Expected) -> Offer {
    let (offer, sender) = Offer::asked(shared, expected.clone());
    shared.runtime.spawn(fetch(Arc::clone(shared), expected, sender));
    offer
}

async fn fetch(shared: Arc<Shared>, expected: Expected, parts: Sender<Part>) {
    let Some(admission) = shared.breaker.admit() else {
        return shared.counters.request(TierOutcome::Skipped);
    };
    let path = object::path_of(&shared.place.prefix, &expected.key);
    let begun = Instant::now();
    // The answer is awaited also if nobody wants it any more: it tells how the store is.
    let got = shared.place.store.get_opts(&path, GetOptions::default());
    let found = match timeout(shared.latency.longest(), got).await {
        Ok(Ok(found)) => found,
        Ok(Err(object_store::Error::NotFound { .. })) => {
            shared.answered(begun, admission);
            shared.misses.note(&expected.key);
            return shared.counters.request(TierOutcome::Miss);
        }
        Ok(Err(error)) => {
            shared.failed(&error, admission);
            return shared.counters.request(TierOutcome::Error);
        }
        Err(_) => {
            shared.breaker.record(admission, false);
            return shared.counters.request(TierOutcome::Timeout);
        }
    };
    shared.measure(begun);
    let len = found.meta.size;
    if !expected.may_have(len) {
        shared.breaker.record(admission, true);
        shared.misses.note_bad(&expected.key);
        return shared.counters.request(TierOutcome::Disproved);
    }
    let age = SystemTime::now().duration_since(found.meta.last_modified.into());
    let is_due = age.is_ok_and(|age| is_due(age, RandomState::new().hash_one(begun)));
    if parts.send(Part::Found { len, is_due }).await.is_err() {
        shared.breaker.record(admission, true);
        return shared.counters.request(TierOutcome::Hit);
    }
    let mut left = len;
    let mut stream = found.into_stream();
    loop {
        let next = timeout(TIER_STALL, stream.next()).await;
        let part = match next {
            Ok(Some(Ok(bytes))) if bytes.len() as u64 <= left => {
                left -= bytes.len() as u64;
                shared.counters.read(bytes.len() as u64);
                Part::Bytes(bytes)
            }
            Ok(None) if left == 0 => Part::End,
            _ => return shared.breaker.record(admission, false),
        };
        let is_end = matches!(part, Part::End);
        // A thread that does not take the parts has its own work; the store is not to blame.
        if parts.send(part).await.is_err() || is_end {
            return shared.breaker.record(admission, true);
        }
    }
}

/// Whether an object of an `age` is to be stored again, by a number that differs from hit to hit.
fn is_due(age: Duration, number: u64) -> bool {
    age > TIER_OLD && number.is_multiple_of(TIER_RENEW_ONE_IN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bucket's rule removes objects by their age. One that is in use stays, and is not stored again by
    /// every replica that has it.
    #[test]
    fn few_hits_on_an_old_object_store_it_again() {
        let due = |age| (0..1600).filter(|number| is_due(age, *number)).count();
        assert_eq!(due(TIER_OLD), 0);
        assert_eq!(due(TIER_OLD + Duration::from_secs(1)), 100);
    }
}
