//! The crates as they are published.

use std::process::Command;

use crate::common::*;
use crate::{repository, stdout};

#[test]
fn crates_have_sources_licences_and_a_readme_alone() {
    for name in ["cachecompress", "cachecompress-build", "cachecompress-server"] {
        let mut list = Command::new(env!("CARGO"));
        list.args(["package", "--list", "--allow-dirty", "--package", name]);
        let files = stdout(list.current_dir(repository()));
        let expected = [
            "Cargo.lock",
            "Cargo.toml",
            "Cargo.toml.orig",
            "LICENSE-APACHE",
            "LICENSE-MIT",
            "README.md",
        ];
        for file in expected {
            assert!(files.lines().any(|line| line == file), "{name} has no {file}: {files}");
        }
        let other: Vec<&str> = files
            .lines()
            .filter(|file| !file.starts_with("src/") && !expected.contains(file))
            .filter(|file| *file != ".cargo_vcs_info.json")
            .collect();
        assert_eq!(other, [""; 0], "{name}");
        let licence =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../").join(name).join("LICENSE-MIT");
        assert!(fs::read_to_string(licence).unwrap().contains("Permission is hereby granted"));
    }
}
