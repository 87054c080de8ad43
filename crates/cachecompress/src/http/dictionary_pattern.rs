//! `Use-As-Dictionary` (RFC 9842 §2.1): the pattern of the paths of a file's versions.

use std::fmt;
use std::ops::Range;

use http::HeaderValue;

use super::content_name::hash_in;
use crate::limits::DICTIONARY_PATTERN;

/// The pattern that the paths of a file's versions match, and of no other file as far as names tell:
/// `/assets/app-*.js` for `/assets/app-BwOPSdeb.js`, `/v*/tool` for `/v1.2.3/tool`.
///
/// The hash or version is a `*`, and all else of the path stands for itself. A `*` also matches
/// slashes (URL Patterns).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DictionaryPattern(Box<str>);

impl DictionaryPattern {
    /// Returns the pattern of `path`, which is a request's path as the client wrote it.
    ///
    /// `None` if its name holds neither a hash nor a version, or the path has any byte outside
    /// `[A-Za-z0-9/_.~%-]`: others mean something in a pattern or in the field. A hash that may be words
    /// counts only if the file `is_named_by_content`.
    pub(crate) fn of(path: &str, is_named_by_content: bool) -> Option<Self> {
        if path.len() > DICTIONARY_PATTERN || !path.bytes().all(is_plain) {
            return None;
        }
        let mut pattern = String::with_capacity(path.len());
        let (directories, name) = path.rsplit_once('/')?;
        for segment in directories.split('/').skip(1) {
            pattern.push('/');
            match version_in(segment) {
                Some(version) => push_replaced(segment, &version, &mut pattern),
                None => pattern.push_str(segment),
            }
        }
        pattern.push('/');
        match joined(version_in(name), hash_in(name, is_named_by_content)) {
            Some(changing) => push_replaced(name, &changing, &mut pattern),
            None => pattern.push_str(name),
        }
        (pattern != path).then(|| Self(pattern.into()))
    }

    /// The pattern's text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of `Use-As-Dictionary`.
    pub(crate) fn to_header_value(&self) -> HeaderValue {
        HeaderValue::try_from(format!("match=\"{}\"", self.0)).expect("a pattern is plain ASCII")
    }
}

/// Whether `byte` stands for itself in a pattern and in a string of the field.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/_.~%-".contains(&byte)
}

fn push_replaced(text: &str, part: &Range<usize>, out: &mut String) {
    out.push_str(&text[..part.start]);
    out.push('*');
    out.push_str(&text[part.end..]);
}

/// Returns the text from the beginning of the one to the end of the other.
fn joined(one: Option<Range<usize>>, other: Option<Range<usize>>) -> Option<Range<usize>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.start.min(other.start)..one.end.max(other.end)),
        (one, other) => one.or(other),
    }
}

/// Finds the first version in `segment`: two to four numbers with dots between, at the beginning or behind
/// `-`, `_`, `.` or a `v` there, and what follows of a pre-release.
///
/// A version of one number is as often a part of a name: `chapter-2`, `v8`.
fn version_in(segment: &str) -> Option<Range<usize>> {
    let begins = |at: &usize| {
        let before = &segment[..*at];
        let before = before.strip_suffix('v').unwrap_or(before);
        let before_dot = before.strip_suffix('.').unwrap_or_default();
        before.is_empty()
            || before.ends_with(['-', '_'])
            || before_dot.ends_with(|c: char| !c.is_ascii_digit())
    };
    (0..segment.len()).filter(begins).find_map(|start| {
        let end = start + numbers(&segment[start..])?;
        Some(start..end + pre_release(&segment[end..]))
    })
}

/// Returns the length of the numbers at the beginning of `text`, if there are two to four. A part with a
/// letter is none of them, and ends the version: `1.2.8e2f3d1c`.
fn numbers(text: &str) -> Option<usize> {
    let (mut len, mut count) = (0, 0);
    for part in text.split('.') {
        let is_last = part.contains(['-', '_']);
        let part = part.split(['-', '_']).next().unwrap_or_default();
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            break;
        }
        len += part.len() + usize::from(count > 0);
        count += 1;
        if is_last {
            break;
        }
    }
    (2..=4).contains(&count).then_some(len)
}

/// Returns the length of a pre-release at the beginning of `text`: `-rc.1`, `-beta2`, `-alpha`.
fn pre_release(text: &str) -> usize {
    const NAMES: [&str; 9] =
        ["alpha", "beta", "rc", "pre", "preview", "dev", "next", "canary", "nightly"];
    let Some(rest) = text.strip_prefix('-') else { return 0 };
    let word = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    if !NAMES.contains(&&rest[..word]) {
        return 0;
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut len = word + digits(&rest[word..]);
    while let Some(number) = rest[len..].strip_prefix('.').map(digits).filter(|digits| *digits > 0)
    {
        len += 1 + number;
    }
    1 + len
}

impl fmt::Debug for DictionaryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(path: &str) -> String {
        let pattern = DictionaryPattern::of(path, false);
        pattern.map_or_else(|| "none".to_owned(), |pattern| pattern.as_str().to_owned())
    }

    #[test]
    fn fingerprint_of_every_usual_bundler_becomes_a_star() {
        for (path, expected) in [
            // Vite, Rollup, esbuild, Angular, Rolldown.
            ("/assets/index-Bw0PSd3b.js", "/assets/index-*.js"),
            ("/assets/index-D-w_gT9a.css", "/assets/index-*.css"),
            ("/assets/index-D-w_gT9a.js.map", "/assets/index-*.js.map"),
            ("/chunk-4ZXQ7KJM.js", "/chunk-*.js"),
            ("/main-7GX2KQ5B.js", "/main-*.js"),
            ("/chunk-Bx9Wz3q72.js", "/chunk-*2.js"),
            // webpack, Create React App, Vue CLI, Docusaurus, Next.js, Nuxt, Gatsby.
            ("/static/js/main.8e2f3d1c.js", "/static/js/main.*.js"),
            ("/static/js/2.8e2f3d1c.chunk.js", "/static/js/2.*.chunk.js"),
            ("/main.0a1b2c3d4e5f60718293.bundle.js", "/main.*.bundle.js"),
            ("/runtime~main.7a6f5e4d.js", "/runtime~main.*.js"),
            ("/assets/js/0058b4c6.175a2c4d.js", "/assets/js/0058b4c6.*.js"),
            ("/_next/static/chunks/117-3b2a8d2c5f7c4a17.js", "/_next/static/chunks/117-*.js"),
            ("/_nuxt/entry.8a3c1f0d.js", "/_nuxt/entry.*.js"),
            // Parcel, Trunk, mdBook, Hugo, Django, Rails, Phoenix.
            ("/index.5ba2f81c.js", "/index.*.js"),
            ("/app-3f9c2b1a4d5e6f70_bg.wasm", "/app-*_bg.wasm"),
            ("/highlight-abc7f01d.js", "/highlight-*.js"),
            ("/css/main.min.8ab59b1d0c5e.css", "/css/main.min.*.css"),
            ("/logo.8ab59b1d0c5e.png", "/logo.*.png"),
            ("/manual.8ab59b1d0c5e.pdf", "/manual.*.pdf"),
            (
                "/assets/application-2a0d4b9e8f7c6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b.js",
                "/assets/application-*.js",
            ),
        ] {
            assert_eq!(pattern(path), expected, "{path}");
        }
    }

    #[test]
    fn version_in_a_name_or_a_directory_becomes_a_star() {
        for (path, expected) in [
            ("/tool-1.2.3-linux-amd64", "/tool-*-linux-amd64"),
            ("/dl/tool_1.22.3_linux_amd64.tar.gz", "/dl/tool_*_linux_amd64.tar.gz"),
            ("/tool-v1.2.3.tar.gz", "/tool-v*.tar.gz"),
            ("/v1.2.3/tool", "/v*/tool"),
            ("/1.2/tool", "/*/tool"),
            ("/v1.2.3/tool-1.2.3-linux-amd64", "/v*/tool-*-linux-amd64"),
            ("/jquery-3.7.1.min.js", "/jquery-*.min.js"),
            ("/jquery.3.7.1.js", "/jquery.*.js"),
            ("/tool-1.2.3-rc.1-linux", "/tool-*-linux"),
            ("/tool-1.2.3-beta2-linux", "/tool-*-linux"),
            ("/tool-1.2.3-alpha/x", "/tool-*/x"),
            ("/v2.0.0-rc.1/tool", "/v*/tool"),
            ("/2024.10.1.5/a.js", "/*/a.js"),
            ("/app-1.2.3.8e2f3d1c.js", "/app-*.js"),
            ("/app.2.8e2f3d1c.js", "/app.2.*.js"),
            ("/swagger-ui-5.17.14/a.css", "/swagger-ui-*/a.css"),
        ] {
            assert_eq!(pattern(path), expected, "{path}");
        }
    }

    #[test]
    fn other_names_have_no_pattern() {
        for path in [
            "/",
            "/app.js",
            "/chapter-2/index.html",
            "/v8/engine.js",
            "/python3.11",
            "/1.2.3.4.5/x",
            "/10.5x/y",
            "/main-sections.css",
            // Nothing but a hash: the pattern would match all scripts of the directory.
            "/_app/immutable/chunks/BwOPSd3b.js",
            "/8ab59b1d0c5e4f60.js",
            "/a b/app.8e2f3d1c.js",
            "/app(1).8e2f3d1c.js",
            "/vue@3.4.5/vue.js",
            "/a:b/app.8e2f3d1c.js",
            "/a\"/app.8e2f3d1c.js",
            "/a*/app.8e2f3d1c.js",
            "/caf\u{e9}/app.8e2f3d1c.js",
            "",
            "*",
        ] {
            assert_eq!(pattern(path), "none", "{path}");
        }
        let long = format!("/{}/app.8e2f3d1c.js", "a".repeat(DICTIONARY_PATTERN));
        assert_eq!(pattern(&long), "none");
    }

    #[test]
    fn hash_of_letters_counts_when_the_file_is_named_by_content() {
        let path = "/assets/index-DarkMode.js";
        assert_eq!(pattern(path), "none");
        let named = DictionaryPattern::of(path, true);
        assert_eq!(named.as_ref().map(DictionaryPattern::as_str), Some("/assets/index-*.js"));
        let value = named.map(|pattern| pattern.to_header_value());
        assert_eq!(value, Some(HeaderValue::from_static("match=\"/assets/index-*.js\"")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// A client takes a dictionary for the path that announced it, too.
        #[test]
        fn pattern_matches_its_own_path(path in "(/[a-c0-9v._-]{0,12}){1,4}", named in any::<bool>()) {
            if let Some(pattern) = DictionaryPattern::of(&path, named) {
                let mut rest = &*path;
                let mut parts = pattern.as_str().split('*');
                rest = rest.strip_prefix(parts.next().unwrap()).unwrap();
                for part in parts {
                    let at = if part.is_empty() { rest.len() } else { rest.find(part).unwrap() };
                    rest = &rest[at + part.len()..];
                }
                let last = pattern.as_str().rsplit('*').next().unwrap();
                prop_assert!(path.ends_with(last), "{} {:?}", path, pattern);
            }
        }

        #[test]
        fn parser_accepts_any_text(path in ".{0,40}") {
            let _ = DictionaryPattern::of(&path, true);
        }
    }
}
