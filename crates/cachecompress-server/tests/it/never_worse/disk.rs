//! Promises 4 and 6: responses are right with every defect of the cache directory.

use std::thread;

use crate::common::*;

/// Asserts right responses in every coding, twice, over both protocols.
#[track_caller]
fn assert_serves(server: &mut Server, files: &[(&str, Vec<u8>)]) {
    for _ in 0..2 {
        for (name, source) in files {
            for accept in ["gzip", "br", "zstd", "identity"] {
                for protocol in Protocol::ALL {
                    let request = Request::get(&format!("/{name}")).accept(accept);
                    let response = server.fetch_over(protocol, &request);
                    assert_eq!(response.status(), 200, "{name}: {:?}", response.head);
                    assert!(response.decoded() == *source, "{name}: {:?}", response.head);
                    assert_tag(response.etag(), source, response.coding());
                }
            }
            let request = Request::get(&format!("/{name}")).accept("gzip, identity;q=0");
            let excluded = server.fetch(&request);
            // A refusal is right too if identity is excluded and no coding can be made.
            if excluded.status() == 200 {
                assert!(excluded.decoded() == *source);
                assert_eq!(excluded.coding(), "gzip");
            } else {
                assert!([406, 503].contains(&excluded.status()), "{:?}", excluded.head);
            }
        }
    }
    assert!(server.is_running());
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
}

fn some_files() -> (Site, Vec<(&'static str, Vec<u8>)>) {
    let files = vec![
        ("small.js", site::text(1, 20_000)),
        ("middle.css", site::text(2, 400_000)),
        ("large.json", site::text(3, 6_000_000)),
        ("noise.bin", site::random(4, 200_000)),
    ];
    let site = Site::new();
    for (name, bytes) in &files {
        site.write(name, bytes);
    }
    (site, files)
}

/// An unwritable cache directory stopped another server (lighttpd-docker 27).
#[test]
fn impossible_cache_directory_stops_nothing_but_caching() {
    let (site, files) = some_files();
    // Not even root can make a directory under a regular file.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"in the way").unwrap();
    let mut places = vec![file.join("cache"), file.clone()];
    if Path::new("/proc/self").exists() {
        places.push("/proc/cachecompress".into());
    }
    for place in places {
        let mut server = launch(&site).cache(&place).start();
        assert_serves(&mut server, &files);
        let what = format!("a report that {} is of no use", place.display());
        let complaint = eventually(&what, || Some(server.stderr()).filter(|told| !told.is_empty()));
        assert!(complaint.lines().count() < 20, "warned more than once:\n{complaint}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"in the way");
}

#[test]
fn read_only_cache_directory_serves_its_entries() {
    let Some(disk) = SmallDisk::mount("size=16m") else { return };
    let (site, files) = some_files();
    let cache = disk.path().join("cache");
    let mut server = launch(&site).cache(&cache).start();
    let held = Request::get("/small.js").accept("gzip");
    let _ = server.fetch(&held);
    server.until_hit(&held);
    server.until_idle();
    server.kill();
    disk.remount("ro");
    let mut server = server.again();
    assert_serves(&mut server, &files);
    assert_is(&server.until_hit(&held), &files[0].1, "gzip");
}

/// Other servers published a truncated file as success on a full disk.
#[test]
fn full_cache_disk_gives_right_answers() {
    let Some(disk) = SmallDisk::mount("size=1m") else { return };
    let (site, files) = some_files();
    let cache = disk.path().join("cache");
    let mut server = launch(&site).cache(&cache).start();
    assert_serves(&mut server, &files);
    // The disk has not a single free block from here on.
    let hole = disk.path().join("full");
    let mut ballast = fs::File::create(&hole).unwrap();
    let fill = |ballast: &mut fs::File| {
        use std::io::Write as _;
        while ballast.write_all(&[1; 4096]).is_ok() {}
    };
    fill(&mut ballast);
    site.write("late.js", &site::text(5, 90_000));
    assert_serves(&mut server, &[("late.js", site::text(5, 90_000))]);
    assert_serves(&mut server, &files);
    // Free room is used again.
    drop(ballast);
    fs::remove_file(&hole).unwrap();
    site.write("later.js", &site::text(6, 30_000));
    server.until_hit(&Request::get("/later.js").accept("gzip"));
    // Every entry that was stored meanwhile is whole.
    server.kill();
    let mut server = server.again();
    assert_serves(&mut server, &files);
    assert_eq!(server.metric("cachecompress_damaged_entries_total", &[]), 0.0);
}

#[test]
fn cache_disk_that_fills_up_in_mid_encode_breaks_no_body() {
    let Some(disk) = SmallDisk::mount("size=24m") else { return };
    let source = site::text(7, 12 << 20);
    let site = Site::with("app.js", &source);
    let cache = disk.path().join("cache");
    let mut server = launch(&site).cache(&cache).args("--level gzip=9").start();
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(&Request::get("/app.js").accept("gzip")).unwrap();
    let head = connection.receive_head().unwrap();
    connection.wait_for_bytes(1).unwrap();
    // The room was reserved before the first byte, so another program may take all the rest.
    let mut ballast = fs::File::create(disk.path().join("full")).unwrap();
    use std::io::Write as _;
    while ballast.write_all(&[1; 65_536]).is_ok() {}
    assert_is(&connection.receive_body("GET", head), &source, "gzip");
    assert!(server.is_running());
}

/// Other cache directories used up the inodes (tar1090 45, openlitespeed 276).
#[test]
fn cache_disk_without_inodes_gives_right_answers() {
    let Some(disk) = SmallDisk::mount("size=8m,nr_inodes=8") else { return };
    let (site, files) = some_files();
    let mut server = launch(&site).cache(&disk.path().join("cache")).start();
    assert_serves(&mut server, &files);
}

#[test]
fn cache_of_no_size_keeps_nothing_and_serves_all() {
    let (site, files) = some_files();
    let mut server = start_with(&site, "--cache-size 0");
    assert_serves(&mut server, &files);
    let kept: u64 = site::files_below(&server.cache())
        .iter()
        .filter(|path| path.file_name().unwrap() != "CACHEDIR.TAG")
        .map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len()))
        .sum();
    assert_eq!(kept, 0);
}

/// Other cache directories filled the disk (pagespeed 105).
#[test]
fn cache_stays_within_its_size() {
    let site = Site::new();
    // An entry may take at most a quarter of the cache's size while it is made.
    let source = |at| site::text(at, 400_000);
    for at in 0..30 {
        site.write(&format!("{at}.json"), &source(at));
    }
    let limit = 2_000_000;
    let server = start_with(&site, "--cache-size 2MB");
    for at in 0..30 {
        let response = server.get(&format!("/{at}.json"), "gzip");
        assert!(response.decoded() == source(at), "{at}");
    }
    server.until_idle();
    let size = || -> u64 {
        site::files_below(&server.cache())
            .iter()
            .map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len()))
            .sum()
    };
    eventually("at most 2 MB", || (size() <= limit).then_some(()));
    assert!(server.metric("cachecompress_evictions_total", &[]) > 0.0);
    assert!(server.entries() > 0, "evicting is not the same as giving up");
    assert!(server.metric("cachecompress_entry_bytes", &[]) <= limit as f64);
    // The last file was used last.
    assert_eq!(server.get("/29.json", "gzip").cache_status(), HIT);
}

#[test]
fn cache_directory_can_be_removed_under_a_running_server() {
    let (site, files) = some_files();
    let mut server = start(&site);
    assert_serves(&mut server, &files);
    let request = Request::get("/middle.css").accept("gzip");
    server.until_hit(&request);
    for _ in 0..3 {
        // Open entries are served without the directory, so it need not be back yet.
        if server.cache().exists() {
            fs::remove_dir_all(server.cache()).unwrap();
        }
        assert_serves(&mut server, &files);
    }
    // Files are cached again after new requests.
    site.write("late.js", &site::text(5, 100_000));
    server.until_hit(&Request::get("/late.js").accept("br"));
}

#[test]
fn cache_directory_can_be_removed_in_mid_encode_and_download() {
    let source = site::text(8, 12 << 20);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--level gzip=9");
    let request = Request::get("/app.js").accept("gzip");
    for round in 0..2 {
        // The connection is a leader in the first round, and a leader or a reader in the second.
        let mut connection = Connection::open(server.address()).unwrap();
        connection.send(&request).unwrap();
        let head = connection.receive_head().unwrap();
        connection.wait_for_bytes(1).unwrap();
        fs::remove_dir_all(server.cache()).unwrap();
        let response = connection.receive_body("GET", head);
        assert_is(&response, &source, "gzip");
        let next = server.fetch(&request);
        assert!(next.decoded() == source, "round {round}");
        server.until_idle();
        fs::create_dir_all(server.cache()).unwrap();
    }
}

#[test]
fn cache_directory_can_be_removed_under_load() {
    let (site, files) = some_files();
    let server = start(&site);
    let cache = server.cache();
    thread::scope(|scope| {
        let clients: Vec<_> = CODINGS
            .iter()
            .map(|coding| {
                let (server, files) = (&server, &files);
                scope.spawn(move || {
                    for at in 0..25 {
                        let (name, source) = &files[at % files.len()];
                        let response = server.get(&format!("/{name}"), coding);
                        assert_eq!(response.status(), 200);
                        assert!(response.decoded() == *source, "{name}: {:?}", response.head);
                    }
                })
            })
            .collect();
        while !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            // The server may be making a directory in it at this moment.
            let _ = fs::remove_dir_all(&cache);
            thread::sleep(Duration::from_millis(5));
        }
    });
}

/// Damaged entries are noticed, dropped and counted, too.
#[test]
fn damaged_entries_are_encoded_again() {
    let source = site::text(9, 300_000);
    let site = Site::with("app.js", &source);
    let mut server = start(&site);
    let request = Request::get("/app.js").accept("gzip");
    let _ = server.fetch(&request);
    server.until_hit(&request);
    server.until_idle();
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        |bytes| bytes[0] ^= 0x40,
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(10),
        Vec::clear,
    ];
    for (at, damage) in damages.iter().enumerate() {
        server.stop();
        let entries: Vec<_> = site::files_below(&server.cache())
            .into_iter()
            .filter(|path| path.components().any(|part| part.as_os_str() == "entries"))
            .collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        let mut bytes = fs::read(&entries[0]).unwrap();
        damage(&mut bytes);
        fs::remove_file(&entries[0]).unwrap();
        fs::write(&entries[0], bytes).unwrap();
        server = server.again();
        let response = server.fetch(&request);
        assert!(response.decoded() == source, "damage {at}: {:?}", response.head);
        assert_is(&server.until_hit(&request), &source, "gzip");
        assert_eq!(server.metric("cachecompress_damaged_entries_total", &[]), 1.0, "damage {at}");
        assert_eq!(server.encodes(), 1, "damage {at}");
        server.until_idle();
    }
}

/// Temporary files of other programs were readable by all (CVE-2021-24032).
#[cfg(unix)]
#[test]
fn cache_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let site = Site::with("app.js", &site::text(10, 100_000));
    let server = start(&site);
    let _ = server.get("/app.js", "gzip");
    server.until_hit(&Request::get("/app.js").accept("gzip"));
    let version = server.cache().join("v1");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for path in site::files_below(&version) {
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
        assert_eq!(mode(path.parent().unwrap()) & 0o077, 0, "{}", path.display());
    }
    let tag = fs::read(server.cache().join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with(b"Signature: 8a477f597d28d172789f06886806bc55"));
}

/// A cache beneath the root was served to the public.
#[test]
fn cache_beneath_the_root_is_hidden_and_told() {
    let site = Site::with("app.js", &site::text(1, 20_000));
    let place = site.file("cache");
    let server = launch(&site).args(&format!("--cache-dir {}", place.display())).start();
    server.until_hit(&Request::get("/app.js").accept("gzip"));
    for target in ["/cache/CACHEDIR.TAG", "/cache/", "/cache", "/./cache/CACHEDIR.TAG"] {
        assert_eq!(server.get(target, "gzip").status(), 404, "{target}");
    }
    assert!(place.join("CACHEDIR.TAG").exists());
    let told = format!("the cache's directory {} lies in the served one", place.display());
    assert!(server.stderr().contains(&told), "{}", server.stderr());
}

/// The kernel ended the program by SIGXFSZ at the first file that was longer than `ulimit -f`: the
/// reservation had succeeded.
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
#[test]
fn limit_of_file_lengths_costs_long_codings_only() {
    let Some(prlimit) = cachecompress_test::tools::require("prlimit") else { return };
    let (short, long) = (site::text(1, 3_000), site::text(2, 400_000));
    let site = Site::with("short.js", &short);
    site.write("long.js", &long);
    for (limit, is_stored) in [(150_000, true), (30_000, false), (0, false)] {
        let through = format!("{} --fsize={limit}", prlimit.display());
        let mut server = launch(&site).through(&through).start();
        for name in ["long.js", "short.js"] {
            let source = if name == "short.js" { &short } else { &long };
            let request = Request::get(&format!("/{name}")).accept("gzip");
            if is_stored && name == "short.js" {
                assert_is(&server.until_hit(&request), source, "gzip");
                continue;
            }
            for _ in 0..2 {
                let response = server.fetch(&request);
                assert_is(&response, source, "identity");
                let status = Some("cachecompress; fwd=bypass; detail=disk");
                assert_eq!(response.header("cache-status"), status, "{name} at {limit}");
            }
        }
        server.until_idle();
        assert!(
            server.is_running() && server.stderr().contains("ulimit -f"),
            "{}",
            server.stderr()
        );
        server.stop();
    }
}
