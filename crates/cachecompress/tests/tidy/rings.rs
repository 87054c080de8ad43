//! No two files of a crate import each other, directly or around a ring.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::imports::Import;
use crate::packages::packages;
use crate::sources::settle;

/// The names that tie one file to another, for each pair.
type Arrows<'a> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeSet<&'a str>>>;

/// One complaint for each ring of files, with what ties each of its arrows.
fn rings(imports: &[Import]) -> Vec<String> {
    let mut arrows = Arrows::new();
    for import in imports {
        let names = arrows.entry(&import.from).or_default().entry(&import.to).or_default();
        names.insert(&import.name);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|from| (*from, reachable(&arrows, from))).collect();
    let mut placed = BTreeSet::new();
    let mut complaints = Vec::new();
    for (file, beyond) in &reached {
        if placed.contains(file) || !beyond.contains(file) {
            continue;
        }
        let returns = |other: &&str| reached.get(other).is_some_and(|back| back.contains(file));
        let ring: BTreeSet<&str> = beyond.iter().copied().filter(returns).collect();
        complaints.push(picture(&ring, &arrows));
        placed.extend(ring);
    }
    complaints
}

/// All files that `from` imports, directly or not.
fn reachable<'a>(arrows: &Arrows<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(*next) {
                open.push(*next);
            }
        }
    }
    found
}

fn picture(ring: &BTreeSet<&str>, arrows: &Arrows<'_>) -> String {
    let mut text = format!("a ring of {} files:", ring.len());
    for from in ring {
        for (to, names) in arrows[from].iter().filter(|(to, _)| ring.contains(*to)) {
            let names: Vec<&str> = names.iter().copied().collect();
            write!(text, "\n    {from} -> {to}: {}", names.join(", ")).expect("a String takes all");
        }
    }
    text
}

#[test]
fn packages_have_no_rings_of_files() {
    let mut complaints = Vec::new();
    for package in packages() {
        let found = rings(&package.imports);
        complaints.extend(found.iter().map(|ring| format!("{}: {ring}", package.name)));
    }
    settle(&complaints);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::made_up;

    #[track_caller]
    fn is_ring(arrows: &[&str], files: &[(&str, &str)]) {
        let found = rings(&made_up(files));
        assert_eq!(found.len(), 1, "{found:?}");
        let lines = found[0].replace("crates/cachecompress/src/", "");
        let lines: Vec<&str> = lines.lines().skip(1).map(str::trim).collect();
        assert_eq!(lines, arrows);
    }

    #[track_caller]
    fn is_no_ring(files: &[(&str, &str)]) {
        assert_eq!(rings(&made_up(files)), Vec::<String>::new());
    }

    #[test]
    fn ring_of_two_is_found() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "use crate::a::{A as Other}; pub struct B(Box<Other>);"),
        ];
        is_ring(&["a.rs -> b.rs: B", "b.rs -> a.rs: A"], &files);
    }

    #[test]
    fn ring_of_three_is_found_and_its_neighbours_are_not() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use crate::c::*; use crate::d::D; pub struct B;"),
            ("c.rs", "use super::a::{self}; fn f(a: a::A) {} pub struct C;"),
            ("d.rs", "pub struct D;"),
            ("e.rs", "use crate::a::A;"),
        ];
        is_ring(&["a.rs -> b.rs: B", "b.rs -> c.rs: *", "c.rs -> a.rs: A"], &files);
    }

    #[test]
    fn ring_through_reexport_is_found_at_the_file_that_defines() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod inner; mod other; pub(crate) use inner::Inner; pub use other::*;"),
            ("a/inner.rs", "use crate::b::B; pub struct Inner;"),
            ("a/other.rs", "pub struct Other;"),
            ("b.rs", "use crate::a::{Inner, Other}; pub struct B;"),
        ];
        is_ring(&["a/inner.rs -> b.rs: B", "b.rs -> a/inner.rs: Inner"], &files);
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod other; pub use other::*;"),
            ("a/other.rs", "use crate::b::B; pub struct Other;"),
            ("b.rs", "use crate::a::Other; pub struct B;"),
        ];
        is_ring(&["a/other.rs -> b.rs: B", "b.rs -> a/other.rs: Other"], &files);
    }

    #[test]
    fn child_that_names_its_parents_struct_is_found() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b; pub struct Shared(b::B);"),
            ("a/b.rs", "pub struct B; fn f(shared: &super::Shared) {}"),
        ];
        is_ring(&["a/b.rs -> a/mod.rs: Shared", "a/mod.rs -> a/b.rs: B"], &files);
        let files = [
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b; use b::B; pub struct Shared(B);"),
            ("a/b.rs", "use super::*; pub struct B; impl Shared {}"),
        ];
        is_ring(&["a.rs -> a/b.rs: B", "a/b.rs -> a.rs: *, Shared"], &files);
    }

    #[test]
    fn impl_block_in_another_file_is_found() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub struct A; fn f() { crate::b::g() }"),
            ("b.rs", "impl crate::a::A {} pub fn g() {}"),
        ];
        is_ring(&["a.rs -> b.rs: g", "b.rs -> a.rs: A"], &files);
    }

    #[test]
    fn paths_in_code_patterns_macros_and_attributes_are_found() {
        for code in [
            "fn f() { crate::b::LIMIT; }",
            "fn f(x: u8) { match x { crate::b::LIMIT => {} _ => {} } }",
            "use crate::b; fn f(x: u8) -> [u8; b::LIMIT] { [] }",
            "fn f() { use crate::b; println!(\"{}\", b::LIMIT); }",
            "fn f() { mod inner { fn g() { assert!(crate::b::LIMIT > 0); } } }",
            "mod inner { use super::super::b::LIMIT; }",
            "macro_rules! m { () => { $crate::b::LIMIT } }",
            "#[arg(default = crate::b::LIMIT)] struct S;",
            "use crate::b::LIMIT as MOST; fn f() {}",
        ] {
            let code = format!("{code} pub const START: usize = 1;");
            let files = [
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", &*code),
                ("b.rs", "pub const LIMIT: usize = super::a::START;"),
            ];
            is_ring(&["a.rs -> b.rs: LIMIT", "b.rs -> a.rs: START"], &files);
        }
    }

    #[test]
    fn parents_own_use_of_what_it_exports_is_found() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b; pub(crate) use b::B; pub struct Shared; fn f(b: B) {}"),
            ("a/b.rs", "use super::Shared; pub struct B;"),
        ];
        is_ring(&["a/b.rs -> a/mod.rs: Shared", "a/mod.rs -> a/b.rs: B"], &files);
    }

    #[test]
    fn parents_own_use_in_a_pattern_is_found() {
        let files = [
            ("lib.rs", "mod a;"),
            (
                "a/mod.rs",
                "mod b; pub use b::B; pub struct Shared; fn f(x: u8) { match x { B => {} _ => {} } }",
            ),
            ("a/b.rs", "use super::Shared; pub const B: u8 = 1;"),
        ];
        is_ring(&["a/b.rs -> a/mod.rs: Shared", "a/mod.rs -> a/b.rs: B"], &files);
    }

    #[test]
    fn parents_private_use_line_is_found() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b; use b::Methods as _; pub struct Shared;"),
            ("a/b.rs", "use super::Shared; pub trait Methods {}"),
        ];
        is_ring(&["a/b.rs -> a/mod.rs: Shared", "a/mod.rs -> a/b.rs: Methods"], &files);
    }

    #[test]
    fn item_inside_a_macro_is_found() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pin_project! { pub struct A { #[pin] b: crate::b::B } }"),
            ("b.rs", "pub struct B(Box<super::a::A>);"),
        ];
        is_ring(&["a.rs -> b.rs: B", "b.rs -> a.rs: A"], &files);
    }

    #[test]
    fn import_for_tests_alone_is_no_arrow() {
        for code in [
            "#[cfg(test)] use crate::b::B;",
            "#[cfg(all(test, unix))] mod tests { use crate::b::B; }",
            "fn f() { #[cfg(test)] crate::b::B; }",
            "#[test] fn f() { crate::b::B; }",
        ] {
            let files = [
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", &*format!("pub struct A; {code}")),
                ("b.rs", "use crate::a::A; pub struct B;"),
            ];
            is_no_ring(&files);
        }
        is_no_ring(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "pub struct A; fn f() {} #[cfg(test)] mod tests;"),
            ("a/tests.rs", "use super::A; mod b;"),
        ]);
    }

    #[test]
    fn parents_mod_and_pub_use_are_no_arrows() {
        is_no_ring(&[
            ("lib.rs", "mod a; pub use a::B; pub use a::*; pub fn f() {}"),
            ("a/mod.rs", "mod b; pub(super) use b::B; pub struct Shared;"),
            ("a/b.rs", "use super::Shared; pub struct B; fn g() { crate::f() }"),
        ]);
    }

    #[test]
    fn names_of_other_crates_and_variables_are_no_arrows() {
        is_no_ring(&[
            ("lib.rs", "mod b; pub struct Root; fn f() { ::b::B; }"),
            ("b.rs", "use super::Root; pub struct B;"),
        ]);
        is_no_ring(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub struct A; pub fn f() {} fn g() { ::b::B; let h = 1; h; std::b::B; }"),
            ("b.rs", "pub use crate::a::{A, f}; pub struct B; pub fn h() {}"),
        ]);
        is_no_ring(&[
            ("lib.rs", "mod a;"),
            (
                "a.rs",
                "mod b; pub use b::limit; pub struct A; fn g(limit: u8) { m!(limit); limit; }",
            ),
            ("a/b.rs", "use super::A; pub fn limit() {}"),
        ]);
    }
}
