//! Stand-ins for the types of `tier` when the feature is off. None of them has a value.

#![allow(dead_code, reason = "the names are those of the module that this stands in for")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Entry, Key};
use crate::concurrency::thread_pool::ThreadPool;
use crate::error::Error;
use crate::metrics::TierMetrics;

/// A shared store; there is none.
#[derive(Clone, Debug)]
pub(crate) struct Tier(Infallible);

/// The answer of a shared store; there is none.
#[derive(Debug)]
pub(crate) struct Offer(Infallible);

/// A lease; there is none.
#[derive(Debug)]
pub(crate) struct Held(Infallible);

/// The entry that a reader of an object expects.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) key: Key,
    pub(crate) source_len: u64,
    pub(crate) max_payload: u64,
}

/// The way of one replica to a payload that others may have.
#[derive(Debug)]
pub(crate) enum Sharing {
    Race,
    Import,
    Alone(Option<Held>),
}

/// The use of a shared store for one encode.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Approach {
    Skip,
    Race,
    Lease,
}

/// The state of an [`Offer`].
#[derive(PartialEq)]
pub(crate) enum Answer {
    Pending,
    Nothing,
    Object,
}

impl Tier {
    pub(crate) fn metrics(&self) -> TierMetrics {
        match self.0 {}
    }

    pub(crate) fn approach(&self, _: &Key, _: Duration) -> Approach {
        match self.0 {}
    }

    pub(crate) fn take(&self, _: &Expected) -> Offer {
        match self.0 {}
    }

    pub(crate) fn ask(&self, _: Expected) -> Offer {
        match self.0 {}
    }

    pub(crate) fn ask_nothing(&self, _: Option<Held>) -> Offer {
        match self.0 {}
    }

    pub(crate) fn settle(
        &self,
        _: Key,
        _: Duration,
        _: impl Fn() -> bool + Send + Sync + 'static,
        _: impl FnOnce(Sharing) + Send + 'static,
    ) {
        match self.0 {}
    }

    pub(crate) fn store(&self, _: &Arc<Entry>, _: Option<Held>, _: &ThreadPool) {
        match self.0 {}
    }

    pub(crate) fn imported(&self, _: Duration, _: Duration) {
        match self.0 {}
    }

    pub(crate) async fn flush(&self) {
        match self.0 {}
    }
}

impl Offer {
    pub(crate) fn answer(&mut self) -> Answer {
        match self.0 {}
    }

    pub(crate) fn give_up(&mut self) {
        match self.0 {}
    }

    pub(crate) fn next(&mut self, _: &mut Vec<u8>) -> Result<bool, Error> {
        match self.0 {}
    }

    pub(crate) fn refuse(&mut self) {
        match self.0 {}
    }

    pub(crate) fn is_due(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn take_lease(&mut self) -> Option<Held> {
        match self.0 {}
    }
}
