//! The file `_redirects`, in the dialects of Netlify and of Cloudflare Pages.

use std::collections::HashSet;

use cachecompress::Redirect;

use super::skipped::Skipped;
use crate::limits::{CLOUDFLARE_DYNAMIC_RULES, CLOUDFLARE_LINE_BYTES, CLOUDFLARE_STATIC_RULES};
use crate::tables::Dialect;

/// The name of the file in messages.
pub(crate) const NAME: &str = "_redirects";

/// The rules of a `_redirects` file, in their order, and the lines that are none.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) rules: Vec<Redirect>,
    /// The lines that mean something to the service that the file was written for, and nothing here.
    pub(crate) skipped: Vec<Skipped>,
    /// The lines that mean nothing, or that no rule can be made of.
    pub(crate) errors: Vec<Skipped>,
}

/// The reason why a line makes no rule.
enum Refusal {
    /// The line is for something that is not done here.
    Skipped(String),
    Wrong(String),
}

/// Parses the text of a `_redirects`.
///
/// Each line is `from [name=value …] to [status[!]] [Condition=value …]`, of which Cloudflare has `from
/// to [status]`. A `#` begins a comment. Every rule has its line as its place.
pub(crate) fn parse(text: &str, dialect: Dialect) -> Parsed {
    let mut parsed = Parsed::default();
    let mut cloudflare = CloudflareFile::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (at, line) in text.split('\n').enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let rule = match dialect {
            Dialect::Netlify => netlify_rule(line),
            Dialect::Cloudflare => cloudflare.rule(line),
        };
        let checked = rule.and_then(|rule| match rule.check() {
            Ok(()) => Ok(rule),
            Err(error) => Err(Refusal::Wrong(error.to_string())),
        });
        let note = |why| Skipped { line: at + 1, why };
        match checked {
            Ok(rule) => parsed.rules.push(rule.place(format!("{NAME}:{}", at + 1))),
            Err(Refusal::Skipped(reason)) => parsed.skipped.push(note(reason)),
            Err(Refusal::Wrong(reason)) => parsed.errors.push(note(reason)),
        }
    }
    parsed
}

fn netlify_rule(line: &str) -> Result<Redirect, Refusal> {
    let words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
    let words: Vec<_> = words.collect();
    let Some((from, rest)) = words.split_first() else {
        return Err(Refusal::Wrong("there is no rule before the comment".into()));
    };
    let (query, to, rest) = match rest.iter().position(|word| is_target(word)) {
        Some(at) if rest.first().is_none_or(|word| status(word).is_none()) => {
            (&rest[..at], rest[at].to_owned(), &rest[at + 1..])
        }
        _ => (&rest[..0], forward_target(from, rest)?, rest),
    };
    let (mut code, mut force, mut conditions) = (301, false, rest);
    if let [word, behind @ ..] = rest
        && !word.contains('=')
    {
        (code, force) = status(word).ok_or_else(|| {
            Refusal::Wrong(format!("\"{word}\" is no status, such as 301 or 302!"))
        })?;
        conditions = behind;
    }
    check_conditions(conditions)?;
    check_support(from, &to, code)?;
    let rule = Redirect::new(*from, to).status(code).force(force);
    query.iter().try_fold(rule, |rule, parameter| match parameter.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(rule.query(name, value)),
        _ => {
            let message = format!(
                "\"{parameter}\" is neither a target, with `/`, `http://` or `https://` before it, nor \
                 a parameter name=value"
            );
            Err(Refusal::Wrong(message))
        }
    })
}

/// The target of a rule without one: `/a/* 200` leads to the same path.
fn forward_target(from: &str, rest: &[&str]) -> Result<String, Refusal> {
    let is_rewrite =
        rest.first().and_then(|word| status(word)).is_some_and(|(code, _)| code == 200);
    match from.strip_suffix("/*") {
        Some(path) if is_rewrite => Ok(format!("{path}/:splat")),
        _ => {
            let message = format!(
                "there is no target behind \"{from}\"; it begins with `/`, `http://` or `https://`"
            );
            Err(Refusal::Wrong(message))
        }
    }
}

fn check_conditions(conditions: &[&str]) -> Result<(), Refusal> {
    let kinds: Vec<_> = conditions.iter().map(|word| kind_of(word)).collect::<Result<_, _>>()?;
    match (conditions, &*kinds) {
        ([condition, ..], [kind, ..]) => {
            Err(Refusal::Skipped(format!("\"{condition}\": {kind} are not supported")))
        }
        _ => Ok(()),
    }
}

fn kind_of(condition: &str) -> Result<&'static str, Refusal> {
    let Some((name, _)) = condition.split_once('=') else {
        let message = format!("\"{condition}\" is no condition, such as Language=en");
        return Err(Refusal::Wrong(message));
    };
    match &*name.to_ascii_lowercase() {
        "country" => Ok("countries"),
        "language" => Ok("languages"),
        "cookie" => Ok("cookies"),
        "role" => Ok("roles"),
        "sign" | "signed" => Ok("signatures"),
        _ => {
            let known = "Country, Language, Cookie and Role";
            Err(Refusal::Wrong(format!("\"{name}\" is no condition; there are {known}")))
        }
    }
}

fn check_support(from: &str, to: &str, code: u16) -> Result<(), Refusal> {
    if is_url(from) {
        let message = format!("\"{from}\": a rule for one host is not supported; use [[sites]]");
        return Err(Refusal::Skipped(message));
    }
    if let Some(own) = [from, to].into_iter().find(|path| path.starts_with("/.netlify/")) {
        return Err(Refusal::Skipped(format!("\"{own}\" is Netlify's own")));
    }
    if is_url(to) && !(300..400).contains(&code) {
        return Err(Refusal::Skipped(format!("\"{to}\": proxies are not supported")));
    }
    Ok(())
}

/// The lines of Cloudflare that count so far.
#[derive(Default)]
struct CloudflareFile {
    sources: HashSet<String>,
    static_rules: usize,
    dynamic_rules: usize,
}

impl CloudflareFile {
    fn rule(&mut self, line: &str) -> Result<Redirect, Refusal> {
        if line.len() > CLOUDFLARE_LINE_BYTES {
            let message = format!("Cloudflare ignores lines over {CLOUDFLARE_LINE_BYTES} bytes");
            return Err(Refusal::Skipped(message));
        }
        let words = line.split_whitespace().enumerate();
        let words = words.take_while(|(at, word)| *at < 2 || !word.starts_with('#'));
        let words: Vec<_> = words.map(|(_, word)| word).collect();
        let (from, to, code) = match *words {
            [from, to] => (from, to, "302"),
            [from, to, code] => (from, to, code),
            _ if words.iter().skip(1).any(|word| word.contains('=')) => {
                let message = "Cloudflare has neither parameters nor conditions";
                return Err(Refusal::Skipped(message.into()));
            }
            _ => {
                let count = words.len();
                let message = format!("a rule is `from to [status]`, and there are {count} words");
                return Err(Refusal::Wrong(message));
            }
        };
        if is_url(from) {
            return Err(Refusal::Skipped(format!("\"{from}\": Cloudflare takes paths only")));
        }
        let from = source(from)?;
        self.count(&from)?;
        let code = match code {
            "200" | "301" | "302" | "303" | "307" | "308" => code.parse().unwrap_or(302),
            _ => {
                let known = "200, 301, 302, 303, 307 and 308";
                let message = format!("\"{code}\": Cloudflare knows {known}");
                return Err(Refusal::Skipped(message));
            }
        };
        check_cloudflare_target(&from, to, code)?;
        if !self.sources.insert(from.clone()) {
            let message = format!("Cloudflare ignores a second rule for \"{from}\"");
            return Err(Refusal::Skipped(message));
        }
        let from = exact_names(&from)?;
        Ok(Redirect::new(from, to).status(code).force(true).exact_slash(true))
    }

    /// Counts a rule with this source. Behind the first one with a placeholder all count as such.
    fn count(&mut self, from: &str) -> Result<(), Refusal> {
        let has_placeholder = from.contains('*') || next_name(from).is_some();
        let (count, most, kind) = match has_placeholder || self.dynamic_rules > 0 {
            true => (&mut self.dynamic_rules, CLOUDFLARE_DYNAMIC_RULES, "with placeholders"),
            false => (&mut self.static_rules, CLOUDFLARE_STATIC_RULES, "without placeholders"),
        };
        *count += 1;
        match *count > most {
            true => Err(Refusal::Skipped(format!("Cloudflare takes {most} rules {kind}"))),
            false => Ok(()),
        }
    }
}

/// The path of a source. Cloudflare ignores a query and a fragment, and adds a slash.
fn source(from: &str) -> Result<String, Refusal> {
    let path = from.split(['?', '#']).next().unwrap_or_default();
    if path.matches('*').count() > 1 {
        return Err(Refusal::Skipped("Cloudflare takes one `*` in a rule".into()));
    }
    Ok(match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    })
}

fn check_cloudflare_target(from: &str, to: &str, code: u16) -> Result<(), Refusal> {
    if code == 200 && is_url(to) {
        return Err(Refusal::Skipped(format!("\"{to}\": proxies are not supported")));
    }
    if to.starts_with("http://") {
        return Err(Refusal::Skipped(format!("\"{to}\": Cloudflare leads to https only")));
    }
    let leads_to_index = ["/index", "/index.html"].iter().any(|index| to.ends_with(index));
    if to.starts_with('/') && leads_to_index && (from.ends_with("/*") || from.ends_with('/')) {
        let message = "Cloudflare ignores a rule from all paths, or from a directory, to its index; \
                       --spa serves the index for pages that are missing";
        return Err(Refusal::Skipped(message.into()));
    }
    Ok(())
}

/// Writes a source so that its placeholders have Cloudflare's names, which end before a hyphen.
fn exact_names(from: &str) -> Result<String, Refusal> {
    let (mut exact, mut rest) = (String::new(), from);
    while let Some((before, name, behind)) = next_name(rest) {
        if before.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            let message = format!("`:{name}` right behind a letter or a digit is not supported");
            return Err(Refusal::Skipped(message));
        }
        exact.extend([before, ":", name]);
        rest = behind;
        if let Some(behind) = rest.strip_prefix('-') {
            exact.push_str("%2D");
            rest = behind;
        }
    }
    exact.push_str(rest);
    Ok(exact)
}

/// Finds the first placeholder of Cloudflare's: the text before it, its name, and the text behind it.
fn next_name(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices(':').find_map(|(at, _)| {
        let behind = &text[at + 1..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = behind.find(|c| !is_part(c)).unwrap_or(behind.len());
        let is_name = behind.starts_with(|c: char| c.is_ascii_alphabetic());
        is_name.then(|| (&text[..at], &behind[..end], &behind[end..]))
    })
}

/// Reads a status, with an exclamation mark behind it if the rule is forced.
fn status(word: &str) -> Option<(u16, bool)> {
    let digits = word.strip_suffix('!').unwrap_or(word);
    let is_number = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok().map(|code| (code, digits.len() < word.len())))?
}

fn is_target(word: &str) -> bool {
    word.starts_with('/') || is_url(word)
}

fn is_url(word: &str) -> bool {
    word.starts_with("http://") || word.starts_with("https://")
}

#[cfg(test)]
mod tests;
