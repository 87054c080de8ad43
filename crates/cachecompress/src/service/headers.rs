//! Header fields by path: the default, the preset for fingerprinted names, and glob rules.

use globset::GlobMatcher;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, EXPIRES, LAST_MODIFIED,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::globs::{self, Globs};
use crate::error::Error;
use crate::http::SourcePath;

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Fields that follow from the representation. No rule may contradict them.
pub(super) const OWN: [HeaderName; 5] =
    [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, TRANSFER_ENCODING];

/// Header fields by path. A rule that is added later wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderRules {
    rules: Vec<(GlobMatcher, HeaderName, HeaderValue)>,
    pub(crate) immutable: bool,
    /// The paths that are immutable whatever their names.
    pub(crate) immutable_paths: Globs,
    pub(crate) default_cache_control: Option<HeaderValue>,
}

impl HeaderRules {
    pub(crate) fn add(
        &mut self,
        glob: &str,
        name: HeaderName,
        value: HeaderValue,
    ) -> Result<(), Error> {
        if OWN.contains(&name) {
            let message = format!("\"{name}\" is the service's own to say; leave it out");
            return Err(Error::config(message));
        }
        self.rules.push((globs::matcher(glob, false)?, name, value));
        Ok(())
    }

    /// Collects the fields for `path`. A request's own fields are added on top.
    pub(crate) fn fields(&self, path: &SourcePath) -> HeaderMap {
        let mut fields = HeaderMap::new();
        if let Some(value) = &self.default_cache_control {
            fields.insert(CACHE_CONTROL, value.clone());
        }
        let is_immutable = self.immutable && is_fingerprinted(path.file_name());
        if is_immutable || self.immutable_paths.contains(path) {
            fields.insert(CACHE_CONTROL, IMMUTABLE);
        }
        self.add_ruled(path, &mut fields);
        fields
    }

    /// Collects the fields for the page `path` of a 404: those of the rules but for the ones that are
    /// about the page as a file.
    pub(crate) fn fields_of_page(&self, path: &SourcePath) -> HeaderMap {
        let mut fields = HeaderMap::new();
        self.add_ruled(path, &mut fields);
        for name in [CACHE_CONTROL, EXPIRES, LAST_MODIFIED] {
            fields.remove(name);
        }
        fields
    }

    fn add_ruled(&self, path: &SourcePath, fields: &mut HeaderMap) {
        if self.rules.is_empty() {
            return;
        }
        let text = path.to_string_lossy();
        for (matcher, name, value) in &self.rules {
            if matcher.is_match(text.as_ref()) {
                fields.insert(name, value.clone());
            }
        }
    }
}

/// Whether a file's name carries a hash of its content, as bundlers write it: `app.3f9c2b1a.js`,
/// `index-BxY12abC.js`.
///
/// A hash is the part between the last `.` or `-` and the extension, with a letter and a digit
/// in it: 8 to 64 hexadecimal characters, or exactly 8 of base64url (upper case, lower case and
/// digits all there) or of base32. In base64url it may have a `-` itself. A hash that happens to lack
/// one of these kinds of characters is not recognised, nor one that could be a word and a number. The
/// name of a page (`.html`) never counts as one with a hash. One request more is better than a stale
/// file for a year.
fn is_fingerprinted(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let name = name.strip_suffix(".map").unwrap_or(name);
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    if extension.eq_ignore_ascii_case("html") {
        return false;
    }
    let stem = stem.strip_suffix(".chunk").unwrap_or(stem);
    let last = stem.rsplit_once(['.', '-']);
    let eight = stem.len().checked_sub(9).and_then(|at| stem.split_at_checked(at));
    let eight = eight.and_then(|(before, hash)| Some((before, hash.strip_prefix(['.', '-'])?)));
    let has = |part: Option<(&str, &str)>, is: fn(&str) -> bool| {
        part.is_some_and(|(before, hash)| !before.is_empty() && is(hash))
    };
    has(last, |hash| is_hex(hash) || is_base32(hash)) || has(eight, is_base64url)
}

fn is_hex(hash: &str) -> bool {
    let has = |of: fn(&u8) -> bool| hash.as_bytes().iter().any(of);
    (8..=64).contains(&hash.len())
        && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && !is_word_with_number(hash)
}

fn is_base64url(hash: &str) -> bool {
    let has = |of: fn(&u8) -> bool| hash.as_bytes().iter().any(of);
    hash.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && !is_numbered_word(hash)
}

fn is_base32(hash: &str) -> bool {
    let has = |of: fn(&u8) -> bool| hash.as_bytes().iter().any(of);
    hash.len() == 8
        && hash.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'))
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && !is_word_with_number(hash)
}

/// Whether `text` could be a word and a number, in one case: `decade80`, `VERSION2`.
fn is_word_with_number(text: &str) -> bool {
    let number = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    text.len() - number.len() >= 3 && number.bytes().all(|b| b.is_ascii_digit())
}

/// Whether `text` could be words and numbers: runs of letters that are capitalised or of one case, each
/// of two or more, between runs of digits, such as `Winter24` and `Win64bit`.
fn is_numbered_word(text: &str) -> bool {
    let runs: Vec<&[u8]> =
        text.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).collect();
    let is_word = |run: &[u8]| {
        let (first, rest) = (run[0], &run[1..]);
        let is_lower = rest.iter().all(u8::is_ascii_lowercase);
        let is_upper = first.is_ascii_uppercase() && rest.iter().all(u8::is_ascii_uppercase);
        first.is_ascii_alphabetic() && !rest.is_empty() && (is_lower || is_upper)
    };
    // Three runs at most: many short ones are no words.
    runs.len() <= 3 && runs.iter().all(|run| run[0].is_ascii_digit() || is_word(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> SourcePath {
        SourcePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn fingerprint_differs_from_words_and_versions() {
        for name in [
            "app.3f9c2b1a.js",
            "index-BxY12abC.js",
            "main.0123456789abcdef0123.css",
            "chunk-3HKYTNBD.js",
            "app.3f9c2b1a.js.map",
            "logo-D4x_9kQz.svg",
            "index-BNd3-fQx.css",
            "Settings-C_7Xw-1z.js",
            "main.0123456789abcdef0123.chunk.js",
        ] {
            assert!(is_fingerprinted(name.as_bytes()), "{name}");
        }
        for name in [
            "jquery-3.7.1.js",
            "some-component.js",
            "app.min.js",
            "index.html",
            "report-20241115.pdf",
            "docs-Overview.html",
            "3f9c2b1a.js",
            "3f9c2b1a",
            "font-awesome.css",
            "guide-chapter1.js",
            "photo-DSC01234.svg",
            "report-Winter24.txt",
            "Manual-VERSION2.txt",
            "IMG-Photo123.txt",
            "data.decade80.txt",
            "app-Win64bit.txt",
            "index-DiwrgTda.js",
            "a-b-c1-D2.js",
            "-BNd3-fQx.css",
            "index-BxY12abC.html",
            ".js",
            "",
        ] {
            assert!(!is_fingerprinted(name.as_bytes()), "{name}");
        }
        assert!(!is_fingerprinted(b"app.\xff\xff.js"));
    }

    #[test]
    fn most_specific_cache_control_wins() {
        let mut rules = HeaderRules {
            immutable: true,
            default_cache_control: Some(HeaderValue::from_static("no-cache")),
            ..HeaderRules::default()
        };
        rules.add("/assets/*.js", CACHE_CONTROL, HeaderValue::from_static("max-age=5")).unwrap();
        rules.add("**/*.txt", "x-kind".parse().unwrap(), HeaderValue::from_static("text")).unwrap();
        let control = |text: &str| rules.fields(&path(text))[CACHE_CONTROL].clone();
        assert_eq!(control("index.html"), "no-cache");
        assert_eq!(control("app.3f9c2b1a.js"), IMMUTABLE);
        assert_eq!(control("assets/app.3f9c2b1a.js"), "max-age=5");
        assert_eq!(control("assets/deep/app.js"), "no-cache", "a star stops at a slash");
        assert_eq!(rules.fields(&path("a/b.txt"))["x-kind"], "text");
        assert!(rules.add("*", ETAG, HeaderValue::from_static("\"x\"")).is_err());
        assert!(rules.add("[", CACHE_CONTROL, HeaderValue::from_static("x")).is_err());
    }
}
