//! The segments of a path, for rules that match it piece by piece.

use super::path::{Dots, PathError, decode, escape, resolve_dots};

/// The segments of a request's path. Dot segments are resolved, and repeated slashes count as one.
///
/// Other than a [`RequestPath`](super::RequestPath), it may be a path that no source can have: a
/// segment may hold a slash or a backslash that was encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathSegments {
    pub(crate) segments: Vec<PathSegment>,
    /// Whether the path is the root or ends in a slash.
    pub(crate) directory: bool,
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathSegment {
    /// The segment as the client wrote it.
    pub(crate) raw: Box<str>,
    /// The segment, decoded once. There is no NUL in it.
    pub(crate) decoded: Box<[u8]>,
}

impl PathSegments {
    /// Parses a path as `http::Uri::path` returns it, without the query.
    ///
    /// # Errors
    ///
    /// [`PathError::Malformed`] and [`PathError::Outside`], as for a request's path, and
    /// [`PathError::Nowhere`] for one that does not begin with a slash.
    pub(crate) fn parse(raw: &str) -> Result<Self, PathError> {
        let resolved = resolve_dots(raw)?;
        if !resolved.is_empty() && !resolved.starts_with('/') {
            return Err(PathError::Nowhere);
        }
        let mut segments = Vec::new();
        for segment in resolved.split('/').filter(|segment| !segment.is_empty()) {
            let mut decoded = Vec::with_capacity(segment.len());
            decode(segment, &mut decoded)?;
            segments.push(PathSegment { raw: segment.into(), decoded: decoded.into() });
        }
        Ok(Self { segments, directory: resolved.is_empty() || resolved.ends_with('/') })
    }
}

/// Whether `segment` is `.` or `..` in any spelling.
pub(crate) fn is_dot_segment(segment: &str) -> bool {
    Dots::of(segment).is_some()
}

/// Percent-decodes `text` (RFC 3986 §2.1). A percent sign without two digits stands for itself.
pub(crate) fn decode_leniently(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        let escaped = escape(after).filter(|_| *first == b'%');
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<(Vec<String>, bool), PathError> {
        let PathSegments { segments, directory } = PathSegments::parse(raw)?;
        let text = |segment: &PathSegment| String::from_utf8_lossy(&segment.decoded).into_owned();
        Ok((segments.iter().map(text).collect(), directory))
    }

    #[test]
    fn segments_are_decoded_one_by_one_and_keep_encoded_slashes() {
        for (raw, segments, directory) in [
            ("/", &[][..], true),
            ("", &[], true),
            ("/a/b", &["a", "b"], false),
            ("//a///b/", &["a", "b"], true),
            ("/a%2Fb/%5Cc", &["a/b", "\\c"], false),
            ("/x/../%61/.", &["a"], true),
            ("/%252e", &["%2e"], false),
        ] {
            let segments = segments.iter().map(|segment| (*segment).to_owned()).collect();
            assert_eq!(parse(raw), Ok((segments, directory)), "{raw}");
        }
        assert_eq!(parse("/%zz"), Err(PathError::Malformed));
        assert_eq!(parse("/../a"), Err(PathError::Outside));
        assert_eq!(parse("*"), Err(PathError::Nowhere));
    }

    #[test]
    fn lenient_decoding_keeps_what_is_no_escape() {
        assert_eq!(decode_leniently("a%20b%zz%2"), b"a b%zz%2");
        assert_eq!(decode_leniently("%2F%5c%00"), b"/\\\0");
    }
}
