//! `cargo xtask frameworks`: the programs of the book on frameworks that no test builds, compiled.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::command::{cargo, exit_code};
use crate::{step, workspace};

/// The start of the fence of such a program. The others name a file: ```` ```rust examples/… ````.
const PROGRAM: &str = "```rust ";
const MANIFEST: &str = "```toml Cargo.toml";

/// Compiles the program of each page of `docs/embed` that has one, with the newest releases that its
/// `Cargo.toml` takes.
pub(crate) fn run_all() -> ExitCode {
    let mut commands = Vec::new();
    for path in workspace::files_under(&workspace::root().join("docs/embed"), "md") {
        match prepare(&path) {
            Ok(None) => {}
            Ok(Some(manifest)) => {
                let mut command = cargo(&["check", "--manifest-path", &manifest]);
                // One directory of builds: the pages share most crates.
                command.env("CARGO_TARGET_DIR", dir().join("target"));
                commands.push(command);
            }
            Err(sentence) => {
                println!("{sentence}");
                return ExitCode::FAILURE;
            }
        }
    }
    let has_any = !commands.is_empty();
    exit_code(has_any && step::run("frameworks", commands).ok)
}

fn dir() -> std::path::PathBuf {
    workspace::root().join(workspace::target_dir()).join("frameworks")
}

/// Writes the package of a page, with the library of this repository. `None` if the page shows an example
/// of the workspace.
fn prepare(page: &Path) -> Result<Option<String>, String> {
    let explained = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(page).map_err(|error| explained(page, error))?;
    let Some((fence, program)) = block(&text, PROGRAM).filter(|(fence, _)| !fence.ends_with(".rs"))
    else {
        return Ok(None);
    };
    let (_, manifest) = block(&text, MANIFEST).ok_or("a page without a Cargo.toml")?;
    let name = fence.split(' ').next().unwrap_or(fence);
    let library = workspace::root().join("crates/cachecompress");
    let manifest = format!(
        "[package]\nname = \"{name}-page\"\nedition = \"2024\"\n\n{manifest}\n[workspace]\n\n\
         [patch.crates-io]\ncachecompress = {{ path = {:?} }}\n",
        library.to_string_lossy()
    );
    let package = dir().join(name);
    let source = package.join("src");
    fs::create_dir_all(&source).map_err(|error| explained(&source, error))?;
    for (path, text) in
        [(source.join("main.rs"), program), (package.join("Cargo.toml"), manifest.as_str())]
    {
        fs::write(&path, text).map_err(|error| explained(&path, error))?;
    }
    // Without it, cargo takes the newest releases.
    drop(fs::remove_file(package.join("Cargo.lock")));
    Ok(Some(package.join("Cargo.toml").to_string_lossy().into_owned()))
}

/// The rest of the line of the first fence that begins so, and the text of its block.
fn block<'a>(page: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    let at = page.find(&format!("\n{start}"))? + 1 + start.len();
    let (fence, rest) = page[at..].split_once('\n')?;
    Some((fence, rest.split_once("```\n")?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_finds_the_first_of_its_kind() {
        let page = "# A\n\n```toml Cargo.toml\n[dependencies]\n```\n\n```rust axum 0.8\nfn main() {}\n```\n";
        assert_eq!(block(page, PROGRAM), Some(("axum 0.8", "fn main() {}\n")));
        assert_eq!(block(page, MANIFEST), Some(("", "[dependencies]\n")));
        assert_eq!(block(page, "```yaml "), None);
    }

    #[test]
    fn pages_on_leptos_dioxus_and_tonic_have_programs() {
        for name in ["leptos", "dioxus", "tonic"] {
            let path = workspace::root().join(format!("docs/embed/{name}.md"));
            let text = fs::read_to_string(path).expect("a page");
            let fence = block(&text, PROGRAM).map(|(fence, _)| fence.split(' ').next());
            assert_eq!(fence, Some(Some(name)), "{name}");
            assert!(block(&text, MANIFEST).is_some(), "{name}");
        }
    }
}
