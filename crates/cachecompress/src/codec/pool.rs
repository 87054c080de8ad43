//! The idle contexts of an encoder.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::limits::{CONTEXT_BYTES, IDLE_CONTEXTS};

/// The idle contexts of one encoder, which its next encodings use again. Setting one up costs more
/// than encoding a small file.
pub(super) struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps `context`, which holds `bytes` of memory, if there is room for it and no panic may
    /// have left it half changed.
    pub(super) fn give(&self, context: T, bytes: usize) {
        if bytes > CONTEXT_BYTES || std::thread::panicking() {
            return;
        }
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONTEXTS {
            idle.push(context);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_drops_contexts_beyond_its_bounds() {
        let pool = Pool::new();
        for context in 0..100 {
            pool.give(context, 0);
        }
        assert_eq!(pool.len(), IDLE_CONTEXTS);
        assert!(pool.take().is_some());
        assert_eq!(pool.len(), IDLE_CONTEXTS - 1);
        pool.give(0, CONTEXT_BYTES + 1);
        assert_eq!(pool.len(), IDLE_CONTEXTS - 1, "too large");
    }
}
