//! The tree of a crate's modules, and the item that a path leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use proc_macro2::Ident;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Item, Lit, Meta, Token, Visibility};

use crate::mentions::{Mentions, Use};
use crate::sources::parse;
use crate::syntax::{Written, definitions_among, is_test_only, without_tests};

/// The text of each file under its path.
pub(crate) type Texts = BTreeMap<String, String>;

/// The root of a [`Tree`].
pub(crate) const ROOT: usize = 0;

/// The modules of one crate, without those that only tests see.
///
/// Where conditions choose between two modules of one name, or two files of one module, all of them
/// are read.
pub(crate) struct Tree {
    pub(crate) modules: Vec<Module>,
}

pub(crate) struct Module {
    /// The file in which it stands.
    pub(crate) file: String,
    /// The attributes of its `mod` line and of the head of its file.
    attributes: [Rc<[Attribute]>; 2],
    /// Whether its `mod` line says `pub` without a restriction.
    pub(crate) is_public: bool,
    /// The items, but for modules.
    pub(crate) items: Vec<Item>,
    pub(crate) parent: Option<usize>,
    pub(crate) children: Vec<(String, usize)>,
    /// The names of its types, functions, constants and macros.
    names: BTreeSet<String>,
    pub(crate) mentions: Mentions,
}

/// The target of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    Module(usize),
    /// The item of that name, defined in that module.
    Item(usize, String),
}

impl Tree {
    /// Reads the crate whose root is the file `root`.
    ///
    /// # Panics
    ///
    /// If a file is no Rust, or a module has no file.
    pub(crate) fn read(texts: &Texts, root: &str) -> Self {
        let mut tree = Self { modules: Vec::new() };
        tree.add_file(texts, root, None, parent_folder(root));
        tree.modules[ROOT].is_public = true;
        tree
    }

    fn add_file(
        &mut self,
        texts: &Texts,
        file: &str,
        parent: Option<usize>,
        folder: &str,
    ) -> Option<usize> {
        let syntax = parse(file, &texts[file]);
        if parent.is_some() && is_test_only(&syntax.attrs) {
            return None;
        }
        let place = Place { file, folder, beside: parent_folder(file) };
        let syntax = without_tests(syntax);
        let added = self.add(texts, place, parent, syntax.items);
        self.modules[added].attributes[1] = syntax.attrs.into();
        Some(added)
    }

    fn add(
        &mut self,
        texts: &Texts,
        place: Place<'_>,
        parent: Option<usize>,
        items: Vec<Item>,
    ) -> usize {
        let index = self.modules.len();
        let names = items.iter().flat_map(names_of).collect();
        let mentions = Mentions::of(&items);
        let (inner, items) = items.into_iter().partition(|item| matches!(item, Item::Mod(_)));
        self.modules.push(Module {
            file: place.file.to_owned(),
            attributes: Default::default(),
            is_public: false,
            items,
            parent,
            children: Vec::new(),
            names,
            mentions,
        });
        for item in inner {
            if let Item::Mod(inner) = item {
                self.add_inner(texts, place, index, inner);
            }
        }
        index
    }

    fn add_inner(&mut self, texts: &Texts, place: Place<'_>, parent: usize, inner: syn::ItemMod) {
        let name = inner.ident.to_string();
        let mut added = Vec::new();
        if let Some((_, items)) = inner.content {
            let folder = joined(place.folder, &name);
            let place = Place { file: place.file, folder: &folder, beside: &folder };
            added.push(self.add(texts, place, Some(parent), items));
        } else {
            for (file, folder) in place.files_of(texts, &name, &inner.attrs) {
                added.extend(self.add_file(texts, &file, Some(parent), &folder));
            }
        }
        let attributes: Rc<[Attribute]> = inner.attrs.into();
        for child in added {
            self.modules[child].is_public = matches!(inner.vis, Visibility::Public(_));
            self.modules[child].attributes[0] = Rc::clone(&attributes);
            self.modules[parent].children.push((name.clone(), child));
        }
    }

    /// The targets of `path`, written in `module`, in this crate: none if it leads out of it,
    /// several if conditions choose between them.
    pub(crate) fn resolve(&self, module: usize, path: &Written) -> BTreeSet<Found> {
        self.follow(module, path, &mut BTreeSet::new())
    }

    /// Whether `path` goes through a name that the crate's root exports again.
    pub(crate) fn goes_through_root(&self, module: usize, path: &Written) -> bool {
        let mut at = module;
        for (place, segment) in path.segments.iter().enumerate() {
            match segment.as_str() {
                "crate" => at = ROOT,
                "super" => at = self.modules[at].parent.unwrap_or(ROOT),
                "self" => {}
                name => return place > 0 && at == ROOT && !self.modules[ROOT].owns(name),
            }
        }
        false
    }

    /// Whether `inner` is `outer` or lies in it.
    pub(crate) fn is_within(&self, inner: usize, outer: usize) -> bool {
        let mut at = Some(inner);
        while let Some(module) = at {
            if module == outer {
                return true;
            }
            at = self.modules[module].parent;
        }
        false
    }

    fn follow(
        &self,
        module: usize,
        path: &Written,
        seen: &mut BTreeSet<(usize, String)>,
    ) -> BTreeSet<Found> {
        let Some((first, rest)) = path.segments.split_first() else {
            return BTreeSet::new();
        };
        if path.absolute {
            return BTreeSet::new();
        }
        let start = match first.as_str() {
            "crate" => BTreeSet::from([Found::Module(ROOT)]),
            "self" => BTreeSet::from([Found::Module(module)]),
            "super" => self.modules[module].parent.map(Found::Module).into_iter().collect(),
            name => self.look_up_here(module, name, seen),
        };
        rest.iter().fold(start, |found, segment| {
            found.into_iter().flat_map(|one| self.step(one, segment, seen)).collect()
        })
    }

    fn step(
        &self,
        from: Found,
        segment: &str,
        seen: &mut BTreeSet<(usize, String)>,
    ) -> BTreeSet<Found> {
        match (from, segment) {
            (Found::Module(module), "self") => BTreeSet::from([Found::Module(module)]),
            (Found::Module(module), "super") => {
                self.modules[module].parent.map(Found::Module).into_iter().collect()
            }
            (Found::Module(module), name) => self.look_up(module, name, seen),
            // A variant, or a function of the type.
            (Found::Item(home, name), _) if self.modules[home].is_value(&name) => BTreeSet::new(),
            (item @ Found::Item(..), _) => BTreeSet::from([item]),
        }
    }

    /// As [`look_up`](Self::look_up), also through the `use` lines in the module's functions.
    fn look_up_here(
        &self,
        module: usize,
        name: &str,
        seen: &mut BTreeSet<(usize, String)>,
    ) -> BTreeSet<Found> {
        let found = self.look_up(module, name, seen);
        if !found.is_empty() {
            return found;
        }
        let local = &self.modules[module].mentions.local_uses;
        let named = local.iter().filter(|line| line.name.as_deref() == Some(name));
        named
            .filter(|line| line.path.segments.first().is_some_and(|first| first != name))
            .flat_map(|line| self.follow(module, &line.path, seen))
            .collect()
    }

    /// The targets of `name` in `module`.
    fn look_up(
        &self,
        module: usize,
        name: &str,
        seen: &mut BTreeSet<(usize, String)>,
    ) -> BTreeSet<Found> {
        let here = &self.modules[module];
        let children = here.children.iter().filter(|(child, _)| child == name);
        let mut found: BTreeSet<Found> = children.map(|(_, child)| Found::Module(*child)).collect();
        if here.names.contains(name) {
            found.insert(Found::Item(module, name.to_owned()));
        }
        // `use hash::hash` asks for its own name while that is looked up.
        if !seen.insert((module, name.to_owned())) {
            return found;
        }
        let through = |line: &Use, seen: &mut _| self.follow(module, &line.path, seen);
        for line in here.mentions.uses.iter().filter(|line| line.name.as_deref() == Some(name)) {
            found.extend(through(line, seen));
        }
        if found.is_empty() {
            for line in here.mentions.uses.iter().filter(|line| line.name.is_none()) {
                for base in through(line, seen) {
                    if let Found::Module(base) = base {
                        found.extend(self.look_up(base, name, seen));
                    }
                }
            }
        }
        seen.remove(&(module, name.to_owned()));
        found
    }
}

impl Module {
    /// The attributes of its `mod` line, and those at the head of its file.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().flat_map(|list| list.iter())
    }

    /// Whether `name` is an item or a module that stands here, and not one that a `use` line brings.
    fn owns(&self, name: &str) -> bool {
        self.names.contains(name) || self.children.iter().any(|(child, _)| child == name)
    }

    /// Whether `name` is a function or a constant alone, in which no path goes on.
    fn is_value(&self, name: &str) -> bool {
        let mut items = self
            .items
            .iter()
            .filter(|item| named(item).is_some_and(|(own, _)| own == name))
            .peekable();
        let is_value = |item: &Item| matches!(item, Item::Const(_) | Item::Fn(_) | Item::Static(_));
        items.peek().is_some() && items.all(is_value)
    }

    /// Whether there is anything but modules and `use` lines.
    pub(crate) fn has_items(&self) -> bool {
        !self.names.is_empty()
    }
}

/// The name and the visibility of an item that has both.
pub(crate) fn named(item: &Item) -> Option<(&Ident, &Visibility)> {
    Some(match item {
        Item::Const(item) => (&item.ident, &item.vis),
        Item::Enum(item) => (&item.ident, &item.vis),
        Item::Fn(item) => (&item.sig.ident, &item.vis),
        Item::Static(item) => (&item.ident, &item.vis),
        Item::Struct(item) => (&item.ident, &item.vis),
        Item::Trait(item) => (&item.ident, &item.vis),
        Item::TraitAlias(item) => (&item.ident, &item.vis),
        Item::Type(item) => (&item.ident, &item.vis),
        Item::Union(item) => (&item.ident, &item.vis),
        _ => return None,
    })
}

/// The names that `item` defines: a macro may be given several definitions.
fn names_of(item: &Item) -> Vec<String> {
    match item {
        Item::Macro(syn::ItemMacro { ident: Some(name), .. }) => vec![name.to_string()],
        Item::Macro(item) => {
            let tokens: Vec<_> = item.mac.tokens.clone().into_iter().collect();
            definitions_among(&tokens).into_iter().map(|definition| definition.name).collect()
        }
        item => named(item).map(|(name, _)| name.to_string()).into_iter().collect(),
    }
}

/// The place of a module in its tree.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    /// The folder of the files of its inner modules.
    folder: &'a str,
    /// The folder that `#[path]` starts from.
    beside: &'a str,
}

impl Place<'_> {
    /// The files of the inner module `name`, each with the folder of its own inner modules.
    fn files_of(
        &self,
        texts: &Texts,
        name: &str,
        attributes: &[Attribute],
    ) -> Vec<(String, String)> {
        let plain = joined(self.folder, &format!("{name}.rs"));
        let own_folder = joined(self.folder, name);
        let nested = joined(&own_folder, "mod.rs");
        let chosen = attributes.iter().flat_map(|attribute| paths_of(&attribute.meta));
        let mut files: Vec<(String, String)> = chosen
            .map(|path| joined(self.beside, &path))
            .map(|file| (file.clone(), parent_folder(&file).to_owned()))
            .collect();
        if files.is_empty() {
            files = vec![(plain, own_folder.clone()), (nested, own_folder)];
        }
        files.retain(|(file, _)| texts.contains_key(file));
        assert!(!files.is_empty(), "{}: `mod {name}` has no file", self.file);
        files
    }
}

/// The path of `#[path = "…"]`, and of that inside a `cfg_attr`.
fn paths_of(meta: &Meta) -> Vec<String> {
    match meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(path) => vec![path.value()],
                _ => Vec::new(),
            },
            _ => Vec::new(),
        },
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            parts.unwrap_or_default().iter().skip(1).flat_map(paths_of).collect()
        }
        _ => Vec::new(),
    }
}

fn parent_folder(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `path` seen from `folder`, without `.` and `..`.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let texts = files.iter().map(|(path, text)| (format!("src/{path}"), (*text).to_owned()));
        Tree::read(&texts.collect(), "src/lib.rs")
    }

    fn files_of(tree: &Tree) -> Vec<&str> {
        tree.modules.iter().map(|module| module.file.trim_start_matches("src/")).collect()
    }

    #[test]
    fn tree_finds_the_file_of_each_module() {
        let tree = tree(&[
            ("lib.rs", "mod a; mod b { mod c; } #[path = \"x/y.rs\"] mod d;"),
            ("a/mod.rs", "mod e;"),
            ("a/e.rs", "mod f;"),
            ("a/e/f.rs", ""),
            ("b/c.rs", ""),
            ("x/y.rs", "mod z;"),
            ("x/z.rs", ""),
        ]);
        let files = files_of(&tree);
        assert_eq!(
            files,
            ["lib.rs", "a/mod.rs", "a/e.rs", "a/e/f.rs", "lib.rs", "b/c.rs", "x/y.rs", "x/z.rs"]
        );
    }

    #[test]
    fn tree_reads_both_sides_of_a_condition() {
        let choice = "#[cfg_attr(unix, path = \"u.rs\")] #[cfg_attr(not(unix), path = \"w.rs\")]";
        let tree = tree(&[
            (
                "lib.rs",
                &format!("{choice} mod os; #[cfg(unix)] mod a; #[cfg(not(unix))] mod a {{}}"),
            ),
            ("u.rs", ""),
            ("w.rs", ""),
            ("a.rs", ""),
        ]);
        assert_eq!(files_of(&tree), ["lib.rs", "u.rs", "w.rs", "a.rs", "lib.rs"]);
    }

    /// `f::g` was the function `f` too, as if a path went on in a function.
    #[test]
    fn path_through_a_module_misses_the_function_of_its_name() {
        let tree = tree(&[
            ("lib.rs", "mod f; pub use f::{f, g};"),
            ("f.rs", "pub fn f() {} pub fn g() {} pub enum E { V }"),
        ]);
        let found = |path: &str| {
            let segments = path.split("::").map(str::to_owned).collect();
            tree.resolve(ROOT, &Written { segments, absolute: false, line: 0 })
        };
        assert_eq!(found("f::g"), BTreeSet::from([Found::Item(1, "g".to_owned())]));
        assert_eq!(found("f::E::V"), BTreeSet::from([Found::Item(1, "E".to_owned())]));
    }

    #[test]
    fn tree_leaves_out_the_files_of_tests() {
        let tree = tree(&[
            ("lib.rs", "#[cfg(test)] mod a; mod b;"),
            ("a.rs", "mod c;"),
            ("b.rs", "#![cfg(test)]"),
        ]);
        assert_eq!(files_of(&tree), ["lib.rs"]);
    }
}
