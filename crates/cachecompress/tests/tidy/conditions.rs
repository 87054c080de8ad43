//! The `cfg` conditions of an item, in few words.

use std::collections::BTreeSet;
use std::slice;

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Lit, Meta, Token};

use crate::one_line::one_line;
use crate::syntax::is_only_for;

/// Conditions that hold together.
pub(crate) type Conditions = BTreeSet<String>;

/// The conditions that `attributes` set, each in the notation of [`words_of`].
pub(crate) fn conditions_of<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> Conditions {
    let set = attributes.into_iter().filter(|attribute| attribute.path().is_ident("cfg"));
    set.filter_map(|attribute| attribute.parse_args().ok().map(|meta| words_of(&meta))).collect()
}

/// Whether `attributes` keep their node from programs: tests, fuzzers, and hidden items.
pub(crate) fn is_left_out<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> bool {
    attributes.into_iter().any(|attribute| {
        let hidden =
            || attribute.parse_args::<Meta>().is_ok_and(|meta| meta.path().is_ident("hidden"));
        is_only_for(&["test", "fuzzing"], slice::from_ref(attribute))
            || attribute.path().is_ident("doc") && hidden()
    })
}

/// A feature is its name alone.
fn words_of(condition: &Meta) -> String {
    match condition {
        Meta::NameValue(pair) if pair.path.is_ident("feature") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(name) => name.value(),
                _ => one_line(condition),
            },
            _ => one_line(condition),
        },
        Meta::List(list) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            let parts: Vec<String> = parts.unwrap_or_default().iter().map(words_of).collect();
            match list.path.get_ident().map(ToString::to_string).as_deref() {
                Some("all") => parts.join(" and "),
                Some("any") => format!("({})", parts.join(" or ")),
                _ => format!("{} {}", one_line(&list.path), parts.join(" ")),
            }
        }
        condition => one_line(condition),
    }
}

/// `[a, b]` after a space; nothing without a condition.
pub(crate) fn bracketed(conditions: &Conditions) -> String {
    match conditions.is_empty() {
        true => String::new(),
        false => {
            format!(" [{}]", conditions.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_is_told_in_few_words() {
        let told = |text: &str| {
            let item: syn::ItemUse = syn::parse_str(&format!("{text}\nuse a;")).expect("an item");
            bracketed(&conditions_of(&item.attrs))
        };
        assert_eq!(told("#[cfg(feature = \"axum\")]"), " [axum]");
        assert_eq!(told("#[cfg(unix)] #[cfg(feature = \"axum\")]"), " [axum, unix]");
        assert_eq!(told("#[cfg(all(unix, not(feature = \"a\")))]"), " [unix and not a]");
        assert_eq!(
            told("#[cfg(any(target_os = \"linux\", x))]"),
            " [(target_os = \"linux\" or x)]"
        );
        assert_eq!(told("#[must_use]"), "");
    }

    #[test]
    fn hidden_item_is_left_out() {
        let is = |text: &str| {
            let item: syn::ItemUse = syn::parse_str(&format!("{text}\nuse a;")).expect("an item");
            is_left_out(&item.attrs)
        };
        assert!(is("#[doc(hidden)]") && is("#[cfg(any(test, fuzzing))]"));
        assert!(!is("/// Words.") && !is("#[doc(alias = \"b\")]") && !is("#[cfg(not(fuzzing))]"));
    }
}
