//! Slots that ignore the results of older lookups.
//!
//! Lookups of one path may end in another order than they began. A small file is hashed at once, a
//! huge one for seconds, and meanwhile a third lookup may find that it is gone. Each lookup takes a
//! generation before it begins. Its result gives way to those of later generations.

use crate::concurrency::sync::{AtomicU64, Mutex, Ordering, lock};

/// A counter that hands out generations in the order in which lookups begin.
#[derive(Debug, Default)]
pub(crate) struct Generations(AtomicU64);

/// The place of a lookup in that order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(u64);

impl Generations {
    /// Takes the next generation. To be called before the lookup begins.
    pub(crate) fn begin(&self) -> Generation {
        Generation(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// A slot that holds the result of the latest generation.
#[derive(Debug)]
pub(crate) struct Versioned<T>(Mutex<Version<T>>);

#[derive(Debug)]
struct Version<T> {
    generation: Generation,
    value: Option<T>,
}

/// The outcome of [`Versioned::put`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Put<T> {
    /// The slot holds the new value.
    Stored,
    /// The slot keeps this older value, as it suffices.
    Kept(T),
    /// The slot holds the result of a later generation.
    Outdated,
}

impl<T: Clone> Versioned<T> {
    /// Creates an empty slot, which any generation fills.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Version { generation: Generation::default(), value: None }))
    }

    pub(crate) fn get(&self) -> Option<T> {
        lock(&self.0).value.clone()
    }

    /// Whether the slot holds a value for which `is_it` is true.
    pub(crate) fn holds(&self, is_it: impl FnOnce(&T) -> bool) -> bool {
        lock(&self.0).value.as_ref().is_some_and(is_it)
    }

    /// Stores the result of `generation`; `None` empties the slot.
    pub(crate) fn put(&self, generation: Generation, value: Option<T>) -> Put<T> {
        self.put_unless(generation, value, |_| false)
    }

    /// Stores as [`put`](Self::put) does, unless the value in the slot `suffices`.
    pub(crate) fn put_unless(
        &self,
        generation: Generation,
        value: Option<T>,
        suffices: impl FnOnce(&T) -> bool,
    ) -> Put<T> {
        let mut version = lock(&self.0);
        if generation < version.generation {
            return Put::Outdated;
        }
        if let Some(held) = version.value.as_ref().filter(|held| suffices(held)) {
            return Put::Kept(held.clone());
        }
        *version = Version { generation, value };
        Put::Stored
    }
}

#[cfg(all(test, not(cachecompress_loom)))]
mod tests {
    use super::*;

    #[test]
    fn slot_ignores_an_older_generation_that_ends_later() {
        let (generations, slot) = (Generations::default(), Versioned::new());
        let (early, late) = (generations.begin(), generations.begin());
        assert_eq!(slot.put(late, Some("new")), Put::Stored);
        assert_eq!(slot.put(early, Some("old")), Put::Outdated);
        assert_eq!(slot.get(), Some("new"));
        assert_eq!(slot.put(generations.begin(), None), Put::Stored);
        assert_eq!(slot.put(late, Some("new")), Put::Outdated);
        assert_eq!(slot.get(), None);
    }

    #[test]
    fn generation_puts_twice_when_a_later_one_keeps_its_value() {
        let (generations, slot) = (Generations::default(), Versioned::new());
        let (first, second) = (generations.begin(), generations.begin());
        assert_eq!(slot.put(first, Some("a file")), Put::Stored);
        assert_eq!(slot.put_unless(second, Some("again"), |_| true), Put::Kept("a file"));
        assert_eq!(slot.put(first, Some("a file and its hash")), Put::Stored);
        assert_eq!(slot.get(), Some("a file and its hash"));
    }
}
