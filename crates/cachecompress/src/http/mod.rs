//! HTTP's rules as pure functions: no I/O, no async, no state.
//!
//! Each field of a request has one parser, which makes a type that cannot be wrong. All later code
//! asks that type: a cache with two parsers of one field, for its key and for its choice, can be
//! poisoned. The key of the response cache is the field's raw bytes. No input makes a parser panic.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test ends at its first failure"))]

mod accept_encoding;
mod available_dictionary;
mod cache_status;
mod coded_file;
mod coding;
mod content_hash;
mod content_name;
mod dictionary_pattern;
mod digest;
mod field;
mod media_type;
mod multipart;
mod path;
mod path_segments;
mod preconditions;
mod range;
mod readability;
mod text;
mod validator;

pub(crate) use accept_encoding::AcceptEncoding;
pub(crate) use available_dictionary::{AVAILABLE_DICTIONARY, available_dictionary};
pub use cache_status::{CacheStatus, Detail, Forward};
pub(crate) use coded_file::{
    CODED_EXTENSIONS, CodedFile, InCoding, decoded_path, has_coded_siblings, sibling_path,
};
pub(crate) use coding::EncoderId;
pub use coding::{ContentCoding, InvalidCoding};
pub(crate) use content_hash::ContentHash;
pub(crate) use content_name::{ContentName, NameEvidence};
pub(crate) use dictionary_pattern::DictionaryPattern;
pub use digest::Digest;
pub(crate) use digest::{Hasher, REPR_DIGEST, WANT_REPR_DIGEST, wants_repr_digest};
pub(crate) use media_type::{
    Compressibility, MediaTypes, NamedType, compressibility, of_extension,
};
pub(crate) use multipart::Multipart;
pub use path::SourcePath;
pub(crate) use path::{PathError, RequestPath, encode, encode_bytes};
pub(crate) use path_segments::{PathSegment, PathSegments, decode_leniently, is_dot_segment};
pub(crate) use preconditions::{Evaluation, IfRange, Preconditions, Validators, http_date};
pub(crate) use range::{
    ByteRange, RangeSpec, Ranges, content_range, join_ranges, parse_range, unsatisfied_range,
};
pub(crate) use readability::{Readability, readability};
pub(crate) use text::{Question, Text, TextCheck, look};
pub(crate) use validator::{EntityTag, EntityTagList, NamedCoding, RepresentationTags};
