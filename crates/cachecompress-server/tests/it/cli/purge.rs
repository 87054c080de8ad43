//! `purge` beside a running server.

#![cfg(unix)]

use std::sync::Arc;
use std::thread;

use cachecompress_test::server::{command, output};
use cachecompress_test::site::hex;
use serde_json::Value;

use crate::common::*;

fn run(cache: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut purge = command(Path::new(PROGRAM));
    let output = output(purge.arg("purge").args(arguments).arg("--cache-dir").arg(cache));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn json(cache: &Path, arguments: &[&str]) -> Value {
    let (code, text) = run(cache, &[arguments, &["--json"]].concat());
    assert_eq!(code, Some(0), "{arguments:?}: {text}");
    serde_json::from_str(&text).unwrap()
}

const PATHS: [&str; 4] = ["/js/f1.js", "/js/f12.js", "/js/f2.js", "/docs/index.html"];

fn site() -> Site {
    let site = Site::new();
    for (seed, path) in (0..).zip(PATHS) {
        site.write(&path[1..], &hex(4_000, seed));
    }
    site
}

/// Asks for all files in both codings until their entries are there. A server sends what was purged
/// for up to a second.
fn fill(server: &Server, cache: &Path) {
    eventually("all entries are there", || {
        for (seed, path) in (0..).zip(PATHS) {
            for coding in ["br", "gzip"] {
                assert_is(&server.get(path, coding), &hex(4_000, seed), coding);
            }
        }
        server.until_idle();
        (cache_dir::entries(cache).len() == 8).then_some(())
    });
}

#[test]
fn purge_removes_what_the_conditions_choose_and_a_dry_run_nothing() {
    let (site, cache) = (site(), tempfile::tempdir().unwrap());
    let server = launch(&site).cache(cache.path()).start();
    let (cache, dir) = (cache.path(), site.path().to_str().unwrap());
    let entries = || cache_dir::entries(cache).len();
    for (arguments, count) in [
        (vec![dir, "/js/f1*.js"], 4),
        (vec![dir, "/js/f2.js"], 2),
        (vec![dir, "/docs/"], 2),
        (vec![dir, "/**", "--coding", "br"], 4),
        (vec!["--coding", "gzip"], 4),
        (vec!["--older-than", "1d"], 0),
        (vec!["--older-than", "0s", "--coding", "zstd"], 0),
        (vec!["--all"], 8),
    ] {
        fill(&server, cache);
        let dry = json(cache, &[&arguments[..], &["--dry-run"]].concat());
        assert_eq!(
            (&dry["entries"], &dry["dry_run"]),
            (&count.into(), &true.into()),
            "{arguments:?}"
        );
        assert_eq!(entries(), 8, "{arguments:?}");
        let done = json(cache, &arguments);
        assert_eq!(
            (&done["entries"], &done["bytes"]),
            (&count.into(), &dry["bytes"]),
            "{arguments:?}"
        );
        assert_eq!(done["kept"], 8 - count, "{arguments:?}");
        assert_eq!(entries() as u64, 8 - count, "{arguments:?}");
    }
    fill(&server, cache);
    let name = cache_dir::entries(cache)[0].file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(json(cache, &["--digest", &name[..16].to_uppercase()])["entries"], 2);
    assert!(cache_dir::entries(cache).iter().all(|entry| !entry.ends_with(&name)));

    fill(&server, cache);
    let (code, text) = run(cache, &[dir, "/js/f2.js", "/js/no*.js", "--dry-run"]);
    assert_eq!(code, Some(1), "a glob that matches nothing is told: {text}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "no file matches /js/no*.js");
    assert!(lines[1].starts_with("would remove ") && lines[1].contains(" br ("), "{text}");
    assert!(lines[3].starts_with("would remove from ") && lines[3].ends_with("; 6 stay"), "{text}");
}

/// Clients see nothing of purges but other words in Cache-Status, and what is asked for again is
/// encoded again.
#[test]
fn server_goes_on_under_requests_while_entries_are_purged() {
    let (site, cache) = (site(), tempfile::tempdir().unwrap());
    let server = Arc::new(launch(&site).args("--memory-cache 0").cache(cache.path()).start());
    let ended = Arc::new(AtomicBool::new(false));
    let clients = (0..3).map(|number| {
        let (server, ended) = (Arc::clone(&server), Arc::clone(&ended));
        thread::spawn(move || {
            let mut answers = 0;
            while !ended.load(Ordering::Relaxed) || answers < 20 {
                let seed = answers % PATHS.len();
                let coding = if (answers + number) % 3 == 0 { "br" } else { "gzip" };
                let response = server.get(PATHS[seed], coding);
                assert_eq!(response.status(), 200);
                assert!(response.is_clean() && response.decoded() == hex(4_000, seed as u64));
                answers += 1;
            }
            answers
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut purged = 0;
    let began = server.encodes();
    while purged < 30 {
        let done = json(cache.path(), &["--all"]);
        purged += done["entries"].as_u64().unwrap();
        assert_eq!(done["failed"], 0);
        assert!(clients.iter().all(|client| !client.is_finished()), "a client saw a fault");
    }
    ended.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.join().unwrap() >= 20);
    }
    assert!(server.encodes() > began + 15, "purged entries are made again");
    fill(&server, cache.path());
    assert_eq!(server.metric("cachecompress_damaged_entries_total", &[]), 0.0);
    assert_eq!(server.stderr().matches("ERROR").count(), 0, "{}", server.stderr());
}

/// `/pages/[id].js` chose the entries of `i.js`, and no glob could name it.
#[test]
fn bracket_in_a_name_is_no_wildcard_where_the_file_is_there() {
    let (site, cache) = (Site::new(), tempfile::tempdir().unwrap());
    let paths =
        ["/pages/[id].js", "/pages/i.js", "/pages/[id]-a.js", "/pages/d-a.js", "/a{b,c}*.js"];
    for (seed, path) in (0..).zip(paths) {
        site.write(&path[1..], &hex(4_000, seed));
    }
    let server = launch(&site).cache(cache.path()).start();
    let (cache, dir) = (cache.path(), site.path().to_str().unwrap());
    for path in paths {
        let encoded = path.replace('[', "%5B").replace(']', "%5D");
        let encoded = encoded.replace('{', "%7B").replace('}', "%7D");
        server.until_hit(&Request::get(&encoded).accept("br"));
    }
    server.until_idle();
    let digest = |seed: u64| cachecompress::Digest::of(&hex(4_000, seed)).hex()[..12].to_owned();
    for (glob, seeds) in [
        ("/pages/[id].js", &[0][..]),
        ("/pages/%5Bid%5D.js", &[0]),
        ("/pages/%5bid%5d-*.js", &[2]),
        ("/pages/%5B*", &[0, 2]),
        ("/pages/[id]-?.js", &[3]),
        ("/pages/[i].js", &[1]),
        ("/a%7Bb%2Cc%7D%2A.*", &[4]),
        ("/a{b,c}*.js", &[4]),
    ] {
        let (code, text) = run(cache, &[dir, glob, "--dry-run"]);
        assert_eq!(code, Some(0), "{glob}: {text}");
        for seed in 0..5 {
            assert_eq!(
                text.contains(&digest(seed)),
                seeds.contains(&seed),
                "{glob}: {seed}: {text}"
            );
        }
    }
}

/// `--all` left damaged entries to `gc`.
#[test]
fn damaged_entries_go_with_all_and_with_their_digest() {
    let (site, cache) = (site(), tempfile::tempdir().unwrap());
    let cache = cache.path();
    let damage_all = || {
        let mut warm = command(Path::new(PROGRAM));
        warm.arg("warm").arg(site.path()).args(["--codings", "br,gzip", "--cache-dir"]).arg(cache);
        assert!(works(&mut warm));
        let entries = cache_dir::entries(cache);
        entries.iter().for_each(|entry| fs::write(entry, b"damaged").unwrap());
        entries
    };
    let entries = damage_all();
    let name = entries[0].file_name().unwrap().to_str().unwrap().to_owned();
    let (code, text) = run(cache, &["--coding", "br"]);
    assert_eq!((code, text.lines().count()), (Some(0), 9), "{text}");
    assert!(
        text.ends_with("0 stay, and 8 damaged ones, which `cachecompress gc` removes\n"),
        "{text}"
    );
    assert_eq!(cache_dir::entries(cache).len(), 8, "which coding they had is not known");

    let done = json(cache, &["--digest", &name[..16]]);
    assert_eq!((&done["damaged"], &done["damaged_kept"]), (&2.into(), &6.into()));
    assert_eq!(cache_dir::entries(cache).len(), 6);
    damage_all();
    let dir = site.path().to_str().unwrap();
    assert_eq!(json(cache, &[dir, "/js/f1.js"])["damaged"], 2);
    let (code, text) = run(cache, &["--all"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.ends_with("0 entries (0 B) and 6 damaged ones; 0 stay\n"), "{text}");
    assert!(cache_dir::entries(cache).is_empty());
}
