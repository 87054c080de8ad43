//! From a resource to an entry: the encode job and its parts.

pub(crate) mod cores;
pub(crate) mod job;
pub(crate) mod roundtrip;
pub(crate) mod source_reader;
pub(crate) mod speculative;
pub(crate) mod verdict;
