//! Names of files, types and functions mean something.

use proc_macro2::Ident;
use syn::visit::{self, Visit};

use crate::sources::{Source, hold, parse};
use crate::syntax::{definitions_among, each_stretch};

/// Words that say nothing, or something else than they mean here: see CONTRIBUTING.md.
const BANNED_WORDS: &[&str] =
    &["variant", "manager", "helper", "helpers", "util", "utils", "data", "process", "handle"];

/// File names, types and functions carry none of the [`BANNED_WORDS`].
fn names_mean_something(source: &Source) -> Vec<String> {
    let name = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    let mut complaints = Vec::new();
    if let Some(word) = banned_word(name) {
        complaints.push(source.complaint(1, &format!("`{word}` in the file's name")));
    }
    let file = match source.is_test() {
        true => parse(&source.path, &source.text),
        false => source.production(),
    };
    let mut names = Names::default();
    names.visit_file(&file);
    for (name, line) in names.0 {
        if let Some(word) = banned_word(&name) {
            complaints.push(source.complaint(line, &format!("`{word}` in the name `{name}`")));
        }
    }
    complaints
}

/// The names of functions, types and modules. An associated type's name is the trait's choice.
#[derive(Default)]
struct Names(Vec<(String, usize)>);

impl Names {
    fn take(&mut self, name: &Ident) {
        self.0.push((name.to_string(), name.span().start().line));
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.take(&signature.ident);
        visit::visit_signature(self, signature);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.take(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.take(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.take(&item.ident);
        visit::visit_item_union(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.take(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.take(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.take(&item.ident);
        visit::visit_item_mod(self, item);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        each_stretch(call.tokens.clone(), &mut |tokens| {
            let named = ["struct", "enum", "union", "trait", "mod", "fn"];
            let found = definitions_among(tokens).into_iter();
            let found = found.filter(|definition| named.contains(&definition.word));
            self.0.extend(found.map(|definition| (definition.name, definition.line)));
        });
    }
}

/// The banned word that is one of the words of `name`, in either case style.
fn banned_word(name: &str) -> Option<&'static str> {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    let first = snake.trim_start_matches('_').split('_').next().unwrap_or_default();
    BANNED_WORDS.iter().copied().find(|banned| match *banned {
        // A handle is a thing; to handle is to say nothing.
        "handle" => first == "handle" && snake.starts_with('h') && snake != "handle",
        banned => snake.split('_').any(|word| word == banned),
    })
}

#[test]
fn workspace_names_mean_something() {
    hold(names_mean_something);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{bites, library, passes};

    #[test]
    fn empty_name_of_a_file_is_found() {
        for path in ["utils.rs", "cache/manager.rs", "cache_helpers.rs"] {
            bites(names_mean_something, &library(path, ""));
        }
    }

    #[test]
    fn empty_name_in_code_is_found() {
        for text in [
            "pub struct CacheManager;",
            "fn process_file() {}",
            "enum Variant {}",
            "impl X { pub(crate) async fn handle_request() {} }",
            "mod data;",
            "type Utils = u8;",
            "pin_project! { pub struct BodyData { x: u8 } }",
            "fn outer() { fn process() {} }",
        ] {
            bites(names_mean_something, &library("lib.rs", text));
        }
        bites(names_mean_something, &Source::new("x/tests/it.rs", "#[test] fn process_ends() {}"));
    }

    #[test]
    fn telling_name_passes() {
        for text in [
            "pub struct Handle;",
            "fn processed() {}",
            "struct Metadata;",
            "fn handle() {}",
            "fn f() { let data = 1; }",
            "impl Body for X { type Data = Bytes; }",
        ] {
            passes(names_mean_something, &library("lib.rs", text));
        }
    }
}
