//! `Available-Dictionary` (RFC 9842 §2.2): the dictionary that a client has for a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use super::Digest;
use super::field::{Line, single};

/// The field's name. The `http` crate has no constant for it.
pub(crate) const AVAILABLE_DICTIONARY: &str = "available-dictionary";

/// Parses the SHA-256 of the dictionary that a request offers.
///
/// The value is a byte sequence of RFC 9651 §3.3.5 that holds 32 bytes: base64 between colons. A field
/// that is repeated, has parameters, another length or another spelling of the same bytes is `None`.
/// Such a request gets no delta, so nothing is lost by being strict.
pub(crate) fn available_dictionary(headers: &HeaderMap) -> Option<Digest> {
    let Line::One(value) = single(headers, AVAILABLE_DICTIONARY) else { return None };
    let coded = value.strip_prefix(b":")?.strip_suffix(b":")?;
    // 44 characters are all that 32 bytes ever take. A longer value is not decoded.
    let coded: &[u8; 44] = coded.try_into().ok()?;
    let bytes = STANDARD.decode(coded).ok()?;
    Some(Digest::from_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// The digest of no bytes, in base64.
    const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn parse(lines: &[&str]) -> Option<Digest> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("Available-Dictionary", HeaderValue::from_str(line).unwrap());
        }
        available_dictionary(&headers)
    }

    #[test]
    fn field_of_32_bytes_is_their_digest() {
        let digest = Some(Digest::of(b""));
        assert_eq!(parse(&[&format!(":{EMPTY}:")]), digest);
        assert_eq!(parse(&[&format!(" \t:{EMPTY}: ")]), digest, "whitespace around a value");
    }

    #[test]
    fn field_that_is_absent_doubled_or_odd_is_none() {
        let good = format!(":{EMPTY}:");
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[&good, &good]), None, "two lines");
        let unpadded = EMPTY.trim_end_matches('=');
        for odd in [
            String::new(),
            ":".to_owned(),
            "::".to_owned(),
            EMPTY.to_owned(),
            format!(":{EMPTY}"),
            format!("{EMPTY}:"),
            format!("\"{EMPTY}\""),
            format!(":{unpadded}:"),
            format!(":{EMPTY}=:"),
            format!(":{}:", EMPTY.replace('+', "-").replace('/', "_")),
            format!(": {EMPTY}:"),
            format!("{good}, {good}"),
            format!("{good};a=1"),
            format!(":{}:", &EMPTY[4..]),
            format!(":AAAA{EMPTY}:"),
            // The last character has bits that mean nothing.
            format!(":{}V=:", &EMPTY[..42]),
            "?1".to_owned(),
        ] {
            assert_eq!(parse(&[&odd]), None, "{odd:?}");
        }
    }
}
