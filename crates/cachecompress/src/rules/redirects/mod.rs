//! Redirects and rewrites by path.

mod capture;
mod pattern;
mod rings;
mod rule;
mod target;

pub use rule::Redirect;
pub(crate) use rule::RuleAnswer;

use std::collections::HashMap;

use crate::error::Error;
use crate::http::PathSegments;
use rule::Rule;

impl Redirect {
    /// Finds redirects of one path each that lead in a ring, by their indices in `rules`.
    ///
    /// - They are in the order in which they lead to each other, from the first in `rules` on.
    /// - `None` if there is no ring, or if a rule is wrong by itself, as [`check`](Self::check) tells.
    ///
    /// ```
    /// use cachecompress::Redirect;
    ///
    /// let rules = [("/a", "/b"), ("/x", "/a"), ("/b", "/a")];
    /// let rules = rules.map(|(from, to)| Redirect::new(from, to));
    /// assert_eq!(Redirect::find_ring(&rules), Some(vec![0, 2]));
    /// ```
    #[must_use]
    pub fn find_ring(rules: &[Self]) -> Option<Vec<usize>> {
        Redirects::compile(rules).ok()?.find_ring()
    }
}

/// The first rule that matches a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleMatch {
    pub(crate) answer: RuleAnswer,
    /// Whether the answer goes before files.
    pub(crate) force: bool,
}

/// The rules of a site in their order. Those for one path are found by it, the others one by one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redirects {
    rules: Vec<Rule>,
    /// The indices of the rules for one path.
    literals: HashMap<Vec<u8>, Vec<usize>>,
    /// The indices of the other rules, in order.
    patterns: Vec<usize>,
    has_forced: bool,
    has_query: bool,
}

impl Redirects {
    /// Compiles `rules`.
    ///
    /// # Errors
    ///
    /// If one of them is wrong by itself, or rules for one path lead in a ring.
    pub(crate) fn new(rules: &[Redirect]) -> Result<Self, Error> {
        let redirects = Self::compile(rules)?;
        match redirects.find_ring() {
            Some(ring) => {
                let names: Vec<_> =
                    ring.iter().map(|index| redirects.rules[*index].name.as_str()).collect();
                Err(Error::config(format!("redirects lead in a ring: {}", names.join("; "))))
            }
            None => Ok(redirects),
        }
    }

    fn compile(rules: &[Redirect]) -> Result<Self, Error> {
        let mut redirects = Self::default();
        for rule in rules {
            let rule = Rule::compile(rule)?;
            let index = redirects.rules.len();
            match rule.pattern.literal() {
                Some(key) => redirects.literals.entry(key).or_default().push(index),
                None => redirects.patterns.push(index),
            }
            redirects.has_forced |= rule.force;
            redirects.has_query |= rule.pattern.has_query();
            redirects.rules.push(rule);
        }
        Ok(redirects)
    }

    fn find_ring(&self) -> Option<Vec<usize>> {
        let next: Vec<_> = self.rules.iter().map(|rule| self.next(rule)).collect();
        rings::find_ring(&next)
    }

    /// The redirect of one path to which a redirect of one path leads.
    fn next(&self, rule: &Rule) -> Option<usize> {
        let target = rule.literal_target()?;
        let (index, found) = self.find_rule(&target.path, target.query.as_deref())?;
        let is_redirect = matches!(found.answer, RuleAnswer::Redirect { .. });
        (is_redirect && self.rules[index].pattern.literal().is_some()).then_some(index)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule may go before files.
    pub(crate) fn has_forced(&self) -> bool {
        self.has_forced
    }

    /// Finds the first rule that matches a request.
    pub(crate) fn find(&self, path: &PathSegments, query: Option<&str>) -> Option<RuleMatch> {
        self.find_rule(path, query).map(|(_, found)| found)
    }

    /// Whether the answer for `path` may depend on the query.
    pub(crate) fn depends_on_query(&self, path: &PathSegments) -> bool {
        self.has_query
            && self.candidates(path).any(|index| {
                let pattern = &self.rules[index].pattern;
                pattern.has_query() && pattern.matches_path(path)
            })
    }

    /// Finds the first rule that matches a request, with its index.
    fn find_rule(&self, path: &PathSegments, query: Option<&str>) -> Option<(usize, RuleMatch)> {
        self.candidates(path).find_map(|index| {
            let rule = &self.rules[index];
            let answer = rule.answer(path, query)?;
            Some((index, RuleMatch { answer, force: rule.force }))
        })
    }

    /// The indices of the rules that may match `path`, in order.
    fn candidates(&self, path: &PathSegments) -> impl Iterator<Item = usize> {
        let key = || {
            let segments = path.segments.iter().map(|segment| &*segment.decoded);
            segments.collect::<Vec<_>>().join(&0)
        };
        let literals = match self.literals.is_empty() {
            true => None,
            false => self.literals.get(&key()),
        };
        let mut literals = literals.into_iter().flatten().copied().peekable();
        let mut patterns = self.patterns.iter().copied().peekable();
        std::iter::from_fn(move || match (literals.peek(), patterns.peek()) {
            (Some(literal), Some(pattern)) if pattern < literal => patterns.next(),
            (Some(_), _) => literals.next(),
            (None, _) => patterns.next(),
        })
    }
}

#[cfg(test)]
mod tests;
