//! The models of the parsers: slow, obvious ones that share no code with them.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use arbitrary::{Result, Unstructured};
use http::header::{
    ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

use crate::http::{
    AcceptEncoding, ByteRange, ContentCoding, Digest, EncoderId, Evaluation, IfRange, NamedCoding,
    PathError, Preconditions, RangeSpec, Ranges, RepresentationTags, RequestPath, SourcePath,
    Validators, content_range, http_date, join_ranges, parse_range,
};
use crate::limits::RANGES_READ;

/// The codings of the models, in the order of a server that has them all.
pub(crate) const CODINGS: [ContentCoding; 4] =
    [ContentCoding::BROTLI, ContentCoding::ZSTD, ContentCoding::GZIP, ContentCoding::DEFLATE];

/// Checks the parser of `Accept-Encoding`. Each line of `input` is a line of the field.
pub fn accept_encoding(input: &[u8]) {
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let parsed = AcceptEncoding::parse(lines.iter().copied());
    let members = members(&lines);
    let listed = |name: &str| lowest(&members, name);
    let any = listed("*");
    let identity = listed("identity").or(any);
    assert_eq!(parsed.identity_weight(), identity);
    let weight = |coding: &ContentCoding| listed(coding.as_str()).or(any).unwrap_or(0);
    for coding in &CODINGS {
        assert_eq!(parsed.weight(coding), weight(coding), "{coding}");
        assert_eq!(parsed.accepts(coding), weight(coding) > 0, "{coding}");
    }
    let chosen = parsed.negotiate(&CODINGS);
    assert_eq!(chosen.codings, best_first(&weight, identity, &CODINGS));
    assert_eq!(chosen.identity, identity != Some(0));
}

/// Sorts by hand the codings of `offered` that may be sent, the heaviest first.
pub(crate) fn best_first(
    weight: &dyn Fn(&ContentCoding) -> u16,
    identity: Option<u16>,
    offered: &[ContentCoding],
) -> Vec<ContentCoding> {
    let mut ordered = Vec::new();
    for wanted in (1..=1000).rev() {
        for coding in offered {
            let beats_identity = identity.is_none_or(|identity| wanted >= identity);
            if weight(coding) == wanted && beats_identity {
                ordered.push(coding.clone());
            }
        }
    }
    ordered
}

/// Lists the well-formed members in lower case, with their weights.
fn members(lines: &[&[u8]]) -> Vec<(String, u16)> {
    let text = |line: &&[u8]| line.iter().map(|byte| char::from(*byte)).collect::<String>();
    let joined = lines.iter().map(text).collect::<Vec<_>>().join(",");
    let blank = |c: char| c == ' ' || c == '\t';
    let mut members = Vec::new();
    for member in joined.split(',') {
        let (name, weight) = match member.split_once(';') {
            Some((name, weight)) => (name, Some(weight.trim_matches(blank))),
            None => (member, None),
        };
        let name = name.trim_matches(blank).to_ascii_lowercase();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            continue;
        }
        let weight = match weight.map(str::to_ascii_lowercase) {
            None => Some(1000),
            Some(weight) => weight.strip_prefix("q=").and_then(thousandths),
        };
        let name = if name == "x-gzip" { "gzip".to_owned() } else { name };
        members.extend(weight.map(|weight| (name, weight)));
    }
    members
}

/// Reads a weight of at most three decimals as a number.
fn thousandths(text: &str) -> Option<u16> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let shaped = text.len() == 1 || (text.len() <= 5 && text.chars().nth(1) == Some('.'));
    let number: f64 = text.parse().ok().filter(|_| plain && shaped)?;
    (number <= 1.0).then(|| (number * 1000.0).round() as u16)
}

fn lowest(members: &[(String, u16)], name: &str) -> Option<u16> {
    members.iter().filter(|(member, _)| member == name).map(|(_, weight)| *weight).min()
}

/// Checks the parsers of `Range` and `If-Range`. The first line of `input` is the representation's
/// length. Each other line is a field of the request.
pub fn range(input: &[u8]) {
    let (first, rest) = split_line(input);
    let digits = String::from_utf8_lossy(first);
    let len: u64 = digits.trim().parse().unwrap_or(0);
    let headers = fields(rest);
    let parsed = parse_range(&headers);
    let lines: Vec<_> = headers.get_all("range").iter().collect();
    let expected = match lines.as_slice() {
        [line] => listed_ranges(line.as_bytes()),
        _ => None,
    };
    let parsed = parsed.map(|ranges| match ranges {
        Ranges::One(spec) => vec![spec],
        Ranges::Several(specs) => {
            assert!(specs.len() > 1, "one range is no list");
            specs
        }
    });
    assert_eq!(parsed, expected);
    let specs = parsed.unwrap_or_default();
    let joined = join_ranges(&specs, len);
    for ByteRange { first, last } in &joined {
        assert!(first <= last && *last < len, "{first}-{last} of {len}");
        let line = content_range(ByteRange { first: *first, last: *last }, len);
        assert_eq!(line.as_bytes(), format!("bytes {first}-{last}/{len}").as_bytes());
    }
    if len <= 256 {
        assert_eq!(joined, runs(&specs, len));
    }
    let if_range = IfRange::from_headers(&headers);
    let lines = headers.get_all("if-range").iter().count();
    assert_eq!(if_range == IfRange::None, lines == 0);
    assert!(lines < 2 || if_range == IfRange::Invalid, "several lines of If-Range count as one");
}

/// Joins ranges by asking of each byte whether it is meant.
pub(crate) fn runs(specs: &[RangeSpec], len: u64) -> Vec<ByteRange> {
    let has = |spec: &RangeSpec, at: u64| match spec {
        RangeSpec::Int { first, last } => at >= *first && last.is_none_or(|last| at <= last),
        RangeSpec::Suffix(suffix) => u128::from(at) + u128::from(*suffix) >= len.into(),
    };
    let is_meant = |at: u64| specs.iter().any(|spec| has(spec, at));
    let mut runs: Vec<ByteRange> = Vec::new();
    for spec in specs {
        let Some(inside) = (0..len).find(|at| has(spec, *at)) else { continue };
        let first = (0..=inside).rev().take_while(|at| is_meant(*at)).last().unwrap_or(inside);
        let last = (inside..len).take_while(|at| is_meant(*at)).last().unwrap_or(inside);
        let run = ByteRange { first, last };
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    runs
}

/// Returns the ranges that `line` lists, by the words of RFC 9110 §14.1.1.
fn listed_ranges(line: &[u8]) -> Option<Vec<RangeSpec>> {
    let text: String = line.iter().map(|byte| char::from(*byte)).collect();
    let blank = |c: char| c == ' ' || c == '\t';
    let text = text.trim_matches(blank);
    let (unit, set) = text.split_once('=')?;
    let listed: Vec<&str> = set
        .split(',')
        .map(|spec| spec.trim_matches(blank))
        .filter(|spec| !spec.is_empty())
        .collect();
    if !unit.eq_ignore_ascii_case("bytes") || listed.is_empty() || listed.len() > RANGES_READ {
        return None;
    }
    listed.into_iter().map(listed_range).collect()
}

fn listed_range(spec: &str) -> Option<RangeSpec> {
    let (first, last) = spec.split_once('-')?;
    let number = |digits: &str| -> Option<u64> {
        let all = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
        all.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    match (first, last) {
        ("", suffix) => Some(RangeSpec::Suffix(number(suffix)?)),
        (first, "") => Some(RangeSpec::Int { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(RangeSpec::Int { first, last: Some(last) })
        }
    }
}

/// Checks the parser of a request's path, and the `Location` made of it.
pub fn path(input: &[u8]) {
    let (raw, query) = split_line(input);
    let (raw, query) = (String::from_utf8_lossy(raw), String::from_utf8_lossy(query));
    let decoded = percent_decoded(raw.as_bytes());
    let parsed = RequestPath::parse(&raw);
    let location =
        parsed.as_ref().ok().map(|parsed| parsed.location(&parsed.path, true, Some(&query)));
    if decoded.is_none_or(|decoded| decoded.contains(&0)) {
        return assert_eq!(parsed, Err(PathError::Malformed), "{raw:?}");
    }
    if !raw.is_empty() && !raw.starts_with('/') {
        return assert_eq!(parsed, Err(PathError::Nowhere), "{raw:?}");
    }
    let Some(resolved) = without_dots(&raw) else {
        return assert_eq!(parsed, Err(PathError::Outside), "{raw:?}");
    };
    let decoded = percent_decoded(resolved.as_bytes()).expect("all of it can be decoded");
    if resolved.to_ascii_lowercase().contains("%2f") || decoded.contains(&b'\\') {
        return assert_eq!(parsed, Err(PathError::Nowhere), "{raw:?}");
    }
    let RequestPath { path, directory, .. } = parsed.expect("a path that a source can have");
    assert_eq!(directory, resolved.is_empty() || resolved.ends_with('/'), "{raw:?}");
    let segments: Vec<&[u8]> =
        decoded.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).collect();
    assert_eq!(path.as_bytes(), segments.join(&b'/'), "all of the path is decoded once");
    for segment in path.segments() {
        assert!(!segment.is_empty() && segment != b"." && segment != b"..", "{path:?}");
        assert!(!segment.iter().any(|byte| matches!(byte, 0 | b'/' | b'\\')), "{path:?}");
    }
    assert_eq!(
        SourcePath::parse(path.as_bytes()).as_ref(),
        Some(&path),
        "a source path parses to itself"
    );
    let mut encoded = String::new();
    for segment in path.segments() {
        encoded.push('/');
        for byte in segment {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    assert_eq!(RequestPath::parse(&encoded).map(|again| again.path), Ok(path));
    let location = location.unwrap_or_default();
    let is_relative = location.starts_with("./") || location.starts_with("../");
    assert!(is_relative, "{location:?} leads elsewhere");
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
}

/// Removes the dot segments by the text of RFC 3986 §5.2.4, from an input buffer to an output buffer;
/// `None` if that leads out.
fn without_dots(raw: &str) -> Option<String> {
    let parts: Vec<String> = raw
        .split('/')
        .map(|part| match part.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." => ".".to_owned(),
            ".." => "..".to_owned(),
            _ => part.to_owned(),
        })
        .collect();
    let (mut input, mut output) = (parts.join("/"), String::new());
    while !input.is_empty() {
        if input.starts_with("/./") {
            input.replace_range(..2, "");
        } else if input == "/." {
            input = "/".to_owned();
        } else if input.starts_with("/../") || input == "/.." {
            input.replace_range(..3, "");
            if input.is_empty() {
                input = "/".to_owned();
            }
            output.truncate(output.rfind('/')?);
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..end]);
            input.replace_range(..end, "");
        }
    }
    Some(output)
}

/// Replaces all escapes once; `None` if one of them is malformed.
fn percent_decoded(raw: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        if raw[at] == b'%' {
            let digits = std::str::from_utf8(raw.get(at + 1..at + 3)?).ok()?;
            let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            decoded.push(u8::from_str_radix(digits, 16).ok().filter(|_| hex)?);
            at += 3;
        } else {
            decoded.push(raw[at]);
            at += 1;
        }
    }
    Some(decoded)
}

/// Checks the four preconditions in the order of RFC 9110 §13.2.2, and any bytes as their fields.
pub fn preconditions(input: &[u8]) {
    let _ = Preconditions::from_headers(&fields(input));
    let mut choices = Unstructured::new(input);
    if let Ok(conditions) = Conditions::arbitrary(&mut choices)
        && let Ok(content) = Content::arbitrary(&mut choices)
        && let Ok(get) = choices.arbitrary()
    {
        let mut headers = HeaderMap::new();
        conditions.write(&mut headers);
        let parsed = Preconditions::from_headers(&headers);
        let is_current = |named: &NamedCoding| content.is_current(named);
        let is_acceptable = |coding: &ContentCoding| content.accepts(coding);
        let validators = Validators {
            tags: content.tags.as_ref(),
            is_current: &is_current,
            is_acceptable: &is_acceptable,
            last_modified: content.modified,
        };
        let outcome = parsed.evaluate(get, &validators);
        assert_eq!(outcome, conditions.expected(&content, get), "{headers:?} {content:?}");
    }
}

/// A resource of the models.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) tags: Option<RepresentationTags>,
    pub(crate) modified: Option<SystemTime>,
    /// Some of [`CODINGS`], in any order.
    pub(crate) offered: Vec<ContentCoding>,
    /// Whether the request accepts each of [`CODINGS`] and, at the end, identity.
    pub(crate) accepted: [bool; 5],
}

/// A tag in a list, with its meaning to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Any,
    Identity { weak: bool },
    Coded { coding: usize, current: bool, weak: bool },
    OfOtherContent,
    Malformed,
}

/// A date relative to the last modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Date {
    Before,
    Equal,
    After,
    Malformed,
}

/// The four fields of preconditions.
#[derive(Debug)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<Vec<Tag>>,
    pub(crate) if_unmodified_since: Option<Date>,
    pub(crate) if_none_match: Option<Vec<Tag>>,
    pub(crate) if_modified_since: Option<Date>,
}

impl Content {
    pub(crate) fn arbitrary(choices: &mut Unstructured<'_>) -> Result<Self> {
        let has_tags = choices.ratio(7, 8)?;
        let is_dated = choices.ratio(7, 8)?;
        let mut offered = CODINGS.to_vec();
        offered.rotate_left(choices.choose_index(4)?);
        offered.truncate(choices.int_in_range(0..=4)?);
        Ok(Self {
            tags: has_tags.then(|| RepresentationTags::of_digest(&Digest::of(b"content"))),
            modified: is_dated.then(modified),
            offered,
            accepted: choices.arbitrary()?,
        })
    }

    pub(crate) fn accepts(&self, coding: &ContentCoding) -> bool {
        let place = CODINGS.iter().position(|known| known == coding);
        place.map_or(coding.is_identity() && self.accepted[4], |place| self.accepted[place])
    }

    fn is_current(&self, named: &NamedCoding) -> bool {
        self.offered.contains(&named.coding) && named.id == Some(id(true))
    }

    /// Returns the coding that `tag` names, and whether it does by strong comparison.
    pub(crate) fn named(&self, tag: &Tag) -> Option<(NamedCoding, bool)> {
        self.tags.as_ref()?;
        let (named, weak) = match tag {
            Tag::Identity { weak } => {
                (NamedCoding { coding: ContentCoding::IDENTITY, id: None }, weak)
            }
            Tag::Coded { coding, current, weak } => {
                let coding = CODINGS[*coding].clone();
                (NamedCoding { coding, id: Some(id(*current)) }, weak)
            }
            Tag::Any | Tag::OfOtherContent | Tag::Malformed => return None,
        };
        let strong = !weak && (named.coding.is_identity() || self.is_current(&named));
        self.accepts(&named.coding).then_some((named, strong))
    }
}

/// Returns the time at which the resource was modified, in the middle of a second.
pub(crate) fn modified() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_000_500)
}

/// Returns the id of every encoder of today, or of yesterday.
pub(crate) fn id(current: bool) -> EncoderId {
    EncoderId::derive(if current { b"today" } else { b"yesterday" }, b"")
}

impl Tag {
    pub(crate) fn arbitrary(choices: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match choices.int_in_range(0..=7)? {
            0 => Self::Any,
            1 | 2 => Self::Identity { weak: choices.arbitrary()? },
            3..=5 => Self::Coded {
                coding: choices.choose_index(4)?,
                current: choices.arbitrary()?,
                weak: choices.arbitrary()?,
            },
            6 => Self::OfOtherContent,
            _ => Self::Malformed,
        })
    }

    pub(crate) fn text(&self) -> String {
        let tags = RepresentationTags::of_digest(&Digest::of(b"content"));
        let (tag, weak) = match self {
            Self::Any => return "*".into(),
            Self::Malformed => return "\"unclosed".into(),
            Self::OfOtherContent => {
                (RepresentationTags::of_digest(&Digest::of(b"other")).identity(), &false)
            }
            Self::Identity { weak } => (tags.identity(), weak),
            Self::Coded { coding, current, weak } => {
                (tags.coded(&CODINGS[*coding], &id(*current)), weak)
            }
        };
        format!("{}{tag}", if *weak { "W/" } else { "" })
    }
}

impl Date {
    fn arbitrary(choices: &mut Unstructured<'_>) -> Result<Self> {
        choices.choose(&[Self::Before, Self::Equal, Self::After, Self::Malformed]).copied()
    }

    pub(crate) fn text(self) -> HeaderValue {
        match self {
            Self::Before => http_date(modified() - Duration::from_secs(1)),
            Self::Equal => http_date(modified()),
            Self::After => http_date(modified() + Duration::from_secs(1)),
            Self::Malformed => HeaderValue::from_static("yesterday"),
        }
    }
}

impl Conditions {
    pub(crate) fn arbitrary(choices: &mut Unstructured<'_>) -> Result<Self> {
        let list = |choices: &mut Unstructured<'_>| {
            let tags = 0..choices.int_in_range(0..=3)?;
            tags.map(|_| Tag::arbitrary(choices)).collect::<Result<Vec<_>>>()
        };
        Ok(Self {
            if_match: if choices.ratio(1, 3)? { Some(list(choices)?) } else { None },
            if_unmodified_since: if choices.ratio(1, 3)? {
                Some(Date::arbitrary(choices)?)
            } else {
                None
            },
            if_none_match: if choices.ratio(1, 2)? { Some(list(choices)?) } else { None },
            if_modified_since: if choices.ratio(1, 2)? {
                Some(Date::arbitrary(choices)?)
            } else {
                None
            },
        })
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let mut list = |name: HeaderName, tags: &Option<Vec<Tag>>| {
            let Some(tags) = tags else { return };
            let line = tags.iter().map(Tag::text).collect::<Vec<_>>().join(", ");
            headers.extend(HeaderValue::from_str(&line).ok().map(|value| (name, value)));
        };
        list(IF_MATCH, &self.if_match);
        list(IF_NONE_MATCH, &self.if_none_match);
        let dates = [
            (IF_UNMODIFIED_SINCE, self.if_unmodified_since),
            (IF_MODIFIED_SINCE, self.if_modified_since),
        ];
        for (name, date) in dates {
            headers.extend(date.map(|date| (name, date.text())));
        }
    }

    /// Returns the first representation that `If-Match` names, if it lists any.
    pub(crate) fn pinned(&self, content: &Content) -> Option<NamedCoding> {
        let tags = self.if_match.as_ref().filter(|tags| **tags != [Tag::Any])?;
        let named = tags.iter().filter_map(|tag| content.named(tag));
        named.filter(|(_, strong)| *strong).map(|(named, _)| named).next()
    }

    /// RFC 9110 §13.2.2, step by step.
    pub(crate) fn expected(&self, content: &Content, get_or_head: bool) -> Evaluation {
        let dated = |date: Option<Date>| {
            date.filter(|date| *date != Date::Malformed && content.modified.is_some())
        };
        match &self.if_match {
            Some(tags) if *tags != [Tag::Any] && self.pinned(content).is_none() => {
                return Evaluation::Failed;
            }
            None if dated(self.if_unmodified_since) == Some(Date::Before) => {
                return Evaluation::Failed;
            }
            _ => {}
        }
        let not_modified = match &self.if_none_match {
            Some(tags) if *tags == [Tag::Any] => Some(None),
            Some(tags) => tags.iter().find(|tag| content.named(tag).is_some()).map(|tag| {
                crate::http::EntityTag::parse(tag.text().trim_start_matches("W/").as_bytes())
            }),
            None => {
                let since = dated(self.if_modified_since);
                let holds = matches!(since, Some(Date::Equal | Date::After));
                return match holds && get_or_head {
                    true => Evaluation::NotModified(None),
                    false => Evaluation::Proceed,
                };
            }
        };
        match not_modified {
            Some(tag) if get_or_head => Evaluation::NotModified(tag),
            Some(_) => Evaluation::Failed,
            None => Evaluation::Proceed,
        }
    }
}

/// Generates a request's `Accept-Encoding`. Returns its members, without use of the parser.
pub(crate) fn accept_line(
    choices: &mut Unstructured<'_>,
    headers: &mut HeaderMap,
) -> Result<Vec<(String, u16)>> {
    if !choices.ratio(7, 8)? {
        return Ok(Vec::new());
    }
    let names = ["br", "zstd", "gzip", "x-gzip", "deflate", "identity", "*", "compress"];
    let mut members = Vec::new();
    let mut line = String::new();
    for _ in 0..choices.int_in_range(0..=5)? {
        let name = *choices.choose(&names)?;
        let weight = *choices.choose(&[0_u16, 1, 500, 999, 1000])?;
        let _ = write!(line, "{name};q={}.{:03}, ", weight / 1000, weight % 1000);
        members.push((if name == "x-gzip" { "gzip" } else { name }.to_owned(), weight));
    }
    headers.extend(HeaderValue::from_str(&line).ok().map(|value| (ACCEPT_ENCODING, value)));
    Ok(members)
}

/// Returns the weight of `name` among `members`, or else that of `*`.
pub(crate) fn weight_of(members: &[(String, u16)], name: &str) -> Option<u16> {
    lowest(members, name).or_else(|| lowest(members, "*"))
}

/// Splits `input` at its first line's end.
fn split_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or_default())
}

/// Parses lines of `name:value`. Skips fields other than conditions and ranges, and values that
/// cannot stand in a request.
fn fields(text: &[u8]) -> HeaderMap {
    let names = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        for name in &names {
            let value = line.strip_prefix(name.as_str().as_bytes());
            let value = value.and_then(|value| value.strip_prefix(b":"));
            if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
                headers.append(name, value);
            }
        }
    }
    headers
}
