//! The imports of a crate's files: each name that one file takes from another.

use crate::mentions::Use;
use crate::modules::{Found, Tree};
use crate::syntax::Written;

/// A name that the file `from` takes from the file `to`, which defines it.
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) to: String,
    /// `*` for all that is public there.
    pub(crate) name: String,
    pub(crate) line: usize,
    /// Whether the path takes a name that the crate's root exports again.
    pub(crate) through_root: bool,
}

/// The imports of all files of `tree`, by their `use` lines and by the paths in their code.
///
/// A name counts for the file that defines it, wherever it is exported again. No import is:
///
/// - the name of a module alone, for what is taken from it is seen by itself;
/// - a parent's `pub use` of what lies in it, unless its own code uses the name;
/// - the call of a method, which no path tells.
pub(crate) fn imports(tree: &Tree) -> Vec<Import> {
    let mut found = Vec::new();
    for (module, here) in tree.modules.iter().enumerate() {
        let mentions = &here.mentions;
        for line in mentions.uses.iter().chain(&mentions.local_uses) {
            found.extend(imports_of_line(tree, module, line));
        }
        for path in &mentions.paths {
            found.extend(imports_of_path(tree, module, path));
        }
    }
    found.retain(|import| import.from != import.to);
    found
}

fn imports_of_line(tree: &Tree, module: usize, line: &Use) -> Vec<Import> {
    let is_own = |defined: usize| line.public && tree.is_within(defined, module);
    let targets = tree.resolve(module, &line.path).into_iter();
    let taken = targets.filter_map(|target| match target {
        Found::Item(defined, name) => (!is_own(defined)).then_some((defined, name)),
        Found::Module(whole) => {
            let all = line.name.is_none() && tree.modules[whole].has_items() && !is_own(whole);
            all.then_some((whole, "*".to_owned()))
        }
    });
    taken.map(|(defined, name)| import(tree, module, &line.path, defined, name)).collect()
}

fn imports_of_path(tree: &Tree, module: usize, path: &Written) -> Vec<Import> {
    let targets = tree.resolve(module, path).into_iter();
    let taken = targets.filter_map(|target| match target {
        Found::Item(defined, name) => Some(import(tree, module, path, defined, name)),
        Found::Module(_) => None,
    });
    taken.collect()
}

fn import(tree: &Tree, module: usize, path: &Written, defined: usize, name: String) -> Import {
    Import {
        from: tree.modules[module].file.clone(),
        to: tree.modules[defined].file.clone(),
        name,
        line: path.line,
        through_root: tree.goes_through_root(module, path),
    }
}
