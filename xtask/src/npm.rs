//! Packages of npm.

use std::fs;
use std::path::Path;

use crate::command::run;

/// Installs `name@version`, with the packages that it depends on, into the directory `dir`, in place of what is
/// there.
pub(crate) fn install(dir: &Path, name: &str, version: &str) -> Result<(), String> {
    let explained = |error: std::io::Error| format!("{}: {error}", dir.display());
    if dir.is_dir() {
        fs::remove_dir_all(dir).map_err(explained)?;
    }
    fs::create_dir_all(dir).map_err(explained)?;
    let wanted = format!("{name}@{version}");
    let install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
    run(&[&install[..], &["--prefix", &dir.to_string_lossy(), &wanted]].concat())
}

/// Downloads `name@version`, without the packages that it depends on, into the directory `package`, if that is not there. It is unpacked aside and
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
