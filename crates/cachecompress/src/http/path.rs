//! Request paths and the paths of a source.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Error;

/// A file's path in a source: segments joined by `/`, none of them empty, `.` or `..`, and none
/// with a NUL, a `/` or a `\` in it.
///
/// Bytes, because file names are bytes. Cheap to clone. The root is the path of no segments.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourcePath(Arc<[u8]>);

impl SourcePath {
    /// The path of the source itself, which has no segments.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::default())
    }

    /// Parses a path that is decoded already, such as one of a listing or a configuration.
    ///
    /// - Slashes at either end are ignored. A path of slashes alone, or an empty one, is the root.
    /// - `None` if a segment is empty, `.` or `..`, or holds a NUL or a backslash.
    #[must_use]
    pub fn parse(path: &[u8]) -> Option<Self> {
        let mut path = path;
        while let [b'/', rest @ ..] = path {
            path = rest;
        }
        while let [rest @ .., b'/'] = path {
            path = rest;
        }
        if path.is_empty() {
            return Some(Self::root());
        }
        path.split(|byte| *byte == b'/').all(is_segment).then(|| Self(path.into()))
    }

    /// The path's bytes, without a slash at either end; empty for the root.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as text; `None` if it is no UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The segments from the root down; none for the root.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty())
    }

    /// The last segment; empty for the root.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.segments().next_back().unwrap_or_default()
    }

    /// The part of the file name after the last dot.
    ///
    /// `None` if there is no dot, if the only one is the first character or the last, or if the part
    /// is no UTF-8.
    #[must_use]
    pub fn extension(&self) -> Option<&str> {
        let name = self.file_name();
        let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0)?;
        std::str::from_utf8(&name[dot + 1..]).ok().filter(|extension| !extension.is_empty())
    }

    /// The path of the directory in which this path lies; the root for the root.
    pub(crate) fn parent(&self) -> Self {
        let slash = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Self(self.0[..slash].into())
    }

    /// The path of the file whose name is this one's with a dot and `extension` behind it.
    pub(crate) fn with_extension_added(&self, extension: &str) -> Self {
        Self([&*self.0, b".", extension.as_bytes()].concat().into())
    }

    /// The path of the file whose name lacks this one's [`extension`](Self::extension) and the dot
    /// before it; `None` without an extension.
    pub(crate) fn without_extension(&self) -> Option<Self> {
        let end = self.extension()?.len() + 1;
        Some(Self(self.0[..self.0.len() - end].into()))
    }

    /// The path of `name` below this one, such as that of a directory's index file.
    ///
    /// `name` may hold several segments. A segment that may not stand in a path is left out, so the
    /// result is at or below this path for every `name`. See [`try_join`](Self::try_join) for names
    /// that are not known to be good.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let mut path = self.0.to_vec();
        for segment in name.as_bytes().split(|byte| *byte == b'/').filter(|name| is_segment(name)) {
            push_segment(&mut path, segment);
        }
        Self(path.into())
    }

    /// The path of the one segment `name` below this one, such as an entry of a listing.
    ///
    /// `None` if `name` is empty, `.` or `..`, or holds a NUL, a slash or a backslash.
    #[must_use]
    pub fn try_join(&self, name: &[u8]) -> Option<Self> {
        if !is_segment(name) {
            return None;
        }
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        push_segment(&mut path, name);
        Some(Self(path.into()))
    }

    /// Whether this is the path of the source itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a segment starts with a dot. `.well-known` as the first one does not count, since it
    /// is meant to be read (RFC 8615 §3).
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.segments()
            .enumerate()
            .any(|(at, segment)| segment[0] == b'.' && !(at == 0 && segment == b".well-known"))
    }

    /// The path as text, with U+FFFD in place of bytes that are no UTF-8. Control characters stay.
    #[must_use]
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

/// Whether `segment` may stand in a [`SourcePath`].
fn is_segment(segment: &[u8]) -> bool {
    !matches!(segment, b"" | b"." | b"..")
        && !segment.iter().any(|byte| matches!(byte, 0 | b'/' | b'\\'))
}

fn push_segment(path: &mut Vec<u8>, segment: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(segment);
}

impl Borrow<[u8]> for SourcePath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Parses a path as [`SourcePath::parse`] does.
///
/// ```
/// use cachecompress::SourcePath;
///
/// let path: SourcePath = "/assets/app.js".parse()?;
/// assert_eq!(path.as_str(), Some("assets/app.js"));
/// assert!("../secret".parse::<SourcePath>().is_err());
/// # Ok::<(), cachecompress::Error>(())
/// ```
///
/// The error is of kind [`ErrorKind::Config`](crate::ErrorKind::Config).
impl FromStr for SourcePath {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self, Error> {
        Self::parse(path.as_bytes())
            .ok_or_else(|| Error::config(format!("\"{path}\" is no path of a file in a source")))
    }
}

impl fmt::Display for SourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string_lossy())
    }
}

impl fmt::Debug for SourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string_lossy(), f)
    }
}

/// A request's path (RFC 9110 §4.2.3, RFC 3986 §3.3), decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestPath {
    /// The source path.
    pub path: SourcePath,
    /// Whether the request asks for a directory: its path is the root or ends in a slash.
    pub directory: bool,
    /// The path as the client wrote it, without dot segments.
    written: Box<str>,
}

/// The reason why a request's path leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathError {
    /// A percent sign without two hexadecimal digits, or a NUL: 400.
    Malformed,
    /// A path whose `..` leads out of the source: 404.
    Outside,
    /// A path that no source can have, because of a backslash or an encoded slash: 404, or the index
    /// of an application, whose router may know the path.
    Nowhere,
}

impl RequestPath {
    /// Decodes a path as `http::Uri::path` returns it, without the query.
    ///
    /// Dot segments are resolved first, as RFC 3986 §5.2.4 and the URL standard do: `%2e%2e` is the
    /// same as `..`, and an empty segment counts as one. Then each segment is decoded once, by itself,
    /// and checked after that, so `%252e` is a file name. Of the slashes that are left, repeated ones
    /// count as one.
    ///
    /// # Errors
    ///
    /// The first of these that holds:
    ///
    /// - [`PathError::Malformed`] if anything in the path is malformed;
    /// - [`PathError::Outside`] if it leads out of the source;
    /// - [`PathError::Nowhere`] if no source can have such a path, or if it does not begin with a slash
    ///   (`*`).
    pub(crate) fn parse(raw: &str) -> Result<Self, PathError> {
        let resolved = resolve_dots(raw)?;
        let mut path = Vec::with_capacity(resolved.len());
        let mut nowhere = !resolved.is_empty() && !resolved.starts_with('/');
        for segment in resolved.split('/').filter(|segment| !segment.is_empty()) {
            if !path.is_empty() {
                path.push(b'/');
            }
            let start = path.len();
            decode(segment, &mut path)?;
            nowhere |= !is_segment(&path[start..]);
        }
        if nowhere {
            return Err(PathError::Nowhere);
        }
        let directory = resolved.is_empty() || resolved.ends_with('/');
        Ok(Self { path: SourcePath(path.into()), directory, written: resolved.into() })
    }

    /// Decodes a path as [`parse`](Self::parse) does, also one that no source can have. Its segments
    /// are joined by slashes, without one at either end.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), but never [`PathError::Nowhere`].
    pub(crate) fn decoded(raw: &str) -> Result<Vec<u8>, PathError> {
        let resolved = resolve_dots(raw)?;
        let mut path = Vec::with_capacity(resolved.len());
        for segment in resolved.split('/').filter(|segment| !segment.is_empty()) {
            if !path.is_empty() {
                path.push(b'/');
            }
            decode(segment, &mut path)?;
        }
        Ok(path)
    }

    /// Returns the decoded last segment of a path, also of one that no source can have; empty for a
    /// directory.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), but never [`PathError::Nowhere`].
    pub(crate) fn last_segment(raw: &str) -> Result<Vec<u8>, PathError> {
        let resolved = resolve_dots(raw)?;
        let last = resolved.rsplit('/').next().unwrap_or_default();
        let mut decoded = Vec::with_capacity(last.len());
        decode(last, &mut decoded)?;
        Ok(decoded)
    }

    /// Returns the `Location` (RFC 9110 §10.2.2) of `target`, with a slash at its end if it is a
    /// `directory`. `target` lies beside the request's path, is that path, or contains it.
    ///
    /// - It begins with `./` or `../` and is relative to the request, so it never leads to another
    ///   site, and survives a stripped prefix.
    /// - `?` and the query follow, if there is one.
    /// - Segments that the request has are spelled as there. Every byte that may not stand in a URI
    ///   is percent-encoded.
    #[must_use]
    pub(crate) fn location(
        &self,
        target: &SourcePath,
        directory: bool,
        query: Option<&str>,
    ) -> String {
        // Empty segments count for a client that resolves the location.
        let written: Vec<&str> = self.written.split('/').skip(1).collect();
        let named = written.iter().enumerate().filter(|(_, segment)| !segment.is_empty());
        let named: Vec<usize> = named.map(|(at, _)| at).collect();
        let depth = target.segments().count();
        let is_own = target.segments().eq(self.path.segments().take(depth));
        // The directory in which the client resolves the location has this many segments.
        let base = written.len().saturating_sub(1);
        let mut location = String::new();
        let mut climb_to = |kept: usize| match base.saturating_sub(kept) {
            0 => location.push_str("./"),
            up => location.push_str(&"../".repeat(up)),
        };
        let last = depth.checked_sub(1).and_then(|last| named.get(last)).copied();
        match last {
            Some(at) if is_own && directory && base > at => climb_to(at + 1),
            Some(at) => {
                climb_to(at);
                match is_own {
                    true => encode(written[at], b":@", &mut location),
                    false => encode_bytes(target.file_name(), b"!$&'()*+,;=:@", &mut location),
                }
                location.push_str(if directory { "/" } else { "" });
            }
            None => climb_to(named.first().copied().unwrap_or(base)),
        }
        if let Some(query) = query {
            location.push('?');
            encode(query, b":@/?", &mut location);
        }
        location
    }
}

/// Resolves the dot segments of a request's path; borrows a path that has none.
pub(super) fn resolve_dots(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let has_dots = raw.split('/').any(|segment| Dots::of(segment).is_some());
    if !has_dots || !raw.starts_with('/') {
        return Ok(Cow::Borrowed(raw));
    }
    // A malformed escape is one in a segment that `..` removes, too.
    decode(raw, &mut Vec::with_capacity(raw.len()))?;
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = raw.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let dots = Dots::of(segment);
        match dots {
            None => kept.push(segment),
            Some(Dots::Same) => {}
            Some(Dots::Parent) => drop(kept.pop().ok_or(PathError::Outside)?),
        }
        if dots.is_some() && segments.peek().is_none() {
            kept.push("");
        }
    }
    Ok(Cow::Owned(format!("/{}", kept.join("/"))))
}

/// A dot segment (RFC 3986 §3.3).
pub(super) enum Dots {
    Same,
    Parent,
}

impl Dots {
    /// Recognises a dot segment in every spelling; `None` for any other segment.
    pub(super) fn of(segment: &str) -> Option<Self> {
        let mut rest = segment.as_bytes();
        let mut dots = 0;
        while dots < 3 && !rest.is_empty() {
            rest = match rest {
                [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
                _ => return None,
            };
            dots += 1;
        }
        match dots {
            1 => Some(Self::Same),
            2 => Some(Self::Parent),
            _ => None,
        }
    }
}

/// Appends the percent-decoded `segment` (RFC 3986 §2.1).
pub(super) fn decode(segment: &str, decoded: &mut Vec<u8>) -> Result<(), PathError> {
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = if *first == b'%' {
            let byte = escape(after).ok_or(PathError::Malformed)?;
            rest = &after[2..];
            byte
        } else {
            rest = after;
            *first
        };
        if byte == 0 {
            return Err(PathError::Malformed);
        }
        decoded.push(byte);
    }
    Ok(())
}

/// Decodes the two hexadecimal digits at the start of `text`.
pub(super) fn escape(text: &[u8]) -> Option<u8> {
    let [high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// Appends `text`, percent-encoding all bytes but unreserved characters, sub-delims (RFC 3986 §2),
/// those of `allowed`, and existing escapes.
pub(crate) fn encode(text: &str, allowed: &[u8], encoded: &mut String) {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().copied().enumerate() {
        let stands = byte.is_ascii_alphanumeric()
            || b"-._~!$&'()*+,;=".contains(&byte)
            || allowed.contains(&byte)
            || (byte == b'%' && escape(&bytes[at + 1..]).is_some());
        push_encoded(byte, stands, encoded);
    }
}

/// Appends `bytes`, percent-encoding all but unreserved characters (RFC 3986 §2.3) and those of
/// `allowed`.
pub(crate) fn encode_bytes(bytes: &[u8], allowed: &[u8], encoded: &mut String) {
    for byte in bytes.iter().copied() {
        let stands =
            byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || allowed.contains(&byte);
        push_encoded(byte, stands, encoded);
    }
}

fn push_encoded(byte: u8, stands: bool, encoded: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if stands {
        encoded.push(char::from(byte));
    } else {
        encoded.push('%');
        encoded.push(char::from(HEX[usize::from(byte >> 4)]));
        encoded.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the path has a malformed percent-encoding or a NUL",
            Self::Outside => "the path leads out of the source",
            Self::Nowhere => "the path leads to no file that a source can have",
        })
    }
}

impl std::error::Error for PathError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &str) -> Result<(String, bool), PathError> {
        let parsed = RequestPath::parse(raw)?;
        Ok((parsed.path.to_string(), parsed.directory))
    }

    fn location(raw: &str, query: Option<&str>) -> String {
        let parsed = RequestPath::parse(raw).unwrap();
        parsed.location(&parsed.path, true, query)
    }

    /// The path that a client asks for next, by RFC 3986 §5.2.
    fn resolved(raw: &str, location: &str) -> String {
        let base = &raw[..raw.rfind('/').map_or(0, |slash| slash + 1)];
        let base = if base.is_empty() { "/" } else { base };
        format!("{base}{}", location.split('?').next().unwrap())
    }

    #[test]
    fn location_leads_beside_a_path_and_above_it() {
        for (raw, target, directory, location) in [
            ("/x/a", "x/a", true, "./a/"),
            ("/x/a/", "x/a", false, "../a"),
            ("/x/a//", "x/a", false, "../../a"),
            ("/x/a%41/", "x/aA", false, "../a%41"),
            ("/x/a.html", "x/a", false, "./a"),
            ("/x/a.html", "x/a", true, "./a/"),
            ("/x/a.html/", "x/a", false, "../a"),
            ("/x/a%2Eb%25.html", "x/a.b%", false, "./a.b%25"),
            ("/x/index.html", "x", true, "./"),
            ("/x/index.html/", "x", true, "../"),
            ("/x/index.html", "x", false, "../x"),
            ("/x//index.html", "x", false, "../../x"),
            ("/x//index.html", "x", true, "../"),
            ("/index.html", "", true, "./"),
            ("//index.html", "", true, "./"),
            ("/index", "", true, "./"),
            ("/index/", "", true, "../"),
            ("//evil.example/", "evil.example", false, "../evil.example"),
            ("/y/../x:y/", "x:y", false, "../x:y"),
        ] {
            let parsed = RequestPath::parse(raw).unwrap();
            let target = SourcePath::parse(target.as_bytes()).unwrap();
            assert_eq!(parsed.location(&target, directory, None), location, "{raw}");
        }
    }

    #[test]
    fn request_path_decodes_once_and_merges_slashes() {
        for (raw, path, directory) in [
            ("/", "", true),
            ("", "", true),
            ("//", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("//a///b.txt", "a/b.txt", false),
            ("/a%20b", "a b", false),
            ("/%252e%252e/x", "%2e%2e/x", false),
            ("/%C3%A9", "é", false),
            ("/é", "é", false),
            ("/...", "...", false),
            ("/..a/b..", "..a/b..", false),
            ("/a%3Fb%23", "a?b#", false),
            ("/a+b", "a+b", false),
        ] {
            assert_eq!(parse(raw), Ok((path.to_owned(), directory)), "{raw:?}");
        }
        assert_eq!(RequestPath::parse("/%ff").unwrap().path.as_bytes(), b"\xff");
    }

    #[test]
    fn request_path_tells_malformed_from_nowhere() {
        for raw in ["/%", "/%4", "/%zz", "/%4g", "/a%00", "/%+1", "/\0", "/../%", "/a%é9"] {
            assert_eq!(parse(raw), Err(PathError::Malformed), "{raw:?}");
        }
        for raw in
            ["/..", "/../", "/%2e%2E/etc/passwd", "/.%2e", "/a/../../b", "//../..", "/./%2E."]
        {
            assert_eq!(parse(raw), Err(PathError::Outside), "{raw:?}");
        }
        for raw in [
            "/a%2Fb",
            "/a%2f..%2fb",
            "/x/../a%2Fb",
            "/a\\b",
            "/..\\..\\x",
            "/a%5cb",
            "/%2F",
            "*",
            "a/b",
        ] {
            assert_eq!(parse(raw), Err(PathError::Nowhere), "{raw:?}");
        }
    }

    #[test]
    fn request_path_resolves_dot_segments_before_it_judges() {
        for (raw, path, directory) in [
            ("/b/c/./g", "b/c/g", false),
            ("/b/c/..", "b", true),
            ("/b/c/../..", "", true),
            ("/b/c/g;x=1/../y", "b/c/y", false),
            ("/apt/./Packages", "apt/Packages", false),
            ("/a/.", "a", true),
            ("/a/./", "a", true),
            ("/.", "", true),
            ("/a/..", "", true),
            ("/a/%2e", "a", true),
            ("/a/%2E%2e/b", "b", false),
            ("/a/.%2e/b", "b", false),
            ("/a/%2e./b", "b", false),
            // The URL standard removes the empty segment, and then a browser asks for `/a/b`.
            ("/a//../b", "a/b", false),
            ("/a//../../b", "b", false),
            ("//..", "", true),
            ("/a//./b", "a/b", false),
            ("/a%2Fb/../c", "c", false),
            ("/a\\b/../c", "c", false),
            ("/a/.../b", "a/.../b", false),
            ("/a/%252e/b", "a/%2e/b", false),
        ] {
            assert_eq!(parse(raw), Ok((path.to_owned(), directory)), "{raw:?}");
        }
        assert_eq!(parse("/a%/../b"), Err(PathError::Malformed));
        assert_eq!(parse("/a%00/../b"), Err(PathError::Malformed));
    }

    #[test]
    fn directory_location_stays_on_this_site() {
        assert_eq!(location("/x/..//evil.example", None), "./evil.example/");
        assert_eq!(location("//evil.example/../docs", None), "./docs/");
        assert_eq!(location("/docs", None), "./docs/");
        assert_eq!(location("/docs", Some("a=b?/c")), "./docs/?a=b?/c");
        assert_eq!(location("//evil.example", None), "./evil.example/");
        assert_eq!(location("/https:evil.example", None), "./https:evil.example/");
        assert_eq!(location("/a/javascript:x", None), "./javascript:x/");
        assert_eq!(location("/%20x%41", None), "./%20x%41/");
        assert_eq!(location("/%0d%0aSet-Cookie:x", None), "./%0d%0aSet-Cookie:x/");
        assert_eq!(location("/\r\nSet-Cookie:x", Some("\r\n\"100%<é")), {
            "./%0D%0ASet-Cookie:x/?%0D%0A%22100%25%3C%C3%A9"
        });
        assert_eq!(location("/docs/", Some("q")), "./?q");
    }

    #[test]
    fn source_path_keeps_its_rules() {
        for good in ["a", "/a/b/", "a b", ".git", "...", "//a//"] {
            assert!(SourcePath::parse(good.as_bytes()).is_some(), "{good:?}");
        }
        for bad in ["a//b", ".", "..", "a/./b", "a/..", "a\\b", "a\0b", "/../"] {
            assert_eq!(SourcePath::parse(bad.as_bytes()), None, "{bad:?}");
        }
        let root = SourcePath::root();
        assert_eq!(SourcePath::parse(b""), Some(root.clone()));
        assert_eq!(SourcePath::parse(b"//"), Some(root.clone()));
        assert!(root.is_root() && root.file_name().is_empty() && root.segments().next().is_none());
        assert!(!root.is_hidden() && root.extension().is_none());
        let path = root.join("a").join("b.tar.GZ");
        assert_eq!(path.as_bytes(), b"a/b.tar.GZ");
        assert_eq!(path.segments().collect::<Vec<_>>(), [&b"a"[..], b"b.tar.GZ"]);
        assert_eq!((path.file_name(), path.extension()), (&b"b.tar.GZ"[..], Some("GZ")));
        assert_eq!(format!("{path} {path:?}"), "a/b.tar.GZ \"a/b.tar.GZ\"");
    }

    #[test]
    fn extension_is_that_of_the_file_name() {
        for (path, extension) in [
            ("a.d/b", None),
            ("a/.htaccess", None),
            ("a.", None),
            ("a.b.c", Some("c")),
            (".a.b", Some("b")),
        ] {
            assert_eq!(SourcePath::parse(path.as_bytes()).unwrap().extension(), extension);
        }
        assert_eq!(SourcePath::parse(b"a.\xff").unwrap().extension(), None);
    }

    #[test]
    fn is_hidden_spares_a_leading_well_known() {
        for (path, hidden) in [
            (".git/config", true),
            ("a/.env", true),
            ("a/.b/c", true),
            (".well-known/acme-challenge/x", false),
            (".well-known/.x", true),
            ("a/.well-known", true),
            (".well-knownx", true),
            ("a.b/c..", false),
        ] {
            assert_eq!(SourcePath::parse(path.as_bytes()).unwrap().is_hidden(), hidden, "{path}");
        }
    }

    #[test]
    fn join_never_leads_upward() {
        let base = SourcePath::parse(b"a").unwrap();
        for (name, path) in [
            ("index.html", "a/index.html"),
            ("x/y", "a/x/y"),
            ("../etc", "a/etc"),
            ("/x/", "a/x"),
            ("", "a"),
            ("..", "a"),
            ("b\\c", "a"),
        ] {
            assert_eq!(base.join(name).to_string(), path, "{name:?}");
        }
        assert_eq!(base.try_join(b"\xff").unwrap().as_bytes(), b"a/\xff");
        for bad in [&b""[..], b".", b"..", b"x/y", b"x\\y", b"x\0"] {
            assert_eq!(base.try_join(bad), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn request_path_decodes_encoded_names(
            names in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..6), 0..5),
            slash in any::<bool>(),
        ) {
            let mut raw = String::new();
            for name in &names {
                raw.push('/');
                for byte in name {
                    raw.push_str(&format!("%{byte:02x}"));
                }
            }
            if slash || names.is_empty() {
                raw.push('/');
            }
            let joined = names.join(&b'/');
            let parsed = RequestPath::parse(&raw);
            if joined.contains(&0) {
                prop_assert_eq!(parsed, Err(PathError::Malformed));
            } else if names.iter().any(|name| name == b"." || name == b"..") {
                // The model of the fuzz target resolves them.
            } else if joined.contains(&b'\\')
                || joined.split(|b| *b == b'/').count() != names.len().max(1)
            {
                prop_assert_eq!(parsed, Err(PathError::Nowhere));
            } else {
                let parsed = parsed.unwrap();
                prop_assert_eq!(parsed.path.as_bytes(), &joined[..]);
                prop_assert_eq!(parsed.directory, slash || names.is_empty());
                prop_assert_eq!(SourcePath::parse(&joined), Some(parsed.path));
            }
        }

        #[test]
        fn request_path_resolves_dots_as_its_model(raw in "(/(\\.|%2[eE]|a|%2f){0,3}){0,7}") {
            crate::fuzz::path(raw.as_bytes());
        }

        #[test]
        fn request_path_is_a_good_path_or_none(raw in "[/.%2eEfF5cC\\\\a0é\\x00:]{0,12}", query in ".{0,8}") {
            if let Ok(parsed) = RequestPath::parse(&raw) {
                let again = SourcePath::parse(parsed.path.as_bytes());
                prop_assert_eq!(again.as_ref(), Some(&parsed.path));
                let (own, parent) = (&parsed.path, parsed.path.parent());
                let renamed = (!own.is_root()).then(|| parent.try_join(b"%2f n\xff").unwrap());
                for target in [own, &parent].into_iter().chain(&renamed) {
                    for directory in [true, target.is_root()] {
                        let location = parsed.location(target, directory, Some(&query));
                        prop_assert!(location.starts_with("./") || location.starts_with("../"));
                        let may_stand = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&b);
                        let all_may_stand = location.bytes().all(may_stand);
                        prop_assert!(all_may_stand);
                        let asked = RequestPath::parse(&resolved(&raw, &location)).unwrap();
                        prop_assert_eq!(&asked.path, target);
                        prop_assert_eq!(asked.directory, directory);
                    }
                }
            }
        }
    }
}
