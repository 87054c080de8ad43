//! Messages and exit codes of a program that is started wrongly.

use std::net::TcpListener;
use std::process::{Output, Stdio};

use cachecompress_test::server::{command, output};

use crate::common::*;

/// Runs the program, which must end by itself.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let environment = environment.iter().copied();
    output(command(Path::new(PROGRAM)).args(arguments).envs(environment).stdin(Stdio::null()))
}

#[track_caller]
fn assert_refused(arguments: &[&str], environment: &[(&str, &str)], code: i32, names: &str) {
    let output = run(arguments, environment);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(stderr.contains(names), "{arguments:?} is not told about {names:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(stderr.lines().count() <= 8, "{arguments:?}: {stderr}");
}

#[test]
fn bad_flag_is_named_and_ends_with_2() {
    let site = Site::with("index.html", b"x");
    let site = site.path().to_str().unwrap();
    for (flag, value) in [
        ("--listen", "nonsense"),
        ("--listen", "127.0.0.1:99999"),
        ("--cache-size", "many"),
        ("--codings", "gzip,nonsense"),
        ("--level", "gzip=10"),
        ("--level", "br=12"),
        ("--level", "zstd=23"),
        ("--level", "zstd"),
        ("--level", "lzma=3"),
        ("--immutable-paths", ""),
        ("--clean-urls", "on"),
        ("--trailing-slash", "sometimes"),
        ("--index", "docs/index.html"),
        ("--index", "index.html,"),
        ("--spa=app.html", "--spa-except=/api"),
        ("--spa-except", ""),
        ("--not-found", "/../lost.html"),
        ("--dotfiles", "on"),
        ("--type", "usdz"),
        ("--type", "usdz=model"),
        ("--type", "=a/b"),
        ("--threads", "none"),
        ("--revalidate", "soon"),
        ("--patience", "-1s"),
        ("--prove", "perhaps"),
        ("--log-format", "xml"),
    ] {
        assert_refused(&["serve", site, flag, value], &[], 2, flag.split('=').next().unwrap());
    }
    assert_refused(&["serve", site, "--nonsense"], &[], 2, "--nonsense");
    assert_refused(&["nonsense"], &[], 2, "nonsense");
    let environment = [("CACHECOMPRESS_CACHE_SIZE", "many")];
    assert_refused(&["serve", site], &environment, 2, "many");
}

/// Another server with a missing root served the working directory (GHSA-8v2v-wjwg-vx6r).
#[test]
fn missing_directory_is_named_and_ends_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no-such-site");
    let file = directory.path().join("file.txt");
    fs::write(&file, b"no directory").unwrap();
    for path in [&missing, &file] {
        let text = path.to_str().unwrap();
        let output = run(&["serve", text, "--listen", "127.0.0.1:0"], &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {stderr}", output.status);
        assert!(stderr.contains(text), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn address_in_use_is_named_and_ends_with_1() {
    let site = Site::with("index.html", b"x");
    let cache = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (site, cache) = (site.path().to_str().unwrap(), cache.path().to_str().unwrap());
    let free = "127.0.0.1:0";
    let listen = ["serve", site, "--cache-dir", cache, "--listen", &address];
    assert_refused(&listen, &[], 1, &address);
    let admin = ["serve", site, "--cache-dir", cache, "--listen", free, "--admin", &address];
    assert_refused(&admin, &[], 1, &address);
}

/// A second server on the same address would silently share its connections by SO_REUSEPORT.
#[test]
fn second_server_on_the_same_address_is_refused() {
    let site = Site::with("index.html", b"x");
    let server = start(&site);
    let address = server.address().to_string();
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().to_str().unwrap();
    let site = site.path().to_str().unwrap();
    assert_refused(&["serve", site, "--cache-dir", cache, "--listen", &address], &[], 1, &address);
}

#[test]
fn help_and_version_end_with_0() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["--version"]] {
        let output = run(arguments, &[]);
        assert!(output.status.success(), "{arguments:?}");
        assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{arguments:?}");
    }
    let help = String::from_utf8(run(&["serve", "--help"], &[]).stdout).unwrap();
    for flag in [
        "--listen",
        "--cache-dir",
        "--cache-size",
        "--codings",
        "--level",
        "--threads",
        "--encode-threads",
        "--revalidate",
        "--patience",
        "--prove",
        "--cache-control",
        "--index",
        "--clean-urls",
        "--trailing-slash",
        "--spa",
        "--spa-except",
        "--not-found",
        "--dotfiles",
        "--immutable",
        "--access-log",
        "--original-length",
        "--admin",
        "--log-level",
        "--log-format",
    ] {
        assert!(help.contains(flag), "{flag} is missing from\n{help}");
        let variable = format!("CACHECOMPRESS_{}", flag[2..].replace('-', "_").to_uppercase());
        assert!(help.contains(&variable), "{variable} is missing from\n{help}");
    }
}

#[cfg(unix)]
#[test]
fn sigterm_and_sigint_end_an_idle_server_with_0() {
    use rustix::process::Signal;

    let site = Site::with("index.html", b"x");
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = start(&site);
        // An idle connection does not delay the end.
        let mut idle = Connection::open(server.address()).unwrap();
        idle.send(&Request::get("/")).unwrap();
        assert_eq!(idle.receive("GET").unwrap().status(), 200);
        let begun = Instant::now();
        server.signal(signal);
        assert!(server.wait().success());
        // The time is less than the 10 s that running requests are given.
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    }
}

#[cfg(unix)]
#[test]
fn certificate_that_cannot_be_used_is_named_with_its_flag() {
    use crate::tls::pki::Authority;

    let site = Site::with("index.html", b"x");
    let site = site.path().to_str().unwrap();
    let authority = Authority::new();
    let [one, other] = ["one", "other"].map(|name| authority.issue(name, &["localhost"]));
    let [cert, key] = [&one.cert, &one.key].map(|path| path.to_str().unwrap());
    let made = |name: &str, text: &[u8]| {
        let path = authority.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = authority.path().join("missing.pem");
    let missing = missing.to_str().unwrap();
    let pem = fs::read_to_string(cert).unwrap();
    let broken = made("broken.pem", pem.replace('M', "A").as_bytes());
    let cut = made("cut.pem", &pem.as_bytes()[..pem.len() / 2]);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----";
    let encrypted = made("encrypted.pem", encrypted.as_bytes());
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMII=\n";
    let legacy = made("legacy.pem", legacy.as_bytes());
    let weak = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----";
    let weak = made("weak.pem", weak.as_bytes());
    let huge = made("huge.pem", &vec![b'x'; (1 << 20) + 1]);
    let directory = authority.path().to_str().unwrap();
    let other_key = other.key.to_str().unwrap();
    for (cert, key, code, named, why) in [
        (Some(cert), None, 2, "--tls-key", "--tls-cert needs"),
        (None, Some(key), 2, "--tls-cert", "--tls-key needs"),
        (Some(missing), Some(key), 1, "--tls-cert", "there is no such file"),
        (Some(cert), Some(missing), 1, "--tls-key", "there is no such file"),
        (Some(directory), Some(key), 1, "--tls-cert", directory),
        (Some(&huge), Some(key), 1, "--tls-cert", "larger than 1 MiB"),
        (Some(key), Some(key), 1, "--tls-cert", "it has no certificate"),
        (Some(&cut), Some(key), 1, "--tls-cert", "it is no PEM file"),
        (Some(&broken), Some(key), 1, "--tls-cert", "broken"),
        (Some(cert), Some(cert), 1, "--tls-key", "it has no private key"),
        (Some(cert), Some(&encrypted), 1, "--tls-key", "it is encrypted"),
        (Some(cert), Some(&legacy), 1, "--tls-key", "it is encrypted"),
        (Some(cert), Some(&weak), 1, "--tls-key", "of no known kind"),
        (Some(cert), Some(other_key), 1, "--tls-key", "it is not the key of the certificate in"),
    ] {
        let mut arguments = vec!["serve", site, "--listen", "127.0.0.1:0"];
        arguments.extend(cert.iter().flat_map(|cert| ["--tls-cert", cert]));
        arguments.extend(key.iter().flat_map(|key| ["--tls-key", key]));
        assert_refused(&arguments, &[], code, named);
        assert_refused(&arguments, &[], code, why);
    }
    assert_refused(
        &["serve", site, "--redirect-from", ":0"],
        &[],
        2,
        "--redirect-from needs HTTPS",
    );
}

/// A request that was on its way when a kept connection was closed went unanswered.
#[cfg(unix)]
#[test]
fn kept_connection_is_told_of_the_end_by_an_answer() {
    let source = site::text(7, 5000);
    let site = Site::with("a.txt", &source);
    let mut server = start(&site);
    let mut kept = Connection::open(server.address()).unwrap();
    let request = Request::get("/a.txt").accept("gzip");
    kept.send(&request).unwrap();
    assert_eq!(kept.receive("GET").unwrap().header("connection"), None);
    server.signal(rustix::process::Signal::TERM);
    // The connection hears of the signal while it is asked.
    eventually("the last answer", || {
        kept.send(&request).unwrap();
        let answer = kept.receive("GET").unwrap();
        assert_is(&answer, &source, "gzip");
        (answer.header("connection") == Some("close")).then_some(())
    });
    assert!(kept.is_closed());
    assert!(server.wait().success());
}
