//! Encoders, and the decoders that prove their output.
//!
//! An [`Encoder`] produces one content coding; [`Encoder::begin`] starts the encoding of one
//! source. `Brotli`, `Zstd`, `Gzip` and `Deflate` are built in, each with its cargo feature.
//! A service derives an id from each encoder's [`Settings`] and a sample of its output. The id is a
//! part of entity tags and of the cache's keys. The output of every encoding is decoded by the
//! encoder's [`Decoding`] and compared with its source.

mod adopted;
mod deltas;
mod dictionary;
mod id;
mod proof;
mod registry;
mod traits;

#[cfg(feature = "brotli")]
mod brotli;
#[cfg(feature = "brotli")]
mod dcb;
#[cfg(feature = "zstd")]
mod dcz;
#[cfg(any(feature = "brotli", feature = "gzip", feature = "zstd"))]
mod decoded_limit;
#[cfg(feature = "gzip")]
mod deflate;
#[cfg(any(feature = "brotli", feature = "gzip", feature = "zstd"))]
mod feed;
#[cfg(any(feature = "brotli", feature = "zstd"))]
mod framed;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "gzip")]
mod libdeflate;
#[cfg(any(feature = "brotli", feature = "gzip", feature = "zstd"))]
mod pool;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(all(test, any(feature = "brotli", feature = "gzip", feature = "zstd")))]
mod conformance;
#[cfg(all(test, any(feature = "brotli", feature = "gzip", feature = "zstd")))]
mod testing;

pub use adopted::decoder;
pub(crate) use adopted::{decode_file, has_decoder, is_too_long};
#[cfg(feature = "brotli")]
pub use brotli::Brotli;
#[cfg(feature = "gzip")]
pub use deflate::Deflate;
pub(crate) use deltas::DeltaCodecs;
pub(crate) use dictionary::Dictionary;
#[cfg(feature = "gzip")]
pub use gzip::Gzip;
#[cfg(feature = "gzip")]
pub(crate) use gzip::unpack as unpack_gzip;
pub(crate) use proof::{Comparison, Proof};
pub use registry::Preference;
pub(crate) use registry::{Codec, Codecs, CodecsBuilder};
pub use traits::{Decoding, Encoder, Encoding, Settings};
#[cfg(feature = "zstd")]
pub use zstd::Zstd;

pub use crate::limits::PIECE;
