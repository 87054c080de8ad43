//! Published npm packages, as test input.

use std::fs;
use std::path::Path;

use crate::command::run;

/// The packages, with pinned versions.
const PACKAGES: [(&str, &str); 4] =
    [("bootstrap", "5.3.3"), ("d3", "7.9.0"), ("react-dom", "19.1.0"), ("monaco-editor", "0.52.0")];

/// Whether `dir` has every package.
pub(crate) fn is_complete(dir: &Path) -> bool {
    PACKAGES.iter().all(|(name, version)| dir.join(directory_of(name, version)).is_dir())
}

/// Downloads the packages that `dir` lacks.
pub(crate) fn fetch(dir: &Path) -> Result<(), String> {
    PACKAGES.iter().try_for_each(|(name, version)| fetch_package(dir, name, version))
}

/// Downloads one package. It is unpacked aside and renamed, so that an interrupted download leaves
/// no package.
fn fetch_package(dir: &Path, name: &str, version: &str) -> Result<(), String> {
    let package = dir.join(directory_of(name, version));
    if package.is_dir() {
        return Ok(());
    }
    let unfinished = dir.join("unfinished");
    let explained = |error: std::io::Error| format!("{}: {error}", unfinished.display());
    if unfinished.is_dir() {
        fs::remove_dir_all(&unfinished).map_err(explained)?;
    }
    fs::create_dir_all(&unfinished).map_err(explained)?;
    let aside = unfinished.to_string_lossy();
    let wanted = format!("{name}@{version}");
    run(&["npm", "pack", "--silent", "--pack-destination", &aside, &wanted])?;
    let archive = unfinished.join(format!("{name}-{version}.tgz"));
    run(&["tar", "-xzf", &archive.to_string_lossy(), "-C", &aside])?;
    fs::rename(unfinished.join("package"), &package).map_err(explained)?;
    fs::remove_dir_all(&unfinished).map_err(explained)
}

fn directory_of(name: &str, version: &str) -> String {
    format!("{name}-{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_directory_is_not_complete() {
        assert!(!is_complete(Path::new("/no/such/directory")));
    }
}
