//! The lines that make no rule.

/// A line of a rules file that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// The number of the line, from 1.
    pub(crate) line: usize,
    /// The reason, a clause.
    pub(crate) why: String,
}

impl Skipped {
    /// Makes a sentence with the line's place in the file `name`.
    pub(crate) fn in_file(&self, name: &str, kind: &str) -> String {
        format!("{name}:{}: {kind}{}", self.line, self.why)
    }
}
