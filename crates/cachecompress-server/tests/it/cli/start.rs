//! The texts of `serve` at its start.

#![cfg(unix)]

use cachecompress_test::server::command;
use cachecompress_test::tools;
use serde_json::Value;

use crate::common::*;

/// The first event of a log in JSON with this message.
fn event(server: &Server, message: &str) -> Value {
    eventually(message, || {
        let stderr = server.stderr();
        let mut events = stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.find(|event| event["message"].as_str().unwrap().starts_with(message))
    })
}

#[test]
fn log_tells_of_the_directory_its_rules_and_the_cache() {
    let site = Site::with("a.txt", &site::text(1, 9000));
    site.write("_headers", b"/*\n  X-A: b\n");
    site.write("404.html", b"lost");
    let cache = tempfile::tempdir().unwrap();
    let mut warm = command(Path::new(PROGRAM));
    warm.arg("warm").arg(site.path()).arg("--cache-dir").arg(cache.path());
    assert!(works(&mut warm));
    let server =
        launch(&site).cache(cache.path()).args("--log-level info --log-format json --list").start();
    let serving = event(&server, "serving");
    assert_eq!(serving["dir"], site.path().to_str().unwrap());
    assert_eq!(serving["rules"], "_headers, --list");
    assert!(serving.get("hosts").is_none(), "{serving}");
    let kept = event(&server, "keeping compressed files on disk");
    assert_eq!(
        (&kept["dir"], &kept["max_bytes"]),
        (&cache.path().to_str().into(), &(1 << 30).into())
    );
    let found = event(&server, "found these entries in the cache");
    assert_eq!(found["entries"], "3");
    assert!(!server.stderr().contains("Try: "), "{}", server.stderr());
}

#[test]
fn address_of_the_whole_machine_is_told_with_the_one_that_leads_there() {
    let site = Site::with("a.txt", b"x");
    let server =
        launch(&site).args("--log-level info --log-format json --listen 0.0.0.0:0").start();
    let told = event(&server, "http://0.0.0.0:");
    let told = told["message"].as_str().unwrap();
    assert!(
        told.contains(" is all addresses of this machine; here it is http://localhost:"),
        "{told}"
    );
}

/// A program on a terminal of its own. Both are ended when dropped: the end of a terminal ends no server.
struct Terminal(std::process::Child);

impl Drop for Terminal {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process};

        // `script` passes the signal on.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

#[test]
fn terminal_gets_a_request_to_try_and_its_answer() {
    let (site, cache) =
        (Site::with("index.html", &site::text(1, 9000)), tempfile::tempdir().unwrap());
    let Some(script) = tools::require("script") else { return };
    let [site, cache] = [site.path(), cache.path()].map(|path| path.to_str().unwrap());
    let log = tempfile::NamedTempFile::new().unwrap();
    let line =
        format!("exec {PROGRAM} serve {site} --cache-dir {cache} --listen 127.0.0.1:0 {PATIENT}");
    let mut terminal = command(&script);
    terminal.args(["-qefc", &line]).arg(log.path());
    let null = std::process::Stdio::null;
    let _terminal = Terminal(terminal.stdin(null()).stdout(null()).spawn().unwrap());
    let shown = || fs::read_to_string(log.path()).unwrap();
    let text =
        eventually("the request to try", || Some(shown()).filter(|text| text.contains("hit`")));
    let after = |text: &str, start: &str| text.split(start).nth(1).unwrap().to_owned();
    let url = after(&text, "Try: curl -so /dev/null -D - --compressed http://");
    let address = url.split('/').next().unwrap().parse().unwrap();
    let told =
        after(&text, "The first request for a file that is compressed shows `cache-status: ");
    let request = Request::get("/index.html").accept("gzip");
    let answer = cachecompress_test::client::fetch(address, &request).unwrap();
    let status = answer.header("cache-status").unwrap();
    assert!(told.starts_with(&format!("{status}`, the next one `{HIT}`")), "{told}");
}

#[test]
fn secret_that_everybody_may_read_is_warned_of_and_used() {
    use std::os::unix::fs::PermissionsExt as _;

    use crate::tls::pki::Authority;

    let site = Site::with("a.txt", b"x");
    let authority = Authority::new();
    let files = authority.issue("site", &["localhost"]);
    let token = authority.path().join("token");
    fs::write(&token, "0123456789abcdef").unwrap();
    for (mode, warnings) in [(0o640, 0), (0o644, 1)] {
        for file in [&files.key, &token] {
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        }
        let launch = launch(&site).arg("--tls-cert").arg(&files.cert).arg("--tls-key");
        let launch = launch.arg(&files.key).arg("--admin-token-file").arg(&token);
        let server = launch.start();
        for (file, flag) in [(&files.key, "--tls-key"), (&token, "--admin-token-file")] {
            let sentence = format!(
                "every user of this machine may read {} ({flag}); chmod o-r it",
                file.display()
            );
            let told = server.stderr().matches(&sentence).count();
            assert_eq!(told, warnings, "{mode:o}: {}", server.stderr());
        }
    }
}

#[test]
fn misspelt_variable_is_warned_of() {
    let site = Site::with("a.txt", b"x");
    let server = launch(&site).env("CACHECOMPRESS_LISSEN", ":1").start();
    let sentence = "CACHECOMPRESS_LISSEN has no effect: did you mean CACHECOMPRESS_LISTEN?";
    assert!(server.stderr().contains(sentence), "{}", server.stderr());
}

/// The cache's directory was made before the line was found to be wrong.
#[test]
fn wrong_rule_ends_the_start_before_anything_is_created() {
    let (site, directory) = (Site::with("_redirects", b"/a\n"), tempfile::tempdir().unwrap());
    let cache = directory.path().join("cache");
    let mut serve = command(Path::new(PROGRAM));
    serve
        .arg("serve")
        .arg(site.path())
        .args(["--listen", "127.0.0.1:0", "--cache-dir"])
        .arg(&cache);
    let run = cachecompress_test::server::output(&mut serve);
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("_redirects:1: there is no target"), "{stderr}");
    assert!(!cache.exists(), "{stderr}");
}
