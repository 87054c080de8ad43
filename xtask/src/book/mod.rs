//! `cargo xtask book`: the book of `docs/`, built and checked.

mod links;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::command::{exit_code, run};
use crate::step::{self, StepResult};
use crate::{tools, workspace};

/// Builds the book by mdBook, which is installed where that is allowed, and checks its links.
pub(crate) fn run_all() -> ExitCode {
    match build() {
        Ok(complaints) => {
            complaints.iter().for_each(|sentence| println!("{sentence}"));
            println!("{} wrong links in {}", complaints.len(), dir().display());
            exit_code(complaints.is_empty())
        }
        Err(sentence) => {
            println!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the chore as a step of the tests.
///
/// # Errors
///
/// If there is no mdBook, and it cannot be installed.
pub(crate) fn run_step() -> Result<StepResult, String> {
    tools::mdbook()?;
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(this);
    command.arg("book").current_dir(workspace::root());
    Ok(step::run("book", vec![command]))
}

fn dir() -> PathBuf {
    workspace::root().join(workspace::target_dir()).join("book")
}

fn build() -> Result<Vec<String>, String> {
    let mdbook = tools::mdbook()?;
    let (root, out) = (workspace::root(), dir());
    let text = |path: &Path| path.to_string_lossy().into_owned();
    run(&[&*text(&mdbook), "build", "--dest-dir", &text(&out), &text(root)])?;
    links::check(&out, root)
}
