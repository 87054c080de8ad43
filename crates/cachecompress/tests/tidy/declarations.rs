//! An item's declaration on one line, under the path by which a program reaches it.

use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Field, Fields, GenericParam, Generics, ImplItem, Item, Meta, Signature, Token,
    TraitItem, Type, Variant, Visibility,
};

use crate::one_line::{joined, one_line, words};

/// A declaration and the path that it is sorted by.
pub(crate) type Declared = (String, String);

/// A declaration and the attributes of what it declares.
pub(crate) type Part<'a> = (Declared, &'a [Attribute]);

/// The word for the kind of `item`, if a program can name such an item.
pub(crate) fn kind_of(item: &Item) -> Option<&'static str> {
    Some(match item {
        Item::Const(_) => "const",
        Item::Enum(_) => "enum",
        Item::Fn(_) => "fn",
        Item::Static(_) => "static",
        Item::Struct(_) => "struct",
        Item::Trait(_) => "trait",
        Item::TraitAlias(_) => "trait",
        Item::Type(_) => "type",
        Item::Union(_) => "union",
        _ => return None,
    })
}

/// The declaration of `item`, which has its kind's word, and those of its public parts.
pub(crate) fn declarations<'a>(item: &'a Item, path: &str) -> Vec<Part<'a>> {
    let mut found = Vec::new();
    let mut parts = Vec::new();
    let whole = match item {
        Item::Const(item) => format!("const {path}: {}", one_line(&item.ty)),
        Item::Static(item) => format!("static {path}: {}", one_line(&item.ty)),
        Item::Fn(item) => signature(&item.sig, path, &[]),
        Item::Struct(item) => {
            parts = fields(&item.fields, path, false);
            format!("struct {}{}", generic(path, &item.generics), rest(&item.fields))
        }
        Item::Union(item) => {
            parts = fields(&item.fields.named, path, false);
            format!("union {}", generic(path, &item.generics))
        }
        Item::Enum(item) => {
            parts = item.variants.iter().flat_map(|case| cases(case, path)).collect();
            format!("enum {}", generic(path, &item.generics))
        }
        Item::Trait(item) => {
            parts = item.items.iter().filter_map(|item| trait_part(item, path)).collect();
            let unsafety = item.unsafety.as_ref().map_or("", |_| "unsafe ");
            let head = format!("{unsafety}trait {path}{}", one_line(&item.generics));
            head + &bounds(&item.supertraits) + &where_clause(&clause_of(&item.generics))
        }
        Item::Type(item) => {
            format!("type {} = {}", generic(path, &item.generics), one_line(&item.ty))
        }
        item => format!("{} {path}", kind_of(item).unwrap_or("item")),
    };
    let attributes = crate::syntax::attributes_of(item);
    found.push(((path.to_owned(), whole + &marks(attributes)), attributes));
    found.extend(parts);
    found
}

/// The public methods and constants of a type's own `impl`.
pub(crate) fn members<'a>(block: &'a syn::ItemImpl, path: &str) -> Vec<Part<'a>> {
    let owner = format!("{path}{}", arguments(&block.self_ty));
    let conditions = conditions_on(&block.generics);
    let mut found = Vec::new();
    for item in &block.items {
        let (visibility, name, attributes) = match item {
            ImplItem::Fn(item) => (&item.vis, &item.sig.ident, &item.attrs),
            ImplItem::Const(item) => (&item.vis, &item.ident, &item.attrs),
            _ => continue,
        };
        if !is_public(visibility) {
            continue;
        }
        let place = format!("{owner}::{name}");
        let line = match item {
            ImplItem::Fn(item) => signature(&item.sig, &place, &conditions),
            ImplItem::Const(item) => {
                format!("const {place}: {}{}", one_line(&item.ty), where_clause(&conditions))
            }
            _ => continue,
        };
        found.push(((format!("{path}::{name}"), line), attributes.as_slice()));
    }
    found
}

/// The head of `impl Trait for Type`, with its associated types.
pub(crate) fn implementation(block: &syn::ItemImpl, of: &str, on: &str) -> String {
    let unsafety = block.unsafety.as_ref().map_or("", |_| "unsafe ");
    let generics = one_line(&block.generics);
    let clause = clause_of(&block.generics);
    let types = block.items.iter().filter_map(|item| match item {
        ImplItem::Type(item) => {
            let name = generic(&item.ident.to_string(), &item.generics);
            Some(format!("type {name} = {}", one_line(&item.ty)))
        }
        _ => None,
    });
    let types = types.collect::<Vec<_>>().join("; ");
    let inside = if types.is_empty() { types } else { format!(" {{ {types} }}") };
    format!("{unsafety}impl{generics} {of} for {on}{}{inside}", where_clause(&clause))
}

pub(crate) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The function at `path`, which lies in an `impl` under `conditions`.
fn signature(signature: &Signature, path: &str, conditions: &[String]) -> String {
    let mut words = words(signature);
    words.truncate(words.iter().position(|word| word == "where").unwrap_or(words.len()));
    let name = words.iter().position(|word| word == "fn").map(|keyword| keyword + 1);
    words[name.expect("a function has a name")] = path.to_owned();
    let conditions = [conditions, &clause_of(&signature.generics)].concat();
    joined(&words) + &where_clause(&conditions)
}

/// `path` with the parameters of `generics`.
fn generic(path: &str, generics: &Generics) -> String {
    format!("{path}{}{}", one_line(generics), where_clause(&clause_of(generics)))
}

fn where_clause(conditions: &[String]) -> String {
    match conditions {
        [] => String::new(),
        conditions => format!(" where {}", conditions.join(", ")),
    }
}

/// The bounds of the parameters of an `impl`, and its `where` clause.
fn conditions_on(generics: &Generics) -> Vec<String> {
    let parameters = generics.params.iter().filter(|parameter| match parameter {
        GenericParam::Type(parameter) => !parameter.bounds.is_empty(),
        GenericParam::Lifetime(parameter) => !parameter.bounds.is_empty(),
        GenericParam::Const(_) => false,
    });
    parameters.map(one_line).chain(clause_of(generics)).collect()
}

/// The predicates of a `where` clause.
fn clause_of(generics: &Generics) -> Vec<String> {
    let clauses = generics.where_clause.iter();
    clauses.flat_map(|clause| &clause.predicates).map(one_line).collect()
}

fn bounds<B: Spanned, M>(bounds: &Punctuated<B, M>) -> String {
    match bounds.is_empty() {
        true => String::new(),
        false => format!(": {}", bounds.iter().map(one_line).collect::<Vec<_>>().join(" + ")),
    }
}

/// The generic arguments of `of`, as `<S, F>`.
fn arguments(of: &Type) -> String {
    match of {
        Type::Path(path) => {
            path.path.segments.last().map(|last| one_line(&last.arguments)).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// The mark for fields that programs do not see.
fn rest(fields: &Fields) -> &'static str {
    if fields.iter().all(|field| is_public(&field.vis)) { "" } else { " { .. }" }
}

/// The fields of the struct at `path`, or of a variant, in which `all` are public.
fn fields<'a>(fields: impl IntoIterator<Item = &'a Field>, path: &str, all: bool) -> Vec<Part<'a>> {
    let shown = fields.into_iter().enumerate().filter(|(_, field)| all || is_public(&field.vis));
    let lines = shown.map(|(at, field)| {
        let name = field.ident.as_ref().map_or_else(|| at.to_string(), ToString::to_string);
        let path = format!("{path}.{name}");
        let line = format!("field {path}: {}", one_line(&field.ty));
        ((path, line), field.attrs.as_slice())
    });
    lines.collect()
}

fn cases<'a>(case: &'a Variant, path: &str) -> Vec<Part<'a>> {
    let path = format!("{path}::{}", case.ident);
    let (content, parts) = match &case.fields {
        Fields::Unit => (String::new(), Vec::new()),
        Fields::Unnamed(content) => {
            let types: Vec<String> =
                content.unnamed.iter().map(|field| one_line(&field.ty)).collect();
            (format!("({})", types.join(", ")), Vec::new())
        }
        Fields::Named(_) => (" { .. }".to_owned(), fields(&case.fields, &path, true)),
    };
    let line = format!("variant {path}{content}{}", marks(&case.attrs));
    let whole = ((path, line), case.attrs.as_slice());
    [whole].into_iter().chain(parts).collect()
}

fn trait_part<'a>(item: &'a TraitItem, path: &str) -> Option<Part<'a>> {
    let (path, line, attributes) = match item {
        TraitItem::Fn(item) => {
            let path = format!("{path}::{}", item.sig.ident);
            let body = item.default.as_ref().map_or("", |_| " { .. }");
            let line = signature(&item.sig, &path, &[]) + body;
            (path, line, &item.attrs)
        }
        TraitItem::Const(item) => {
            let path = format!("{path}::{}", item.ident);
            let value = item.default.as_ref().map_or("", |_| " = ..");
            let line = format!("const {path}: {}{value}", one_line(&item.ty));
            (path, line, &item.attrs)
        }
        TraitItem::Type(item) => {
            let path = format!("{path}::{}", item.ident);
            let head = format!("type {path}{}", one_line(&item.generics));
            let line = head + &bounds(&item.bounds) + &where_clause(&clause_of(&item.generics));
            (path, line, &item.attrs)
        }
        _ => return None,
    };
    Some(((path, line), attributes.as_slice()))
}

/// `#[non_exhaustive]` and the derived traits, in the order of their names.
fn marks(attributes: &[Attribute]) -> String {
    let mut derived = Vec::new();
    let mut marks = String::new();
    for attribute in attributes {
        if attribute.path().is_ident("non_exhaustive") {
            marks.push_str(" #[non_exhaustive]");
        }
        if attribute.path().is_ident("derive") {
            let names = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            derived.extend(names.iter().flatten().map(one_line));
        }
    }
    derived.sort();
    match derived.is_empty() {
        true => marks,
        false => format!("{marks} #[derive({})]", derived.join(", ")),
    }
}
