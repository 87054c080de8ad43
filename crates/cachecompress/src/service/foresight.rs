//! The notes that the answer to a request takes for its explanation.

use std::sync::Arc;

use crate::catalog::Resource;
use crate::concurrency::sync::{Mutex, lock};
use crate::http::ContentCoding;

/// The notes on the file that answers a request. With them in its options, nothing is encoded for it.
#[derive(Debug, Default)]
pub(crate) struct Foresight(Mutex<Option<Noted>>);

/// A file that answers a request, and what is on offer of it.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) resource: Arc<Resource>,
    pub(super) offered: Vec<ContentCoding>,
    pub(super) exceeds_cache: bool,
}

impl Foresight {
    pub(super) fn note(&self, noted: Noted) {
        *lock(&self.0) = Some(noted);
    }

    pub(super) fn noted(&self) -> Option<Noted> {
        lock(&self.0).clone()
    }
}
