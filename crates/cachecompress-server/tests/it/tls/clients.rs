//! TLS as curl, OpenSSL and h2load see it.

use std::process::{Command, Output, Stdio};

use cachecompress_test::server::output;
use cachecompress_test::tools::require;

use super::pki::*;
use crate::common::*;

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], b"\n", &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn curl_gets_the_same_bytes_over_every_version() {
    let Some(curl) = require("curl") else { return };
    let files = [("app.js", site::text(1, 200_000)), ("noise.bin", site::random(2, 3_000_000))];
    let site = Site::new();
    files.iter().for_each(|(name, bytes)| site.write(name, bytes));
    let authority = Authority::new();
    let server = launch_tls(&site, &authority.issue("site", &["localhost"])).start();
    let into = authority.path().join("body");
    let mut states = ["cold", "warm"].into_iter().cycle();
    for (protocol, number) in [("--http1.1", "1.1"), ("--http2", "2"), ("--no-alpn", "1.1")] {
        for version in ["1.2", "1.3"] {
            for _ in 0..2 {
                let state = states.next().unwrap();
                for (name, bytes) in &files {
                    let url = format!("https://localhost:{}/{name}", server.address().port());
                    let mut command = Command::new(&curl);
                    command.args(["-sS", "--compressed", protocol, "--resolve"]);
                    command.arg(format!("localhost:{}:127.0.0.1", server.address().port()));
                    command.args([&format!("--tlsv{version}"), "--tls-max", version]);
                    command.arg("--cacert").arg(authority.ca()).arg("-o").arg(&into);
                    command.args(["-w", "%{http_code} %{http_version} %{size_header}", &url]);
                    let got = output(&mut command);
                    let told = text(&got);
                    assert!(got.status.success(), "{protocol} {version} {state}: {told}");
                    assert!(told.starts_with(&format!("200 {number} ")), "{protocol}: {told}");
                    assert!(fs::read(&into).unwrap() == *bytes, "{protocol} {version} {state}");
                    let head = output(command.arg("-I"));
                    assert!(head.status.success(), "{protocol} {version} HEAD: {}", text(&head));
                }
            }
        }
    }
    assert_eq!(server.stderr(), "");
}

/// `openssl s_client`, with what it tells.
fn s_client(openssl: &Path, server: &Server, arguments: &[&str]) -> String {
    let mut command = Command::new(openssl);
    command.args(["s_client", "-connect", &server.address().to_string()]).args(arguments);
    text(&output(command.stdin(Stdio::null())))
}

#[test]
fn openssl_agrees_on_tls_1_2_and_1_3_and_on_nothing_older() {
    let Some(openssl) = require("openssl") else { return };
    let site = Site::with("index.html", b"x");
    let authority = Authority::new();
    let server = launch_tls(&site, &authority.issue("site", &["localhost"])).start();
    let ca = authority.ca();
    let ca = ["-CAfile", ca.to_str().unwrap(), "-verify_hostname", "localhost"];
    for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let told = s_client(&openssl, &server, &[&ca[..], &[flag]].concat());
        assert!(told.contains(version) && told.contains("Verify return code: 0 (ok)"), "{told}");
    }
    for flag in [&["-tls1_1"][..], &["-tls1"]] {
        let old = [flag, &["-cipher", "ALL:@SECLEVEL=0"]].concat();
        let told = s_client(&openssl, &server, &old);
        assert!(told.contains("no peer certificate") && told.contains("alert number"), "{told}");
    }
    for (offered, chosen) in [
        ("h2,http/1.1", "ALPN protocol: h2"),
        ("http/1.1,h2", "ALPN protocol: h2"),
        ("http/1.1", "ALPN protocol: http/1.1"),
        ("nonsense", "alert no application protocol"),
    ] {
        let told = s_client(&openssl, &server, &["-alpn", offered]);
        assert!(told.contains(chosen), "{offered}: {told}");
    }
}

#[test]
fn openssl_resumes_its_session_by_a_ticket() {
    let Some(openssl) = require("openssl") else { return };
    let site = Site::with("index.html", b"x");
    let authority = Authority::new();
    let server = launch_tls(&site, &authority.issue("site", &["localhost"])).start();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = authority.path().join(format!("session{version}"));
        let session = session.to_str().unwrap();
        // In TLS 1.3 tickets come after the handshake, so the client has to read for a moment.
        let ask = |flag: &str| {
            let address = server.address().to_string();
            let words = ["s_client", "-ign_eof", "-connect", &address, version, flag, session];
            let child = Command::new(&openssl)
                .args(words)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            let mut child = child.unwrap();
            let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            std::io::Write::write_all(child.stdin.as_mut().unwrap(), request).unwrap();
            text(&child.wait_with_output().unwrap())
        };
        let first = ask("-sess_out");
        assert!(first.contains("New, TLSv1") && first.contains("200 OK"), "{version}: {first}");
        let second = ask("-sess_in");
        assert!(second.contains("Reused, TLSv1"), "{version}: {second}");
        assert!(second.contains("200 OK"), "{version}: {second}");
    }
}

#[test]
fn h2load_has_no_failure() {
    let Some(h2load) = require("h2load") else { return };
    let site = Site::with("app.js", &site::text(3, 100_000));
    let authority = Authority::new();
    let server = launch_tls(&site, &authority.issue("site", &["localhost"])).start();
    let url = format!("https://{}/app.js", server.address());
    for protocol in ["h2", "http/1.1"] {
        let alpn = format!("--npn-list={protocol}");
        let words =
            ["-n", "2000", "-c", "20", "-m", "10", "-H", "accept-encoding: br", &alpn, &url];
        let told = text(&output(Command::new(&h2load).args(words)));
        assert!(told.contains(&format!("Application protocol: {protocol}")), "{told}");
        assert!(told.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{told}");
        assert!(told.contains("2000 2xx"), "{told}");
    }
    assert_eq!(server.stderr(), "");
}
