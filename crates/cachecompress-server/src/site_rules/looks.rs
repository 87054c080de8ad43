//! The looks at the files of rules of a site.

use super::files::RuleFiles;

/// The memory of the looks at the files of one site.
#[derive(Debug)]
pub(crate) struct Looks {
    in_force: RuleFiles,
    last: Result<RuleFiles, String>,
    refused: Option<Result<RuleFiles, String>>,
}

impl Looks {
    /// Starts with the files that are in force.
    pub(crate) fn new(in_force: RuleFiles) -> Self {
        Self { last: Ok(in_force.clone()), in_force, refused: None }
    }

    /// Takes a look; `true` if it shows what is not in force and has not been refused.
    ///
    /// Two looks must show the same, because an editor may not have written all of a file at the first.
    pub(crate) fn look(&mut self, now: &Result<RuleFiles, String>) -> bool {
        let is_settled = self.last == *now;
        self.last.clone_from(now);
        if now.as_ref() == Ok(&self.in_force) {
            self.refused = None;
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
        let mut looks = Looks::new(files("old").unwrap());
        assert!(!looks.look(&files("old")));
        assert!(!looks.look(&files("ne")), "half written");
        assert!(!looks.look(&files("new")));
        assert!(looks.look(&files("new")));
        looks.refuse(files("new"));
        assert!(!looks.look(&files("new")), "it was refused");
        assert!(!looks.look(&Err("gone".into())));
        assert!(looks.look(&Err("gone".into())));
        assert!(!looks.look(&files("old")), "it is in force");
        assert!(!looks.look(&files("new")));
        assert!(looks.look(&files("new")), "it is told again after a return");
    }
}
