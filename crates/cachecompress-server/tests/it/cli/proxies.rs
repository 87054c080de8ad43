//! The clients behind trusted proxies, as the access log names them.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use serde_json::Value;

use crate::common::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const PROXIES: &str = "--proxy-protocol --trusted-proxies 127.0.0.1,10.0.0.0/8";

/// A header of version 1 that names `client`.
fn line(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 192.0.2.200 4711 443\r\n").into()
}

/// A header of version 2 that names `client`, with so many bytes of extensions.
fn binary(client: [u8; 4], extensions: u16) -> Vec<u8> {
    let length = (12 + extensions).to_be_bytes();
    let addresses = [&client[..], &[192, 0, 2, 200, 1, 1, 2, 2]].concat();
    [SIGNATURE, &[0x21, 0x11], &length, &addresses, &vec![0; extensions.into()]].concat()
}

/// A connection that begins with these bytes.
fn begin(address: SocketAddr, header: &[u8]) -> Connection {
    let mut connection = Connection::open(address).unwrap();
    connection.send_raw(header).unwrap();
    connection
}

/// The text that the server sends until it closes the connection.
fn end(mut stream: impl std::io::Read) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

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
    // A proxy that writes one field only, and a client that tries the other.
    let request = Request::get("/a.txt?5").header("x-forwarded-for", "198.51.100.7");
    let _ = logged.server.fetch(&request.header("forwarded", "for=6.6.6.6"));
    assert_eq!(logged.line("/a.txt?5")["client"], "127.0.0.1");
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

#[test]
fn proxy_header_names_the_client() {
    let source = site::text(72, 400_000);
    let site = Site::with("a.txt", &source);
    let logged = Logged::start(&site, PROXIES);
    let address = logged.server.address();
    let ask = |header: &[u8], target: &str| {
        let mut connection = begin(address, header);
        // A second request shows that the header belongs to the connection.
        for target in [target.to_owned(), format!("{target}&again")] {
            connection.send(&Request::get(&target).accept("gzip")).unwrap();
            assert_is(&connection.receive("GET").unwrap(), &source, "gzip");
        }
        let again = logged.line(&format!("{target}&again"));
        assert_eq!(again["client"], logged.line(target)["client"]);
        logged.line(target)["client"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask(&line("198.51.100.7"), "/a.txt?1"), "198.51.100.7");
    assert_eq!(ask(&binary([198, 51, 100, 8], 0), "/a.txt?2"), "198.51.100.8");
    assert_eq!(ask(&binary([198, 51, 100, 9], 3000), "/a.txt?3"), "198.51.100.9");
    // The proxy asks for itself, or does not know.
    assert_eq!(ask(b"PROXY UNKNOWN\r\n", "/a.txt?4"), "127.0.0.1");
    let local = [SIGNATURE, &[0x20, 0x00, 0, 0]].concat();
    assert_eq!(ask(&local, "/a.txt?5"), "127.0.0.1");
    assert!(ask(&line("198.51.100.7"), "/a.txt?6") == "198.51.100.7", "a warm hit, by sendfile");
}

#[test]
fn client_of_a_proxy_header_may_be_a_trusted_proxy() {
    let site = Site::with("a.txt", &site::text(73, 300));
    let logged = Logged::start(&site, PROXIES);
    for (header, target, client) in
        [("10.1.2.3", "/a.txt?1", "203.0.113.5"), ("198.51.100.7", "/a.txt?2", "198.51.100.7")]
    {
        let mut connection = begin(logged.server.address(), &line(header));
        let request = Request::get(target).header("x-forwarded-for", "203.0.113.5");
        connection.send(&request).unwrap();
        assert_eq!(connection.receive("GET").unwrap().status(), 200);
        assert_eq!(logged.line(target)["client"], client);
    }
}

#[test]
fn proxy_header_may_come_in_pieces_with_a_request_behind_it() {
    let site = Site::with("a.txt", &site::text(74, 300));
    let logged = Logged::start(&site, PROXIES);
    for (number, header) in [line("198.51.100.7"), binary([198, 51, 100, 7], 20)].iter().enumerate()
    {
        let request = format!("GET /a.txt?{number} HTTP/1.1\r\nHost: h\r\n\r\n");
        let bytes = [&header[..], request.as_bytes()].concat();
        let mut stream = TcpStream::connect(logged.server.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in bytes.chunks(9) {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(logged.line(&format!("/a.txt?{number}"))["client"], "198.51.100.7");
    }
}

#[test]
fn trusted_proxy_without_a_whole_header_is_cut_off() {
    let site = Site::with("a.txt", &site::text(75, 300));
    let flags = format!("{PROXIES} --header-timeout 400ms --log-level debug");
    let server = launch(&site).args(&flags).start();
    let request = b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut damaged = binary([198, 51, 100, 7], 0);
    damaged[12] = 0x41;
    for bytes in [&request[..], b"PROXY TCP4 x y 1 2\r\n", &damaged, b"PRI * HTTP/2.0\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(bytes).unwrap();
        assert_eq!(end(stream), "", "{bytes:?}");
    }
    // The header has the time of a request's head, and no more.
    for half in [&b""[..], b"PROXY TCP4 198.5", SIGNATURE] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(half).unwrap();
        assert_eq!(end(stream), "", "{half:?}");
    }
    let said = server.stderr();
    assert!(
        said.contains("its PROXY header is missing") && said.contains("takes too long"),
        "{said}"
    );
}

#[test]
fn stranger_with_a_proxy_header_gets_400_and_without_one_is_served() {
    let site = Site::with("a.txt", &site::text(76, 300));
    let server = start_with(&site, "--proxy-protocol --trusted-proxies 10.0.0.0/8");
    assert_eq!(server.get("/a.txt", "gzip").status(), 200);
    for header in [line("198.51.100.7"), binary([198, 51, 100, 7], 0)] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&header).unwrap();
        stream.write_all(b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let answer = end(stream);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

/// The client's TLS begins behind the header.
#[test]
fn proxy_header_comes_before_tls() {
    let source = site::text(77, 5000);
    let site = Site::with("a.txt", &source);
    let made = rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert"), directory.path().join("key"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let log = directory.path().join("log");
    let mut serve = cachecompress_test::server::command(Path::new(PROGRAM));
    serve.arg("serve").arg(site.path()).args(["--listen", "127.0.0.1:0"]).args(PROXIES.split(' '));
    serve.arg("--tls-cert").arg(&cert).arg("--tls-key").arg(&key).arg("--access-log").arg(&log);
    serve
        .args(["--access-log-format", "json"])
        .arg("--cache-dir")
        .arg(directory.path().join("cache"));
    let mut child = serve.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut said).unwrap();
    let address: SocketAddr =
        said.trim().strip_prefix("listening on https://").unwrap().parse().unwrap();

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    let client = rustls::ClientConnection::new(
        Arc::new(config.with_no_client_auth()),
        "h".try_into().unwrap(),
    );
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(&line("198.51.100.7")).unwrap();
    let mut stream = rustls::StreamOwned::new(client.unwrap(), socket);
    stream.write_all(b"GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let answer = end(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.as_bytes().ends_with(&source));
    let text = eventually("the line", || fs::read_to_string(&log).ok().filter(|t| !t.is_empty()));
    let logged: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&logged["client"], &logged["tls"]), (&"198.51.100.7".into(), &"TLSv1.3".into()));
    child.kill().unwrap();
    child.wait().unwrap();
}
