//! The codings with a dictionary in use.

use std::sync::Arc;

#[cfg(feature = "brotli")]
use super::dcb::Dcb;
#[cfg(feature = "zstd")]
use super::dcz::{Dcz, longest_content};
use super::dictionary::Dictionary;
#[cfg(any(feature = "brotli", feature = "zstd"))]
use super::id::{delta_id, encoder_id, sample_dictionary};
use super::registry::Codec;
#[cfg(any(feature = "brotli", feature = "zstd"))]
use super::traits::Encoder;
use crate::error::Error;
#[cfg(any(feature = "brotli", feature = "zstd"))]
use crate::http::{ContentCoding, EncoderId};
#[cfg(all(feature = "brotli", feature = "zstd"))]
use crate::limits::DCB_UP_TO;

/// The codings `dcb` and `dcz`, as far as their cargo features are enabled, each with the id that its
/// encoder has for a fixed dictionary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeltaCodecs {
    #[cfg(feature = "brotli")]
    dcb: EncoderId,
    #[cfg(feature = "zstd")]
    dcz: EncoderId,
}

impl DeltaCodecs {
    /// Derives the ids of the encoders, for which each encodes the sample.
    ///
    /// # Errors
    ///
    /// If an encoder fails on the sample.
    pub(crate) fn new() -> Result<Self, Error> {
        #[cfg(any(feature = "brotli", feature = "zstd"))]
        let sample = Arc::new(Dictionary::of(&sample_dictionary()));
        Ok(Self {
            #[cfg(feature = "brotli")]
            dcb: encoder_id(&Dcb::new(Arc::clone(&sample)))?,
            #[cfg(feature = "zstd")]
            dcz: encoder_id(&Dcz::new(Arc::clone(&sample)))?,
        })
    }

    /// Returns the codecs for a source of `source_len` bytes and a client that has `dictionary`, the best
    /// first.
    ///
    /// - A shorter source has the smallest result first, `dcb`, and a longer one the fastest.
    /// - A source that is too long for the window of `dcz` has `dcb` alone.
    pub(crate) fn codecs(&self, dictionary: &Arc<Dictionary>, source_len: u64) -> Vec<Codec> {
        #[cfg(any(feature = "brotli", feature = "zstd"))]
        let codec = |coding, encoder: Arc<dyn Encoder>, of_sample| {
            let id = delta_id(of_sample, &dictionary.digest());
            Codec::delta(coding, encoder, id, Arc::clone(dictionary))
        };
        let _ = (dictionary, source_len);
        #[allow(unused_mut, reason = "there may be no such coding")]
        let mut codecs = Vec::new();
        #[cfg(feature = "brotli")]
        codecs.push(codec(
            ContentCoding::DCB,
            Arc::new(Dcb::new(Arc::clone(dictionary))),
            self.dcb,
        ));
        #[cfg(feature = "zstd")]
        if source_len <= longest_content(dictionary.len()) {
            let encoder = Arc::new(Dcz::new(Arc::clone(dictionary)));
            codecs.push(codec(ContentCoding::DCZ, encoder, self.dcz));
        }
        #[cfg(all(feature = "brotli", feature = "zstd"))]
        if source_len > DCB_UP_TO {
            codecs.reverse();
        }
        codecs
    }
}

#[cfg(test)]
#[cfg(all(feature = "brotli", feature = "zstd"))]
mod tests;
