//! Conditional requests (RFC 9110 §13).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

use super::field::{Line, single};
use super::{ContentCoding, EntityTag, EntityTagList, NamedCoding, RepresentationTags};

/// The last second of the year 9999, the last that an HTTP-date can tell.
const LAST_SECOND: u64 = 253_402_300_799;

/// The preconditions of a request, parsed once: `If-Match`, `If-Unmodified-Since`,
/// `If-None-Match` and `If-Modified-Since`. See [`IfRange`] for the fifth.
///
/// A date that is invalid, or that stands in several lines, is ignored (RFC 9110 §13.1.3,
/// §13.1.4); of a list of tags, only the malformed members are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    if_match: Option<EntityTagList>,
    if_unmodified_since: Option<SystemTime>,
    if_none_match: Option<EntityTagList>,
    if_modified_since: Option<SystemTime>,
}

/// What a resource's preconditions are held against.
#[derive(Clone, Copy)]
pub struct Validators<'a> {
    /// The tags of its representations; `None` if it has no strong tag yet.
    pub tags: Option<&'a RepresentationTags>,
    /// Whether a coded representation is one that could be sent now: a coding that is enabled, by
    /// the encoder that makes it today. Not asked about identity, which always could.
    pub is_current: &'a dyn Fn(&NamedCoding) -> bool,
    /// Whether the request accepts a coding, identity included.
    pub is_acceptable: &'a dyn Fn(&ContentCoding) -> bool,
    /// When it was last modified, if that is known.
    pub last_modified: Option<SystemTime>,
}

/// What a request's preconditions come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They hold: do as the method says.
    Proceed,
    /// 304, with this tag; without one, with that of the representation that would be selected.
    NotModified(Option<EntityTag>),
    /// 412.
    Failed,
}

impl Preconditions {
    /// Parses the fields of a request.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self {
            if_match: tags(headers, &IF_MATCH),
            if_unmodified_since: date(headers, &IF_UNMODIFIED_SINCE),
            if_none_match: tags(headers, &IF_NONE_MATCH),
            if_modified_since: date(headers, &IF_MODIFIED_SINCE),
        }
    }

    /// Whether the request has none, or none that counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Evaluates them in the order of RFC 9110 §13.2.2, for a resource that exists.
    ///
    /// - `If-Match` holds for `*`, and for a strong tag of ours that names this content in an
    ///   acceptable coding by its current encoder. A resource without a tag matches `*` only.
    /// - `If-None-Match` does not hold for `*`, and for a tag, weak or not, that names this content
    ///   in an acceptable coding, by whatever encoder: 304 with that tag, strong as we send it.
    /// - Dates are compared in whole seconds, and only if the time of modification is known.
    /// - [`Outcome::NotModified`] is for GET and HEAD only; for other methods the same condition
    ///   is [`Outcome::Failed`].
    #[must_use]
    pub fn evaluate(&self, method_is_get_or_head: bool, validators: &Validators<'_>) -> Outcome {
        match &self.if_match {
            // 1. If-Match
            Some(EntityTagList::Tags(_)) if self.named_by_if_match(validators).is_none() => {
                return Outcome::Failed;
            }
            Some(_) => {}
            // 2. If-Unmodified-Since, without If-Match
            None => {
                if self.if_unmodified_since.is_some_and(|date| validators.modified_after(date)) {
                    return Outcome::Failed;
                }
            }
        }
        match &self.if_none_match {
            // 3. If-None-Match
            Some(list) => match validators.none_match(list) {
                Outcome::NotModified(_) if !method_is_get_or_head => Outcome::Failed,
                outcome => outcome,
            },
            // 4. If-Modified-Since, without If-None-Match, for GET and HEAD
            None => match self.if_modified_since {
                Some(date) if method_is_get_or_head && validators.unmodified_since(date) => {
                    Outcome::NotModified(None)
                }
                _ => Outcome::Proceed,
            },
        }
        // 5. If-Range, and with it the range, is `IfRange`'s.
    }

    /// The first representation that a list of tags in `If-Match` names, if it is one to which
    /// the condition may hold.
    ///
    /// The client means these bytes and no others: it is this one that must be answered, since
    /// a 200 or 206 of another would belie the condition (RFC 9110 §13.1.1). `None` without the
    /// field, for `*`, and where the condition fails.
    #[must_use]
    pub fn named_by_if_match(&self, validators: &Validators<'_>) -> Option<NamedCoding> {
        let Some(EntityTagList::Tags(tags)) = &self.if_match else { return None };
        tags.iter().find_map(|tag| validators.strong_match(tag))
    }
}

impl Validators<'_> {
    /// What `tag` names in an acceptable coding, by strong comparison (RFC 9110 §8.8.3.2).
    fn strong_match(&self, tag: &EntityTag) -> Option<NamedCoding> {
        let named = self.acceptable(tag).filter(|_| !tag.is_weak())?;
        (named.coding.is_identity() || (self.is_current)(&named)).then_some(named)
    }

    /// What `tag` names, if that is this content in an acceptable coding.
    fn acceptable(&self, tag: &EntityTag) -> Option<NamedCoding> {
        self.tags?.recognise(tag).filter(|named| (self.is_acceptable)(&named.coding))
    }

    fn none_match(&self, list: &EntityTagList) -> Outcome {
        match list {
            EntityTagList::Any => Outcome::NotModified(None),
            EntityTagList::Tags(tags) => {
                match tags.iter().find(|tag| self.acceptable(tag).is_some()) {
                    Some(tag) => Outcome::NotModified(EntityTag::strong(tag.opaque())),
                    None => Outcome::Proceed,
                }
            }
        }
    }

    fn modified_after(&self, date: SystemTime) -> bool {
        self.last_modified.is_some_and(|modified| seconds(modified) > seconds(date))
    }

    fn unmodified_since(&self, date: SystemTime) -> bool {
        self.last_modified.is_some_and(|modified| seconds(modified) <= seconds(date))
    }
}

impl fmt::Debug for Validators<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validators")
            .field("tags", &self.tags)
            .field("last_modified", &self.last_modified)
            .finish_non_exhaustive()
    }
}

/// A request's `If-Range` field (RFC 9110 §13.1.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IfRange {
    /// The field is absent: the range counts.
    #[default]
    None,
    /// A tag, which a weak one never matches.
    Tag(EntityTag),
    /// A date, which counts for identity only.
    Date(SystemTime),
    /// Neither, or several lines: the range does not count.
    Invalid,
}

impl IfRange {
    /// Parses the field of a request.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        match single(headers, &IF_RANGE) {
            Line::Absent => Self::None,
            Line::Several => Self::Invalid,
            Line::One(value) => match (EntityTag::parse(value), parse_date(value)) {
                (Some(tag), _) => Self::Tag(tag),
                (None, Some(date)) => Self::Date(date),
                (None, None) => Self::Invalid,
            },
        }
    }

    /// The representation whose range is meant: the one that the tag names, by strong comparison,
    /// in an acceptable coding by its current encoder.
    ///
    /// `None` if there is no such one, or no tag.
    #[must_use]
    pub fn named(&self, validators: &Validators<'_>) -> Option<NamedCoding> {
        match self {
            Self::Tag(tag) => validators.strong_match(tag),
            Self::None | Self::Date(_) | Self::Invalid => None,
        }
    }

    /// Whether the field is a date, exactly that of the last modification, and that was at least
    /// a second before `now`: only then is it a strong validator (RFC 9110 §8.8.2.2).
    #[must_use]
    pub fn is_date_of(&self, last_modified: Option<SystemTime>, now: SystemTime) -> bool {
        match (self, last_modified) {
            (Self::Date(date), Some(modified)) => {
                seconds(*date) == seconds(modified) && seconds(modified) < seconds(now)
            }
            _ => false,
        }
    }
}

/// A time as an HTTP-date (RFC 9110 §5.6.7), such as `Last-Modified` and `Date` have it.
///
/// What lies before 1970 or after 9999 is moved to that bound.
#[must_use]
pub fn http_date(time: SystemTime) -> HeaderValue {
    let time = UNIX_EPOCH + Duration::from_secs(seconds(time));
    HeaderValue::try_from(httpdate::fmt_http_date(time)).expect("a date is visible ASCII")
}

/// Whole seconds since 1970, within what an HTTP-date can tell.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(LAST_SECOND)
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<EntityTagList> {
    EntityTagList::parse_all(headers.get_all(name).iter().map(HeaderValue::as_bytes))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    match single(headers, name) {
        Line::One(value) => parse_date(value),
        Line::Absent | Line::Several => None,
    }
}

fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderMap, HeaderName};
    use proptest::prelude::*;

    use super::super::{AcceptEncoding, Digest, EncoderId};
    use super::*;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn now() -> SystemTime {
        // Half a second past it, as a file system would have it.
        httpdate::parse_http_date(NOW).unwrap() + Duration::from_millis(500)
    }

    fn ours() -> RepresentationTags {
        RepresentationTags::own("T").unwrap()
    }

    /// Evaluates with tags of base `T`, gzip and br enabled with the current id `current0`, and
    /// an `Accept-Encoding` of `gzip, zstd`.
    fn evaluate(fields: &[(HeaderName, &str)]) -> Outcome {
        evaluate_as(true, Some(&ours()), Some(now()), fields)
    }

    fn evaluate_as(
        get: bool,
        tags: Option<&RepresentationTags>,
        last_modified: Option<SystemTime>,
        fields: &[(HeaderName, &str)],
    ) -> Outcome {
        let preconditions = Preconditions::from_headers(&headers(fields));
        with_validators(tags, last_modified, |validators| {
            let outcome = preconditions.evaluate(get, validators);
            let named = preconditions.named_by_if_match(validators);
            assert!(named.is_none() || preconditions.if_match.is_some());
            outcome
        })
    }

    fn with_validators<T>(
        tags: Option<&RepresentationTags>,
        last_modified: Option<SystemTime>,
        ask: impl FnOnce(&Validators<'_>) -> T,
    ) -> T {
        let accept = AcceptEncoding::parse([&b"gzip, zstd"[..]].into_iter());
        let is_current = |named: &NamedCoding| {
            let id = named.id.expect("identity is not asked about");
            id == EncoderId::parse("current0").unwrap()
                && [ContentCoding::GZIP, ContentCoding::BROTLI].contains(&named.coding)
        };
        let is_acceptable = |coding: &ContentCoding| accept.accepts(coding);
        ask(&Validators {
            tags,
            is_current: &is_current,
            is_acceptable: &is_acceptable,
            last_modified,
        })
    }

    fn not_modified(tag: &str) -> Outcome {
        Outcome::NotModified(Some(EntityTag::parse(tag.as_bytes()).unwrap()))
    }

    #[test]
    fn without_conditions_the_request_proceeds() {
        assert_eq!(evaluate(&[]), Outcome::Proceed);
        assert!(Preconditions::from_headers(&headers(&[])).is_empty());
        assert!(!Preconditions::from_headers(&headers(&[(IF_MATCH, "x")])).is_empty());
    }

    #[test]
    fn if_match_compares_strongly_with_what_could_be_sent() {
        for (value, outcome) in [
            ("*", Outcome::Proceed),
            ("\"T\"", Outcome::Proceed),
            ("\"x\", \"T\"", Outcome::Proceed),
            ("\"T-gzip-current0\"", Outcome::Proceed),
            ("W/\"T\"", Outcome::Failed),
            ("W/\"T-gzip-current0\"", Outcome::Failed),
            ("\"T-gzip-outdated\"", Outcome::Failed),
            ("\"T-br-current0\"", Outcome::Failed), // not acceptable
            ("\"T-zstd-current0\"", Outcome::Failed), // not enabled
            ("\"x\"", Outcome::Failed),
            ("", Outcome::Failed),
            ("garbage", Outcome::Failed),
        ] {
            assert_eq!(evaluate(&[(IF_MATCH, value)]), outcome, "{value:?}");
        }
        assert_eq!(evaluate_as(true, None, None, &[(IF_MATCH, "\"T\"")]), Outcome::Failed);
        assert_eq!(evaluate_as(true, None, None, &[(IF_MATCH, "*")]), Outcome::Proceed);
    }

    #[test]
    fn if_match_names_the_representation_to_answer() {
        let named = |value: &str| {
            let preconditions = Preconditions::from_headers(&headers(&[(IF_MATCH, value)]));
            with_validators(Some(&ours()), None, |validators| {
                preconditions.named_by_if_match(validators).map(|named| named.coding)
            })
        };
        assert_eq!(named("\"x\", \"T-gzip-current0\", \"T\""), Some(ContentCoding::GZIP));
        assert_eq!(named("\"T\""), Some(ContentCoding::IDENTITY));
        assert_eq!(named("*"), None);
        assert_eq!(named("\"x\""), None);
    }

    #[test]
    fn if_none_match_echoes_the_tag_that_matched() {
        for (value, outcome) in [
            ("*", Outcome::NotModified(None)),
            ("\"T\"", not_modified("\"T\"")),
            ("W/\"T\"", not_modified("\"T\"")),
            ("\"x,\", W/\"T-gzip-current0\"", not_modified("\"T-gzip-current0\"")),
            ("\"T-gzip-outdated\"", not_modified("\"T-gzip-outdated\"")),
            ("\"T-zstd-outdated\"", not_modified("\"T-zstd-outdated\"")),
            ("\"T-br-current0\"", Outcome::Proceed), // not acceptable
            ("\"T-br-current0\", \"T\"", not_modified("\"T\"")),
            ("\"T-gzip\"", Outcome::Proceed),
            ("\"S-gzip-current0\"", Outcome::Proceed),
            ("T", Outcome::Proceed),
            ("", Outcome::Proceed),
        ] {
            assert_eq!(evaluate(&[(IF_NONE_MATCH, value)]), outcome, "{value:?}");
            let other = evaluate_as(false, Some(&ours()), None, &[(IF_NONE_MATCH, value)]);
            let expected = if outcome == Outcome::Proceed { outcome } else { Outcome::Failed };
            assert_eq!(other, expected, "{value:?}");
        }
        assert_eq!(evaluate_as(true, None, None, &[(IF_NONE_MATCH, "\"T\"")]), Outcome::Proceed);
    }

    #[test]
    fn an_identity_that_is_excluded_matches_nothing() {
        let tags = ours();
        let preconditions = Preconditions::from_headers(&headers(&[(IF_NONE_MATCH, "\"T\"")]));
        let validators = Validators {
            tags: Some(&tags),
            is_current: &|_| true,
            is_acceptable: &|coding| *coding == ContentCoding::GZIP,
            last_modified: None,
        };
        assert_eq!(preconditions.evaluate(true, &validators), Outcome::Proceed);
    }

    #[test]
    fn dates_count_in_whole_seconds() {
        for (date, modified, unmodified) in [
            (EARLIER, Outcome::Proceed, Outcome::Failed),
            (NOW, Outcome::NotModified(None), Outcome::Proceed),
            (LATER, Outcome::NotModified(None), Outcome::Proceed),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Outcome::NotModified(None), Outcome::Proceed),
            ("Sun Nov  6 08:49:36 1994", Outcome::Proceed, Outcome::Failed),
            ("yesterday", Outcome::Proceed, Outcome::Proceed),
            ("0", Outcome::Proceed, Outcome::Proceed),
            ("", Outcome::Proceed, Outcome::Proceed),
        ] {
            assert_eq!(evaluate(&[(IF_MODIFIED_SINCE, date)]), modified, "{date:?}");
            assert_eq!(evaluate(&[(IF_UNMODIFIED_SINCE, date)]), unmodified, "{date:?}");
            let unknown = [(IF_MODIFIED_SINCE, date), (IF_UNMODIFIED_SINCE, date)];
            assert_eq!(evaluate_as(true, None, None, &unknown), Outcome::Proceed);
        }
        let twice = [(IF_MODIFIED_SINCE, NOW), (IF_MODIFIED_SINCE, NOW)];
        assert_eq!(evaluate(&twice), Outcome::Proceed);
        let twice = [(IF_UNMODIFIED_SINCE, EARLIER), (IF_UNMODIFIED_SINCE, EARLIER)];
        assert_eq!(evaluate(&twice), Outcome::Proceed);
        let put = evaluate_as(false, None, Some(now()), &[(IF_MODIFIED_SINCE, NOW)]);
        assert_eq!(put, Outcome::Proceed);
    }

    #[test]
    fn tags_come_before_dates_and_match_before_none_match() {
        let mismatch = [(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, LATER)];
        assert_eq!(evaluate(&mismatch), Outcome::Proceed);
        let malformed = [(IF_NONE_MATCH, "x"), (IF_MODIFIED_SINCE, LATER)];
        assert_eq!(evaluate(&malformed), Outcome::Proceed);
        let held = [(IF_MATCH, "\"T\""), (IF_UNMODIFIED_SINCE, EARLIER)];
        assert_eq!(evaluate(&held), Outcome::Proceed);
        let both = [(IF_MATCH, "\"x\""), (IF_NONE_MATCH, "\"T\"")];
        assert_eq!(evaluate(&both), Outcome::Failed);
        let both = [(IF_MATCH, "\"T\""), (IF_NONE_MATCH, "\"T\"")];
        assert_eq!(evaluate(&both), not_modified("\"T\""));
        let dates = [(IF_UNMODIFIED_SINCE, EARLIER), (IF_MODIFIED_SINCE, LATER)];
        assert_eq!(evaluate(&dates), Outcome::Failed);
    }

    #[test]
    fn if_range_is_a_tag_or_a_date() {
        let parse = |values: &[&str]| {
            let fields: Vec<_> = values.iter().map(|value| (IF_RANGE, *value)).collect();
            IfRange::from_headers(&headers(&fields))
        };
        let named = |value: &str| {
            with_validators(Some(&ours()), None, |validators| {
                parse(&[value]).named(validators).map(|named| named.coding)
            })
        };
        assert_eq!(parse(&[]), IfRange::None);
        assert_eq!(named("\"T\""), Some(ContentCoding::IDENTITY));
        assert_eq!(named("\"T-gzip-current0\""), Some(ContentCoding::GZIP));
        for other in ["W/\"T\"", "\"T-gzip-outdated\"", "\"T-br-current0\"", "\"S\"", NOW, "x"] {
            assert_eq!(named(other), None, "{other:?}");
        }
        for bad in [&["x"][..], &[""], &["\"T\"", "\"T\""], &["\"a\", \"b\""], &[NOW, NOW], &["*"]]
        {
            assert_eq!(parse(bad), IfRange::Invalid, "{bad:?}");
        }
        let soon = now() + Duration::from_secs(1);
        assert!(parse(&[NOW]).is_date_of(Some(now()), soon));
        assert!(!parse(&[NOW]).is_date_of(Some(now()), now()));
        assert!(!parse(&[NOW]).is_date_of(None, soon));
        assert!(!parse(&[EARLIER]).is_date_of(Some(now()), soon));
        assert!(!parse(&[LATER]).is_date_of(Some(now()), soon + Duration::from_secs(9)));
        assert!(!parse(&["\"T\""]).is_date_of(Some(now()), soon));
    }

    #[test]
    fn times_that_no_date_can_tell_do_no_harm() {
        assert_eq!(http_date(now()), NOW);
        let before = UNIX_EPOCH.checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(http_date(before), "Thu, 01 Jan 1970 00:00:00 GMT");
        let far = UNIX_EPOCH + Duration::from_secs(1 << 50);
        assert_eq!(http_date(far), "Fri, 31 Dec 9999 23:59:59 GMT");
        for time in [before, far] {
            let date = http_date(time);
            let fields = [(IF_MODIFIED_SINCE, date.to_str().unwrap())];
            let outcome = evaluate_as(true, None, Some(time), &fields);
            assert_eq!(outcome, Outcome::NotModified(None));
        }
    }

    /// One member of a list of tags, as the model knows it.
    #[derive(Clone, Debug)]
    struct ModelTag {
        text: &'static str,
        /// `If-Match` holds for it.
        current: bool,
        /// `If-None-Match` fails for it, and is answered with this.
        echo: Option<&'static str>,
    }

    const MODEL_TAGS: [ModelTag; 7] = [
        ModelTag { text: "\"T\"", current: true, echo: Some("\"T\"") },
        ModelTag { text: "W/\"T\"", current: false, echo: Some("\"T\"") },
        ModelTag { text: "\"T-gzip-current0\"", current: true, echo: Some("\"T-gzip-current0\"") },
        ModelTag { text: "\"T-gzip-outdated\"", current: false, echo: Some("\"T-gzip-outdated\"") },
        ModelTag { text: "\"T-br-current0\"", current: false, echo: None },
        ModelTag { text: "\"other,\"", current: false, echo: None },
        ModelTag { text: "bad", current: false, echo: None },
    ];

    /// `None`: no field. An empty list stands for `*`.
    fn model_list() -> impl Strategy<Value = Option<Vec<ModelTag>>> {
        let tags = prop::sample::select(MODEL_TAGS.to_vec());
        prop::option::of(prop::collection::vec(tags, 0..4))
    }

    fn model_field(list: &[ModelTag]) -> String {
        match list {
            [] => "*".to_owned(),
            list => list.iter().map(|tag| tag.text).collect::<Vec<_>>().join(", "),
        }
    }

    /// RFC 9110 §13.2.2 as a table: each condition is true, false or absent.
    fn model(
        get: bool,
        known: (bool, bool),
        matches: Option<&[ModelTag]>,
        unmodified: Option<&str>,
        none: Option<&[ModelTag]>,
        modified: Option<&str>,
    ) -> Outcome {
        let (has_tags, has_date) = known;
        let match_holds =
            matches.map(|list| list.is_empty() || has_tags && list.iter().any(|tag| tag.current));
        let is_date = |date: &&str| has_date && *date != "bad";
        // The last modification is NOW.
        let unmodified_holds = unmodified.filter(is_date).map(|date| date != EARLIER);
        let echo = none.map(|list| match list {
            [] => (true, None),
            list => {
                let echo = list.iter().filter_map(|tag| tag.echo).find(|_| has_tags);
                (echo.is_some(), echo)
            }
        });
        let modified_holds = modified.filter(is_date).map(|date| date == EARLIER);
        match (match_holds, unmodified_holds, echo, modified_holds, get) {
            (Some(false), ..) | (None, Some(false), ..) => Outcome::Failed,
            (_, _, Some((true, echo)), _, true) => {
                echo.map_or(Outcome::NotModified(None), not_modified)
            }
            (_, _, Some((true, _)), _, false) => Outcome::Failed,
            (_, _, None, Some(false), true) => Outcome::NotModified(None),
            _ => Outcome::Proceed,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn agrees_with_the_model(
            get in any::<bool>(),
            known in any::<(bool, bool)>(),
            matches in model_list(),
            unmodified in prop::option::of(prop::sample::select(vec![EARLIER, NOW, LATER, "bad"])),
            none in model_list(),
            modified in prop::option::of(prop::sample::select(vec![EARLIER, NOW, LATER, "bad"])),
        ) {
            let (match_field, none_field) =
                (matches.as_deref().map(model_field), none.as_deref().map(model_field));
            let fields: Vec<(HeaderName, &str)> = [
                (IF_MODIFIED_SINCE, modified),
                (IF_NONE_MATCH, none_field.as_deref()),
                (IF_UNMODIFIED_SINCE, unmodified),
                (IF_MATCH, match_field.as_deref()),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
            let tags = ours();
            let outcome = evaluate_as(get, known.0.then_some(&tags), known.1.then(now), &fields);
            let expected =
                model(get, known, matches.as_deref(), unmodified, none.as_deref(), modified);
            prop_assert_eq!(outcome, expected, "{:?}", fields);
        }

        #[test]
        fn any_bytes_parse(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE] {
                    headers.insert(name, value.clone());
                }
                let _ = Preconditions::from_headers(&headers);
                let _ = IfRange::from_headers(&headers);
            }
        }

        #[test]
        fn a_digest_never_recognises_another(one in any::<u64>(), other in any::<u64>()) {
            let digest = |seed: u64| Digest::of(&seed.to_le_bytes());
            let tags = RepresentationTags::of_digest(&digest(one));
            let id = EncoderId::parse("current0").unwrap();
            let tag = RepresentationTags::of_digest(&digest(other)).coded(&ContentCoding::GZIP, &id);
            prop_assert_eq!(tags.recognise(&tag).is_some(), one == other);
        }
    }
}
