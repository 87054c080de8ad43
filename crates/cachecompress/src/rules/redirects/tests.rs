use proptest::prelude::*;

use super::pattern::Pattern;
use super::*;
use crate::http::decode_leniently;

/// The answer of `rules` to a request, as the `_redirects` of the services would show it.
fn ask(rules: &[Redirect], target: &str) -> Option<String> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let redirects = Redirects::new(rules).unwrap();
    let found = redirects.find(&PathSegments::parse(path).ok()?, query)?;
    Some(match found.answer {
        RuleAnswer::Redirect { status, location } => format!("{} {location}", status.as_u16()),
        RuleAnswer::Rewrite(path) => format!("200 {path}"),
        RuleAnswer::Error { status, page } => format!("{} {page}", status.as_u16()),
    })
}

fn to(rule: &Redirect, target: &str) -> Option<String> {
    ask(std::slice::from_ref(rule), target)
        .map(|answer| answer.split_once(' ').unwrap().1.to_owned())
}

fn refusal(rules: &[Redirect]) -> String {
    Redirects::new(rules).unwrap_err().to_string()
}

#[test]
fn literal_matches_the_path_whatever_its_spelling() {
    let rule = Redirect::new("/a/b%C3%A9", "/c");
    for same in ["/a/b%C3%A9", "/a/b%c3%a9/", "/%61/b%C3%A9", "//a//b%C3%A9", "/x/../a/./b%C3%A9"] {
        assert_eq!(to(&rule, same).as_deref(), Some("/c"), "{same}");
    }
    for other in ["/A/b%C3%A9", "/a", "/a/b%C3%A9/x", "/a%2Fb%C3%A9", "/a/b%25C3%25A9"] {
        assert_eq!(to(&rule, other), None, "{other}");
    }
    let rule = Redirect::new("/", "/home");
    assert_eq!(to(&rule, "/").as_deref(), Some("/home"));
    assert_eq!(to(&rule, "/a"), None);
}

#[test]
fn slash_at_the_end_counts_only_if_it_is_to() {
    let exact = |from, to| Redirect::new(from, to).exact_slash(true);
    for (rule, target, location) in [
        (Redirect::new("/a/", "/b"), "/a", Some("/b")),
        (exact("/trailing", "/trailing/"), "/trailing", Some("/trailing/")),
        (exact("/trailing", "/trailing/"), "/trailing/", None),
        (exact("/notrailing/", "/nottrailing"), "/notrailing/", Some("/nottrailing")),
        (exact("/notrailing/", "/nottrailing"), "/notrailing", None),
        (exact("/a/*", "/b/:splat"), "/a", None),
        (exact("/a/*", "/b/:splat"), "/a/", Some("/b/")),
        (exact("/a/*", "/b/:splat"), "/a/x/", Some("/b/x/")),
        (exact("/a/*/c", "/b/:splat"), "/a/x/c/", None),
        (exact("/a/:x", "/b/:x"), "/a/x/", None),
    ] {
        assert_eq!(to(&rule, target).as_deref(), location, "{rule} {target}");
    }
}

#[test]
fn splat_takes_the_rest_of_the_path() {
    for (from, target, location) in [
        ("/news/*", "/news", Some("/x/")),
        ("/news/*", "/news/", Some("/x/")),
        ("/news/*", "/news/a/b", Some("/x/a/b")),
        ("/news/*", "/news/a/b/", Some("/x/a/b/")),
        ("/news/*", "/newsa", None),
        ("/news/*", "/news//evil", Some("/x/evil")),
        ("/news/*", "/news/a%2Fb%20c", Some("/x/a%2Fb%20c")),
        ("/news/*", "/news/é", Some("/x/%C3%A9")),
        ("/news*", "/newsx/y", Some("/x/x/y")),
        ("/news*", "/news", Some("/x/")),
        ("/news*", "/news/y", Some("/x/y")),
        ("/a/*/b", "/a/1/2/b", Some("/x/1/2")),
        ("/a/*/b", "/a/b", None),
        ("/a/*.html", "/a/1/2.html", Some("/x/1/2")),
        ("/a/p*q", "/a/pq", Some("/x/")),
        ("/a/p*q", "/a/p", None),
        ("/a/:n/*", "/a/1", Some("/x/")),
        ("/a/:n/*", "/a", None),
        ("/*", "/", Some("/x/")),
    ] {
        let rule = Redirect::new(from, "/x/:splat").status(200);
        assert_eq!(to(&rule, target).as_deref(), location, "{from} {target}");
    }
    assert_eq!(to(&Redirect::new("/a%2Ab", "/x"), "/a*b").as_deref(), Some("/x"));
}

#[test]
fn placeholders_take_segments_or_parts_of_one() {
    for (from, to_, target, location) in [
        ("/n/:y/:m", "/b/:m/:y", "/n/1/2", Some("/b/2/1")),
        ("/n/:y/:m", "/b/:m/:y", "/n/1/2/", Some("/b/2/1")),
        ("/n/:y/:m", "/b/:m/:y", "/n/1", None),
        ("/n/:y/:m", "/b/:m/:y", "/n/1/2/3", None),
        ("/n/:y/:m/:d", "/blog/:y-:m-:d.html", "/n/1/2/3", Some("/blog/1-2-3.html")),
        ("/n/:my-slug", "/b/:my-slug", "/n/x", Some("/b/x")),
        ("/n/:slug.html", "/b/:slug", "/n/a.b.html", Some("/b/a.b")),
        ("/n/:slug.html", "/b/:slug", "/n/.html", None),
        ("/n/:a-:b", "/:a/:b", "/n/1-2-3", Some("/1-2/3")),
        ("/n/v:a-:b.x", "/:a/:b", "/n/v1-2-3.x", None),
        ("/n/v-:a-:b.x", "/:a/:b", "/n/v-1-2-3.x", Some("/1-2/3")),
        ("/n/v-:a-:b.x", "/:a/:b", "/n/v--.x", None),
        ("/w/Special:Page", "/p", "/w/Special:Page", Some("/p")),
        ("/w/Special:Page", "/p", "/w/SpecialX", None),
        ("/products/:code/:name", "/p?code=:code&name=:name", "/products/a%26b/c%20d%2B", {
            Some("/p?code=a%26b&name=c%20d%2B")
        }),
        ("/a/:x", "/b/:x#:x", "/a/1%232", Some("/b/1%232#1%232")),
        ("/a/:x", "https://h.example:8080/b:x", "/a/1", Some("https://h.example:8080/b1")),
        ("/a/:id/:id2", "/b/:id2/:id", "/a/1/2", Some("/b/2/1")),
    ] {
        let Ok(()) = Redirect::new(from, to_).check() else {
            assert_eq!((from, location), ("/n/v:a-:b.x", None), "{from} {to_}");
            continue;
        };
        let rule = Redirect::new(from, to_);
        assert_eq!(to(&rule, target).as_deref(), location, "{from} {to_} {target}");
    }
}

#[test]
fn query_goes_along_unless_the_target_has_one() {
    for (to_, target, location) in [
        ("/b", "/a?x=1&y=%20", "/b?x=1&y=%20"),
        ("/b?q", "/a?x=1", "/b?q"),
        ("/b#f", "/a?x=1", "/b?x=1#f"),
        ("https://h.example", "/a?x", "https://h.example?x"),
        ("/b", "/a?x=\"<é>", "/b?x=%22%3C%C3%A9%3E"),
    ] {
        assert_eq!(to(&Redirect::new("/a", to_), target).as_deref(), Some(location), "{to_}");
    }
}

#[test]
fn parameters_choose_the_rule_and_are_captured() {
    let store = Redirect::new("/store", "/blog/:id?").query("id", ":id");
    for (target, location) in [
        ("/store?id=7", Some("/blog/7?")),
        ("/store/?id=7&x=1", Some("/blog/7?")),
        ("/store?x=1", None),
        ("/store", None),
        ("/store?id", None),
        ("/store?ID=7", None),
        ("/store?id=", Some("/blog/?")),
        ("/store?id=a&id=b", Some("/blog/b?")),
        ("/store?id=a+b/c%2f%3F", Some("/blog/a%20b%2Fc%2F%3F?")),
    ] {
        assert_eq!(to(&store, target).as_deref(), location, "{target}");
    }
    let fixed = Redirect::new("/store", "/seven").query("id", "7");
    assert_eq!(to(&fixed, "/store?x=1&id=%37").as_deref(), Some("/seven?x=1&id=%37"));
    assert_eq!(to(&fixed, "/store?id=8"), None);
    let rules = [
        Redirect::new("/a", "/p/:t/:id").query("id", ":id").query("t", ":t"),
        Redirect::new("/a", "/q/:id").query("id", ":id"),
    ];
    assert_eq!(ask(&rules, "/a?t=2&id=1").as_deref(), Some("301 /p/2/1?t=2&id=1"));
    assert_eq!(ask(&rules, "/a?id=1").as_deref(), Some("301 /q/1?id=1"));
    let redirects = Redirects::new(&rules).unwrap();
    let path = |path| PathSegments::parse(path).unwrap();
    assert!(redirects.depends_on_query(&path("/a/")));
    assert!(!redirects.depends_on_query(&path("/b")));
}

#[test]
fn first_rule_wins_across_literals_and_patterns() {
    let rules = [
        Redirect::new("/x/one", "/first"),
        Redirect::new("/x/:any", "/second").status(302),
        Redirect::new("/x/two", "/never").force(true),
        Redirect::new("/y", "/third").status(404),
        Redirect::new("/y", "/never"),
        Redirect::new("/*", "/last").status(200),
    ];
    for (target, answer) in [
        ("/x/one", "301 /first"),
        ("/x/two", "302 /second"),
        ("/y", "404 /third"),
        ("/x", "200 /last"),
    ] {
        assert_eq!(ask(&rules, target).as_deref(), Some(answer), "{target}");
    }
}

#[test]
fn rings_and_targets_of_their_own_are_errors_that_name_them() {
    let one = |from: &str, to: &str| Redirect::new(from, to);
    for rule in [
        one("/a", "/a"),
        one("/a/", "/a"),
        one("/a", "/%61/?x"),
        one("/*", "/en/:splat").status(302),
        one("/docs/*", "/docs/index.html"),
        one("/:x", "/b"),
        one("/a", "/a").query("x", ":x"),
    ] {
        let error = refusal(&[rule.clone().place("_redirects:3")]);
        assert!(error.contains("leads to itself"), "{error}");
        assert!(error.starts_with(&format!("_redirects:3: {rule}")), "{error}");
    }
    let ring = [one("/a", "/b"), one("/b", "/c/?x"), one("/x", "/a"), one("/c", "/a").status(307)];
    let error = refusal(&ring);
    for name in ["\"/a\" to \"/b\"", "\"/b\" to \"/c/?x\"", "\"/c\" to \"/a\" (307)"] {
        assert!(error.contains(name), "{error}");
    }
    assert!(!error.contains("\"/x\""), "{error}");
    for fine in [
        vec![one("/*", "/index.html").status(200)],
        vec![one("/*", "/404.html").status(404)],
        vec![one("/a", "/b"), one("/b", "/a").status(200)],
        vec![one("/a", "/b"), one("/b", "https://h.example/a")],
        vec![one("/*", "https://h.example/:splat")],
        vec![one("/a", "/a?y").query("x", ":x")],
        vec![one("/a", "/b"), one("/x", "/b"), one("/b", "/c")],
        vec![one("/a", "/a/").exact_slash(true)],
    ] {
        assert!(Redirects::new(&fine).is_ok(), "{fine:?}");
    }
}

#[test]
fn malformed_rules_are_errors_that_say_why() {
    for (rule, reason) in [
        (Redirect::new("a", "/b"), "must begin with a slash"),
        (Redirect::new("/a?x=1", "/b"), "without `?` and `#`"),
        (Redirect::new("/a b", "/b"), "white space"),
        (Redirect::new("/a\u{1b}b", "/b"), "control character"),
        (Redirect::new("/a/../b", "/b"), "a segment `.` or `..`"),
        (Redirect::new("/a/*/b/*", "/b"), "more than one `*`"),
        (Redirect::new("/a/:x*", "/b"), "stand in one segment"),
        (Redirect::new("/:a/:a", "/b/:a"), "`:a` stands for two parts"),
        (Redirect::new("/a/:x:y", "/b"), "nothing stands between"),
        (Redirect::new("/a", "b"), "must begin with `/`"),
        (Redirect::new("/a", "ftp://h/"), "must begin with `/`"),
        (Redirect::new("/a", "javascript:x"), "must begin with `/`"),
        (Redirect::new("/a", "//h.example/b"), "without its scheme"),
        (Redirect::new("/a", "/\\h.example"), "without its scheme"),
        (Redirect::new("/a", "/%2Fh.example"), "another host"),
        (Redirect::new("/a", "/%5Ch.example"), "another host"),
        (Redirect::new("/a", "/b\nc"), "control character"),
        (Redirect::new("/a/*", "https://h.example:splat"), "no placeholder stands there"),
        (Redirect::new("/a/*", "https://:splat/x"), "in `to` is no host"),
        (Redirect::new("/a/:x", "https://:x.example/"), "no placeholder stands there"),
        (Redirect::new("/a", "https:///x"), "is no host"),
        (Redirect::new("/a", "https://u@h.example/"), "is no host"),
        (Redirect::new("/a/*", "/b/:splt"), "`:splt` in `to` stands for nothing"),
        (Redirect::new("/a", "https://h.example/").status(200), "only a redirect leads"),
        (Redirect::new("/a", "/b").status(418), "the status 418 is none of 200, 301"),
    ] {
        let error = rule.check().unwrap_err().to_string();
        assert!(error.contains(reason), "{rule}: {error}");
        assert!(error.starts_with(&rule.to_string()), "{error}");
    }
}

#[test]
fn location_never_leads_to_another_host() {
    let root = Redirect::new("/go/*", "/:splat");
    let head = Redirect::new("/go*", "/:splat");
    let query = Redirect::new("/go", "/:to").query("to", ":to");
    let segment = Redirect::new("/go/:a/:b", "/:a/:b");
    for target in [
        "/go/%2Fevil.example",
        "/go/%5Cevil.example",
        "/go/%2F%2Fevil.example",
        "/go/%252Fevil.example",
        "/go/%25252Fevil.example",
        "/go/%5C%5Cevil.example/x",
        "/go/\\evil.example/x",
        "/go/a%0d%0aSet-Cookie:x/y",
        "/go/a%09/b",
        "/go?to=/evil.example",
        "/go?to=%2Fevil.example",
        "/go?to=\\evil.example",
        "/go?to=%5cevil.example",
        "/go?to=%0A",
    ] {
        for rule in [&root, &head, &query, &segment] {
            if let Some(location) = to(rule, target) {
                assert_ne!(location, target, "{rule} {target}");
                assert!(is_harmless(&location), "{rule} {target} {location}");
            }
        }
    }
    assert_eq!(to(&root, "/go//evil.example").as_deref(), Some("/evil.example"));
    assert_eq!(to(&head, "/go//evil.example").as_deref(), Some("/evil.example"));
    assert_eq!(to(&root, "/go/%2Fevil.example"), None);
    assert_eq!(to(&root, "/go/a%2F%2Fevil.example").as_deref(), Some("/a%2F%2Fevil.example"));
    assert_eq!(to(&root, "/go/a%00"), None);
}

/// Whether a location is a path whose first segment, decoded up to three times, is no host.
fn is_harmless(location: &str) -> bool {
    let Some(mut rest) = location.strip_prefix('/').map(str::to_owned) else { return false };
    for _ in 0..3 {
        if rest.starts_with(['/', '\\']) {
            return false;
        }
        rest = String::from_utf8_lossy(&decode_leniently(&rest)).into_owned();
    }
    location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "//",
        "\\",
        "%2F",
        "%5C",
        "%252f",
        "%0a",
        "%00",
        "..",
        "%2e",
        ".",
        "a",
        "é",
        "?",
        "#",
        "&",
        "=",
        ":",
        "@",
        "%",
        "evil.example",
        "http:",
        " ",
        "+",
        "*",
        "~",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_request_makes_a_location_of_another_host(path in hostile_text(), query in hostile_text()) {
        for rule in [
            Redirect::new("/a*", "/:splat:q").exact_slash(true).query("q", ":q"),
            Redirect::new("/a*", "/:splat"),
            Redirect::new("/a/*", "/:splat"),
            Redirect::new("/a/:a/:b", "/:b/:a"),
            Redirect::new("/:a-:b", "/:b:a"),
            Redirect::new("/a/*", "/b:splat?x=:splat#:splat"),
            Redirect::new("/a", "/:q").query("q", ":q"),
        ] {
            let compiled = match Rule::compile(&rule) {
                Ok(compiled) => compiled,
                Err(error) => panic!("{error}"),
            };
            for prefix in ["/", "/a/", "/a"] {
                let Ok(path) = PathSegments::parse(&format!("{prefix}{path}")) else { continue };
                let query = format!("q={query}");
                let answer = compiled.answer(&path, Some(&query));
                if let Some(RuleAnswer::Redirect { location, .. }) = answer {
                    prop_assert!(is_harmless(&location), "{rule} {path:?} {location}");
                }
            }
        }
    }

    #[test]
    fn location_of_another_site_keeps_its_host(path in hostile_text()) {
        let rule = Redirect::new("/*", "https://h.example/:splat?x=:splat");
        if let Some(location) = to(&rule, &format!("/{path}")) {
            let uri: http::Uri = location.parse().unwrap();
            prop_assert_eq!(uri.host(), Some("h.example"));
            prop_assert_eq!(uri.query().unwrap().matches('&').count(), 0);
        }
    }

    #[test]
    fn table_finds_the_first_rule_that_matches_by_itself(
        rules in prop::collection::vec((0..3u8, 0..3u8, 0..4u8), 1..12),
        path in (0..3u8, 0..3u8),
    ) {
        let rules: Vec<_> = rules
            .iter()
            .enumerate()
            .map(|(at, (one, two, kind))| {
                let from = match kind {
                    0 => format!("/{one}/{two}"),
                    1 => format!("/{one}/:x"),
                    2 => format!("/:x/{two}"),
                    _ => format!("/{one}/*"),
                };
                Redirect::new(from, format!("/to/here/{at}"))
            })
            .collect();
        let target = format!("/{}/{}", path.0, path.1);
        let first = rules.iter().find_map(|rule| to(rule, &target));
        prop_assert_eq!(ask(&rules, &target).map(|answer| answer[4..].to_owned()), first);
    }

    #[test]
    fn sample_of_a_pattern_matches_it(from in "/(a|:b|c-:d|e\\*|)/(f\\*|:g.h|i)/?") {
        if let Ok(pattern) = Pattern::parse(&from, &[("q".into(), ":v".into())], true) {
            let sample = pattern.sample();
            let (path, query) = sample.split_once('?').unwrap();
            let path = PathSegments::parse(path).unwrap();
            prop_assert!(pattern.captures(&path, Some(query)).is_some(), "{from} {sample}");
        }
    }
}
