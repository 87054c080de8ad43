//! Replicas that share what one of them has encoded.

use super::*;

#[test]
fn second_replica_imports_what_the_first_has_encoded() {
    let fleet = Fleet::new();
    let first = fleet.replica().start();
    fleet.fill(&first);
    assert_eq!((first.encodes(), requests(&first, "miss")), (1, 1.0));
    assert_eq!(leases(&first, "acquired"), 1.0);
    let size = fs::metadata(fleet.object()).unwrap().len() as f64;
    assert_eq!(first.metric("cachecompress_tier_written_bytes_total", &[]), size);
    assert_eq!(first.metric("cachecompress_tier_upload_queue_entries", &[]), 0.0);
    assert_eq!(first.metric("cachecompress_tier_upload_queue_bytes", &[]), 0.0);

    let (second, imported) = fleet.until_imported(|| fleet.replica());
    let hit = first.until_hit(&Fleet::request());
    assert!(imported.body == hit.body && imported.etag() == hit.etag());
    assert_is(&second.until_hit(&Fleet::request()), &fleet.source, "br");
    assert_eq!((second.encodes(), second.entries()), (0, 1));
    assert_eq!((requests(&second, "hit"), requests(&second, "miss")), (1.0, 0.0));
    assert_eq!(second.metric("cachecompress_tier_read_bytes_total", &[]), size);
    // It asked whether the object is there, and for it.
    assert_eq!(second.metric("cachecompress_tier_latency_seconds_count", &[]), 2.0);
    assert!(second.metric("cachecompress_tier_import_cpu_seconds_total", &[]) > 0.0);
    assert!(second.metric("cachecompress_tier_cpu_seconds_saved_total", &[]) > 0.0);
    for (state, value) in [("closed", 1.0), ("open", 0.0), ("half_open", 0.0)] {
        let labels = [("state", state)];
        assert_eq!(second.metric("cachecompress_tier_breaker_state", &labels), value, "{state}");
    }
    assert_eq!(second.metric("cachecompress_tier_breaker_opened_total", &[]), 0.0);
}

#[test]
fn metrics_of_the_store_are_missing_without_one() {
    let site = Site::with("a.txt", b"x");
    let metrics = start(&site).metrics();
    assert!(!metrics.contains("cachecompress_tier_"), "{metrics}");
}

#[test]
fn replica_that_only_reads_imports_and_stores_nothing() {
    let fleet = Fleet::new();
    let reader = || fleet.replica().args("--tier-mode ro");
    let mut alone = reader().start();
    assert_is(&alone.fetch(&Fleet::request()), &fleet.source, "br");
    // What is to be stored for others is, before the end.
    alone.stop();
    assert_eq!(fleet.files(), Vec::<PathBuf>::new());

    fleet.fill(&fleet.replica().start());
    let (server, _) = fleet.until_imported(reader);
    assert_eq!(server.encodes(), 0);
}

#[test]
fn end_waits_until_an_entry_is_stored() {
    let fleet = Fleet::new();
    let mut server = fleet.replica().start();
    assert_is(&server.fetch(&Fleet::request()), &fleet.source, "br");
    server.stop();
    fleet.object();
}

#[test]
fn store_is_named_by_a_variable_or_the_file_from_its_directory() {
    let fleet = Fleet::new();
    fleet.fill(&fleet.replica().start());
    let by_variable = || {
        let launch = launch(&fleet.site).args(SLOW).args("--log-level info");
        launch.env("CACHECOMPRESS_TIER", fleet.store.path()).env("CACHECOMPRESS_TIER_MODE", "ro")
    };
    let (server, _) = fleet.until_imported(by_variable);
    let told = format!(
        "there is a store behind the cache place={} mode=\"ro\"",
        fleet.store.path().display()
    );
    assert!(server.stderr().contains(&told), "{}", server.stderr());

    let file = fleet.store.path().join("c.toml");
    let root = fleet.site.path().to_str().unwrap();
    let text = format!("root = {root:?}\nlevel = [\"br=7\"]\n[tier]\nurl = \".\"\nmode = \"ro\"\n");
    fs::write(&file, text).unwrap();
    fleet.until_imported(|| Launch::by_file(PROGRAM, &file).args(PATIENT));
}

#[test]
fn warm_fills_the_store_and_reads_it() {
    let fleet = Fleet::new();
    let warm = || {
        let cache = tempfile::tempdir().unwrap();
        let mut warm = command(Path::new(PROGRAM));
        warm.arg("warm").arg(fleet.site.path()).args(SLOW.split(' ')).args(["--codings", "br"]);
        warm.arg("--tier").arg(fleet.store.path()).arg("--cache-dir").arg(cache.path());
        let output = cachecompress_test::server::output(&mut warm);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{stdout}");
        stdout
    };
    let summary = warm();
    assert!(summary.trim_end().ends_with("; shared: 0 read, 1 stored"), "{summary}");
    fleet.object();
    fleet.until_imported(|| fleet.replica());
    eventually("a warm that imports", || {
        warm().trim_end().ends_with("; shared: 1 read, 0 stored").then_some(())
    });
}
