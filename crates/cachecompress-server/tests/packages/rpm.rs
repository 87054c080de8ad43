//! The RPM package: its list, its scripts and its needs.

use std::collections::BTreeSet;
use std::process::Command;

use cachecompress_test::tools::{built_package, require};

use crate::stdout;

/// Files that have another name in the Debian package, or belong to it alone.
fn is_elsewhere(path: &str) -> bool {
    path.starts_with("/usr/share/zsh/")
        || path.starts_with("/usr/share/doc/")
        || path.starts_with("/usr/share/licenses/")
        || path.ends_with('/')
}

#[test]
fn rpm_package_has_the_files_of_the_debian_one() {
    let Some((rpm, dpkg)) = require("rpm").zip(require("dpkg-deb")) else { return };
    let Some((package, debian)) = built_package("rpm").zip(built_package("deb")) else { return };
    let files = stdout(Command::new(rpm).arg("-qpl").arg(package));
    assert!(files.contains("/usr/share/man/man1/cachecompress-serve.1.gz\n"), "{files}");
    let files: BTreeSet<&str> = files
        .lines()
        .map(|path| path.trim_end_matches(".gz"))
        .filter(|path| !is_elsewhere(path))
        .collect();
    let contents = stdout(Command::new(dpkg).arg("--contents").arg(debian));
    let contents = contents.lines().filter_map(|line| line.rsplit(" .").next());
    let contents: BTreeSet<&str> = contents
        .map(|path| path.trim_end_matches(".gz"))
        .filter(|path| !is_elsewhere(path))
        .collect();
    assert!(files.contains("/usr/bin/cachecompress"), "{files:?}");
    assert_eq!(files, contents);
}

#[test]
fn rpm_package_keeps_the_configuration_and_makes_the_user() {
    let Some(rpm) = require("rpm") else { return };
    let Some(package) = built_package("rpm") else { return };
    let ask = |flag: &str| stdout(Command::new(&rpm).args(["-qp", flag]).arg(&package));
    assert_eq!(ask("--configfiles").trim(), "/etc/cachecompress/cachecompress.toml");
    let scripts = ask("--scripts");
    for part in
        ["systemd-sysusers cachecompress.conf", "preset cachecompress.socket", "disable --now"]
    {
        assert!(scripts.contains(part), "{part:?} is not in {scripts}");
    }
    let info = ask("--info");
    for part in [
        "Name        : cachecompress",
        "License     : MIT OR Apache-2.0",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(info.contains(part), "{part:?} is not in {info}");
    }
}
