//! What was looked at later stays.
//!
//! Looks at one thing may end in another order than they began: a small file is known at once, a
//! huge one is hashed for seconds, and meanwhile somebody may have found that it is gone. Each look
//! takes a place in an order before it looks, and what it found gives way to what a later one did.

use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// The order in which looks begin.
#[derive(Debug, Default)]
pub(crate) struct Looks(AtomicU64);

/// A look's place in that order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Look(u64);

impl Looks {
    /// Begins a look; to be called before anything is looked at.
    pub(crate) fn begin(&self) -> Look {
        Look(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// What the latest look found, among those that have told.
#[derive(Debug)]
pub(crate) struct Latest<T>(Mutex<Found<T>>);

#[derive(Debug)]
struct Found<T> {
    look: Look,
    what: Option<T>,
}

/// What became of something that was put.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Put<T> {
    /// It is held now.
    Held,
    /// This was held already, and will do.
    Kept(T),
    /// A later look has told, so it is not held.
    Late,
}

impl<T: Clone> Latest<T> {
    /// Holds nothing, and gives way to any look.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Found { look: Look::default(), what: None }))
    }

    /// What is held.
    pub(crate) fn get(&self) -> Option<T> {
        lock(&self.0).what.clone()
    }

    /// Whether what is held `is_it`.
    pub(crate) fn holds(&self, is_it: impl FnOnce(&T) -> bool) -> bool {
        lock(&self.0).what.as_ref().is_some_and(is_it)
    }

    /// Holds what `look` found, `None` being nothing that can be used.
    pub(crate) fn put(&self, look: Look, what: Option<T>) -> Put<T> {
        self.put_unless(look, what, |_| false)
    }

    /// As [`put`](Self::put), unless what is held by then `will_do`.
    pub(crate) fn put_unless(
        &self,
        look: Look,
        what: Option<T>,
        will_do: impl FnOnce(&T) -> bool,
    ) -> Put<T> {
        let mut found = lock(&self.0);
        if look < found.look {
            return Put::Late;
        }
        if let Some(held) = found.what.as_ref().filter(|held| will_do(held)) {
            return Put::Kept(held.clone());
        }
        *found = Found { look, what };
        Put::Held
    }
}

#[cfg(all(test, not(cachecompress_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_look_gives_way_whenever_it_ends() {
        let (looks, latest) = (Looks::default(), Latest::new());
        let (early, late) = (looks.begin(), looks.begin());
        assert_eq!(latest.put(late, Some("new")), Put::Held);
        assert_eq!(latest.put(early, Some("old")), Put::Late);
        assert_eq!(latest.get(), Some("new"));
        assert_eq!(latest.put(looks.begin(), None), Put::Held);
        assert_eq!(latest.put(late, Some("new")), Put::Late);
        assert_eq!(latest.get(), None);
    }

    #[test]
    fn one_look_may_tell_twice_and_another_may_leave_what_will_do() {
        let (looks, latest) = (Looks::default(), Latest::new());
        let (first, second) = (looks.begin(), looks.begin());
        assert_eq!(latest.put(first, Some("a file")), Put::Held);
        assert_eq!(latest.put_unless(second, Some("again"), |_| true), Put::Kept("a file"));
        assert_eq!(latest.put(first, Some("a file and its hash")), Put::Held);
        assert_eq!(latest.get(), Some("a file and its hash"));
    }
}
