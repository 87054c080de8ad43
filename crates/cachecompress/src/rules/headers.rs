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
pub(crate) const OWN: [HeaderName; 5] =
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

    /// Collects the fields for `path`, which `is_named_by_content` or not. A request's own fields are
    /// added on top.
    pub(crate) fn fields(&self, path: &SourcePath, is_named_by_content: bool) -> HeaderMap {
        let mut fields = HeaderMap::new();
        if let Some(value) = &self.default_cache_control {
            fields.insert(CACHE_CONTROL, value.clone());
        }
        let is_immutable = self.immutable && is_named_by_content;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> SourcePath {
        SourcePath::parse(text.as_bytes()).unwrap()
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
        let fields = |text: &str| rules.fields(&path(text), text.contains("3f9c2b1a"));
        let control = |text: &str| fields(text)[CACHE_CONTROL].clone();
        assert_eq!(control("index.html"), "no-cache");
        assert_eq!(control("app.3f9c2b1a.js"), IMMUTABLE);
        assert_eq!(control("assets/app.3f9c2b1a.js"), "max-age=5");
        assert_eq!(control("assets/deep/app.js"), "no-cache", "a star stops at a slash");
        assert_eq!(fields("a/b.txt")["x-kind"], "text");
        assert!(rules.add("*", ETAG, HeaderValue::from_static("\"x\"")).is_err());
        assert!(rules.add("[", CACHE_CONTROL, HeaderValue::from_static("x")).is_err());
    }
}
