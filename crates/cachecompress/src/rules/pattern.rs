//! Paths of `_headers` files: text with `*` and `:name`.

use std::borrow::Cow;

use super::placeholder::placeholder_name;
use crate::error::Error;
use crate::http::decode_leniently;
use crate::limits::PATTERN_PARTS;

/// A pattern over paths. A path is a slash and a decoded path without a slash at its end; the root is
/// the empty text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// This text.
    Text(String),
    /// Any text, across slashes.
    Splat,
    /// Nothing, or a slash and any text: a segment that is `*`.
    SplatSegments,
    /// Text of at least one character, up to a slash.
    Placeholder(String),
}

impl Part {
    /// Whether it matches all of `text`.
    fn takes(&self, text: &str) -> bool {
        match self {
            Self::Text(own) => text == own,
            Self::Splat => true,
            Self::SplatSegments => text.is_empty() || text.starts_with('/'),
            Self::Placeholder(_) => !text.is_empty() && !text.contains('/'),
        }
    }

    /// The most bytes that it may match at the begin of `text`.
    fn longest(&self, text: &str) -> usize {
        match self {
            Self::Text(own) => own.len().min(text.len()),
            Self::Splat | Self::SplatSegments => text.len(),
            Self::Placeholder(_) => text.find('/').unwrap_or(text.len()),
        }
    }

    /// The name of what it captures.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Splat | Self::SplatSegments => Some("splat"),
            Self::Placeholder(name) => Some(name),
        }
    }
}

impl Pattern {
    /// Parses a pattern. A slash at its end means nothing.
    pub(crate) fn parse(pattern: &str) -> Result<Self, Error> {
        let bad = |why: &str| Err(Error::config(format!("\"{pattern}\" {why}")));
        let Some(rest) = pattern.strip_prefix('/') else {
            return bad("does not begin with a slash, as a path does");
        };
        let mut parts = Vec::new();
        for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
            if segment == "*" {
                parts.push(Part::SplatSegments);
                continue;
            }
            push_text(&mut parts, "/");
            let (name, rest) = placeholder(segment);
            if let Some(name) = name {
                parts.push(Part::Placeholder(name.to_owned()));
            }
            for (at, text) in rest.split('*').enumerate() {
                if at > 0 && parts.last() != Some(&Part::Splat) {
                    parts.push(Part::Splat);
                }
                push_text(&mut parts, &decoded(text));
            }
        }
        if parts.len() > PATTERN_PARTS {
            return bad(&format!("has more than {PATTERN_PARTS} parts"));
        }
        Ok(Self(parts))
    }

    /// The names that a match gives texts to, such as `splat`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(Part::name)
    }

    /// Whether `path` matches.
    ///
    /// The time is that of the path for the patterns in use, and nothing is allocated. Each part takes as
    /// little as it can. A text that does not fit goes back to the last placeholder of its segment, and
    /// then to the last star. An earlier star has nothing to add: what the last one may take reaches to the
    /// end of the path.
    pub(crate) fn matches(&self, path: &str) -> bool {
        if !self.may_match(path) {
            return false;
        }
        let path = path.as_bytes();
        let (mut part, mut at) = (0, 0);
        // The part behind a star or a placeholder, and the place up to which that one has taken the path.
        let (mut star, mut placeholder) = (None, None);
        loop {
            let next = match self.0.get(part) {
                None if at == path.len() => return true,
                None => None,
                Some(Part::Text(text)) => {
                    path[at..].starts_with(text.as_bytes()).then_some(at + text.len())
                }
                // Without a slash here it takes nothing, and no other place of it is left.
                Some(Part::SplatSegments) if path.get(at) != Some(&b'/') => Some(at),
                Some(Part::Splat | Part::SplatSegments) => {
                    (star, placeholder) = (Some((part + 1, at)), None);
                    Some(at)
                }
                Some(Part::Placeholder(_)) if is_in_segment(path, at) => {
                    placeholder = Some((part + 1, at + 1));
                    Some(at + 1)
                }
                Some(Part::Placeholder(_)) => None,
            };
            if let Some(next) = next {
                (part, at) = (part + 1, next);
                continue;
            }
            let can_take = |(_, at): &(usize, usize)| is_in_segment(path, *at);
            placeholder = placeholder.filter(can_take);
            let last = match &mut placeholder {
                Some(last) => last,
                None => match &mut star {
                    Some(last) if last.1 < path.len() => last,
                    _ => return false,
                },
            };
            last.1 += 1;
            (part, at) = *last;
        }
    }

    /// Matches `path` and returns the captured texts in order; `None` if it does not match. As in
    /// regular expressions, an earlier part takes as much as it can. A match costs the product of parts and
    /// bytes of the path.
    pub(crate) fn captures<'a>(&'a self, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        if !self.matches(path) {
            return None;
        }
        let fits = self.fits(path);
        let mut captured = Vec::new();
        let mut at = 0;
        for (part, fits) in self.0.iter().zip(&fits[1..]) {
            let longest = part.longest(&path[at..]);
            let ends = (at..=at + longest).rev().filter(|end| fits[*end]);
            let end = ends.into_iter().find(|end| part.takes(&path[at..*end]))?;
            if let Some(name) = part.name() {
                let text = &path[at..end];
                captured.push((name, text.strip_prefix('/').unwrap_or(text)));
            }
            at = end;
        }
        Some(captured)
    }

    /// Whether the texts at both ends are those of `path`.
    fn may_match(&self, path: &str) -> bool {
        let text = |part: Option<&'_ Part>, fits: fn(&str, &str) -> bool| match part {
            Some(Part::Text(text)) => fits(path, text),
            _ => true,
        };
        text(self.0.first(), |path, text| path.starts_with(text))
            && text(self.0.last(), |path, text| path.ends_with(text))
    }

    /// Computes whether the parts from the `n`th on match the path from byte `at` on, at `[n][at]`. The
    /// time is the product of both counts.
    fn fits(&self, path: &str) -> Vec<Vec<bool>> {
        let bytes = path.as_bytes();
        let len = bytes.len();
        let mut rows = vec![vec![false; len + 1]; self.0.len() + 1];
        rows[self.0.len()][len] = true;
        for (n, part) in self.0.iter().enumerate().rev() {
            let (row, after) = rows.split_at_mut(n + 1);
            let (row, after) = (&mut row[n], &after[0]);
            // Whether the rest matches from here or from any later byte on.
            let mut later = false;
            for at in (0..=len).rev().filter(|at| path.is_char_boundary(*at)) {
                let in_segment = bytes.get(at).is_some_and(|byte| *byte != b'/');
                row[at] = match part {
                    Part::Text(text) => {
                        path[at..].starts_with(text.as_str()) && after[at + text.len()]
                    }
                    Part::Splat => after[at] || later,
                    Part::SplatSegments => after[at] || (later && bytes[at] == b'/'),
                    Part::Placeholder(_) => in_segment && later,
                };
                later = match part {
                    Part::Placeholder(_) => after[at] || (in_segment && later),
                    _ => after[at] || later,
                };
            }
        }
        rows
    }
}

/// Whether the byte `at` lies in a segment of `path`.
fn is_in_segment(path: &[u8], at: usize) -> bool {
    path.get(at).is_some_and(|byte| *byte != b'/')
}

/// Splits a segment that begins with a placeholder, a colon and a name.
fn placeholder(segment: &str) -> (Option<&str>, &str) {
    match segment.strip_prefix(':').and_then(placeholder_name) {
        Some((name, after)) => (Some(name), after),
        None => (None, segment),
    }
}

/// Percent-decodes `text`. A text that does not decode to UTF-8 stands for itself.
fn decoded(text: &str) -> Cow<'_, str> {
    String::from_utf8(decode_leniently(text)).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Adds `text` to the text that `parts` end in.
fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    /// Matches part by part in every way there is.
    fn matches_slowly(parts: &[Part], path: &str) -> bool {
        let Some((part, rest)) = parts.split_first() else { return path.is_empty() };
        let ends = (0..=path.len()).filter(|end| path.is_char_boundary(*end));
        ends.into_iter().any(|end| part.takes(&path[..end]) && matches_slowly(rest, &path[end..]))
    }

    #[test]
    fn star_crosses_slashes_and_placeholder_stays_in_a_segment() {
        for (text, matched, others) in [
            ("/", &[""][..], &["/a"][..]),
            ("/*", &["", "/a", "/a/b"], &[]),
            ("/a", &["/a"], &["", "/a/b", "/ab", "/A"]),
            ("/a/", &["/a"], &["/a/b"]),
            ("/a/*", &["/a", "/a/b", "/a/b/c"], &["", "/ab", "/b/a"]),
            ("/a*", &["/a", "/ab", "/a/b"], &["/b"]),
            ("/*.js", &["/.js", "/a.js", "/a/b.js"], &["/a.json", "/js"]),
            ("/a/*/b", &["/a/b", "/a/x/b", "/a/x/y/b"], &["/a", "/axb", "/a/b/c"]),
            ("/*/b", &["/b", "/a/b"], &["/ab"]),
            ("/:page", &["/a", "/a.html"], &["", "/a/b"]),
            ("/:page.html", &["/a.html"], &["/.html", "/a.htm", "/a/b.html"]),
            ("/x/:a/:b_2", &["/x/1/2"], &["/x/1", "/x/1/2/3"]),
            ("/a:b", &["/a:b"], &["/ab", "/ax"]),
            ("/:1", &["/:1"], &["/1"]),
            ("/[a].{b}?", &["/[a].{b}?"], &["/a.b"]),
            ("/ä*", &["/ä", "/äö"], &["/a"]),
            ("/%C3%A4%20%2a", &["/ä *"], &["/ä x"]),
            ("/100%/%f", &["/100%/%f"], &[]),
            ("/%ff/%+1", &["/%ff/%+1"], &[]),
        ] {
            for path in matched {
                assert!(pattern(text).matches(path), "{text} for {path}");
            }
            for path in others {
                assert!(!pattern(text).matches(path), "{text} for {path}");
            }
        }
    }

    #[test]
    fn captures_are_named_and_greedy() {
        for (text, path, expected) in [
            ("/movies/:title", "/movies/up", vec![("title", "up")]),
            ("/a/*", "/a", vec![("splat", "")]),
            ("/a/*", "/a/b/c", vec![("splat", "b/c")]),
            ("/*/x", "/x/x/x", vec![("splat", "x/x")]),
            ("/:a/b-*.html", "/1/b-2.html.html", vec![("a", "1"), ("splat", "2.html")]),
        ] {
            assert_eq!(pattern(text).captures(path), Some(expected), "{text} for {path}");
        }
        assert_eq!(pattern("/a").captures("/b"), None);
    }

    #[test]
    fn malformed_pattern_is_an_error() {
        for text in ["", "a", "*", ":a", "https://example.com/"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
        assert!(Pattern::parse(&"/a*b".repeat(PATTERN_PARTS)).is_err());
    }

    #[test]
    fn long_path_that_matches_nearly_is_told_from_one_that_matches() {
        let (texts, path) = ("/*a*/:b/c*d", "/aa/b/cc".repeat(1_000));
        assert!(!pattern(texts).matches(&path));
        assert!(pattern(texts).matches(&(path + "d")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn matching_agrees_with_trying_every_way(
            text in "/[a:*/ä.]{0,10}",
            path in "(/[aä.]{1,3}){0,4}",
        ) {
            let pattern = pattern(&text);
            let expected = matches_slowly(&pattern.0, &path);
            prop_assert_eq!(pattern.matches(&path), expected);
            prop_assert_eq!(pattern.captures(&path).is_some(), expected);
        }
    }
}
