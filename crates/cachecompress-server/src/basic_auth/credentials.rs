//! The user and the password of a request.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use crate::limits::CREDENTIALS_BYTES;

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The user and the password of a request, as the client sent them.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: Vec<u8>,
}

impl Credentials {
    /// Reads the only `Authorization` of `headers`; `None` without it, and if it is malformed or long.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let line = lines.next().filter(|line| line.len() <= CREDENTIALS_BYTES)?;
        if lines.next().is_some() {
            return None;
        }
        Self::parse(line)
    }

    fn parse(line: &HeaderValue) -> Option<Self> {
        let (scheme, coded) = line.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let mut user = BASE64.decode(coded.trim()).ok()?;
        // RFC 7617 §2: neither has control characters.
        if user.iter().any(u8::is_ascii_control) {
            return None;
        }
        let colon = user.iter().position(|byte| *byte == b':')?;
        let password = user.split_off(colon + 1);
        user.truncate(colon);
        Some(Self { user: String::from_utf8(user).ok()?, password })
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn of(lines: &[&str]) -> Option<(String, Vec<u8>)> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AUTHORIZATION, HeaderValue::from_str(line).unwrap());
        }
        Credentials::of(&headers).map(|Credentials { user, password }| (user, password))
    }

    fn basic(text: &[u8]) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(text))
    }

    #[test]
    fn credentials_end_the_user_at_the_first_colon() {
        for (text, user, password) in [
            ("ann:secret", "ann", "secret"),
            ("ann:a:b:", "ann", "a:b:"),
            (":", "", ""),
            ("j\u{f6}rg:\u{1f980}", "j\u{f6}rg", "\u{1f980}"),
        ] {
            let expected = Some((user.to_owned(), password.as_bytes().to_vec()));
            let line = basic(text.as_bytes());
            assert_eq!(of(&[&line]), expected);
            assert_eq!(of(&[line.trim_end_matches('=')]), expected, "without padding");
            assert_eq!(of(&[&line.replace("Basic ", "bASIC  ")]), expected);
        }
    }

    #[test]
    fn malformed_credentials_are_none() {
        let right = basic(b"ann:secret");
        for lines in [
            &[][..],
            &["Basic"],
            &["Basic "],
            &["Basic ###"],
            &["Bearer YW5uOnNlY3JldA=="],
            &[&basic(b"ann")],
            &[&basic(b"ann:a\0b")],
            &[&basic(b"an\xff:a")],
            &[&right, &right],
            &[&basic(&[b'a'; CREDENTIALS_BYTES])],
        ] {
            assert_eq!(of(lines), None, "{lines:?}");
        }
    }
}
