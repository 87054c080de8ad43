//! The metrics: their names, their documentation, and all that is made of them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use cachecompress_test::tools::require;

use crate::common::*;

/// The workspace's file at `path`.
fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace(path)).unwrap()
}

/// The metrics of a program with a store that replicas share, which has answered with a hit, a miss and an
/// error.
fn exposed() -> String {
    let site = Site::with("app.js", &site::text(1, 50_000));
    let server = start_with(&site, "--tier memory:///");
    let _ = server.get("/app.js", "gzip");
    let _ = server.until_hit(&Request::get("/app.js").accept("gzip"));
    assert_eq!(server.get("/missing", "gzip").status(), 404);
    server.metrics()
}

/// The families of `text`, each with its type.
fn families(text: &str) -> Vec<(&str, &str)> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

/// The names of all samples that the program may send.
fn samples(text: &str) -> BTreeSet<String> {
    let names = families(text).into_iter().flat_map(|(name, kind)| match kind {
        "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).into(),
        _ => vec![name.to_owned()],
    });
    names.collect()
}

/// The words of `text` that are names of metrics of the program.
fn named(text: &str) -> BTreeSet<String> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_name(character));
    words.filter(|word| word.starts_with("cachecompress_")).map(str::to_owned).collect()
}

fn promtool(arguments: &[&str], input: Option<&str>) -> Option<Output> {
    let mut command = Command::new(require("promtool")?);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.unwrap_or_default().as_bytes()).unwrap();
    drop(stdin);
    Some(child.wait_with_output().unwrap())
}

#[track_caller]
fn assert_well(output: &Output) {
    let (out, err) = (&output.stdout, &output.stderr);
    let text = String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err);
    assert!(output.status.success(), "{text}");
}

#[test]
fn metrics_follow_the_conventions_of_prometheus() {
    let Some(output) = promtool(&["check", "metrics"], Some(&exposed())) else { return };
    assert_well(&output);
}

#[test]
fn documentation_lists_the_metrics_that_there_are() {
    let page = read("docs/program.md");
    let (_, section) = page.split_once("\n## Metrics\n").unwrap();
    let table = section.split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `cachecompress_"));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    let listed: BTreeSet<String> = cells.flat_map(named).collect();
    let text = exposed();
    let sent = families(&text).into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(listed, sent, "docs/program.md on the left, the program on the right");
}

#[test]
fn dashboard_and_alerts_name_metrics_that_there_are() {
    let samples = samples(&exposed());
    for file in ["deploy/grafana/cachecompress.json", "deploy/prometheus/alerts.yml"] {
        let names = named(&read(file));
        assert!(names.len() > 10, "{file} names {names:?}");
        let unknown: Vec<_> = names.difference(&samples).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which the program does not send");
    }
}

/// The expressions of the Grafana dashboard, with values in place of its variables.
fn dashboard_expressions() -> Vec<String> {
    fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                found.extend(fields.get("expr").and_then(|expr| Some(expr.as_str()?.to_owned())));
                fields.values().for_each(|value| collect(value, found));
            }
            serde_json::Value::Array(values) => {
                values.iter().for_each(|value| collect(value, found));
            }
            _ => {}
        }
    }
    let dashboard = serde_json::from_str(&read("deploy/grafana/cachecompress.json")).unwrap();
    let mut found = Vec::new();
    collect(&dashboard, &mut found);
    let variables =
        [("$__rate_interval", "5m"), ("$__range", "1h"), ("$job", ".*"), ("$instance", ".*")];
    let fill = |expression: String| {
        let replace = |text: String, (name, value)| text.replace(name, value);
        variables.into_iter().fold(expression, replace)
    };
    found.into_iter().map(fill).collect()
}

#[test]
fn dashboard_has_expressions_that_prometheus_understands() {
    let expressions = dashboard_expressions();
    assert!(expressions.len() > 20, "{expressions:?}");
    let rule = |(number, expr): (usize, &String)| serde_json::json!({ "record": format!("panel_{number}"), "expr": expr });
    let rules: Vec<_> = expressions.iter().enumerate().map(rule).collect();
    let rules = serde_json::json!({ "groups": [{ "name": "panels", "rules": rules }] });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.yml");
    // JSON is YAML, too.
    fs::write(&file, rules.to_string()).unwrap();
    let Some(output) = promtool(&["check", "rules", file.to_str().unwrap()], None) else { return };
    assert_well(&output);
}

#[test]
fn alerts_fire_when_they_should() {
    let tests = workspace("deploy/prometheus/alerts_test.yml");
    let Some(output) = promtool(&["test", "rules", tests.to_str().unwrap()], None) else { return };
    assert_well(&output);
}

#[test]
fn alert_is_tested_while_it_fires_and_while_it_does_not() {
    let (rules, tests) =
        (read("deploy/prometheus/alerts.yml"), read("deploy/prometheus/alerts_test.yml"));
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<_> = alerts.collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let calm = format!("- {{alertname: {alert}, eval_time: ");
        assert!(tests.contains(&calm), "{alert} has no test in which it is silent");
        let fires = format!("- alertname: {alert}\n");
        let (_, after) = tests.split_once(&fires).unwrap_or_else(|| panic!("{alert} never fires"));
        let expected = after.lines().nth(2).unwrap();
        assert!(expected.trim().starts_with("- exp_labels: "), "{alert} never fires: {expected}");
    }
}

#[test]
fn response_is_in_the_histograms_of_its_outcome_and_coding() {
    let site = Site::with("app.js", &site::text(1, 50_000));
    let server = start(&site);
    let counts = |name: &str, outcome, coding| {
        let labels = [("outcome", outcome), ("coding", coding)];
        server.metric(&format!("cachecompress_{name}_seconds_count"), &labels)
    };
    let both = |outcome, coding| {
        (counts("first_byte", outcome, coding), counts("response", outcome, coding))
    };
    let _ = server.get("/app.js", "br");
    let hit = server.until_hit(&Request::get("/app.js").accept("br"));
    let head = Request::get("/app.js").accept("br").method("HEAD");
    assert_eq!(server.fetch(&head).status(), 200);
    let conditional = Request::get("/app.js").accept("br").header("if-none-match", hit.etag());
    assert_eq!(server.fetch(&conditional).status(), 304);
    assert_eq!(server.get("/missing", "br").status(), 404);
    let _ = server.get("/app.js", "identity");
    let requests = |outcome| server.metric("cachecompress_requests_total", &[("outcome", outcome)]);
    // A response is measured when its body is taken from the service, before the client has it.
    assert_eq!(both("miss", "br"), (1.0, 1.0));
    let hits = requests("hit");
    assert_eq!(both("hit", "br"), (hits, hits));
    assert_eq!(both("not_modified", "br"), (1.0, 1.0));
    assert_eq!(both("error", "identity"), (1.0, 1.0));
    assert_eq!(both("identity", "identity"), (1.0, 1.0));
    let bypasses = |detail| server.metric("cachecompress_bypasses_total", &[("detail", detail)]);
    assert_eq!((bypasses("identity"), bypasses("disk")), (1.0, 0.0));
    let labels = [("coding", "br")];
    assert_eq!(server.metric("cachecompress_encode_duration_seconds_count", &labels), 1.0);
    assert!(server.metric("cachecompress_encode_duration_seconds_sum", &labels) > 0.0);
}

#[test]
fn aborted_body_counts_for_its_first_byte_alone() {
    let site = Site::with("large.bin", &site::random(1, 64 << 20));
    let server = start(&site);
    let count = |name: &str| server.metric(&format!("cachecompress_{name}_seconds_count"), &[]);
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(&Request::get("/large.bin")).unwrap();
    connection.receive_head().unwrap();
    eventually("a first byte", || (count("first_byte") == 1.0).then_some(()));
    assert_eq!(server.metric("cachecompress_connections", &[]), 1.0);
    drop(connection);
    let connections = || server.metric("cachecompress_connections", &[]);
    eventually("the connection's end", || (connections() == 0.0).then_some(()));
    assert_eq!((count("first_byte"), count("response")), (1.0, 0.0));
    assert!(server.metric("cachecompress_max_connections", &[]) > 0.0);
}

/// A reload that is refused is no gap of the metrics, and the next one is counted.
#[cfg(unix)]
#[test]
fn reload_shows_in_the_metrics_whether_it_succeeds_or_not() {
    let site = Site::with("index.html", b"<p>hello</p>");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cachecompress.toml");
    let write = |text: &str| {
        let root = site.path().to_str().unwrap();
        fs::write(&file, format!("root = {root:?}\n{text}")).unwrap();
    };
    write("");
    let server = Launch::by_file(PROGRAM, &file).start();
    let metric = |name: &str| server.metric(&format!("cachecompress_{name}"), &[]);
    let generation = || metric("configuration_generation");
    let loaded = || metric("last_reload_success_timestamp_seconds");
    assert_eq!((generation(), metric("last_reload_successful")), (0.0, 1.0));
    let first = loaded();
    assert!(first >= metric("start_time_seconds") - 60.0 && first > 1.6e9, "{first}");
    write("no-such-key = 1");
    server.signal(rustix::process::Signal::HUP);
    eventually("a refusal", || (metric("last_reload_successful") == 0.0).then_some(()));
    assert_eq!((generation(), loaded()), (0.0, first));
    write("immutable = true");
    server.signal(rustix::process::Signal::HUP);
    eventually("a reload", || (metric("last_reload_successful") == 1.0).then_some(()));
    assert_eq!(generation(), 1.0);
    assert!(loaded() > first);
}

#[cfg(unix)]
#[test]
fn certificate_shows_when_it_expires() {
    use crate::tls::pki::{Authority, launch_tls};
    let authority = Authority::new();
    let pair = authority.issue("site", &["a.test"]);
    let site = Site::with("index.html", b"<p>hello</p>");
    let server = launch_tls(&site, &pair).start();
    let file = pair.cert.to_str().unwrap();
    let expiry =
        server.metric("cachecompress_certificate_expiry_timestamp_seconds", &[("file", file)]);
    let Some(openssl) = require("openssl") else { return };
    let arguments = ["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", file];
    let output = Command::new(openssl).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // As in `notAfter=4096-01-01 00:00:00Z`.
    let date = text.trim().strip_prefix("notAfter=").unwrap().replace(' ', "T");
    let date: SystemTime = humantime::parse_rfc3339(&date).unwrap();
    let expected = date.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert_eq!(expiry, expected);
}
