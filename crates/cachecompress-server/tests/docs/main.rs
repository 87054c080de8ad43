//! The pages of `docs/tasks` and the README, block by block.
//!
//! Each page gets an empty directory with a few files, the program first in the `PATH`, and a curl
//! that finds the program under every host and port. `page.rs` has the kinds of blocks. A block of
//! another kind fails the test, so no block of a page goes untried.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a failing unwrap is a failing test")]

#[path = "../common/mod.rs"]
mod common;
mod page;
mod peers;
mod stage;

use common::*;
use page::Page;
use stage::Stage;

/// Reads and runs a page.
#[track_caller]
fn run(path: &str) {
    let page = Page::read(&repository().join(path));
    let Some(mut stage) = Stage::for_page(&page) else { return };
    for block in &page.blocks {
        stage.run(block);
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A test for each page, and the list of the pages.
macro_rules! pages {
    ($($test:ident $name:literal)*) => {
        const PAGES: &[&str] = &[$($name),*];
        $(#[test] fn $test() { run(concat!("docs/tasks/", $name, ".md")); })*
    };
}

pages! {
    caddy_page_holds "from-caddy"
    downloads_page_holds "downloads"
    headers_page_holds "headers"
    inspect_page_holds "inspect"
    netlify_page_holds "from-netlify"
    nginx_page_holds "from-nginx"
    single_page_app_page_holds "single-page-app"
    static_web_server_page_holds "from-static-web-server"
    tls_page_holds "tls"
    warm_page_holds "warm"
}

#[test]
fn readme_holds() {
    run("README.md");
}

#[test]
fn every_page_has_a_test_and_a_link() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let pages = fs::read_dir(repository().join("docs/tasks")).unwrap();
    let mut names: Vec<_> =
        pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut tested: Vec<_> = PAGES.iter().map(|name| format!("{name}.md")).collect();
    tested.sort();
    assert_eq!(names, tested, "pages and tests");
    for name in tested {
        assert!(readme.contains(&format!("(docs/tasks/{name})")), "README.md links no {name}");
    }
}
