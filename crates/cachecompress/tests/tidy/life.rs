//! The life of a request, as `docs/design.md` tells it, names functions that exist.

use std::fs;

use syn::visit::{self, Visit};
use syn::{ImplItem, Item, TraitItem, Type};

use crate::sources::{LIBRARY, Source, root, rust_files, settle};

/// The section of `docs/design.md` that holds the table.
const SECTION: &str = "## The life of a request";

/// The head of the table.
const HEAD: [&str; 4] = ["hop", "file", "function", "what it decides"];

/// A table of fewer hops than these does not tell the whole way.
const FEWEST_HOPS: usize = 5;

/// A row of the table.
struct Hop {
    line: usize,
    /// Below the library's `src`.
    file: String,
    /// `Type::method`, or the name of a free function.
    function: String,
}

/// Holds the table in `design` against the library's files.
fn hops_exist(design: &str, sources: &[Source]) -> Vec<String> {
    let hops = hops_of(design);
    let mut complaints = Vec::new();
    if hops.len() < FEWEST_HOPS {
        let found = hops.len();
        complaints.push(format!("`{SECTION}` has {found} hops, not {FEWEST_HOPS} or more"));
    }
    for Hop { line, file, function } in hops {
        let path = format!("{LIBRARY}{file}");
        let wrong = match sources.iter().find(|source| source.path == path) {
            None => format!("there is no file `{file}`"),
            Some(source) if !defines(&source.production(), &function) => {
                format!("`{file}` does not define `{function}`")
            }
            Some(_) => continue,
        };
        complaints.push(format!("docs/design.md:{line}: {wrong}"));
    }
    complaints
}

/// The rows of the table under [`SECTION`].
fn hops_of(design: &str) -> Vec<Hop> {
    let lines = design.lines().enumerate().map(|(index, line)| (index + 1, line));
    let section = lines.skip_while(|(_, line)| *line != SECTION).skip(1);
    let section = section.take_while(|(_, line)| !line.starts_with("## "));
    let mut hops = Vec::new();
    let mut inside = false;
    for (line, text) in section {
        let cells = cells_of(text);
        inside = cells == HEAD || inside && !cells.is_empty();
        let is_rule = |cell: &&str| cell.chars().all(|c| "-:".contains(c));
        if !inside || cells == HEAD || cells.iter().all(is_rule) {
            continue;
        }
        let cell = |at: usize| cells.get(at).map_or("", |cell| cell.trim_matches('`')).to_owned();
        hops.push(Hop { line, file: cell(1), function: cell(2) });
    }
    hops
}

fn cells_of(line: &str) -> Vec<&str> {
    let inner = line.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|'));
    inner.map(|cells| cells.split('|').map(str::trim).collect()).unwrap_or_default()
}

/// Whether `file` defines `function`, outside of tests.
fn defines(file: &syn::File, function: &str) -> bool {
    let (owner, name) = match function.rsplit_once("::") {
        Some((owner, name)) => (Some(owner), name),
        None => (None, function),
    };
    let mut search = Search { owner, name, found: false };
    search.visit_file(file);
    search.found
}

struct Search<'a> {
    /// The type or trait of a method.
    owner: Option<&'a str>,
    name: &'a str,
    found: bool,
}

impl Visit<'_> for Search<'_> {
    fn visit_item(&mut self, item: &Item) {
        let name = self.name;
        self.found |= match item {
            Item::Fn(function) => self.owner.is_none() && function.sig.ident == name,
            Item::Impl(block) => {
                let is_it =
                    |item: &ImplItem| matches!(item, ImplItem::Fn(f) if f.sig.ident == name);
                self.owner.is_some_and(|owner| is_named(&block.self_ty, owner))
                    && block.items.iter().any(is_it)
            }
            Item::Trait(block) => {
                let is_it =
                    |item: &TraitItem| matches!(item, TraitItem::Fn(f) if f.sig.ident == name);
                self.owner.is_some_and(|owner| block.ident == owner)
                    && block.items.iter().any(is_it)
            }
            _ => false,
        };
        visit::visit_item(self, item);
    }
}

fn is_named(of: &Type, name: &str) -> bool {
    let Type::Path(path) = of else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == name)
}

#[test]
fn life_of_a_request_names_functions_that_exist() {
    let design = fs::read_to_string(root().join("docs/design.md")).expect("the design");
    settle(&hops_exist(&design, &rust_files()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::library;

    const ROWS: [&str; 5] = [
        "| 1 | service/mod.rs | `Serve::call` | begins |",
        "| 2 | `service/mod.rs` | `locate` | finds |",
        "| 3 | service/mod.rs | `Plan::plan` | plans |",
        "| 4 | service/mod.rs | `Serve::select` | selects |",
        "| 5 | service/mod.rs | `respond` | answers |",
    ];

    fn complaints(rows: &[&str]) -> Vec<String> {
        let text = "
            pub struct Serve<S>(S);
            impl<S> Serve<S> { fn select() {} }
            impl<S> tower::Service for Serve<S> { fn call() {} }
            trait Plan { fn plan(); }
            fn locate() {}
            mod inner { fn respond() {} }
            #[cfg(test)] fn only_tested() {}";
        let rows = rows.join("\n");
        let head = format!("| {} |\n|---|---|---|:--|", HEAD.join(" | "));
        let design =
            format!("{SECTION}\n\nText.\n\n{head}\n{rows}\n\n## Next\n\n{head}\n| x | y | z | |\n");
        hops_exist(&design, &[library("service/mod.rs", text)])
    }

    #[test]
    fn table_of_existing_functions_passes() {
        assert_eq!(complaints(&ROWS), Vec::<String>::new());
    }

    #[test]
    fn short_table_is_found() {
        assert_eq!(complaints(&ROWS[1..]).len(), 1);
        assert_eq!(hops_exist("# Design\n", &[]).len(), 1);
    }

    #[test]
    fn hop_that_is_gone_is_found() {
        for wrong in [
            "| 6 | service/again.rs | `locate` | no such file |",
            "| 6 | service/mod.rs | `Serve::locate` | a function, not a method |",
            "| 6 | service/mod.rs | `select` | a method, not a function |",
            "| 6 | service/mod.rs | `Plan::select` | another type's method |",
            "| 6 | service/mod.rs | `only_tested` | a test's function |",
            "| 6 | service/mod.rs |",
        ] {
            let rows = [&ROWS[..], &[wrong]].concat();
            assert_eq!(complaints(&rows).len(), 1, "{wrong}");
        }
    }
}
