//! `[[headers]]` of the configuration file, on the responses of the site and of the server itself.

use crate::common::*;

/// A server for `site` with this configuration file.
fn start_by(site: &Site, file: &Path, configuration: &str) -> Server {
    fs::write(file, configuration).unwrap();
    launch(site).arg("--config").arg(file).start()
}

fn site() -> Site {
    let site = Site::with("app.js", &site::text(1, 20_000));
    site.write("index.html", &site::text(2, 3000));
    site.write("docs/index.html", &site::text(3, 900));
    site
}

const RULES: &str = r#"
[[headers]]
for = "/*"
values = { x-site = "all", x-several = ["1", "2"] }
always = true

[[headers]]
for = "/"
values = { x-page = "root" }

[[headers]]
for = "/index.html"
values = { x-file = "index", x-site = "index" }
unset = ["x-several"]

[[headers]]
for = "/docs/**"
security = true
"#;

#[test]
fn tables_set_and_unset_fields_over_both_protocols_cold_and_warm() {
    let (site, directory) = (site(), tempfile::tempdir().unwrap());
    let server = start_by(&site, &directory.path().join("c.toml"), RULES);
    let all = [Some("all"), Some("1, 2"), None, None, None];
    let security = [Some("all"), Some("1, 2"), None, None, Some("frame-ancestors 'self'")];
    for (target, status, expected) in [
        ("/", 200, [Some("index"), None, Some("root"), Some("index"), None]),
        ("/index.html", 200, [Some("index"), None, None, Some("index"), None]),
        ("/app.js", 200, all),
        ("/none", 404, all),
        ("/%zz", 400, all),
        ("/docs", 301, security),
        ("/docs/", 200, security),
        ("/docs/none", 404, security),
    ] {
        for protocol in Protocol::ALL {
            for method in ["GET", "HEAD", "GET"] {
                let request = Request::new(method, target).accept("gzip");
                let response = server.fetch_over(protocol, &request);
                assert_eq!(response.status(), status, "{target}");
                let names = ["x-site", "x-several", "x-page", "x-file", "content-security-policy"];
                let found = names.map(|name| response.header(name));
                assert_eq!(found, expected, "{method} {target}, {protocol:?}");
                assert_eq!(response.header("strict-transport-security"), None, "without TLS");
            }
        }
    }
}

#[test]
fn replies_of_the_server_itself_have_the_fields_of_every_response() {
    let (site, directory) = (site(), tempfile::tempdir().unwrap());
    let server = start_by(&site, &directory.path().join("c.toml"), RULES);
    let ask = |request: &str| {
        let mut connection = Connection::open(server.address()).unwrap();
        connection.send_raw(request.as_bytes()).unwrap();
        connection.receive("GET").unwrap()
    };
    for (request, status) in [
        ("GET /docs/ HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 204),
        ("DELETE /docs/ HTTP/1.1\r\nhost: a\r\n\r\n", 405),
    ] {
        let response = ask(request);
        assert_eq!((response.status(), response.header("x-site")), (status, Some("all")));
        let is_docs = request.contains("/docs/");
        assert_eq!(response.header("referrer-policy").is_some(), is_docs, "{request}");
    }
}

#[test]
fn wrong_rule_ends_the_start_with_its_place() {
    let (site, directory) = (site(), tempfile::tempdir().unwrap());
    let file = directory.path().join("c.toml");
    for (rule, part) in [
        ("values = { etag = \"1\" }", "\"etag\""),
        ("unset = [\"vary\"]", "may be added to"),
        ("values = { \"a b\" = \"1\" }", "malformed"),
    ] {
        let text = format!("\n[[headers]]\nfor = \"/a/**\"\n{rule}\n");
        fs::write(&file, &text).unwrap();
        for arguments in [&["config", "check"][..], &["serve"]] {
            let mut command = cachecompress_test::server::command(PROGRAM.as_ref());
            command.args(arguments).arg("--config").arg(&file).current_dir(site.path());
            let output = cachecompress_test::server::output(&mut command);
            let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!output.status.success(), "{told}");
            assert!(told.contains(part) && told.contains("c.toml:4"), "{told}");
        }
    }
}
