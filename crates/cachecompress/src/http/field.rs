//! Functions that the parsers of field values share.

use http::header::{AsHeaderName, HeaderMap, HeaderValue};

/// Removes optional whitespace from both ends: space and tab, nothing else (RFC 9110 §5.6.3).
pub(super) fn trim_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The lines of a field that may appear only once.
pub(super) enum Line<'a> {
    /// The field is absent.
    Absent,
    /// One line, without the whitespace around it.
    One(&'a [u8]),
    /// Several lines, although the field is no list (RFC 9110 §5.3).
    Several,
}

/// Returns the value of a field that is no list.
pub(super) fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Line<'_> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    match (values.next(), values.next()) {
        (None, _) => Line::Absent,
        (Some(value), None) => Line::One(trim_ows(value)),
        (Some(_), Some(_)) => Line::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trim_ows_removes_space_and_tab_only() {
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b"\x0ca\n"), b"\x0ca\n");
        assert_eq!(trim_ows(b" \t "), b"");
    }
}
