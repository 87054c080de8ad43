//! Entity tags (RFC 9110 §8.8.3), and the tags of one resource's representations.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use super::field::trim_ows;
use super::{ContentCoding, Digest, EncoderId};
use crate::limits::{ENTITY_TAGS, OWN_ENTITY_TAG};

/// An entity tag (RFC 9110 §8.8.3), of ASCII only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct EntityTag {
    opaque: Box<str>,
    weak: bool,
}

impl EntityTag {
    /// Creates a strong tag of that text, without the quotes.
    ///
    /// `None` unless all of it is visible ASCII without `"`.
    #[must_use]
    pub(crate) fn strong(opaque: &str) -> Option<Self> {
        opaque.bytes().all(is_etagc).then(|| Self { opaque: opaque.into(), weak: false })
    }

    /// Parses a tag with its quotes, and with `W/` if it is weak.
    ///
    /// `None` if it is malformed, or is not all ASCII, as our tags are.
    #[must_use]
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        match parse_prefix(text)? {
            (tag, []) => Some(tag),
            _ => None,
        }
    }

    /// The text between the quotes.
    #[must_use]
    pub(crate) fn opaque(&self) -> &str {
        &self.opaque
    }

    /// Whether the tag is weak.
    #[must_use]
    pub(crate) fn is_weak(&self) -> bool {
        self.weak
    }

    /// The tag as the value of a field.
    #[must_use]
    pub(crate) fn to_header_value(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("a tag is visible ASCII")
    }
}

/// Whether `byte` is an `etagc` without obs-text (RFC 9110 §8.8.3).
fn is_etagc(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"'
}

/// Parses the tag at the start of `text`; returns it and the rest.
fn parse_prefix(text: &[u8]) -> Option<(EntityTag, &[u8])> {
    let (weak, quoted) = match text.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, text),
    };
    let quoted = quoted.strip_prefix(b"\"")?;
    let end = quoted.iter().position(|byte| !is_etagc(*byte))?;
    if quoted[end] != b'"' {
        return None;
    }
    let opaque = std::str::from_utf8(&quoted[..end]).ok()?.into();
    Some((EntityTag { opaque, weak }, &quoted[end + 1..]))
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weak = if self.weak { "W/" } else { "" };
        write!(f, "{weak}\"{}\"", self.opaque)
    }
}

impl fmt::Debug for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of `If-Match` or `If-None-Match` (RFC 9110 §13.1.1, §13.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntityTagList {
    /// `*`, alone.
    Any,
    /// The well-formed tags of the list, at most 64, perhaps none.
    Tags(Vec<EntityTag>),
}

impl EntityTagList {
    /// Parses the values of all lines of the field, as if they stood in one (RFC 9110 §5.3).
    ///
    /// - `None` if there is no line.
    /// - A malformed member is dropped, and so is a `*` that has company.
    /// - A comma between the quotes belongs to the tag.
    #[must_use]
    pub(crate) fn parse_all<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut lines = 0;
        let mut members = 0;
        let mut any = false;
        let mut tags = Vec::new();
        for line in values {
            lines += 1;
            let mut rest = line;
            while tags.len() < ENTITY_TAGS
                && let Some((member, after)) = next_member(rest)
            {
                members += 1;
                match member {
                    Member::Any => any = true,
                    Member::Tag(tag) => tags.push(tag),
                    Member::Malformed => {}
                }
                rest = after;
            }
        }
        match (lines, any && members == 1) {
            (0, _) => None,
            (_, true) => Some(Self::Any),
            (_, false) => Some(Self::Tags(tags)),
        }
    }
}

enum Member {
    Any,
    Tag(EntityTag),
    Malformed,
}

/// Returns the next member that is not empty, and the rest.
fn next_member(line: &[u8]) -> Option<(Member, &[u8])> {
    let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
    let line = &line[start..];
    if let Some((tag, after)) = parse_prefix(line)
        && let [] | [b',', ..] = trim_ows_start(after)
    {
        return Some((Member::Tag(tag), after));
    }
    let end = line.iter().position(|byte| *byte == b',').unwrap_or(line.len());
    let member = if trim_ows(&line[..end]) == b"*" { Member::Any } else { Member::Malformed };
    Some((member, &line[end..]))
}

fn trim_ows_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    &text[start.unwrap_or(text.len())..]
}

/// The strong tags of all representations of one resource, each known before it is encoded.
///
/// Identity has `"<base>"`, a coding `"<base>-<coding>-<id>"`, where `base` is the digest's first
/// 22 characters of base64url or a tag of the application's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RepresentationTags {
    base: Arc<str>,
}

/// The representation that an entity tag of ours names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NamedCoding {
    /// Its coding, which may be [`ContentCoding::IDENTITY`].
    pub coding: ContentCoding,
    /// The id of its encoder; `None` for identity.
    pub id: Option<EncoderId>,
}

impl RepresentationTags {
    /// Returns the tags of a resource with that content.
    #[must_use]
    pub(crate) fn of_digest(digest: &Digest) -> Self {
        let mut base = digest.base64url();
        base.truncate(Digest::TAG_LEN);
        Self { base: base.into() }
    }

    /// Returns the tags of a resource that has a tag of its own, given without the quotes.
    ///
    /// `None` if it is empty, longer than 256 bytes, or anything but visible ASCII without `"`.
    /// `None` also if it ends as our tags of the well-known codings do (`-gzip-` and an id), since
    /// it would be mistaken for one.
    #[must_use]
    pub(crate) fn own(tag: &str) -> Option<Self> {
        let acceptable = !tag.is_empty()
            && tag.len() <= OWN_ENTITY_TAG
            && tag.bytes().all(is_etagc)
            && !ends_as_coded(tag);
        acceptable.then(|| Self { base: tag.into() })
    }

    /// Returns the tags of a resource whose only representation is that in `coding`.
    #[must_use]
    pub(crate) fn only_in(&self, coding: &ContentCoding) -> Self {
        Self { base: format!("{}-{coding}", self.base).into() }
    }

    /// The tag of the identity representation.
    #[must_use]
    pub(crate) fn identity(&self) -> EntityTag {
        EntityTag { opaque: (*self.base).into(), weak: false }
    }

    /// The tag of the representation in `coding` by the encoder `id`.
    #[must_use]
    pub(crate) fn coded(&self, coding: &ContentCoding, id: &EncoderId) -> EntityTag {
        EntityTag { opaque: format!("{}-{coding}-{id}", self.base).into(), weak: false }
    }

    /// Returns the representation that `tag` names, if it is one of these tags, by any encoder, weak
    /// or strong.
    ///
    /// The grammar is strict: only tags that [`identity`](Self::identity) or
    /// [`coded`](Self::coded) can produce are recognised.
    #[must_use]
    pub(crate) fn recognise(&self, tag: &EntityTag) -> Option<NamedCoding> {
        let rest = tag.opaque.strip_prefix(&*self.base)?;
        if rest.is_empty() {
            return Some(NamedCoding::identity());
        }
        // An id has a fixed length and may hold a dash, and so may a coding.
        let (coding, id) = split_id(rest.strip_prefix('-')?)?;
        let named = ContentCoding::new(coding).ok()?;
        let strict = named.as_str() == coding && !named.is_identity();
        strict.then_some(NamedCoding { coding: named, id: Some(id) })
    }
}

impl NamedCoding {
    /// The identity representation.
    #[must_use]
    pub(crate) fn identity() -> Self {
        Self { coding: ContentCoding::IDENTITY, id: None }
    }
}

/// Splits `<anything>-<id>`.
fn split_id(text: &str) -> Option<(&str, EncoderId)> {
    let (before, id) = text.split_at_checked(text.len().checked_sub(EncoderId::LEN)?)?;
    Some((before.strip_suffix('-')?, EncoderId::parse(id)?))
}

fn ends_as_coded(tag: &str) -> bool {
    split_id(tag)
        .and_then(|(before, _)| before.rsplit_once('-'))
        .is_some_and(|(_, coding)| ContentCoding::well_known(coding).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(text: &str) -> EntityTag {
        EntityTag::parse(text.as_bytes()).unwrap()
    }

    fn list(lines: &[&str]) -> String {
        match EntityTagList::parse_all(lines.iter().map(|line| line.as_bytes())) {
            None => "absent".to_owned(),
            Some(EntityTagList::Any) => "*".to_owned(),
            Some(EntityTagList::Tags(tags)) => {
                tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn tags() -> RepresentationTags {
        RepresentationTags::of_digest(&Digest::of(b"some content"))
    }

    #[test]
    fn tag_is_quoted_visible_ascii() {
        for good in ["\"\"", "\"a\"", "W/\"a\"", "\"a,b\"", "\"W/x\"", "\"\\\"", "\"!~\""] {
            assert_eq!(tag(good).to_string(), good);
            assert_eq!(tag(good).to_header_value(), good);
        }
        for bad in
            ["", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/", "\"a b\"", "\"a\"\"", " \"a\"", "\"é\""]
        {
            assert_eq!(EntityTag::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(EntityTag::strong("a\"b"), None);
        assert_eq!(EntityTag::strong("a\r\nb"), None);
        assert_eq!(EntityTag::strong("é"), None);
        assert_eq!(EntityTag::strong("a").unwrap().to_string(), "\"a\"");
    }

    #[test]
    fn list_drops_malformed_members_only() {
        for (line, expected) in [
            ("", ""),
            ("*", "*"),
            (" * ", "*"),
            ("*, ,", "*"),
            ("*, \"a\"", "\"a\""),
            ("*, *", ""),
            ("*, x", ""),
            ("\"a\"", "\"a\""),
            ("\"a\",W/\"b\" ,\t\"c\"", "\"a\" W/\"b\" \"c\""),
            ("\"a,b\", \"c\"", "\"a,b\" \"c\""),
            (",, \"a\",,", "\"a\""),
            ("a, \"b\"", "\"b\""),
            ("\"a, \"b\"", "\"b\""),
            ("\"a\"x, \"b\"", "\"b\""),
            ("\"a\" \"b\", \"c\"", "\"c\""),
            ("\"a\"\"b\", \"c\"", "\"c\""),
            ("w/\"a\", \"b\"", "\"b\""),
            ("W/ \"a\", \"b\"", "\"b\""),
            ("\"*\"", "\"*\""),
        ] {
            assert_eq!(list(&[line]), expected, "{line:?}");
        }
        assert_eq!(list(&[]), "absent");
        assert_eq!(list(&["\"a\"", "x", "\"b\""]), "\"a\" \"b\"");
        assert_eq!(list(&["*", "\"b\""]), "\"b\"");
        let obs_text = EntityTagList::parse_all([&b"\"\xe9\", \"b\""[..]].into_iter());
        assert_eq!(obs_text, Some(EntityTagList::Tags(vec![tag("\"b\"")])));
    }

    #[test]
    fn list_keeps_at_most_64_tags() {
        let line = "\"a\",".repeat(10_000);
        let lines = [line.as_bytes(); 3];
        match EntityTagList::parse_all(lines.into_iter()) {
            Some(EntityTagList::Tags(tags)) => assert_eq!(tags.len(), ENTITY_TAGS),
            other => panic!("{other:?}"),
        }
        assert_eq!(list(&["x,".repeat(50_000).as_str()]), "");
        assert_eq!(list(&["\"x,".repeat(50_000).as_str()]), "");
    }

    #[test]
    fn tag_of_ours_names_its_representation() {
        let tags = tags();
        let id = EncoderId::derive(b"encoder", b"sample");
        assert_eq!(tags.identity().opaque().len(), Digest::TAG_LEN);
        let identity = tags.recognise(&tags.identity()).unwrap();
        assert_eq!(identity, NamedCoding { coding: ContentCoding::IDENTITY, id: None });
        let coded = tags.coded(&ContentCoding::GZIP, &id);
        assert!(!coded.is_weak());
        assert_eq!(coded.opaque(), format!("{}-gzip-{id}", tags.identity().opaque()));
        let named = tags.recognise(&coded).unwrap();
        assert_eq!(named, NamedCoding { coding: ContentCoding::GZIP, id: Some(id) });
        let weak = tag(&format!("W/{coded}"));
        assert_eq!(tags.recognise(&weak), Some(named));
        let other = RepresentationTags::of_digest(&Digest::of(b"other content"));
        assert_eq!(other.recognise(&coded), None);
        assert_eq!(other.recognise(&tags.identity()), None);
    }

    /// lighttpd 455f6227: a `/` from a tag must not become part of anything; h2o 2896: one strong
    /// tag for all codings.
    #[test]
    fn recognise_refuses_tags_of_others() {
        let tags = tags();
        let base = tags.identity().opaque().to_owned();
        for rest in [
            "-",
            "--",
            "-gzip",
            "-gzip-",
            "-gzip-short",
            "-gzip-toolonggg",
            "-GZIP-abcdefgh",
            "-x-gzip-abcdefgh",
            "-identity-abcdefgh",
            "-gz/p-abcdefgh",
            "-gzip-abc/efgh",
            "-gzip-abc.efgh",
            "--abcdefgh",
            "gzip-abcdefgh",
            "-gzip_abcdefgh",
            "-gzip-abcdefgh-",
            "x",
        ] {
            let tag = EntityTag::strong(&format!("{base}{rest}")).unwrap();
            assert_eq!(tags.recognise(&tag), None, "{rest:?}");
        }
        let cut = EntityTag::strong(&base[1..]).unwrap();
        assert_eq!(tags.recognise(&cut), None);
        let id = EncoderId::parse("-a-b_c--").unwrap();
        let coding = ContentCoding::new("own-coding").unwrap();
        let named = tags.recognise(&tags.coded(&coding, &id)).unwrap();
        assert_eq!(named, NamedCoding { coding, id: Some(id) });
    }

    #[test]
    fn own_tag_replaces_the_digest() {
        let id = EncoderId::parse("abcdefgh").unwrap();
        let tags = RepresentationTags::own("v1-2-rc,3").unwrap();
        assert_eq!(tags.identity().to_string(), "\"v1-2-rc,3\"");
        let coded = tags.coded(&ContentCoding::BROTLI, &id);
        assert_eq!(coded.to_string(), "\"v1-2-rc,3-br-abcdefgh\"");
        assert_eq!(tags.recognise(&coded).unwrap().coding, ContentCoding::BROTLI);
        for bad in ["", "a b", "a\"", "é", "a\n", "v1-gzip-abcdefgh", "v1-BR-abcdefgh"] {
            assert_eq!(RepresentationTags::own(bad), None, "{bad:?}");
        }
        assert!(RepresentationTags::own("build-2024-abcdefgh").is_some());
        assert!(RepresentationTags::own(&"x".repeat(256)).is_some());
        assert!(RepresentationTags::own(&"x".repeat(257)).is_none());
    }

    fn model_tag(text: &str) -> bool {
        let text = text.strip_prefix("W/").unwrap_or(text);
        text.len() >= 2
            && text.starts_with('"')
            && text.ends_with('"')
            && !text[1..text.len() - 1].chars().any(|c| c == '"' || c <= ' ' || c > '~')
    }

    /// Splits at every comma, then joins pieces again as long as that makes a tag.
    fn model_list(line: &str) -> Vec<String> {
        let pieces: Vec<&str> = line.split(',').collect();
        let mut tags = Vec::new();
        let mut at = 0;
        while at < pieces.len() {
            let joined = (at..pieces.len())
                .map(|end| (end, pieces[at..=end].join(",")))
                .map(|(end, text)| (end, text.trim_matches([' ', '\t']).to_owned()))
                .find(|(_, text)| model_tag(text));
            match joined {
                Some((end, text)) => {
                    tags.push(text);
                    at = end + 1;
                }
                None => at += 1,
            }
        }
        tags
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn list_agrees_with_the_model(line in "(\"|,|W/| |a|b|\t|\"a\"|\"a,b\", ){0,14}") {
            prop_assert_eq!(list(&[&line]), model_list(&line).join(" "));
        }

        #[test]
        fn tag_agrees_with_the_model(text in "(W/)?\"?[a-c\",é ]{0,4}\"?") {
            prop_assert_eq!(EntityTag::parse(text.as_bytes()).is_some(), model_tag(&text));
        }

        #[test]
        fn recognise_finds_every_coded_tag(
            base in "[!#-~]{1,30}",
            coding in "[a-z0-9!#$%&'*+.^_`|~-]{1,32}",
            id in "[A-Za-z0-9_-]{8}",
        ) {
            let coding = ContentCoding::new(&coding).unwrap();
            let id = EncoderId::parse(&id).unwrap();
            if let Some(tags) = RepresentationTags::own(&base) && !coding.is_identity() {
                let tag = tags.coded(&coding, &id);
                let value = tag.to_header_value();
                prop_assert_eq!(EntityTag::parse(value.as_bytes()), Some(tag.clone()));
                prop_assert_eq!(tags.recognise(&tag), Some(NamedCoding { coding, id: Some(id) }));
            }
        }

        #[test]
        fn parser_accepts_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = EntityTagList::parse_all([&bytes[..]].into_iter());
            if let Some(tag) = EntityTag::parse(&bytes) {
                let value = tag.to_header_value();
                prop_assert_eq!(value.as_bytes(), &bytes[..]);
                let _ = tags().recognise(&tag);
            }
        }
    }
}
