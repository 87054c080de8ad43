//! Mistakes in rules that are well formed: a glob that is none, a field that no rule may set, a redirect
//! that leads to itself, an error page of what is no error.

use std::ops::Range;

use cachecompress::Redirect;
use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::mistake::Mistake;
use super::value::excerpt;
use crate::flag_values;
use crate::tables::{ERRORS, HeaderTable, RedirectTable};

/// Adds the mistakes of a rule of `[[headers]]`, each with the narrowest place that has it.
pub(crate) fn judge_headers(
    table: &HeaderTable,
    value: &Spanned<DeValue<'_>>,
    mistakes: &mut Vec<Mistake>,
) {
    let Err(reason) = table.unchecked().check() else { return };
    let before = mistakes.len();
    let paths = HeaderTable { paths: table.paths.clone(), ..HeaderTable::default() };
    let mut judge = |part: HeaderTable, span: Range<usize>, found: &str| {
        let judged = part.unchecked().check();
        let is_right = judged.is_ok();
        mistakes.extend(judged.err().map(|reason| Mistake {
            span,
            found: found.to_owned(),
            allowed: reason.to_string(),
        }));
        is_right
    };
    let part = |name| value.get_ref().get(name);
    let place = part("for").map_or_else(|| value.span(), Spanned::span);
    if !judge(paths.clone(), place, "these are no paths") {
        return;
    }
    for (name, text) in
        part("values").and_then(|values| values.get_ref().as_table()).into_iter().flatten()
    {
        let of_name = table.values.iter().filter(|(other, _)| other == name.get_ref());
        let values = of_name.cloned().collect();
        let field = HeaderTable { values, ..paths.clone() };
        let found = format!("the field {} cannot be set so", excerpt(name.get_ref()));
        judge(field, name.span().start..text.span().end, &found);
    }
    for name in part("unset").and_then(|unset| unset.get_ref().as_array()).into_iter().flatten() {
        let unset = name.get_ref().as_str().map(str::to_owned).into_iter().collect();
        let field = HeaderTable { unset, ..paths.clone() };
        judge(field, name.span(), "this field cannot be left out");
    }
    if mistakes.len() == before {
        let found = "this rule is wrong".to_owned();
        mistakes.push(Mistake { span: value.span(), found, allowed: reason.to_string() });
    }
}

/// Adds the mistake of a rule of `[[redirects]]`, with the part that has it.
pub(crate) fn judge_redirect(
    table: &RedirectTable,
    value: &Spanned<DeValue<'_>>,
    mistakes: &mut Vec<Mistake>,
) {
    let Err(reason) = table.unplaced().check() else { return };
    let is_wrong = |part: Redirect| part.check().is_err();
    let (part, found) = if is_wrong(Redirect::new("/a", "/b").status(table.status())) {
        ("status", "no rule has this status")
    } else if is_wrong(Redirect::new(&*table.from, "https://other.example/")) {
        ("from", "this is no path of a rule")
    } else {
        ("to", "the rule cannot lead there")
    };
    let span = value.get_ref().get(part).map_or_else(|| value.span(), Spanned::span);
    mistakes.push(Mistake { span, found: found.to_owned(), allowed: reason.to_string() });
}

/// Adds the mistake of rules of `[[redirects]]` that lead in a ring, with the target of the first one.
/// Rules with a mistake of their own lead nowhere. `line` tells the line of a rule.
pub(crate) fn judge_ring(
    tables: &[RedirectTable],
    values: &[&Spanned<DeValue<'_>>],
    line: impl Fn(&Spanned<DeValue<'_>>) -> usize,
    mistakes: &mut Vec<Mistake>,
) {
    let rules: Vec<_> = tables.iter().map(RedirectTable::unplaced).collect();
    let ring = Redirect::find_ring(&rules).unwrap_or_default();
    let mut ring = ring.iter().filter_map(|index| values.get(*index));
    let Some(first) = ring.next() else { return };
    let lines: Vec<_> = ring.map(|rule| line(rule).to_string()).collect();
    let others = match &*lines {
        [line] => format!("that of line {line}"),
        lines => format!("those of the lines {}", lines.join(", ")),
    };
    mistakes.push(Mistake {
        span: first.get_ref().get("to").map_or_else(|| first.span(), Spanned::span),
        found: format!("this redirect and {others} lead in a ring"),
        allowed: "let one of them lead elsewhere".to_owned(),
    });
}

/// Adds the mistakes of `[error-pages]`, and takes the entries out that have them.
pub(crate) fn judge_error_pages(pages: &mut DeValue<'_>, mistakes: &mut Vec<Mistake>) {
    let DeValue::Table(pages) = pages else { return };
    for (status, page) in std::mem::take(pages) {
        match judge_error_page(&status, &page) {
            Some(mistake) => mistakes.push(mistake),
            None => drop(pages.insert(status, page)),
        }
    }
}

fn judge_error_page(
    status: &Spanned<DeString<'_>>,
    page: &Spanned<DeValue<'_>>,
) -> Option<Mistake> {
    let is_error = status.get_ref().parse().is_ok_and(|status: u16| ERRORS.contains(&status));
    if !is_error {
        let found = format!("{} is no status of an error", excerpt(status.get_ref()));
        let allowed = format!("write one of {} to {}", ERRORS.start(), ERRORS.end());
        return Some(Mistake { span: status.span(), found, allowed });
    }
    // Values other than texts are found later.
    let allowed = flag_values::site_path(page.get_ref().as_str()?).err()?;
    let found = format!("this is no page of a {}", status.get_ref());
    Some(Mistake { span: page.span(), found, allowed })
}
