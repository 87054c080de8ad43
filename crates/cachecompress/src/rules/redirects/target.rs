//! The answer of a rule: its `to`.

use super::capture::Capture;
use crate::http::{decode_leniently, encode};

/// The times that a slash may be encoded, one over the other, and still count as one.
const ENCODINGS: usize = 4;
/// The length of a slash that is encoded so often.
const ENCODED_SLASH: usize = 3 + 2 * ENCODINGS;

/// The `to` of a rule, cut at its placeholders.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Scheme and authority of another site; `None` for a path of this one.
    origin: Option<String>,
    path: Vec<Part>,
    query: Option<Vec<Part>>,
    fragment: Option<Vec<Part>>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Capture(usize),
}

impl Target {
    /// Compiles `to`, in which `names` stand for what a request matched.
    ///
    /// # Errors
    ///
    /// A clause that says what is wrong.
    pub(super) fn parse(to: &str, names: &[String]) -> Result<Self, String> {
        if to.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("`to` has white space or a control character in it".into());
        }
        let (origin, rest) = match to.split_once("://") {
            Some((scheme, rest)) if is_web(scheme) => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                (Some(format!("{scheme}://{}", authority(&rest[..end])?)), &rest[end..])
            }
            _ if to.starts_with('/') => (None, to),
            _ => return Err("`to` must begin with `/`, `http://` or `https://`".into()),
        };
        let (rest, fragment) = cut(rest, '#');
        let (path, query) = cut(rest, '?');
        if origin.is_none() && (path.starts_with("//") || path.contains('\\')) {
            return Err("`to` leads to another host without its scheme; write `https://`".into());
        }
        let placed = |text: &str, allowed: &[u8]| parts(text, names, allowed);
        Ok(Self {
            origin,
            path: placed(path, b":@/")?,
            query: query.map(|query| placed(query, b":@/?")).transpose()?,
            fragment: fragment.map(|fragment| placed(fragment, b":@/?#")).transpose()?,
        })
    }

    /// Whether this is a path of the site itself.
    pub(super) fn is_local(&self) -> bool {
        self.origin.is_none()
    }

    /// Makes the path; `None` if that of the site itself could be taken for another host.
    pub(super) fn path(&self, captures: &[Capture]) -> Option<String> {
        let mut path = String::new();
        for part in &self.path {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Capture(at) => {
                    let value = &captures[*at].path;
                    let is_joint = path.ends_with('/');
                    path.push_str(if is_joint { value.trim_start_matches('/') } else { value });
                }
            }
        }
        if self.is_local() && !is_local_path(&path) {
            return None;
        }
        if path.is_empty() || path.starts_with('/') { Some(path) } else { None }
    }

    /// Makes the `Location`, with the request's query unless `to` has its own.
    pub(super) fn location(&self, captures: &[Capture], query: Option<&str>) -> Option<String> {
        let mut location = self.origin.clone().unwrap_or_default();
        location.push_str(&self.path(captures)?);
        match (&self.query, query) {
            (Some(own), _) => {
                location.push('?');
                push_values(own, captures, &mut location);
            }
            (None, Some(query)) => {
                location.push('?');
                encode(query, b":@/?", &mut location);
            }
            (None, None) => {}
        }
        if let Some(fragment) = &self.fragment {
            location.push('#');
            push_values(fragment, captures, &mut location);
        }
        Some(location)
    }
}

/// Whether no client and no proxy takes `path` for a URL with a host: it has one slash at its start,
/// and no other one behind that, be it encoded or turned round.
fn is_local_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let mut start = rest.bytes().take(ENCODED_SLASH).collect::<Vec<_>>();
    for _ in 0..ENCODINGS {
        if matches!(start.first(), Some(b'/' | b'\\')) {
            return false;
        }
        start = decode_leniently(&String::from_utf8_lossy(&start));
    }
    true
}

fn is_web(scheme: &str) -> bool {
    ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web))
}

/// Checks a host with its port. A placeholder in it would let clients choose the host.
fn authority(text: &str) -> Result<&str, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (text, ""),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if !port.chars().all(|c| c.is_ascii_digit()) || (host.contains(':') && !host.starts_with('[')) {
        return Err(format!(
            "`{text}` in `to` is no host with a port; no placeholder stands there"
        ));
    }
    if host.is_empty() || !host.chars().all(is_host) {
        return Err(format!("`{text}` in `to` is no host"));
    }
    Ok(text)
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

/// Cuts `text` at its placeholders. A name that `from` lacks is text, unless it is a whole segment.
fn parts(text: &str, names: &[String], allowed: &[u8]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let (mut plain, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(':') {
        let behind = &rest[at + 1..];
        let named = names.iter().enumerate().filter(|(_, name)| {
            let next = behind.strip_prefix(name.as_str());
            next.is_some_and(|next| !next.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        });
        let Some((index, name)) = named.max_by_key(|(_, name)| name.len()) else {
            let segment = behind.split('/').next().unwrap_or_default();
            let is_whole = rest[..at].ends_with('/') || (at == 0 && plain.ends_with('/'));
            if is_whole && segment.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return Err(format!("`:{segment}` in `to` stands for nothing of `from`"));
            }
            plain.push_str(&rest[..=at]);
            rest = behind;
            continue;
        };
        plain.push_str(&rest[..at]);
        push_text(&mut parts, &std::mem::take(&mut plain), allowed);
        parts.push(Part::Capture(index));
        rest = &behind[name.len()..];
    }
    plain.push_str(rest);
    push_text(&mut parts, &plain, allowed);
    Ok(parts)
}

fn push_text(parts: &mut Vec<Part>, text: &str, allowed: &[u8]) {
    if !text.is_empty() {
        let mut encoded = String::with_capacity(text.len());
        encode(text, allowed, &mut encoded);
        parts.push(Part::Text(encoded));
    }
}

fn push_values(parts: &[Part], captures: &[Capture], text: &mut String) {
    for part in parts {
        text.push_str(match part {
            Part::Text(text) => text,
            Part::Capture(at) => &captures[*at].query,
        });
    }
}
