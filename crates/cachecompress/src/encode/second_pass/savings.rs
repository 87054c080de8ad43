//! The share of an entry that a better encode saves, foretold from earlier ones.

use std::collections::HashMap;

use super::uses::Class;
use crate::cache::Ledger;
use crate::http::ContentCoding;

/// Entries of which a better encode saves about the same share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Group {
    coding: ContentCoding,
    class: Class,
    /// The number of decimal digits of their sources' lengths.
    digits: u32,
}

/// The bytes before and after the better encodes of late, the later ones counting more, by group.
#[derive(Debug, Default)]
pub(super) struct Savings(HashMap<Group, Sums>);

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    before: f64,
    after: f64,
}

/// The part of the sums that each encode leaves.
const KEPT: f64 = 0.9;

/// The least share that is foretold: a group that saved nothing so far gets its turn when nothing else is left.
const LEAST: f64 = 0.001;

impl Group {
    pub(super) fn of(coding: &ContentCoding, class: Class, source_len: u64) -> Self {
        Self { coding: coding.clone(), class, digits: source_len.checked_ilog10().unwrap_or(0) }
    }

    /// The share that a group saves of which nothing is known yet, by measurements of npm packages.
    fn guess(&self) -> f64 {
        match self.coding.as_str() {
            "br" => 0.13,
            "zstd" => 0.12,
            _ => 0.01,
        }
    }
}

impl Savings {
    /// Foretells the share of an entry's bytes that a better one saves.
    pub(super) fn predict(&self, group: &Group) -> f64 {
        let known = self.0.get(group).filter(|sums| sums.before > 0.0);
        let share = known.map_or_else(|| group.guess(), |sums| 1.0 - sums.after / sums.before);
        share.max(LEAST)
    }

    /// Takes over what an earlier process has learnt.
    pub(super) fn restore(&mut self, ledger: &Ledger) {
        for ((coding, class, digits), (before, after)) in &ledger.saved {
            if let Some(class) = Class::of_number(*class)
                && before.is_finite()
                && after.is_finite()
            {
                let group = Group { coding: coding.clone(), class, digits: *digits };
                self.0.insert(group, Sums { before: *before, after: *after });
            }
        }
    }

    /// Adds what was learnt to `ledger`.
    pub(super) fn store(&self, ledger: &mut Ledger) {
        ledger.saved.extend(self.0.iter().map(|(group, sums)| {
            let Group { coding, class, digits } = group.clone();
            ((coding, class as u8, digits), (sums.before, sums.after))
        }));
    }

    /// Takes an encode into account that made `after` bytes of an entry of `before` bytes.
    pub(super) fn learn(&mut self, group: &Group, before: u64, after: u64) {
        let sums = self.0.entry(group.clone()).or_default();
        sums.before = sums.before * KEPT + before as f64;
        sums.after = sums.after * KEPT + after as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prediction_follows_what_was_saved_in_the_same_group() {
        let group = |len| Group::of(&ContentCoding::BROTLI, Class::Script, len);
        let mut savings = Savings::default();
        assert!((savings.predict(&group(50_000)) - 0.13).abs() < 1e-9);
        (0..40).for_each(|_| savings.learn(&group(50_000), 1000, 800));
        assert!((savings.predict(&group(70_000)) - 0.2).abs() < 1e-9, "the same order of length");
        assert!((savings.predict(&group(5_000)) - 0.13).abs() < 1e-9, "another one");
        (0..40).for_each(|_| savings.learn(&group(5_000), 1000, 1000));
        assert!(savings.predict(&group(5_000)) > 0.0, "it comes last, but it comes");
    }
}
