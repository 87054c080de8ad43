//! Stores that cannot be used, which cost the sharing and nothing else.

use std::net::TcpListener;

use super::*;

/// The number of sentences about the store in the log.
fn told(server: &Server) -> usize {
    server.stderr().lines().filter(|line| line.contains("tier") || line.contains("store")).count()
}

#[test]
fn wrong_store_is_told_once_and_costs_nothing() {
    let site = Site::with("app.js", &site::text(1, 50_000));
    site.write("short.keys", b"short");
    let key = |name: &str| site.file(name).to_str().unwrap().to_owned();
    let store = site.path().to_str().unwrap();
    for (flags, words) in [
        (
            "--tier nonsense://bucket".to_owned(),
            "\"nonsense://bucket\" is no place of a shared store",
        ),
        ("--tier s3://".to_owned(), "\"s3://\" is no place of a shared store"),
        (format!("--tier {store}/none"), "there is no directory for a shared store at"),
        (
            format!("--tier {store} --tier-key-file {}", key("no.keys")),
            "the key file cannot be read",
        ),
        (
            format!("--tier {store} --tier-key-file {}", key("short.keys")),
            "fewer than 16 characters",
        ),
    ] {
        let flags = format!("{flags} --patience 1h");
        let server = launch(&site).args(&flags).start();
        assert_is(&server.get("/app.js", "br"), &site::text(1, 50_000), "br");
        let told: Vec<_> = server.stderr().lines().map(str::to_owned).collect();
        let told: Vec<_> =
            told.iter().filter(|line| line.contains("cannot use --tier: ")).collect();
        let [line] = told.as_slice() else { panic!("{flags}: {told:?}") };
        assert!(line.contains(words) && line.ends_with("; serving without it"), "{line}");
        assert!(!server.metrics().contains("cachecompress_tier_"));
    }
}

#[test]
fn check_of_the_configuration_refuses_a_wrong_store() {
    let site = Site::with("app.js", b"x");
    for (table, words) in [
        ("url = \"nonsense://bucket\"", "cannot use --tier: \"nonsense://bucket\" is no place"),
        ("url = \"none\"", "cannot use --tier: there is no directory for a shared store at"),
        ("url = \".\"\nkey-file = \"none\"", "cannot use --tier: the key file cannot be read"),
        ("url = \".\"\nmode = \"wo\"", "write one of \"rw\", \"ro\""),
        ("place = \".\"", "the keys there are url, mode, key-file"),
    ] {
        site.write("c.toml", format!("[tier]\n{table}\n").as_bytes());
        let mut check = command(Path::new(PROGRAM));
        check.args(["config", "check", "--config", "c.toml"]).current_dir(site.path());
        let output = cachecompress_test::server::output(&mut check);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// A server of S3 that closes each connection, and counts them.
fn dead_store() -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let count = std::sync::Arc::default();
    let counted = std::sync::Arc::clone(&count);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            drop(connection);
            let counted: &std::sync::atomic::AtomicUsize = &counted;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (endpoint, count)
}

fn at_endpoint(site: &Site, endpoint: &str) -> Launch {
    launch(site)
        .args("--tier s3://bucket/site --level br=7")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
}

#[test]
fn store_that_is_away_is_told_once_and_tried_again() {
    let source = site::text(2, LONG);
    let site = Site::with("app.js", &source);
    let (endpoint, connections) = dead_store();
    let server = at_endpoint(&site, &endpoint).start();
    assert_is(&server.get("/app.js", "br"), &source, "br");
    assert_eq!((server.encodes(), requests(&server, "skipped")), (1, 1.0));
    assert_eq!(server.metric("cachecompress_tier_breaker_state", &[("state", "open")]), 1.0);
    eventually("another try", || (connections.load(Ordering::SeqCst) >= 3).then_some(()));
    let stderr = server.stderr();
    assert_eq!(
        stderr.matches("files are compressed without it, and it is tried again").count(),
        1,
        "{stderr}"
    );
    assert_eq!(told(&server), 1, "{stderr}");
}

#[test]
fn store_that_never_answers_delays_neither_start_nor_end() {
    let source = site::text(3, LONG);
    let site = Site::with("app.js", &source);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut server = at_endpoint(&site, &endpoint).start();
    assert_is(&server.get("/app.js", "br"), &source, "br");
    server.stop();
}

#[test]
fn reload_tells_that_another_store_waits_for_the_next_start() {
    let site = Site::with("app.js", b"x");
    let file = site.file("c.toml");
    fs::write(&file, "root = \".\"\n[tier]\nurl = \".\"\n").unwrap();
    let server = Launch::by_file(PROGRAM, &file).start();
    fs::write(&file, "root = \".\"\n[tier]\nurl = \".\"\nmode = \"ro\"\n").unwrap();
    server.signal(rustix::process::Signal::HUP);
    let sentence = "changes of these take effect at the next start flags=\"tier\"";
    eventually("a warning", || server.stderr().contains(sentence).then_some(()));
}

#[test]
fn warm_says_that_the_store_is_away_and_ends_with_1() {
    let site = Site::with("app.js", &site::text(4, 50_000));
    let (endpoint, _) = dead_store();
    let cache = tempfile::tempdir().unwrap();
    let mut warm = command(Path::new(PROGRAM));
    warm.arg("warm").arg(site.path()).args(["--tier", "s3://bucket/site", "--cache-dir"]);
    warm.arg(cache.path()).env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "us-east-1");
    warm.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "secret");
    let output = cachecompress_test::server::output(&mut warm);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(
        stdout.contains("s3://bucket/site: this store did not answer at the start\n"),
        "{stdout}"
    );
    assert!(stdout.contains("3 compressed"), "the files are compressed all the same: {stdout}");
}
