//! The totals of test runs, counted from their output.

use std::fmt;

/// The sum of the `test result:` lines of any number of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Totals {
    /// Adds the counts in one line of a test run's output, if it has any.
    ///
    /// Ignored tests count as skipped. So does every line that begins with `SKIPPED`, which a test
    /// prints when it lacks a tool (see `cachecompress_test::tools::require`).
    pub(crate) fn read_line(&mut self, line: &str) {
        let line = plain(line);
        if line.starts_with("SKIPPED") {
            self.skipped += 1;
        }
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        self.passed += count(counts, "passed");
        self.failed += count(counts, "failed");
        self.skipped += count(counts, "ignored");
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// The number that stands before `word`.
fn count(text: &str, word: &str) -> u64 {
    let mut before = "";
    for token in text.split([' ', ';', '.']).filter(|token| !token.is_empty()) {
        if token == word {
            return before.parse().unwrap_or(0);
        }
        before = token;
    }
    0
}

/// `line` without its terminal colours.
fn plain(line: &str) -> String {
    let mut pieces = line.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Totals {
        let mut totals = Totals::default();
        for line in lines {
            totals.read_line(line);
        }
        totals
    }

    #[test]
    fn totals_sum_every_result_line() {
        let totals = read(&[
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.2s",
        ]);
        assert_eq!(totals, Totals { passed: 13, failed: 2, skipped: 1 });
    }

    #[test]
    fn totals_ignore_colours() {
        let line = "test result: \u{1b}[32mok\u{1b}[0m. 7 passed; 0 failed; 0 ignored; 0 measured";
        assert_eq!(read(&[line]), Totals { passed: 7, failed: 0, skipped: 0 });
    }

    #[test]
    fn totals_count_tests_that_lack_a_tool() {
        let totals =
            read(&["SKIPPED tests/it/plain_http/redbot.rs: needs redbot", "    SKIPPED is a word"]);
        assert_eq!(totals.skipped, 1);
    }

    #[test]
    fn display_names_skipped_tests_only_if_any() {
        assert_eq!(Totals { passed: 2, failed: 0, skipped: 0 }.to_string(), "2 passed, 0 failed");
        let some = Totals { passed: 2, failed: 1, skipped: 3 };
        assert_eq!(some.to_string(), "2 passed, 1 failed, 3 skipped");
    }
}
