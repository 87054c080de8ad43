//! Files with secrets that every user of the machine may read.

use std::path::{Path, PathBuf};

use crate::config::ServeConfig;
use crate::printer::EscapedPath;

/// Returns a sentence for each file of `config` with a secret that every user of the machine may read.
///
/// A group that may read it is the operator's wish, as `ssl-cert` is on Debian. A file that cannot be
/// looked at is the failure of those who read it.
pub(crate) fn exposed_secrets(config: &ServeConfig) -> Vec<String> {
    let token = config.admin_token_file.iter().map(|file| ("--admin-token-file", file));
    let passwords = config.sites.iter().filter_map(|site| site.basic_auth.as_ref());
    let passwords = passwords.map(|file| ("--basic-auth", file));
    let keys = config.certificates().map(|(_, files)| ("--tls-key", &files.key));
    let signing = config.tier.iter().filter_map(|tier| tier.key_file.as_ref());
    let signing = signing.map(|file| ("--tier-key-file", file));
    let all = token.chain(passwords).chain(keys).chain(signing);
    let mut secrets: Vec<(&str, &PathBuf)> = all.collect();
    secrets.sort_unstable();
    secrets.dedup();
    let exposed = secrets.into_iter().filter(|(_, file)| is_exposed(file));
    let sentence = |(flag, file): (&str, &PathBuf)| {
        let file = EscapedPath(file);
        format!("every user of this machine may read {file} ({flag}); chmod o-r it")
    };
    exposed.map(sentence).collect()
}

#[cfg(unix)]
fn is_exposed(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// Windows has no such permissions.
#[cfg(not(unix))]
fn is_exposed(_: &Path) -> bool {
    false
}
