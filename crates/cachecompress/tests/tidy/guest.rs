//! The library leaves the other dependencies of an application as they are.
//!
//! Cargo builds each dependency once, with the features of all that ask for it. A feature that the
//! library asks for is therefore on in the whole application.

use std::fs;

use crate::sources::{Source, root, settle};

/// Features that change how a crate acts for its other users.
const SWITCHES: [&str; 5] =
    ["http2", "deterministic-timestamps", "debug-embed", "experimental", "zlib-rs"];

/// Returns the name of the dependency in a line of a manifest.
fn name(line: &str) -> &str {
    let end = line.find(['.', ' ', '=']).unwrap_or(0);
    if line.starts_with('#') { "" } else { &line[..end] }
}

/// Complains of a pin, and of a feature in [`SWITCHES`], in a line of the library or in the
/// workspace's line of the same name.
fn library_is_a_good_guest(library: &Source, workspace: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut inside = false;
    for (index, line) in library.text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-dependencies");
            continue;
        }
        let dependency = name(line);
        if !inside || dependency.is_empty() {
            continue;
        }
        let inherited = workspace.text.lines().find(|line| name(line) == dependency);
        for line in [Some(line), inherited].into_iter().flatten() {
            if line.contains("\"=") {
                let what = format!("`{dependency}` is pinned, which other crates cannot join");
                complaints.push(library.complaint(index + 1, &what));
            }
            for switch in SWITCHES.iter().filter(|switch| line.contains(&format!("\"{switch}\""))) {
                let what = format!("`{dependency}/{switch}` acts in the whole application");
                complaints.push(library.complaint(index + 1, &what));
            }
        }
    }
    complaints
}

#[test]
fn library_switches_nothing_on_in_an_application() {
    let read = |path: &str| {
        let text = fs::read_to_string(root().join(path)).expect("a manifest");
        Source::new(path, &text)
    };
    settle(&library_is_a_good_guest(&read("crates/cachecompress/Cargo.toml"), &read("Cargo.toml")));
}

#[test]
fn pin_and_switch_are_found_in_either_manifest() {
    let workspace = "axum = { version = \"0.8\", features = [\"http2\"] }\nbytes = \"=1.2\"\n";
    let library = "[dependencies]\naxum = { workspace = true, optional = true }\n\
                   bytes.workspace = true\nzstd-safe = { version = \"8\", \
                   features = [\"experimental\"] }\n[dev-dependencies]\nhyper = \"=1\"\n";
    let found = library_is_a_good_guest(
        &Source::new("crates/cachecompress/Cargo.toml", library),
        &Source::new("Cargo.toml", workspace),
    );
    assert_eq!(found.len(), 3, "{found:?}");
}
