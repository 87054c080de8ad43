//! The texts in memory that were looked at before the first request.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;

use crate::http::{MediaTypes, Question, SourcePath, Text, look};
use crate::source::Source;

/// The files in memory whose media type depends on their bytes, with what these told.
pub(super) struct CheckedTexts(HashMap<SourcePath, Checked>);

struct Checked {
    /// The very buffer, which stays where it is while it is held here.
    bytes: Bytes,
    question: Question,
    text: Text,
}

impl CheckedTexts {
    /// Looks at the files that `source` has in memory.
    pub(super) fn of(source: &dyn Source, types: &MediaTypes) -> Self {
        let mut texts = HashMap::new();
        for (path, bytes) in source.files_in_memory() {
            if let Some(question) = types.of(&path).question() {
                let text = look(Some(question), &bytes);
                texts.entry(path).or_insert(Checked { bytes, question, text });
            }
        }
        Self(texts)
    }

    /// Returns what `bytes`, the file at `path`, tell of `question`. They are looked at if they were not.
    pub(super) fn look(
        &self,
        path: &SourcePath,
        question: Option<Question>,
        bytes: &Bytes,
    ) -> Text {
        let checked = self.0.get(path).filter(|checked| {
            checked.bytes.as_ptr() == bytes.as_ptr()
                && checked.bytes.len() == bytes.len()
                && Some(checked.question) == question
        });
        checked.map_or_else(|| look(question, bytes), |checked| checked.text)
    }

    /// Replaces what is known of the file at `path`.
    #[cfg(test)]
    pub(super) fn plant(&mut self, path: &SourcePath, text: Text) {
        self.0.get_mut(path).expect("the file was looked at").text = text;
    }
}

impl fmt::Debug for CheckedTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedTexts").field("files", &self.0.len()).finish()
    }
}
