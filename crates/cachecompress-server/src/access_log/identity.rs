//! The names of a request that other logs know it by: `traceparent` and the request id.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};

use http::HeaderValue;

use crate::limits::REQUEST_ID_BYTES;

/// The field that names a trace (W3C Trace Context §3.2).
pub(super) const TRACEPARENT: &str = "traceparent";

/// The field in which a proxy names a request.
pub(super) const X_REQUEST_ID: &str = "x-request-id";

/// The length of `VERSION-TRACE-PARENT-FLAGS`.
const TRACEPARENT_LEN: usize = 55;

thread_local! {
    /// A hash with a secret of this thread's, and the numbers that were hashed so far.
    static RANDOM: RefCell<(RandomState, u64)> = RefCell::new((RandomState::new(), 0));
}

/// The trace that a request belongs to; `None` if its `lines` name none, or more than one.
///
/// A later version of the format may have further parts. They are left out.
pub(super) fn traceparent<'h>(mut lines: impl Iterator<Item = &'h HeaderValue>) -> Option<String> {
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let text = line.to_str().ok()?;
    let (known, rest) = text.split_at_checked(TRACEPARENT_LEN)?;
    let mut parts = known.split('-');
    let mut hex = |len: usize| {
        let is_hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        parts.next().filter(|part| part.len() == len && part.bytes().all(is_hex))
    };
    let (version, trace, parent, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let fits = match version {
        "00" => rest.is_empty(),
        "ff" => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    (fits && !is_zero(trace) && !is_zero(parent)).then(|| known.to_owned())
}

/// The name that a proxy gave to a request; `None` if its `lines` have none that is short and plain,
/// or more than one.
pub(super) fn request_id<'h>(mut lines: impl Iterator<Item = &'h HeaderValue>) -> Option<String> {
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(&byte);
    let id = line.to_str().ok().filter(|id| (1..=REQUEST_ID_BYTES).contains(&id.len()))?;
    id.bytes().all(is_plain).then(|| id.to_owned())
}

/// A name for a request that has none: 16 random hexadecimal digits.
pub(super) fn new_request_id() -> String {
    format!("{:016x}", random())
}

/// A number that nobody can foretell who does not know this process.
pub(super) fn random() -> u64 {
    RANDOM.with_borrow_mut(|(hash, count)| {
        *count = count.wrapping_add(1);
        hash.hash_one(*count)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(lines: &[&str]) -> Option<String> {
        let lines: Vec<_> = lines.iter().map(|line| HeaderValue::from_str(line).unwrap()).collect();
        traceparent(lines.iter())
    }

    #[test]
    fn traceparent_is_logged_when_it_has_the_form_of_the_standard() {
        assert_eq!(read(&[WHOLE]).as_deref(), Some(WHOLE));
        let later = WHOLE.replacen("00", "cc", 1);
        assert_eq!(read(&[&later]).as_ref(), Some(&later));
        assert_eq!(read(&[&format!("{later}-more")]).as_ref(), Some(&later));
        for bad in [
            "",
            &WHOLE[..54],
            &format!("{WHOLE}-more"),
            &format!("{later}more"),
            &WHOLE.replacen("00", "ff", 1),
            &WHOLE.to_ascii_uppercase(),
            &WHOLE.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &WHOLE.replace("b7ad6b7169203331", &"0".repeat(16)),
            &WHOLE.replacen('-', "0", 1),
            &WHOLE.replacen("a", "g", 1),
        ] {
            assert_eq!(read(&[bad]), None, "{bad:?}");
        }
        assert_eq!(read(&[WHOLE, WHOLE]), None, "two of them name none");
        assert_eq!(read(&[]), None);
    }

    proptest! {
        #[test]
        fn traceparent_of_any_text_is_short_and_harmless(text in "[ -~]{0,80}") {
            if let Some(read) = read(&[&text]) {
                prop_assert_eq!(read.len(), TRACEPARENT_LEN);
                prop_assert!(read.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()));
            }
        }
    }

    #[test]
    fn request_id_is_short_and_plain() {
        let read = |lines: &[&str]| {
            let lines: Vec<_> =
                lines.iter().map(|line| HeaderValue::from_str(line).unwrap()).collect();
            request_id(lines.iter())
        };
        let longest = "a".repeat(REQUEST_ID_BYTES);
        for id in ["a", "2f1c7b9e-0b8f-4a3e-9a53-4c1f3a1b2c3d", "Root=1-67891233-abc", &longest] {
            assert_eq!(read(&[id]).as_deref(), Some(id));
        }
        for bad in ["", "a b", "a\"", "caf\u{e9}", "a,b", &format!("{longest}a")] {
            assert_eq!(read(&[bad]), None, "{bad:?}");
        }
        assert_eq!(read(&["a", "b"]), None);
    }

    #[test]
    fn request_ids_differ() {
        let ids: std::collections::BTreeSet<_> = (0..1000).map(|_| new_request_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 16));
    }
}
