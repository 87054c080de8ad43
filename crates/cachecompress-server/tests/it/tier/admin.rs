//! The store in the admin API, on the dashboard and in the access log.

use cachecompress_test::tools::require;

use super::*;
use crate::admin::dashboard::{nothing_is_a_barrier, text};
use crate::admin::get;
use crate::sites::devtools::Tab;

#[test]
fn status_and_history_have_the_figures_of_the_store() {
    let fleet = Fleet::new();
    let first = fleet.replica().start();
    fleet.fill(&first);
    let status = get(&first, "/api/v1/status")["tier"].clone();
    assert_eq!(status["place"], fleet.store.path().to_str().unwrap());
    assert_eq!((&status["mode"], &status["signed"]), (&"rw".into(), &false.into()));
    assert_eq!((&status["breaker"], &status["breaker_opened"]), (&"closed".into(), &0.into()));
    assert_eq!(status["uploads"], json!({ "stored": 1, "failed": 0, "dropped": 0 }));
    assert_eq!(status["leases"]["acquired"], 1);
    assert_eq!(status["written_bytes"], fs::metadata(fleet.object()).unwrap().len());
    assert_eq!((&status["upload_queue"], &status["upload_queue_bytes"]), (&0.into(), &0.into()));

    let (second, _) = fleet.until_imported(|| fleet.replica().args("--tier-mode ro"));
    let status = get(&second, "/api/v1/status")["tier"].clone();
    assert_eq!((&status["mode"], &status["requests"]["hit"]), (&"ro".into(), &1.into()));
    // It asked whether the object is there, and for it.
    assert_eq!((&status["imports"], &status["leases"]["alone"]), (&1.into(), &0.into()));
    assert_eq!((&status["answers"], &status["requests"]["miss"]), (&2.into(), &0.into()));
    for positive in ["answer_seconds", "import_cpu_seconds", "cpu_seconds_saved"] {
        assert!(status[positive].as_f64().unwrap() > 0.0, "{positive}: {status}");
    }
    let sample = eventually("a sample", || {
        let history = get(&second, "/api/v1/history");
        history["samples"].as_array()?.last().cloned().filter(|last| last["tier"]["answers"] == 2)
    });
    let figures = sample["tier"].as_object().unwrap();
    assert!(figures.iter().all(|(name, figure)| status[name] == *figure), "{status}, {sample}");
}

#[test]
fn status_without_a_store_has_none() {
    let site = Site::with("a.txt", b"x");
    let server = start(&site);
    assert_eq!(get(&server, "/api/v1/status").get("tier"), Some(&Value::Null));
}

#[test]
fn credentials_in_the_url_are_told_nowhere() {
    let site = Site::with("a.txt", b"x");
    let endpoint = "http://127.0.0.1:1";
    let server = launch(&site)
        .args("--tier s3://id:secret-of-the-tests@bucket/site --log-level info")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "another-secret-of-the-tests")
        .start();
    assert_eq!(get(&server, "/api/v1/status")["tier"]["place"], "s3://bucket/site");
    let config = get(&server, "/api/v1/config");
    let settings = config["settings"].as_array().unwrap();
    let url = settings.iter().find(|setting| setting["key"] == "tier.url").unwrap();
    assert_eq!(url["value"], "s3://bucket/site");
    eventually("a sentence", || server.stderr().contains("it is tried again").then_some(()));
    let told = [config.to_string(), server.metrics(), server.stderr()].concat();
    assert!(!told.contains("secret-of-the-tests"), "{told}");
}

#[test]
fn access_log_names_the_store() {
    let fleet = Fleet::new();
    fleet.fill(&fleet.replica().start());
    let log = tempfile::tempdir().unwrap();
    let file = log.path().join("access.log");
    let replica = || {
        let _ = fs::remove_file(&file);
        fleet.replica().args("--access-log-format json --access-log").arg(&file)
    };
    let (mut server, _) = fleet.until_imported(replica);
    server.stop();
    let line: Value = serde_json::from_str(fs::read_to_string(&file).unwrap().trim()).unwrap();
    assert_eq!((&line["cache"], &line["coding"]), (&"tier".into(), &"br".into()));
    assert_eq!(line["target"], "/app.js");
}

#[test]
fn page_shows_the_store_without_barriers() {
    let Some(chromium) = require("chromium") else { return };
    let Some(axe) = require("axe-core") else { return };
    let fleet = Fleet::new();
    fleet.fill(&fleet.replica().start());
    let (server, _) = fleet.until_imported(|| fleet.replica());
    let url = format!("http://{}/", server.admin());
    let mut tab = Tab::open(&chromium, None);
    tab.show_as("light", 1280);
    tab.go(&url);
    tab.until_true("document.getElementById('connection').textContent === 'Live'");
    tab.until_true("document.getElementById('tier-section').checkVisibility()");
    assert!(text(&mut tab, "#tier-gloss").starts_with("1 import, with "));
    assert_ne!(text(&mut tab, "#tier-saved"), "0 µs");
    let facts = text(&mut tab, "#tier-facts");
    let place = format!("Store{}Mode", fleet.store.path().display());
    for words in [&*place, "Modereads and stores, unsigned", "Breakerclosed: ", "Disproved0"] {
        assert!(facts.contains(words), "{words}: {facts}");
    }
    tab.evaluate(
        "document.querySelectorAll('details').forEach(details => { details.open = true; })",
    );
    for (plot, column, still) in [("saved", 1, "0 %"), ("requests", 1, "0/s"), ("answer", 1, "–")]
    {
        let cells = format!(
            "[...document.querySelectorAll('#plot-tier-{plot} td:nth-child({})')]",
            column + 1
        );
        tab.until_true(&format!(
            "{cells}.some(cell => !['–', '{still}'].includes(cell.textContent))"
        ));
    }
    tab.evaluate(
        "document.querySelectorAll('details').forEach(details => { details.open = false; })",
    );
    nothing_is_a_barrier(&mut tab, &fs::read_to_string(axe).unwrap());
    assert_eq!(tab.complaints(), [""; 0]);
}
