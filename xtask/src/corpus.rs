//! Published npm packages, as test input.

use std::path::Path;

use crate::npm;

/// The packages, with pinned versions.
const PACKAGES: [(&str, &str); 4] =
    [("bootstrap", "5.3.3"), ("d3", "7.9.0"), ("react-dom", "19.1.0"), ("monaco-editor", "0.52.0")];

/// Whether `dir` has every package.
pub(crate) fn is_complete(dir: &Path) -> bool {
    PACKAGES.iter().all(|(name, version)| dir.join(directory_of(name, version)).is_dir())
}

/// Downloads the packages that `dir` lacks.
pub(crate) fn fetch(dir: &Path) -> Result<(), String> {
    PACKAGES.iter().try_for_each(|(name, version)| {
        npm::fetch(&dir.join(directory_of(name, version)), name, version)
    })
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
