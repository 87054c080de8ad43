//! The order of the entries of a listing.

use std::cmp::Ordering;

use cachecompress::source::ListingEntry;

/// The property by which entries are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Name,
    Size,
    Time,
}

impl Key {
    pub(super) const ALL: [Self; 3] = [Self::Name, Self::Size, Self::Time];

    /// The word of the query.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Time => "time",
        }
    }
}

/// The order of the entries. Directories come first in any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) key: Key,
    pub(super) is_descending: bool,
}

impl Order {
    /// Reads `sort` and `order` of a query. The rest of it means nothing.
    pub(super) fn of(query: Option<&str>) -> Self {
        let mut order = Self { key: Key::Name, is_descending: false };
        for parameter in query.unwrap_or_default().split('&') {
            match parameter.split_once('=') {
                Some(("sort", word)) => {
                    let key = Key::ALL.into_iter().find(|key| key.word() == word);
                    order.key = key.unwrap_or(order.key);
                }
                Some(("order", word)) => order.is_descending = word == "desc",
                _ => {}
            }
        }
        order
    }

    /// Returns the number of the order among all.
    pub(super) fn number(self) -> u32 {
        2 * self.key as u32 + u32::from(self.is_descending)
    }

    pub(super) fn from_number(number: u32) -> Self {
        let key = Key::ALL.into_iter().find(|key| *key as u32 == number / 2);
        Self { key: key.unwrap_or(Key::Name), is_descending: number % 2 == 1 }
    }

    /// Sorts entries. Equal ones go by their names.
    pub(super) fn sort(self, entries: &[ListingEntry]) -> Vec<&ListingEntry> {
        let mut sorted: Vec<_> = entries.iter().collect();
        sorted.sort_by(|a, b| {
            let by_key = match self.key {
                Key::Name => by_name(a, b),
                Key::Size => a.len.cmp(&b.len),
                Key::Time => a.modified.cmp(&b.modified),
            };
            let by_key = if self.is_descending { by_key.reverse() } else { by_key };
            b.is_directory().cmp(&a.is_directory()).then(by_key).then_with(|| by_name(a, b))
        });
        sorted
    }
}

/// Case counts only between names that are otherwise equal.
fn by_name(a: &ListingEntry, b: &ListingEntry) -> Ordering {
    let lower = |entry: &'_ ListingEntry| entry.name.to_ascii_lowercase();
    lower(a).cmp(&lower(b)).then_with(|| a.name.cmp(&b.name))
}
