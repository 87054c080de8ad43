//! The text of `--help` as Markdown.

/// The paragraphs of a help text, each one line of Markdown.
pub(super) fn paragraphs(help: &str) -> Vec<String> {
    let parts = help.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>());
    parts.filter(|words| !words.is_empty()).map(|words| text(&words.join(" "))).collect()
}

/// The text with flags as code, and with characters of Markdown escaped. Text in backticks stays.
pub(super) fn text(plain: &str) -> String {
    let mut out = String::new();
    let mut is_code = false;
    let mut rest = plain;
    while let Some(character) = rest.chars().next() {
        let flag = if is_code { 0 } else { flag_length(rest, out.chars().last()) };
        if flag > 0 {
            out += &code(&rest[..flag]);
            rest = &rest[flag..];
            continue;
        }
        is_code ^= character == '`';
        if !is_code && r"\*_<>[]|".contains(character) {
            out.push('\\');
        }
        out.push(character);
        rest = &rest[character.len_utf8()..];
    }
    out
}

/// The text in backticks.
pub(super) fn code(plain: &str) -> String {
    format!("`{plain}`")
}

/// The bytes of the flag with which `text` begins, 0 if it begins with none.
fn flag_length(text: &str, before: Option<char>) -> usize {
    let is_start = before.is_none_or(|before| before.is_whitespace() || before == '(');
    let Some(name) = text.strip_prefix("--").filter(|_| is_start) else { return 0 };
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return 0;
    }
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-=".contains(character);
    2 + name.find(|character| !is_part(character)).unwrap_or(name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_escapes_what_markdown_would_read() {
        for (plain, markdown) in [
            ("as for --listen, or --spa=PATH.", "as for `--listen`, or `--spa=PATH`."),
            ("(--export only)", "(`--export` only)"),
            ("* stops, ** does not", r"\* stops, \*\* does not"),
            ("`_headers` and _redirects", r"`_headers` and \_redirects"),
            ("`a*b` written as \\xHH, a|b <c>", r"`a*b` written as \\xHH, a\|b \<c\>"),
            ("a -- b, well--known", "a -- b, well--known"),
        ] {
            assert_eq!(text(plain), markdown);
        }
    }

    #[test]
    fn paragraphs_joins_the_lines_of_each() {
        assert_eq!(paragraphs("a\nb\n\n\n\nc"), ["a b", "c"]);
    }
}
