//! Small built sites, clicked through in a browser without a complaint of its.

use cachecompress_test::tools::require;

use super::devtools::Tab;
use crate::common::*;
use crate::tls::pki::Authority;

fn built(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sites").join(directory)
}

/// Serves `directory` with `flags` over HTTP/1.1 and over HTTP/2 on TLS, and has each clicked
/// through by a new browser. Nothing may be left to complain of.
fn over_both(directory: &str, flags: &str, click: impl Fn(&mut Tab, &str)) {
    let Some(chromium) = require("chromium") else { return };
    let authority = Authority::new();
    let pair = authority.issue("site", &["127.0.0.1"]);
    let plain = Launch::new(PROGRAM, &built(directory)).args(PATIENT).args(flags);
    let tls = plain.clone().arg("--tls-cert").arg(&pair.cert).arg("--tls-key").arg(&pair.key);
    for (launch, pin, scheme, protocol) in
        [(plain, None, "http", "http/1.1"), (tls, Some(&*pair.pin), "https", "h2")]
    {
        let server = launch.start();
        let mut tab = Tab::open(&chromium, pin);
        click(&mut tab, &format!("{scheme}://{}", server.address()));
        assert_eq!(tab.complaints(), [""; 0], "{directory} over {protocol}");
        assert_eq!(tab.protocols(), [protocol], "{directory}");
    }
}

#[test]
fn application_of_vite_is_clicked_through() {
    over_both("vite/dist", "--spa", |tab, origin| {
        tab.go(origin);
        tab.assert_heading("Tides");
        let width = tab.evaluate("document.querySelector('img').naturalWidth");
        assert_eq!(width, Some(48.into()));
        tab.click("a[href='/ports']", "/ports");
        tab.assert_heading("Ports");
        tab.click("a[href='/ports/brest']", "/ports/brest");
        tab.assert_heading("Brest");
        tab.reload();
        tab.assert_heading("Brest");
        tab.back("/ports");
        tab.assert_heading("Ports");
        // The last segment of this one has a dot.
        tab.go(&format!("{origin}/ports/port-v1.2"));
        tab.assert_heading("Port");
        tab.click("a[href='/about']", "/about");
        tab.assert_heading("About");
        tab.reload();
        tab.assert_heading("About");
    });
}

#[test]
fn book_of_mdbook_is_clicked_through() {
    over_both("mdbook/book", "", |tab, origin| {
        tab.go(origin);
        tab.assert_heading("Preface");
        let fonts = tab.evaluate("[...document.fonts].filter(f => f.status === 'loaded').length");
        assert_eq!(fonts, Some(1.into()));
        tab.click("main a[href^='reading/heights.html']", "/reading/heights.html");
        tab.assert_heading("Heights");
        tab.click("main a[href='./']", "/reading/");
        tab.assert_heading("Reading a table");
        tab.reload();
        tab.click("a.nav-chapters.next", "/reading/heights.html");
        tab.click("a.nav-chapters.next", "/ports.html");
        tab.assert_heading("Ports");
        let paths = tab.crawl(origin, 20);
        let pages =
            ["/preface.html", "/reading/index.html", "/reading/heights.html", "/ports.html"];
        assert!(pages.iter().all(|page| paths.iter().any(|path| path == page)), "{paths:?}");
        assert_lost(tab, &format!("{origin}/no/such/page.html"), 404, "Document not found (404)");
    });
}

/// Visits a page of an error, whose status is all that the browser complains of.
fn assert_lost(tab: &mut Tab, url: &str, status: u16, heading: &str) {
    assert_eq!(tab.complaints(), [""; 0]);
    tab.go(url);
    tab.assert_heading(heading);
    let complaints = tab.complaints();
    assert!(complaints.contains(&format!("{status} {url}")), "{complaints:?}");
    assert!(complaints.iter().all(|complaint| complaint.ends_with(url)), "{complaints:?}");
}

#[test]
fn folder_of_netlify_is_clicked_through() {
    over_both("netlify", "--clean-urls serve", |tab, origin| {
        for (link, path, heading) in [
            ("/about", "/about", "About"),
            ("/home", "/", "Front"),
            ("/news/2024/first", "/blog/first", "First"),
            ("/old/second", "/blog/second", "Second"),
            ("/blog/draft.html", "/blog/", "Blog"),
            ("/app/", "/app/", "Application"),
        ] {
            tab.go(origin);
            tab.assert_heading("Front");
            tab.click(&format!("a[href='{link}']"), path);
            tab.assert_heading(heading);
            tab.reload();
            tab.assert_heading(heading);
        }
        for path in ["/app/users/7", "/app/users/ann.smith"] {
            tab.click(&format!("a[href='{path}']"), path);
            let told = tab.evaluate("document.querySelector('#path').innerText");
            assert_eq!(told, Some(path.into()));
        }
        tab.go(&format!("{origin}/blog/"));
        tab.click("a[href='second']", "/blog/second");
        tab.click("a[href='./']", "/blog/");
        assert_lost(tab, &format!("{origin}/retired"), 410, "Gone");
        assert_lost(tab, &format!("{origin}/no/such/page"), 404, "Nothing here");
        let answer = "(r => r.then(r => [r.status, r.headers.get('x-content-type-options'), \
                      r.headers.get('x-section'), r.headers.get('x-index'), r.headers.get('cache-control')].join()))";
        for (path, expected) in [
            ("/blog/", "200,nosniff,blog,yes,no-cache"),
            ("/blog/first", "200,nosniff,blog,,no-cache"),
            ("/css/site.css", "200,nosniff,,,public, max-age=31536000, immutable"),
        ] {
            let told = tab.evaluate(&format!("{answer}(fetch('{path}'))"));
            assert_eq!(told, Some(expected.into()), "{path}");
        }
    });
}
