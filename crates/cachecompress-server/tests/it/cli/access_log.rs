//! The forms of the access log's lines, and the lines that a sample leaves out.

use serde_json::Value;

use crate::common::*;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A server with its access log, which lies in a directory that lives as long.
struct Logged {
    server: Server,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Logged {
    fn start(site: &Site, flags: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("access.log");
        let server = launch(site).args(flags).arg("--access-log").arg(&log).start();
        Self { server, log, _directory: directory }
    }

    /// The first `count` lines, once there are so many.
    fn lines(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} lines"), || {
            let text = fs::read_to_string(&self.log).ok()?;
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            (text.ends_with('\n') && lines.len() >= count).then_some(lines)
        })
    }

    fn objects(&self, count: usize) -> Vec<Value> {
        self.lines(count).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn json_line_has_what_a_combined_one_has_and_more() {
    let source = site::text(61, 5000);
    let site = Site::with("app.js", &source);
    let logged = Logged::start(&site, "--access-log-format json");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for method in ["GET", "HEAD"] {
            let request = Request::new(method, "/app.js?q=%22x")
                .accept("gzip")
                .header("user-agent", "caf\u{e9} \"\\ \u{202e}")
                .header("referer", "http://other/")
                .header("x-request-id", "a-stranger's")
                .header("traceparent", TRACE);
            let _ = logged.server.fetch_over(protocol, &request);
        }
    }
    let _ = logged.server.fetch(&Request::get("/none").header("traceparent", "01-2-3"));
    let lines = logged.objects(5);
    let mut ids = std::collections::BTreeSet::new();
    for (line, (protocol, method)) in lines.iter().zip([
        ("HTTP/1.1", "GET"),
        ("HTTP/1.1", "HEAD"),
        ("HTTP/2.0", "GET"),
        ("HTTP/2.0", "HEAD"),
    ]) {
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert_eq!((&line["protocol"], &line["method"]), (&protocol.into(), &method.into()));
        assert!(line["target"].as_str().unwrap().starts_with("/app.js?q=%22x"), "{line}");
        assert_eq!(line["user_agent"], "caf\u{e9} \"\\ \u{202e}");
        assert_eq!(line["referer"], "http://other/");
        assert_eq!((&line["status"], &line["coding"]), (&200.into(), &"gzip".into()), "{line}");
        assert_eq!(line["source"], 5000);
        assert_eq!(line["sent"] == 0, method == "HEAD", "{line}");
        assert!(["stored", "hit"].contains(&line["cache"].as_str().unwrap()), "{line}");
        assert!(line["first_byte"].is_number() && line["end"] == "complete", "{line}");
        assert!(line["host"].is_string(), "{line}");
        assert_eq!(line["traceparent"], TRACE);
        assert_eq!(line["sample"], 1);
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{line}");
        ids.insert(line["request_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 4, "each request has its own id: {ids:?}");
    assert!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    let missing = &lines[4];
    assert_eq!((&missing["status"], &missing["source"]), (&404.into(), &Value::Null), "{missing}");
    assert!(missing["tls"].is_null(), "{missing}");
    assert!(missing["traceparent"].is_null() && missing["referer"].is_null(), "{missing}");
    let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert!(lines.iter().all(|line| keys(line) == keys(missing)), "every line has every key");
}

#[test]
fn json_line_of_hostile_bytes_is_one_short_line_of_ascii() {
    let site = Site::with("app.js", &site::text(62, 300));
    let logged = Logged::start(&site, "--access-log-format json");
    let mut connection = Connection::open(logged.server.address()).unwrap();
    let mut head = b"GET /none HTTP/1.1\r\nHost: h\r\nUser-Agent: \xff\"}\\\t".to_vec();
    head.extend(vec![0xfe; 15_000]);
    head.extend(b"\r\nConnection: close\r\n\r\n");
    connection.send_raw(&head).unwrap();
    assert_eq!(connection.receive("GET").unwrap().status(), 404);
    let line = logged.lines(1).remove(0);
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')) && line.len() < 2048, "{line}");
    let object: Value = serde_json::from_str(&line).unwrap();
    let agent = object["user_agent"].as_str().unwrap();
    assert!(agent.starts_with("\u{fffd}\"}\\\t") && agent.ends_with("..."), "{agent}");
}

#[test]
fn sample_leaves_out_successes_and_no_errors() {
    let site = Site::with("app.js", &site::text(63, 300));
    let logged = Logged::start(&site, "--access-log-sample 1000000");
    for _ in 0..50 {
        assert_eq!(logged.server.get("/app.js", "gzip").status(), 200);
        assert_eq!(logged.server.get("/none", "gzip").status(), 404);
    }
    let lines = logged.lines(50);
    let errors = lines.iter().filter(|line| line.contains(" 404 ")).count();
    assert_eq!(errors, 50, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("/app.js") == line.contains(" sample=")));
    let access = [("log", "access")];
    let left_out =
        logged.server.metric("cachecompress_sampled_out_log_lines_total", &access) as usize;
    assert_eq!(left_out + lines.len(), 100, "each response is written or counted");
    assert!(left_out > 45, "five lines of fifty at one in a million: {lines:?}");
    assert_eq!(logged.server.metric("cachecompress_lost_log_lines_total", &access), 0.0);
}

#[test]
fn sampled_line_says_how_many_it_stands_for() {
    let site = Site::with("app.js", &site::text(64, 300));
    for (format, mark) in [("combined", " sample=2"), ("json", "\"sample\":2}")] {
        let flags = format!("--access-log-sample 2 --access-log-format {format}");
        let logged = Logged::start(&site, &flags);
        // Fifty successes without a single line would be a wonder of one in 10^15.
        for _ in 0..50 {
            assert_eq!(logged.server.get("/app.js", "gzip").status(), 200);
        }
        let lines = logged.lines(1);
        assert!(lines.len() < 50 && lines.iter().all(|line| line.ends_with(mark)), "{lines:?}");
    }
}
