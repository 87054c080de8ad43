//! One request for each kind of rule, over HTTP/1.1 and HTTP/2, plain and on TLS: the answers differ
//! in nothing.

use std::io::Write as _;

use http::header::STRICT_TRANSPORT_SECURITY;

use crate::common::*;
use crate::tls::pki::Authority;
use crate::tls::ways::{Answer, Client, Way};

const RULES: &str = r#"
[[headers]]
for = "/**"
security = true

[[headers]]
for = "/assets/**"
values = { Cache-Control = "max-age=60", X-Own = "1" }

[[redirects]]
from = "/old/*"
to = "/docs/:splat"
status = 302

[[redirects]]
from = "/api/*"
to = "/about.html"
status = 200

[[redirects]]
from = "/closed"
to = "/about.html"
status = 410

[error-pages]
405 = "/errors/405.html"

[[sites]]
hosts = ["a.test"]
root = "a"
clean-urls = "redirect"
cors = ["https://x.example"]
siblings = "verified"

[[sites]]
hosts = ["b.test"]
root = "b"
spa = true
spa-except = ["/private/**"]
"#;

/// A row: the host, the method and target, fields of the request, the status, and a field of the
/// answer.
type Row = (&'static str, &'static str, &'static str, &'static str, u16, &'static str);

#[rustfmt::skip]
const ROWS: [Row; 25] = [
    ("a", "GET", "/assets/app.js", "accept-encoding: br", 200, "x-own: 1"),
    ("a", "GET", "/assets/app.js", "accept-encoding: br", 200, "content-encoding: br"),
    ("a", "HEAD", "/assets/app.js", "accept-encoding: br", 200, "cache-control: max-age=60"),
    ("a", "GET", "/assets/app.js", "range: bytes=10-19", 206, "x-own: 1"),
    ("a", "GET", "/assets/app.js", "if-none-match: *", 304, "x-own: 1"),
    ("a", "GET", "/assets/app.js", "range: bytes=99999999-", 416, "x-content-type-options: nosniff"),
    ("a", "GET", "/old/x/y?q=1", "", 302, "location: /docs/x/y?q=1"),
    ("a", "GET", "/api/users", "", 200, "content-type: text/html; charset=utf-8"),
    ("a", "GET", "/closed", "", 410, "x-content-type-options: nosniff"),
    ("a", "GET", "/about", "accept-encoding: gzip", 200, "content-encoding: gzip"),
    ("a", "GET", "/about.html?q", "", 301, "x-content-type-options: nosniff"),
    ("a", "GET", "/docs", "", 301, "x-content-type-options: nosniff"),
    ("a", "GET", "/nowhere", "", 404, "content-type: text/html; charset=utf-8"),
    ("a", "HEAD", "/nowhere", "accept-encoding: br", 404, "cache-control: no-cache"),
    ("a", "DELETE", "/about", "", 405, "content-type: text/html; charset=utf-8"),
    ("a", "GET", "/%zz", "", 400, "x-content-type-options: nosniff"),
    ("a", "GET", "/about", "origin: https://x.example", 200, "access-control-allow-origin: https://x.example"),
    ("a", "OPTIONS", "/about", "origin: https://x.example | access-control-request-method: GET", 204, "access-control-allow-origin: https://x.example"),
    ("a", "GET", "/lib.js", "accept-encoding: gzip", 200, "content-encoding: gzip"),
    ("a", "GET", "/.env", "", 404, "x-content-type-options: nosniff"),
    ("b", "GET", "/users/7", "accept: text/html", 200, "content-type: text/html; charset=utf-8"),
    ("b", "GET", "/private/7", "accept: text/html", 404, ""),
    ("b", "GET", "/forced.html", "", 307, "location: /users/7"),
    ("b", "GET", "/app.js", "", 200, "x-of-netlify: yes"),
    ("unknown", "GET", "/about", "", 200, "content-type: text/html; charset=utf-8"),
];

/// Servers of the same sites, plain and on TLS.
struct Servers {
    plain: Server,
    tls: Server,
    client: Client,
    coded: Vec<u8>,
    _site: Site,
    _authority: Authority,
}

impl Servers {
    fn start() -> Self {
        let (site, coded) = site();
        let authority = Authority::new();
        let pair = authority.issue("all", &["a.test", "b.test", "unknown.test"]);
        let (cert, key) = (pair.cert.display(), pair.key.display());
        let tls = format!("[tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n{RULES}");
        let [plain, tls] = [("plain.toml", RULES), ("tls.toml", &tls)].map(|(name, rules)| {
            site.write(name, rules.as_bytes());
            Launch::by_file(PROGRAM, &site.file(name)).args(PATIENT).start()
        });
        let client = Client::new(&authority);
        Self { plain, tls, client, coded, _site: site, _authority: authority }
    }

    /// Sends a request to `host` on a connection that is made for the host `name`.
    fn ask(&self, way: Way, name: &str, host: &str, row: &Row) -> Answer {
        let (_, method, target, field, ..) = *row;
        let server = if way.is_tls() { &self.tls } else { &self.plain };
        let [name, host] = [name, host].map(|label| format!("{label}.test"));
        self.client.ask(way, server.address(), (&name, &host), (method, target, field))
    }
}

/// The files of both sites, and the sibling of one.
fn site() -> (Site, Vec<u8>) {
    let site = Site::new();
    for (at, name) in (1..).zip([
        "a/assets/app.js",
        "a/about.html",
        "a/docs/index.html",
        "a/404.html",
        "a/errors/405.html",
        "a/lib.js",
        "b/index.html",
        "b/app.js",
        "b/forced.html",
        "b/errors/405.html",
    ]) {
        site.write(name, &site::text(at, 20_000));
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&site::text(6, 20_000)).unwrap();
    let coded = encoder.finish().unwrap();
    site.write("a/lib.js.gz", &coded);
    site.write("a/.env", b"secret");
    site.write("b/_redirects", b"/forced.html /users/7 307!\n");
    site.write("b/_headers", b"/app.js\n  X-Of-Netlify: yes\n");
    (site, coded)
}

#[test]
fn every_rule_has_one_answer_over_every_protocol() {
    let servers = Servers::start();
    // Cold, then warm: what is compared is warm.
    for row in &ROWS {
        for way in Way::ALL {
            assert_eq!(servers.ask(way, row.0, row.0, row).status, row.4, "{way:?}, {row:?}");
        }
    }
    servers.plain.until_idle();
    servers.tls.until_idle();
    for row in &ROWS {
        let (host, _, target, _, status, field) = *row;
        let answers = Way::ALL.map(|way| {
            let mut answer = servers.ask(way, host, host, row);
            assert_eq!(answer.status, status, "{way:?}, {row:?}");
            assert!(answer.has(field), "{way:?}, {row:?}: {:?}", answer.fields);
            let hsts = STRICT_TRANSPORT_SECURITY.as_str();
            let before = answer.fields.len();
            answer.fields.retain(|(name, _)| name != hsts);
            assert_eq!(answer.fields.len() < before, way.is_tls(), "{hsts}, {way:?}, {row:?}");
            answer
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{row:?}: {answers:#?}");
        assert!(target != "/lib.js" || answers[0].body == servers.coded, "no sibling");
    }
    assert_eq!(servers.plain.stderr(), "");
    assert_eq!(servers.tls.stderr(), "");
}

/// A plain connection is made for no site; one on TLS is for the site of its certificate.
#[test]
fn connection_of_another_site_is_misdirected_on_tls_alone() {
    let servers = Servers::start();
    let row = ("b", "GET", "/app.js", "", 0, "");
    for way in Way::ALL {
        let expected = if way.is_tls() { 421 } else { 200 };
        assert_eq!(servers.ask(way, "a", "b", &row).status, expected, "{way:?}");
        assert_eq!(servers.ask(way, "b", "b", &row).status, 200, "{way:?}");
    }
}
