//! `cargo xtask platforms`: checks the types of the library and the program for other platforms.
//!
//! A target that rustup has installed is checked by the usual compiler. For another one a compiler with
//! the sources of its own standard library builds that, too, as rustup's `rust-src` or Debian's
//! `rust-web-src` bring them. Dependencies in C are not compiled: types need none of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::command::{cargo, exit_code};
use crate::{step, workspace};

const TARGETS: [&str; 2] = ["aarch64-apple-darwin", "x86_64-pc-windows-msvc"];

/// A script that stands for a C compiler and an archiver: it makes empty archives.
const STUB: &str = "#!/bin/sh
for argument in \"$@\"; do
    case \"$argument\" in
        -out:* | /out:*) : > \"${argument#?out:}\" ;;
        *.a | *.lib) : > \"$argument\" ;;
    esac
done
";

/// Checks all targets, of which each that cannot be checked is skipped loudly.
pub(crate) fn run() -> ExitCode {
    let (mut checks, mut skipped) = (Vec::new(), 0);
    for target in TARGETS {
        match check(target) {
            Ok(check) => checks.push(check),
            Err(sentence) => {
                skipped += 1;
                println!("SKIPPED {target}: {sentence}");
            }
        }
    }
    let forbids_skips = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let ok = checks.is_empty() || step::run("types on other platforms", checks).ok;
    exit_code(ok && !(forbids_skips && skipped > 0))
}

/// The command that checks `target`.
fn check(target: &str) -> Result<Command, String> {
    let mut check = cargo(&["check", "--locked", "--target", target]);
    check.args(["--package", "cachecompress", "--package", "cachecompress-server"]);
    check.args(["--all-features"]).env("AWS_LC_SYS_PREBUILT_NASM", "1");
    let dir = workspace::root().join(workspace::target_dir()).join("platforms");
    check.env("CARGO_TARGET_DIR", &dir);
    if !is_installed(target) {
        let rustc = compilers().into_iter().find(|rustc| has_sources(rustc)).ok_or(
            "the compiler lacks the target, and none has the sources of its standard library; \
             `rustup target add` or `rustup component add rust-src` installs them",
        )?;
        // `-Z build-std` is for nightly compilers. The result is only looked at.
        check.args(["-Z", "build-std=std,panic_unwind"]).env("RUSTC_BOOTSTRAP", "1");
        check.env("RUSTC", rustc);
    }
    if cfg!(unix) && !target.contains(std::env::consts::OS) {
        let stub = stub(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        for tool in ["CC", "CXX", "AR", "RANLIB"] {
            check.env(format!("{tool}_{}", target.replace('-', "_")), &stub);
        }
    }
    Ok(check)
}

/// Writes the script that stands for the tools of C.
fn stub(dir: &Path) -> std::io::Result<PathBuf> {
    let path = dir.join("no-c.sh");
    fs::create_dir_all(dir)?;
    fs::write(&path, STUB)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

/// Whether the usual compiler has the standard library of `target`.
fn is_installed(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = printed(Path::new(&rustc), &["--print", "target-libdir", "--target", target]);
    libraries.is_some_and(|dir| dir.is_dir())
}

/// The compilers of this machine, the usual one first.
fn compilers() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = vec!["rustc".into()];
    found.extend(std::env::split_paths(&path).map(|dir| dir.join("rustc")));
    found.retain(|rustc| !rustc.is_absolute() || rustc.is_file());
    found
}

/// Whether a compiler has the sources of its standard library.
fn has_sources(rustc: &Path) -> bool {
    let sources = "lib/rustlib/src/rust/library/std/src/lib.rs";
    printed(rustc, &["--print", "sysroot"]).is_some_and(|root| root.join(sources).is_file())
}

/// The path that a compiler prints.
fn printed(rustc: &Path, arguments: &[&str]) -> Option<PathBuf> {
    let output = Command::new(rustc).args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(line.trim()))
}
