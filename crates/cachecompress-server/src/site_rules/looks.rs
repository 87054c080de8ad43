//! The looks at the files of rules of a site.

use std::time::Instant;

use super::files::RuleFiles;
use crate::limits::SITE_RULES_GRACE;

/// The memory of the looks at the files of one site.
#[derive(Debug)]
pub(crate) struct Looks {
    in_force: RuleFiles,
    last: Result<RuleFiles, String>,
    refused: Option<Result<RuleFiles, String>>,
    /// The first look since which a file that is in force has been missing.
    missing_since: Option<Instant>,
}

impl Looks {
    /// Starts with the files that are in force.
    pub(crate) fn new(in_force: RuleFiles) -> Self {
        Self { last: Ok(in_force.clone()), in_force, refused: None, missing_since: None }
    }

    /// Takes a look; `true` if it shows what is not in force and has not been refused.
    ///
    /// Two looks must show the same, because an editor may not have written all of a file at the first.
    /// A missing file counts only after [`SITE_RULES_GRACE`].
    pub(crate) fn look(&mut self, now: &Result<RuleFiles, String>, at: Instant) -> bool {
        let is_settled = self.last == *now;
        self.last.clone_from(now);
        if now.as_ref() == Ok(&self.in_force) {
            self.refused = None;
            self.missing_since = None;
            return false;
        }
        if !now.as_ref().is_ok_and(|now| now.lack_one_of(&self.in_force)) {
            self.missing_since = None;
        } else if self.missing_since.is_none() {
            tracing::warn!(
                "_headers or _redirects has disappeared; the rules of before stay in force for {} s",
                SITE_RULES_GRACE.as_secs()
            );
            self.missing_since = Some(at);
        }
        let is_awaited = |since| at.saturating_duration_since(since) < SITE_RULES_GRACE;
        if self.missing_since.is_some_and(is_awaited) {
            return false;
        }
        is_settled && self.refused.as_ref() != Some(now)
    }

    /// Remembers that what was seen is wrong.
    pub(crate) fn refuse(&mut self, wrong: Result<RuleFiles, String>) {
        self.refused = Some(wrong);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(redirects: &str) -> Result<RuleFiles, String> {
        Ok(RuleFiles { headers: None, redirects: Some(redirects.to_owned()) })
    }

    #[test]
    fn change_counts_when_two_looks_show_it_and_until_it_is_refused() {
        let at = Instant::now();
        let mut looks = Looks::new(files("old").unwrap());
        assert!(!looks.look(&files("old"), at));
        assert!(!looks.look(&files("ne"), at), "half written");
        assert!(!looks.look(&files("new"), at));
        assert!(looks.look(&files("new"), at));
        looks.refuse(files("new"));
        assert!(!looks.look(&files("new"), at), "it was refused");
        assert!(!looks.look(&Err("gone".into()), at));
        assert!(looks.look(&Err("gone".into()), at));
        assert!(!looks.look(&files("old"), at), "it is in force");
        assert!(!looks.look(&files("new"), at));
        assert!(looks.look(&files("new"), at), "it is told again after a return");
    }

    #[test]
    fn missing_file_counts_when_the_time_for_a_build_is_over() {
        let at = Instant::now();
        let end = at + SITE_RULES_GRACE;
        let gone = Ok(RuleFiles::default());
        let mut looks = Looks::new(files("old").unwrap());
        assert!(!looks.look(&gone, at));
        assert!(!looks.look(&gone, at), "settled, but a build may run");
        assert!(!looks.look(&files("old"), end), "it is back");
        assert!(!looks.look(&gone, end));
        assert!(!looks.look(&gone, end), "the time begins anew");
        assert!(looks.look(&gone, end + SITE_RULES_GRACE));
    }

    #[test]
    fn new_file_counts_at_once_after_the_old_one_was_missing() {
        let at = Instant::now();
        let mut looks = Looks::new(files("old").unwrap());
        assert!(!looks.look(&Ok(RuleFiles::default()), at));
        assert!(!looks.look(&files("new"), at));
        assert!(looks.look(&files("new"), at));
    }
}
