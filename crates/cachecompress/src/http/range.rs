//! Byte ranges: `Range` and `Content-Range` (RFC 9110 §14).

use http::header::{HeaderMap, HeaderValue, RANGE};

use super::field::{Line, single, trim_ows};
use crate::limits::RANGES_READ;

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

/// The ranges of a request's `Range` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// A single range.
    One(RangeSpec),
    /// Two ranges or more, at most [`RANGES_READ`].
    Several(Vec<RangeSpec>),
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
/// `None` if there is no range that is served: the field is absent, repeated or malformed, has
/// another unit, or lists more than [`RANGES_READ`] ranges. The answer is then the whole
/// representation, which RFC 9110 §14.2 always allows. A number too large for 64 bits counts as the
/// largest.
#[must_use]
pub(crate) fn parse_range(headers: &HeaderMap) -> Option<Ranges> {
    match single(headers, RANGE) {
        Line::One(value) => parse_ranges(value),
        Line::Absent | Line::Several => None,
    }
}

/// Resolves ranges in a representation of `len` bytes, and joins those that overlap or touch.
///
/// A joined range takes the place of the first of its parts; otherwise the order stays (RFC 9110
/// §15.3.7.2). Ranges without bytes are dropped.
#[must_use]
pub(crate) fn join_ranges(specs: &[RangeSpec], len: u64) -> Vec<ByteRange> {
    let resolved = specs.iter().filter_map(|spec| spec.resolve(len));
    let mut placed: Vec<(usize, ByteRange)> = resolved.enumerate().collect();
    placed.sort_unstable_by_key(|(_, range)| range.first);
    let mut joined: Vec<(usize, ByteRange)> = Vec::with_capacity(placed.len());
    for (place, range) in placed {
        match joined.last_mut() {
            Some((first_place, before)) if range.first <= before.last.saturating_add(1) => {
                before.last = before.last.max(range.last);
                *first_place = place.min(*first_place);
            }
            _ => joined.push((place, range)),
        }
    }
    joined.sort_unstable_by_key(|(place, _)| *place);
    joined.into_iter().map(|(_, range)| range).collect()
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

/// Parses `bytes=` and a list of ranges. A list may have empty members (RFC 9110 §5.6.1.2). One
/// malformed member makes the list malformed.
fn parse_ranges(value: &[u8]) -> Option<Ranges> {
    let (unit, set) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let members = set.split(|byte| *byte == b',').map(trim_ows).filter(|spec| !spec.is_empty());
    let mut specs = members.map(parse_spec);
    let first = specs.next()??;
    let Some(second) = specs.next() else { return Some(Ranges::One(first)) };
    let mut several = vec![first, second?];
    for spec in specs {
        if several.len() == RANGES_READ {
            return None;
        }
        several.push(spec?);
    }
    Some(Ranges::Several(several))
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

    fn parse(value: &str) -> Option<Ranges> {
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
            assert_eq!(parse(value), Some(Ranges::One(spec)), "{value:?}");
        }
    }

    #[test]
    fn parse_range_reads_a_list() {
        let several = |specs: &[RangeSpec]| Some(Ranges::Several(specs.to_vec()));
        assert_eq!(parse("bytes=0-0,2-3"), several(&[int(0, 0), int(2, 3)]));
        assert_eq!(parse("bytes=,5- ,, -7\t"), several(&[int(5, None), RangeSpec::Suffix(7)]));
        assert_eq!(parse("bytes=0-,0-,0-"), several(&[int(0, None); 3]));
        let list = |count| format!("bytes={}", vec!["0-"; count].join(","));
        assert_eq!(parse(&list(RANGES_READ)), several(&[int(0, None); RANGES_READ]));
        assert_eq!(parse(&list(RANGES_READ + 1)), None, "the list is bounded");
    }

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
            "bytes=0-0,x",
            "bytes=x,0-0",
            "bytes=0-0,2-3,5-4",
            "bytes=0x1-2",
        ] {
            assert_eq!(parse(value), None, "{value:?}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(parse_range(&headers), None);
        headers.append(RANGE, HeaderValue::from_static("bytes=0-0"));
        headers.append(RANGE, HeaderValue::from_static("bytes=0-0"));
        assert_eq!(parse_range(&headers), None);
        let mut headers = HeaderMap::new();
        headers.append(RANGE, HeaderValue::from_bytes(b"bytes=0-\xff").unwrap());
        assert_eq!(parse_range(&headers), None);
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
    fn join_ranges_joins_what_overlaps_or_touches_in_the_place_of_the_first() {
        for (specs, expected) in [
            (&[int(20, 29), int(0, 9)][..], &[(20, 29), (0, 9)][..]),
            (&[int(10, 19), int(0, 9)], &[(0, 19)]),
            (&[int(0, 9), int(11, 19)], &[(0, 9), (11, 19)]),
            (&[int(50, 59), int(0, 9), int(70, 79), int(5, 20)], &[(50, 59), (0, 20), (70, 79)]),
            // A later range joins two that stood apart.
            (&[int(40, 49), int(90, 99), int(0, 9), int(5, 45)], &[(0, 49), (90, 99)]),
            (&[int(0, 99), int(20, 29)], &[(0, 99)]),
            (&[int(100, None), int(5, 5), RangeSpec::Suffix(0)], &[(5, 5)]),
            (&[RangeSpec::Suffix(10), int(0, None)], &[(0, 99)]),
            (&[int(100, None), int(200, 300)], &[]),
        ] {
            let joined: Vec<_> =
                join_ranges(specs, 100).iter().map(|range| (range.first, range.last)).collect();
            assert_eq!(joined, expected, "{specs:?}");
        }
        assert_eq!(join_ranges(&[int(0, 0), int(0, None)], 0), []);
        let all = [int(u64::MAX - 1, None), int(0, u64::MAX)];
        assert_eq!(join_ranges(&all, u64::MAX).len(), 1, "no number overflows");
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
                Some(Ranges::One(spec)) => {
                    let resolved = spec.resolve(len);
                    let bytes: Vec<u64> = resolved.map_or(Vec::new(), |range| (range.first..=range.last).collect());
                    prop_assert_eq!(resolved.map_or(0, ByteRange::len), bytes.len() as u64);
                    prop_assert_eq!(bytes, expected);
                }
                Some(Ranges::Several(_)) => prop_assert!(false, "one range is no list"),
                None => {
                    prop_assert!(last.is_none() && first.is_none() || first.unwrap() > last.unwrap());
                }
            }
        }

        #[test]
        fn join_ranges_agrees_with_the_model(
            bounds in prop::collection::vec((0_u64..40, 0_u64..12), 0..8),
            len in 0_u64..40,
        ) {
            let specs: Vec<_> = bounds.iter().map(|(first, more)| int(*first, first + more)).collect();
            let joined = join_ranges(&specs, len);
            let is_meant = |at: u64| bounds.iter().any(|(first, more)| (*first..=first + more).contains(&at));
            let sent = |at: u64| joined.iter().filter(|range| (range.first..=range.last).contains(&at)).count();
            for at in 0..len {
                prop_assert_eq!(sent(at), usize::from(is_meant(at)), "byte {}", at);
            }
            // Ranges lie apart, and stand in the order of the first that was joined into each.
            let mut before = None;
            for range in &joined {
                prop_assert!(range.first == 0 || sent(range.first - 1) == 0);
                let place = bounds.iter().position(|(first, _)| (range.first..=range.last).contains(first));
                prop_assert!(place > before);
                before = place;
            }
        }

        #[test]
        fn parse_range_accepts_any_value(value in prop::collection::vec(32_u8..127, 0..24), len in any::<u64>()) {
            let mut text = b"bytes=".to_vec();
            text.extend(value);
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_bytes(&text).unwrap());
            let specs = match parse_range(&headers) {
                Some(Ranges::One(spec)) => vec![spec],
                Some(Ranges::Several(specs)) => specs,
                None => Vec::new(),
            };
            for range in join_ranges(&specs, len) {
                prop_assert!(range.first <= range.last && range.last < len);
            }
        }
    }
}
