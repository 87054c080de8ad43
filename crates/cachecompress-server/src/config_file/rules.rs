//! Mistakes in rules that are well formed: a glob that is none, a field that no rule may set.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::mistake::Mistake;
use super::value::excerpt;
use crate::tables::HeaderTable;

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
