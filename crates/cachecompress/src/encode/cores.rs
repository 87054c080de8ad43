//! The cores that a large encode may have beside its own, while they are idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::codec::Encoding;

/// The cores that encodes of one class may be spread over, and those that are lent to some. What
/// nobody waits for runs at the lowest priority, and so takes none from what somebody waits for.
#[derive(Debug)]
pub(crate) struct Cores {
    most: usize,
    lent: Arc<AtomicUsize>,
}

/// What is lent to an encode, until this is dropped.
#[derive(Debug)]
pub(crate) struct Loan {
    count: usize,
    lent: Arc<AtomicUsize>,
}

impl Cores {
    /// Of `cores`, one is left to those who serve and hash; and no more than `threads` encode at
    /// a time.
    pub(crate) fn new(cores: usize, threads: usize) -> Self {
        Self { most: threads.min(cores.saturating_sub(1)).max(1), lent: Arc::default() }
    }

    /// Offers `encoding` the cores that neither `others`, which encode on threads of their own,
    /// nor loans keep busy; but always one, which it then shares.
    pub(crate) fn lend(&self, others: usize, encoding: &mut dyn Encoding) -> Loan {
        let busy = others + self.lent.load(Ordering::Relaxed);
        let offered = self.most.saturating_sub(busy).max(1);
        let count = encoding.spread(offered).min(offered);
        self.lent.fetch_add(count, Ordering::Relaxed);
        Loan { count, lent: Arc::clone(&self.lent) }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.lent.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// Says that it takes so many of those that it is offered.
    struct Spread {
        takes: fn(usize) -> usize,
        offered: usize,
    }

    impl Encoding for Spread {
        fn write(&mut self, _piece: &[u8], _out: &mut Vec<u8>) -> Result<(), Error> {
            Ok(())
        }

        fn finish(self: Box<Self>, _out: &mut Vec<u8>) -> Result<(), Error> {
            Ok(())
        }

        fn spread(&mut self, threads: usize) -> usize {
            self.offered = threads;
            (self.takes)(threads)
        }
    }

    fn lent(cores: &Cores, others: usize, takes: fn(usize) -> usize) -> (usize, Loan) {
        let mut encoding = Spread { takes, offered: 0 };
        let loan = cores.lend(others, &mut encoding);
        (encoding.offered, loan)
    }

    fn offered(cores: &Cores, others: usize) -> usize {
        lent(cores, others, |offered| offered).0
    }

    #[test]
    fn what_is_busy_is_not_offered_but_one_always_is() {
        let cores = Cores::new(8, 6);
        assert_eq!(offered(&cores, 0), 6);
        assert_eq!(offered(&cores, 2), 4, "two encode by themselves");
        let (count, four) = lent(&cores, 1, |offered| offered - 1);
        assert_eq!((count, four.count), (5, 4));
        assert_eq!(offered(&cores, 0), 2, "four are lent");
        assert_eq!(offered(&cores, 7), 1);
        drop(four);
        assert_eq!(offered(&cores, 0), 6);
        let (_, all) = lent(&cores, 0, |_| usize::MAX);
        assert_eq!(all.count, 6, "it has what it was offered");
        assert_eq!(offered(&cores, 1), 1);
    }

    #[test]
    fn one_core_is_left_to_the_others() {
        for (cores, threads, most) in [(1, 2, 1), (2, 2, 1), (4, 2, 2), (4, 8, 3), (0, 0, 1)] {
            assert_eq!(offered(&Cores::new(cores, threads), 0), most, "{cores} cores");
        }
    }
}
