//! Tools that the rules share: removal of test code, and a search for paths among tokens.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Expr, ImplItem, Item, Meta, Stmt, Token, TraitItem};

/// Removes every item, statement, field and arm that only tests see.
pub(crate) fn without_tests(mut file: syn::File) -> syn::File {
    TestRemover.visit_file_mut(&mut file);
    file
}

/// Whether `attributes` leave their node to tests alone: `#[test]`, and a `cfg` that cannot
/// hold without `test`.
pub(crate) fn is_test_only(attributes: &[Attribute]) -> bool {
    is_only_for(&["test"], attributes)
}

/// Whether `attributes` leave their node to builds under one of `names` alone.
pub(crate) fn is_only_for(names: &[&str], attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = || attribute.parse_args::<Meta>().is_ok_and(|meta| needs(names, &meta));
        attribute.path().is_ident("test") || attribute.path().is_ident("cfg") && condition()
    })
}

fn needs(names: &[&str], condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => names.iter().any(|name| path.is_ident(name)),
        Meta::NameValue(_) => false,
        Meta::List(list) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            let parts = parts.unwrap_or_default();
            let any = list.path.is_ident("any") && !parts.is_empty();
            any && parts.iter().all(|part| needs(names, part))
                || list.path.is_ident("all") && parts.iter().any(|part| needs(names, part))
        }
    }
}

/// The attributes of one of the listed kinds of a node.
macro_rules! attributes {
    ($node:expr, $kind:ident: $($case:ident)*) => {
        match $node {
            $($kind::$case(node) => &node.attrs,)*
            _ => &[],
        }
    };
}

/// The attributes of `item`.
pub(crate) fn attributes_of(item: &Item) -> &[Attribute] {
    attributes!(item, Item: Const Enum ExternCrate Fn ForeignMod Impl Macro Mod Static Struct Trait
        TraitAlias Type Union Use)
}

fn attributes_of_expression(expression: &Expr) -> &[Attribute] {
    attributes!(expression, Expr: Assign Async Await Binary Block Call Closure ForLoop If Let Loop
        Macro Match MethodCall Path Reference Return Struct Try Tuple Unsafe While)
}

struct TestRemover;

impl VisitMut for TestRemover {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        file.items.retain(|item| !is_test_only(attributes_of(item)));
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
        if let Some((_, items)) = &mut module.content {
            items.retain(|item| !is_test_only(attributes_of(item)));
        }
        visit_mut::visit_item_mod_mut(self, module);
    }

    fn visit_item_impl_mut(&mut self, block: &mut syn::ItemImpl) {
        block.items.retain(|item| !is_test_only(attributes!(item, ImplItem: Const Fn Type Macro)));
        visit_mut::visit_item_impl_mut(self, block);
    }

    fn visit_item_trait_mut(&mut self, block: &mut syn::ItemTrait) {
        block.items.retain(|item| !is_test_only(attributes!(item, TraitItem: Const Fn Type Macro)));
        visit_mut::visit_item_trait_mut(self, block);
    }

    fn visit_block_mut(&mut self, block: &mut syn::Block) {
        block.stmts.retain(|statement| {
            !is_test_only(match statement {
                Stmt::Local(local) => &local.attrs,
                Stmt::Item(item) => attributes_of(item),
                Stmt::Expr(expression, _) => attributes_of_expression(expression),
                Stmt::Macro(call) => &call.attrs,
            })
        });
        visit_mut::visit_block_mut(self, block);
    }

    fn visit_expr_match_mut(&mut self, choice: &mut syn::ExprMatch) {
        choice.arms.retain(|arm| !is_test_only(&arm.attrs));
        visit_mut::visit_expr_match_mut(self, choice);
    }

    fn visit_fields_named_mut(&mut self, fields: &mut syn::FieldsNamed) {
        let kept = std::mem::take(&mut fields.named).into_iter();
        fields.named = kept.filter(|field| !is_test_only(&field.attrs)).collect();
        visit_mut::visit_fields_named_mut(self, fields);
    }

    fn visit_item_enum_mut(&mut self, item: &mut syn::ItemEnum) {
        let kept = std::mem::take(&mut item.variants).into_iter();
        item.variants = kept.filter(|case| !is_test_only(&case.attrs)).collect();
        visit_mut::visit_item_enum_mut(self, item);
    }

    fn visit_expr_struct_mut(&mut self, value: &mut syn::ExprStruct) {
        let kept = std::mem::take(&mut value.fields).into_iter();
        value.fields = kept.filter(|field| !is_test_only(&field.attrs)).collect();
        visit_mut::visit_expr_struct_mut(self, value);
    }
}

/// A path, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) segments: Vec<String>,
    /// Whether it begins with `::`.
    pub(crate) absolute: bool,
    pub(crate) line: usize,
}

impl Written {
    pub(crate) fn of(path: &syn::Path) -> Self {
        let first = path.segments.first().expect("a path has a segment");
        Self {
            segments: path.segments.iter().map(|segment| segment.ident.to_string()).collect(),
            absolute: path.leading_colon.is_some(),
            line: first.ident.span().start().line,
        }
    }
}

/// The paths among `tokens`, which stand in a macro or an attribute; groups are read too.
///
/// A single lower-case name counts where it is called, because alone it may be anything.
pub(crate) fn paths_among(tokens: TokenStream) -> Vec<Written> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Group(group) => found.extend(paths_among(group.stream())),
            TokenTree::Ident(_) => {
                let (path, end) = path_at(&tokens, at);
                let called =
                    tokens.get(end).is_some_and(|next| is_group(next, Delimiter::Parenthesis));
                let telling = path.segments.len() > 1
                    || called
                    || path.segments[0].starts_with(char::is_uppercase);
                if telling && !continues_another(&tokens, at) {
                    found.push(path);
                }
                at = end;
                continue;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        at += 1;
    }
    found
}

/// The path that begins at the name `tokens[at]`, and where it ends.
fn path_at(tokens: &[TokenTree], mut at: usize) -> (Written, usize) {
    let line = tokens[at].span().start().line;
    let absolute = at >= 2 && are_colons(&tokens[at - 2..at]);
    let mut segments = Vec::new();
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        segments.push(name.to_string());
        at += 1;
        let goes_on = tokens.get(at..at + 2).is_some_and(are_colons)
            && matches!(tokens.get(at + 2), Some(TokenTree::Ident(_)));
        if !goes_on {
            break;
        }
        at += 2;
    }
    (Written { segments, absolute, line }, at)
}

/// Whether the name at `at` is a field, a method, a lifetime or a macro's variable.
fn continues_another(tokens: &[TokenTree], at: usize) -> bool {
    let Some(TokenTree::Punct(before)) = at.checked_sub(1).map(|before| &tokens[before]) else {
        return false;
    };
    let is_range = at >= 2 && is_punct(&tokens[at - 2], '.');
    match before.as_char() {
        '.' => !is_range,
        '\'' => true,
        '$' => !is_ident(&tokens[at], "crate"),
        _ => false,
    }
}

fn are_colons(tokens: &[TokenTree]) -> bool {
    let [first, second] = tokens else { return false };
    let joint = matches!(first, TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint);
    joint && is_punct(first, ':') && is_punct(second, ':')
}

pub(crate) fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

pub(crate) fn is_ident(token: &TokenTree, wanted: &str) -> bool {
    matches!(token, TokenTree::Ident(name) if name == wanted)
}

fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}

/// Calls `read` for each stretch of tokens: `tokens` themselves and the inside of every group.
pub(crate) fn each_stretch(tokens: TokenStream, read: &mut impl FnMut(&[TokenTree])) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    read(&tokens);
    for token in tokens {
        if let TokenTree::Group(group) = token {
            each_stretch(group.stream(), read);
        }
    }
}

/// The names that `tokens` define by `struct`, `fn` and the like, with that word and the braces
/// that follow: a macro's invocation may hold definitions, as `pin_project!` does.
pub(crate) fn definitions_among(tokens: &[TokenTree]) -> Vec<Definition> {
    let words = ["struct", "enum", "union", "trait", "type", "mod", "fn", "const", "static"];
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [TokenTree::Ident(word), TokenTree::Ident(name)] = pair else { continue };
        let Some(word) = words.into_iter().find(|known| word == known) else { continue };
        let rest = &tokens[at + 2..];
        let end =
            rest.iter().position(|token| is_punct(token, ';') || is_group(token, Delimiter::Brace));
        let body = end.and_then(|end| match &rest[end] {
            TokenTree::Group(body) => Some(body.clone()),
            _ => None,
        });
        found.push(Definition {
            word,
            name: name.to_string(),
            line: pair[0].span().start().line,
            body,
        });
    }
    found
}

/// A definition that is found among tokens.
pub(crate) struct Definition {
    pub(crate) word: &'static str,
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) body: Option<Group>,
}

#[cfg(test)]
mod tests {
    use syn::visit::Visit;

    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let found = paths_among(text.parse().expect("tokens"));
        found.iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn paths_are_found_among_tokens() {
        assert_eq!(paths("\"{}\", crate::a::B::new(x), y.z(), 'q"), ["crate::a::B::new"]);
        assert_eq!(paths("$crate::a, $b, 0..MOST, x.MOST"), ["crate::a", "MOST"]);
        assert_eq!(paths("f(x), g, super::h"), ["f", "super::h"]);
        assert!(paths_among("::a::b".parse().expect("tokens"))[0].absolute);
    }

    #[test]
    fn only_conditions_that_need_test_are_test_only() {
        let is = |condition: &str| {
            let text = format!("#[cfg({condition})] fn f() {{}}");
            is_test_only(attributes_of(&syn::parse_str(&text).expect("an item")))
        };
        assert!(is("test") && is("all(test, unix)") && is("any(test, all(unix, test))"));
        assert!(!is("unix") && !is("not(test)") && !is("any(test, fuzzing)") && !is("all(unix)"));
    }

    #[test]
    fn every_part_for_tests_is_removed() {
        let text = "
            #[cfg(test)] mod a; mod b { #[test] fn c() {} }
            struct D { #[cfg(test)] e: u8 } enum F { #[cfg(test)] G }
            impl D { #[cfg(test)] fn h() {} fn i() { #[cfg(test)] j(); match k { #[cfg(test)] l => {} } } }
            trait M { #[cfg(test)] fn n(); }
            fn o() -> D { D { #[cfg(test)] e: 1 } }";
        let mut names = Names::default();
        names.visit_file(&without_tests(syn::parse_file(text).expect("Rust")));
        assert_eq!(names.0, ["b", "D", "F", "D", "i", "k", "M", "o", "D", "D"]);
    }

    #[derive(Default)]
    struct Names(Vec<String>);

    impl Visit<'_> for Names {
        fn visit_ident(&mut self, name: &proc_macro2::Ident) {
            self.0.push(name.to_string());
        }
    }
}
