//! Installing Debian packages.

use std::process::Command;

use crate::command::{find_on_path, run, succeeds_quietly};

/// Installs `packages` as root or by sudo.
///
/// # Errors
///
/// One sentence, where that is not possible on this machine.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }
    let apt = find_on_path("apt-get").ok_or("no apt-get here, so nothing is installed")?;
    let sudo: &[&str] = if is_root() { &[] } else { &["sudo", "-n"] };
    if !is_root() && !succeeds_quietly(Command::new("sudo").args(["-n", "true"])) {
        return Err("not root and no sudo without a password, so nothing is installed".into());
    }
    let apt = apt.to_string_lossy();
    let start = [sudo, &["env", "DEBIAN_FRONTEND=noninteractive", &apt, "-qq"]].concat();
    run(&[&start[..], &["update"]].concat())?;
    let install = ["install", "--yes", "--no-install-recommends"];
    run(&[&start[..], &install, packages].concat())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
