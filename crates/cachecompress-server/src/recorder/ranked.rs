//! A bounded table whose least row makes room for a new one.

use std::collections::HashMap;

/// A row of a [`Ranked`] table.
pub(super) trait Row {
    /// The row's rank. The row with the lowest one makes room.
    fn rank(&self) -> u64;
}

/// Rows by their paths, as many as there is room for.
#[derive(Debug)]
pub(super) struct Ranked<R> {
    rows: HashMap<Box<str>, R>,
    most: usize,
}

impl<R: Row> Ranked<R> {
    /// A table of at most so many rows.
    pub(super) fn new(most: usize) -> Self {
        Self { rows: HashMap::new(), most }
    }

    /// The row of `path`. A new one is made by `new` of the rank of the row that made room, which is
    /// 0 if there was room.
    pub(super) fn row(&mut self, path: &str, new: impl FnOnce(u64) -> R) -> &mut R {
        if !self.rows.contains_key(path) {
            let rank = if self.rows.len() < self.most { 0 } else { self.make_room() };
            self.rows.insert(path.into(), new(rank));
        }
        self.rows.get_mut(path).expect("it was inserted")
    }

    /// The rows of the highest ranks, the highest first, and by path where ranks are equal.
    pub(super) fn top(&self, count: usize) -> Vec<(&str, &R)> {
        let mut rows: Vec<_> = self.rows.iter().map(|(path, row)| (&**path, row)).collect();
        rows.sort_by(|(a, left), (b, right)| right.rank().cmp(&left.rank()).then(a.cmp(b)));
        rows.truncate(count);
        rows
    }

    fn make_room(&mut self) -> u64 {
        let least = self.rows.iter().min_by_key(|(_, row)| row.rank());
        let Some((path, rank)) = least.map(|(path, row)| (path.clone(), row.rank())) else {
            return 0;
        };
        self.rows.remove(&path);
        rank
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(u64);

    impl Row for Count {
        fn rank(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn least_row_makes_room_and_hands_on_its_rank() {
        let mut table = Ranked::new(2);
        for (path, times) in [("/a", 5), ("/b", 2), ("/c", 1), ("/a", 1)] {
            table.row(path, Count).0 += times;
        }
        let rows: Vec<_> = table.top(9).into_iter().map(|(path, row)| (path, row.0)).collect();
        assert_eq!(rows, [("/a", 6), ("/c", 3)]);
        assert_eq!(table.top(1).len(), 1);
    }
}
