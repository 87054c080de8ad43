//! Downloads that come through.

use std::process::Stdio;

use cachecompress_test::server::command;
use cachecompress_test::tools::require;

use super::stage::*;
use crate::common::*;

#[test]
fn new_file_is_decoded_and_verified() {
    let site = Site::new();
    let (text, binary, noise) =
        (site::text(1, 300_000), site::binary(2, 300_000), site::random(3, 100_000));
    for (name, bytes) in [("text.txt", &text), ("tool", &binary), ("noise.bin", &noise)] {
        site.write(name, bytes);
        site.age(name);
    }
    site.write("empty", b"");
    site.age("empty");
    let server = start(&site);
    for (name, bytes, coding, field) in [
        ("text.txt", &text[..], Some("br"), "etag"),
        ("tool", &binary, Some("br"), "etag"),
        ("noise.bin", &noise, None, "repr-digest"),
        ("empty", b"", None, "repr-digest"),
    ] {
        let stage = Stage::new();
        let report = stage.report(&format!("http://{}/{name}", server.address()), &[]);
        assert!(stage.content() == bytes, "{name}: {report}");
        assert_eq!(report["status"], "created", "{name}");
        assert_eq!(report["verified"], field, "{name}: {report}");
        assert_eq!(report["sha256"], sha256_hex(bytes));
        assert_eq!(report["bytes"], bytes.len());
        let received = report["received"].as_u64().unwrap();
        let is_coded = received < bytes.len() as u64;
        assert_eq!(report["coding"].as_str().is_some(), coding.is_some(), "{name}: {report}");
        assert_eq!(is_coded, coding.is_some(), "{name}: {report}");
        assert_eq!(stage.names(), ["tool"], "nothing is left beside it");
    }
}

#[test]
fn current_file_costs_no_byte_and_stays_untouched() {
    let bytes = site::text(1, 50_000);
    let site = Site::with("tool", &bytes);
    site.age("tool");
    let server = start(&site);
    let stage = Stage::with(&bytes);
    let before = fs::metadata(stage.file()).unwrap();
    let report = stage.report(&url_of(server.address()), &[]);
    assert_eq!((&report["status"], &report["received"]), (&"current".into(), &0.into()));
    let run = stage.get(&url_of(server.address()), &[]);
    run.assert(0, &["tool is current\n"]);
    let after = fs::metadata(stage.file()).unwrap();
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert_eq!(stage.names(), ["tool"]);
}

/// A server of others knows no tag of ours. It may know digests.
#[test]
fn current_file_is_known_by_repr_digest_at_any_server() {
    let bytes = site::text(1, 50_000);
    let digest = format!("sha-256={}", byte_sequence(&bytes));
    let body = bytes.clone();
    let origin = Origin::start(move |asked| {
        let fields = [("etag", "\"v1\""), ("repr-digest", digest.as_str())];
        response("200 OK", &fields, if asked.is("HEAD") { b"" } else { &body })
    });
    let stage = Stage::with(&bytes);
    let report = stage.report(&origin.url(), &[]);
    assert_eq!((&report["status"], &report["received"]), (&"current".into(), &0.into()));
    stage.get(&origin.url(), &["--check"]).assert(0, &["tool is current"]);
    let asked = origin.asked();
    assert_eq!(asked[0].field("want-repr-digest"), Some("sha-256=10"));
    fs::write(stage.file(), b"other").unwrap();
    stage.get(&origin.url(), &["--check"]).assert(3, &["tool is not current"]);
    assert_eq!(stage.report(&origin.url(), &[])["verified"], "repr-digest");
    assert!(stage.content() == bytes);
}

/// The digest of a coded response is that of its coded bytes, and says nothing of the file.
#[test]
fn digest_of_a_coded_response_is_asked_for_without_the_coding() {
    use std::io::Write as _;
    let bytes = site::text(1, 50_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&bytes).unwrap();
    let coded = gzip.finish().unwrap();
    let digests = [&coded, &bytes].map(|bytes| format!("sha-256={}", byte_sequence(bytes)));
    let origin = Origin::start(move |asked| match asked.is("HEAD") {
        true => response("200 OK", &[("repr-digest", &digests[1])], b""),
        false => {
            let fields = [("repr-digest", &*digests[0]), ("content-encoding", "gzip")];
            response("200 OK", &fields, &coded)
        }
    });
    let stage = Stage::new();
    let report = stage.report(&origin.url(), &[]);
    assert_eq!((&report["verified"], &report["coding"]), (&"repr-digest".into(), &"gzip".into()));
    assert!(stage.content() == bytes);
    assert_eq!(origin.asked()[1].field("accept-encoding"), Some("identity"));
}

#[test]
fn check_tells_current_stale_and_missing_files_apart() {
    let (old, new) = versions();
    let site = Site::with("tool", &new);
    site.age("tool");
    let server = start(&site);
    let url = url_of(server.address());
    Stage::with(&new).get(&url, &["--check"]).assert(0, &["tool is current"]);
    let stage = Stage::with(&old);
    stage.get(&url, &["--check"]).assert(3, &["tool is not current"]);
    assert!(stage.content() == old);
    let stage = Stage::new();
    stage.get(&url, &["--check"]).assert(3, &["tool is not there"]);
    assert_eq!(stage.names(), [""; 0]);
    let missing = format!("http://{}/nothing", server.address());
    stage.get(&missing, &["--check"]).assert_fails(1, &["404 Not Found"]);
    let json = stage.get(&url, &["--check", "--json"]);
    json.assert(3, &["\"status\":\"stale\""]);
}

#[test]
fn server_without_digests_is_named_as_such() {
    let Some(python) = require("python3") else { return };
    let bytes = site::text(1, 50_000);
    let site = Site::with("tool", &bytes);
    let port = cachecompress_test::port::free_port([127, 0, 0, 1].into());
    let mut serve = command(&python);
    serve.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
    serve.current_dir(site.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = serve.spawn().unwrap();
    let address = ([127, 0, 0, 1], port).into();
    eventually("python listens", || std::net::TcpStream::connect(address).ok());
    let stage = Stage::with(b"old");
    let run = stage.get(&url_of(address), &[]);
    let longer = stage.get(&url_of(address), &["--check"]);
    fs::write(stage.file(), b"old").unwrap();
    let shorter = stage.get(&url_of(address), &["--check"]);
    server.kill().unwrap();
    server.wait().unwrap();
    run.assert(0, &["updated tool", "not verified, as the server tells no digest"]);
    longer.assert_fails(1, &["only a download shows whether tool is current"]);
    shorter.assert(3, &["tool is not current"]);
}

#[cfg(unix)]
#[test]
fn file_keeps_its_permissions_and_a_new_one_follows_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::with("tool", &site::text(1, 50_000));
    let server = start(&site);
    let mode = |stage: &Stage| stage.file().metadata().unwrap().permissions().mode() & 0o7777;
    // The umask takes nothing from the last one.
    for kept in [0o755, 0o600, 0o444, 0o777] {
        let stage = Stage::with(b"old");
        fs::set_permissions(stage.file(), fs::Permissions::from_mode(kept)).unwrap();
        stage.report(&url_of(server.address()), &[]);
        assert_eq!(mode(&stage), kept);
    }
    let stage = Stage::new();
    let get = stage.command(&url_of(server.address()), &[]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 027; exec \"$@\"", "sh"]).arg(get.get_program());
    shell.args(get.get_args()).current_dir(stage.path()).env("NO_PROXY", "*");
    Run::of(&mut shell).assert(0, &["created"]);
    assert_eq!(mode(&stage), 0o640);
}

#[cfg(unix)]
#[test]
fn symlink_stays_and_its_file_is_replaced() {
    let (old, new) = versions();
    let site = Site::with("tool", &new);
    let server = start(&site);
    let stage = Stage::new();
    fs::create_dir(stage.path().join("v")).unwrap();
    fs::write(stage.path().join("v/real"), &old).unwrap();
    std::os::unix::fs::symlink("v/real", stage.file()).unwrap();
    stage.get(&url_of(server.address()), &[]).assert(0, &["updated"]);
    assert!(stage.file().symlink_metadata().unwrap().is_symlink());
    assert!(fs::read(stage.path().join("v/real")).unwrap() == new);
    assert_eq!(stage.names(), ["tool", "v"]);
}

#[test]
fn redirects_are_followed_and_bounded() {
    let body = site::text(1, 5000);
    let expected = body.clone();
    let origin = Origin::start(move |asked| match asked.field("accept") {
        _ if asked.is("GET /tool") => response("302 Found", &[("location", "b/c?d#e")], b""),
        _ if asked.is("GET /b/c?d ") => {
            response("308 Permanent Redirect", &[("location", "/e")], b"")
        }
        _ if asked.is("GET /e ") || asked.is("HEAD") => response("200 OK", &[], &body),
        _ if asked.is("GET /round") => response("301 Moved", &[("location", "/round")], b""),
        _ => response("302 Found", &[("location", "ftp://127.0.0.1/a")], b""),
    });
    let stage = Stage::new();
    stage.get(&origin.url(), &[]).assert(0, &["created tool"]);
    assert!(stage.content() == expected);
    let round = origin.url().replace("/tool", "/round");
    stage.get(&round, &[]).assert_fails(1, &["one of more than 10 redirects"]);
    let other = origin.url().replace("/tool", "/other");
    stage.get(&other, &[]).assert_fails(1, &["redirected to something that is no URL"]);
    assert!(stage.content() == expected);
}

#[test]
fn progress_is_a_bar_on_a_terminal() {
    use cachecompress_test::proxy::{Fault, FaultyProxy};
    let Some(script) = require("script") else { return };
    let site = Site::with("tool", &site::random(1, 400_000));
    let server = start(&site);
    let proxy = FaultyProxy::start(server.address());
    proxy.set(Fault::Rate(400_000));
    let stage = Stage::new();
    let url = url_of(proxy.address());
    let line = format!("stty cols 90 rows 24; exec {PROGRAM} get {url} -o tool --json");
    let mut terminal = command(&script);
    terminal.args(["-qec", &line, "/dev/null"]).current_dir(stage.path());
    let run = Run::of(terminal.env("TERM", "xterm").env("NO_PROXY", "*").stdin(Stdio::null()));
    run.assert(0, &["getting ", "=>", "% ", " received, ", "/s", "\"status\":\"created\""]);
    let quiet = Run::of(&mut Stage::new().command(&url, &["--json"]));
    assert!(quiet.code == Some(0) && quiet.stderr.is_empty(), "{quiet:?}");
}

/// Two lines were none, and the coded bytes became the file.
#[test]
fn codings_in_several_lines_are_refused() {
    let origin = Origin::start(|_| {
        let fields = [("content-encoding", "gzip"), ("content-encoding", "br")];
        response("200 OK", &fields, b"coded")
    });
    let stage = Stage::new();
    stage.get(&origin.url(), &[]).assert_fails(1, &["the server sends the coding gzip, br"]);
    assert_eq!(stage.names(), [""; 0]);
}

/// The user and the password go to the server that they are for, and into no line.
#[test]
fn user_of_a_url_is_sent_and_not_told() {
    let other = Origin::start(|_| response("200 OK", &[], b"other"));
    let location = other.url();
    let origin = Origin::start(move |asked| match asked.is("HEAD") {
        true => response("405 Method Not Allowed", &[], b""),
        false => response("302 Found", &[("location", &location)], b""),
    });
    let url = origin.url().replace("http://", "http://me:pass%20word@");
    let stage = Stage::new();
    let run = stage.get(&url, &["--json"]);
    run.assert(0, &["\"created\""]);
    assert!(!run.stdout.contains("pass") && !run.stderr.contains("pass"), "{run:?}");
    assert_eq!(origin.asked()[0].field("authorization"), Some("Basic bWU6cGFzcyB3b3Jk"));
    assert_eq!(other.asked()[0].field("authorization"), None);
}
