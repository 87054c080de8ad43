//! The `use` lines of a module and the paths in its code.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};
use syn::{Attribute, ItemUse, Meta, UseTree, Visibility};

use crate::syntax::{Written, paths_among};

/// One name that a `use` line brings in.
pub(crate) struct Use {
    /// None for `*`.
    pub(crate) name: Option<String>,
    pub(crate) path: Written,
    /// Whether the line says `pub`, with or without a restriction.
    pub(crate) public: bool,
}

/// The names that a module takes from others.
#[derive(Default)]
pub(crate) struct Mentions {
    pub(crate) uses: Vec<Use>,
    /// The `use` lines inside functions.
    pub(crate) local_uses: Vec<Use>,
    pub(crate) paths: Vec<Written>,
}

impl Mentions {
    /// Reads the items of one module; its inner modules are not read.
    pub(crate) fn of(items: &[syn::Item]) -> Self {
        let mut reader = Reader::default();
        for item in items {
            reader.visit_item(item);
        }
        reader.found
    }
}

#[derive(Default)]
struct Reader {
    found: Mentions,
    /// The variables of each function around.
    variables: Vec<BTreeSet<String>>,
}

impl Reader {
    fn take(&mut self, path: Written) {
        let [name] = path.segments.as_slice() else {
            self.found.paths.push(path);
            return;
        };
        if !self.variables.iter().any(|names| names.contains(name)) {
            self.found.paths.push(path);
        }
    }

    fn inside(&mut self, variables: BTreeSet<String>, read: impl FnOnce(&mut Self)) {
        self.variables.push(variables);
        read(self);
        self.variables.pop();
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        // The tree of modules visits an inner module by itself, but for those in functions.
        if !self.variables.is_empty() {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, line: &'ast ItemUse) {
        let uses = names_of(line);
        match self.variables.is_empty() {
            true => self.found.uses.extend(uses),
            false => self.found.local_uses.extend(uses),
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let variables = variables_of(|names| names.visit_item_fn(function));
        self.inside(variables, |reader| visit::visit_item_fn(reader, function));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        let variables = variables_of(|names| names.visit_impl_item_fn(function));
        self.inside(variables, |reader| visit::visit_impl_item_fn(reader, function));
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        let variables = variables_of(|names| names.visit_trait_item_fn(function));
        self.inside(variables, |reader| visit::visit_trait_item_fn(reader, function));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.take(Written::of(path));
        visit::visit_path(self, path);
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        // A constant in a pattern looks like a variable.
        let name = pattern.ident.to_string();
        if name.starts_with(char::is_uppercase) {
            let line = pattern.ident.span().start().line;
            self.take(Written { segments: vec![name], absolute: false, line });
        }
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        for path in paths_among(call.tokens.clone()) {
            self.take(path);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        // A derive's own attributes name functions, as clap's `value_parser = values::bytes`.
        let foreign = ["allow", "cfg", "cfg_attr", "deny", "derive", "expect", "warn"];
        let Meta::List(list) = &attribute.meta else { return };
        if foreign.iter().any(|name| list.path.is_ident(name)) {
            return;
        }
        let paths = paths_among(list.tokens.clone());
        paths.into_iter().filter(|path| path.segments.len() > 1).for_each(|path| self.take(path));
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// The names that `line` brings in.
pub(crate) fn names_of(line: &ItemUse) -> Vec<Use> {
    let public = !matches!(line.vis, Visibility::Inherited);
    let absolute = line.leading_colon.is_some();
    let mut uses = Vec::new();
    flatten(&line.tree, &mut Vec::new(), &mut |name, segments, at| {
        let path = Written { segments, absolute, line: at };
        uses.push(Use { name, path, public });
    });
    uses
}

/// Calls `found` with the name, the path and the line of each leaf of a `use` tree.
fn flatten(
    tree: &UseTree,
    before: &mut Vec<String>,
    found: &mut impl FnMut(Option<String>, Vec<String>, usize),
) {
    let mut leaf = |name: Option<String>, last: Option<String>, line| {
        let whole = before.iter().cloned().chain(last).collect();
        found(name, whole, line);
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, found);
            before.pop();
        }
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, before, found));
        }
        UseTree::Glob(glob) => leaf(None, None, glob.star_token.span.start().line),
        UseTree::Name(name) => {
            let line = name.ident.span().start().line;
            match name.ident.to_string() {
                // `use a::b::{self}` brings in `b`.
                own if own == "self" => leaf(before.last().cloned(), None, line),
                own => leaf(Some(own.clone()), Some(own), line),
            }
        }
        UseTree::Rename(rename) => {
            let own = Some(rename.ident.to_string()).filter(|own| own != "self");
            leaf(Some(rename.rename.to_string()), own, rename.ident.span().start().line);
        }
    }
}

#[derive(Default)]
struct Variables(BTreeSet<String>);

impl<'ast> Visit<'ast> for Variables {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        let name = pattern.ident.to_string();
        if !name.starts_with(char::is_uppercase) {
            self.0.insert(name);
        }
        visit::visit_pat_ident(self, pattern);
    }
}

fn variables_of(read: impl FnOnce(&mut Variables)) -> BTreeSet<String> {
    let mut names = Variables::default();
    read(&mut names);
    names.0
}

/// All paths in `items` and in the modules inside them, those of `use` lines too.
pub(crate) fn paths_of_all(items: &[syn::Item]) -> Vec<Written> {
    let here = Mentions::of(items);
    let lines = here.uses.into_iter().chain(here.local_uses).map(|line| line.path);
    let mut paths: Vec<Written> = lines.chain(here.paths).collect();
    for item in items {
        if let syn::Item::Mod(module) = item
            && let Some((_, inner)) = &module.content
        {
            paths.extend(paths_of_all(inner));
        }
    }
    paths
}
