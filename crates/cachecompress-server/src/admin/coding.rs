//! Content codings in requests.

use cachecompress::ContentCoding;
use schemars::JsonSchema;
use serde::Deserialize;

/// A content coding.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Coding {
    Br,
    Zstd,
    Gzip,
    Deflate,
}

impl From<Coding> for ContentCoding {
    fn from(coding: Coding) -> Self {
        match coding {
            Coding::Br => Self::BROTLI,
            Coding::Zstd => Self::ZSTD,
            Coding::Gzip => Self::GZIP,
            Coding::Deflate => Self::DEFLATE,
        }
    }
}
