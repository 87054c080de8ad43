//! The pages of the book that have commands, and the README, block by block.
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
        $(#[test] fn $test() { run(concat!("docs/", $name, ".md")); })*
    };
}

pages! {
    alerts_page_holds "operate/alerts"
    axum_page_holds "embed/axum"
    caddy_page_holds "tasks/from-caddy"
    cdn_page_holds "operate/cdn"
    containers_page_holds "operate/containers"
    dashboard_page_holds "tasks/dashboard"
    dioxus_page_holds "embed/dioxus"
    downloads_page_holds "tasks/downloads"
    headers_page_holds "tasks/headers"
    hyper_page_holds "embed/hyper"
    inspect_page_holds "tasks/inspect"
    leptos_page_holds "embed/leptos"
    netlify_page_holds "tasks/from-netlify"
    nginx_page_holds "tasks/from-nginx"
    permissions_page_holds "operate/permissions"
    questions_page_holds "faq"
    replicas_page_holds "operate/replicas"
    second_pass_page_holds "operate/second-pass"
    single_page_app_page_holds "tasks/single-page-app"
    sizing_page_holds "operate/sizing"
    start_page_holds "start"
    static_web_server_page_holds "tasks/from-static-web-server"
    tier_page_holds "operate/tier"
    tls_page_holds "tasks/tls"
    tonic_page_holds "embed/tonic"
    updates_page_holds "tasks/updates"
    warm_page_holds "tasks/warm"
}

#[test]
fn readme_holds() {
    run("README.md");
}

#[test]
fn every_page_of_these_folders_has_a_test() {
    let docs = repository().join("docs");
    let in_folder = |folder: &&str| {
        let folder = format!("{folder}/");
        let pages = fs::read_dir(docs.join(&folder)).unwrap();
        let name = |page: fs::DirEntry| page.file_name().into_string().unwrap();
        let path = move |page: String| format!("{folder}{}", page.strip_suffix(".md").unwrap());
        pages.map(move |page| path(name(page.unwrap()))).collect::<Vec<_>>()
    };
    let mut pages: Vec<_> = ["embed", "operate", "tasks"].iter().flat_map(in_folder).collect();
    pages.extend(["faq", "start"].map(String::from));
    pages.sort();
    let mut tested = PAGES.to_vec();
    tested.sort_unstable();
    assert_eq!(pages, tested, "pages and tests");
}

#[test]
fn alerts_page_names_every_alert() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let rules = read("deploy/prometheus/alerts.yml");
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let mut alerts: Vec<_> = alerts.collect();
    alerts.sort_unstable();
    let page = read("docs/operate/alerts.md");
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    let mut named: Vec<_> = headings.collect();
    named.sort_unstable();
    assert_eq!(named, alerts, "docs/operate/alerts.md on the left, the rules on the right");
}
