//! The server makes files smaller while it is idle.

use std::path::PathBuf;

use cachecompress_test::server::{command, output};
use cachecompress_test::site::prose;
use cachecompress_test::tools::require;
use rustix::process::geteuid;
use serde_json::Value;

use crate::admin::{Secret, TOKEN, get, post, with_token};
use crate::common::*;

const BETTER: &str = "cachecompress; hit; detail=second-pass";

/// A machine whose pressure on the processors a test sets, for one server.
struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    /// A machine without pressure. If this one cannot be one, prints a loud `SKIPPED` line and returns `None`.
    fn idle() -> Option<Self> {
        require("unshare")?;
        let missing = |what: &str| {
            eprintln!("SKIPPED: the pressure on the processors can be set only with {what}");
            None
        };
        if !geteuid().is_root() {
            return missing("root");
        }
        if !PathBuf::from("/proc/pressure/cpu").exists() {
            return missing("/proc/pressure/cpu");
        }
        let machine = Self { directory: tempfile::tempdir().unwrap() };
        machine.set_pressure("0.00");
        let script = format!(
            "mount --bind {} /proc/pressure/cpu || exit 9\nexec \"$@\"\n",
            machine.directory.path().join("cpu").display()
        );
        fs::write(machine.directory.path().join("start.sh"), script).unwrap();
        let mut tried = std::process::Command::new("unshare");
        tried.args(["--mount", "sh"]).arg(machine.directory.path().join("start.sh")).arg("true");
        if !tried.status().unwrap().success() {
            return missing("the right to mount");
        }
        Some(machine)
    }

    fn set_pressure(&self, per_cent: &str) {
        let text = format!("some avg10={per_cent} avg60=0.00 avg300=0.00 total=1\n");
        fs::write(self.directory.path().join("cpu"), text).unwrap();
    }

    fn through(&self) -> String {
        format!("unshare --mount sh {}", self.directory.path().join("start.sh").display())
    }
}

fn encodes(server: &Server) -> f64 {
    server.metric("cachecompress_second_pass_encodes_total", &[])
}

#[test]
fn file_that_is_asked_for_becomes_smaller_while_the_machine_is_idle() {
    let Some(machine) = Machine::idle() else { return };
    let source = prose(70_000, 1);
    let (site, secret) = (Site::with("app.js", &source), Secret::new());
    let server = with_token(&site, &secret);
    let server = server.args("--recompress idle").through(&machine.through()).start();
    let request = Request::get("/app.js").accept("br");
    let first = server.until_hit(&request);
    for _ in 0..3 {
        let _ = server.fetch(&request);
    }
    let second = eventually("a better answer", || {
        let answer = server.fetch(&request);
        (answer.header("cache-status") == Some(BETTER)).then_some(answer)
    });
    assert_is(&second, &source, "br");
    assert!(second.body.len() * 100 < first.body.len() * 99);
    let tag = first.header("etag").unwrap();
    let conditional = request.clone().header("if-none-match", tag);
    assert_eq!(server.fetch(&conditional).status(), 304);
    assert!(encodes(&server) > 0.0);
    let status = get(&server, "/api/v1/status")["second_pass"].clone();
    assert_eq!((&status["cpu_share"], &status["encodes"]), (&0.1.into(), &1.into()), "{status}");
    assert_eq!(status["saved_bytes"], first.body.len() - second.body.len());
    assert!(status["cpu_seconds"].as_f64().unwrap() > 0.0);
    let entries = get(&server, "/api/v1/entries");
    assert_eq!(entries["entries"][0]["level"], 11, "{entries}");

    let mut server = server;
    server.stop();
    let inspect = |arguments: &[&str]| {
        let mut inspect = command(PROGRAM.as_ref());
        inspect.arg("inspect").args(arguments).arg("--cache-dir").arg(server.cache());
        String::from_utf8(output(&mut inspect).stdout).unwrap()
    };
    let list: Value = serde_json::from_str(&inspect(&["--json"])).unwrap();
    assert!(list["entries"][0]["hits"].as_u64().unwrap() >= 4, "{list}");
    let explained = inspect(&[site.path().to_str().unwrap(), "/app.js"]);
    assert!(explained.contains("made smaller by the second pass."), "{explained}");

    let again = server.again();
    let third = again.fetch(&request);
    assert_eq!(third.header("cache-status"), Some(BETTER));
    assert!(third.body == second.body);
    assert_eq!(again.encodes(), 0, "a restart encodes nothing again");
}

#[test]
fn second_pass_waits_while_the_processors_are_under_pressure() {
    let Some(machine) = Machine::idle() else { return };
    machine.set_pressure("80.00");
    let site = Site::with("app.js", &prose(70_000, 2));
    let server = launch(&site).args("--recompress idle").through(&machine.through()).start();
    let request = Request::get("/app.js").accept("br");
    server.until_hit(&request);
    for _ in 0..3 {
        let _ = server.fetch(&request);
    }
    // An idle machine begins within ten seconds.
    std::thread::sleep(std::time::Duration::from_secs(15));
    assert_eq!(encodes(&server), 0.0);
    machine.set_pressure("0.00");
    eventually("the pressure is gone", || (encodes(&server) > 0.0).then_some(()));
}

#[test]
fn second_pass_that_is_off_encodes_nothing_but_sends_what_warm_has_made() {
    let site = Site::with("app.js", &prose(70_000, 3));
    let server = launch(&site).args("--recompress off").start();
    let request = Request::get("/app.js").accept("br");
    let first = server.until_hit(&request);
    let mut warm = command(PROGRAM.as_ref());
    warm.arg("warm").arg(site.path()).args(["--best", "--codings", "br"]);
    warm.arg("--cache-dir").arg(server.cache());
    assert!(output(&mut warm).status.success());
    let second = eventually("the entry of `warm`", || {
        let answer = server.fetch(&request);
        (answer.header("cache-status") == Some(BETTER)).then_some(answer)
    });
    assert!(second.body.len() < first.body.len());
    assert_eq!(encodes(&server), 0.0);
}

#[test]
fn warming_at_the_best_levels_is_begun_and_cancelled_by_requests() {
    let source = prose(40_000_000, 4);
    let (site, secret) = (Site::with("tool.bin", &source), Secret::new());
    site.write("app.js", &prose(50_000, 5));
    let server = with_token(&site, &secret).args("--recompress off").start();
    let body = r#"{"paths":["/app.js"],"codings":["br"],"best":true}"#;
    assert_eq!(post(&server, "/api/v1/warm", TOKEN, body).status(), 202);
    let request = Request::get("/app.js").accept("br");
    eventually("the better entry", || {
        (server.fetch(&request).header("cache-status") == Some(BETTER)).then_some(())
    });

    let body = r#"{"paths":["/tool.bin"],"codings":["br"],"best":true}"#;
    eventually("the first warming has ended", || {
        (post(&server, "/api/v1/warm", TOKEN, body).status() == 202).then_some(())
    });
    eventually("progress", || {
        let encodes = get(&server, "/api/v1/encodes");
        let read = encodes["encodes"][0]["read_bytes"].as_u64()?;
        (read > 0).then_some(())
    });
    for (body, status) in [
        (r#"{"cancel":true,"best":true}"#, 422),
        (r#"{"cancel":true}"#, 202),
        (r#"{"cancel":true}"#, 202),
    ] {
        assert_eq!(post(&server, "/api/v1/warm", TOKEN, body).status(), status, "{body}");
    }
    eventually("no encode", || (server.metric("cachecompress_inflight", &[]) == 0.0).then_some(()));
    let begun = post(&server, "/api/v1/warm", TOKEN, r#"{"paths":["/missing.js"]}"#);
    assert_eq!(begun.status(), 202, "another one may begin");
}
