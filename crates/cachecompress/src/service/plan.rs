//! What to answer, as pure functions of a request's head and facts about the resource.
//!
//! GET and HEAD take one path through here. [`intend`] decides what can be decided before any
//! representation is looked for; [`fulfil`] decides the rest once one is selected.

use std::time::SystemTime;

use http::{HeaderMap, Method, Version};

use crate::http::{
    AcceptEncoding, ByteRange, ContentCoding, Detail, EncoderId, EntityTag, Evaluation, IfRange,
    NamedCoding, Preconditions, RangeHeader, RangeSpec, RepresentationTags, Validators,
    parse_range,
};
use crate::representations::{Availability, Candidates, Selection};

/// The head of a request, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
}

/// What is known of the resource before a representation is selected.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The tags of its representations; `None` while it has no name.
    pub(crate) tags: Option<&'a RepresentationTags>,
    pub(crate) last_modified: Option<SystemTime>,
    /// Whether its type is one that is ever encoded; if not, it has one representation, and
    /// Accept-Encoding says nothing about it (RFC 9110 §12.4.1).
    pub(crate) negotiable: bool,
    /// Whether encoding it is worth the while only if the client will not have it otherwise.
    pub(crate) small: bool,
    /// Whether no cache would take a coding of it.
    pub(crate) large: bool,
    /// The codings that can be had, in the server's order.
    pub(crate) codings: &'a [ContentCoding],
    /// The encoder that makes a coding today.
    pub(crate) current: &'a dyn Fn(&ContentCoding) -> Option<EncoderId>,
    pub(crate) now: SystemTime,
}

/// What comes of a request before a representation is looked for.
#[derive(Clone, Debug)]
pub(crate) enum Intent {
    /// 304 with this tag, or with that of the representation that the candidates would lead to.
    NotModified(Option<EntityTag>, Candidates),
    /// 412.
    PreconditionFailed,
    /// 406.
    NotAcceptable,
    /// Select a representation; then [`fulfil`].
    Select(Selection),
}

/// What to send of the selected representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// 200 with all of it.
    Full,
    /// 206 with these bytes of so many.
    Partial(ByteRange, u64),
    /// 416 for a representation of this length.
    RangeNotSatisfiable(u64),
}

/// Decides what can be decided from the head alone: preconditions (RFC 9110 §13.2.2),
/// negotiation (§12.5.3) and which range counts (§14.2).
pub(crate) fn intend(head: Head<'_>, facts: &Facts<'_>) -> Intent {
    let accept = AcceptEncoding::from_headers(head.headers);
    // What is never encoded has one representation, whatever a tag says.
    let acceptable = |coding: &ContentCoding| match facts.negotiable {
        true => accept.accepts(coding),
        false => coding.is_identity(),
    };
    // A coding that is not offered to this request cannot be the one that is selected.
    let is_current = |named: &NamedCoding| {
        facts.codings.contains(&named.coding)
            && (facts.current)(&named.coding).is_some_and(|id| named.id == Some(id))
    };
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
    // The client named the representation that it means; another one would belie the condition.
    let pinned = preconditions.named_by_if_match(&validators);
    if let Some(named) = &pinned {
        candidates = only(named.clone(), candidates.availability);
    }
    let RangeHeader::One(spec) = parse_range(head.headers) else {
        return Intent::Select(candidates.into());
    };
    if head.method != Method::GET {
        return Intent::Select(candidates.into());
    }
    let if_range = IfRange::from_headers(head.headers);
    let of_range = if if_range == IfRange::None {
        Some(Candidates { availability: Availability::Stored, ..candidates.clone() })
    } else if let Some(named) = if_range.named(&validators) {
        // §13.1.5: held against the selected representation, which If-Match may have named.
        let is_selected = pinned.is_none_or(|pinned| pinned == named);
        is_selected.then(|| only(named, Availability::Stored))
    } else if candidates.identity && if_range.is_date_of(facts.last_modified, facts.now) {
        let identity = NamedCoding { coding: ContentCoding::IDENTITY, id: None };
        Some(only(identity, Availability::Stored))
    } else {
        None
    };
    Intent::Select(match of_range {
        Some(ranged) => {
            Selection { candidates: ranged, range: Some(spec), whole: Some(candidates) }
        }
        None => candidates.into(),
    })
}

fn negotiate(head: Head<'_>, facts: &Facts<'_>, accept: &AcceptEncoding) -> Candidates {
    let availability =
        if head.version < Version::HTTP_11 { Availability::Whole } else { Availability::Begun };
    if !facts.negotiable {
        return Candidates { identity: true, availability, ..Candidates::default() };
    }
    let negotiated = accept.negotiate(facts.codings);
    let (codings, detail) = match negotiated.codings {
        codings if codings.is_empty() && facts.large && !accept.is_absent_or_empty() => {
            (codings, Some(Detail::Large))
        }
        codings if codings.is_empty() => (codings, Some(Detail::Identity)),
        _ if facts.small && negotiated.identity => (Vec::new(), Some(Detail::Small)),
        codings => (codings, None),
    };
    Candidates { codings, identity: negotiated.identity, detail, availability }
}

/// The candidates for one representation and no other.
fn only(named: NamedCoding, availability: Availability) -> Candidates {
    if named.coding.is_identity() {
        return Candidates {
            identity: true,
            detail: Some(Detail::Identity),
            availability,
            ..Candidates::default()
        };
    }
    Candidates { codings: vec![named.coding], availability, ..Candidates::default() }
}

/// Decides what to send of a selected representation of `len` bytes, or of one whose length is
/// not known yet.
pub(crate) fn fulfil(range: Option<RangeSpec>, len: Option<u64>) -> Plan {
    match (range, len) {
        (Some(range), Some(len)) => match range.resolve(len) {
            Some(bytes) => Plan::Partial(bytes, len),
            None => Plan::RangeNotSatisfiable(len),
        },
        _ => Plan::Full,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{
        ACCEPT_ENCODING, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE,
    };

    use super::*;
    use crate::http::{Digest, http_date};

    const CODINGS: [ContentCoding; 2] = [ContentCoding::BROTLI, ContentCoding::GZIP];

    fn id() -> EncoderId {
        EncoderId::derive(b"today", b"")
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
            small: false,
            large: false,
            codings: &CODINGS,
            current: &|_| Some(id()),
            now: modified() + std::time::Duration::from_secs(60),
        };
        change(&mut head, &mut facts);
        intend(head, &facts)
    }

    fn intend_plain(fields: &[(http::HeaderName, &str)]) -> Intent {
        intend_with(fields, |_, _| {})
    }

    fn selected(intent: Intent) -> (Vec<String>, bool, Availability, Option<RangeSpec>) {
        match intent {
            Intent::Select(Selection { candidates, range, .. }) => {
                let codings = candidates.codings.iter().map(ToString::to_string).collect();
                (codings, candidates.identity, candidates.availability, range)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_best_coding_comes_first_and_identity_last() {
        let (codings, identity, availability, range) =
            selected(intend_plain(&[(ACCEPT_ENCODING, "gzip, br")]));
        assert_eq!((codings.join(" ").as_str(), identity), ("br gzip", true));
        assert_eq!((availability, range), (Availability::Begun, None));
        let (codings, ..) = selected(intend_plain(&[(ACCEPT_ENCODING, "gzip;q=0")]));
        assert!(codings.is_empty(), "q=0 is a refusal");
        let (codings, ..) = selected(intend_plain(&[]));
        assert!(codings.is_empty(), "nobody asked for a coding");
    }

    #[test]
    fn http_1_0_takes_only_what_is_whole() {
        let intent = intend_with(&[(ACCEPT_ENCODING, "br")], |head, _| {
            head.version = Version::HTTP_10;
        });
        assert_eq!(selected(intent).2, Availability::Whole);
    }

    #[test]
    fn what_is_never_encoded_does_not_negotiate() {
        let intent = intend_with(&[(ACCEPT_ENCODING, "br, identity;q=0")], |_, facts| {
            facts.negotiable = false;
        });
        let (codings, identity, ..) = selected(intent);
        assert!(codings.is_empty() && identity);
    }

    /// A tag that the same bytes had under another name, and in a coding, selected that coding for
    /// a type that is never encoded, and without a `Vary`.
    #[test]
    fn what_is_never_encoded_is_not_selected_in_a_coding_by_its_tag() {
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
    fn a_small_file_is_encoded_only_for_those_who_insist() {
        let small = |accept: &str| {
            selected(intend_with(&[(ACCEPT_ENCODING, accept)], |_, facts| facts.small = true)).0
        };
        assert!(small("br").is_empty());
        assert_eq!(small("br, identity;q=0"), ["br"]);
    }

    #[test]
    fn what_no_cache_would_take_has_no_coding() {
        let large = |accept: &str| {
            intend_with(&[(ACCEPT_ENCODING, accept)], |_, facts| {
                facts.large = true;
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
    fn nothing_acceptable_is_406_unless_a_precondition_decides_first() {
        let nothing = (ACCEPT_ENCODING, "identity;q=0");
        assert!(matches!(intend_plain(std::slice::from_ref(&nothing)), Intent::NotAcceptable));
        let failed = intend_plain(&[nothing, (IF_MATCH, "\"other\"")]);
        assert!(matches!(failed, Intent::PreconditionFailed));
    }

    #[test]
    fn any_tag_of_this_content_in_an_acceptable_coding_is_304() {
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
    fn a_date_that_still_holds_is_304() {
        let date = http_date(modified());
        let intent = intend_plain(&[(IF_MODIFIED_SINCE, date.to_str().unwrap())]);
        assert!(matches!(intent, Intent::NotModified(None, _)));
    }

    #[test]
    fn a_range_wants_what_is_stored_and_head_has_none() {
        let fields = [(ACCEPT_ENCODING, "br"), (RANGE, "bytes=1-2")];
        let (.., availability, range) = selected(intend_plain(&fields));
        assert_eq!(availability, Availability::Stored);
        assert!(range.is_some());
        let head = intend_with(&fields, |head, _| head.method = &Method::HEAD);
        assert_eq!(selected(head).3, None);
    }

    #[test]
    fn if_range_selects_the_representation_that_it_names() {
        let current = tags().coded(&ContentCoding::GZIP, &id()).to_string();
        let accept = (ACCEPT_ENCODING, "br, gzip");
        let range = (RANGE, "bytes=5-");
        let named = selected(intend_plain(&[accept.clone(), range.clone(), (IF_RANGE, &current)]));
        assert_eq!(named.0, ["gzip"]);
        assert!(named.3.is_some());

        let identity = tags().identity().to_string();
        let named = selected(intend_plain(&[accept.clone(), range.clone(), (IF_RANGE, &identity)]));
        assert!(named.0.is_empty() && named.1 && named.3.is_some());

        let date = http_date(modified());
        let date = date.to_str().unwrap();
        let named = selected(intend_plain(&[accept.clone(), range.clone(), (IF_RANGE, date)]));
        assert!(named.0.is_empty() && named.3.is_some(), "a date counts for identity only");

        let old = tags().coded(&ContentCoding::GZIP, &EncoderId::derive(b"old", b"")).to_string();
        let named = selected(intend_plain(&[accept, range, (IF_RANGE, &old)]));
        assert_eq!((named.0.len(), named.3), (2, None), "other bytes: all of the new ones");
    }

    #[test]
    fn if_match_pins_the_representation() {
        let current = tags().coded(&ContentCoding::GZIP, &id()).to_string();
        let intent = intend_plain(&[(ACCEPT_ENCODING, "br, gzip"), (IF_MATCH, &current)]);
        let (codings, identity, ..) = selected(intent);
        assert_eq!((codings.join(" ").as_str(), identity), ("gzip", false));
    }

    /// A range of the one that If-Range named was sent, though If-Match had named another.
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
        let (codings, identity, _, spec) = ask(&gzip);
        assert_eq!((codings.join(" ").as_str(), identity, spec), ("br", false, None));
        let (codings, _, _, spec) = ask(&br);
        assert!(codings == ["br"] && spec.is_some(), "the same one may be resumed");
    }

    #[test]
    fn a_range_of_a_pinned_representation_falls_back_to_all_of_that_one() {
        let current = tags().coded(&ContentCoding::GZIP, &id()).to_string();
        let accept = (ACCEPT_ENCODING, "br, gzip");
        let intent = intend_plain(&[accept, (IF_MATCH, &current), (RANGE, "bytes=0-9")]);
        let Intent::Select(selection) = intent else { panic!("{intent:?}") };
        for candidates in [&selection.candidates, &selection.whole.unwrap()] {
            assert_eq!(candidates.codings, [ContentCoding::GZIP]);
            assert!(!candidates.identity);
        }
    }

    #[test]
    fn a_tag_of_a_coding_that_is_not_offered_selects_nothing() {
        let zstd = tags().coded(&ContentCoding::ZSTD, &id()).to_string();
        let accept = (ACCEPT_ENCODING, "zstd, br");
        let intent = intend_plain(&[accept.clone(), (IF_MATCH, &zstd)]);
        assert!(matches!(intent, Intent::PreconditionFailed), "{intent:?}");
        let resumed = selected(intend_plain(&[accept, (RANGE, "bytes=1-"), (IF_RANGE, &zstd)]));
        assert_eq!((resumed.0.join(" ").as_str(), resumed.3), ("br", None));
    }

    #[test]
    fn ranges_resolve_against_the_selected_representation() {
        let spec = RangeSpec::Int { first: 10, last: None };
        let range = Some(spec);
        assert_eq!(fulfil(range, Some(20)), Plan::Partial(ByteRange { first: 10, last: 19 }, 20));
        assert_eq!(fulfil(range, Some(10)), Plan::RangeNotSatisfiable(10));
        assert_eq!(fulfil(range, None), Plan::Full);
        assert_eq!(fulfil(None, Some(10)), Plan::Full);
    }
}
