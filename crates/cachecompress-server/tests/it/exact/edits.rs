//! Edits of files under a running server. The answer changes with them, and is never a mixture.

use std::thread;

use crate::common::*;

/// The default of `--revalidate`. The answer to a request that is sent later than this after an
/// edit has the edit, however busy the machine is.
const REVALIDATE: Duration = Duration::from_secs(1);

/// Asks from the moment of an edit until the edit shows. It must show in the answer to a request
/// that is sent later than [`REVALIDATE`].
#[track_caller]
fn until_noticed<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let edited = Instant::now();
    loop {
        let is_late = edited.elapsed() > REVALIDATE;
        if let Some(seen) = ask() {
            return seen;
        }
        assert!(!is_late, "{REVALIDATE:?} after the edit there is not yet {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Asks until the answer is `source`. Every answer before that must be `before`, or aborted.
#[track_caller]
fn until_changed(server: &Server, request: &Request, before: &[u8], source: &[u8]) -> Response {
    until_noticed("the new version", || {
        let response = server.fetch(request);
        assert_eq!(response.status(), 200, "{:?}", response.head);
        assert_exact_or_aborted(&response, &[before, source]);
        (response.is_clean() && response.decoded() == source).then_some(response)
    })
}

/// An install that preserves mtimes leaves stale compressed copies behind (ha_washdata 392,
/// ngx_brotli 56).
#[test]
fn edit_with_the_same_size_and_mtime_is_noticed() {
    let old = site::text(1, 200_000);
    let mut new = old.clone();
    new[100_000..100_010].copy_from_slice(b"0123456789");
    for (at, replace) in [Site::replace_in_place as fn(&Site, &str, &[u8]), Site::replace_by_rename]
        .iter()
        .enumerate()
    {
        let site = Site::with("app.js", &old);
        site.age("app.js");
        let server = start(&site);
        let mtime = site.modified("app.js");
        let mut before = Vec::new();
        for coding in ["br", "identity"] {
            let request = Request::get("/app.js").accept(coding);
            let _ = server.fetch(&request);
            let response = server.fetch(&request);
            assert_is(&response, &old, coding);
            before.push((request, response));
        }
        replace(&site, "app.js", &new);
        site.set_modified("app.js", mtime);
        for (request, before) in before {
            let after = until_changed(&server, &request, &old, &new);
            assert_ne!(after.etag(), before.etag(), "way {at}");
            let conditional = request.header("if-none-match", before.etag());
            assert_eq!(server.fetch(&conditional).status(), 200, "the old tag matches no more");
            // The mtime is unchanged, but Last-Modified must differ.
            if let Some(date) = before.header("last-modified") {
                assert_ne!(after.header("last-modified"), Some(date), "way {at}");
            }
        }
    }
}

/// A client with the second of three contents asked by its date, and got a 304 for the third (found
/// by `wget -N` in `tests/clients`).
#[test]
fn changes_of_one_second_are_told_apart_by_date() {
    let site = Site::with("app.js", b"one");
    site.age("app.js");
    let mtime = site.modified("app.js");
    let server = start_with(&site, "--revalidate 0");
    let replace = |bytes: &[u8]| {
        site.write("app.new~", bytes);
        site.set_modified("app.new~", mtime);
        fs::rename(site.file("app.new~"), site.file("app.js")).unwrap();
        let response = server.get("/app.js", "identity");
        assert_eq!(response.body, bytes);
        response.header("last-modified").map(str::to_owned)
    };
    assert!(server.get("/app.js", "identity").header("last-modified").is_some());
    let mut dates: Vec<String> = Vec::new();
    for bytes in [&b"two"[..], b"three", b"four"] {
        let date = replace(bytes);
        for earlier in &dates {
            let ask = |field| Request::get("/app.js").header(field, earlier);
            let status = |request: &Request| server.fetch(request).status();
            assert_eq!(status(&ask("if-modified-since")), 200, "{earlier}, now {date:?}");
            assert_eq!(status(&ask("if-unmodified-since")), 412, "{earlier}, now {date:?}");
            let part = ask("if-range").header("range", "bytes=0-0");
            assert_eq!(status(&part), 200, "{earlier}, now {date:?}");
        }
        dates.extend(date);
    }
}

#[test]
fn edited_file_is_soon_compressed_again() {
    let old = site::text(2, 300_000);
    let new = site::text(3, 280_000);
    let site = Site::with("app.js", &old);
    let server = start(&site);
    let request = Request::get("/app.js").accept("gzip");
    let _ = server.fetch(&request);
    server.until_hit(&request);
    site.replace_by_rename("app.js", &new);
    until_changed(&server, &request, &old, &new);
    assert_is(&server.until_hit(&request), &new, "gzip");
    assert_eq!(server.encodes(), 2);
}

#[test]
fn next_request_notices_an_edit_with_revalidate_0() {
    let site = Site::with("app.js", &site::text(0, 50_000));
    let server = start_with(&site, "--revalidate 0s");
    for version in 1..6 {
        let source = site::text(version, 50_000);
        site.replace_by_rename("app.js", &source);
        for coding in ["zstd", "identity"] {
            let response = server.get("/app.js", coding);
            assert!(response.decoded() == source, "version {version}, {:?}", response.head);
            assert_exact_or_aborted(&response, &[&source]);
        }
    }
}

#[test]
fn deleted_file_is_404_and_a_new_one_is_served() {
    let source = site::text(4, 10_000);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    let request = Request::get("/app.js").accept("gzip");
    assert_eq!(server.fetch(&request).status(), 200);
    assert_eq!(server.get("/late.js", "gzip").status(), 404);
    fs::remove_file(site.file("app.js")).unwrap();
    site.write("late.js", &source);
    until_noticed("404", || (server.fetch(&request).status() == 404).then_some(()));
    until_noticed("200", || (server.get("/late.js", "gzip").status() == 200).then_some(()));
}

#[test]
fn rebuilt_root_directory_is_followed() {
    let old = site::text(5, 20_000);
    let new = site::text(6, 20_000);
    let site = Site::with("dist/app.js", &old);
    let server = Launch::new(PROGRAM, &site.file("dist")).args(PATIENT).start();
    let request = Request::get("/app.js").accept("br");
    assert_is(&server.fetch(&request), &old, "br");
    // rm -rf dist && build
    fs::remove_dir_all(site.file("dist")).unwrap();
    site.write("dist/app.js", &new);
    until_noticed("the new directory's file", || {
        let response = server.fetch(&request);
        (response.status() == 200 && response.decoded() == new).then_some(())
    });
}

#[cfg(unix)]
#[test]
fn swapped_symlink_to_the_root_is_followed() {
    let old = site::text(7, 20_000);
    let new = site::text(8, 20_000);
    let site = Site::with("releases/1/app.js", &old);
    site.write("releases/2/app.js", &new);
    site.link("current", "releases/1");
    let server = Launch::new(PROGRAM, &site.file("current")).args(PATIENT).start();
    let request = Request::get("/app.js").accept("br");
    assert_is(&server.fetch(&request), &old, "br");
    site.link("next", "releases/2");
    fs::rename(site.file("next"), site.file("current")).unwrap();
    until_changed(&server, &request, &old, &new);
}

/// Replaces a file while readers of every kind are in the middle of their bodies.
fn replaced_in_mid_encode(replace: fn(&Site, &str, &[u8])) {
    let versions = [site::text(10, 12 << 20), site::text(11, 12 << 20)];
    let both = [&versions[0][..], &versions[1][..]];
    let site = Site::with("app.js", &versions[0]);
    let server = start_with(&site, "--level gzip=9 --level zstd=9 --revalidate 0s");
    for round in 0..4 {
        let next = &versions[(round + 1) % 2];
        let begin = |accept| {
            let mut connection = Connection::open(server.address()).unwrap();
            connection.send(&Request::get("/app.js").accept(accept)).unwrap();
            let head = connection.receive_head().unwrap();
            assert_eq!(head.status, 200, "round {round}: {head:?}");
            connection.wait_for_bytes(1).unwrap();
            (connection, head)
        };
        let mut readers: Vec<_> = ["gzip", "identity", "zstd", "identity"].map(begin).into();
        let read = |(mut connection, head): (Connection, _)| connection.receive_body("GET", head);
        thread::scope(|scope| {
            let last = readers.pop().unwrap();
            let readers: Vec<_> = readers
                .into_iter()
                .map(|reader| scope.spawn(move || assert_one(&read(reader), &both)))
                .collect();
            replace(&site, "app.js", next);
            // The last reader begins after the replacement.
            assert_one(&read(last), &both);
            for reader in readers {
                reader.join().unwrap();
            }
        });
        // Later requests get the new version, or an aborted body.
        for accept in ["gzip", "identity"] {
            assert_one(&server.get("/app.js", accept), &[next]);
        }
    }
    server.until_idle();
    // The file is compressed again once it rests. Nothing mixed was stored.
    let request = Request::get("/app.js").accept("gzip");
    let response = eventually("a coded answer", || {
        let response = server.fetch(&request);
        assert_one(&response, &both[..1]);
        (response.is_clean() && response.coding() == "gzip").then_some(response)
    });
    assert_is(&response, both[0], "gzip");
}

#[track_caller]
fn assert_one(response: &Response, versions: &[&[u8]]) {
    assert_eq!(response.status(), 200, "{:?}", response.head);
    assert_exact_or_aborted(response, versions);
}

#[test]
fn overwrite_in_mid_encode_never_gives_a_mixed_body() {
    replaced_in_mid_encode(Site::replace_in_place);
}

#[test]
fn rename_in_mid_encode_never_gives_a_mixed_body() {
    replaced_in_mid_encode(Site::replace_by_rename);
}

/// The body must not end cleanly. The program survives, as sources are never mapped.
#[test]
fn truncation_in_mid_download_aborts_the_body() {
    let source = site::random(12, 24 << 20);
    let site = Site::with("data.bin", &source);
    let mut server = start(&site);
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(&Request::get("/data.bin")).unwrap();
    let head = connection.receive_head().unwrap();
    assert_eq!(head.get("content-length"), Some(source.len().to_string().as_str()));
    let file = fs::OpenOptions::new().write(true).open(site.file("data.bin")).unwrap();
    file.set_len(1000).unwrap();
    let response = connection.receive_body("GET", head);
    assert!(!response.is_clean(), "a truncated file's download ended cleanly");
    assert!(server.is_running());
    let short = &source[..1000];
    eventually("the short file", || {
        let response = server.get("/data.bin", "identity");
        (response.is_clean() && response.decoded() == short).then_some(())
    });
}

/// A log, which grows all the time, must not be coded from a mixture.
#[test]
fn ever_changing_file_is_exact_or_aborted() {
    let whole = site::text(13, 3 << 20);
    let site = Site::with("run.log", &whole[..1 << 20]);
    let server = start_with(&site, "--revalidate 0s");
    let length = |response: &Response| response.decoded().len();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            use std::io::Write as _;
            let mut log = fs::OpenOptions::new().append(true).open(site.file("run.log")).unwrap();
            for piece in whole[1 << 20..].chunks(4096) {
                log.write_all(piece).unwrap();
                thread::sleep(Duration::from_millis(2));
            }
        });
        while !writer.is_finished() {
            for accept in ["gzip", "identity"] {
                let response = server.get("/run.log", accept);
                assert_eq!(response.status(), 200, "{:?}", response.head);
                if response.is_clean() {
                    assert_one(&response, &[&whole[..length(&response)]]);
                }
            }
        }
        writer.join().unwrap();
    });
    eventually("the whole log", || {
        let response = server.get("/run.log", "gzip");
        (response.is_clean() && response.decoded() == whole).then_some(())
    });
}
