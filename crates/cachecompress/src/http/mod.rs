//! HTTP's rules as pure functions: no I/O, no async, no state.
//!
//! Whatever arrives in a request is parsed here once, into a type that cannot be wrong, and
//! everything later asks that value: a cache whose key and whose choice read one header twice,
//! with two parsers, can be poisoned. No input makes any of this panic.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        reason = "a test ends at the first thing that is not as it should be"
    )
)]

mod accept_encoding;
mod cache_status;
mod coding;
mod digest;
mod field;
mod media_type;
mod path;
mod preconditions;
mod range;
mod validator;

pub use accept_encoding::{AcceptEncoding, Negotiated};
pub use cache_status::{CacheStatus, Detail, Forward};
pub use coding::{ContentCoding, EncoderId, InvalidCoding};
pub use digest::{Digest, Hasher};
pub use media_type::{Compressibility, compressibility, media_type};
pub use path::{PathError, RequestPath, SourcePath};
pub use preconditions::{IfRange, Outcome, Preconditions, Validators, http_date};
pub use range::{ByteRange, RangeHeader, RangeSpec, content_range, parse_range, unsatisfied_range};
pub use validator::{EntityTag, EntityTagList, NamedCoding, RepresentationTags};
