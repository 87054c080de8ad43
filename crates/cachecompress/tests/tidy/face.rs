//! The library's public items are those of `public-items.txt`, so that a review sees each change.
//!
//! The file has one item a line, sorted by its path from the crate's root:
//!
//! - a function with its signature; a trait's method that has a body ends with ` { .. }`;
//! - a type with its parameters, its derived traits and `#[non_exhaustive]`; ` { .. }` tells of
//!   private fields;
//! - `field path.name: Type`, `variant path::Name(Types)`;
//! - an implementation of a trait, at the type that has it;
//! - conditions in brackets: `[sendfile]` is a cargo feature.
//!
//! Everything that belongs to an item stands at its shortest path. `= path` refers other paths to
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

use syn::{Attribute, Item, Type};

use crate::conditions::{Conditions, bracketed, conditions_of, is_left_out};
use crate::declarations::{Declared, declarations, implementation, is_public, kind_of, members};
use crate::mentions::{Use, names_of};
use crate::modules::{Found, ROOT, Tree, named};
use crate::one_line::{joined, words};
use crate::sources::{LIBRARY, root, rust_files};
use crate::syntax::{Written, attributes_of, paths_among};

/// The list, from the workspace's root.
const LIST: &str = "crates/cachecompress/public-items.txt";

/// The environment variable under which the test writes [`LIST`].
const WRITE: &str = "CACHECOMPRESS_WRITE_PUBLIC_ITEMS";

/// The name of the crate in every path.
const CRATE: &str = "cachecompress";

/// The module and the name of an item's definition.
type Key = (usize, String);

/// A path to an item: its length, its text, and the conditions on the way.
type Place = (usize, String, Conditions);

struct Face<'a> {
    tree: &'a Tree,
    places: BTreeMap<Key, BTreeSet<Place>>,
    /// Each line, under what it is sorted by.
    lines: BTreeSet<(String, bool, String)>,
}

/// The public items of the crate `tree`, a line each.
fn face(tree: &Tree) -> Vec<String> {
    let mut face = Face { tree, places: BTreeMap::new(), lines: BTreeSet::new() };
    face.enter(ROOT, CRATE, &Conditions::new(), &mut Vec::new());
    face.tell_items();
    for (module, content) in tree.modules.iter().enumerate() {
        let Some(around) = face.conditions_around(module) else { continue };
        for item in content.items.iter().filter(|item| !is_left_out(attributes_of(item))) {
            match item {
                Item::Impl(block) => face.tell_impl(module, block, &around),
                Item::Macro(made) => face.tell_macro(made, &around),
                _ => {}
            }
        }
    }
    face.lines.into_iter().map(|(_, _, line)| line).collect()
}

impl Face<'_> {
    fn tell(&mut self, (path, line): Declared, conditions: &Conditions) {
        let is_impl = line.starts_with("impl") || line.starts_with("unsafe impl");
        self.lines.insert((path, is_impl, line + &bracketed(conditions)));
    }

    /// Finds what programs reach through `module` at `path`.
    fn enter(
        &mut self,
        module: usize,
        path: &str,
        conditions: &Conditions,
        around: &mut Vec<usize>,
    ) {
        if around.contains(&module) {
            return;
        }
        around.push(module);
        let tree = self.tree;
        let content = &tree.modules[module];
        for (name, child) in &content.children {
            if self.is_open(*child) {
                let conditions = with(conditions, tree.modules[*child].attributes());
                self.enter_named(*child, &format!("{path}::{name}"), &conditions, around);
            }
        }
        for item in content.items.iter().filter(|item| !is_left_out(attributes_of(item))) {
            let conditions = with(conditions, attributes_of(item));
            match (item, named(item)) {
                (Item::Use(line), _) if is_public(&line.vis) => {
                    for one in names_of(line) {
                        self.follow(module, &one, path, &conditions, around);
                    }
                }
                (_, Some((name, visibility))) if is_public(visibility) => {
                    self.place((module, name.to_string()), format!("{path}::{name}"), conditions);
                }
                _ => {}
            }
        }
        around.pop();
    }

    fn enter_named(
        &mut self,
        module: usize,
        path: &str,
        conditions: &Conditions,
        around: &mut Vec<usize>,
    ) {
        self.tell((path.to_owned(), format!("mod {path}")), conditions);
        self.enter(module, path, conditions, around);
    }

    /// Finds what `pub use` brings to `path`.
    fn follow(
        &mut self,
        module: usize,
        line: &Use,
        path: &str,
        conditions: &Conditions,
        around: &mut Vec<usize>,
    ) {
        let written = line.path.segments.join("::");
        let foreign = |name: &str, end: &str| {
            (format!("{path}::{name}"), format!("use {path}::{name} = {written}{end}"))
        };
        let found = self.tree.resolve(module, &line.path);
        let Some(name) = &line.name else {
            let mut inside = false;
            for found in &found {
                if let Found::Module(base) = found {
                    self.enter(*base, path, conditions, around);
                    inside = true;
                }
            }
            if !inside {
                self.tell(foreign("*", "::*"), conditions);
            }
            return;
        };
        if name == "_" {
            return;
        }
        if found.is_empty() {
            self.tell(foreign(name, ""), conditions);
        }
        for found in found {
            match found {
                Found::Module(found) if self.is_open(found) => {
                    self.enter_named(found, &format!("{path}::{name}"), conditions, around);
                }
                Found::Module(_) => {}
                Found::Item(home, own) => {
                    let last = line.path.segments.last();
                    match last.is_some_and(|last| self.is_case(&(home, own.clone()), last)) {
                        true => self.tell(foreign(name, ""), conditions),
                        false => {
                            self.place((home, own), format!("{path}::{name}"), conditions.clone());
                        }
                    }
                }
            }
        }
    }

    fn place(&mut self, item: Key, path: String, conditions: Conditions) {
        if !self.definitions(&item).is_empty() {
            let length = path.matches("::").count();
            self.places.entry(item).or_default().insert((length, path, conditions));
        }
    }

    fn is_open(&self, module: usize) -> bool {
        let module = &self.tree.modules[module];
        module.is_public && !is_left_out(module.attributes())
    }

    /// The public items that bear the name: a type and a function, or those of two conditions.
    fn definitions(&self, (module, name): &Key) -> Vec<&Item> {
        let items = self.tree.modules[*module].items.iter();
        let shown = items.filter(|item| {
            named(item).is_some_and(|(own, visibility)| own == name && is_public(visibility))
                && !is_left_out(attributes_of(item))
        });
        shown.collect()
    }

    /// Whether `last` is a variant of the enum.
    fn is_case(&self, item: &Key, last: &str) -> bool {
        self.definitions(item).into_iter().any(|item| match item {
            Item::Enum(item) => item.variants.iter().any(|case| case.ident == last),
            _ => false,
        })
    }

    /// The conditions of `module` and of those around it; none if only tests and fuzzers see it.
    fn conditions_around(&self, module: usize) -> Option<Conditions> {
        let mut conditions = Conditions::new();
        let mut at = Some(module);
        while let Some(module) = at {
            let module = &self.tree.modules[module];
            if is_left_out(module.attributes()) {
                return None;
            }
            conditions.extend(conditions_of(module.attributes()));
            at = module.parent;
        }
        Some(conditions)
    }

    fn tell_items(&mut self) {
        let mut told = Vec::new();
        for (item, places) in &self.places {
            let mut places = places.iter();
            let Some((_, first, way)) = places.next() else { continue };
            let Some(around) = self.conditions_around(item.0) else { continue };
            for definition in self.definitions(item) {
                let own = &around | &with(way, attributes_of(definition));
                for (line, attributes) in declarations(definition, first) {
                    if !is_left_out(attributes) {
                        told.push((line, with(&own, attributes)));
                    }
                }
                let kind = kind_of(definition).unwrap_or("item");
                for (_, other, way) in places.clone().filter(|(_, other, _)| other != first) {
                    let conditions = &around | &with(way, attributes_of(definition));
                    told.push(((other.clone(), format!("{kind} {other} = {first}")), conditions));
                }
            }
        }
        for (line, conditions) in told {
            self.tell(line, &conditions);
        }
    }

    /// The shortest path to the item that `path`, written in `module`, leads to.
    ///
    /// # Errors
    ///
    /// If it leads to an item that programs do not reach.
    fn shortest(&self, module: usize, path: &Written) -> Result<Option<&str>, Unreachable> {
        let items = self.tree.resolve(module, path).into_iter().filter_map(|found| match found {
            Found::Item(home, name) => Some((home, name)),
            Found::Module(_) => None,
        });
        let mut items = items.peekable();
        if items.peek().is_none() {
            return Ok(None);
        }
        let place = items.find_map(|item| self.places.get(&item)?.first());
        place.map(|(_, path, _)| Some(path.as_str())).ok_or(Unreachable)
    }

    fn tell_impl(&mut self, module: usize, block: &syn::ItemImpl, around: &Conditions) {
        let conditions = with(around, &block.attrs);
        let owner = match &*block.self_ty {
            Type::Path(path) => self.shortest(module, &Written::of(&path.path)),
            _ => Ok(None),
        };
        let Ok(owner) = owner else { return };
        let Some((of, _)) = &block.trait_ else {
            let lines = owner.map(|path| members(block, path)).unwrap_or_default();
            for (line, attributes) in lines {
                if !is_left_out(attributes) {
                    self.tell(line, &with(&conditions, attributes));
                }
            }
            return;
        };
        let text = [words(of), words(&*block.self_ty)].map(|words| joined(&words));
        let mut others = Vec::new();
        for path in text.iter().flat_map(|text| paths_among(text.parse().expect("tokens"))) {
            let Ok(path) = self.shortest(module, &path) else { return };
            others.extend(path);
        }
        let Some(owner) = owner.or(others.first().copied()) else { return };
        let owner = owner.to_owned();
        let [of, on] = [words(of), words(&*block.self_ty)].map(|words| self.in_full(module, words));
        self.tell((owner, implementation(block, &of, &on)), &conditions);
    }

    /// `words` with each public item's path from the crate's root.
    fn in_full(&self, module: usize, words: Vec<String>) -> String {
        let mut full: Vec<String> = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let mut end = at + 1;
            while words.get(end).is_some_and(|mark| mark == "::") && is_name(words.get(end + 1)) {
                end += 2;
            }
            let names = words[at..end].iter().filter(|word| *word != "::").cloned().collect();
            let path = Written { segments: names, absolute: false, line: 0 };
            let starts = is_name(words.get(at)) && full.last().is_none_or(|last| last != "::");
            match self.shortest(module, &path) {
                Ok(Some(path)) if starts => full.push(path.to_owned()),
                _ => full.extend_from_slice(&words[at..end]),
            }
            at = end;
        }
        joined(&full)
    }

    fn tell_macro(&mut self, made: &syn::ItemMacro, around: &Conditions) {
        let exported = made.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
        if let Some(name) = made.ident.as_ref().filter(|_| exported) {
            let path = format!("{CRATE}::{name}");
            self.tell((path.clone(), format!("macro {path}!")), &with(around, &made.attrs));
        }
    }
}

/// An item that no program reaches.
struct Unreachable;

fn with<'a>(
    conditions: &Conditions,
    attributes: impl IntoIterator<Item = &'a Attribute>,
) -> Conditions {
    conditions | &conditions_of(attributes)
}

fn is_name(word: Option<&String>) -> bool {
    word.is_some_and(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// The lines of `kept` that are gone and those that are new.
fn differences(kept: &[String], found: &[String]) -> Vec<String> {
    let only = |in_one: &[String], other: &[String], mark: char| {
        let other: BTreeSet<&String> = other.iter().collect();
        let lines = in_one.iter().filter(|line| !other.contains(line));
        lines.map(|line| format!("{mark} {line}")).collect::<Vec<_>>()
    };
    let mut lines = [only(kept, found, '-'), only(found, kept, '+')].concat();
    if lines.is_empty() && kept != found {
        lines.push("the same lines in another order".to_owned());
    }
    lines
}

/// Whether the list is written: never where `CI` is set.
fn writes(wish: Option<&str>, ci: Option<&str>) -> bool {
    wish.is_some_and(|wish| wish == "1") && ci.is_none()
}

#[test]
fn library_has_the_listed_public_items() {
    let texts = rust_files().into_iter().map(|file| (file.path, file.text)).collect();
    let found = face(&Tree::read(&texts, &format!("{LIBRARY}lib.rs")));
    let path = root().join(LIST);
    let variable = |name| env::var(name).ok();
    if writes(variable(WRITE).as_deref(), variable("CI").as_deref()) {
        fs::write(&path, found.join("\n") + "\n").expect("the list can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let kept: Vec<String> = kept.lines().map(str::to_owned).collect();
    let changed = differences(&kept, &found);
    assert!(
        changed.is_empty(),
        "the library's public items are not those of {LIST}:\n\n{}\n\nIf the change is meant, \
         `{WRITE}=1 cargo test -p cachecompress --test tidy public_items` writes the list anew.",
        changed.join("\n"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(files: &[(&str, &str)]) -> Vec<String> {
        let texts = files.iter().map(|(path, text)| (format!("src/{path}"), (*text).to_owned()));
        face(&Tree::read(&texts.collect(), "src/lib.rs"))
    }

    #[track_caller]
    fn has(files: &[(&str, &str)], wanted: &[&str]) {
        assert_eq!(lines(files), wanted);
    }

    /// Holds that the list changes from `before` to `after` by the lines of `wanted`.
    #[track_caller]
    fn changes(before: &str, after: &str, wanted: &[&str]) {
        let [before, after] = [before, after].map(|text| lines(&[("lib.rs", text)]));
        assert_eq!(differences(&before, &after), wanted);
    }

    #[test]
    fn new_public_method_changes_the_list() {
        changes(
            "pub struct A(u8); impl A { fn b(&self) {} }",
            "pub struct A(u8); impl A { pub fn b(&self) {} }",
            &["+ fn cachecompress::A::b(&self)"],
        );
    }

    #[test]
    fn other_signature_changes_the_list() {
        changes(
            "pub fn f(a: u8) -> u8 { 1 }",
            "pub fn f(a: u16) -> u8 { 2 }",
            &["- fn cachecompress::f(a: u8) -> u8", "+ fn cachecompress::f(a: u16) -> u8"],
        );
    }

    #[test]
    fn new_public_field_changes_the_list() {
        changes(
            "pub struct A { b: u8 }",
            "pub struct A { pub b: u8 }",
            &[
                "- struct cachecompress::A { .. }",
                "+ struct cachecompress::A",
                "+ field cachecompress::A.b: u8",
            ],
        );
    }

    #[test]
    fn type_that_becomes_private_leaves_with_its_parts() {
        let parts = "struct A; impl A { pub fn b() {} } impl Clone for A {} fn f() {}";
        changes(
            &format!("pub {parts}"),
            &format!("pub(crate) {parts}"),
            &[
                "- struct cachecompress::A",
                "- impl Clone for cachecompress::A",
                "- fn cachecompress::A::b()",
            ],
        );
    }

    #[test]
    fn new_mark_changes_the_list() {
        changes(
            "#[derive(Debug)] pub enum A { B }",
            "#[derive(Debug, Clone)] #[non_exhaustive] pub enum A { B, C }",
            &[
                "- enum cachecompress::A #[derive(Debug)]",
                "+ enum cachecompress::A #[non_exhaustive] #[derive(Clone, Debug)]",
                "+ variant cachecompress::A::C",
            ],
        );
    }

    #[test]
    fn item_with_two_paths_has_its_parts_at_the_shorter_one() {
        has(
            &[
                ("lib.rs", "pub mod a; pub use a::B; pub use a::f as g;"),
                ("a/mod.rs", "mod b; pub use b::B; pub fn f() {}"),
                ("a/b.rs", "pub struct B { pub c: u8 } impl B { pub fn d() {} }"),
            ],
            &[
                "struct cachecompress::B",
                "field cachecompress::B.c: u8",
                "fn cachecompress::B::d()",
                "mod cachecompress::a",
                "struct cachecompress::a::B = cachecompress::B",
                "fn cachecompress::a::f = cachecompress::g",
                "fn cachecompress::g()",
            ],
        );
    }

    #[test]
    fn glob_brings_all_that_is_public() {
        has(
            &[
                (
                    "lib.rs",
                    "mod a; pub mod x { pub use crate::a::*; } pub use std::fmt; pub use z::*;",
                ),
                ("a/mod.rs", "mod f; pub mod n {} pub use f::f; pub(crate) use f::g; use f::h;"),
                ("a/f.rs", "pub fn f() {} pub fn g() {} pub fn h() {}"),
            ],
            &[
                "use cachecompress::* = z::*",
                "use cachecompress::fmt = std::fmt",
                "mod cachecompress::x",
                "fn cachecompress::x::f()",
                "mod cachecompress::x::n",
            ],
        );
    }

    #[test]
    fn trait_is_listed_with_its_items() {
        has(
            &[(
                "lib.rs",
                "pub trait T<A = u8>: Send + 'static where A: Copy {
                    type B: Clone; const C: u8; const D: u8 = 1;
                    fn e(&self); fn f<X>(self) -> X where Self: Sized { x() } }",
            )],
            &[
                "trait cachecompress::T<A = u8>: Send + 'static where A: Copy",
                "type cachecompress::T::B: Clone",
                "const cachecompress::T::C: u8",
                "const cachecompress::T::D: u8 = ..",
                "fn cachecompress::T::e(&self)",
                "fn cachecompress::T::f<X>(self) -> X where Self: Sized { .. }",
            ],
        );
    }

    #[test]
    fn implementation_of_a_trait_is_listed_at_its_type() {
        has(
            &[(
                "lib.rs",
                "pub mod m { pub struct A<X>(X); pub trait T {} }
                use std::fmt; use m::*; struct Hidden; trait Inner {}
                impl<X> fmt::Debug for A<X> where X: Copy {}
                impl<X> Iterator for &A<X> { type Item = X; fn next() {} }
                impl<S: T + ?Sized> T for Box<S> {}
                impl From<A<u8>> for std::string::String {}
                impl T for Hidden {} impl From<Hidden> for A<u8> {} impl Inner for A<u8> {}
                impl<X> A<X> { pub fn a() {} } impl<X: Copy> A<X> { pub const B: u8 = 1; }",
            )],
            &[
                "mod cachecompress::m",
                "struct cachecompress::m::A<X> { .. }",
                "impl From<cachecompress::m::A<u8>> for std::string::String",
                "impl<X> Iterator for &cachecompress::m::A<X> { type Item = X }",
                "impl<X> fmt::Debug for cachecompress::m::A<X> where X: Copy",
                "const cachecompress::m::A<X>::B: u8 where X: Copy",
                "fn cachecompress::m::A<X>::a()",
                "trait cachecompress::m::T",
                "impl<S: T + ?Sized> cachecompress::m::T for Box<S>",
            ],
        );
    }

    #[test]
    fn condition_stands_at_each_of_its_items() {
        has(
            &[
                (
                    "lib.rs",
                    "#[cfg(feature = \"x\")] pub mod a; #[cfg(not(feature = \"x\"))] mod a {}
                    #[cfg(unix)] pub enum E { V { #[cfg(feature = \"x\")] f: u8 } }",
                ),
                ("a.rs", "pub struct A; impl A { #[cfg(unix)] pub fn b() {} }"),
            ],
            &[
                "enum cachecompress::E [unix]",
                "variant cachecompress::E::V { .. } [unix]",
                "field cachecompress::E::V.f: u8 [unix, x]",
                "mod cachecompress::a [x]",
                "struct cachecompress::a::A [x]",
                "fn cachecompress::a::A::b() [unix, x]",
            ],
        );
    }

    #[test]
    fn private_item_of_another_condition_is_not_listed() {
        has(
            &[(
                "lib.rs",
                "#[cfg(unix)] mod a { pub struct A; }
                #[cfg(not(unix))] mod a { pub(crate) struct A; impl A { pub fn b() {} } }
                #[cfg(unix)] pub use a::A; mod c { pub mod d {} pub struct E; }",
            )],
            &["struct cachecompress::A [unix]"],
        );
    }

    #[test]
    fn hidden_item_and_those_of_tests_are_not_listed() {
        has(
            &[
                (
                    "lib.rs",
                    "pub struct A; impl A { #[doc(hidden)] pub fn b() {} }
                    #[doc(hidden)] pub mod c { pub fn d() {} }
                    #[cfg(any(test, fuzzing))] pub mod e { impl Clone for crate::A {} }
                    #[cfg(test)] pub fn f() {} #[doc(hidden)] pub use g::g; mod g;",
                ),
                ("g.rs", "pub fn g() {}"),
            ],
            &["struct cachecompress::A"],
        );
    }

    #[test]
    fn list_is_written_by_wish_and_never_in_ci() {
        assert!(writes(Some("1"), None));
        assert!(!writes(None, None) && !writes(Some("0"), None));
        assert!(!writes(Some("1"), Some("true")) && !writes(Some("1"), Some("")));
    }

    #[test]
    fn lines_in_another_order_are_a_difference() {
        let list = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(differences(&list(&["a", "b"]), &list(&["b", "a"])).len(), 1);
        assert!(differences(&list(&["a", "b"]), &list(&["a", "b"])).is_empty());
    }
}
