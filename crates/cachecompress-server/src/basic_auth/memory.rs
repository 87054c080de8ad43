//! The outcomes of earlier checks.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use crate::limits::{REJECTED_CREDENTIALS, REJECTED_FOR, VERIFIED_CREDENTIALS};

/// A keyed hash of credentials and of what they were compared with. It tells nobody the password.
pub(super) type Digest = [u8; 32];

/// The credentials that were right, and for a short time those that were wrong.
#[derive(Default)]
pub(super) struct Memory {
    right: HashSet<Digest>,
    /// The keys of `right`, the oldest first.
    order: VecDeque<Digest>,
    wrong: VecDeque<(Digest, Instant)>,
}

impl Memory {
    /// The outcome for `digest`, if it is remembered at `now`.
    pub(super) fn recall(&mut self, digest: &Digest, now: Instant) -> Option<bool> {
        if self.right.contains(digest) {
            return Some(true);
        }
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= REJECTED_FOR;
        while self.wrong.front().is_some_and(|(_, at)| is_old(at)) {
            self.wrong.pop_front();
        }
        self.wrong.iter().any(|(wrong, _)| wrong == digest).then_some(false)
    }

    /// Remembers an outcome. The oldest one makes place.
    pub(super) fn remember(&mut self, digest: Digest, is_right: bool, now: Instant) {
        if !is_right {
            if self.wrong.len() == REJECTED_CREDENTIALS {
                self.wrong.pop_front();
            }
            self.wrong.push_back((digest, now));
        } else if self.right.insert(digest) {
            self.order.push_back(digest);
            if self.order.len() > VERIFIED_CREDENTIALS
                && let Some(oldest) = self.order.pop_front()
            {
                self.right.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn digest(number: usize) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&(number as u64).to_le_bytes());
        digest
    }

    #[test]
    fn memory_keeps_the_newest_outcomes_and_wrong_ones_not_for_long() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for number in 0..VERIFIED_CREDENTIALS + 2 {
            memory.remember(digest(number), true, now);
        }
        for number in 0..REJECTED_CREDENTIALS + 2 {
            memory.remember(digest(1_000_000 + number), false, now);
        }
        let mut at = |number, after| memory.recall(&digest(number), now + after);
        let soon = REJECTED_FOR - Duration::from_millis(1);
        assert_eq!(at(1, soon), None);
        assert_eq!(at(2, Duration::from_secs(1 << 30)), Some(true));
        assert_eq!(at(1_000_001, soon), None);
        assert_eq!(at(1_000_002, soon), Some(false));
        assert_eq!(at(1_000_002, REJECTED_FOR), None);
    }
}
