//! Stand-ins for the types of `sendfile` when the feature is off. None of them has a value.

#![allow(clippy::disallowed_types, reason = "as in the module that this stands in for")]

use std::convert::Infallible;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

/// A connection that sends by `sendfile`; there is none.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Infallible);

/// A mapped file; there is none.
#[derive(Debug)]
pub(crate) struct Mapping(Infallible);

impl Connection {
    pub(crate) fn of(_: &http::Extensions) -> Option<Self> {
        None
    }

    pub(crate) fn give_out<F: ?Sized>(
        &self,
        _: &Arc<Mapping>,
        _: u64,
        _: u64,
        _: Arc<F>,
    ) -> Option<Bytes> {
        match self.0 {}
    }
}

impl Mapping {
    pub(crate) fn new(_: Arc<File>) -> Option<Self> {
        None
    }

    pub(crate) fn is_resident(&self, _: u64, _: u64, _: u64) -> bool {
        match self.0 {}
    }
}
