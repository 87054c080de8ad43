//! Functions and files stay short.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::sources::{Source, hold, parse, rust_files};
use crate::syntax::{attributes_of, definitions_among, each_stretch, is_test_only};

/// Functions stay under this many lines; a test that is a long table may be longer.
const LONGEST_FUNCTION: usize = 70;

/// Files stay under this many lines without their tests.
const LONGEST_FILE: usize = 600;

/// Files of one subject that is longer than [`LONGEST_FILE`]: the path, the lines under which it
/// stays, and the reason.
const LONG_FILES: &[(&str, usize, &str)] = &[];

fn functions_are_short(source: &Source) -> Vec<String> {
    if source.is_test() {
        return Vec::new();
    }
    let mut functions = Functions::default();
    functions.visit_file(&source.production());
    let long =
        functions.0.into_iter().filter(|(_, start, end)| end - start + 1 >= LONGEST_FUNCTION);
    long.map(|(name, start, end)| {
        source.complaint(start, &format!("`{name}` has {} lines", end - start + 1))
    })
    .collect()
}

/// The name, the first and the last line of each function.
#[derive(Default)]
struct Functions(Vec<(String, usize, usize)>);

impl Functions {
    fn take(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let start = signature.fn_token.span.start().line;
        let end = body.brace_token.span.close().start().line;
        self.0.push((signature.ident.to_string(), start, end));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.take(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.take(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.take(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        each_stretch(call.tokens.clone(), &mut |tokens| {
            let functions =
                definitions_among(tokens).into_iter().filter(|found| found.word == "fn");
            for function in functions {
                let Some(body) = function.body else { continue };
                let end = body.span_close().start().line;
                self.0.push((function.name, function.line, end));
            }
        });
    }
}

fn files_are_short(source: &Source) -> Vec<String> {
    if source.is_test() {
        return Vec::new();
    }
    let raised = LONG_FILES.iter().find(|(path, ..)| *path == source.path);
    let limit = raised.map_or(LONGEST_FILE, |(_, limit, _)| *limit);
    let length = length_without_tests(source);
    let mut complaints = Vec::new();
    if length >= limit {
        complaints.push(source.complaint(1, &format!("{length} lines without its tests")));
    }
    if raised.is_some() && length < LONGEST_FILE {
        complaints.push(source.complaint(1, "needs no place in LONG_FILES"));
    }
    complaints
}

fn length_without_tests(source: &Source) -> usize {
    let file = parse(&source.path, &source.text);
    let tests = file.items.iter().filter(|item| is_test_only(attributes_of(item)));
    let lines_of_tests: usize =
        tests.map(|item| item.span().end().line - item.span().start().line + 1).sum();
    source.text.lines().count() - lines_of_tests
}

#[test]
fn workspace_functions_are_short() {
    hold(functions_are_short);
}

#[test]
fn workspace_files_are_short() {
    hold(files_are_short);
}

#[test]
fn long_files_exist_and_have_a_reason() {
    let sources = rust_files();
    for (path, limit, reason) in LONG_FILES {
        assert!(sources.iter().any(|source| source.path == *path), "there is no `{path}`");
        assert!(*limit > LONGEST_FILE && !reason.is_empty(), "`{path}` needs no place here");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{bites, library, passes};

    #[test]
    fn long_function_is_found() {
        let rule = functions_are_short;
        let body =
            |lines: usize| format!("pub(crate) fn f() {{\n{}}}\n", "    x();\n".repeat(lines));
        bites(rule, &library("lib.rs", &body(68)));
        passes(rule, &library("lib.rs", &body(67)));
        passes(rule, &library("lib.rs", &format!("#[cfg(test)]\n{}", body(90))));
        passes(rule, &library("cache/tests.rs", &body(90)));
        bites(rule, &library("lib.rs", &format!("#[cfg(test)]\nmod tests;\n{}", body(68))));
        bites(rule, &library("lib.rs", &format!("wrap! {{ impl X {{\n{}}} }}", body(68))));
    }

    #[test]
    fn long_method_is_found() {
        let method = format!(
            "impl X {{\n    async fn g(\n        a: u8,\n    ) -> u8 {{\n{}    }}\n}}\n",
            "        x();\n".repeat(70)
        );
        bites(functions_are_short, &library("lib.rs", &method));
        let default = method.replace("impl", "trait");
        bites(functions_are_short, &library("lib.rs", &default));
        let bodiless = "trait T {\n    fn a(\n        x: u8,\n    ) -> u8;\n";
        let many = format!("{bodiless}{}}}\n", "    fn b();\n".repeat(90));
        passes(functions_are_short, &library("lib.rs", &many));
    }

    #[test]
    fn long_file_is_found() {
        bites(files_are_short, &library("lib.rs", &"//\n".repeat(600)));
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "//\n".repeat(900));
        passes(files_are_short, &library("lib.rs", &("//\n".repeat(599) + &tests)));
        bites(files_are_short, &library("lib.rs", &(tests + &"//\n".repeat(600))));
    }
}
