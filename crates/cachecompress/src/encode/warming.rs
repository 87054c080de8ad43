//! The owner of encodes that no request waits for.

use std::sync::{Arc, Weak};

/// A run through files whose encodes are wanted as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct Warming(Arc<()>);

/// The interest of a [`Warming`] in one encode.
#[derive(Clone, Debug)]
pub(super) struct Interest(Weak<()>);

impl Warming {
    pub(super) fn interest(&self) -> Interest {
        Interest(Arc::downgrade(&self.0))
    }
}

impl Interest {
    pub(super) fn has_ended(&self) -> bool {
        self.0.strong_count() == 0
    }
}
