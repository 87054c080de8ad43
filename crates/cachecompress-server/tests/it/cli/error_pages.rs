//! The pages of errors that neither a path nor a field of the request brings about, over HTTP/1.1 and
//! HTTP/2, plain and on TLS.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
use cachecompress_test::mount::{HangingMount, Kind};

use crate::common::*;
use crate::tls::pki::{Authority, TlsClient};
use crate::tls::ways::{Answer, Client, Way};

const STATUSES: [u16; 6] = [401, 403, 410, 421, 500, 503];

/// The rules of all servers. A lookup counts for the whole test.
const RULES: &str = r#"
revalidate = "1h"
write-timeout = "1h"

[[headers]]
for = "/**"
security = true
values = { X-Always = "yes" }

[error-pages]
401 = "/errors/401.html"
403 = "/errors/403.html"
410 = "/errors/410.html"
421 = "/errors/421.html"
500 = "/errors/500.html"
503 = "/errors/503.html"
"#;

const NAMES: [&str; 2] = ["a.test", "b.test"];

/// Two servers of the same sites, plain and on TLS.
struct Servers {
    plain: Server,
    tls: Server,
    authority: Authority,
}

fn page(status: u16) -> Vec<u8> {
    site::text(u64::from(status), 5000)
}

fn write_pages(root: &Path) {
    fs::create_dir_all(root.join("errors")).unwrap();
    for status in STATUSES {
        fs::write(root.join(format!("errors/{status}.html")), page(status)).unwrap();
    }
}

/// Starts servers by a file in `directory` with `keys`, the rules of all, and `tables`.
fn serve(
    directory: &Site,
    (keys, tables): (&str, &str),
    launched: impl Fn(Launch) -> Option<Launch>,
) -> Option<Servers> {
    let authority = Authority::new();
    let pair = authority.issue("all", &NAMES);
    let (cert, key) = (pair.cert.display(), pair.key.display());
    let tls = format!("[tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n");
    let start = |name: &str, tls: &str| {
        directory.write(name, format!("{keys}{RULES}{tls}{tables}").as_bytes());
        let launch = Launch::by_file(PROGRAM, &directory.file(name)).args(PATIENT);
        launched(launch).map(Launch::start)
    };
    let (plain, tls) = (start("plain.toml", "")?, start("tls.toml", &tls)?);
    Some(Servers { plain, tls, authority })
}

impl Servers {
    fn of(&self, way: Way) -> &Server {
        if way.is_tls() { &self.tls } else { &self.plain }
    }

    /// Has the page of `status` stored and ready, as that of an error of the server has a second.
    fn keep_page(&self, status: u16) {
        let client = Client::new(&self.authority);
        let page = format!("/errors/{status}.html");
        for way in Way::ALL {
            let request = ("GET", &*page, "accept-encoding: gzip");
            eventually("the page to be stored", || {
                let answer = client.ask(way, self.of(way).address(), (NAMES[0], NAMES[0]), request);
                (answer.field("cache-status") == Some(HIT)).then_some(())
            });
        }
    }

    /// Asserts that requests for `target` have the page of `status`, as any page.
    fn assert_page(&self, way: Way, names: (&str, &str), target: &str, expected: (u16, &str)) {
        let client = Client::new(&self.authority);
        let ask = |method: &str, field: &str| {
            client.ask(way, self.of(way).address(), names, (method, target, field))
        };
        let context = format!("{} {way:?}", expected.0);
        assert_error(&ask("GET", "accept-encoding: gzip"), way, expected, &context);
        self.of(way).until_idle();
        let stored = ask("GET", "accept-encoding: gzip");
        assert_error(&stored, way, expected, &context);
        assert_eq!(stored.field("content-encoding"), Some("gzip"), "{context}");
        assert_eq!(stored.field("cache-status"), Some(HIT), "{context}");
        let head = ask("HEAD", "accept-encoding: gzip");
        assert_eq!((head.status, &head.fields), (stored.status, &stored.fields), "{context}");
        assert!(head.body.is_empty(), "{context}");
        assert_error(&ask("GET", "accept-encoding: identity"), way, expected, &context);
    }
}

#[track_caller]
fn assert_error(answer: &Answer, way: Way, (status, field): (u16, &str), context: &str) {
    assert_eq!(answer.status, status, "{context}: {answer:?}");
    let coding = answer.field("content-encoding").unwrap_or("identity");
    let body = decode::decode(coding, &answer.body).unwrap();
    assert!(body == page(status), "{context}: {answer:?}");
    assert!(answer.has(field), "{context}: {field} is not in {answer:?}");
    assert!(answer.has("content-type: text/html; charset=utf-8"), "{context}: {answer:?}");
    assert!(answer.has("x-always: yes"), "{context}: {answer:?}");
    assert!(answer.has("x-content-type-options: nosniff"), "{context}: {answer:?}");
    let is_secure = answer.field("strict-transport-security").is_some();
    assert_eq!(is_secure, way.is_tls(), "{context}: {answer:?}");
    let cache_control = if status == 401 { "no-store" } else { "no-cache" };
    assert_eq!(answer.field("cache-control"), Some(cache_control), "{context}");
    for name in ["etag", "last-modified", "accept-ranges"] {
        assert_eq!(answer.field(name), None, "{context}");
    }
}

#[test]
fn refusal_of_the_program_or_of_a_rule_has_its_page() {
    let directory = Site::new();
    write_pages(&directory.file("a"));
    write_pages(&directory.file("b"));
    let users = format!("ann:{}\n", bcrypt::hash("secret", 4).unwrap());
    directory.write("users", users.as_bytes());
    let sites = "[[sites]]\nhosts = [\"a.test\"]\nroot = \"a\"\n\
                 [[sites.redirects]]\nfrom = \"/closed\"\nto = \"/none.html\"\nstatus = 410\n\
                 [[sites]]\nhosts = [\"b.test\"]\nroot = \"b\"\nbasic-auth = \"users\"\n";
    let servers = serve(&directory, ("", sites), Some).unwrap();
    let challenge = "www-authenticate: Basic realm=\"restricted\", charset=\"UTF-8\"";
    for way in Way::ALL {
        servers.assert_page(way, ("a.test", "a.test"), "/closed", (410, ""));
        servers.assert_page(way, ("b.test", "b.test"), "/errors/401.html", (401, challenge));
        let right = BASE64_STANDARD.encode("ann:secret");
        let request = ("GET", "/none", &*format!("authorization: Basic {right}"));
        let client = Client::new(&servers.authority);
        let address = servers.of(way).address();
        assert_eq!(client.ask(way, address, ("b.test", "b.test"), request).status, 404);
        if way.is_tls() {
            servers.assert_page(way, ("a.test", "b.test"), "/none", (421, ""));
            servers.assert_page(way, ("b.test", "a.test"), "/none", (421, ""));
        }
    }
}

#[test]
fn file_that_may_not_be_read_has_the_page_of_403() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = Site::with("root/locked.txt", b"locked");
    write_pages(&directory.file("root"));
    let locked = fs::Permissions::from_mode(0o000);
    fs::set_permissions(directory.file("root/locked.txt"), locked).unwrap();
    let Some(servers) = serve(&directory, ("root = \"root\"\n", ""), unprivileged) else { return };
    for way in Way::ALL {
        servers.assert_page(way, ("a.test", "a.test"), "/locked.txt", (403, ""));
    }
}

/// A source of which one directory is a mount that dies or hangs, and servers of it.
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
fn serve_around(mount: &HangingMount) -> Servers {
    let around = mount.path().parent().unwrap().to_owned();
    write_pages(&around);
    let root = format!("root = \"{}\"\n", around.display());
    let servers = serve(&Site::new(), (&root, ""), Some).unwrap();
    servers.keep_page(500);
    servers.keep_page(503);
    servers
}

#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
#[test]
fn source_that_fails_has_the_page_of_500_and_one_that_hangs_that_of_503() {
    let Some(mut mount) = HangingMount::new(Kind::Fuse) else { return };
    let servers = serve_around(&mount);
    let hang = mount.hang();
    std::thread::scope(|scope| {
        for way in Way::ALL {
            let servers = &servers;
            scope.spawn(move || {
                let target = format!("/to/{way:?}.txt");
                servers.assert_page(way, (NAMES[0], NAMES[0]), &target, (503, "retry-after: 1"));
            });
        }
    });
    drop(hang);
    mount.die();
    for way in Way::ALL {
        servers.assert_page(way, (NAMES[0], NAMES[0]), "/to/none.txt", (500, ""));
    }
}

#[test]
fn request_without_a_turn_has_the_page_of_503() {
    let directory = Site::with("root/big.bin", &site::random(6, 8 << 20));
    write_pages(&directory.file("root"));
    let keys = "root = \"root\"\nmax-open-files = 4\n";
    let servers = serve(&directory, (keys, ""), Some).unwrap();
    servers.keep_page(503);
    let request = b"GET /big.bin HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut first = [0; 12];
    let plain: Vec<_> = (0..4)
        .map(|_| {
            let mut connection = Connection::open(servers.plain.address()).unwrap();
            connection.send_raw(request).unwrap();
            connection.wait_for_bytes(first.len()).unwrap();
            connection
        })
        .collect();
    let config = servers.authority.client(&[b"http/1.1"]);
    let tls: Vec<_> = (0..4)
        .map(|_| {
            let address = servers.tls.address();
            let mut client = TlsClient::connect_as(NAMES[0], address, &config).unwrap();
            client.0.write_all(request).unwrap();
            client.0.read_exact(&mut first).unwrap();
            client
        })
        .collect();
    for way in Way::ALL {
        servers.assert_page(way, (NAMES[0], NAMES[0]), "/none", (503, "retry-after: 1"));
    }
    drop((plain, tls));
}
