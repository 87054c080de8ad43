//! The effects of the program's flags on clients, and the admin listener.

use crate::common::*;

#[test]
fn unknown_navigations_get_the_index_with_spa() {
    let index = site::text(1, 3000);
    let site = Site::with("index.html", &index);
    site.write("app.js", &site::text(2, 3000));
    let html = "text/html,application/xhtml+xml,*/*;q=0.8";
    let navigation = |target: &str| Request::get(target).accept("br").header("accept", html);
    let server = start(&site);
    assert_eq!(server.fetch(&navigation("/users/7")).status(), 404, "off by default");

    let server = start_with(&site, "--spa");
    for protocol in Protocol::ALL {
        for target in ["/users/7", "/users/", "/a?b=c", "/deep/er/still"] {
            let response = server.fetch_over(protocol, &navigation(target));
            assert_is(&response, &index, "br");
            assert!(response.header("content-type").unwrap().starts_with("text/html"));
            let head = server.fetch_over(protocol, &navigation(target).method("HEAD"));
            assert_eq!((head.status(), head.etag()), (200, response.etag()));
        }
        // A missing script is 404, because HTML in its place breaks the page.
        let script = Request::get("/missing.js").accept("br").header("accept", "*/*");
        assert_eq!(server.fetch_over(protocol, &script).status(), 404);
        for target in ["/../x", "/.env"] {
            let response = server.fetch_over(protocol, &navigation(target));
            assert!(response.status() == 404 || response.decoded() == index, "{target}");
        }
    }
    assert_eq!((server.encodes(), server.entries()), (1, 1), "one entry for all of them");
}

#[test]
fn fingerprinted_names_are_immutable_with_the_flag() {
    let site = Site::new();
    let immutable = [
        "app.3f9c2b1a.js",
        "assets/index-BxY12abC.js",
        "assets/vendor-k3Zq9_xB.js",
        "assets/page-D4x_9kQz.css",
        "assets/inter-C2S99t-D.woff2",
        "main.8b7f2c3d.chunk.css",
    ];
    let others = ["app.js", "index.html", "jquery-3.7.1.js", "some-component.js", "app.min.js"];
    for name in immutable.iter().chain(&others) {
        site.write(name, &site::text(3, 1000));
    }
    site.write("assets/index-DiwrgTda.css", &site::text(4, 1000));
    for name in ["config-Prod2024.js", "assets/theme-Dark2024.css"] {
        site.write(name, &site::text(5, 1000));
    }
    let server = start_with(&site, "--immutable --immutable-paths exact/*.{js,css},more/**");
    for name in ["exact/a.js", "exact/deep/a.js", "more/deep/a.js"] {
        site.write(name, &site::text(6, 1000));
    }
    let control = |name: &str| {
        let response = server.get(&format!("/{name}"), "gzip");
        assert_eq!(response.head.all("cache-control").len(), 1, "{name}");
        response.header("cache-control").unwrap().to_owned()
    };
    for name in immutable {
        assert_eq!(control(name), "public, max-age=31536000, immutable", "{name}");
    }
    for name in others {
        assert_eq!(control(name), "no-cache", "{name}");
    }
    for (name, expected) in [
        ("assets/index-DiwrgTda.css", "public, max-age=31536000, immutable"),
        ("config-Prod2024.js", "no-cache"),
        ("assets/theme-Dark2024.css", "no-cache"),
        ("exact/a.js", "public, max-age=31536000, immutable"),
        ("exact/deep/a.js", "no-cache"),
        ("more/deep/a.js", "public, max-age=31536000, immutable"),
    ] {
        assert_eq!(control(name), expected, "{name}");
    }
    let missing = server.get("/gone.3f9c2b1a.js", "gzip");
    assert_eq!(missing.status(), 404);
    let told = missing.header("cache-control").unwrap_or_default();
    assert!(!told.contains("immutable"), "a 404 that is kept for a year: {told}");
}

#[test]
fn type_follows_its_flag_and_the_bytes() {
    let site = Site::with("LICENSE", b"MIT License");
    site.write("chair.usdz", b"PK");
    site.write("a.html", b"<p>gr\xfcn");
    site.write("b.html", b"<p>green");
    let types = |server: &Server| {
        ["/LICENSE", "/chair.usdz", "/a.html", "/b.html"].map(|target| {
            Protocol::ALL.map(|protocol| {
                let response = server.fetch_over(protocol, &Request::get(target).accept("gzip"));
                response.header("content-type").unwrap().to_owned()
            })
        })
    };
    let both = |types: [&str; 4]| types.map(|text| Protocol::ALL.map(|_| text.to_owned()));
    let usual = ["text/plain; charset=utf-8", "model/vnd.usdz+zip", "text/html"];
    let [license, usdz, html] = usual;
    let utf8 = "text/html; charset=utf-8";
    assert_eq!(types(&start(&site)), both([license, usdz, html, utf8]));
    let server = start_with(&site, "--type usdz=model/x --type LICENSE=a/b,.html=text/html");
    assert_eq!(types(&server), both(["a/b", "model/x", html, html]));
    let server = launch(&site).env("CACHECOMPRESS_TYPE", ".usdz=model/y,html=c/d").start();
    assert_eq!(types(&server), both([license, "model/y", "c/d", "c/d"]));
}

#[test]
fn cache_control_follows_its_flag() {
    let site = Site::with("app.js", &site::text(4, 1000));
    for (flag, expected) in [
        (None, Some("no-cache")),
        (Some("off"), None),
        (Some("public, max-age=60"), Some("public, max-age=60")),
    ] {
        let mut launch = launch(&site);
        if let Some(flag) = flag {
            launch = launch.arg("--cache-control").arg(flag);
        }
        let server = launch.start();
        for protocol in Protocol::ALL {
            let request = Request::get("/app.js").accept("gzip");
            let response = server.fetch_over(protocol, &request);
            assert_eq!(response.header("cache-control"), expected);
            let again = request.header("if-none-match", response.etag());
            let again = server.fetch_over(protocol, &again);
            assert_eq!((again.status(), again.header("cache-control")), (304, expected));
        }
    }
}

#[test]
fn decoded_size_is_sent_with_original_length() {
    let source = site::text(5, 2_000_000);
    let site = Site::with("app.js", &source);
    let server = start(&site);
    assert_eq!(server.get("/app.js", "gzip").header("x-original-content-length"), None);
    let server = start_with(&site, "--original-length");
    let length = source.len().to_string();
    for protocol in Protocol::ALL {
        for accept in ["gzip", "identity", "zstd"] {
            // The first answer is cold and streamed, the second warm.
            for _ in 0..2 {
                let request = Request::get("/app.js").accept(accept);
                let response = server.fetch_over(protocol, &request);
                let told = response.header("x-original-content-length");
                if response.coding() != "identity" {
                    assert_eq!(told, Some(length.as_str()));
                }
                assert!(told.is_none_or(|told| told == length));
                assert_is(&response, &source, accept);
            }
        }
    }
}

#[test]
fn levels_change_the_tag_and_the_size() {
    let source = site::text(6, 500_000);
    let site = Site::with("app.js", &source);
    let cache = tempfile::tempdir().unwrap();
    let coded = |levels: &str, coding: &str| {
        let server = launch(&site).cache(cache.path()).args(levels).start();
        let response = server.get("/app.js", coding);
        assert_is(&response, &source, coding);
        assert_eq!(response.cache_status(), STORED, "{levels}: another level is another entry");
        response
    };
    for (coding, low, high) in [("gzip", 1, 9), ("br", 1, 6), ("zstd", 1, 12)] {
        let fast = coded(&format!("--level {coding}={low}"), coding);
        let good = coded(&format!("--level {coding}={high}"), coding);
        assert_ne!(fast.etag(), good.etag());
        assert!(good.body.len() < fast.body.len(), "{coding}");
    }
}

#[test]
fn answers_are_exact_and_hit_with_prove_off() {
    let source = site::text(7, 700_000);
    let site = Site::with("app.js", &source);
    let server = start_with(&site, "--prove off");
    for coding in CODINGS {
        assert_is(&server.get("/app.js", coding), &source, coding);
        assert_is(&server.until_hit(&Request::get("/app.js").accept(coding)), &source, coding);
    }
    assert_eq!(server.encodes(), 4);
}

#[test]
fn settings_come_from_the_environment_and_flags_overrule_them() {
    let source = site::text(8, 5000);
    let site = Site::with("app.js", &source);
    let launch = launch(&site)
        .env("CACHECOMPRESS_CODINGS", "gzip")
        .env("CACHECOMPRESS_CACHE_CONTROL", "max-age=1");
    let server = launch.clone().start();
    let response = server.get("/app.js", "br, gzip");
    assert_is(&response, &source, "gzip");
    assert_eq!(response.header("cache-control"), Some("max-age=1"));
    let server = launch.args("--codings br --cache-control off").start();
    let response = server.get("/app.js", "br, gzip");
    assert_is(&response, &source, "br");
    assert_eq!(response.header("cache-control"), None);
}

#[test]
fn listen_addresses_are_printed_and_served() {
    let source = site::text(9, 5000);
    let site = Site::with("app.js", &source);
    let cache = tempfile::tempdir().unwrap();
    let mut child = cachecompress_test::server::command(Path::new(PROGRAM))
        .args(["serve", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"])
        .args(PATIENT.split(' '))
        .arg("--cache-dir")
        .arg(cache.path())
        .arg(site.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let addresses: Vec<std::net::SocketAddr> = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("listening on http://")?.parse().ok())
        .take(2)
        .collect();
    let answers: Vec<_> = addresses
        .iter()
        .map(|address| {
            let request = Request::get("/app.js").accept("gzip");
            cachecompress_test::client::fetch(*address, &request)
        })
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answers.len(), 2);
    assert_ne!(addresses[0], addresses[1]);
    for answer in answers {
        assert_is(&answer.unwrap(), &source, "gzip");
    }
}

#[test]
fn access_log_has_a_line_for_every_request() {
    let source = site::text(10, 5000);
    let site = Site::with("app.js", &source);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let server = launch(&site).arg("--access-log").arg(&log).start();
    let response = server.get("/app.js?q=%22x", "gzip");
    let _ = server.get("/none", "gzip");
    let text = eventually("two lines", || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        (text.lines().count() >= 2).then_some(text)
    });
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{text}");
    assert!(lines[0].contains("GET /app.js?q="), "{text}");
    assert!(lines[0].contains(" 200 ") && lines[0].contains("gzip"), "{text}");
    assert!(lines[0].contains(&response.body.len().to_string()), "{text}");
    assert!(lines[1].contains(" 404 "), "{text}");
}

#[test]
fn admin_listener_serves_health_readiness_and_metrics() {
    let source = site::text(11, 50_000);
    let site = Site::with("app.js", &source);
    site.write("photo.png", &site::random(1, 1000));
    let server = start(&site);
    for target in ["/healthz", "/readyz"] {
        let answer =
            cachecompress_test::client::fetch(server.admin(), &Request::get(target)).unwrap();
        assert_eq!(answer.status(), 200, "{target}");
        // The public listener does not serve the admin listener's paths.
        assert_eq!(server.get(target, "gzip").status(), 404, "{target}");
    }
    assert_eq!(server.get("/metrics", "gzip").status(), 404);
    let requests = |outcome| server.metric("cachecompress_requests_total", &[("outcome", outcome)]);

    let cold = server.get("/app.js", "gzip");
    assert_eq!(cold.cache_status(), STORED);
    assert_eq!(requests("miss"), 1.0);
    let warm = server.until_hit(&Request::get("/app.js").accept("gzip"));
    assert!(requests("hit") >= 1.0);
    let again = Request::get("/app.js").accept("gzip").header("if-none-match", warm.etag());
    assert_eq!(server.fetch(&again).status(), 304);
    assert_eq!(requests("not_modified"), 1.0);
    let _ = server.get("/photo.png", "gzip");
    assert!(requests("identity") >= 1.0);
    assert_eq!(server.metric("cachecompress_encodes_total", &[("coding", "gzip")]), 1.0);
    assert_eq!(server.metric("cachecompress_entries", &[]), 1.0);
    assert!(server.metric("cachecompress_entry_bytes", &[]) >= cold.body.len() as f64);
    assert!(server.metric("cachecompress_sent_bytes_total", &[]) > 0.0);
    assert!(server.metric("cachecompress_source_bytes_total", &[]) >= source.len() as f64);
    let text = server.metrics();
    for name in [
        "cachecompress_requests_total",
        "cachecompress_encodes_total",
        "cachecompress_encode_seconds_total",
        "cachecompress_source_bytes_total",
        "cachecompress_sent_bytes_total",
        "cachecompress_entries",
        "cachecompress_entry_bytes",
        "cachecompress_evictions_total",
        "cachecompress_damaged_entries_total",
        "cachecompress_cache_available",
        "cachecompress_inflight",
        "cachecompress_queue_length",
    ] {
        let sample =
            |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        assert!(text.lines().any(sample), "no sample of {name} in\n{text}");
    }
}

/// Some of them overflowed where they were added to the time.
#[cfg(unix)]
#[test]
fn extremes_of_every_duration_are_served_and_ended_in_order() {
    let source = site::text(12, 5000);
    let site = Site::with("app.js", &source);
    let help = std::process::Command::new(PROGRAM).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags = help.lines().filter_map(|line| line.trim().strip_suffix(" <DURATION>"));
    let flags: Vec<_> = flags.collect();
    assert!(flags.len() >= 5, "{flags:?}");
    let most = format!("{}s", u64::MAX);
    for flag in flags {
        for value in ["0", "1ns", "1ms", "584y", &most] {
            if value == "0" && flag.ends_with("timeout") {
                continue;
            }
            let mut server = launch(&site).args(&format!("{flag} {value}")).start();
            for request in [Request::get("/app.js").accept("gzip"), Request::get("/none")] {
                // A client has hardly a chance within a nanosecond.
                let answer = eventually(&format!("an answer with {flag} {value}"), || {
                    cachecompress_test::client::fetch(server.address(), &request).ok()
                });
                assert!([200, 404].contains(&answer.status()), "{flag} {value}");
            }
            server.stop();
            assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
        }
    }
}
