//! Accept-Encoding, RFC 9110 §12.5.3, in every spelling, over both protocols.

use crate::common::*;

const SIZE: usize = 30_000;

fn site_with_text() -> (Site, Vec<u8>) {
    let source = site::text(1, SIZE);
    (Site::with("app.js", &source), source)
}

#[track_caller]
fn assert_choice(server: &Server, source: &[u8], accept: &[&str], coding: &str) {
    for protocol in Protocol::ALL {
        let mut request = Request::get("/app.js");
        for line in accept {
            request = request.accept(line);
        }
        let response = server.fetch_over(protocol, &request);
        assert_eq!(response.coding(), coding, "{accept:?} over {protocol:?}: {:?}", response.head);
        assert_is(&response, source, coding);
        assert_varies(&response);
    }
}

/// Other servers ignored q=0 (ngx_brotli 79, zuul 2208), or searched for a substring, which gives
/// gzip to `gzip;q=0`.
#[test]
fn coding_is_chosen_as_rfc_9110_says() {
    let (site, source) = site_with_text();
    let server = start(&site);
    let none: [&str; 0] = [];
    assert_choice(&server, &source, &none, "identity");
    let three_hundred: Vec<_> = (0..299).map(|at| format!("x-coding-{at};q=0.9")).collect();
    let three_hundred = format!("{}, gzip", three_hundred.join(", "));
    let cases: &[(&str, &str)] = &[
        ("", "identity"),
        ("identity", "identity"),
        ("br", "br"),
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("deflate", "deflate"),
        // The server's preference for small files decides without weights: br, zstd, gzip.
        ("deflate, gzip, br, zstd", "br"),
        ("gzip, deflate, zstd", "zstd"),
        ("deflate, gzip", "gzip"),
        ("gzip, deflate, br", "br"),
        ("*", "br"),
        // The highest weight wins.
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0.001, gzip;q=0.002", "gzip"),
        ("br;q=0.999, deflate;q=1", "deflate"),
        ("gzip;q=1.000, br;q=0.9", "gzip"),
        ("zstd;q=0.4, *;q=0.5", "br"),
        ("br;q=0, *", "zstd"),
        // q=0 means never.
        ("gzip;q=0", "identity"),
        ("gzip;q=0.0", "identity"),
        ("gzip;q=0.000", "identity"),
        ("br;q=0, zstd;q=0, gzip", "gzip"),
        ("*;q=0, gzip", "gzip"),
        ("gzip, *;q=0", "gzip"),
        ("*;q=0, identity", "identity"),
        // Identity with a higher weight than the codings wins.
        ("identity;q=1, gzip;q=0.5", "identity"),
        ("gzip, identity;q=0.5", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        // The spelling does not matter.
        ("GZIP", "gzip"),
        ("GZip;Q=0.5", "gzip"),
        ("x-gzip", "gzip"),
        ("X-GZIP;q=0.3", "gzip"),
        ("gzip ; q=0.5 ,  br\t;\tq=0.4", "gzip"),
        (",, ,gzip,,", "gzip"),
        (&three_hundred, "gzip"),
        // Names that contain one of ours are other names.
        ("gzipped", "identity"),
        ("xgzip", "identity"),
        ("brotli", "identity"),
        ("not-br, zstd2", "identity"),
        // Malformed members are dropped alone.
        ("gzip;q=nonsense, br;q=0.5", "br"),
        ("gzip;q=1.5, zstd", "zstd"),
        ("gzip;q=-1, deflate", "deflate"),
        ("gz ip, br", "br"),
        ("@@@, gzip", "gzip"),
        ("gzip;q=0.1234, deflate", "deflate"),
        ("\"gzip\", deflate", "deflate"),
        (";q=1, gzip", "gzip"),
    ];
    for (accept, coding) in cases {
        assert_choice(&server, &source, &[accept], coding);
    }
    // Field lines are one list, RFC 9110 §5.3.
    assert_choice(&server, &source, &["deflate", "gzip"], "gzip");
    assert_choice(&server, &source, &["gzip;q=0.5", "br;q=0.4, deflate;q=0.6"], "deflate");
    assert_choice(&server, &source, &["", "gzip"], "gzip");
    // Each coding is one entry, however it was spelled. Two parsers of one header poisoned a cache
    // (CVE-2026-22741).
    assert_eq!(server.entries(), 4);
    assert_eq!(server.encodes(), 4);
}

#[test]
fn answer_is_406_when_nothing_is_acceptable() {
    let (site, source) = site_with_text();
    site.write("tiny.txt", b"tiny");
    site.write("photo.png", &site::random(1, 5000));
    let server = start(&site);
    for protocol in Protocol::ALL {
        let ask = |target: &str, accept: &str| {
            server.fetch_over(protocol, &Request::get(target).accept(accept))
        };
        for accept in [
            "identity;q=0",
            "*;q=0",
            "identity;q=0, unknown",
            "identity;q=0, gzip;q=0, br;q=0, zstd;q=0, deflate;q=0",
            "identity;q=0.000, *;q=0.0",
        ] {
            for method in ["GET", "HEAD"] {
                let request = Request::new(method, "/app.js").accept(accept);
                let response = server.fetch_over(protocol, &request);
                assert_eq!(response.status(), 406, "{accept:?}: {:?}", response.head);
                assert_varies(&response);
                assert_ne!(response.body, source);
            }
        }
        // A coding is acceptable although identity is excluded.
        for accept in ["identity;q=0, *", "identity;q=0, br", "*;q=0, br;q=0.1"] {
            assert_is(&ask("/app.js", accept), &source, "br");
        }
        // The same holds for four bytes.
        let tiny = ask("/tiny.txt", "identity;q=0, gzip");
        assert_is(&tiny, b"tiny", "gzip");
        assert_eq!(ask("/tiny.txt", "identity;q=0").status(), 406);
        // A file that is never compressed is not negotiated, but sent (RFC 9110 §12.4.1).
        for accept in ["identity;q=0", "*;q=0", "gzip"] {
            let photo = ask("/photo.png", accept);
            assert_is(&photo, &site::random(1, 5000), "identity");
            assert_eq!(photo.header("vary"), None);
            assert_eq!(photo.header("cache-status"), None);
        }
        // A missing file is 404 with every Accept-Encoding.
        assert_eq!(ask("/none.js", "identity;q=0").status(), 404);
    }
}

#[test]
fn unprofitable_verdict_never_makes_a_406() {
    let noise = site::random(2, 300_000);
    let site = Site::with("noise.bin", &noise);
    let server = start(&site);
    for _ in 0..3 {
        assert_is(&server.get("/noise.bin", "gzip, br, zstd"), &noise, "identity");
        let response = server.get("/noise.bin", "identity;q=0, gzip");
        assert_is(&response, &noise, "gzip");
    }
}

#[test]
fn files_below_256_bytes_are_identity() {
    let site = Site::with("at.css", &site::text(3, 256));
    site.write("below.css", &site::text(3, 255));
    site.write("empty.css", b"");
    let server = start(&site);
    for protocol in Protocol::ALL {
        let ask = |target| server.fetch_over(protocol, &Request::get(target).accept("gzip"));
        assert_is(&ask("/below.css"), &site::text(3, 255), "identity");
        assert_varies(&ask("/below.css"));
        assert_is(&ask("/empty.css"), b"", "identity");
        assert!(ask("/at.css").decoded() == site::text(3, 256));
    }
}

#[test]
fn types_that_are_compressed_already_are_never_coded() {
    let site = Site::new();
    let text = site::text(4, 5000);
    let never = ["a.png", "a.jpg", "a.woff2", "a.zip", "a.gz", "a.mp4", "a.webp"];
    for name in never {
        // The bytes would compress, so that only the type can be the reason.
        site.write(name, &text);
    }
    let often = ["a.js", "a.css", "a.html", "a.svg", "a.json", "a.wasm", "a.xml", "a.txt", "a.ttf"];
    for name in often.iter().chain(&["program", "a.bin"]) {
        site.write(name, &text);
    }
    let server = start(&site);
    for name in never {
        let response = server.get(&format!("/{name}"), "gzip, br, zstd");
        assert_is(&response, &text, "identity");
        assert_eq!(response.header("vary"), None, "{name}");
        assert_eq!(response.header("cache-status"), None, "{name}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    }
    for name in often.iter().chain(&["program", "a.bin"]) {
        let response = server.get(&format!("/{name}"), "gzip");
        assert_is(&response, &text, "gzip");
        assert_varies(&response);
    }
    // All files have the same bytes.
    assert_eq!(server.encodes(), 1);
}

#[test]
fn zstd_is_preferred_above_1_mib() {
    let source = site::text(5, (1 << 20) + 1);
    let site = Site::with("big.js", &source);
    site.write("small.js", &source[..1 << 20]);
    let server = start(&site);
    assert_is(&server.get("/big.js", "gzip, br, zstd"), &source, "zstd");
    assert_is(&server.get("/small.js", "gzip, br, zstd"), &source[..1 << 20], "br");
}

#[test]
fn codings_flag_orders_and_limits_the_codings() {
    let (site, source) = site_with_text();
    let server = start_with(&site, "--codings gzip,zstd");
    assert_is(&server.get("/app.js", "br, zstd, gzip"), &source, "gzip");
    assert_is(&server.get("/app.js", "br, zstd"), &source, "zstd");
    assert_is(&server.get("/app.js", "br"), &source, "identity");
    assert_eq!(server.get("/app.js", "br, identity;q=0").status(), 406);
}

/// Browsers rejected zstd at level 22, where a 91 KB file declares a 128 MB window
/// (vite-plugin-compression 93).
#[test]
fn zstd_frames_declare_at_most_8_mib_of_window() {
    // The file compresses quickly even at level 22, and is larger than 8 MiB.
    let pattern = site::text(6, 1000);
    let large: Vec<u8> = pattern.iter().copied().cycle().take(20 << 20).collect();
    let small = site::text(7, 91_000);
    let site = Site::with("large.js", &large);
    site.write("small.js", &small);
    for level in [1, 3, 9, 15, 19, 20, 22] {
        let server = start_with(&site, &format!("--level zstd={level}"));
        for (target, source) in [("/large.js", &large), ("/small.js", &small)] {
            let response = server.get(target, "zstd");
            assert_is(&response, source, "zstd");
            let window = decode::zstd_window(&response.body).unwrap();
            assert!(window <= decode::ZSTD_WINDOW_LIMIT, "{window} at level {level}");
            assert!(decode::zstd_has_checksum(&response.body), "no checksum at level {level}");
        }
    }
}

#[test]
fn files_around_the_limits_are_exact_in_every_coding() {
    let text = site::text(8, 70_000);
    let lengths = [0, 1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 70_000];
    let site = Site::new();
    for length in lengths {
        site.write(&format!("{length}.js"), &text[..length]);
    }
    let server = start(&site);
    for length in lengths {
        for coding in CODINGS {
            // Identity is excluded, so that short files are coded too.
            let accept = format!("{coding}, identity;q=0");
            for protocol in Protocol::ALL {
                let request = Request::get(&format!("/{length}.js")).accept(&accept);
                assert_is(&server.fetch_over(protocol, &request), &text[..length], coding);
            }
        }
    }
}

#[test]
fn query_string_is_no_part_of_the_key() {
    let (site, source) = site_with_text();
    let server = start(&site);
    assert_is(&server.get("/app.js", "br"), &source, "br");
    server.until_hit(&Request::get("/app.js").accept("br"));
    for query in ["?", "?v=1", "?v=2&x=%00", "?../../etc/passwd", "?%zz", "??"] {
        let response = server.get(&format!("/app.js{query}"), "br");
        assert_is(&response, &source, "br");
        assert_eq!(response.cache_status(), HIT, "{query}");
    }
    assert_eq!((server.encodes(), server.entries()), (1, 1));
}
