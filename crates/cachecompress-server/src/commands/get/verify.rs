//! The digest that a response tells of the whole file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cachecompress::Digest;
use http::HeaderValue;

use super::client::Exchange;

/// The length of an encoder's id in an entity tag of ours.
const ID: usize = 8;

/// A digest, and the field that tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// `Repr-Digest` of the file without a coding (RFC 9530).
    Whole(Digest),
    /// The entity tag of a coded representation of ours, which has the first 132 bits.
    Tag(String),
    /// An entity tag like that of a file of ours. Other servers may have such tags: it proves a match, and nothing
    /// else.
    Perhaps(String),
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Other,
    Unknown,
}

impl Expected {
    /// Reads the digest from the fields of a response in this `coding`, such as `br`; `None` for identity.
    pub(super) fn of(exchange: &Exchange, coding: Option<&str>) -> Option<Self> {
        // A coded representation has the digest of its coded bytes.
        if coding.is_none()
            && let Some(digest) = repr_digest(exchange)
        {
            return Some(Self::Whole(digest));
        }
        Self::of_tag(exchange.field("etag")?, coding)
    }

    /// Reads the digest from a strong entity tag, with its quotes.
    pub(super) fn of_tag(tag: &str, coding: Option<&str>) -> Option<Self> {
        let opaque = tag.strip_prefix('"')?.strip_suffix('"')?;
        let is_base64url = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let (digest, rest) = opaque.split_at_checked(Digest::TAG_LEN)?;
        if !is_base64url(digest) {
            return None;
        }
        match coding {
            None if rest.is_empty() => Some(Self::Perhaps(digest.to_owned())),
            None => None,
            Some(coding) => {
                let id = rest.strip_prefix('-')?.strip_prefix(coding)?.strip_prefix('-')?;
                (id.len() == ID && is_base64url(id)).then(|| Self::Tag(digest.to_owned()))
            }
        }
    }

    /// Whether it proves damage.
    pub(super) fn is_certain(&self) -> bool {
        !matches!(self, Self::Perhaps(_))
    }

    /// Compares it with the digest of a file.
    pub(super) fn judge(&self, digest: &Digest) -> Verdict {
        let is_same = match self {
            Self::Whole(whole) => whole == digest,
            Self::Tag(start) | Self::Perhaps(start) => digest.base64url().starts_with(&**start),
        };
        match (is_same, self.is_certain()) {
            (true, _) => Verdict::Same,
            (false, true) => Verdict::Other,
            (false, false) => Verdict::Unknown,
        }
    }

    /// The name of the field, for the report.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::Whole(_) => "repr-digest",
            Self::Tag(_) | Self::Perhaps(_) => "etag",
        }
    }
}

/// The entity tag by which a server of ours knows a file with this digest.
pub(super) fn tag_of(digest: &Digest) -> HeaderValue {
    let text = digest.base64url();
    HeaderValue::try_from(format!("\"{}\"", &text[..Digest::TAG_LEN])).expect("base64url is ASCII")
}

/// A digest as a byte sequence of a structured field (RFC 9651 §3.3.5).
pub(super) fn byte_sequence(digest: &Digest) -> HeaderValue {
    let text = format!(":{}:", STANDARD.encode(digest.as_bytes()));
    HeaderValue::try_from(text).expect("base64 is ASCII")
}

fn repr_digest(exchange: &Exchange) -> Option<Digest> {
    let lines = exchange.fields.get_all("repr-digest").iter();
    let members = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let mut digests = members.filter_map(|member| {
        let coded = member.trim().strip_prefix("sha-256=:")?.strip_suffix(':')?;
        STANDARD.decode(coded).ok()?.try_into().ok().map(Digest::from_bytes)
    });
    digests.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_of_a_coding_names_the_digest_only_in_our_grammar() {
        let digest = Digest::of(b"content");
        let start = &digest.base64url()[..Digest::TAG_LEN];
        let of = |tag: &str, coding| Expected::of_tag(tag, coding);
        let tag = format!("\"{start}-zstd-abcd-_12\"");
        assert_eq!(of(&tag, Some("zstd")), Some(Expected::Tag(start.to_owned())));
        assert_eq!(of(&tag, Some("zstd")).unwrap().judge(&digest), Verdict::Same);
        assert_eq!(of(&tag, Some("zstd")).unwrap().judge(&Digest::of(b"other")), Verdict::Other);
        for (tag, coding) in [
            (&*tag, Some("br")),
            (&tag, None),
            (&format!("W/{tag}"), Some("zstd")),
            (&format!("\"{start}-zstd-abcd\""), Some("zstd")),
            ("\"5f1b2c3d-1a2b\"", None),
            ("\"9b2cf535f27731c974343645a3985328\"", None),
            ("\"äöüäöüäöüäöü\"", None),
        ] {
            assert_eq!(of(tag, coding), None, "{tag} {coding:?}");
        }
    }

    /// A server of others with tags of 22 characters would have had every download fail.
    #[test]
    fn tag_that_may_be_of_others_proves_no_damage() {
        let digest = Digest::of(b"content");
        let tag = tag_of(&digest);
        let perhaps = Expected::of_tag(tag.to_str().unwrap(), None).unwrap();
        assert_eq!(perhaps.judge(&digest), Verdict::Same);
        assert_eq!(perhaps.judge(&Digest::of(b"other")), Verdict::Unknown);
    }
}
