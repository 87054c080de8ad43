//! The values of the configuration file, as texts for the parsers of the flags.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::DeValue;

use super::key::{Key, Kind, Numbers, quoted};
use super::mistake::{Mistake, SourceText};

/// The longest part of a file that a sentence repeats, in characters.
const QUOTED_CHARS: usize = 40;

/// The texts that `value` stands for, each of which the flag of `key` takes.
///
/// Mistakes are added to `mistakes`, and the texts are then of no use.
pub(crate) fn texts(
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    source: &SourceText,
    mistakes: &mut Vec<Mistake>,
) -> Vec<OsString> {
    let mut reader = Reader { key, source, mistakes, texts: Vec::new() };
    match (key.kind(), value.get_ref()) {
        (Kind::Map, DeValue::Table(table)) => {
            for (name, media_type) in table {
                match media_type.get_ref() {
                    DeValue::String(text) => {
                        let text = format!("{}={text}", name.get_ref());
                        reader.take(text, name.span().start..media_type.span().end);
                    }
                    other => reader.refuse(media_type.span(), other, "write a text".to_owned()),
                }
            }
        }
        (Kind::List, DeValue::Array(array)) => reader.take_list(array, value.span()),
        (Kind::Single, DeValue::Array(array)) if key.takes_joined_list() => {
            let mut names = Vec::new();
            for element in array {
                match element.get_ref() {
                    DeValue::String(text) => names.push(text.as_ref()),
                    other => reader.refuse(element.span(), other, "write a text".to_owned()),
                }
            }
            reader.take(names.join(","), value.span());
        }
        (Kind::Single, single) => reader.take_single(single, value.span()),
        (_, other) => reader.refuse(value.span(), other, shape(key)),
    }
    reader.texts
}

struct Reader<'a> {
    key: &'a Key,
    source: &'a SourceText,
    mistakes: &'a mut Vec<Mistake>,
    texts: Vec<OsString>,
}

impl Reader<'_> {
    fn take_list(&mut self, array: &[Spanned<DeValue<'_>>], span: Range<usize>) {
        if array.is_empty() && !self.key.default().is_empty() {
            let allowed = "write one value at least, or leave the key out".to_owned();
            return self.mistake(span, format!("`{}` cannot be empty", self.key), allowed);
        }
        for element in array {
            self.take_single(element.get_ref(), element.span());
        }
    }

    fn take_single(&mut self, value: &DeValue<'_>, span: Range<usize>) {
        let numbers = self.key.numbers();
        match value {
            DeValue::String(text) if self.key.takes_text() => self.take(text.to_string(), span),
            DeValue::Boolean(on) => match self.key.text_of(*on) {
                Some(word) => self.take(word.to_owned(), span),
                None => self.refuse(span, value, shape(self.key)),
            },
            DeValue::Integer(number) if numbers == Numbers::Octal && number.radix() == 8 => {
                self.take(number.as_str().to_owned(), span);
            }
            DeValue::Integer(number) if matches!(numbers, Numbers::Whole | Numbers::Fractions) => {
                let decimal = i128::from_str_radix(number.as_str(), number.radix());
                let text = decimal.map_or_else(|_| number.to_string(), |value| value.to_string());
                self.take(text, span);
            }
            DeValue::Float(number) if numbers == Numbers::Fractions => {
                self.take(number.as_str().to_owned(), span);
            }
            other => self.refuse(span, other, shape(self.key)),
        }
    }

    /// Adds a text that the flag's parser takes.
    fn take(&mut self, text: String, span: Range<usize>) {
        if self.key.splits_at_commas() && text.contains(',') {
            let allowed = "a comma ends a value; write each as an entry of its own".to_owned();
            return self.mistake(span.clone(), self.cannot_be(span), allowed);
        }
        let text = match self.key.takes_as_path(&text) || text.starts_with("unix:") {
            true => rebased(&text, self.source.directory()),
            false => text.into(),
        };
        match self.key.accepts(&text) {
            Ok(()) => self.texts.push(text),
            Err(allowed) => self.mistake(span.clone(), self.cannot_be(span), allowed),
        }
    }

    /// Refuses a value of another type than the flag's.
    fn refuse(&mut self, span: Range<usize>, value: &DeValue<'_>, allowed: String) {
        let found = match value {
            DeValue::Array(_) => format!("`{}` cannot be an array", self.key),
            DeValue::Table(_) => format!("`{}` cannot be a table", self.key),
            DeValue::Datetime(_) => format!("`{}` cannot be a date", self.key),
            _ => self.cannot_be(span.clone()),
        };
        self.mistake(span, found, allowed);
    }

    fn cannot_be(&self, span: Range<usize>) -> String {
        format!("`{}` cannot be {}", self.key, excerpt(self.source.part(span)))
    }

    fn mistake(&mut self, span: Range<usize>, found: String, allowed: String) {
        self.mistakes.push(Mistake { span, found, allowed });
    }
}

/// The path `text` as it counts from `directory`. `-` is no path, and nothing is a mistake.
fn rebased(text: &str, directory: &Path) -> OsString {
    let (scheme, path) = match text.strip_prefix("unix:") {
        Some(path) => ("unix:", path),
        None => ("", text),
    };
    if path.is_empty() || (scheme.is_empty() && path == "-") {
        return text.into();
    }
    let mut whole = OsString::from(scheme);
    whole.push(directory.join(path));
    whole
}

/// The first line of a part of the file, cut where it is long.
pub(crate) fn excerpt(part: &str) -> String {
    let line = part.lines().next().unwrap_or_default();
    match line.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("`{}...`", &line[..end]),
        None => format!("`{line}`"),
    }
}

/// The remedy for a value of a wrong type.
fn shape(key: &Key) -> String {
    let example = key.default().into_iter().next();
    match key.kind() {
        Kind::Map => "write a table: { \".usdz\" = \"model/vnd.usdz+zip\" }".to_owned(),
        Kind::List => match example {
            Some(example) => format!("write an array of texts, such as [\"{example}\"]"),
            None => "write an array of texts".to_owned(),
        },
        Kind::Single if key.is_switch() => "write true or false".to_owned(),
        Kind::Single if !key.choices().is_empty() => {
            format!("write one of {}", quoted(&key.choices()))
        }
        Kind::Single => match (key.numbers(), key.has_units(), example) {
            (Numbers::Octal, ..) => "write octal digits as a text, such as \"0660\"".to_owned(),
            (Numbers::Fractions, ..) => "write a number".to_owned(),
            (Numbers::Whole, false, _) => "write a whole number".to_owned(),
            (Numbers::Whole, true, Some(example)) => {
                format!("write a text with a unit, such as \"{example}\"")
            }
            _ => "write a text".to_owned(),
        },
    }
}
