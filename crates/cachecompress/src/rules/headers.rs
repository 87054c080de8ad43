//! Header fields by path: the default, the preset for fingerprinted names, and rules.

use std::sync::Arc;

use globset::{GlobSet, GlobSetBuilder};
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_ENCODING,
    CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, DATE, ETAG, EXPIRES, LAST_MODIFIED, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::globs::{self, Globs};
use super::header_rule::{HeaderRule, Name, Paths};
use super::pattern::Pattern;
use super::placeholder::placeholder_name;
use crate::error::Error;
use crate::http::{RequestPath, SourcePath, encode};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Fields that follow from the representation. No rule may contradict them.
pub(crate) const OWN: [HeaderName; 5] =
    [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, TRANSFER_ENCODING];

/// Fields that belong to the connection (RFC 9110 §7.6.1) or to the moment.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    DATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    UPGRADE,
];

/// Fields of the service that no rule replaces.
const KEPT: [HeaderName; 3] =
    [ACCEPT_RANGES, LAST_MODIFIED, HeaderName::from_static("cache-status")];

/// Fields about a file, which a response without it does not have.
const ABOUT_FILE: [HeaderName; 8] = [
    ACCEPT_RANGES,
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_LANGUAGE,
    CONTENT_LOCATION,
    CONTENT_TYPE,
    EXPIRES,
    LAST_MODIFIED,
];

/// Fields that a redirect or an error is made of.
const ABOUT_STATUS: [HeaderName; 4] = [ALLOW, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE];

/// Fields that the page of a 404 does not have, as it is no representation of the target.
const NOT_OF_PAGE: [HeaderName; 4] = [ACCEPT_RANGES, CACHE_CONTROL, EXPIRES, LAST_MODIFIED];

/// Metadata of the representation that a 304 leaves out (RFC 9110 §15.4.5).
const NOT_OF_304: [HeaderName; 3] = [CONTENT_DISPOSITION, CONTENT_LANGUAGE, CONTENT_TYPE];

/// The preset's `Strict-Transport-Security`. It binds this host only, for a year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'self'")),
    (STRICT_TRANSPORT_SECURITY, HSTS),
];

const ISOLATE: [(HeaderName, HeaderValue); 2] = [
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-embedder-policy"),
        HeaderValue::from_static("require-corp"),
    ),
];

/// The kind of a response, which decides what rules do to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseKind {
    /// 200 or 206.
    File,
    NotModified,
    /// 404 with the page for it.
    Page,
    /// Everything else.
    Other,
}

/// Header fields by path. A rule that is added later wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderRules {
    rules: Vec<Rule>,
    globs: GlobSet,
    /// The rule of each glob in the set.
    glob_rules: Vec<usize>,
    has_security: bool,
    pub(crate) immutable: bool,
    /// The paths that are immutable whatever their names.
    pub(crate) immutable_paths: Globs,
    pub(crate) default_cache_control: Option<HeaderValue>,
}

/// A checked rule.
#[derive(Clone, Debug)]
struct Rule {
    /// `None` for a rule whose glob is in the set.
    pattern: Option<Pattern>,
    set: Vec<(HeaderName, Vec<Template>)>,
    unset: Vec<HeaderName>,
    always: bool,
    security: bool,
    isolate: bool,
}

/// The value of a field, or one that is completed from the path.
#[derive(Clone, Debug)]
enum Template {
    Value(HeaderValue),
    Path(String),
}

/// The path of a request and that of the file that answers it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RulePaths<'a> {
    /// As the client wrote it, without the query.
    pub(crate) requested: Option<&'a str>,
    pub(crate) file: Option<&'a SourcePath>,
}

impl HeaderRules {
    /// Compiles all rules, in their order.
    ///
    /// The error names the paths of the rule, and the field.
    pub(crate) fn compile(&mut self, rules: Vec<HeaderRule>) -> Result<(), Error> {
        let mut globs = GlobSetBuilder::new();
        for (at, rule) in rules.into_iter().enumerate() {
            let pattern = match &rule.paths {
                Paths::Glob(glob) => {
                    for glob in globs::tree(glob)? {
                        globs.add(glob);
                        self.glob_rules.push(at);
                    }
                    None
                }
                Paths::Pattern(text) => Some(Pattern::parse(text)?),
            };
            self.rules.push(Rule::new(rule, pattern)?);
        }
        self.has_security = self.rules.iter().any(|rule| rule.security);
        self.globs = globs.build().map_err(|error| {
            Error::config("the globs of the header rules are too large").with_cause(error)
        })?;
        Ok(())
    }

    /// Collects the default fields for `path`, which `is_named_by_content` or not.
    pub(crate) fn defaults(&self, path: &SourcePath, is_named_by_content: bool) -> HeaderMap {
        let mut fields = HeaderMap::new();
        if let Some(value) = &self.default_cache_control {
            fields.insert(CACHE_CONTROL, value.clone());
        }
        let is_immutable = self.immutable && is_named_by_content;
        if is_immutable || self.immutable_paths.contains(path) {
            fields.insert(CACHE_CONTROL, IMMUTABLE);
        }
        fields
    }

    /// The media type that rules give to a file.
    pub(crate) fn content_type(&self, paths: RulePaths<'_>) -> Option<HeaderValue> {
        let mut fields = HeaderMap::new();
        self.apply(ResponseKind::File, paths, &mut fields);
        fields.remove(CONTENT_TYPE)
    }

    /// Applies the rules for `paths` to the fields of a response.
    pub(crate) fn apply(&self, kind: ResponseKind, paths: RulePaths<'_>, fields: &mut HeaderMap) {
        if self.rules.is_empty() {
            return;
        }
        let effects = self.effects(kind, paths);
        for name in effects.unset {
            if kind.may_unset(&name) {
                fields.remove(name);
            }
        }
        for name in effects.set.keys() {
            if !kind.may_have(name) || (kind.keeps(name) && fields.contains_key(name)) {
                continue;
            }
            fields.remove(name);
            for value in effects.set.get_all(name) {
                fields.append(name, value.clone());
            }
        }
        for value in effects.vary {
            fields.append(VARY, value);
        }
    }

    /// Removes from a response to a plain connection what a preset says over TLS only (RFC 6797 §7.2).
    pub(crate) fn keep_plain(&self, fields: &mut HeaderMap) {
        if self.has_security && fields.get(STRICT_TRANSPORT_SECURITY) == Some(&HSTS) {
            fields.remove(STRICT_TRANSPORT_SECURITY);
        }
    }

    fn effects(&self, kind: ResponseKind, paths: RulePaths<'_>) -> Effects {
        let paths = paths.texts();
        let mut effects = Effects::default();
        let (mut security, mut isolate) = (false, false);
        let by_path = paths.each_ref().map(|path| path.as_deref().map(|path| self.in_globs(path)));
        for (at, rule) in self.rules.iter().enumerate() {
            let matches = |which: usize| match (&rule.pattern, &paths[which], &by_path[which]) {
                (Some(pattern), Some(path), _) => pattern.matches(path),
                (None, _, Some(rules)) => rules.binary_search(&at).is_ok(),
                _ => false,
            };
            let applies = match kind {
                ResponseKind::Page => matches(FILE) || (rule.always && matches(REQUESTED)),
                ResponseKind::Other => rule.always && (matches(REQUESTED) || matches(FILE)),
                _ => matches(REQUESTED) || matches(FILE),
            };
            if applies {
                effects.add(rule, &paths);
                security |= rule.security;
                isolate |= rule.isolate;
            }
        }
        if security {
            effects.add_preset(&SECURITY);
        }
        if isolate {
            effects.add_preset(&ISOLATE);
        }
        effects
    }

    /// The rules whose globs match `path`, in their order.
    fn in_globs(&self, path: &str) -> Vec<usize> {
        let globs = self.globs.matches(path.trim_start_matches('/'));
        let mut rules: Vec<_> = globs.into_iter().map(|glob| self.glob_rules[glob]).collect();
        rules.sort_unstable();
        rules
    }
}

/// The places of both paths among [`RulePaths::texts`].
const REQUESTED: usize = 0;
const FILE: usize = 1;

impl HeaderRule {
    /// Checks the rule as [`Builder::build`](crate::Builder::build) does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) with the paths, the field and the reason.
    pub fn check(&self) -> Result<(), Error> {
        HeaderRules::default().compile(vec![self.clone()])
    }
}

impl<'a> RulePaths<'a> {
    /// The path of a request that no file answers.
    pub(crate) fn of(requested: &'a str) -> Self {
        Self { requested: Some(requested), file: None }
    }

    /// Both paths as patterns know them: decoded, with a slash in front and none at the end.
    fn texts(self) -> [Option<String>; 2] {
        let text = |path: &str| match path {
            "" => String::new(),
            path => format!("/{path}"),
        };
        let requested = self.requested.map(|raw| match RequestPath::parse(raw) {
            Ok(request) => text(&request.path.to_string_lossy()),
            // Such a path leads nowhere, and is matched as it stands.
            Err(_) => text(raw.trim_matches('/')),
        });
        let file = self.file.map(|path| text(&path.to_string_lossy()));
        [requested, file]
    }
}

/// The sum of the rules that match.
#[derive(Debug, Default)]
struct Effects {
    set: HeaderMap,
    vary: Vec<HeaderValue>,
    unset: Vec<HeaderName>,
}

impl Effects {
    fn add(&mut self, rule: &Rule, paths: &[Option<String>; 2]) {
        for name in &rule.unset {
            self.set.remove(name);
            self.unset.push(name.clone());
        }
        for (name, templates) in &rule.set {
            let values: Vec<_> =
                templates.iter().filter_map(|template| template.fill(rule, paths)).collect();
            if name == VARY {
                self.vary.extend(values);
                continue;
            }
            self.set.remove(name);
            for value in values {
                self.set.append(name, value);
            }
            self.unset.retain(|unset| unset != name);
        }
    }

    /// Adds the fields of a preset that no rule sets or unsets.
    fn add_preset(&mut self, preset: &[(HeaderName, HeaderValue)]) {
        for (name, value) in preset {
            if !self.set.contains_key(name) && !self.unset.contains(name) {
                self.set.insert(name, value.clone());
            }
        }
    }
}

impl ResponseKind {
    /// Whether rules may unset this field.
    fn may_unset(self, name: &HeaderName) -> bool {
        self.may_have(name) && !(self == Self::Other && ABOUT_STATUS.contains(name))
    }

    /// Whether the response's own field stays in place of that of a rule.
    fn keeps(self, name: &HeaderName) -> bool {
        KEPT.contains(name) || (self == Self::Other && ABOUT_STATUS.contains(name))
    }

    /// Whether rules may set this field.
    fn may_have(self, name: &HeaderName) -> bool {
        match self {
            Self::File => true,
            Self::NotModified => !NOT_OF_304.contains(name),
            Self::Page => !NOT_OF_PAGE.contains(name),
            Self::Other => !ABOUT_FILE.contains(name),
        }
    }
}

impl Rule {
    fn new(rule: HeaderRule, pattern: Option<Pattern>) -> Result<Self, Error> {
        let HeaderRule { paths, set, unset, always, security, isolate } = rule;
        let paths = &paths;
        let checked = |name: Name| {
            let name = name.map_err(|error| bad_field(paths, error))?;
            match reason_against(&name) {
                Some(why) => Err(Error::config(format!("\"{name}\" for \"{paths}\": {why}"))),
                None => Ok(name),
            }
        };
        let mut lines: Vec<(HeaderName, Vec<HeaderValue>)> = Vec::new();
        for (name, value) in set {
            let name = checked(name)?;
            let value = value.map_err(|error| bad_field(paths, error))?;
            match lines.iter_mut().find(|(other, _)| *other == name) {
                Some((_, values)) if name == SET_COOKIE => values.push(value),
                Some((_, values)) => {
                    let joined = values.iter().chain([&value]).map(HeaderValue::as_bytes);
                    let joined = joined.collect::<Vec<_>>().join(&b", "[..]);
                    let joined = HeaderValue::from_maybe_shared(joined);
                    *values =
                        vec![joined.map_err(|error| bad_field(paths, Arc::new(error.into())))?];
                }
                None => lines.push((name, vec![value])),
            }
        }
        let unset = unset.into_iter().map(|name| match checked(name)? {
            name if name == VARY => Err(Error::config(format!(
                "\"vary\" for \"{paths}\" may be added to and not be unset, as caches need it"
            ))),
            name => Ok(name),
        });
        let unset = unset.collect::<Result<_, _>>()?;
        let names: Vec<_> = pattern.iter().flat_map(Pattern::names).collect();
        let template = |value| Template::new(value, &names);
        let set = lines
            .into_iter()
            .map(|(name, values)| (name, values.into_iter().map(template).collect()));
        let set = set.collect();
        let always = always || security || isolate;
        Ok(Self { pattern, set, unset, always, security, isolate })
    }
}

/// The reason why no rule may name a field.
fn reason_against(name: &HeaderName) -> Option<&'static str> {
    if OWN.contains(name) {
        return Some(
            "it follows from the bytes that are sent, so the service says it; leave it out",
        );
    }
    HOP_BY_HOP.contains(name).then_some("it belongs to each single response; leave it out")
}

fn bad_field(paths: &Paths, error: Arc<http::Error>) -> Error {
    Error::config(format!("the field for \"{paths}\" is malformed")).with_cause(error)
}

impl Template {
    /// Parses a value, in which `names` are placeholders.
    fn new(value: HeaderValue, names: &[&str]) -> Self {
        let has_placeholder = |text: &str| {
            placeholders(text).any(|(_, name)| name.is_some_and(|n| names.contains(&n)))
        };
        match value.to_str() {
            Ok(text) if has_placeholder(text) => Self::Path(text.to_owned()),
            _ => Self::Value(value),
        }
    }

    /// Returns the value for the first of `paths` that matches.
    fn fill(&self, rule: &Rule, paths: &[Option<String>; 2]) -> Option<HeaderValue> {
        let text = match self {
            Self::Value(value) => return Some(value.clone()),
            Self::Path(text) => text,
        };
        let pattern = rule.pattern.as_ref()?;
        let captures = paths.iter().flatten().find_map(|path| pattern.captures(path))?;
        let mut filled = String::with_capacity(text.len());
        for (literal, name) in placeholders(text) {
            filled.push_str(literal);
            let Some(name) = name else { continue };
            match captures.iter().find(|(captured, _)| *captured == name) {
                Some((_, text)) => encode(text, b"/:@", &mut filled),
                None => filled.extend([":", name]),
            }
        }
        HeaderValue::try_from(filled).ok()
    }
}

/// Splits a text into literal texts, each but the last followed by the name behind a colon.
fn placeholders(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let found = text
            .match_indices(':')
            .find_map(|(at, _)| Some((&text[..at], placeholder_name(&text[at + 1..])?)));
        match found {
            Some((before, (name, after))) => {
                rest = Some(after);
                Some((before, Some(name)))
            }
            None => {
                rest = None;
                Some((text, None))
            }
        }
    })
}

#[cfg(test)]
mod tests;
