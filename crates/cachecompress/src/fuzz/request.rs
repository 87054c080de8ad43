//! The model of a request's plan.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::fuzz::http::{
    Conditions, Content, Date, Tag, accept_line, best_first, id, modified, runs, weight_of,
};
use crate::http::{ByteRange, ContentCoding, Evaluation, NamedCoding, RangeSpec, Ranges};
use crate::limits::RANGES_SENT;
use crate::representations::{Availability, Candidates, RangeOf, Selection};
use crate::service::plan::{Facts, Head, Intent, Plan, fulfil, intend};

/// Checks the plan of a whole request against a naive reading of RFC 9110.
pub fn request(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    if let Ok(request) = Request::arbitrary(&mut choices) {
        request.check();
    }
}

/// A request and its resource.
#[derive(Debug)]
struct Request {
    method: Method,
    version: Version,
    headers: HeaderMap,
    content: Content,
    conditions: Conditions,
    /// The members of Accept-Encoding.
    members: Vec<(String, u16)>,
    negotiable: bool,
    small: bool,
    /// The ranges, if their field counts.
    ranges: Option<Ranges>,
    if_range: IfRange,
    len: u64,
}

#[derive(Debug)]
enum IfRange {
    Absent,
    Tag(Tag),
    Date(Date),
}

impl Request {
    fn arbitrary(choices: &mut Unstructured<'_>) -> Result<Self> {
        let mut headers = HeaderMap::new();
        let members = accept_line(choices, &mut headers)?;
        let negotiable = choices.ratio(7, 8)?;
        let mut content = Content::arbitrary(choices)?;
        let names = ["br", "zstd", "gzip", "deflate"];
        content.accepted = std::array::from_fn(|at| {
            let weight = match names.get(at) {
                Some(name) => weight_of(&members, name).unwrap_or(0),
                None => weight_of(&members, "identity").unwrap_or(1),
            };
            if negotiable { weight > 0 } else { at == names.len() }
        });
        let conditions = Conditions::arbitrary(choices)?;
        conditions.write(&mut headers);
        let len = if choices.ratio(1, 2)? {
            choices.int_in_range(0..=4096)?
        } else {
            choices.arbitrary()?
        };
        let ranges = any_ranges(choices, &mut headers)?;
        let if_range = match choices.int_in_range(0..=5)? {
            0 => IfRange::Date(*choices.choose(&[Date::Before, Date::Equal, Date::Malformed])?),
            1..=3 => IfRange::Tag(Tag::arbitrary(choices)?),
            _ => IfRange::Absent,
        };
        let line = match &if_range {
            IfRange::Absent => None,
            IfRange::Tag(tag) => HeaderValue::from_str(&tag.text()).ok(),
            IfRange::Date(date) => Some(date.text()),
        };
        headers.extend(line.map(|line| (IF_RANGE, line)));
        Ok(Self {
            method: if choices.ratio(3, 4)? { Method::GET } else { Method::HEAD },
            version: if choices.ratio(3, 4)? { Version::HTTP_11 } else { Version::HTTP_10 },
            headers,
            content,
            conditions,
            members,
            negotiable,
            small: choices.ratio(1, 4)?,
            ranges,
            if_range,
            len,
        })
    }

    fn intent(&self) -> Intent {
        let current = |named: &NamedCoding| named.id == Some(id(true));
        let facts = Facts {
            tags: self.content.tags.as_ref(),
            last_modified: self.content.modified,
            negotiable: self.negotiable,
            below_minimum: self.small,
            exceeds_cache: self.content.offered.is_empty(),
            codings: &self.content.offered,
            current: &current,
            made_by_nobody: &|_| false,
            now: modified() + Duration::from_secs(60),
        };
        let head = Head { method: &self.method, version: self.version, headers: &self.headers };
        intend(head, &facts)
    }

    fn check(&self) {
        let candidates = self.negotiated();
        let excluded = candidates.0.is_empty() && !candidates.1;
        match (self.intent(), self.conditions.expected(&self.content, true)) {
            (Intent::PreconditionFailed, Evaluation::Failed) => {}
            (Intent::NotModified(tag, candidates), Evaluation::NotModified(expected)) => {
                assert_eq!(tag, expected, "{self:?}");
                self.may_send(&candidates);
            }
            (Intent::NotAcceptable, Evaluation::Proceed) => assert!(excluded, "{self:?}"),
            (Intent::Select(selection), Evaluation::Proceed) => {
                assert!(!excluded, "{self:?}");
                self.check_selection(&selection, candidates);
            }
            (intent, outcome) => panic!("{intent:?} and not {outcome:?}: {self:?}"),
        }
    }

    /// Returns the codings to try, and whether identity is acceptable, before a tag names one.
    fn negotiated(&self) -> (Vec<ContentCoding>, bool) {
        if !self.negotiable {
            return (Vec::new(), true);
        }
        let identity = weight_of(&self.members, "identity");
        let weight =
            |coding: &ContentCoding| weight_of(&self.members, coding.as_str()).unwrap_or(0);
        let codings = best_first(&weight, identity, &self.content.offered);
        let acceptable = identity != Some(0);
        (if self.small && acceptable { Vec::new() } else { codings }, acceptable)
    }

    fn check_selection(&self, selection: &Selection, negotiated: (Vec<ContentCoding>, bool)) {
        let Selection { candidates, range } = selection;
        let (codings, identity) = match self.conditions.pinned(&self.content) {
            Some(named) => alone(&named),
            None => negotiated,
        };
        let all = if self.version == Version::HTTP_10 {
            Availability::Whole
        } else {
            Availability::Begun
        };
        assert_eq!(candidates.availability, all);
        self.may_send(candidates);

        let ranges = self.ranges.clone().filter(|_| self.method == Method::GET);
        let of_range = self.of_range(identity, &codings).zip(ranges);
        let expected = of_range.and_then(|(coding, ranges)| match (coding, ranges) {
            (coding, ranges) if coding.is_identity() => Some(RangeOf::Identity(ranges)),
            (coding, Ranges::One(spec)) => {
                Some(RangeOf::Coded(NamedCoding { coding, id: Some(id(true)) }, spec))
            }
            (_, Ranges::Several(_)) => None,
        });
        assert_eq!(*range, expected, "{self:?}");
        let (codings, identity) = match range {
            Some(RangeOf::Identity(_)) => (Vec::new(), true),
            Some(RangeOf::Coded(NamedCoding { coding, .. }, _)) => {
                assert!(self.content.accepts(coding), "{coding} was refused: {self:?}");
                (codings, identity)
            }
            None => (codings, identity),
        };
        assert_eq!((&candidates.codings, candidates.identity), (&codings, identity), "{self:?}");
        self.check_plan(range.as_ref());
    }

    /// Returns the coding of the representation that a range is of; `None` if the range does not
    /// count (RFC 9110 §13.1.5). Nothing that was stored before has a say.
    fn of_range(&self, identity: bool, codings: &[ContentCoding]) -> Option<ContentCoding> {
        let pinned = self.conditions.pinned(&self.content);
        match &self.if_range {
            IfRange::Absent if pinned.is_some() => {
                codings.first().cloned().or(Some(ContentCoding::IDENTITY))
            }
            IfRange::Absent => identity.then_some(ContentCoding::IDENTITY),
            IfRange::Tag(tag) => {
                let (named, strong) = self.content.named(tag)?;
                let is_meant = strong && pinned.is_none_or(|pinned| pinned == named);
                is_meant.then_some(named.coding)
            }
            IfRange::Date(date) => {
                let holds = *date == Date::Equal && self.content.modified.is_some() && identity;
                holds.then_some(ContentCoding::IDENTITY)
            }
        }
    }

    /// Checks that the candidates are on offer and that the client accepts them.
    fn may_send(&self, candidates: &Candidates) {
        for coding in &candidates.codings {
            assert!(self.content.offered.contains(coding), "{coding} is not offered: {self:?}");
            assert!(self.content.accepts(coding), "{coding} was refused: {self:?}");
        }
        let accepts_identity = self.content.accepts(&ContentCoding::IDENTITY);
        assert!(!candidates.identity || accepts_identity, "identity was refused: {self:?}");
    }

    fn check_plan(&self, range: Option<&RangeOf>) {
        let len = self.len;
        let framing = || ("boundary".to_owned(), HeaderValue::from_static("text/plain"));
        let plan = fulfil(range, len, framing);
        let specs = match range {
            None => return assert_eq!(plan, Plan::Full),
            Some(RangeOf::Coded(_, spec) | RangeOf::Identity(Ranges::One(spec))) => vec![*spec],
            Some(RangeOf::Identity(Ranges::Several(specs))) => specs.clone(),
        };
        let small = (len <= 4096).then(|| runs(&specs, len));
        match plan {
            Plan::Full => {
                assert!(specs.len() > 1, "a single range is sent: {self:?}");
                let few = small.filter(|runs| runs.len() <= RANGES_SENT);
                let sum = few.map_or(len, |runs| runs.iter().map(|run| run.len() + 100).sum());
                assert!(sum >= len, "the ranges are shorter than the whole: {self:?}");
            }
            Plan::Partial(range @ ByteRange { first, last }, of) => {
                assert!(of == len && first <= last && last < len, "{self:?}");
                assert!(small.is_none_or(|runs| runs == [range]), "{self:?}");
            }
            Plan::Several(multipart) => {
                assert!(multipart.len() <= len, "the whole is shorter: {self:?}");
                let parts: Vec<_> = multipart.parts().iter().map(|(_, range)| *range).collect();
                assert!((2..=RANGES_SENT).contains(&parts.len()), "{self:?}");
                assert!(small.is_none_or(|runs| runs == parts), "{self:?}");
            }
            Plan::RangeNotSatisfiable(of) => {
                assert_eq!(of, len);
                let is_empty = |spec: &RangeSpec| match spec {
                    RangeSpec::Int { first, .. } => *first >= len,
                    RangeSpec::Suffix(suffix) => *suffix == 0 || len == 0,
                };
                assert!(specs.iter().all(is_empty), "{specs:?} of {len} has a range");
            }
        }
    }
}

fn alone(named: &NamedCoding) -> (Vec<ContentCoding>, bool) {
    match named.coding.is_identity() {
        true => (Vec::new(), true),
        false => (vec![named.coding.clone()], false),
    }
}

fn any_ranges(choices: &mut Unstructured<'_>, headers: &mut HeaderMap) -> Result<Option<Ranges>> {
    let count = match choices.int_in_range(0..=3)? {
        0 => return Ok(None),
        1 | 2 => 1,
        _ => choices.int_in_range(2..=70)?,
    };
    let mut specs = Vec::new();
    let mut members = Vec::new();
    for _ in 0..count {
        let (first, length): (u64, u64) = match choices.ratio(1, 4)? {
            true => (choices.arbitrary()?, choices.arbitrary()?),
            false => (choices.int_in_range(0..=4096)?, choices.int_in_range(0..=40)?),
        };
        let last = first.saturating_add(length);
        let (member, spec) = match choices.int_in_range(0..=7)? {
            0 => (format!("{first}-"), RangeSpec::Int { first, last: None }),
            1 => (format!("-{length}"), RangeSpec::Suffix(length)),
            _ => (format!("{first}-{last}"), RangeSpec::Int { first, last: Some(last) }),
        };
        members.push(member);
        specs.push(spec);
    }
    let unit = if choices.ratio(1, 8)? { "lines" } else { "bytes" };
    let line = format!("{unit}={}", members.join(", "));
    headers.extend(HeaderValue::from_str(&line).ok().map(|line| (RANGE, line)));
    Ok(match (unit, specs.as_slice()) {
        ("lines", _) => None,
        (_, [spec]) => Some(Ranges::One(*spec)),
        _ => Some(Ranges::Several(specs)),
    })
}
