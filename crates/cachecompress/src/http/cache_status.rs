//! `Cache-Status` (RFC 9211): the cache's part in a response.

use http::HeaderValue;

/// The cache's part in a response, as `Cache-Status` tells it (RFC 9211).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStatus {
    /// A stored representation, or a 304 decided by the entity tag alone (RFC 9211 §2.1).
    Hit,
    /// A stored representation that the second pass has made smaller: `hit; detail=second-pass`.
    Improved,
    /// There was no stored representation (RFC 9211 §2.2).
    Forward(Forward),
}

/// The origin of a response that was not in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Forward {
    /// This request had the representation encoded and stored: `fwd=miss; stored`.
    Stored,
    /// This request had the representation brought from the shared store and kept:
    /// `fwd=miss; stored; detail=tier`.
    Imported,
    /// This request joined an encode that another one had begun: `fwd=miss; collapsed`.
    Collapsed,
    /// This request got identity, past the cache: `fwd=bypass`.
    Bypass(Detail),
}

/// The reason why a response went past the cache: the `detail` parameter (RFC 9211 §2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Detail {
    /// Too many encodes are waiting already.
    Queue,
    /// The representation was not available within `patience`.
    Patience,
    /// The cache's disk is full, read-only or broken.
    Disk,
    /// The entry would take more than a quarter of the cache's bound.
    Large,
    /// Another process is encoding the representation.
    Locked,
    /// The request asks for a range, which is one of identity unless a validator names a coding.
    Range,
    /// The request has HTTP/1.0, which cannot tell the end of a body of unknown length from an
    /// abort.
    Protocol,
    /// The client prefers identity, or accepts nothing else.
    Identity,
    /// The source is too small to be worth encoding.
    Small,
    /// Encoding saves too little.
    Unprofitable,
    /// The source is changing, so that no digest holds for it.
    Unsettled,
    /// The source's digest is not known yet, and takes too long.
    Unhashed,
    /// The encoder failed on this source, or its output did not decode to it.
    Encoder,
    /// The earlier version of the file that the client has is stored nowhere any more.
    Dictionary,
}

impl CacheStatus {
    /// The field's value.
    #[must_use]
    pub fn to_header_value(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Hit => "cachecompress; hit",
            Self::Improved => "cachecompress; hit; detail=second-pass",
            Self::Forward(Forward::Stored) => "cachecompress; fwd=miss; stored",
            Self::Forward(Forward::Imported) => "cachecompress; fwd=miss; stored; detail=tier",
            Self::Forward(Forward::Collapsed) => "cachecompress; fwd=miss; collapsed",
            Self::Forward(Forward::Bypass(detail)) => detail.field_value(),
        })
    }

    /// The word for logs: `hit`, `second-pass`, `stored`, `tier`, `collapsed`, or the detail.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Improved => "second-pass",
            Self::Forward(Forward::Stored) => "stored",
            Self::Forward(Forward::Imported) => "tier",
            Self::Forward(Forward::Collapsed) => "collapsed",
            Self::Forward(Forward::Bypass(detail)) => detail.as_str(),
        }
    }
}

/// A bypass's value with a detail.
macro_rules! bypass {
    ($detail:literal) => {
        concat!("cachecompress; fwd=bypass; detail=", $detail)
    };
}

impl Detail {
    /// All of them, in the order of their declaration.
    pub const ALL: &'static [Self] = &[
        Self::Queue,
        Self::Patience,
        Self::Disk,
        Self::Large,
        Self::Locked,
        Self::Range,
        Self::Protocol,
        Self::Identity,
        Self::Small,
        Self::Unprofitable,
        Self::Unsettled,
        Self::Unhashed,
        Self::Encoder,
        Self::Dictionary,
    ];

    /// The token in the field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        &self.field_value()[bypass!("").len()..]
    }

    fn field_value(self) -> &'static str {
        match self {
            Self::Queue => bypass!("queue"),
            Self::Patience => bypass!("patience"),
            Self::Disk => bypass!("disk"),
            Self::Large => bypass!("large"),
            Self::Locked => bypass!("locked"),
            Self::Range => bypass!("range"),
            Self::Protocol => bypass!("protocol"),
            Self::Identity => bypass!("identity"),
            Self::Small => bypass!("small"),
            Self::Unprofitable => bypass!("unprofitable"),
            Self::Unsettled => bypass!("unsettled"),
            Self::Unhashed => bypass!("unhashed"),
            Self::Encoder => bypass!("encoder"),
            Self::Dictionary => bypass!("dictionary"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn status_has_the_field_value_of_rfc_9211() {
        let forward = CacheStatus::Forward;
        for (status, value, word) in [
            (CacheStatus::Hit, "cachecompress; hit", "hit"),
            (CacheStatus::Improved, "cachecompress; hit; detail=second-pass", "second-pass"),
            (forward(Forward::Stored), "cachecompress; fwd=miss; stored", "stored"),
            (forward(Forward::Imported), "cachecompress; fwd=miss; stored; detail=tier", "tier"),
            (forward(Forward::Collapsed), "cachecompress; fwd=miss; collapsed", "collapsed"),
            (
                forward(Forward::Bypass(Detail::Patience)),
                "cachecompress; fwd=bypass; detail=patience",
                "patience",
            ),
        ] {
            assert_eq!(status.to_header_value(), value);
            assert_eq!(status.as_str(), word);
        }
    }

    #[test]
    fn details_are_distinct_tokens() {
        let words: HashSet<_> = Detail::ALL.iter().map(|detail| detail.as_str()).collect();
        assert_eq!(words.len(), Detail::ALL.len());
        for &detail in Detail::ALL {
            let word = detail.as_str();
            // RFC 9651 §3.3.4: a token begins with a letter.
            assert!(!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()));
            assert_eq!(word, format!("{detail:?}").to_lowercase());
            let status = CacheStatus::Forward(Forward::Bypass(detail));
            assert_eq!(
                status.to_header_value(),
                format!("cachecompress; fwd=bypass; detail={word}")
            );
        }
    }
}
