//! The model of a request's plan.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::fuzz::http::{
    Conditions, Content, Date, Tag, accept_line, best_first, id, modified, weight_of,
};
use crate::http::{ByteRange, ContentCoding, Evaluation, NamedCoding, RangeSpec};
use crate::representations::{Availability, Candidates, Selection};
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
    /// The range, if its field counts.
    range: Option<RangeSpec>,
    if_range: IfRange,
    len: Option<u64>,
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
        let range = any_range(choices, &mut headers)?;
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
            range,
            if_range,
            len: choices.arbitrary()?,
        })
    }

    fn intent(&self) -> Intent {
        let current = |_: &ContentCoding| Some(id(true));
        let facts = Facts {
            tags: self.content.tags.as_ref(),
            last_modified: self.content.modified,
            negotiable: self.negotiable,
            below_minimum: self.small,
            exceeds_cache: self.content.offered.is_empty(),
            codings: &self.content.offered,
            current: &current,
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
        let Selection { candidates, range, whole } = selection;
        let whole = whole.as_ref().unwrap_or(candidates);
        let (codings, identity) = match self.conditions.pinned(&self.content) {
            Some(named) => alone(&named),
            None => negotiated,
        };
        assert_eq!((&whole.codings, whole.identity), (&codings, identity), "{self:?}");
        let all = if self.version == Version::HTTP_10 {
            Availability::Whole
        } else {
            Availability::Begun
        };
        assert_eq!(whole.availability, all);
        self.may_send(candidates);
        self.may_send(whole);

        let ranged = self.range.filter(|_| self.method == Method::GET);
        let of_range = ranged.and_then(|_| self.of_range(codings, identity));
        assert_eq!(*range, of_range.as_ref().and(ranged), "{self:?}");
        match of_range {
            Some((codings, identity)) => {
                assert_eq!(
                    (&candidates.codings, candidates.identity),
                    (&codings, identity),
                    "{self:?}"
                );
                assert_eq!(
                    candidates.availability,
                    Availability::Stored,
                    "a range starts no encode"
                );
            }
            None => {
                assert_eq!((&candidates.codings, candidates.availability), (&whole.codings, all));
            }
        }
        self.check_plan(*range);
    }

    /// Returns the codings that a range applies to, and whether it applies to identity; `None` if
    /// the range does not count (RFC 9110 §13.1.5).
    fn of_range(
        &self,
        codings: Vec<ContentCoding>,
        identity: bool,
    ) -> Option<(Vec<ContentCoding>, bool)> {
        match &self.if_range {
            IfRange::Absent => Some((codings, identity)),
            IfRange::Tag(tag) => {
                let (named, strong) = self.content.named(tag)?;
                let pinned = self.conditions.pinned(&self.content);
                (strong && pinned.is_none_or(|pinned| pinned == named)).then(|| alone(&named))
            }
            IfRange::Date(date) => {
                let holds = *date == Date::Equal && self.content.modified.is_some() && identity;
                holds.then(|| (Vec::new(), true))
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

    fn check_plan(&self, range: Option<RangeSpec>) {
        match (fulfil(range, self.len), range, self.len) {
            (Plan::Full, None, _) | (Plan::Full, Some(_), None) => {}
            (Plan::Partial(ByteRange { first, last }, of), Some(_), Some(len)) => {
                assert!(of == len && first <= last && last < len, "{self:?}");
            }
            (Plan::RangeNotSatisfiable(of), Some(spec), Some(len)) => {
                assert_eq!(of, len);
                let empty = match spec {
                    RangeSpec::Int { first, .. } => first >= len,
                    RangeSpec::Suffix(suffix) => suffix == 0 || len == 0,
                };
                assert!(empty, "{spec:?} of {len} is a range");
            }
            (plan, ..) => panic!("{plan:?}: {self:?}"),
        }
    }
}

fn alone(named: &NamedCoding) -> (Vec<ContentCoding>, bool) {
    match named.coding.is_identity() {
        true => (Vec::new(), true),
        false => (vec![named.coding.clone()], false),
    }
}

fn any_range(choices: &mut Unstructured<'_>, headers: &mut HeaderMap) -> Result<Option<RangeSpec>> {
    let (first, length): (u64, u64) = (choices.arbitrary()?, choices.arbitrary()?);
    let last = first.saturating_add(length);
    let (line, spec) = match choices.int_in_range(0..=7)? {
        0 | 1 => (format!("bytes={first}-"), Some(RangeSpec::Int { first, last: None })),
        2 | 3 => {
            (format!("bytes={first}-{last}"), Some(RangeSpec::Int { first, last: Some(last) }))
        }
        4 => (format!("bytes=-{length}"), Some(RangeSpec::Suffix(length))),
        5 => (format!("bytes=0-1, {first}-{last}"), None),
        6 => (format!("lines={first}-{last}"), None),
        _ => return Ok(None),
    };
    headers.extend(HeaderValue::from_str(&line).ok().map(|line| (RANGE, line)));
    Ok(spec)
}
