//! `cargo xtask prose`: lists sentences that deserve a second look.
//!
//! It reads the comments of Rust sources and the project's pages. It reports a clause in the place
//! of the subject ("What was read is kept"), and every sentence of more than [`LONG`] words. The
//! reports are places to look at, no errors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::workspace;

/// A sentence with more words is reported.
const LONG: usize = 30;
/// The words of a report's quotation.
const QUOTED: usize = 8;
/// Openings of a clause in the place of the subject, in lower case.
const CLAUSES: [&[&str]; 13] = [
    &["what"],
    &["whatever"],
    &["that"],
    &["who"],
    &["whoever"],
    &["whose"],
    &["whom"],
    &["where", "a"],
    &["where", "an"],
    &["those", "who"],
    &["those", "that"],
    &["all", "that"],
    &["all", "who"],
];
/// Words whose full stop ends no sentence.
const ABBREVIATIONS: [&str; 4] = ["e.g.", "i.e.", "cf.", "vs."];
/// The pages beside those of `docs/`.
const PAGES: [&str; 4] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
/// The directories with Rust sources.
const SOURCES: [&str; 5] = ["crates", "bench", "examples", "fuzz/fuzz_targets", "xtask"];

/// Prints the reports of all files, and their counts.
pub(crate) fn run() -> ExitCode {
    let root = workspace::root();
    let pages = PAGES.iter().map(|page| root.join(page));
    let docs = workspace::files_under(&root.join("docs"), "md");
    let sources = SOURCES.iter().flat_map(|dir| workspace::files_under(&root.join(dir), "rs"));
    let mut files: Vec<PathBuf> = pages.chain(docs).chain(sources).collect();
    files.sort();
    let (mut clauses, mut long) = (0, 0);
    for path in &files {
        let text = fs::read_to_string(path).unwrap_or_default();
        for Report { line, fault, quotation } in reports(path, &text) {
            let name = path.strip_prefix(root).unwrap_or(path).display();
            let words = match fault {
                Fault::Clause => "clause as subject".to_owned(),
                Fault::Long(words) => format!("{words} words"),
            };
            println!("{name}:{line}: {words}: {quotation}");
            *(if fault == Fault::Clause { &mut clauses } else { &mut long }) += 1;
        }
    }
    println!(
        "{clauses} clauses as subjects, {long} sentences over {LONG} words, in {} files",
        files.len()
    );
    ExitCode::SUCCESS
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Clause,
    /// The count of its words.
    Long(usize),
}

#[derive(Debug, PartialEq, Eq)]
struct Report {
    line: usize,
    fault: Fault,
    quotation: String,
}

/// A word and the number of its line.
type Word<'a> = (usize, &'a str);

/// The reports of one file.
fn reports(path: &Path, text: &str) -> Vec<Report> {
    let is_source = path.extension().is_some_and(|extension| extension == "rs");
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let paragraphs = if is_source {
        paragraphs(lines.map(|(number, line)| (number, comment(line))))
    } else {
        paragraphs(lines.map(|(number, line)| (number, Some((Kind::Doc, line)))))
    };
    paragraphs.iter().flat_map(|words| sentences(words)).flat_map(reports_of_sentence).collect()
}

/// The kinds of comments; a comment of one kind does not continue one of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Markdown: a doc comment or a page.
    Doc,
    Line,
}

/// The text of a comment that fills its line.
fn comment(line: &str) -> Option<(Kind, &str)> {
    let line = line.trim_start();
    let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
    let text = doc.map(|text| (Kind::Doc, text));
    // The space before the text belongs to the marker.
    text.or_else(|| Some((Kind::Line, line.strip_prefix("//")?)))
        .map(|(kind, text)| (kind, text.strip_prefix(' ').unwrap_or(text)))
}

/// The paragraphs, list items and table cells of Markdown lines; `None` is a line of code.
fn paragraphs<'a>(
    lines: impl Iterator<Item = (usize, Option<(Kind, &'a str)>)>,
) -> Vec<Vec<Word<'a>>> {
    let mut found: Vec<Vec<Word<'a>>> = Vec::new();
    let mut open = None;
    let mut fenced = false;
    for (number, line) in lines {
        let Some((kind, line)) = line else {
            (open, fenced) = (None, false);
            continue;
        };
        let text = line.trim_start();
        if text.starts_with("```") {
            (open, fenced) = (None, !fenced);
            continue;
        }
        let words = || text.split_whitespace().map(move |word| (number, word));
        if fenced || is_no_prose(line) || (open.is_none() && line.starts_with("    ")) {
            open = None;
        } else if let Some(row) = text.strip_prefix('|') {
            let cells = row.split('|').map(|cell| cell.split_whitespace());
            found.extend(cells.map(|cell| cell.map(|word| (number, word)).collect()));
            open = None;
        } else if let Some(item) = item(text) {
            found.push(item.split_whitespace().map(|word| (number, word)).collect());
            open = Some(kind);
        } else if open == Some(kind) {
            found.last_mut().into_iter().for_each(|paragraph| paragraph.extend(words()));
        } else {
            found.push(words().collect());
            open = Some(kind);
        }
    }
    found
}

/// Whether a line is blank, a heading, a rule or a link's definition.
fn is_no_prose(line: &str) -> bool {
    let text = line.trim();
    let is_link = text.starts_with('[') && text.contains("]: ");
    text.is_empty() || text.starts_with('#') || text.starts_with("---") || is_link
}

/// The text of a list item or of a quotation.
fn item(text: &str) -> Option<&str> {
    let (marker, rest) = text.split_once(' ')?;
    let number = marker.strip_suffix('.').is_some_and(|number| number.parse::<u32>().is_ok());
    (number || ["-", "*", ">"].contains(&marker)).then_some(rest)
}

/// The sentences of a paragraph.
fn sentences<'w, 'a>(paragraph: &'w [Word<'a>]) -> Vec<&'w [Word<'a>]> {
    let mut found = Vec::new();
    let mut start = 0;
    for (index, (_, word)) in paragraph.iter().enumerate() {
        let ends = word.trim_end_matches([')', '"', '*', '`']).ends_with(['.', '!', '?']);
        if ends && !ABBREVIATIONS.contains(word) {
            found.push(&paragraph[start..=index]);
            start = index + 1;
        }
    }
    found.push(&paragraph[start..]);
    found
}

fn reports_of_sentence(sentence: &[Word<'_>]) -> Vec<Report> {
    let words: Vec<&str> = sentence.iter().map(|(_, word)| *word).collect();
    let mut faults = Vec::new();
    let is_question = words.last().is_some_and(|word| word.contains('?'));
    if opens_with_clause(&words) && !is_question {
        faults.push(Fault::Clause);
    }
    let count = count(&words);
    if count > LONG {
        faults.push(Fault::Long(count));
    }
    let quotation = words.iter().take(QUOTED).copied().collect::<Vec<_>>().join(" ");
    let line = sentence.first().map_or(0, |(number, _)| *number);
    let report = |fault| Report { line, fault, quotation: quotation.clone() };
    faults.into_iter().map(report).collect()
}

fn opens_with_clause(words: &[&str]) -> bool {
    let bare = |word: &&str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let opening: Vec<String> = words.iter().take(2).map(bare).collect();
    let opens = |clause: &&[&str]| {
        opening.len() >= clause.len()
            && opening.iter().zip(*clause).all(|(word, wanted)| word == wanted)
    };
    CLAUSES.iter().any(opens)
}

/// The count of words. A piece of code in backticks counts as one.
fn count(words: &[&str]) -> usize {
    let mut in_code = false;
    let counts = |word: &&&str| {
        let continues_code = in_code;
        in_code ^= word.matches('`').count() % 2 == 1;
        !continues_code && word.contains(char::is_alphanumeric)
    };
    words.iter().filter(counts).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<(usize, Fault)> {
        let reports = reports(Path::new(path), text);
        reports.into_iter().map(|report| (report.line, report.fault)).collect()
    }

    #[test]
    fn clauses_as_subjects_are_reported_in_comments() {
        let source = "\
//! What was read.
fn a() {
    // The cache. Whoever
    // waits is woken.
    let what = \"What\"; // What stands behind code is not read.
}
/// Those who wait. Who asks? Where a file is large, it is split.
///
/// Where the file is. Whether it is open.
";
        let clauses =
            [(1, Fault::Clause), (3, Fault::Clause), (7, Fault::Clause), (7, Fault::Clause)];
        assert_eq!(faults("src/a.rs", source), clauses);
    }

    #[test]
    fn long_sentences_are_reported_with_their_first_line() {
        let words = "word ".repeat(LONG);
        assert_eq!(faults("a.md", &format!("Short.\nA {words}.")), [(2, Fault::Long(31))]);
        assert_eq!(faults("a.md", &format!("{words}.\nAnother {}.", &words[5..])), []);
        assert_eq!(faults("a.md", &format!("{}`a piece of code`.", &words[5..])), []);
    }

    #[test]
    fn code_headings_and_links_are_not_read() {
        let page = "\
# What it is

    What is indented

```
What is fenced
```
[what]: https://example.com/ That

| What stands in a cell | a cell |
- What an item says
  goes on, whoever reads it
";
        assert_eq!(faults("a.md", page), [(10, Fault::Clause), (11, Fault::Clause)]);
    }

    #[test]
    fn reports_quote_the_beginning() {
        let reports =
            reports(Path::new("a.md"), "What one two three four five six seven eight nine.");
        assert_eq!(reports[0].quotation, "What one two three four five six seven");
    }
}
