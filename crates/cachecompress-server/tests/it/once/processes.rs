//! Promises 2 and 6 across processes that share one cache directory.

#![cfg(unix)]

use std::sync::atomic::AtomicU64;
use std::thread;

use rustix::process::Signal;

use crate::common::*;

/// The flag that makes an encode take some seconds, so that a test can disturb it.
const SLOW: &str = "--level gzip=9";
const LONG: usize = 24 << 20;

/// Starts `count` programs on one cache directory.
fn several(site: &Site, cache: &Path, count: usize, arguments: &str) -> Vec<Server> {
    (0..count).map(|_| launch(site).cache(cache).args(arguments).start()).collect()
}

/// The path of a cache directory that is not there yet.
fn cache_directory() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let cache = parent.path().join("cache");
    (parent, cache)
}

fn encodes(servers: &[Server]) -> u64 {
    servers.iter().map(Server::encodes).sum()
}

#[track_caller]
fn assert_no_litter(cache: &Path) {
    let litter = cache_dir::litter(cache);
    assert!(litter.is_empty(), "{litter:#?}");
}

/// Begins a download that leads the encode of `request`, and waits for its first bytes.
#[track_caller]
fn lead(server: &Server, request: &Request) -> (Connection, cachecompress_test::client::Head) {
    let (mut connection, head) = begin(server, request);
    assert_eq!(head.get("cache-status"), Some(STORED), "{head:?}");
    connection.wait_for_bytes(1).unwrap();
    (connection, head)
}

#[track_caller]
fn begin(server: &Server, request: &Request) -> (Connection, cachecompress_test::client::Head) {
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(request).unwrap();
    let head = connection.receive_head().unwrap();
    (connection, head)
}

/// Clients ask four programs for everything at once. One of the programs encodes each content in
/// each coding, and all send the same bytes.
#[test]
fn processes_encode_each_content_once() {
    let site = Site::new();
    let files: Vec<_> = (0..8u64).map(|at| site::text(at, 3_000 + at as usize * 24_001)).collect();
    for (at, bytes) in files.iter().enumerate() {
        site.write(&format!("{at}.css"), bytes);
        site.write(&format!("copy/{at}.css"), bytes);
    }
    let (_parent, cache) = cache_directory();
    let servers = several(&site, &cache, 4, "");
    let answers: Vec<Vec<Vec<u8>>> = thread::scope(|scope| {
        let asking: Vec<_> = servers
            .iter()
            .enumerate()
            .map(|(at, server)| {
                let files = &files;
                scope.spawn(move || {
                    let mut bodies = Vec::new();
                    for (name, source) in files.iter().enumerate() {
                        for turn in 0..CODINGS.len() {
                            // Each program begins with another coding, and ends with all.
                            let coding = CODINGS[(turn + at) % CODINGS.len()];
                            let folder = ["", "copy/"][(turn + at) % 2];
                            let request =
                                Request::get(&format!("/{folder}{name}.css")).accept(coding);
                            let hit = server.until_hit(&request);
                            assert_is(&hit, source, coding);
                            bodies.push((name, coding, hit.body));
                        }
                    }
                    bodies.sort();
                    bodies.into_iter().map(|(.., body)| body).collect()
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|bodies| *bodies == answers[0]), "not the same bytes everywhere");
    servers.iter().for_each(Server::until_idle);
    assert_eq!(encodes(&servers), (files.len() * CODINGS.len()) as u64);
    assert_no_litter(&cache);
    assert!(cache_dir::locks(&cache).is_empty(), "a lock was left");
}

/// The program that encodes is killed. Its readers see an aborted body, the lock is free, and the
/// next request leads in another program. No file is left behind.
#[test]
fn killed_leader_leaves_nothing_and_another_program_leads() {
    let source = site::text(1, LONG);
    let site = Site::with("app.js", &source);
    let (_parent, cache) = cache_directory();
    let mut servers = several(&site, &cache, 4, SLOW);
    let request = Request::get("/app.js").accept("gzip");
    let mut readers = vec![lead(&servers[0], &request)];
    for _ in 0..2 {
        let (mut follower, head) = begin(&servers[0], &request);
        assert_eq!(head.get("cache-status"), Some(COLLAPSED), "{head:?}");
        follower.wait_for_bytes(1).unwrap();
        readers.push((follower, head));
    }
    // The other program does not get the lock.
    let meanwhile = servers[1].get("/app.js", "gzip");
    assert_is(&meanwhile, &source, "identity");
    servers[0].kill();
    for (mut reader, head) in readers {
        let response = reader.receive_body("GET", head);
        assert!(!response.is_clean(), "a body of a killed program ended cleanly");
    }
    // The lock's empty file without a holder is left.
    assert_no_litter(&cache);
    assert!(cache_dir::entries(&cache).is_empty());
    let locks = cache_dir::locks(&cache);
    assert_eq!(locks.len(), 1, "{locks:?}");
    fs::File::open(&locks[0]).unwrap().try_lock().expect("a dead program's lock is free");

    let (mut leader, head) = lead(&servers[2], &request);
    assert_is(&leader.receive_body("GET", head), &source, "gzip");
    for server in &servers[1..] {
        assert_is(&server.until_hit(&request), &source, "gzip");
        server.until_idle();
    }
    assert_eq!(encodes(&servers[1..]), 1);
    assert_no_litter(&cache);
    assert!(cache_dir::locks(&cache).is_empty(), "the lock was taken over");
    // The killed program comes back and has nothing to do.
    let back = servers.swap_remove(0).again();
    assert_is(&back.fetch(&request), &source, "gzip");
    assert_eq!((back.encodes(), back.entries()), (0, 1));
}

/// A program is stopped in the middle of an encode and holds its lock. Requests to other programs
/// do not wait.
#[test]
fn stopped_leader_delays_no_other_program() {
    let source = site::text(2, LONG);
    let other_source = site::text(3, 50_000);
    let site = Site::with("app.js", &source);
    site.write("other.js", &other_source);
    let (_parent, cache) = cache_directory();
    let stopped = launch(&site).cache(&cache).args(SLOW).start();
    let other = Launch::new(PROGRAM, site.path()).cache(&cache).args(SLOW).start();
    let request = Request::get("/app.js").accept("gzip");
    let (mut leader, head) = lead(&stopped, &request);
    stopped.signal(Signal::STOP);
    let ten_times = |request: &Request| {
        let begun = Instant::now();
        let ask = |protocol| other.fetch_over(protocol, request);
        let answers: Vec<_> = (0..5).flat_map(|_| Protocol::ALL).map(ask).collect();
        (answers, begun.elapsed())
    };
    let (meanwhile, locked_took) = ten_times(&request);
    for meanwhile in meanwhile {
        assert_is(&meanwhile, &source, "identity");
        let status = meanwhile.cache_status();
        // Hashing may have taken all of the patience.
        assert!(status.starts_with("cachecompress; fwd=bypass; detail="), "{status}");
    }
    // The lock costs at most the default patience of 50 ms, beside the time of the bytes.
    let (_, plain_took) = ten_times(&Request::get("/app.js").accept("identity"));
    let bound = 4 * plain_took + Duration::from_secs(10);
    assert!(locked_took < bound, "{locked_took:?} with a lock, {plain_took:?} without");
    let locked = other.get("/app.js", "gzip");
    assert_eq!(locked.cache_status(), "cachecompress; fwd=bypass; detail=locked");
    assert_eq!(other.fetch(&Request::head("/app.js").accept("gzip")).status(), 200);
    assert_eq!(other.fetch(&request.clone().http10()).coding(), "identity");
    let range = other.fetch(&request.clone().range("bytes=0-9"));
    assert_eq!((range.status(), range.body.as_slice()), (206, &source[..10]));
    // A client that refuses identity gets 503 and Retry-After at once.
    let insists = other.get("/app.js", "gzip, identity;q=0");
    assert_eq!((insists.status(), insists.header("retry-after")), (503, Some("1")));
    // Other files, and other codings of this one, are compressed as ever.
    assert_is(&other.until_hit(&Request::get("/other.js").accept("gzip")), &other_source, "gzip");
    assert_is(&other.until_hit(&Request::get("/app.js").accept("zstd")), &source, "zstd");

    stopped.signal(Signal::CONT);
    assert_is(&leader.receive_body("GET", head), &source, "gzip");
    assert_is(&other.until_hit(&request), &source, "gzip");
    assert_eq!(stopped.encodes(), 1);
    assert_eq!(other.metric("cachecompress_encodes_total", &[("coding", "gzip")]), 1.0);
    assert_no_litter(&cache);
}

/// A program stands still while it makes room. Others find none, and serve.
#[test]
fn held_eviction_lock_delays_no_request() {
    const FILES: u64 = 40;
    let site = Site::new();
    let source = |at| site::text(at, 100_000);
    (0..FILES).for_each(|at| site.write(&format!("{at}.js"), &source(at)));
    let (_parent, cache) = cache_directory();
    let server = Launch::new(PROGRAM, site.path()).cache(&cache).args("--cache-size 700KB").start();
    let ask = |at: u64| {
        let response = server.get(&format!("/{at}.js"), "gzip");
        assert_eq!(response.status(), 200);
        assert!(response.decoded() == source(at), "{at}: {:?}", response.head);
        response
    };
    let ask_for_all = || {
        let begun = Instant::now();
        (0..FILES).for_each(|at| drop(ask(at)));
        begun.elapsed()
    };
    let free_took = ask_for_all();
    server.until_idle();
    let path = cache.join("v1/locks/evict");
    let file = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
    file.try_lock().unwrap();
    let before = server.metric("cachecompress_evictions_total", &[]);
    assert!(before > 0.0, "the bound is too wide for this test");
    let held_took = ask_for_all();
    let bound = 4 * free_took + Duration::from_secs(10);
    assert!(held_took < bound, "{held_took:?} while the lock is held, {free_took:?} before");
    server.until_idle();
    assert_eq!(server.metric("cachecompress_evictions_total", &[]), before);
    // The program goes on once the lock is free.
    drop(file);
    for at in 0..FILES {
        ask(at);
        server.until_idle();
    }
    assert!(server.metric("cachecompress_evictions_total", &[]) > before);
    assert_no_litter(&cache);
}

/// Changes a cache directory beside the programs that use it.
fn disturb(parent: &Path, cache: &Path, turn: usize) {
    let beside = |name: &str| parent.join(format!("{name}-{turn}"));
    match turn % 4 {
        0 => drop(fs::remove_dir_all(cache)),
        1 => {
            let _ = fs::remove_dir_all(cache);
            let _ = fs::create_dir_all(cache.join("v1/entries"));
        }
        // The directory is moved away, together with the files that are being written.
        2 => drop(fs::rename(cache, beside("moved"))),
        // A copy of the directory takes its place, as a restored backup would.
        _ => {
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .args([cache, &beside("copy")])
                .stderr(std::process::Stdio::null())
                .status();
            if copied.is_ok_and(|status| status.success())
                && fs::rename(cache, beside("old")).is_ok()
            {
                let _ = fs::rename(beside("copy"), cache);
            }
        }
    }
    // The directories moved away are removed while they are written to.
    for name in ["moved", "copy", "old"] {
        let _ = fs::remove_dir_all(beside(name));
    }
}

/// The number of disturbances of the directory.
const DISTURBANCES: usize = 120;

/// No body breaks off, no wrong byte is sent, and no unfinished file gets a name.
#[test]
fn processes_survive_changes_to_their_directory_under_load() {
    let site = Site::new();
    let files: Vec<_> = (0..10u64)
        .map(|at| (format!("{at}.js"), site::text(at, [2_000, 70_000, 400_000][at as usize % 3])))
        .collect();
    files.iter().for_each(|(name, bytes)| site.write(name, bytes));
    let (parent, cache) = cache_directory();
    let servers = several(&site, &cache, 2, "");
    let (stop, answers, turns) = (AtomicBool::new(false), AtomicU64::new(0), DISTURBANCES);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for client in 0..3usize {
            let (servers, files, stop, answers) = (&servers, &files, &stop, &answers);
            scope.spawn(move || {
                let mut connections: Vec<_> = servers
                    .iter()
                    .map(|server| Connection::open(server.address()).unwrap())
                    .collect();
                for at in client.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (name, source) = &files[at % files.len()];
                    let request = Request::get(&format!("/{name}"))
                        .accept(CODINGS[(at / files.len()) % CODINGS.len()]);
                    let connection = &mut connections[at % servers.len()];
                    connection.send(&request).unwrap();
                    let response = connection.receive("GET").unwrap();
                    assert_eq!(response.status(), 200);
                    assert!(response.decoded() == *source, "{name}: {:?}", response.head);
                    assert_tag(response.etag(), source, response.coding());
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for turn in 0..turns {
            let before = answers.load(Ordering::Relaxed);
            disturb(parent.path(), &cache, turn);
            eventually("some answers", || {
                (answers.load(Ordering::Relaxed) >= before + 7).then_some(())
            });
        }
    });
    println!(
        "{turns} disturbances, {} answers, {} encodes",
        answers.into_inner(),
        encodes(&servers)
    );
    for server in &servers {
        server.until_idle();
        assert_eq!(server.metric("cachecompress_damaged_entries_total", &[]), 0.0);
    }
    assert_no_litter(&cache);
    // The directory is used again.
    for (name, source) in &files {
        for server in &servers {
            assert!(server.get(&format!("/{name}"), "br").decoded() == *source);
        }
    }
    site.write("late.js", &files[0].1[..1_900]);
    servers[0].until_hit(&Request::get("/late.js").accept("br"));
    assert_is(
        &servers[1].until_hit(&Request::get("/late.js").accept("br")),
        &files[0].1[..1_900],
        "br",
    );
    assert_no_litter(&cache);
}
