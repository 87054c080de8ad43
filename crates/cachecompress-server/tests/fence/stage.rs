//! The site, the cache and the requests whose costs are counted.

use super::common::{Connection, Launch, PATIENT, Path, Request, Server, Site, eventually, site};

/// A browser's Accept-Encoding.
const ACCEPT: &str = "gzip, deflate, br, zstd";

/// The kinds of requests to a site with many rules, and those that they must not cost more than.
pub(super) const RULED: [(&str, &str); 2] =
    [("small-ruled", "small"), ("same-ruled", "not-modified")];

/// The host of the last site.
const LAST_HOST: &str = "site-19.example";

/// A configuration of 20 sites over one directory, the last of which has 50 header rules and 500
/// redirects. Two of the rules match the files, and change nothing in the length of the responses.
fn many_rules(root: &Path) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for site in 0..20 {
        writeln!(text, "[[sites]]\nhosts = [\"site-{site}.example\"]\nroot = {root:?}").unwrap();
    }
    for rule in 0..48 {
        let (paths, field) = (format!("/section-{rule}/*/page-*.html"), "x-section");
        writeln!(text, "[[sites.headers]]\nfor = \"{paths}\"\nvalues = {{ {field} = \"1\" }}")
            .unwrap();
    }
    for paths in ["/**", "/*.js"] {
        writeln!(text, "[[sites.headers]]\nfor = \"{paths}\"").unwrap();
        text.push_str("values = { cache-control = \"no-cache\" }\n");
    }
    for rule in 0..500 {
        let paths = if rule % 2 == 0 { "page" } else { ":name/*" };
        writeln!(text, "[[sites.redirects]]\nfrom = \"/old-{rule}/{paths}\"").unwrap();
        writeln!(text, "to = \"/new-{rule}\"\nstatus = 301").unwrap();
    }
    text
}

/// A kind of request whose costs are fenced in.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) request: Request,
    pub(super) status: u16,
    /// Whether the client's speed changes the number of instructions, as the server waits for a
    /// full socket. Only the system calls are counted then, at their fewest.
    pub(super) paced: bool,
    /// Whether the server has many sites, and these have many rules.
    pub(super) ruled: bool,
    /// Whether another thread has a part in the answer. The number of waits is then a matter of
    /// luck, within bounds.
    pub(super) shared: bool,
}

/// A site, and a cache that has all of it, so that a watched program encodes nothing.
pub(super) struct Stage {
    site: Site,
    /// The configuration file with the rules.
    rules: tempfile::NamedTempFile,
    cache: tempfile::TempDir,
    program: std::path::PathBuf,
    pub(super) kinds: Vec<Kind>,
}

impl Stage {
    pub(super) fn set(program: &Path) -> Self {
        let site = Site::new();
        // The coded files have 1.4 KB, sent from memory, and 400 KB, sent by `sendfile`.
        site.write("small.js", &site::text(1, 3_900));
        site.write("large.js", &site::text(2, 1_400_000));
        let cache = tempfile::tempdir().unwrap();
        let mut server = launch(program, &site, cache.path()).start();
        let small = server.until_hit(&Request::get("/small.js").accept(ACCEPT));
        let large = server.until_hit(&Request::get("/large.js").accept(ACCEPT));
        assert!((1_200..1_600).contains(&small.body.len()), "{} bytes", small.body.len());
        assert!((350_000..500_000).contains(&large.body.len()), "{} bytes", large.body.len());
        let tag = small.etag().to_owned();
        server.until_idle();
        server.stop();
        let rules = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(rules.path(), many_rules(site.path())).unwrap();
        Self { site, rules, cache, program: program.into(), kinds: kinds(&tag) }
    }

    /// Makes the settings of a start of the program under watch, for kinds that are `ruled` or not.
    pub(super) fn launch(&self, ruled: bool) -> Launch {
        let launch = launch(&self.program, &self.site, self.cache.path());
        if ruled { launch.arg("--config").arg(self.rules.path()) } else { launch }
    }
}

fn launch(program: &Path, site: &Site, cache: &Path) -> Launch {
    // Another thread looks files up again once a second. That would be counted.
    Launch::new(program, site.path()).cache(cache).args(PATIENT).args("--threads 1 --revalidate 1h")
}

fn kinds(tag: &str) -> Vec<Kind> {
    let small = || Request::get("/small.js").accept(ACCEPT);
    let kind = |name, request, status| Kind {
        name,
        request,
        status,
        paced: false,
        ruled: false,
        shared: false,
    };
    let of_a_site = |request: Request| request.without_host().header("host", LAST_HOST);
    let ruled = |name, request, status| Kind { ruled: true, ..kind(name, request, status) };
    vec![
        kind("small", small(), 200),
        Kind { paced: true, ..kind("large", Request::get("/large.js").accept(ACCEPT), 200) },
        kind("not-modified", small().header("if-none-match", tag), 304),
        ruled(RULED[0].0, of_a_site(small()), 200),
        ruled(RULED[1].0, of_a_site(small().header("if-none-match", tag)), 304),
        // Requests of the following kinds are negotiated and assembled each time.
        kind("head", small().method("HEAD"), 200),
        kind("range", small().range("bytes=100-299"), 206),
        Kind { shared: true, ..kind("not-found", Request::get("/nothing.js").accept(ACCEPT), 404) },
    ]
}

/// A connection for requests of one kind, one after the other.
pub(super) struct Asker<'a> {
    kind: &'a Kind,
    pub(super) connection: Connection,
    asked: usize,
}

impl Asker<'_> {
    pub(super) fn ask(&mut self, count: usize) {
        for _ in 0..count {
            self.asked += 1;
            let mut request = self.kind.request.clone();
            if self.kind.shared {
                // Each path is new, so that each request looks it up.
                request.target = format!("{}-{:06}", request.target, self.asked);
            }
            self.connection.send(&request).unwrap();
            let response = self.connection.receive(&request.method).unwrap();
            assert_eq!(response.status(), self.kind.status, "{}", self.kind.name);
            assert!(response.is_clean(), "{}: {:?}", self.kind.name, response.end);
        }
    }
}

/// Warms a server up for requests of this kind.
pub(super) fn warm<'a>(server: &Server, kind: &'a Kind) -> Asker<'a> {
    // The first requests have files hashed and entries opened.
    eventually(kind.name, || {
        let response = server.fetch(&kind.request);
        let hit = response.is_hit() || kind.status != 200;
        (response.status() == kind.status && hit).then_some(())
    });
    let connection = Connection::open(server.address()).unwrap();
    let mut asker = Asker { kind, connection, asked: 0 };
    asker.ask(30);
    asker
}
