//! The plan of a response, as pure functions of a request's head and of facts about the resource.
//!
//! GET and HEAD take one path through here. [`intend`] decides as much as needs no representation;
//! [`fulfil`] decides the rest once one is selected.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, Method, Version};

use crate::http::{
    AcceptEncoding, ByteRange, ContentCoding, Detail, EntityTag, Evaluation, IfRange, Multipart,
    NamedCoding, Preconditions, Ranges, RepresentationTags, Validators, join_ranges, parse_range,
};
use crate::limits::RANGES_SENT;
use crate::representations::{Availability, Candidates, RangeOf, Selection};

/// The parts of a request's head that the plan depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
}

/// The facts about a resource that are known before a representation is selected.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The tags of its representations; `None` without a digest.
    pub(crate) tags: Option<&'a RepresentationTags>,
    pub(crate) last_modified: Option<SystemTime>,
    /// Whether its media type is ever encoded. If not, it has one representation, and
    /// Accept-Encoding says nothing about it (RFC 9110 §12.4.1).
    pub(crate) negotiable: bool,
    /// Whether it is so small that only a request which refuses identity has it encoded.
    pub(crate) below_minimum: bool,
    /// Whether it is so large that the cache takes no coding of it.
    pub(crate) exceeds_cache: bool,
    /// The codings on offer, in the server's order.
    pub(crate) codings: &'a [ContentCoding],
    /// Whether a coded representation is one that could be made today.
    pub(crate) current: &'a dyn Fn(&NamedCoding) -> bool,
    /// Whether a coding on offer is known to save too little, and cannot be had for a request that insists.
    pub(crate) made_by_nobody: &'a dyn Fn(&ContentCoding) -> bool,
    pub(crate) now: SystemTime,
}

/// The decision on a request before a representation is selected.
#[derive(Clone, Debug)]
pub(crate) enum Intent {
    /// 304 with this tag, or else with the tag of the representation that the candidates would
    /// lead to.
    NotModified(Option<EntityTag>, Candidates),
    /// 412.
    PreconditionFailed,
    /// 406.
    NotAcceptable,
    /// Select a representation; then [`fulfil`].
    Select(Selection),
}

/// The part of the selected representation that is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// 200 with all of it.
    Full,
    /// 206 with this range of a representation of this length.
    Partial(ByteRange, u64),
    /// 206 with several ranges.
    Several(Multipart),
    /// 416 for a representation of this length.
    RangeNotSatisfiable(u64),
}

/// Evaluates the preconditions (RFC 9110 §13.2.2), negotiates the coding (§12.5.3) and finds the
/// range that counts (§14.2).
pub(crate) fn intend(head: Head<'_>, facts: &Facts<'_>) -> Intent {
    let accept = AcceptEncoding::from_headers(head.headers);
    // A type that is never encoded has one representation, whatever a tag says.
    let acceptable = |coding: &ContentCoding| match facts.negotiable {
        true => accept.accepts(coding),
        false => coding.is_identity(),
    };
    // A coding that is not on offer to this request is never selected.
    let is_current =
        |named: &NamedCoding| facts.codings.contains(&named.coding) && (facts.current)(named);
    let validators = Validators {
        tags: facts.tags,
        is_current: &is_current,
        is_acceptable: &acceptable,
        last_modified: facts.last_modified,
    };
    let mut candidates = negotiate(head, facts, &accept);
    let preconditions = Preconditions::from_headers(head.headers);
    match preconditions.evaluate(true, &validators) {
        Evaluation::Failed => return Intent::PreconditionFailed,
        Evaluation::NotModified(tag) => return Intent::NotModified(tag, candidates),
        Evaluation::Proceed => {}
    }
    if candidates.codings.is_empty() && !candidates.identity {
        return Intent::NotAcceptable;
    }
    // The client named a representation. Any other one would belie the condition.
    let pinned = preconditions.named_by_if_match(&validators);
    if let Some(named) = &pinned {
        candidates = only(named.clone(), candidates.availability);
    }
    // Range has a meaning for GET only (§14.2).
    let ranges = (head.method == Method::GET).then(|| parse_range(head.headers)).flatten();
    let Some(ranges) = ranges else { return Intent::Select(candidates.into()) };
    let if_range = IfRange::from_headers(head.headers);
    let of_range = if if_range == IfRange::None {
        pinned.or_else(|| candidates.identity.then(NamedCoding::identity))
    } else if let Some(named) = if_range.named(&validators) {
        // §13.1.5 compares with the selected representation, which If-Match may have named.
        pinned.is_none_or(|pinned| pinned == named).then_some(named)
    } else {
        let counts = candidates.identity && if_range.is_date_of(facts.last_modified, facts.now);
        counts.then(NamedCoding::identity)
    };
    Intent::Select(match of_range {
        Some(named) => ranged(candidates, named, ranges),
        None => candidates.into(),
    })
}

/// Selects `ranges` of the representation that is `named`.
///
/// A range without a validator of a coding is one of identity, whatever is stored: clients send
/// `Range` with their usual Accept-Encoding, and join the parts of several responses.
fn ranged(candidates: Candidates, named: NamedCoding, ranges: Ranges) -> Selection {
    if named.coding.is_identity() {
        let detail = candidates.detail.or(Some(Detail::Range));
        return Selection {
            candidates: Candidates { codings: Vec::new(), identity: true, detail, ..candidates },
            range: Some(RangeOf::Identity(ranges)),
        };
    }
    let range = match ranges {
        Ranges::One(spec) => Some(RangeOf::Coded(named, spec)),
        // Several ranges of a coding are ignored.
        Ranges::Several(_) => None,
    };
    Selection { candidates, range }
}

impl Intent {
    /// Returns the coding that the response will most likely have.
    pub(crate) fn likely_coding(&self) -> Option<&ContentCoding> {
        match self {
            Self::NotModified(None, candidates) => candidates.codings.first(),
            Self::Select(selection) => selection.candidates.codings.first(),
            Self::NotModified(Some(_), _) | Self::PreconditionFailed | Self::NotAcceptable => None,
        }
    }
}

/// Returns the acceptable codings of `codings` in which a condition names a representation of the
/// resource that has `tags`. The condition holds or fails by what can be sent in them.
pub(crate) fn codings_in_conditions(
    headers: &HeaderMap,
    tags: Option<&RepresentationTags>,
    codings: &[ContentCoding],
) -> Vec<ContentCoding> {
    let Some(tags) = tags else { return Vec::new() };
    let mut named = Preconditions::from_headers(headers).codings_in_if_match(tags);
    named.extend(IfRange::from_headers(headers).coding(tags));
    if named.is_empty() {
        return named;
    }
    let accept = AcceptEncoding::from_headers(headers);
    named.retain(|coding| codings.contains(coding) && accept.accepts(coding));
    named.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    named.dedup();
    named
}

fn negotiate(head: Head<'_>, facts: &Facts<'_>, accept: &AcceptEncoding) -> Candidates {
    let availability =
        if head.version < Version::HTTP_11 { Availability::Whole } else { Availability::Begun };
    if !facts.negotiable {
        return Candidates { identity: true, availability, ..Candidates::default() };
    }
    let mut negotiated = accept.negotiate(facts.codings);
    if !negotiated.identity {
        negotiated.codings.retain(|coding| !(facts.made_by_nobody)(coding));
    }
    let (codings, detail) = match negotiated.codings {
        codings if codings.is_empty() && facts.exceeds_cache && !accept.is_absent_or_empty() => {
            (codings, Some(Detail::Large))
        }
        codings if codings.is_empty() => (codings, Some(Detail::Identity)),
        _ if facts.below_minimum && negotiated.identity => (Vec::new(), Some(Detail::Small)),
        codings => (codings, None),
    };
    let identity = negotiated.identity;
    Candidates { codings, identity, detail, availability, pinned: None }
}

/// Admits one representation and no other.
fn only(named: NamedCoding, availability: Availability) -> Candidates {
    if named.coding.is_identity() {
        return Candidates {
            identity: true,
            detail: Some(Detail::Identity),
            availability,
            ..Candidates::default()
        };
    }
    let (codings, pinned) = (vec![named.coding], named.id);
    Candidates { codings, availability, pinned, ..Candidates::default() }
}

/// Chooses the part to send of a selected representation of `len` bytes. `framing` returns the
/// boundary and the media type of the parts of several ranges.
///
/// Several ranges are sent if they are at most [`RANGES_SENT`] when joined, and the body is no longer
/// than the representation, its framing included. So a request for ranges never costs more than one
/// for the whole, which else is the answer (RFC 9110 §14.2, §17.15).
pub(crate) fn fulfil(
    range: Option<&RangeOf>,
    len: u64,
    framing: impl FnOnce() -> (String, HeaderValue),
) -> Plan {
    let ranges = match range {
        None => return Plan::Full,
        Some(RangeOf::Coded(_, spec) | RangeOf::Identity(Ranges::One(spec))) => {
            return match spec.resolve(len) {
                Some(bytes) => Plan::Partial(bytes, len),
                None => Plan::RangeNotSatisfiable(len),
            };
        }
        Some(RangeOf::Identity(Ranges::Several(specs))) => join_ranges(specs, len),
    };
    match *ranges {
        [] => Plan::RangeNotSatisfiable(len),
        [only] => Plan::Partial(only, len),
        _ if ranges.len() > RANGES_SENT => Plan::Full,
        _ => {
            let (boundary, part_type) = framing();
            let multipart = Multipart::new(&boundary, &part_type, &ranges, len);
            if multipart.len() <= len { Plan::Several(multipart) } else { Plan::Full }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{
        ACCEPT_ENCODING, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE,
    };

    use super::*;
    use crate::http::{ByteRange, Digest, EncoderId, RangeSpec, http_date};

    const CODINGS: [ContentCoding; 2] = [ContentCoding::BROTLI, ContentCoding::GZIP];

    fn id() -> EncoderId {
        EncoderId::derive(b"today", b"")
    }

    fn gzip() -> NamedCoding {
        NamedCoding { coding: ContentCoding::GZIP, id: Some(id()) }
    }

    fn tags() -> RepresentationTags {
        RepresentationTags::of_digest(&Digest::of(b"content"))
    }

    fn modified() -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)
    }

    fn intend_with(
        fields: &[(http::HeaderName, &str)],
        change: impl FnOnce(&mut Head<'_>, &mut Facts<'_>),
    ) -> Intent {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let tags = tags();
        let mut head = Head { method: &Method::GET, version: Version::HTTP_11, headers: &headers };
        let mut facts = Facts {
            tags: Some(&tags),
            last_modified: Some(modified()),
            negotiable: true,
            below_minimum: false,
            exceeds_cache: false,
            codings: &CODINGS,
            current: &|named| named.id == Some(id()),
            made_by_nobody: &|_| false,
            now: modified() + std::time::Duration::from_secs(60),
        };
        change(&mut head, &mut facts);
        intend(head, &facts)
    }

    fn intend_plain(fields: &[(http::HeaderName, &str)]) -> Intent {
        intend_with(fields, |_, _| {})
    }

    fn selected(intent: Intent) -> (Vec<String>, bool, Availability, Option<RangeOf>) {
        match intent {
            Intent::Select(Selection { candidates, range }) => {
                let codings = candidates.codings.iter().map(ToString::to_string).collect();
                (codings, candidates.identity, candidates.availability, range)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn best_coding_comes_first_and_identity_last() {
        let (codings, identity, availability, range) =
            selected(intend_plain(&[(ACCEPT_ENCODING, "gzip, br")]));
        assert_eq!((codings.join(" ").as_str(), identity), ("br gzip", true));
        assert_eq!((availability, range), (Availability::Begun, None));
        let (codings, ..) = selected(intend_plain(&[(ACCEPT_ENCODING, "gzip;q=0")]));
        assert!(codings.is_empty(), "q=0 is a refusal");
        let (codings, ..) = selected(intend_plain(&[]));
        assert!(codings.is_empty(), "no Accept-Encoding, no coding");
    }

    #[test]
    fn http_1_0_request_gets_only_whole_representations() {
        let intent = intend_with(&[(ACCEPT_ENCODING, "br")], |head, _| {
            head.version = Version::HTTP_10;
        });
        assert_eq!(selected(intent).2, Availability::Whole);
    }

    #[test]
    fn never_encoded_type_does_not_negotiate() {
        let intent = intend_with(&[(ACCEPT_ENCODING, "br, identity;q=0")], |_, facts| {
            facts.negotiable = false;
        });
        let (codings, identity, ..) = selected(intent);
        assert!(codings.is_empty() && identity);
    }

    /// The same bytes had a tag in a coding under another name. That tag selected the coding for a
    /// type that is never encoded, and without a `Vary`.
    #[test]
    fn never_encoded_type_ignores_a_tag_in_a_coding() {
        let coded = tags().coded(&ContentCoding::GZIP, &id()).to_string();
        let plain = |fields: &[(http::HeaderName, &str)]| {
            intend_with(fields, |_, facts| facts.negotiable = false)
        };
        assert!(matches!(plain(&[(IF_MATCH, &coded)]), Intent::PreconditionFailed));
        let (codings, identity, ..) = selected(plain(&[(IF_NONE_MATCH, &coded)]));
        assert!(codings.is_empty() && identity);
        let resumed = selected(plain(&[(RANGE, "bytes=1-"), (IF_RANGE, &coded)]));
        assert_eq!((resumed.0.len(), resumed.1, resumed.3), (0, true, None));
    }

    #[test]
    fn small_file_is_encoded_only_when_identity_is_refused() {
        let small = |accept: &str| {
            selected(intend_with(&[(ACCEPT_ENCODING, accept)], |_, facts| {
                facts.below_minimum = true;
            }))
            .0
        };
        assert!(small("br").is_empty());
        assert_eq!(small("br, identity;q=0"), ["br"]);
    }

    #[test]
    fn file_too_large_for_the_cache_has_no_coding() {
        let large = |accept: &str| {
            intend_with(&[(ACCEPT_ENCODING, accept)], |_, facts| {
                facts.exceeds_cache = true;
                facts.codings = &[];
            })
        };
        match large("br") {
            Intent::Select(selection) => {
                assert_eq!(selection.candidates.detail, Some(Detail::Large));
                assert!(selection.candidates.identity && selection.candidates.codings.is_empty());
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(large("br, identity;q=0"), Intent::NotAcceptable));
    }

    #[test]
    fn request_without_an_acceptable_coding_is_406_unless_a_precondition_fails() {
        let nothing = (ACCEPT_ENCODING, "identity;q=0");
        assert!(matches!(intend_plain(std::slice::from_ref(&nothing)), Intent::NotAcceptable));
        let failed = intend_plain(&[nothing, (IF_MATCH, "\"other\"")]);
        assert!(matches!(failed, Intent::PreconditionFailed));
    }

    #[test]
    fn tag_of_this_content_is_304_when_its_coding_is_acceptable() {
        let old = EncoderId::derive(b"yesterday", b"");
        let tag = tags().coded(&ContentCoding::GZIP, &old).to_string();
        let intent = intend_plain(&[(ACCEPT_ENCODING, "br, gzip"), (IF_NONE_MATCH, &tag)]);
        match intent {
            Intent::NotModified(Some(echoed), _) => assert_eq!(echoed.to_string(), tag),
            other => panic!("{other:?}"),
        }
        let intent = intend_plain(&[(ACCEPT_ENCODING, "br"), (IF_NONE_MATCH, &tag)]);
        assert!(matches!(intent, Intent::Select(..)), "gzip is not acceptable here");
    }

    #[test]
    fn date_is_304_when_it_still_holds() {
        let date = http_date(modified());
        let intent = intend_plain(&[(IF_MODIFIED_SINCE, date.to_str().unwrap())]);
        assert!(matches!(intent, Intent::NotModified(None, _)));
    }

    fn spec() -> RangeSpec {
        RangeSpec::Int { first: 5, last: None }
    }

    /// Clients send Range with their usual Accept-Encoding. A stored coding made them join parts of
    /// two representations.
    #[test]
    fn range_without_a_validator_is_of_identity_unless_that_is_refused() {
        let range = (RANGE, "bytes=5-");
        for accept in ["br", "gzip, br;q=0.5", "*", "identity;q=0.1, br"] {
            let fields = [(ACCEPT_ENCODING, accept), range.clone()];
            let intent = intend_plain(&fields);
            let Intent::Select(selection) = &intent else { panic!("{intent:?}") };
            assert_eq!(selection.candidates.detail, Some(Detail::Range), "{accept}");
            let (codings, identity, _, of) = selected(intent);
            assert!(codings.is_empty() && identity, "{accept}");
            assert_eq!(of, Some(RangeOf::Identity(Ranges::One(spec()))));
            let head = intend_with(&fields, |head, _| head.method = &Method::HEAD);
            assert_eq!(selected(head).3, None);
        }
        let (codings, _, availability, of) =
            selected(intend_plain(&[(ACCEPT_ENCODING, "br, identity;q=0"), range]));
        assert_eq!((codings.join(" ").as_str(), availability), ("br", Availability::Begun));
        assert_eq!(of, None, "identity is refused, so the range is ignored");
    }

    #[test]
    fn if_range_names_the_representation_that_the_range_is_of() {
        let current = tags().coded(&ContentCoding::GZIP, &id()).to_string();
        let accept = (ACCEPT_ENCODING, "br, gzip");
        let ask = |range: &str, if_range: &str| {
            let fields = [accept.clone(), (RANGE, range), (IF_RANGE, if_range)];
            let (codings, identity, _, of) = selected(intend_plain(&fields));
            assert!(identity);
            (codings.join(" "), of)
        };
        let of_gzip = Some(RangeOf::Coded(gzip(), spec()));
        assert_eq!(
            ask("bytes=5-", &current),
            ("br gzip".into(), of_gzip),
            "or all of the best one"
        );
        assert_eq!(ask("bytes=5-,0-1", &current), ("br gzip".into(), None));

        let identity = tags().identity().to_string();
        let date = http_date(modified());
        for validator in [&*identity, date.to_str().unwrap()] {
            let (codings, of) = ask("bytes=5-", validator);
            assert_eq!((codings.as_str(), of), ("", Some(RangeOf::Identity(Ranges::One(spec())))));
        }

        let old = tags().coded(&ContentCoding::GZIP, &EncoderId::derive(b"old", b"")).to_string();
        let (codings, of) = ask("bytes=5-", &old);
        assert_eq!(
            (codings.as_str(), of),
            ("br gzip", None),
            "a tag of other bytes gets all of the new ones"
        );
    }

    #[test]
    fn date_in_if_range_counts_only_when_the_time_of_modification_is_known() {
        let date = http_date(modified());
        let fields = [(RANGE, "bytes=5-"), (IF_RANGE, date.to_str().unwrap())];
        assert!(selected(intend_plain(&fields)).3.is_some());
        let undated = intend_with(&fields, |_, facts| facts.last_modified = None);
        assert_eq!(selected(undated).3, None);
        let refused = [(ACCEPT_ENCODING, "br, identity;q=0"), fields[0].clone(), fields[1].clone()];
        assert_eq!(selected(intend_plain(&refused)).3, None, "it counts for identity only");
    }

    #[test]
    fn if_match_pins_the_representation() {
        let current = tags().coded(&ContentCoding::GZIP, &id()).to_string();
        let intent = intend_plain(&[(ACCEPT_ENCODING, "br, gzip"), (IF_MATCH, &current)]);
        let (codings, identity, ..) = selected(intent);
        assert_eq!((codings.join(" ").as_str(), identity), ("gzip", false));
    }

    /// The response had a range of the representation that If-Range named, though If-Match had
    /// named another.
    #[test]
    fn if_range_does_not_overrule_if_match() {
        let tag = |coding: &ContentCoding| tags().coded(coding, &id()).to_string();
        let (br, gzip) = (tag(&ContentCoding::BROTLI), tag(&ContentCoding::GZIP));
        let accept = (ACCEPT_ENCODING, "br, gzip");
        let range = (RANGE, "bytes=5-");
        let ask = |if_range: &str| {
            let fields = [accept.clone(), range.clone(), (IF_MATCH, &*br), (IF_RANGE, if_range)];
            selected(intend_plain(&fields))
        };
        let (codings, identity, _, of) = ask(&gzip);
        assert_eq!((codings.join(" ").as_str(), identity, of), ("br", false, None));
        let (codings, _, _, of) = ask(&br);
        assert!(codings == ["br"] && of.is_some(), "the pinned representation may be resumed");
    }

    #[test]
    fn range_of_a_pinned_representation_is_of_its_bytes() {
        let current = tags().coded(&ContentCoding::GZIP, &id()).to_string();
        let accept = (ACCEPT_ENCODING, "br, gzip");
        let ask = |range: &str, tag: &str| {
            let fields = [accept.clone(), (IF_MATCH, tag), (RANGE, range)];
            let (codings, identity, _, of) = selected(intend_plain(&fields));
            (codings.join(" "), identity, of)
        };
        let of_gzip = Some(RangeOf::Coded(gzip(), spec()));
        assert_eq!(ask("bytes=5-", &current), ("gzip".into(), false, of_gzip));
        assert_eq!(ask("bytes=5-,0-1", &current), ("gzip".into(), false, None));
        let identity = Some(RangeOf::Identity(Ranges::One(spec())));
        let tag = tags().identity().to_string();
        assert_eq!(ask("bytes=5-", &tag), (String::new(), true, identity));
    }

    #[test]
    fn tag_of_a_coding_selects_nothing_when_it_is_not_offered() {
        let zstd = tags().coded(&ContentCoding::ZSTD, &id()).to_string();
        let accept = (ACCEPT_ENCODING, "zstd, br");
        let intent = intend_plain(&[accept.clone(), (IF_MATCH, &zstd)]);
        assert!(matches!(intent, Intent::PreconditionFailed), "{intent:?}");
        let resumed = selected(intend_plain(&[accept, (RANGE, "bytes=1-"), (IF_RANGE, &zstd)]));
        assert_eq!((resumed.0.join(" ").as_str(), resumed.3), ("br", None));
    }

    fn plan(range: &RangeOf, len: u64) -> Plan {
        fulfil(Some(range), len, || ("0123".into(), HeaderValue::from_static("text/plain")))
    }

    #[test]
    fn ranges_resolve_against_the_selected_representation() {
        let spec = RangeSpec::Int { first: 10, last: None };
        for range in [RangeOf::Identity(Ranges::One(spec)), RangeOf::Coded(gzip(), spec)] {
            let last_ten = ByteRange { first: 10, last: 19 };
            assert_eq!(plan(&range, 20), Plan::Partial(last_ten, 20));
            assert_eq!(plan(&range, 10), Plan::RangeNotSatisfiable(10));
        }
    }

    fn several(ranges: impl IntoIterator<Item = (u64, u64)>) -> RangeOf {
        let specs = ranges.into_iter();
        let specs = specs.map(|(first, last)| RangeSpec::Int { first, last: Some(last) });
        RangeOf::Identity(Ranges::Several(specs.collect()))
    }

    #[test]
    fn several_ranges_are_joined_before_they_are_sent() {
        match plan(&several([(20, 29), (0, 4), (5, 9), (5000, 5001)]), 1000) {
            Plan::Several(multipart) => {
                let parts = multipart.parts().iter();
                let parts: Vec<_> = parts.map(|(_, range)| (range.first, range.last)).collect();
                assert_eq!(parts, [(20, 29), (0, 9)]);
            }
            other => panic!("{other:?}"),
        }
        let one = ByteRange { first: 0, last: 9 };
        assert_eq!(plan(&several([(5, 9), (0, 4)]), 1000), Plan::Partial(one, 1000));
        assert_eq!(plan(&several([(0, 9), (1000, 2000)]), 1000), Plan::Partial(one, 1000));
        let nothing = several([(1000, 1001), (2000, 2001)]);
        assert_eq!(plan(&nothing, 1000), Plan::RangeNotSatisfiable(1000));
    }

    /// Overlapping ranges made Apache (CVE-2011-3192) and others send gigabytes for one file.
    #[test]
    fn several_ranges_never_cost_more_than_the_whole() {
        let apart = |count: u64| several((0..count).map(|at| (at * 10, at * 10)));
        assert!(matches!(plan(&apart(64), 100_000), Plan::Several(_)));
        assert_eq!(plan(&apart(65), 100_000), Plan::Full);
        let ranges = [ByteRange { first: 0, last: 9 }, ByteRange { first: 20, last: 29 }];
        let part_type = HeaderValue::from_static("text/plain");
        for len in 30..1000 {
            let multipart = Multipart::new("0123", &part_type, &ranges, len);
            let fits = multipart.len() <= len;
            let expected = if fits { Plan::Several(multipart) } else { Plan::Full };
            assert_eq!(plan(&several([(0, 9), (20, 29)]), len), expected);
        }
        let overlapping = several((0..1000).map(|at| (at, 99_999)));
        let all = ByteRange { first: 0, last: 99_999 };
        assert_eq!(plan(&overlapping, 100_000), Plan::Partial(all, 100_000));
    }
}
