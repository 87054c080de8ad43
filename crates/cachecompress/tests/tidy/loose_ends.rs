//! Nothing is left unfinished, and nothing is switched off without a reason.

use proc_macro2::{Delimiter, TokenTree};

use crate::sources::{Source, hold};
use crate::syntax::{each_stretch, is_ident, is_punct};

/// Macros that stand for something unfinished.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

fn nothing_is_left_lying(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    each_stretch(source.tokens(), &mut |tokens| {
        for pair in tokens.windows(2) {
            if let Some((line, what)) = loose_end(source, pair) {
                complaints.push(source.complaint(line, what));
            }
        }
    });
    complaints
}

/// The line and the complaint, if these two tokens leave something lying.
fn loose_end(source: &Source, pair: &[TokenTree]) -> Option<(usize, &'static str)> {
    let [first, second] = pair else { return None };
    let line = first.span().start().line;
    if is_punct(second, '!') {
        let word = UNFINISHED.iter().find(|word| is_ident(first, word))?;
        return Some((line, word));
    }
    let TokenTree::Group(group) = second else { return None };
    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
    let holds = |word: &str| inside.iter().any(|token| is_ident(token, word));
    if is_punct(first, '#') && group.delimiter() == Delimiter::Bracket {
        let ignored = inside.first().is_some_and(|token| is_ident(token, "ignore"));
        return ignored.then_some((line, "`#[ignore]`"));
    }
    let allows = is_ident(first, "allow") && holds("dead_code");
    let bare = allows && !holds("reason") && !has_comment(source, line);
    bare.then_some((line, "allow(dead_code) without a reason"))
}

/// Whether a comment stands in `line` or above it.
fn has_comment(source: &Source, line: usize) -> bool {
    let mut lines =
        source.text.lines().skip(line.saturating_sub(2)).take(if line > 1 { 2 } else { 1 });
    let above = line > 1 && lines.next().is_some_and(|text| text.trim_start().starts_with("//"));
    above || lines.next().is_some_and(|text| text.contains("//"))
}

#[test]
fn workspace_leaves_nothing_lying() {
    hold(nothing_is_left_lying);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{bites, library, passes};

    #[test]
    fn loose_end_is_found() {
        for text in [
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"x\") }",
            "fn f() { g(|| dbg!(x)); }",
            "#[ignore] fn f() {}",
            "#[cfg(test)] mod tests { #[ignore = \"slow\"] fn f() {} }",
            "#[allow(dead_code)]\nfn f() {}",
            "#[cfg_attr(unix, allow(unused, dead_code))]\nfn f() {}",
        ] {
            bites(nothing_is_left_lying, &library("lib.rs", text));
        }
    }

    #[test]
    fn reasons_and_quotes_pass() {
        for text in [
            "// Windows only.\n#[allow(dead_code)]\nfn f() {}",
            "fn f() {}\n#[allow(dead_code)] // Windows only.\nfn g() {}",
            "#[allow(dead_code, reason = \"Windows only\")]\nfn f() {}",
            "// no todo!() here\nconst X: &str = \"todo!()\";",
        ] {
            passes(nothing_is_left_lying, &library("lib.rs", text));
        }
    }
}
