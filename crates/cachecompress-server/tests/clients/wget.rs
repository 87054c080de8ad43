//! wget.

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{in_every_state, put, site_of, text};

/// `-N` fetches a file when it has changed, and only then.
#[test]
fn wget_fetches_newer_files_only() {
    let Some(wget) = require("wget") else { return };
    let site = Site::new();
    in_every_state(&site, |visit| {
        put(&site, "data.json", site::text(1, 80_000));
        visit.until_current();
        let url = visit.url("/data.json");
        let get = || text(&visit.run(&wget, ["-N", "--no-verbose", "-S", &url]));
        get();
        visit.assert_same("data.json", "data.json");
        let second = get();
        assert!(second.contains("304 Not Modified"), "{:?}: {second}", visit.state);
        visit.assert_same("data.json", "data.json");
        // Newer, and of the same length.
        put(&site, "data.json", site::text(2, 80_000));
        visit.until_current();
        get();
        visit.assert_same("data.json", "data.json");
    });
}

/// `-c` continues a download that broke off.
#[test]
fn wget_continues_a_download() {
    let Some(wget) = require("wget") else { return };
    let files = [("data.json", site::text(1, 80_000)), ("noise.bin", site::random(2, 80_000))];
    let site = site_of(&files.each_ref().map(|(name, bytes)| (*name, &bytes[..])));
    in_every_state(&site, |visit| {
        for name in ["data.json", "noise.bin"] {
            let whole = fs::read(site.file(name)).unwrap();
            for length in [1, 30_000, whole.len()] {
                visit.write(name, &whole[..length]);
                visit.run(&wget, ["-c", "--no-verbose", &visit.url(&format!("/{name}"))]);
                visit.assert_bytes(name, &whole);
            }
            visit.assert_asked_for_ranges(name);
        }
    });
}

/// `-r` finds every page by its links, also decoded ones.
#[test]
fn wget_copies_a_site() {
    let Some(wget) = require("wget") else { return };
    let site = Site::new();
    let page = |links: &[&str]| {
        let links: String = links.iter().map(|to| format!("<a href=\"{to}\">{to}</a>\n")).collect();
        format!("<!DOCTYPE html><title>a page</title>\n{links}{}", "<p>words</p>\n".repeat(2000))
    };
    put(&site, "index.html", page(&["docs/", "style.css", "a%20b.html"]));
    put(&site, "docs/index.html", page(&["../index.html", "deep/page.html", "more"]));
    put(&site, "docs/deep/page.html", page(&["/data.json", "../../noise.bin"]));
    put(&site, "docs/more/index.html", page(&["/"]));
    put(&site, "a b.html", page(&[]));
    put(&site, "style.css", b"p { color: black }\n".repeat(500));
    put(&site, "data.json", site::text(1, 80_000));
    put(&site, "noise.bin", site::random(2, 80_000));
    in_every_state(&site, |visit| {
        for compression in ["none", "auto"] {
            let into = visit.home(compression);
            let compression = format!("--compression={compression}");
            let words = ["-r", "-nH", "--no-verbose", "--no-parent", &compression, "-P"];
            visit.run(
                &wget,
                words.iter().map(AsRef::as_ref).chain([into.as_os_str(), visit.url("/").as_ref()]),
            );
            for path in site::files_below(site.path()) {
                let name = path.strip_prefix(site.path()).unwrap().to_str().unwrap();
                // wget saves a directory that is linked without its slash under the link's name.
                if name != "docs/more/index.html" {
                    let copy = into.join(name);
                    visit.assert_same(copy.to_str().unwrap(), name);
                }
            }
        }
    });
}
