//! The requests of a rule: its `from`, and its parameters.

use super::super::placeholder::placeholder_name;
use super::capture::{Capture, decode_value};
use crate::http::{PathSegment, PathSegments, decode_leniently, encode_bytes, is_dot_segment};

/// The requests of a rule.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// The segments before the star, or all of them.
    before: Vec<SegmentPattern>,
    splat: Option<Splat>,
    /// Whether `from` ends in a slash.
    directory: bool,
    exact_slash: bool,
    query: Vec<(Vec<u8>, ValuePattern)>,
    /// The names of the captures, in the order of `from`.
    names: Vec<String>,
}

#[derive(Clone, Debug)]
enum SegmentPattern {
    Literal(Vec<u8>),
    /// Any segment, which is captured.
    Any(usize),
    /// Text and placeholders in turn.
    Mixed(Vec<Token>),
}

#[derive(Clone, Debug)]
enum Token {
    Text(Vec<u8>),
    Placeholder(usize),
}

/// A star with the rest of its segment, and the segments behind it.
#[derive(Clone, Debug)]
struct Splat {
    name: usize,
    head: Vec<u8>,
    tail: Vec<u8>,
    after: Vec<SegmentPattern>,
}

#[derive(Clone, Debug)]
enum ValuePattern {
    Equal(Vec<u8>),
    Any(usize),
}

impl Pattern {
    /// Compiles `from` and the parameters that a request must have.
    ///
    /// # Errors
    ///
    /// A clause that says what is wrong.
    pub(super) fn parse(
        from: &str,
        query: &[(String, String)],
        exact_slash: bool,
    ) -> Result<Self, String> {
        let path = from.strip_prefix('/').ok_or("`from` must begin with a slash")?;
        if path.contains(['?', '#']) {
            return Err("`from` is a path, without `?` and `#`".into());
        }
        if path.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("`from` has white space or a control character in it".into());
        }
        if path.matches('*').count() > 1 {
            return Err("`from` has more than one `*`".into());
        }
        let mut names = Vec::new();
        let (mut before, mut splat) = (Vec::new(), None::<Splat>);
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            if is_dot_segment(segment) {
                return Err("no request keeps a segment `.` or `..`".into());
            }
            if let Some((head, tail)) = segment.split_once('*') {
                if [head, tail].into_iter().any(|text| text.contains(':')) {
                    return Err("a `*` and a `:` stand in one segment".into());
                }
                let (head, tail) = (decode_leniently(head), decode_leniently(tail));
                let name = declare("splat", &mut names)?;
                splat = Some(Splat { name, head, tail, after: Vec::new() });
                continue;
            }
            let parsed = SegmentPattern::parse(segment, &mut names)?;
            match &mut splat {
                Some(splat) => splat.after.push(parsed),
                None => before.push(parsed),
            }
        }
        let mut parameters = Vec::new();
        for (name, value) in query {
            let value = match value.strip_prefix(':').filter(|name| is_name(name)) {
                Some(name) => ValuePattern::Any(declare(name, &mut names)?),
                None => ValuePattern::Equal(decode_value(value)),
            };
            parameters.push((decode_value(name), value));
        }
        let directory = path.is_empty() || path.ends_with('/');
        Ok(Self { before, splat, directory, exact_slash, query: parameters, names })
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the requests are told by their parameters, too.
    pub(super) fn has_query(&self) -> bool {
        !self.query.is_empty()
    }

    /// The key of the only path that matches, but for a slash at its end; `None` if others do.
    pub(super) fn literal(&self) -> Option<Vec<u8>> {
        let text = |segment: &SegmentPattern| match segment {
            SegmentPattern::Literal(text) => Some(text.clone()),
            SegmentPattern::Any(_) | SegmentPattern::Mixed(_) => None,
        };
        let segments: Vec<_> = self.before.iter().map(text).collect::<Option<_>>()?;
        self.splat.is_none().then(|| segments.join(&0))
    }

    /// Whether a request's path matches, whatever its query.
    pub(super) fn matches_path(&self, path: &PathSegments) -> bool {
        self.capture_path(path, &mut vec![Capture::default(); self.names.len()]).is_some()
    }

    /// Captures the parts of a request that `names` stand for; `None` if the request does not match.
    pub(super) fn captures(
        &self,
        path: &PathSegments,
        query: Option<&str>,
    ) -> Option<Vec<Capture>> {
        let mut captures = vec![Capture::default(); self.names.len()];
        self.capture_path(path, &mut captures)?;
        for (name, pattern) in &self.query {
            // As for Netlify, the last one of a name counts.
            let value = parameters(query?).rfind(|(given, _)| decode_value(given) == *name)?.1;
            match pattern {
                ValuePattern::Equal(text) if decode_value(value) == *text => {}
                ValuePattern::Equal(_) => return None,
                ValuePattern::Any(at) => captures[*at] = Capture::of_value(value)?,
            }
        }
        Some(captures)
    }

    fn capture_path(&self, path: &PathSegments, captures: &mut [Capture]) -> Option<()> {
        let Some(splat) = &self.splat else {
            let slash_fits = !self.exact_slash || path.directory == self.directory;
            let fits = slash_fits && path.segments.len() == self.before.len();
            return fits.then(|| capture_all(&self.before, &path.segments, captures))?;
        };
        if path.segments.len() < self.before.len() + splat.after.len() {
            return None;
        }
        let (before, rest) = path.segments.split_at(self.before.len());
        let (within, after) = rest.split_at(rest.len() - splat.after.len());
        let is_last = splat.after.is_empty() && splat.tail.is_empty();
        if self.exact_slash && !is_last && path.directory != self.directory {
            return None;
        }
        if self.exact_slash && is_last && within.is_empty() && !path.directory {
            return None;
        }
        capture_all(&self.before, before, captures)?;
        capture_all(&splat.after, after, captures)?;
        captures[splat.name] = splat.capture(within, is_last && path.directory)?;
        Some(())
    }

    /// A request that matches, as a path and a query.
    pub(super) fn sample(&self) -> String {
        let mut path = String::new();
        let (after, star) = match &self.splat {
            Some(Splat { head, tail, after, .. }) => {
                let star = [sample_text(head), "~s/~t".into(), sample_text(tail)].concat();
                (after.as_slice(), Some(star))
            }
            None => (&[][..], None),
        };
        let segments = self.before.iter().map(SegmentPattern::sample).chain(star);
        for segment in segments.chain(after.iter().map(SegmentPattern::sample)) {
            path.push('/');
            path.push_str(&segment);
        }
        if self.directory {
            path.push('/');
        }
        for (at, (name, value)) in self.query.iter().enumerate() {
            path.push(if at == 0 { '?' } else { '&' });
            let value = match value {
                ValuePattern::Equal(text) => sample_text(text),
                ValuePattern::Any(_) => "~v".into(),
            };
            path.push_str(&[sample_text(name), value].join("="));
        }
        path
    }
}

impl SegmentPattern {
    fn parse(segment: &str, names: &mut Vec<String>) -> Result<Self, String> {
        if let Some(name) = segment.strip_prefix(':').filter(|name| is_name(name)) {
            return Ok(Self::Any(declare(name, names)?));
        }
        let mut tokens = Vec::new();
        let mut rest = segment;
        while let Some((text, name, behind)) = next_placeholder(rest) {
            if !text.is_empty() {
                tokens.push(Token::Text(decode_leniently(text)));
            } else if !tokens.is_empty() {
                return Err(format!("nothing stands between `:{name}` and the one before it"));
            }
            tokens.push(Token::Placeholder(declare(name, names)?));
            rest = behind;
        }
        if tokens.is_empty() {
            return Ok(Self::Literal(decode_leniently(segment)));
        }
        if !rest.is_empty() {
            tokens.push(Token::Text(decode_leniently(rest)));
        }
        Ok(Self::Mixed(tokens))
    }

    fn capture(&self, segment: &PathSegment, captures: &mut [Capture]) -> Option<()> {
        match self {
            Self::Literal(text) => (**text == *segment.decoded).then_some(()),
            Self::Any(name) => {
                captures[*name] = Capture::of_segment(segment)?;
                Some(())
            }
            Self::Mixed(tokens) => capture_mixed(tokens, &segment.decoded, captures),
        }
    }

    fn sample(&self) -> String {
        match self {
            Self::Literal(text) => sample_text(text),
            Self::Any(name) => format!("~{name}"),
            Self::Mixed(tokens) => {
                let text = |token: &Token| match token {
                    Token::Text(text) => sample_text(text),
                    Token::Placeholder(name) => format!("~{name}"),
                };
                tokens.iter().map(text).collect()
            }
        }
    }
}

impl Splat {
    /// Captures the segments `within` the star; `None` if the text around it does not fit.
    fn capture(&self, within: &[PathSegment], ends_in_slash: bool) -> Option<Capture> {
        let is_plain = self.head.is_empty() && self.tail.is_empty();
        let mut capture = Capture::default();
        let Some(last) = within.len().checked_sub(1) else {
            // `/news/*` has `/news`, and `/a/*/b` does not have `/a/b`.
            return (is_plain && self.after.is_empty()).then_some(capture);
        };
        for (at, segment) in within.iter().enumerate() {
            if at > 0 {
                capture.push_slash();
            }
            let mut text = &*segment.decoded;
            if at == 0 {
                text = text.strip_prefix(&*self.head)?;
            }
            if at == last {
                text = text.strip_suffix(&*self.tail)?;
            }
            let is_text = match text.len() == segment.decoded.len() {
                true => capture.push_segment(segment),
                false => capture.push_part(text),
            };
            if !is_text {
                return None;
            }
        }
        if ends_in_slash {
            capture.push_slash();
        }
        Some(capture)
    }
}

fn capture_all(
    patterns: &[SegmentPattern],
    segments: &[PathSegment],
    captures: &mut [Capture],
) -> Option<()> {
    patterns
        .iter()
        .zip(segments)
        .try_for_each(|(pattern, segment)| pattern.capture(segment, captures).ok_or(()))
        .ok()
}

/// Matches text and placeholders from the end of a segment, each text at its last place. Earlier
/// placeholders so get the most, as those of a greedy expression.
fn capture_mixed(tokens: &[Token], segment: &[u8], captures: &mut [Capture]) -> Option<()> {
    let (tokens, mut left) = match tokens {
        [Token::Text(text), rest @ ..] => (rest, segment.strip_prefix(&**text)?),
        _ => (tokens, segment),
    };
    let mut open = None;
    for token in tokens.iter().rev() {
        match (token, open.take()) {
            (Token::Placeholder(name), _) => open = Some(*name),
            (Token::Text(text), None) => left = left.strip_suffix(&**text)?,
            (Token::Text(text), Some(name)) => {
                let searched = left.get(..left.len().checked_sub(1)?)?;
                let at = searched.windows(text.len()).rposition(|window| window == &**text)?;
                captures[name] = Capture::of_part(&left[at + text.len()..])?;
                left = &left[..at];
            }
        }
    }
    let name = open?;
    captures[name] = Capture::of_part(Some(left).filter(|left| !left.is_empty())?)?;
    Some(())
}

/// Finds the first placeholder in `text`: the text before it, its name, and the text behind it.
///
/// A colon behind a letter or a digit is text, as in `Special:Search`.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices(':').find_map(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + 1..]);
        if before.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            return None;
        }
        placeholder_name(behind).map(|(name, behind)| (before, name, behind))
    })
}

/// Whether `name` may name a placeholder that is a whole segment, or a parameter.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn declare(name: &str, names: &mut Vec<String>) -> Result<usize, String> {
    if names.iter().any(|other| other == name) {
        return Err(format!("`:{name}` stands for two parts of a request"));
    }
    names.push(name.to_owned());
    Ok(names.len() - 1)
}

fn sample_text(text: &[u8]) -> String {
    let mut encoded = String::new();
    encode_bytes(text, b"", &mut encoded);
    encoded
}

/// The parameters of a query, undecoded.
fn parameters(query: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}
