//! Sites as the newest tools build them, clicked through in a browser.
//!
//! `cargo xtask sites` builds them and runs this program, which is no part of a plain `cargo test`.
//! `tests/it/sites` has small ones for every run.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../it/sites/devtools.rs"]
#[allow(dead_code, reason = "`it` uses the rest")]
mod devtools;

use cachecompress_test::tools::{built_site, require};

use crate::common::*;
use crate::devtools::Tab;

/// Pages that a crawl visits at most.
const MOST: usize = 15;

/// Serves a built site with `flags` and clicks through it.
#[track_caller]
fn crawl(directory: &str, flags: &str, check: impl Fn(&mut Tab, &str, &[String])) {
    let Some(chromium) = require("chromium") else { return };
    let Some(site) = built_site(directory) else { return };
    let server = Launch::new(PROGRAM, &site).args(PATIENT).args(flags).start();
    let mut tab = Tab::open(&chromium, None);
    let origin = format!("http://{}", server.address());
    let paths = tab.crawl(&origin, MOST);
    println!("{directory}: {paths:?}");
    check(&mut tab, &origin, &paths);
    assert_eq!(tab.own_complaints(), [""; 0], "{directory}");
}

#[test]
fn application_of_vite_works_at_every_path() {
    crawl("vite/dist", "--spa", |tab, origin, _| {
        for path in ["/", "/deep/link", "/user/ann.smith"] {
            tab.go(&format!("{origin}{path}"));
            tab.assert_heading("Get started");
        }
    });
}

#[test]
fn site_of_docusaurus_is_clicked_through() {
    crawl("docusaurus/site/build", "--clean-urls serve", |tab, origin, paths| {
        assert!(paths.iter().any(|path| path.starts_with("/blog")), "{paths:?}");
        assert!(paths.iter().any(|path| path.starts_with("/docs")), "{paths:?}");
        tab.go(&format!("{origin}/no/such/page"));
        tab.assert_heading("Page Not Found");
        assert!(tab.complaints().contains(&format!("404 {origin}/no/such/page")));
    });
}

#[test]
fn export_of_next_is_clicked_through() {
    crawl("next/out", "--clean-urls serve", |tab, origin, paths| {
        for path in ["/", "/about", "/ports/brest"] {
            assert!(paths.iter().any(|known| known == path), "{path} in {paths:?}");
        }
        tab.go(&format!("{origin}/ports/cuxhaven"));
        tab.assert_heading("cuxhaven");
    });
}

#[test]
fn book_of_mdbook_is_clicked_through() {
    crawl("mdbook/book", "", |_, _, paths| {
        assert!(paths.iter().any(|path| path == "/chapter_1.html"), "{paths:?}");
    });
}
