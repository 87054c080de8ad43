//! Packages of npm: downloaded and unpacked, without those that they depend on.

use std::fs;
use std::path::Path;

use crate::command::run;

/// Downloads `name@version` into the directory `package`, if that is not there. It is unpacked aside and
/// renamed, so that an interrupted download leaves no package.
pub(crate) fn fetch(package: &Path, name: &str, version: &str) -> Result<(), String> {
    if package.is_dir() {
        return Ok(());
    }
    let unfinished = package.with_file_name("unfinished");
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
    fs::rename(unfinished.join("package"), package).map_err(explained)?;
    fs::remove_dir_all(&unfinished).map_err(explained)
}

/// Whether the directory `package` has this version.
pub(crate) fn is_version(package: &Path, version: &str) -> bool {
    let manifest = fs::read_to_string(package.join("package.json")).unwrap_or_default();
    manifest.contains(&format!("\"version\": \"{version}\""))
}
