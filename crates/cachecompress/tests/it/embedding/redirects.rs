//! Redirects, rewrites and errors by rules.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::convert::Infallible;

use bytes::Bytes;
use cachecompress::{Builder, Memory, Outcome, Redirect, ServeCompressed};
use cachecompress_test::service::{Answer, LONG, get, head, read, request, run, send};
use http::{Request, Response};
use http_body_util::Full;
use tower::service_fn;

fn files() -> Memory {
    Memory::new()
        .file("index.html", "the index ".repeat(100))
        .file("there.html", "there ".repeat(100))
        .file("app.js", "run(); ".repeat(100))
        .file("docs/index.html", "the docs")
        .file("empty/inner.txt", "inner")
        .file("lost.html", "nothing here ".repeat(100))
        .file("secret.txt", "secret")
}

fn builder() -> Builder {
    ServeCompressed::builder(files()).patience(LONG)
}

fn with(rules: &[Redirect]) -> ServeCompressed {
    let builder = rules.iter().cloned().fold(builder(), Builder::redirect);
    builder.exclude("secret.txt").build().unwrap()
}

fn shown(answer: &Answer) -> String {
    let end = match answer.field("location") {
        "" => String::from_utf8(answer.decoded()).unwrap().trim_end().to_owned(),
        location => location.to_owned(),
    };
    let end = end.split_once(' ').map_or(end.as_str(), |(word, _)| word);
    format!("{} {end}", answer.status.as_u16())
}

#[test]
fn redirect_answers_a_path_that_leads_nowhere_and_a_forced_one_any() {
    let site = with(&[
        Redirect::new("/app.js", "/never"),
        Redirect::new("/there.html", "/forced").status(302).force(true),
        Redirect::new("/docs", "/never"),
        Redirect::new("/empty", "/docs/").status(308),
        Redirect::new("/old/*", "/new/:splat").status(307),
        Redirect::new("/gone", "/lost.html").status(410),
        Redirect::new("/gone/plain", "/missing.html").status(410),
        Redirect::new("/lost", "/lost.html").status(404),
        Redirect::new("/app", "/there.html").status(200),
        Redirect::new("/clean", "/docs").status(200),
        Redirect::new("/slash", "/docs/").status(200),
        Redirect::new("/hidden", "/secret.txt").status(200),
        Redirect::new("/into/*", "/:splat").status(200),
        Redirect::new("/chain", "/app").status(200),
    ]);
    run(async {
        for (target, expected) in [
            ("/app.js", "200 run();"),
            ("/there.html", "302 /forced"),
            ("/%74here.html/?x=1", "302 /forced?x=1"),
            ("/docs", "301 ./docs/"),
            ("/docs/", "200 the"),
            ("/empty", "308 /docs/"),
            ("/empty/", "308 /docs/"),
            ("/old/a/b?c", "307 /new/a/b?c"),
            ("/gone", "410 nothing"),
            ("/gone/plain", "410 410"),
            ("/lost", "404 nothing"),
            ("/app", "200 there"),
            ("/clean", "200 the"),
            ("/slash", "200 the"),
            ("/hidden", "404 404"),
            ("/into/app.js", "200 run();"),
            ("/into/secret.txt", "404 404"),
            ("/into/..%2fapp.js", "404 404"),
            ("/chain", "404 404"),
            ("/other", "404 404"),
            ("/old/%zz", "400 400"),
            ("/../old/a", "404 404"),
        ] {
            for _ in 0..2 {
                let answer = get(&site, target, &[]).await;
                assert_eq!(shown(&answer), expected, "{target}");
                let head = head(&site, target, &[]).await;
                assert_eq!(head.status, answer.status, "{target}");
                assert!(head.body.as_ref().unwrap().is_empty(), "{target}");
                assert_eq!(head.field("location"), answer.field("location"), "{target}");
                assert_eq!(head.field("cache-control"), answer.field("cache-control"), "{target}");
            }
        }
        assert_eq!(read(send(&site, request("POST", "/old/a", &[])).await).await.status, 405);
    });
}

#[test]
fn redirect_has_a_link_and_no_cache_if_it_is_permanent() {
    let statuses = [301, 302, 303, 307, 308];
    let rules = statuses.map(|status| {
        Redirect::new(format!("/{status}/*"), "https://h.example/a&b/:splat").status(status)
    });
    let site = with(&rules);
    run(async {
        for status in statuses {
            let answer = get(&site, &format!("/{status}/'c\""), &[]).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.field("location"), "https://h.example/a&b/'c%22");
            let control = if matches!(status, 301 | 308) { "no-cache" } else { "" };
            assert_eq!(answer.field("cache-control"), control, "{status}");
            assert_eq!(answer.field("content-type"), "text/html; charset=utf-8");
            assert_eq!(answer.field("etag"), "");
            let text = String::from_utf8(answer.bytes().to_vec()).unwrap();
            assert!(text.contains("<a href=\"https://h.example/a&amp;b/&#39;c%22\">"), "{text}");
        }
    });
}

#[test]
fn rewrite_has_the_representation_of_its_file() {
    let site = with(&[Redirect::new("/app/*", "/there.html").status(200)]);
    run(async {
        for fields in [&[("accept-encoding", "br")][..], &[("range", "bytes=0-3")], &[]] {
            let (file, rewritten) =
                (get(&site, "/there.html", fields).await, get(&site, "/app/x", fields).await);
            assert_eq!(rewritten.status, file.status);
            assert_eq!(rewritten.bytes(), file.bytes());
            for name in ["etag", "content-type", "content-encoding", "vary", "content-range"] {
                assert_eq!(rewritten.field(name), file.field(name), "{name}");
            }
            let tag = [fields, &[("if-none-match", file.field("etag"))]].concat();
            assert_eq!(get(&site, "/app/y", &tag).await.status, 304);
        }
        assert_eq!(
            get(&site, "/app/x", &[]).await.served.unwrap().outcome,
            Some(Outcome::Identity)
        );
    });
}

#[test]
fn remembered_answer_is_of_no_other_query() {
    let site = with(&[
        Redirect::new("/app.js", "/chosen/:v").query("v", ":v").force(true),
        Redirect::new("/page", "/there.html").query("there", "1").status(200),
        Redirect::new("/page", "/docs/").status(200),
        Redirect::new("/same", "/there.html").status(200),
    ]);
    run(async {
        for _ in 0..3 {
            for (target, expected) in [
                ("/app.js", "200 run();"),
                ("/app.js?v=1", "301 /chosen/1?v=1"),
                ("/app.js?w=1", "200 run();"),
                ("/page", "200 the"),
                ("/page?there=1", "200 there"),
                ("/same", "200 there"),
                ("/same?x", "200 there"),
            ] {
                let answer = get(&site, target, &[("accept-encoding", "br")]).await;
                assert_eq!(shown(&answer), expected, "{target}");
            }
        }
    });
}

#[test]
fn rules_go_before_the_index_of_an_application_and_a_fallback() {
    let rules = [
        Redirect::new("/old", "/new"),
        Redirect::new("/gone/*", "/lost.html").status(404),
        Redirect::new("/missing/*", "/nowhere").status(200),
    ];
    let spa = rules.iter().cloned().fold(builder().spa(true), Builder::redirect).build().unwrap();
    let echo = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("fallback"))))
    });
    let fallback = rules.iter().cloned().fold(builder(), Builder::redirect).fallback(echo);
    let fallback = fallback.build().unwrap();
    run(async {
        for (target, at_spa, at_fallback) in [
            ("/old", "301 /new", "301 /new"),
            ("/gone/x", "404 nothing", "404 nothing"),
            ("/missing/x", "404 404", "200 fallback"),
            ("/new", "200 the", "200 fallback"),
            ("/group%2Fname", "200 the", "200 fallback"),
        ] {
            assert_eq!(shown(&get(&spa, target, &[]).await), at_spa, "{target}");
            assert_eq!(shown(&get(&fallback, target, &[]).await), at_fallback, "{target}");
        }
    });
}

#[test]
fn wrong_rules_build_no_service() {
    let ring = [Redirect::new("/a", "/b"), Redirect::new("/b", "/a").place("line 2")];
    let error = ring.into_iter().fold(builder(), Builder::redirect).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "redirects lead in a ring: the rule from \"/a\" to \"/b\"; line 2: the rule from \"/b\" to \
         \"/a\""
    );
}
