//! The paths of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// The profile of the shipped program, which is also the name of its directory of builds.
pub(crate) const SHIPPED: &str = "dist";

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The directory of builds, installed tools and downloaded test input.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The files under `dir` with this extension.
pub(crate) fn files_under(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files_under(&path, extension),
            path if path.extension().is_some_and(|found| found == extension) => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn dev_profile_optimises_dependencies_only() {
        let read = |path: PathBuf| fs::read_to_string(path).expect("a manifest");
        let profile = read(root().join("Cargo.toml"));
        let plain = profile.lines().filter_map(|line| line.strip_suffix(" = { opt-level = 0 }"));
        let plain: BTreeSet<String> = plain.map(String::from).collect();
        let crates = fs::read_dir(root().join("crates")).expect("the crates");
        let crates = crates.map(|entry| entry.expect("a crate").path());
        let others = ["bench", "examples", "xtask"].map(|name| root().join(name));
        let name_of = |dir: PathBuf| {
            let manifest = read(dir.join("Cargo.toml"));
            let name = manifest.lines().find_map(|line| line.strip_prefix("name = "));
            name.expect("a name").trim_matches('"').to_owned()
        };
        assert_eq!(plain, crates.chain(others).map(name_of).collect());
    }
}
