//! Mistakes in the configuration file, each with the place where it stands.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::limits::SHOWN_MISTAKES;
use crate::printer::EscapedPath;

/// A configuration file's text and its path, as it was named.
#[derive(Clone, Debug)]
pub(crate) struct SourceText {
    path: PathBuf,
    text: String,
    /// The offset of each line.
    lines: Vec<usize>,
}

impl SourceText {
    /// The text of the file at `path`. A byte order mark is no part of it.
    pub(crate) fn new(path: PathBuf, mut text: String) -> Self {
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let ends = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { path, text, lines }
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The directory from which relative paths in the file count.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The part of the text at `span`, or nothing where that is no part.
    pub(crate) fn part(&self, span: Range<usize>) -> &str {
        self.text.get(span).unwrap_or_default()
    }

    /// The line of the byte at `offset`, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    /// The line and the column of the byte at `offset`, counted from 1, the column in characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let start = self.lines[line - 1];
        let before = self.text[start..].char_indices().take_while(|(at, _)| start + at < offset);
        (line, before.count() + 1)
    }

    /// The nearest span that annotates whole characters.
    fn whole_characters(&self, span: Range<usize>) -> Range<usize> {
        let mut start = span.start.min(self.text.len());
        let mut end = span.end.clamp(start, self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        start..end
    }
}

/// A mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The place in bytes of the file.
    pub(crate) span: Range<usize>,
    /// The finding, such as "unknown key `lisen`".
    pub(crate) found: String,
    /// The remedy, such as "write one of on, off".
    pub(crate) allowed: String,
}

/// All mistakes of a configuration file, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Mistakes {
    source: SourceText,
    list: Vec<Mistake>,
}

impl Mistakes {
    /// The mistakes of `source`, in the order of their places.
    pub(crate) fn new(source: SourceText, mut list: Vec<Mistake>) -> Self {
        list.sort_by_key(|mistake| (mistake.span.start, mistake.span.end));
        list.dedup();
        Self { source, list }
    }

    /// The mistakes with the lines where they stand, as compilers show them.
    pub(crate) fn report(&self) -> String {
        let path = EscapedPath(&self.source.path).to_string();
        let renderer = Renderer::plain();
        let mut report = String::new();
        for Mistake { span, found, allowed } in self.list.iter().take(SHOWN_MISTAKES) {
            let place = self.source.whole_characters(span.clone());
            let snippet = Snippet::source(&self.source.text)
                .path(&path)
                .annotation(AnnotationKind::Primary.span(place).label(allowed));
            let group = Level::ERROR.primary_title(found).element(snippet);
            let _ = writeln!(report, "{}\n", renderer.render(&[group]));
        }
        let hidden = self.list.len().saturating_sub(SHOWN_MISTAKES);
        if hidden > 0 {
            let _ = writeln!(report, "and {hidden} more\n");
        }
        report
    }
}

impl fmt::Display for Mistakes {
    /// The first mistake as one sentence, with the number of the others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = EscapedPath(&self.source.path);
        let Some((Mistake { span, found, allowed }, others)) = self.list.split_first() else {
            return write!(f, "{path} is wrong");
        };
        let (line, column) = self.source.position(span.start);
        write!(f, "{path}:{line}:{column}: {found}: {allowed}")?;
        match others.len() {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}
