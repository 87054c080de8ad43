//! One request for each kind of rule, over HTTP/1.1 and HTTP/2, plain and on TLS: the answers differ
//! in nothing.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, DATE, STRICT_TRANSPORT_SECURITY};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::common::*;
use crate::tls::pki::Authority;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http1,
    Http2,
    Http1OverTls,
    Http2OverTls,
}

impl Way {
    const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::Http1OverTls, Self::Http2OverTls];

    fn is_tls(self) -> bool {
        matches!(self, Self::Http1OverTls | Self::Http2OverTls)
    }

    fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Http2OverTls)
    }
}

/// The part of an answer that no way may change.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: Bytes,
}

impl Answer {
    fn has(&self, field: &str) -> bool {
        field.is_empty()
            || self.fields.iter().any(|(name, value)| format!("{name}: {value}") == field)
    }
}

/// Servers of the same sites, plain and on TLS.
struct Servers {
    plain: Server,
    tls: Server,
    /// The settings of clients for HTTP/1.1 and for HTTP/2.
    clients: [Arc<ClientConfig>; 2],
    runtime: tokio::runtime::Runtime,
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
        let clients = [&b"http/1.1"[..], b"h2"].map(|protocol| authority.client(&[protocol]));
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        Self { plain, tls, clients, runtime, coded, _site: site, _authority: authority }
    }

    /// Sends a request to `host` on a connection that is made for the host `name`.
    fn ask(&self, way: Way, name: &str, host: &str, row: &Row) -> Answer {
        let (_, method, target, field, ..) = *row;
        let authority = format!("{host}.test");
        let scheme = if way.is_tls() { "https" } else { "http" };
        let mut request = http::Request::builder().method(method);
        request = match way.is_http2() {
            true => request.uri(format!("{scheme}://{authority}{target}")),
            false => request.uri(target).header("host", authority),
        };
        for (name, value) in field.split(" | ").filter_map(|field| field.split_once(": ")) {
            request = request.header(name, value);
        }
        let request = request.body(Empty::new()).unwrap();
        let server = if way.is_tls() { &self.tls } else { &self.plain };
        let client = Arc::clone(&self.clients[usize::from(way.is_http2())]);
        let name = ServerName::try_from(format!("{name}.test")).unwrap();
        let answer = async {
            let answer = exchange(way, server.address(), client, name, request);
            tokio::time::timeout(PATIENCE, answer).await.unwrap()
        };
        self.runtime.block_on(answer)
    }
}

async fn exchange(
    way: Way,
    address: SocketAddr,
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
    request: http::Request<Empty<Bytes>>,
) -> Answer {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    if way.is_tls() {
        let stream = TlsConnector::from(client).connect(name, stream).await.unwrap();
        return exchange_on(way, stream, request).await;
    }
    exchange_on(way, stream, request).await
}

async fn exchange_on<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    way: Way,
    stream: S,
    request: http::Request<Empty<Bytes>>,
) -> Answer {
    let io = TokioIo::new(stream);
    let response = if way.is_http2() {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let (mut head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert!(head.headers.remove(DATE).is_some(), "{head:?}");
    head.headers.remove(CONNECTION);
    let mut fields: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    fields.sort();
    Answer { status: head.status.as_u16(), fields, body }
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
