//! Source text on one line, whatever its layout was.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::spanned::Spanned;

/// The text of `node` on one line.
pub(crate) fn one_line(node: &impl Spanned) -> String {
    joined(&words(node))
}

/// The words and marks of `node`, which comes from a file; none if it is empty.
///
/// A path's `::`, an arrow and a lifetime are one word each. A comma before a closing mark and the
/// `mut` of a parameter are left out, as they change nothing for callers.
pub(crate) fn words(node: &impl Spanned) -> Vec<String> {
    let text = node.span().source_text().unwrap_or_default();
    let mut found = Vec::new();
    gather(text.parse().expect("the tokens of parsed code"), &mut found);
    tidied(found)
}

fn gather(tokens: TokenStream, found: &mut Vec<String>) {
    // Whether the last mark goes on with the next token.
    let mut open = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (start, end) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                found.push(start.to_owned());
                gather(group.stream(), found);
                found.push(end.to_owned());
                open = false;
            }
            TokenTree::Punct(punct) => {
                let mark = punct.as_char();
                match found.last_mut() {
                    Some(last) if open && is_mark(&format!("{last}{mark}")) => last.push(mark),
                    _ => found.push(mark.to_string()),
                }
                open = punct.spacing() == Spacing::Joint;
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                match found.last_mut() {
                    Some(last) if open && last == "'" => last.push_str(&token.to_string()),
                    _ => found.push(token.to_string()),
                }
                open = false;
            }
        }
    }
}

fn is_mark(text: &str) -> bool {
    ["::", "->", "=>", "..", "..=", "==", "&&", "||"].contains(&text)
}

fn tidied(words: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let before = kept.last().map_or("", String::as_str);
        let after = words.get(at + 1).map_or(")", String::as_str);
        let last_comma = word == "," && [")", "]", "}", ">"].contains(&after);
        let binding = word == "mut" && ["(", ","].contains(&before);
        if !last_comma && !binding {
            kept.push(word.clone());
        }
    }
    kept
}

/// `words` with the spaces that `rustfmt` would set.
pub(crate) fn joined(words: &[String]) -> String {
    let mut line = String::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 && !touch(&words[at - 1], word) {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Whether no space stands between two words.
fn touch(before: &str, after: &str) -> bool {
    let follows_name = before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
        && !before.starts_with('\'')
        && !["as", "dyn", "for", "mut", "where"].contains(&before);
    match after {
        "," | ";" | ":" | ")" | "]" | ">" => return true,
        "::" | "(" if follows_name || before == ">" => return true,
        "<" if follows_name || before == "for" => return true,
        "!" if follows_name => return true,
        _ => {}
    }
    ["(", "[", "<", "&", "*", "?", "!", "#", "::", ".."].contains(&before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, wanted: &str) {
        let item: syn::ItemFn = syn::parse_str(&format!("{text} {{}}")).expect("a function");
        assert_eq!(one_line(&item.sig), wanted);
    }

    #[test]
    fn line_is_the_same_for_every_layout() {
        let wanted = "fn f<'a, T: ?Sized>(a: &'a mut [T], b: A::<u8>) -> Vec<Vec<T>>";
        reads(wanted, wanted);
        reads(
            "fn f<\n    'a,\n    T: ?Sized,\n>(\n    a: &'a mut [T], // first\n    mut b: A::<u8>,\n) -> Vec<Vec<T,>>",
            wanted,
        );
    }

    #[test]
    fn line_has_the_spaces_of_rustfmt() {
        for line in [
            "const fn f()",
            "async fn f(self: Box<Self>, a: &dyn Fn(&[u8]) -> bool) -> impl Send + 'static",
            "fn f(a: &mut dyn FnMut(&[u8]), b: [u8; 4]) -> Result<(), Error>",
            "fn f(a: impl for<'b> Fn(&'b str) -> &'b str) -> <T as Iterator>::Item",
            "unsafe extern \"C\" fn f(a: *const u8) -> !",
            "fn f<T>(a: T) -> (A, B) where T: Iterator<Item = u8>, for<'a> &'a T: Clone",
            "fn f(&mut self, a: &'a (A, B))",
        ] {
            reads(line, line);
        }
    }
}
