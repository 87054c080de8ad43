//! The examples in the documentation of Netlify and of Cloudflare Pages, as a table, and the edges of the
//! format.
//!
//! Both services differ where several rules set one field: Netlify's later rule replaces it, and so
//! it does here; Cloudflare's adds to it.

use std::collections::BTreeMap;

use cachecompress::{Builder, Memory, ServeCompressed};
use http::Request;
use tower_service::Service as _;

use super::*;

/// The fields that the rules of a file set for a request.
fn fields(text: &str, path: &str) -> BTreeMap<String, String> {
    let files = Memory::new().file("every/request.png", "x");
    let builder = ServeCompressed::builder(files)
        .only("every/request.png")
        .nosniff(false)
        .cache_status(false);
    let rules = parse(text).rules;
    let service = rules.into_iter().fold(builder, Builder::header_rule);
    let request = Request::get(path).body(()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let response = runtime.block_on((&service.build().unwrap()).call(request)).unwrap();
    assert_eq!(response.status(), 200);
    let own = ["content-type", "content-length", "accept-ranges", "etag", "last-modified"];
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let mut fields = BTreeMap::new();
    for (name, value) in response.headers() {
        let name = name.to_string();
        if !own.contains(&&*name) {
            assert_eq!(fields.insert(name, text(value)), None, "a field is doubled");
        }
    }
    fields
}

/// A request's path and the fields that it gets.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)]);

#[track_caller]
fn assert_fields(text: &str, cases: &[Case<'_>]) {
    for (path, expected) in cases {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        assert_eq!(fields(text, path), expected, "{path}");
    }
}

fn skipped(text: &str) -> Vec<(usize, String)> {
    parse(text).skipped.into_iter().map(|Skipped { line, why }| (line, why)).collect()
}

#[test]
fn netlify_example_of_two_paths_holds() {
    let text = "\
# a path:
/templates/index.html
  # headers for that path:
  X-Frame-Options: DENY

# another path:
/templates/index2.html
  # headers for that path:
  X-Frame-Options: SAMEORIGIN
";
    assert_fields(
        text,
        &[
            ("/templates/index.html", &[("x-frame-options", "DENY")]),
            ("/templates/index2.html", &[("x-frame-options", "SAMEORIGIN")]),
            ("/templates/", &[]),
            ("/templates/index.html/more", &[]),
        ],
    );
    assert_eq!(skipped(text), []);
}

#[test]
fn netlify_example_of_a_field_in_several_lines_holds() {
    let text = "\
/*
  cache-control: max-age=0
  Cache-Control: no-cache
  cache-control: no-store
  cache-control: must-revalidate
";
    let joined = "max-age=0, no-cache, no-store, must-revalidate";
    assert_fields(
        text,
        &[("/", &[("cache-control", joined)]), ("/a/b", &[("cache-control", joined)])],
    );
}

#[test]
fn netlify_example_of_wildcards_and_placeholders_holds() {
    let text = "\
/assets/*
  X-A: assets
/users/:id/profile
  X-A: profile
/*.js
  X-B: script
/blog/*/draft
  X-C: draft
";
    assert_fields(
        text,
        &[
            ("/assets", &[("x-a", "assets")]),
            ("/assets/", &[("x-a", "assets")]),
            ("/assets/deep/a.css", &[("x-a", "assets")]),
            ("/assets/deep/a.js", &[("x-a", "assets"), ("x-b", "script")]),
            ("/assetsx", &[]),
            ("/users/7/profile", &[("x-a", "profile")]),
            ("/users/7/profile/", &[("x-a", "profile")]),
            ("/users/7/8/profile", &[]),
            ("/users/profile", &[]),
            ("/a.js?v=1", &[("x-b", "script")]),
            ("/blog/2024/05/draft", &[("x-c", "draft")]),
            ("/blog/draft", &[("x-c", "draft")]),
        ],
    );
}

#[test]
fn netlify_later_rule_of_the_same_paths_replaces() {
    let text = "/*\n  X-A: 1\n  X-B: 1\n/*\n  X-A: 2\n";
    assert_fields(text, &[("/", &[("x-a", "2"), ("x-b", "1")])]);
}

#[test]
fn cloudflare_example_of_paths_and_hosts_holds() {
    let text = "\
# This is a comment
/secure/page
  X-Frame-Options: DENY
  X-Content-Type-Options: nosniff
  Referrer-Policy: no-referrer

/static/*
  Access-Control-Allow-Origin: *
  X-Robots-Tag: nosnippet

https://myproject.pages.dev/*
  X-Robots-Tag: noindex

https://:project.pages.dev/*
  X-Robots-Tag: noindex
";
    let page = [
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ];
    let image = [("access-control-allow-origin", "*"), ("x-robots-tag", "nosnippet")];
    assert_fields(text, &[("/secure/page", &page), ("/static/image.jpg", &image), ("/", &[])]);
    let why = |host: &str| format!("the rules of one host (https://{host}/*) are not supported");
    assert_eq!(skipped(text), [(11, why("myproject.pages.dev")), (14, why(":project.pages.dev"))]);
}

#[test]
fn cloudflare_example_of_a_detached_field_holds() {
    let text = "\
/*
  Content-Security-Policy: default-src 'self';

/*.jpg
  ! Content-Security-Policy
";
    let policy = [("content-security-policy", "default-src 'self';")];
    assert_fields(text, &[("/", &policy), ("/a.html", &policy), ("/img/a.jpg", &[])]);
}

#[test]
fn cloudflare_example_of_placeholders_in_values_holds() {
    let text = "\
/movies/:title
  x-movie-name: You are watching \":title\"
/files/*
  link: <https://example.com/:splat>; rel=\"canonical\"
";
    assert_fields(
        text,
        &[
            ("/movies/star-wars", &[("x-movie-name", "You are watching \"star-wars\"")]),
            ("/movies/star/wars", &[]),
            ("/files/a/b.pdf", &[("link", "<https://example.com/a/b.pdf>; rel=\"canonical\"")]),
        ],
    );
}

#[test]
fn cloudflare_examples_of_recipes_hold() {
    let text = "\
/*
  Access-Control-Allow-Origin: *
/app/*
  X-Frame-Options: DENY
  X-Content-Type-Options: nosniff
  Referrer-Policy: no-referrer
  Permissions-Policy: document-domain=()
  Content-Security-Policy: script-src 'self'; frame-ancestors 'none';
";
    let app = [
        ("access-control-allow-origin", "*"),
        ("content-security-policy", "script-src 'self'; frame-ancestors 'none';"),
        ("permissions-policy", "document-domain=()"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ];
    assert_fields(text, &[("/app/a", &app), ("/a", &app[..1])]);
}

#[test]
fn marks_line_ends_indents_and_spaces_mean_nothing() {
    let text = "\u{feff}/a\r\n\tX-A :  one: two \r\n\r\n#/b\r\nX-B:2\r\n   # X-C: 3\r\n  /b/  \r\n  x-d: 4";
    assert_fields(text, &[("/a", &[("x-a", "one: two"), ("x-b", "2")]), ("/b", &[("x-d", "4")])]);
    assert_eq!(skipped(text), []);
    assert_fields("", &[("/", &[])]);
}

#[test]
fn characters_of_globs_are_themselves() {
    let text = "/_next/[slug]/{a}?.js\n  X-A: 1\n/caf%C3%A9\n  X-B: 1\n";
    let escaped = "/_next/%5Bslug%5D/%7Ba%7D%3F.js";
    assert_fields(
        text,
        &[
            (escaped, &[("x-a", "1")]),
            ("/_next/s/a.js", &[]),
            ("/caf%C3%A9", &[("x-b", "1")]),
            ("/caf%c3%a9", &[("x-b", "1")]),
        ],
    );
}

#[test]
fn line_that_cannot_hold_is_skipped_with_its_number_and_reason() {
    let text = "\
X-Early: 1
/a
  X-A: 1
  Content-Length: 7
  ! ETag
  no field
  X-Empty:
  : value
  X B: 2
  Basic-Auth: user:password
/empty
/only-bad
  Transfer-Encoding: chunked
/c
  X-C: 1
";
    assert_fields(text, &[("/a", &[("x-a", "1")]), ("/c", &[("x-c", "1")])]);
    let skipped = skipped(text);
    let lines: Vec<_> = skipped.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 4, 5, 6, 7, 8, 9, 10, 11, 13], "{skipped:?}");
    for (at, part) in [
        (0, "no paths, such as /*, stand before X-Early: 1"),
        (1, "\"content-length\" for \"/a\""),
        (2, "\"etag\""),
        (3, "`Name: value`"),
        (4, "`! X-Empty` removes it"),
        (7, "--basic-auth"),
        (8, "/empty"),
        (9, "transfer-encoding"),
    ] {
        assert!(skipped[at].1.contains(part), "{}", skipped[at].1);
    }
    assert!(!skipped[7].1.contains("password"), "a log is no place for it");
}

#[test]
fn path_with_too_many_parts_skips_its_rule() {
    let text = format!("/{}\n  X-A: 1\n/b\n  X-B: 1\n", "a*b".repeat(40));
    assert_eq!(parse(&text).rules.len(), 1);
    assert_eq!(skipped(&text).len(), 1);
}

proptest::proptest! {
    /// The rules of every file are taken.
    #[test]
    fn rules_of_any_file_build(text in "([ /!:#*a\\pL\\r\\n\t%-]|content-length|https://){0,60}") {
        let builder = ServeCompressed::builder(Memory::new());
        let rules = parse(&text).rules;
        let service = rules.into_iter().fold(builder, Builder::header_rule);
        proptest::prop_assert!(service.build().is_ok());
    }
}
