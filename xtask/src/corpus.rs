//! Real input: published packages as their authors ship them.

use std::fs;
use std::path::Path;

use crate::tools::run;

/// Packages of the npm registry, pinned.
const PACKAGES: [(&str, &str); 4] =
    [("bootstrap", "5.3.3"), ("d3", "7.9.0"), ("react-dom", "19.1.0"), ("monaco-editor", "0.52.0")];

/// Whether every package lies in `dir`.
pub(crate) fn is_whole(dir: &Path) -> bool {
    PACKAGES.iter().all(|(name, version)| dir.join(directory_of(name, version)).is_dir())
}

/// Fetches what `dir` lacks.
pub(crate) fn fetch(dir: &Path) -> Result<(), String> {
    PACKAGES.iter().try_for_each(|(name, version)| fetch_package(dir, name, version))
}

/// Unpacked aside and renamed, so that an interrupted fetch is no package.
fn fetch_package(dir: &Path, name: &str, version: &str) -> Result<(), String> {
    let place = dir.join(directory_of(name, version));
    if place.is_dir() {
        return Ok(());
    }
    let unfinished = dir.join("unfinished");
    let said = |error: std::io::Error| format!("{}: {error}", unfinished.display());
    if unfinished.is_dir() {
        fs::remove_dir_all(&unfinished).map_err(said)?;
    }
    fs::create_dir_all(&unfinished).map_err(said)?;
    let aside = unfinished.to_string_lossy();
    let wanted = format!("{name}@{version}");
    run(&["npm", "pack", "--silent", "--pack-destination", &aside, &wanted])?;
    let archive = unfinished.join(format!("{name}-{version}.tgz"));
    run(&["tar", "-xzf", &archive.to_string_lossy(), "-C", &aside])?;
    fs::rename(unfinished.join("package"), &place).map_err(said)?;
    fs::remove_dir_all(&unfinished).map_err(said)
}

fn directory_of(name: &str, version: &str) -> String {
    format!("{name}-{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_directory_is_not_whole() {
        assert!(!is_whole(Path::new("/no/such/directory")));
    }
}
