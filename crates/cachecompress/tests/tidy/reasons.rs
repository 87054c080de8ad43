//! Every dependency that a user of ours gets stands in `docs/dependencies.md` with its reason.

use std::fs;

use crate::sources::{Source, files, root, settle};

fn dependencies_have_reasons(manifest: &Source, reasons: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut inside = false;
    for (number, line) in manifest.text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-dependencies");
            continue;
        }
        let end = line.find(['.', ' ', '=']).unwrap_or(0);
        let name = &line[..end];
        let ours = name.starts_with("cachecompress");
        if inside && !name.is_empty() && !line.starts_with('#') && !ours {
            let listed = reasons.lines().any(|reason| reason.contains(&format!("`{name}`")));
            if !listed {
                let what = format!("`{name}` has no line in docs/dependencies.md");
                complaints.push(manifest.complaint(number, &what));
            }
        }
    }
    complaints
}

#[test]
fn workspace_dependencies_have_reasons() {
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).expect("the list");
    let manifests = files("Cargo.toml");
    let held = manifests.iter().flat_map(|file| dependencies_have_reasons(file, &reasons));
    settle(&held.collect::<Vec<_>>());
}

#[test]
fn dependency_without_a_reason_is_found() {
    let text =
        "[dependencies]\nbytes.workspace = true\n[dev-dependencies]\nproptest.workspace = true\n";
    let manifest = Source::new("crates/x/Cargo.toml", text);
    assert_eq!(dependencies_have_reasons(&manifest, "").len(), 1);
    assert!(dependencies_have_reasons(&manifest, "| `bytes` | shared buffers |").is_empty());
}
