//! Byte ranges: `Range` and `Content-Range` (RFC 9110 §14).

use http::header::{HeaderMap, HeaderValue, RANGE};

use super::field::{Line, single, trim_ows};

/// A range as the client asked for it, before the representation's length is known
/// (RFC 9110 §14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeSpec {
    /// From the byte at `first` to the one at `last`, or to the end.
    Int {
        /// The offset of the first byte.
        first: u64,
        /// The offset of the last byte, which is part of the range.
        last: Option<u64>,
    },
    /// The last bytes, as many as this.
    Suffix(u64),
}

/// A range that lies within a representation. Both ends are part of it, so it is never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteRange {
    /// The offset of the first byte.
    pub first: u64,
    /// The offset of the last byte.
    pub last: u64,
}

/// A request's `Range` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeHeader {
    /// No range that is served: the field is absent, repeated or malformed, has another unit, or
    /// lists several ranges. The answer is the whole representation, which RFC 9110 §14.2 always
    /// allows.
    None,
    /// A single range.
    One(RangeSpec),
}

impl RangeSpec {
    /// Resolves the range in a representation of `len` bytes.
    ///
    /// `None` if it has no bytes (416, RFC 9110 §15.5.17): the range begins at or behind the end,
    /// is a suffix of no bytes, or ends before it begins.
    #[must_use]
    pub(crate) fn resolve(self, len: u64) -> Option<ByteRange> {
        let end = len.checked_sub(1)?;
        let range = match self {
            Self::Int { first, last } => {
                ByteRange { first, last: last.map_or(end, |last| last.min(end)) }
            }
            // A suffix of no bytes begins behind the end.
            Self::Suffix(suffix) => ByteRange { first: len.saturating_sub(suffix), last: end },
        };
        (range.first <= range.last).then_some(range)
    }
}

impl ByteRange {
    /// The number of bytes.
    #[must_use]
    pub(crate) fn len(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// Parses a request's `Range` field (RFC 9110 §14.2).
///
/// A number too large for 64 bits counts as the largest.
#[must_use]
pub(crate) fn parse_range(headers: &HeaderMap) -> RangeHeader {
    let spec = match single(headers, RANGE) {
        Line::One(value) => parse_single_range(value),
        Line::Absent | Line::Several => None,
    };
    spec.map_or(RangeHeader::None, RangeHeader::One)
}

/// Formats the `Content-Range` of a 206: `range` of a representation of `len` bytes (RFC 9110 §14.4).
#[must_use]
pub(crate) fn content_range(range: ByteRange, len: u64) -> HeaderValue {
    ascii(format!("bytes {}-{}/{len}", range.first, range.last))
}

/// Formats the `Content-Range` of a 416, which tells the length (RFC 9110 §14.4).
#[must_use]
pub(crate) fn unsatisfied_range(len: u64) -> HeaderValue {
    ascii(format!("bytes */{len}"))
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and punctuation may stand in a field value")
}

/// Parses `bytes=` and a list of exactly one range. A list may have empty members
/// (RFC 9110 §5.6.1.2).
fn parse_single_range(value: &[u8]) -> Option<RangeSpec> {
    let (unit, set) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let mut specs = set.split(|byte| *byte == b',').map(trim_ows).filter(|spec| !spec.is_empty());
    match (specs.next(), specs.next()) {
        (Some(spec), None) => parse_spec(spec),
        _ => None,
    }
}

fn parse_spec(spec: &[u8]) -> Option<RangeSpec> {
    let dash = spec.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    match (first.is_empty(), last.is_empty()) {
        (true, _) => parse_number(last).map(RangeSpec::Suffix),
        (false, true) => Some(RangeSpec::Int { first: parse_number(first)?, last: None }),
        (false, false) => {
            let (first, last) = (parse_number(first)?, parse_number(last)?);
            (first <= last).then_some(RangeSpec::Int { first, last: Some(last) })
        }
    }
}

fn parse_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |number, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(value: &str) -> RangeHeader {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_str(value).unwrap());
        parse_range(&headers)
    }

    fn int(first: u64, last: impl Into<Option<u64>>) -> RangeSpec {
        RangeSpec::Int { first, last: last.into() }
    }

    #[test]
    fn parse_range_reads_a_single_byte_range() {
        for (value, spec) in [
            ("bytes=0-0", int(0, 0)),
            ("bytes=5-", int(5, None)),
            ("bytes=-5", RangeSpec::Suffix(5)),
            ("bytes=-0", RangeSpec::Suffix(0)),
            ("Bytes=1-2", int(1, 2)),
            ("bytes= 1-2\t", int(1, 2)),
            ("bytes=,1-2, ,", int(1, 2)),
            ("bytes=007-0010", int(7, 10)),
            ("bytes=0-99999999999999999999", int(0, u64::MAX)),
            ("bytes=-99999999999999999999", RangeSpec::Suffix(u64::MAX)),
            ("bytes=99999999999999999999-", int(u64::MAX, None)),
        ] {
            assert_eq!(parse(value), RangeHeader::One(spec), "{value:?}");
        }
    }

    /// Overlapping ranges made Apache (CVE-2011-3192) and others send gigabytes for one file.
    #[test]
    fn parse_range_ignores_any_other_field() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=,",
            "bytes=2-1",
            "bytes=a-b",
            "bytes=1",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=1- 2",
            "bytes =1-2",
            "bytes:1-2",
            "items=1-2",
            "bytes=0-0,2-3",
            "bytes=0-,0-,0-,0-",
            "bytes=0-0,x",
            "bytes=0x1-2",
        ] {
            assert_eq!(parse(value), RangeHeader::None, "{value:?}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(parse_range(&headers), RangeHeader::None);
        headers.append(RANGE, HeaderValue::from_static("bytes=0-0"));
        headers.append(RANGE, HeaderValue::from_static("bytes=0-0"));
        assert_eq!(parse_range(&headers), RangeHeader::None);
        let mut headers = HeaderMap::new();
        headers.append(RANGE, HeaderValue::from_bytes(b"bytes=0-\xff").unwrap());
        assert_eq!(parse_range(&headers), RangeHeader::None);
    }

    #[test]
    fn range_resolves_within_the_representation() {
        let range = |first, last| Some(ByteRange { first, last });
        for (spec, len, expected) in [
            (int(0, 0), 1, range(0, 0)),
            (int(0, None), 10, range(0, 9)),
            (int(9, 9), 10, range(9, 9)),
            (int(10, None), 10, None),
            (int(0, u64::MAX), 10, range(0, 9)),
            (int(u64::MAX, None), 10, None),
            (int(u64::MAX, None), u64::MAX, None),
            (int(3, 2), 10, None),
            (RangeSpec::Suffix(3), 10, range(7, 9)),
            (RangeSpec::Suffix(11), 10, range(0, 9)),
            (RangeSpec::Suffix(u64::MAX), 10, range(0, 9)),
            (RangeSpec::Suffix(u64::MAX), u64::MAX, range(0, u64::MAX - 1)),
            (RangeSpec::Suffix(0), 10, None),
            (int(0, 0), 0, None),
            (int(0, None), 0, None),
            (RangeSpec::Suffix(1), 0, None),
        ] {
            assert_eq!(spec.resolve(len), expected, "{spec:?} of {len}");
        }
        assert_eq!(ByteRange { first: 2, last: 4 }.len(), 3);
        assert_eq!(ByteRange { first: 0, last: u64::MAX }.len(), u64::MAX);
    }

    #[test]
    fn content_range_names_both_ends_and_the_length() {
        assert_eq!(content_range(ByteRange { first: 0, last: 4 }, 10), "bytes 0-4/10");
        assert_eq!(unsatisfied_range(u64::MAX), format!("bytes */{}", u64::MAX));
    }

    /// Returns the offsets of `0..len` that the range's text means, asking one at a time.
    fn model(first: Option<u128>, last: Option<u128>, len: u64) -> Vec<u64> {
        let meant = |offset: &u64| {
            let offset = u128::from(*offset);
            match (first, last) {
                (Some(first), Some(last)) => first <= offset && offset <= last,
                (Some(first), None) => first <= offset,
                (None, Some(suffix)) => u128::from(len) - offset <= suffix,
                (None, None) => false,
            }
        };
        (0..len).filter(meant).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn range_agrees_with_the_model(
            first in prop::option::of(prop_oneof![0_u128..20, u128::from(u64::MAX) - 2..u128::from(u64::MAX) + 9]),
            last in prop::option::of(prop_oneof![0_u128..20, u128::from(u64::MAX) - 2..u128::from(u64::MAX) + 9]),
            len in 0_u64..16,
        ) {
            let text = |number: Option<u128>| number.map_or(String::new(), |number| number.to_string());
            let expected = model(first, last, len);
            match parse(&format!("bytes={}-{}", text(first), text(last))) {
                RangeHeader::One(spec) => {
                    let resolved = spec.resolve(len);
                    let bytes: Vec<u64> = resolved.map_or(Vec::new(), |range| (range.first..=range.last).collect());
                    prop_assert_eq!(resolved.map_or(0, ByteRange::len), bytes.len() as u64);
                    prop_assert_eq!(bytes, expected);
                }
                RangeHeader::None => {
                    prop_assert!(last.is_none() && first.is_none() || first.unwrap() > last.unwrap());
                }
            }
        }

        #[test]
        fn parse_range_accepts_any_value(value in prop::collection::vec(32_u8..127, 0..24), len in any::<u64>()) {
            let mut text = b"bytes=".to_vec();
            text.extend(value);
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_bytes(&text).unwrap());
            if let RangeHeader::One(spec) = parse_range(&headers)
                && let Some(range) = spec.resolve(len)
            {
                prop_assert!(range.first <= range.last && range.last < len);
            }
        }
    }
}
