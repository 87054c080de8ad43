//! The man pages and the completions of all shells.

use std::process::Command;

use cachecompress_test::tools::{packaged, require};

use crate::common::*;
use crate::stdout;

#[test]
fn man_pages_are_well_formed() {
    let Some((mandoc, packaged)) = require("mandoc").zip(packaged()) else { return };
    let pages: Vec<PathBuf> =
        fs::read_dir(packaged.join("man")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(pages.len() >= 5, "{pages:?}");
    let done =
        Command::new(&mandoc).args(["-T", "lint", "-W", "error"]).args(&pages).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    let serve = packaged.join("man/cachecompress-serve.1");
    let text = stdout(Command::new(&mandoc).args(["-T", "utf8", "-O", "width=80"]).arg(serve));
    // Bold letters are struck twice.
    let text: Vec<char> = text.chars().collect();
    let letters = text
        .iter()
        .enumerate()
        .filter(|(at, letter)| **letter != '\u{8}' && text.get(at + 1) != Some(&'\u{8}'));
    let text: String = letters.map(|(_, letter)| *letter).collect();
    for part in ["--cache-size", "CACHECOMPRESS_CACHE_SIZE", "Exit codes"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn completions_parse_in_their_shells() {
    let Some(packaged) = packaged() else { return };
    for (shell, file) in
        [("bash", "cachecompress"), ("zsh", "_cachecompress"), ("fish", "cachecompress.fish")]
    {
        let shell = match shell {
            "bash" => require("bash"),
            "zsh" => require("zsh"),
            _ => require("fish"),
        };
        let Some(shell) = shell else { continue };
        stdout(Command::new(shell).arg("-n").arg(packaged.join("completions").join(file)));
    }
}
