//! The clients behind trusted proxies, as the access log names them.

use serde_json::Value;

use crate::common::*;

/// A server whose access log is read as JSON.
struct Logged {
    server: Server,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Logged {
    fn start(site: &Site, flags: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("access.log");
        let launch = launch(site).args("--access-log-format json").args(flags);
        let server = launch.arg("--access-log").arg(&log).start();
        Self { server, log, _directory: directory }
    }

    /// The line of the request for `target`.
    fn line(&self, target: &str) -> Value {
        eventually(target, || {
            let text = fs::read_to_string(&self.log).ok()?;
            let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.find_map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                (line["target"] == target).then_some(line)
            })
        })
    }
}

#[test]
fn trusted_proxy_names_client_and_request() {
    let site = Site::with("a.txt", &site::text(70, 5000));
    let logged = Logged::start(&site, "--trusted-proxies 192.0.2.0/24,127.0.0.1");
    for (protocol, path) in [(Protocol::Http1, "/a.txt?1"), (Protocol::Http2, "/a.txt?2")] {
        let request = Request::get(path)
            .header("x-forwarded-for", "6.6.6.6, 198.51.100.7, 192.0.2.1")
            .header("x-request-id", "b1-946d");
        assert_eq!(logged.server.fetch_over(protocol, &request).status(), 200);
        let line = logged.line(path);
        assert_eq!(line["client"], "198.51.100.7", "{line}");
        assert_eq!(line["request_id"], "b1-946d", "{line}");
    }
    let forwarded = "for=6.6.6.6, for=\"[2001:db8::7]:4711\";proto=https";
    let request = Request::get("/a.txt?3").header("forwarded", forwarded);
    let _ = logged.server.fetch(&request.header("x-request-id", "no good"));
    let line = logged.line("/a.txt?3");
    assert_eq!(line["client"], "2001:db8::7", "{line}");
    assert_eq!(line["request_id"].as_str().unwrap().len(), 16, "{line}");
    let _ = logged.server.fetch(&Request::get("/a.txt?4"));
    assert_eq!(logged.line("/a.txt?4")["client"], "127.0.0.1");
}

/// Rules for TLS go by the client's own connection.
#[test]
fn trusted_proxy_tells_whether_its_client_has_tls() {
    let site = Site::with("a.txt", &site::text(78, 300));
    site.write("cachecompress.toml", b"[[headers]]\nfor = \"/**\"\nsecurity = true\n");
    let flags = format!(
        "--trusted-proxies 127.0.0.1 --config {}",
        site.file("cachecompress.toml").display()
    );
    let server = start_with(&site, &flags);
    for target in ["/a.txt", "/none"] {
        for (scheme, has) in [(None, false), (Some("https"), true), (Some("http"), false)] {
            let request = Request::get(target).header("x-forwarded-for", "198.51.100.7");
            let request = match scheme {
                Some(scheme) => request.header("x-forwarded-proto", scheme),
                None => request,
            };
            let answer = server.fetch(&request);
            let hsts = answer.header("strict-transport-security").is_some();
            assert_eq!(hsts, has, "{target} {scheme:?}: {:?}", answer.head);
        }
    }
}

#[test]
fn stranger_names_nobody_else() {
    let site = Site::with("a.txt", &site::text(71, 5000));
    for flags in ["", "--trusted-proxies 10.0.0.0/8"] {
        let logged = Logged::start(&site, flags);
        let request = Request::get("/a.txt")
            .header("forwarded", "for=6.6.6.6;proto=https")
            .header("x-forwarded-for", "6.6.6.6")
            .header("x-request-id", "b1-946d");
        assert_eq!(logged.server.fetch(&request).status(), 200);
        let line = logged.line("/a.txt");
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert_ne!(line["request_id"], "b1-946d", "{line}");
    }
}
