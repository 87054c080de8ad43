//! The parser of `_headers` files.
//!
//! A line that begins with a slash has the paths of a rule. The lines that follow set its fields:
//!
//! ```text
//! # A comment
//! /assets/*
//!   Cache-Control: public, max-age=31536000
//!   ! X-Frame-Options
//! ```
//!
//! The format is that of <https://docs.netlify.com/manage/routing/headers/> with the additions of
//! <https://developers.cloudflare.com/pages/configuration/headers/>.

use std::mem;

use cachecompress::HeaderRule;

use super::skipped::Skipped;

/// The rules of a `_headers` file, in their order, and the lines that are not in force.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) rules: Vec<HeaderRule>,
    pub(crate) skipped: Vec<Skipped>,
}

/// Parses a `_headers` file.
pub(crate) fn parse(text: &str) -> Parsed {
    let mut parser = Parser::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            parser.read(at + 1, line);
        }
    }
    parser.end_rule();
    parser.parsed.skipped.sort_by_key(|skipped| skipped.line);
    parser.parsed
}

#[derive(Debug, Default)]
struct Parser<'a> {
    parsed: Parsed,
    rule: Open<'a>,
}

/// The rule to which a field belongs.
#[derive(Debug, Default)]
enum Open<'a> {
    #[default]
    None,
    /// The rule of the paths in this line, and whether any field was skipped.
    Rule { line: usize, paths: &'a str, changes: Vec<Change<'a>>, skipped: bool },
    /// A rule that is skipped, which the line of its paths tells.
    Skipped,
}

impl<'a> Parser<'a> {
    fn skip(&mut self, line: usize, why: impl Into<String>) {
        self.parsed.skipped.push(Skipped { line, why: why.into() });
    }

    fn read(&mut self, line: usize, text: &'a str) {
        if text.starts_with('/') {
            self.end_rule();
            self.rule = match HeaderRule::for_pattern(text).check() {
                Ok(()) => Open::Rule { line, paths: text, changes: Vec::new(), skipped: false },
                Err(error) => {
                    self.skip(line, error.to_string());
                    Open::Skipped
                }
            };
        } else if is_url(text) {
            self.end_rule();
            self.rule = Open::Skipped;
            self.skip(line, format!("the rules of one host ({text}) are not supported"));
        } else {
            self.add_field(line, text);
        }
    }

    fn add_field(&mut self, line: usize, text: &'a str) {
        match &mut self.rule {
            Open::None => self.skip(line, format!("no paths, such as /*, stand before {text}")),
            Open::Skipped => {}
            Open::Rule { paths, changes, skipped, .. } => match Change::parse(paths, text) {
                Ok(change) => changes.push(change),
                Err(why) => {
                    *skipped = true;
                    self.skip(line, why);
                }
            },
        }
    }

    fn end_rule(&mut self) {
        let Open::Rule { line, paths, changes, skipped } = mem::take(&mut self.rule) else {
            return;
        };
        if !changes.is_empty() {
            let rule = HeaderRule::for_pattern(paths);
            let rule = changes.iter().fold(rule, |rule, change| change.add_to(rule));
            self.parsed.rules.push(rule);
        } else if !skipped {
            self.skip(line, format!("no field follows the paths {paths}"));
        }
    }
}

/// The change of a field by a line.
#[derive(Debug, PartialEq, Eq)]
enum Change<'a> {
    Set(&'a str, &'a str),
    Unset(&'a str),
}

impl<'a> Change<'a> {
    /// Parses a line, and checks it by a rule that has nothing else.
    fn parse(paths: &str, text: &'a str) -> Result<Self, String> {
        let change = Self::parse_unchecked(text)?;
        let rule = change.add_to(HeaderRule::for_pattern(paths));
        rule.check().map_err(|error| error.to_string())?;
        Ok(change)
    }

    fn parse_unchecked(text: &'a str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix('!') {
            return Ok(Self::Unset(name.trim()));
        }
        let Some((name, value)) = text.split_once(':') else {
            return Err(format!("{text} is no field, which is `Name: value`"));
        };
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("basic-auth") {
            return Err(
                "Basic-Auth is a service of Netlify, so that nothing protects these paths here; \
                        use --basic-auth FILE"
                    .to_owned(),
            );
        }
        match value {
            "" => Err(format!("the field {name} has no value; `! {name}` removes it")),
            value => Ok(Self::Set(name, value)),
        }
    }

    fn add_to(&self, rule: HeaderRule) -> HeaderRule {
        match *self {
            Self::Set(name, value) => rule.set(name, value),
            Self::Unset(name) => rule.unset(name),
        }
    }
}

/// Whether `text` begins with a scheme and `://`.
fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests;
