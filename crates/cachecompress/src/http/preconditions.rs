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
pub(crate) struct Preconditions {
    if_match: Option<EntityTagList>,
    if_unmodified_since: Option<SystemTime>,
    if_none_match: Option<EntityTagList>,
    if_modified_since: Option<SystemTime>,
}

/// The state of a resource that preconditions are evaluated against.
#[derive(Clone, Copy)]
pub(crate) struct Validators<'a> {
    /// The tags of its representations; `None` if it has no strong tag yet.
    pub tags: Option<&'a RepresentationTags>,
    /// Whether a coded representation could be sent now: its coding is enabled, and its encoder is
    /// the current one or its bytes are those of a sibling. It is not asked about identity, which always could be sent.
    pub is_current: &'a dyn Fn(&NamedCoding) -> bool,
    /// Whether the request accepts a coding, identity included.
    pub is_acceptable: &'a dyn Fn(&ContentCoding) -> bool,
    /// The time of its last modification, if that is known.
    pub last_modified: Option<SystemTime>,
}

/// The result of evaluating a request's preconditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Evaluation {
    /// They hold: the method is performed.
    Proceed,
    /// 304 with this tag. `None` stands for the tag of the representation that would be selected.
    NotModified(Option<EntityTag>),
    /// 412.
    Failed,
}

impl Preconditions {
    /// Parses the fields of a request.
    #[must_use]
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        Self {
            if_match: tags(headers, &IF_MATCH),
            if_unmodified_since: date(headers, &IF_UNMODIFIED_SINCE),
            if_none_match: tags(headers, &IF_NONE_MATCH),
            if_modified_since: date(headers, &IF_MODIFIED_SINCE),
        }
    }

    /// Evaluates them in the order of RFC 9110 §13.2.2, for a resource that exists.
    ///
    /// - `If-Match` holds for `*`, and for a strong tag of ours that names this content in an
    ///   acceptable coding by its current encoder. A resource without a tag matches `*` only.
    /// - `If-None-Match` fails for `*`, and for a tag, weak or strong, that names this content in an
    ///   acceptable coding, by any encoder. The 304 has that tag in its strong form.
    /// - Dates are compared in whole seconds, and only if the time of modification is known.
    /// - [`Evaluation::NotModified`] is for GET and HEAD only; for other methods the same condition
    ///   is [`Evaluation::Failed`].
    #[must_use]
    pub(crate) fn evaluate(
        &self,
        method_is_get_or_head: bool,
        validators: &Validators<'_>,
    ) -> Evaluation {
        match &self.if_match {
            // 1. If-Match
            Some(EntityTagList::Tags(_)) if self.named_by_if_match(validators).is_none() => {
                return Evaluation::Failed;
            }
            Some(_) => {}
            // 2. If-Unmodified-Since, without If-Match
            None => {
                if self.if_unmodified_since.is_some_and(|date| validators.modified_after(date)) {
                    return Evaluation::Failed;
                }
            }
        }
        match &self.if_none_match {
            // 3. If-None-Match
            Some(list) => match validators.none_match(list) {
                Evaluation::NotModified(_) if !method_is_get_or_head => Evaluation::Failed,
                evaluation => evaluation,
            },
            // 4. If-Modified-Since, without If-None-Match, for GET and HEAD
            None => match self.if_modified_since {
                Some(date) if method_is_get_or_head && validators.unmodified_since(date) => {
                    Evaluation::NotModified(None)
                }
                _ => Evaluation::Proceed,
            },
        }
        // 5. If-Range: see `IfRange`.
    }

    /// Returns the first representation that a list of tags in `If-Match` names and for which the
    /// condition holds.
    ///
    /// The client means these bytes and no others, so the answer must be this representation: a 200
    /// or 206 of another one would belie the condition (RFC 9110 §13.1.1). `None` without the
    /// field, for `*`, and if the condition fails.
    #[must_use]
    pub(crate) fn named_by_if_match(&self, validators: &Validators<'_>) -> Option<NamedCoding> {
        let Some(EntityTagList::Tags(tags)) = &self.if_match else { return None };
        tags.iter().find_map(|tag| validators.strong_match(tag))
    }
}

impl Preconditions {
    /// Returns the codings of the representations that `If-Match` names among those that have `tags`.
    pub(crate) fn codings_in_if_match(&self, tags: &RepresentationTags) -> Vec<ContentCoding> {
        let Some(EntityTagList::Tags(list)) = &self.if_match else { return Vec::new() };
        list.iter().filter_map(|tag| coding_of(tags, tag)).collect()
    }
}

/// Returns the coding of the coded representation that `tag` names.
fn coding_of(tags: &RepresentationTags, tag: &EntityTag) -> Option<ContentCoding> {
    let named = tags.recognise(tag).filter(|named| named.id.is_some())?;
    Some(named.coding)
}

impl Validators<'_> {
    /// Returns the representation that `tag` names in an acceptable coding, by strong comparison
    /// (RFC 9110 §8.8.3.2).
    fn strong_match(&self, tag: &EntityTag) -> Option<NamedCoding> {
        let named = self.acceptable(tag).filter(|_| !tag.is_weak())?;
        (named.coding.is_identity() || (self.is_current)(&named)).then_some(named)
    }

    /// Returns the representation that `tag` names, if that is this content in an acceptable coding.
    fn acceptable(&self, tag: &EntityTag) -> Option<NamedCoding> {
        self.tags?.recognise(tag).filter(|named| (self.is_acceptable)(&named.coding))
    }

    fn none_match(&self, list: &EntityTagList) -> Evaluation {
        match list {
            EntityTagList::Any => Evaluation::NotModified(None),
            EntityTagList::Tags(tags) => {
                match tags.iter().find(|tag| self.acceptable(tag).is_some()) {
                    Some(tag) => Evaluation::NotModified(EntityTag::strong(tag.opaque())),
                    None => Evaluation::Proceed,
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
pub(crate) enum IfRange {
    /// The field is absent: the range counts.
    #[default]
    None,
    /// A tag. A weak one never matches.
    Tag(EntityTag),
    /// A date. It counts for identity only.
    Date(SystemTime),
    /// Neither, or several lines: the range does not count.
    Invalid,
}

impl IfRange {
    /// Parses the field of a request.
    #[must_use]
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
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

    /// Returns the representation whose range is meant: the one that the tag names, by strong
    /// comparison, in an acceptable coding by its current encoder.
    ///
    /// `None` if there is no such representation, or no tag.
    #[must_use]
    pub(crate) fn named(&self, validators: &Validators<'_>) -> Option<NamedCoding> {
        match self {
            Self::Tag(tag) => validators.strong_match(tag),
            Self::None | Self::Date(_) | Self::Invalid => None,
        }
    }

    /// Returns the coding of the representation that the tag names among those that have `tags`.
    pub(crate) fn coding(&self, tags: &RepresentationTags) -> Option<ContentCoding> {
        match self {
            Self::Tag(tag) => coding_of(tags, tag),
            Self::None | Self::Date(_) | Self::Invalid => None,
        }
    }

    /// Whether the field is exactly the date of the last modification, and that was at least a
    /// second before `now`. Only then is the date a strong validator (RFC 9110 §8.8.2.2).
    #[must_use]
    pub(crate) fn is_date_of(&self, last_modified: Option<SystemTime>, now: SystemTime) -> bool {
        match (self, last_modified) {
            (Self::Date(date), Some(modified)) => {
                seconds(*date) == seconds(modified) && seconds(modified) < seconds(now)
            }
            _ => false,
        }
    }
}

/// Formats a time as an HTTP-date (RFC 9110 §5.6.7), as `Last-Modified` and `Date` have it.
///
/// A time before 1970 or after 9999 is moved to that bound.
#[must_use]
pub(crate) fn http_date(time: SystemTime) -> HeaderValue {
    let time = UNIX_EPOCH + Duration::from_secs(seconds(time));
    HeaderValue::try_from(httpdate::fmt_http_date(time)).expect("a date is visible ASCII")
}

/// Whole seconds since 1970, within the range of an HTTP-date.
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
        // Half a second past it, as a file system has it.
        httpdate::parse_http_date(NOW).unwrap() + Duration::from_millis(500)
    }

    fn ours() -> RepresentationTags {
        RepresentationTags::own("T").unwrap()
    }

    /// Evaluates with tags of base `T`, gzip and br enabled with the current id `current0`, and
    /// an `Accept-Encoding` of `gzip, zstd`.
    fn evaluate(fields: &[(HeaderName, &str)]) -> Evaluation {
        evaluate_as(true, Some(&ours()), Some(now()), fields)
    }

    fn evaluate_as(
        get: bool,
        tags: Option<&RepresentationTags>,
        last_modified: Option<SystemTime>,
        fields: &[(HeaderName, &str)],
    ) -> Evaluation {
        let preconditions = Preconditions::from_headers(&headers(fields));
        with_validators(tags, last_modified, |validators| {
            let evaluation = preconditions.evaluate(get, validators);
            let named = preconditions.named_by_if_match(validators);
            assert!(named.is_none() || preconditions.if_match.is_some());
            evaluation
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

    fn not_modified(tag: &str) -> Evaluation {
        Evaluation::NotModified(Some(EntityTag::parse(tag.as_bytes()).unwrap()))
    }

    #[test]
    fn request_without_preconditions_proceeds() {
        assert_eq!(evaluate(&[]), Evaluation::Proceed);
    }

    #[test]
    fn if_match_compares_strongly_with_current_representations() {
        for (value, evaluation) in [
            ("*", Evaluation::Proceed),
            ("\"T\"", Evaluation::Proceed),
            ("\"x\", \"T\"", Evaluation::Proceed),
            ("\"T-gzip-current0\"", Evaluation::Proceed),
            ("W/\"T\"", Evaluation::Failed),
            ("W/\"T-gzip-current0\"", Evaluation::Failed),
            ("\"T-gzip-outdated\"", Evaluation::Failed),
            ("\"T-br-current0\"", Evaluation::Failed), // not acceptable
            ("\"T-zstd-current0\"", Evaluation::Failed), // not enabled
            ("\"x\"", Evaluation::Failed),
            ("", Evaluation::Failed),
            ("garbage", Evaluation::Failed),
        ] {
            assert_eq!(evaluate(&[(IF_MATCH, value)]), evaluation, "{value:?}");
        }
        assert_eq!(evaluate_as(true, None, None, &[(IF_MATCH, "\"T\"")]), Evaluation::Failed);
        assert_eq!(evaluate_as(true, None, None, &[(IF_MATCH, "*")]), Evaluation::Proceed);
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
        for (value, evaluation) in [
            ("*", Evaluation::NotModified(None)),
            ("\"T\"", not_modified("\"T\"")),
            ("W/\"T\"", not_modified("\"T\"")),
            ("\"x,\", W/\"T-gzip-current0\"", not_modified("\"T-gzip-current0\"")),
            ("\"T-gzip-outdated\"", not_modified("\"T-gzip-outdated\"")),
            ("\"T-zstd-outdated\"", not_modified("\"T-zstd-outdated\"")),
            ("\"T-br-current0\"", Evaluation::Proceed), // not acceptable
            ("\"T-br-current0\", \"T\"", not_modified("\"T\"")),
            ("\"T-gzip\"", Evaluation::Proceed),
            ("\"S-gzip-current0\"", Evaluation::Proceed),
            ("T", Evaluation::Proceed),
            ("", Evaluation::Proceed),
        ] {
            assert_eq!(evaluate(&[(IF_NONE_MATCH, value)]), evaluation, "{value:?}");
            let other = evaluate_as(false, Some(&ours()), None, &[(IF_NONE_MATCH, value)]);
            let expected =
                if evaluation == Evaluation::Proceed { evaluation } else { Evaluation::Failed };
            assert_eq!(other, expected, "{value:?}");
        }
        assert_eq!(evaluate_as(true, None, None, &[(IF_NONE_MATCH, "\"T\"")]), Evaluation::Proceed);
    }

    #[test]
    fn if_none_match_ignores_identity_when_it_is_excluded() {
        let tags = ours();
        let preconditions = Preconditions::from_headers(&headers(&[(IF_NONE_MATCH, "\"T\"")]));
        let validators = Validators {
            tags: Some(&tags),
            is_current: &|_| true,
            is_acceptable: &|coding| *coding == ContentCoding::GZIP,
            last_modified: None,
        };
        assert_eq!(preconditions.evaluate(true, &validators), Evaluation::Proceed);
    }

    #[test]
    fn dates_compare_in_whole_seconds() {
        for (date, modified, unmodified) in [
            (EARLIER, Evaluation::Proceed, Evaluation::Failed),
            (NOW, Evaluation::NotModified(None), Evaluation::Proceed),
            (LATER, Evaluation::NotModified(None), Evaluation::Proceed),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Evaluation::NotModified(None), Evaluation::Proceed),
            ("Sun Nov  6 08:49:36 1994", Evaluation::Proceed, Evaluation::Failed),
            ("yesterday", Evaluation::Proceed, Evaluation::Proceed),
            ("0", Evaluation::Proceed, Evaluation::Proceed),
            ("", Evaluation::Proceed, Evaluation::Proceed),
        ] {
            assert_eq!(evaluate(&[(IF_MODIFIED_SINCE, date)]), modified, "{date:?}");
            assert_eq!(evaluate(&[(IF_UNMODIFIED_SINCE, date)]), unmodified, "{date:?}");
            let unknown = [(IF_MODIFIED_SINCE, date), (IF_UNMODIFIED_SINCE, date)];
            assert_eq!(evaluate_as(true, None, None, &unknown), Evaluation::Proceed);
        }
        let twice = [(IF_MODIFIED_SINCE, NOW), (IF_MODIFIED_SINCE, NOW)];
        assert_eq!(evaluate(&twice), Evaluation::Proceed);
        let twice = [(IF_UNMODIFIED_SINCE, EARLIER), (IF_UNMODIFIED_SINCE, EARLIER)];
        assert_eq!(evaluate(&twice), Evaluation::Proceed);
        let put = evaluate_as(false, None, Some(now()), &[(IF_MODIFIED_SINCE, NOW)]);
        assert_eq!(put, Evaluation::Proceed);
    }

    #[test]
    fn tags_take_precedence_over_dates() {
        let mismatch = [(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, LATER)];
        assert_eq!(evaluate(&mismatch), Evaluation::Proceed);
        let malformed = [(IF_NONE_MATCH, "x"), (IF_MODIFIED_SINCE, LATER)];
        assert_eq!(evaluate(&malformed), Evaluation::Proceed);
        let held = [(IF_MATCH, "\"T\""), (IF_UNMODIFIED_SINCE, EARLIER)];
        assert_eq!(evaluate(&held), Evaluation::Proceed);
        let both = [(IF_MATCH, "\"x\""), (IF_NONE_MATCH, "\"T\"")];
        assert_eq!(evaluate(&both), Evaluation::Failed);
        let both = [(IF_MATCH, "\"T\""), (IF_NONE_MATCH, "\"T\"")];
        assert_eq!(evaluate(&both), not_modified("\"T\""));
        let dates = [(IF_UNMODIFIED_SINCE, EARLIER), (IF_MODIFIED_SINCE, LATER)];
        assert_eq!(evaluate(&dates), Evaluation::Failed);
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
    fn http_date_clamps_times_out_of_its_range() {
        assert_eq!(http_date(now()), NOW);
        let before = UNIX_EPOCH.checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(http_date(before), "Thu, 01 Jan 1970 00:00:00 GMT");
        let far = UNIX_EPOCH + Duration::from_secs(1 << 50);
        assert_eq!(http_date(far), "Fri, 31 Dec 9999 23:59:59 GMT");
        for time in [before, far] {
            let date = http_date(time);
            let fields = [(IF_MODIFIED_SINCE, date.to_str().unwrap())];
            let evaluation = evaluate_as(true, None, Some(time), &fields);
            assert_eq!(evaluation, Evaluation::NotModified(None));
        }
    }

    /// A member of a list of tags, with the model's answers.
    #[derive(Clone, Debug)]
    struct ModelTag {
        text: &'static str,
        /// `If-Match` holds for it.
        current: bool,
        /// `If-None-Match` fails for it, and the 304 has this tag.
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
    ) -> Evaluation {
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
            (Some(false), ..) | (None, Some(false), ..) => Evaluation::Failed,
            (_, _, Some((true, echo)), _, true) => {
                echo.map_or(Evaluation::NotModified(None), not_modified)
            }
            (_, _, Some((true, _)), _, false) => Evaluation::Failed,
            (_, _, None, Some(false), true) => Evaluation::NotModified(None),
            _ => Evaluation::Proceed,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn evaluation_agrees_with_the_model(
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
            let evaluation = evaluate_as(get, known.0.then_some(&tags), known.1.then(now), &fields);
            let expected =
                model(get, known, matches.as_deref(), unmodified, none.as_deref(), modified);
            prop_assert_eq!(evaluation, expected, "{:?}", fields);
        }

        #[test]
        fn parser_accepts_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
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
        fn tags_never_recognise_another_digest(one in any::<u64>(), other in any::<u64>()) {
            let digest = |seed: u64| Digest::of(&seed.to_le_bytes());
            let tags = RepresentationTags::of_digest(&digest(one));
            let id = EncoderId::parse("current0").unwrap();
            let tag = RepresentationTags::of_digest(&digest(other)).coded(&ContentCoding::GZIP, &id);
            prop_assert_eq!(tags.recognise(&tag).is_some(), one == other);
        }
    }
}
