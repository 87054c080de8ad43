//! The span of a request that has none.

use cachecompress::Served;
use http::{Request, Response};

use crate::peer::Peer;

/// Makes no spans.
#[derive(Clone)]
pub(crate) struct RequestSpans;

/// No span.
#[derive(Default)]
pub(crate) struct RequestSpan;

impl RequestSpans {
    pub(crate) fn begin<B>(&self, _: &Peer, _: &Request<B>) -> RequestSpan {
        RequestSpan
    }
}

impl RequestSpan {
    pub(crate) fn answered<B>(&mut self, _: &Response<B>, _: Option<&Served>) {}

    pub(crate) fn sent(&mut self, _: usize) {}
}
