//! The answers of the API, held against what the server has done.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use super::*;

#[test]
fn status_counts_what_the_site_has_sent() {
    let source = site::text(3, 50_000);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    let fresh = get(&server, "/api/v1/status");
    assert_eq!(fresh["requests"]["miss"], 0);
    assert_eq!((&fresh["ready"], &fresh["cache"]["entries"]), (&true.into(), &0.into()));
    let sent = server.get("/app.js", "br").body.len() as u64;
    let sent = sent + server.until_hit(&Request::get("/app.js").accept("br")).body.len() as u64;
    server.until_idle();
    let status = get(&server, "/api/v1/status");
    assert_eq!(status["requests"]["miss"], 1);
    let hits = status["requests"]["hit"].as_u64().unwrap();
    assert!(hits >= 1, "{status}");
    assert_eq!(status["source_bytes"], (hits + 1) * source.len() as u64);
    assert!(status["sent_bytes"].as_u64().unwrap() >= sent, "{status}");
    let saved = status["source_bytes"].as_u64().unwrap() - status["sent_bytes"].as_u64().unwrap();
    assert_eq!(status["saved_bytes"], saved);
    assert_eq!(status["encodes"]["by_coding"]["br"]["started"], 1);
    assert!(status["encode_cpu_seconds"].as_f64().unwrap() > 0.0, "{status}");
    assert_eq!(
        (&status["encodes"]["running"], &status["encodes"]["queued"]),
        (&0.into(), &0.into())
    );
    assert_eq!(status["cache"]["entries"], 1);
    assert_eq!(status["cache"]["directory"], server.cache().to_str().unwrap());
    assert_eq!(status["cache"]["max_bytes"], 1_u64 << 30);
    assert_eq!(status["sites"][0]["root"], site.path().to_str().unwrap());
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let started = status["started"].as_f64().unwrap();
    assert!(started <= now && now - started < 3600.0, "{started} of {now}");
}

#[test]
fn status_counts_open_connections() {
    let site = Site::with("a.txt", b"a");
    let server = launch(&site).args("--max-connections 7").start();
    let open = || get(&server, "/api/v1/status")["connections"].clone();
    assert_eq!(open()["max"], 7);
    let mut one = Connection::open(server.address()).unwrap();
    one.send(&Request::get("/a.txt")).unwrap();
    assert_eq!(one.receive("GET").unwrap().status(), 200);
    // Each worker that waits for a connection holds a permit for it.
    let with_one = open()["open"].as_u64().unwrap();
    drop(one);
    eventually("the connection's end", || (open()["open"].as_u64() < Some(with_one)).then_some(()));
}

#[test]
fn config_has_each_setting_with_its_origin() {
    let site = Site::with("a.txt", b"a");
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let text = "patience = \"1h\"\n\n[[headers]]\nfor = \"/**\"\nvalues = { x-a = \"b\" }\n\n\
                [types]\n\".usdz\" = \"model/vnd.usdz+zip\"\n";
    fs::write(file.path(), text).unwrap();
    let server = Launch::new(PROGRAM, site.path())
        .arg("--config")
        .arg(file.path())
        .args("--queue 7")
        .env("CACHECOMPRESS_MAX_STREAMS", "9")
        .start();
    let config = get(&server, "/api/v1/config");
    let settings = config["settings"].as_array().unwrap();
    let find = |key: &str| {
        let found: Vec<_> = settings.iter().filter(|setting| setting["key"] == key).collect();
        assert_eq!(found.len(), 1, "{key} in {config}");
        (found[0]["value"].clone(), found[0]["source"].as_str().unwrap().to_owned())
    };
    let line = |number| format!("{}:{number}", file.path().display());
    assert_eq!(find("queue"), (7.into(), "flag --queue".to_owned()));
    assert_eq!(find("max-streams"), (9.into(), "variable CACHECOMPRESS_MAX_STREAMS".to_owned()));
    assert_eq!(find("patience"), ("1h".into(), line(1)));
    assert_eq!(find("revalidate"), ("1s".into(), "default".to_owned()));
    assert_eq!(find("threads"), (Value::Null, "default".to_owned()));
    assert_eq!(find("tls.cert"), (Value::Null, "default".to_owned()));
    assert_eq!(find("types").0, serde_json::json!({ ".usdz": "model/vnd.usdz+zip" }));
    let headers = serde_json::json!([{ "for": "/**", "values": { "x-a": "b" } }]);
    assert_eq!(find("headers"), (headers, line(3)));
    assert_eq!(
        get(&server, "/api/v1/status")["configuration"]["file"],
        file.path().to_str().unwrap()
    );
}

#[test]
fn reload_takes_the_file_and_a_wrong_one_changes_nothing() {
    let site = Site::with("a.txt", b"a");
    let secret = Secret::new();
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    fs::write(file.path(), "cache-control = \"no-store\"\n").unwrap();
    let server = with_token(&site, &secret).arg("--config").arg(file.path()).start();
    fs::write(file.path(), "cache-control = \"max-age=7\"\n").unwrap();
    let done = post(&server, "/api/v1/reload", TOKEN, "{}");
    assert_eq!((done.status(), &json(&done)), (200, &serde_json::json!({ "generation": 1 })));
    assert_eq!(server.get("/a.txt", "gzip").header("cache-control"), Some("max-age=7"));
    fs::write(file.path(), "cache-kontrol = \"no-store\"\n").unwrap();
    let refusal = post(&server, "/api/v1/reload", TOKEN, "{}");
    assert_eq!(refusal.status(), 422);
    assert!(json(&refusal)["error"].as_str().unwrap().contains("cache-kontrol"));
    assert_eq!(server.get("/a.txt", "gzip").header("cache-control"), Some("max-age=7"));
    let status = get(&server, "/api/v1/status")["configuration"].clone();
    assert_eq!(
        (&status["generation"], &status["last_error"]),
        (&1.into(), &json(&refusal)["error"])
    );
}

/// A listener to events, which reads one line after the other.
struct Listener(BufReader<TcpStream>);

impl Listener {
    fn new(server: &Server) -> Self {
        let stream = TcpStream::connect(server.admin()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = Request::get("/api/v1/events").to_bytes("localhost");
        (&stream).write_all(&request).unwrap();
        let mut listener = Self(BufReader::new(stream));
        listener.skip_to(":\n");
        listener
    }

    fn skip_to(&mut self, wanted: &str) {
        let mut line = String::new();
        while line != wanted {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "no {wanted:?}");
        }
    }

    /// The data of the next event with this name.
    fn next(&mut self, name: &str) -> Value {
        self.skip_to(&format!("event: {name}\n"));
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap()
    }
}

#[cfg(unix)]
#[test]
fn events_tell_of_reloads_encodes_and_samples() {
    let site = Site::with("app.js", &site::text(3, 50_000));
    let secret = Secret::new();
    let server = with_token(&site, &secret).start();
    let mut events = Listener::new(&server);
    assert_eq!(post(&server, "/api/v1/reload", TOKEN, "").status(), 200);
    assert_eq!(events.next("reload"), serde_json::json!({ "generation": 1, "error": null }));
    server.signal(rustix::process::Signal::HUP);
    assert_eq!(events.next("reload"), serde_json::json!({ "generation": 2, "error": null }));
    fs::write(secret.file(), "short").unwrap();
    let refusal = post(&server, "/api/v1/reload", TOKEN, "");
    let told = events.next("reload");
    assert_eq!((&told["generation"], &told["error"]), (&2.into(), &json(&refusal)["error"]));

    let _ = server.get("/app.js", "br");
    let started = events.next("encode");
    assert_eq!((&started["state"], &started["path"]), (&"started".into(), &"/app.js".into()));
    let ended = events.next("encode");
    assert_eq!((&ended["state"], &ended["succeeded"]), (&"ended".into(), &true.into()));
    assert_eq!(ended["digest"], started["digest"]);
    let sample = events.next("sample");
    assert_eq!(
        get(&server, "/api/v1/history")["samples"].as_array().unwrap().last(),
        Some(&sample)
    );
}

/// Streams of events went on until they were cut off, half a second after the sites had drained.
#[cfg(unix)]
#[test]
fn events_end_cleanly_at_the_signal_while_a_download_goes_on() {
    let site = Site::with("big.bin", &site::random(3, 32 << 20));
    let mut server = launch(&site).start();
    let mut stalled = TcpStream::connect(server.address()).unwrap();
    stalled.write_all(&Request::get("/big.bin").to_bytes("localhost")).unwrap();
    std::io::Read::read_exact(&mut stalled, &mut [0; 12]).unwrap();
    let mut events = Listener::new(&server);
    server.signal(rustix::process::Signal::TERM);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut events.0, &mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "it was cut off: {rest:?}");
    assert!(server.is_running(), "the download holds up the end");
    drop(stalled);
    assert!(server.wait().success());
}

#[test]
fn files_have_what_was_sent_and_what_is_missing() {
    let source = site::text(3, 50_000);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    let sent = server.get("/app.js", "br").body.len();
    assert_eq!(server.get("/missing.js", "br").status(), 404);
    let files = eventually("both files", || {
        let files = get(&server, "/api/v1/files");
        (files["not_found"][0]["count"] == 1 && files["by_bytes"][0]["sent_bytes"] == sent)
            .then_some(files)
    });
    let path = |table: &str| files[table][0]["path"].clone();
    assert_eq!((path("by_bytes"), path("by_misses")), ("/app.js".into(), "/app.js".into()));
    assert_eq!(path("not_found"), "/missing.js");
}

#[test]
fn listeners_to_events_are_bounded_and_those_who_leave_make_room() {
    let site = Site::with("a.txt", b"a");
    let server = start(&site);
    let listen = || {
        let mut events = Connection::open(server.admin()).unwrap();
        events.send(&Request::get("/api/v1/events")).unwrap();
        let head = events.receive_head().unwrap();
        (head.status, events)
    };
    let listeners: Vec<_> = (0..16).map(|_| listen()).collect();
    assert!(listeners.iter().all(|(status, _)| *status == 200));
    assert_eq!(listen().0, 503);
    drop(listeners);
    eventually("room for a listener", || (listen().0 == 200).then_some(()));
}

#[test]
fn warm_encodes_the_files_of_its_globs() {
    let site = Site::with("js/app.js", &site::text(5, 30_000));
    site.write("js/deep/more.js", &site::text(6, 30_000));
    site.write("style.css", &site::text(7, 30_000));
    let secret = Secret::new();
    let server = with_token(&site, &secret).start();
    let begun = post(&server, "/api/v1/warm", TOKEN, r#"{"paths":["/js/*"],"codings":["br"]}"#);
    assert_eq!(
        (begun.status(), &json(&begun)),
        (202, &serde_json::json!({ "files": 1, "unmatched": [] }))
    );
    eventually("the warming's end", || (server.entries() == 1).then_some(()));
    assert!(server.get("/js/app.js", "br").is_hit());
    let all = || post(&server, "/api/v1/warm", TOKEN, r#"{"codings":["gzip"]}"#);
    let begun = eventually("the first warming's end", || Some(all()).filter(|a| a.status() != 409));
    assert_eq!(
        (begun.status(), &json(&begun)),
        (202, &serde_json::json!({ "files": 3, "unmatched": [] }))
    );
    eventually("the warming's end", || (server.entries() == 4).then_some(()));
    for path in ["/js/app.js", "/js/deep/more.js", "/style.css"] {
        assert!(server.get(path, "gzip").is_hit(), "{path}");
    }
}

#[test]
fn wrong_bodies_are_refused_with_the_reason() {
    let secret = Secret::new();
    let site = Site::with("a.txt", b"a");
    let server = with_token(&site, &secret).start();
    let long = format!(r#"{{"paths":["{}"]}}"#, "a".repeat(70_000));
    for (body, status, reason) in [
        (r#"{"paths":"#, 400, "EOF"),
        ("{}x", 400, "trailing"),
        ("[]x", 400, "must be a JSON object"),
        (r#" [["/a.txt"],["br"]]"#, 400, "must be a JSON object"),
        (r#""/a.txt""#, 400, "must be a JSON object"),
        (r#"{"paths":"*"}"#, 400, "sequence"),
        (r#"{"path":["*"]}"#, 400, "unknown field `path`"),
        (r#"{"codings":["lzma"]}"#, 400, "unknown variant `lzma`"),
        (r#"{"paths":["a{b"]}"#, 422, "is no glob for paths"),
        (&long, 413, "64 KiB"),
    ] {
        let answer = post(&server, "/api/v1/warm", TOKEN, body);
        assert_eq!(answer.status(), status, "{body:.40}");
        let sentence = json(&answer)["error"].to_string();
        assert!(sentence.contains(reason), "{body:.40}: {sentence}");
    }
    assert_eq!(post(&server, "/api/v1/reload", TOKEN, "[]").status(), 400);
    assert_eq!(post(&server, "/api/v1/reload", TOKEN, " {}").status(), 200);
    let text = Request::new("POST", "/api/v1/warm")
        .header("authorization", &format!("Bearer {TOKEN}"))
        .header("content-type", "text/plain");
    assert_eq!(post_with(&server, &text, "{}").status(), 415);
    assert_eq!(server.encodes(), 0);
}
