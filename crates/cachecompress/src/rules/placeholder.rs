//! The names of placeholders, as `_headers` and `_redirects` files have them behind a colon.

/// Splits `text`, which stands behind a colon, into a name and the rest; `None` if it begins with no name.
///
/// A name has letters, digits and `_`, and begins with a letter.
pub(super) fn placeholder_name(text: &str) -> Option<(&str, &str)> {
    let is_name_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_name_part(c)).unwrap_or(text.len());
    text.starts_with(|c: char| c.is_ascii_alphabetic()).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_placeholder_is_a_word_that_begins_with_a_letter() {
        for (text, expected) in [
            ("a_1.html", Some(("a_1", ".html"))),
            ("page", Some(("page", ""))),
            ("a-b", Some(("a", "-b"))),
            ("1a", None),
            ("_a", None),
            ("\u{e4}", None),
            ("", None),
        ] {
            assert_eq!(placeholder_name(text), expected, "{text}");
        }
    }
}
