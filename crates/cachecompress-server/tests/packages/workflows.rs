//! The workflows, the Dockerfile and the scripts, read by the linters of each.

use std::process::Command;

use cachecompress_test::tools::require;

use crate::{repository, stdout};

#[test]
fn workflows_and_dockerfile_have_no_complaint() {
    let Some(linters) = require("linters") else { return };
    let Some(shellcheck) = require("shellcheck") else { return };
    let programs = linters.parent().unwrap();
    let mut actionlint = Command::new(programs.join("actionlint"));
    actionlint.arg("-shellcheck").arg(&shellcheck).args(["-pyflakes", ""]);
    let workflows = [".github/workflows/ci.yml", ".github/workflows/release.yml"];
    stdout(actionlint.args(workflows).current_dir(repository()));
    let mut hadolint = Command::new(programs.join("hadolint"));
    stdout(hadolint.arg("deploy/docker/Dockerfile").current_dir(repository()));
    let mut scripts = Command::new(&shellcheck);
    scripts.args(["--shell", "sh", "deploy/debian/postinst", "deploy/debian/postrm"]);
    scripts.args(["deploy/rpm/post.sh", "deploy/rpm/preun.sh", "deploy/rpm/postun.sh"]);
    stdout(scripts.current_dir(repository()));
    let mut step = Command::new(shellcheck);
    stdout(step.arg("deploy/action/warm.sh").current_dir(repository()));
}
