//! The notes of REDbot and httplint on the server's answers.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use cachecompress_test::tools::require;
use serde_json::Value;

/// The paths under check: a page, a directory's index, a redirect to it, a script, styles, figures
/// that take a while to encode, an image that is never encoded, and a missing page.
const PATHS: [&str; 8] = [
    "/",
    "/docs/",
    "/docs",
    "/app.3f9c2b1a.js",
    "/style.css",
    "/tides.json",
    "/pixels.png",
    "/no-such-page",
];

/// Notes about the site and its operator, not about the server.
const OTHERS_BUSINESS: [&str; 3] = ["Browser Security", "Cookies", "Cross-Origin Resource Sharing"];

/// The allowed notes, each with its name, a part of the name of its check (empty: any), and the
/// reason.
const ALLOWED: [(&str, &str, &str); 4] = [
    (
        "FRESHNESS_NO_CACHE_NO_VALIDATOR",
        "",
        "a redirect to a directory is asked for each time, as a file may take its name",
    ),
    ("RANGE_NEG_MISMATCH", "gzip", OF_IDENTITY),
    ("RANGE_INCORRECT_LENGTH", "browser", OF_IDENTITY),
    ("RANGE_CHANGED", "browser", OF_IDENTITY),
];

/// REDbot sends Range with its Accept-Encoding and no If-Range, and compares with the coded whole.
const OF_IDENTITY: &str = "a range that names no coding is one of identity, whatever is stored";

#[test]
fn answers_have_no_faults() {
    let Some(python) = require("redbot") else { return };
    let server = Server::start();
    let urls: Vec<String> = PATHS.iter().map(|path| format!("{}{path}", server.origin)).collect();
    // The first round meets a cold cache, the second a warm one.
    for round in ["cold", "warm"] {
        let faults = faults(&notes(&python, &urls));
        assert!(faults.is_empty(), "{round}:\n{}", faults.join("\n"));
    }
}

#[test]
fn faults_are_told_from_praise() {
    let note = |level: &str, category: &str| {
        serde_json::json!({"url": "u", "check": "plain", "status": 200, "level": level,
            "category": category, "note": "N", "subject": "field-vary", "summary": "s"})
    };
    assert_eq!(faults(&[note("bad", "Validation")]).len(), 1);
    assert_eq!(faults(&[note("warning", "Partial Content")]).len(), 1);
    assert!(faults(&[note("good", "Validation"), note("info", "Caching")]).is_empty());
    assert!(faults(&[note("bad", "Browser Security")]).is_empty());
}

/// The notes that are neither praise nor allowed, as lines to read.
fn faults(notes: &[Value]) -> Vec<String> {
    let text = |note: &Value, key: &str| note[key].as_str().unwrap_or_default().to_owned();
    let is_fault = |note: &&Value| {
        let (name, check) = (text(note, "note"), text(note, "check"));
        ["bad", "warning"].contains(&text(note, "level").as_str())
            && !OTHERS_BUSINESS.contains(&text(note, "category").as_str())
            && !ALLOWED.iter().any(|(known, part, _)| *known == name && check.contains(part))
    };
    let keys = ["url", "check", "level", "category", "note", "subject", "summary"];
    let line = |note: &Value| keys.map(|key| text(note, key)).join(" | ");
    notes.iter().filter(is_fault).map(line).collect()
}

/// Runs the checks on `urls`. Returns their notes.
fn notes(python: &Path, urls: &[String]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/redbot/run.py");
    let output = Command::new(python).arg(script).args(urls).output().expect("python runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "run.py failed: {errors}");
    let lines = String::from_utf8(output.stdout).expect("run.py prints UTF-8");
    let mut notes: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("run.py prints a JSON object a line"))
        .collect();
    let last = notes.pop().unwrap_or_default();
    assert_eq!(last["urls"], urls.len(), "run.py stopped halfway: {errors}");
    assert!(notes.len() > urls.len(), "REDbot said next to nothing: {errors}");
    notes
}

/// The real program over the example site, with an empty cache. It is ended when dropped.
struct Server {
    child: Child,
    origin: String,
    _stdout: BufReader<ChildStdout>,
    _cache: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/site");
        let cache = tempfile::tempdir().expect("a temporary directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_cachecompress"))
            .arg("serve")
            .arg(site)
            .args(["--listen", "127.0.0.1:0", "--cache-dir"])
            .arg(cache.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("a line");
        let origin = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let origin = origin.unwrap_or_else(|| panic!("no address in the first line: {line:?}"));
        Self { child, origin, _stdout: stdout, _cache: cache }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
