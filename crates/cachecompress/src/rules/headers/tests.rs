//! Rules on the fields of single responses.

use proptest::prelude::*;

use super::*;

const KINDS: [ResponseKind; 4] =
    [ResponseKind::File, ResponseKind::NotModified, ResponseKind::Page, ResponseKind::Other];

fn path(text: &str) -> SourcePath {
    SourcePath::parse(text.as_bytes()).unwrap()
}

fn compiled(rules: impl IntoIterator<Item = HeaderRule>) -> HeaderRules {
    let mut compiled = HeaderRules::default();
    compiled.compile(rules.into_iter().collect()).unwrap();
    compiled
}

fn refusal(rule: HeaderRule) -> String {
    HeaderRules::default().compile(vec![rule]).unwrap_err().to_string()
}

/// The fields of a response that has `before` without rules, as text.
fn applied(
    rules: &HeaderRules,
    kind: ResponseKind,
    requested: &str,
    file: &str,
    before: &[(&str, &str)],
) -> Vec<(String, String)> {
    let mut fields = HeaderMap::new();
    for (name, value) in before {
        fields.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let file = path(file);
    let file = Some(&file).filter(|file| !file.is_root());
    rules.apply(kind, RulePaths { requested: Some(requested), file }, &mut fields);
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let mut fields: Vec<_> =
        fields.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    fields.sort();
    fields
}

fn of_file(rules: &HeaderRules, requested: &str, file: &str) -> Vec<(String, String)> {
    applied(rules, ResponseKind::File, requested, file, &[])
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn most_specific_cache_control_wins() {
    let mut rules = HeaderRules {
        immutable: true,
        default_cache_control: Some(HeaderValue::from_static("no-cache")),
        ..HeaderRules::default()
    };
    let rule = HeaderRule::new("/assets/*.js").set("cache-control", "max-age=5");
    rules.compile(vec![rule]).unwrap();
    let control = |text: &str| {
        let mut fields = rules.defaults(&path(text), text.contains("3f9c2b1a"));
        let paths = RulePaths { requested: None, file: Some(&path(text)) };
        rules.apply(ResponseKind::File, paths, &mut fields);
        fields[CACHE_CONTROL].clone()
    };
    assert_eq!(control("index.html"), "no-cache");
    assert_eq!(control("app.3f9c2b1a.js"), IMMUTABLE);
    assert_eq!(control("assets/app.3f9c2b1a.js"), "max-age=5");
    assert_eq!(control("assets/deep/app.js"), "no-cache", "a star stops at a slash");
}

#[test]
fn rules_of_the_request_and_of_the_file_apply_in_their_order() {
    let rules = compiled([
        HeaderRule::new("/index.html").set("x-last", "file").set("x-file", "1"),
        HeaderRule::new("/").set("x-last", "root").set("x-root", "1"),
        HeaderRule::new("/other").set("x-last", "other"),
    ]);
    let both = pairs(&[("x-file", "1"), ("x-last", "root"), ("x-root", "1")]);
    assert_eq!(of_file(&rules, "/", "index.html"), both);
    let file = pairs(&[("x-file", "1"), ("x-last", "file")]);
    assert_eq!(of_file(&rules, "/index.html", "index.html"), file);
    assert_eq!(of_file(&rules, "/x/%2e%2e/other?", "other.html"), []);
    assert_eq!(of_file(&rules, "/x/%2e%2e/o%74her/", "a"), pairs(&[("x-last", "other")]));
}

#[test]
fn values_of_one_rule_are_joined_and_those_of_a_later_rule_replace() {
    let rules = compiled([
        HeaderRule::new("/**").set("x-a", "1").set("X-A", "2").set("x-b", "b"),
        HeaderRule::new("/a").set("x-a", "3").set("set-cookie", "a=1").set("set-cookie", "b=2"),
    ]);
    assert_eq!(of_file(&rules, "/b", "b"), pairs(&[("x-a", "1, 2"), ("x-b", "b")]));
    let later = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-a", "3"), ("x-b", "b")];
    assert_eq!(of_file(&rules, "/a", "a"), pairs(&later));
}

#[test]
fn unset_removes_fields_of_the_service_and_of_earlier_rules() {
    let rules = compiled([
        HeaderRule::new("/**").set("x-a", "1"),
        HeaderRule::new("/*").unset("x-a").unset("cache-control").unset("last-modified"),
        HeaderRule::new("/later").set("x-a", "2"),
        HeaderRule::new("/same").unset("x-b").set("x-b", "3"),
    ]);
    let before = [("cache-control", "no-cache"), ("last-modified", "today"), ("x-b", "b")];
    let fields = |requested| applied(&rules, ResponseKind::File, requested, "", &before);
    assert_eq!(fields("/x"), pairs(&[("x-b", "b")]));
    assert_eq!(fields("/later"), pairs(&[("x-a", "2"), ("x-b", "b")]));
    assert_eq!(fields("/same"), pairs(&[("x-b", "3")]));
}

#[test]
fn vary_is_added_to_and_fields_about_the_file_stay_true() {
    let rules = compiled([
        HeaderRule::new("/**").set("vary", "accept-language").set("last-modified", "never"),
        HeaderRule::new("/**").set("vary", "cookie").set("cache-status", "own"),
    ]);
    let before = [("cache-status", "hit"), ("last-modified", "today"), ("vary", "accept-encoding")];
    let expected = [
        ("cache-status", "hit"),
        ("last-modified", "today"),
        ("vary", "accept-encoding"),
        ("vary", "accept-language"),
        ("vary", "cookie"),
    ];
    assert_eq!(applied(&rules, ResponseKind::File, "/", "", &before), pairs(&expected));
}

#[test]
fn only_rules_that_are_always_apply_to_errors() {
    let rule = |always: bool| {
        HeaderRule::new("/**")
            .set("x-own", "1")
            .set("cache-control", "max-age=9")
            .set("content-type", "text/own")
            .set("location", "/else")
            .unset("allow")
            .unset("expires")
            .always(always)
    };
    let before = [("allow", "GET"), ("content-type", "text/plain"), ("location", "./a/")];
    for (kind, always, expected) in [
        (ResponseKind::File, false, "max-age=9 - text/own /else 1"),
        (ResponseKind::File, true, "max-age=9 - text/own /else 1"),
        (ResponseKind::NotModified, false, "max-age=9 - text/plain /else 1"),
        (ResponseKind::Page, false, "- - text/own /else 1"),
        (ResponseKind::Other, false, "- GET text/plain ./a/ -"),
        (ResponseKind::Other, true, "- GET text/plain ./a/ 1"),
    ] {
        let fields = applied(&compiled([rule(always)]), kind, "/x", "404.html", &before);
        let value = |name: &str| {
            let field = fields.iter().find(|(own, _)| own == name);
            field.map_or("-", |(_, value)| value).to_owned()
        };
        let names = ["cache-control", "allow", "content-type", "location", "x-own"];
        assert_eq!(names.map(value).join(" "), expected, "{kind:?} {always}");
    }
}

#[test]
fn page_has_the_rules_of_its_file_and_those_of_every_response() {
    let rules = compiled([
        HeaderRule::new("/404.html").set("x-page", "1"),
        HeaderRule::new("/lost").set("x-requested", "1"),
        HeaderRule::new("/lost").set("x-always", "1").always(true),
    ]);
    let expected = pairs(&[("x-always", "1"), ("x-page", "1")]);
    assert_eq!(applied(&rules, ResponseKind::Page, "/lost", "404.html", &[]), expected);
}

#[test]
fn presets_lie_beneath_all_rules() {
    let own = || HeaderRule::new("/**").set("content-security-policy", "default-src 'self'");
    let preset = || HeaderRule::new("/**").security(true);
    for rules in [[own(), preset()], [preset(), own()]] {
        let expected = [
            ("content-security-policy", "default-src 'self'"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("strict-transport-security", "max-age=31536000"),
            ("x-content-type-options", "nosniff"),
        ];
        assert_eq!(of_file(&compiled(rules), "/x", ""), pairs(&expected));
    }
    let without = HeaderRule::new("/a").unset("referrer-policy").unset("x-content-type-options");
    let fields = of_file(&compiled([without, preset().isolate(true)]), "/a", "a");
    let names: Vec<_> = fields.iter().map(|(name, _)| &**name).collect();
    let expected = [
        "content-security-policy",
        "cross-origin-embedder-policy",
        "cross-origin-opener-policy",
        "strict-transport-security",
    ];
    assert_eq!(names, expected);
}

#[test]
fn preset_for_tls_leaves_a_plain_response_and_a_rule_of_its_own_stays() {
    let preset = HeaderRule::new("/**").security(true);
    let own = HeaderRule::new("/own").set("strict-transport-security", "max-age=5");
    let rules = compiled([preset, own]);
    for (requested, over_tls, plain) in
        [("/", Some("max-age=31536000"), None), ("/own", Some("max-age=5"), Some("max-age=5"))]
    {
        let mut fields = HeaderMap::new();
        let paths = RulePaths { requested: Some(requested), file: None };
        rules.apply(ResponseKind::File, paths, &mut fields);
        let value = |fields: &HeaderMap| {
            fields.get(STRICT_TRANSPORT_SECURITY).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(value(&fields).as_deref(), over_tls);
        rules.keep_plain(&mut fields);
        assert_eq!(value(&fields).as_deref(), plain);
    }
}

#[test]
fn refusal_names_the_field_and_the_paths() {
    for name in OWN.iter().chain(&HOP_BY_HOP) {
        for rule in
            [HeaderRule::new("/a/**").set(name, "1"), HeaderRule::for_pattern("/a/**").unset(name)]
        {
            let text = refusal(rule);
            assert!(text.contains(name.as_str()) && text.contains("\"/a/**\""), "{text}");
        }
    }
    assert!(refusal(HeaderRule::new("/").unset("Vary")).contains("added to"));
    for rule in [
        HeaderRule::new("/").set("a b", "1"),
        HeaderRule::new("/").set("a", "1\n2"),
        HeaderRule::new("/").unset(""),
        HeaderRule::new("[").set("a", "1"),
        HeaderRule::new("/a//b").set("a", "1"),
        HeaderRule::new("").set("a", "1"),
        HeaderRule::for_pattern("a").set("a", "1"),
    ] {
        assert!(!refusal(rule).is_empty());
    }
}

#[test]
fn placeholders_in_values_are_filled_from_the_path() {
    let rule = |text: &str, value: &str| {
        compiled([HeaderRule::for_pattern(text).set("x-v", value.to_owned())])
    };
    for (text, value, requested, expected) in [
        ("/movies/:title", "on \":title\"", "/movies/up", "on \"up\""),
        ("/movies/:title", ":title :titles :", "/movies/a%0d%0ab%20c", "a%0D%0Ab%20c :titles :"),
        ("/a/*", "https://x:8080/:splat", "/a/b/c", "https://x:8080/b/c"),
        ("/a/*", ":splat.", "/a", "."),
        ("/a/*", ":other", "/a/b", ":other"),
    ] {
        let fields = of_file(&rule(text, value), requested, "");
        assert_eq!(fields, pairs(&[("x-v", expected)]), "{text} {value}");
    }
    // The file's path counts where that of the request does not match.
    let rules = rule("/pages/:name.html", ":name");
    assert_eq!(of_file(&rules, "/pages/", "pages/index.html"), pairs(&[("x-v", "index")]));
}

/// Whether a glob is meant to match a path.
type Meant = fn(&str) -> bool;

const GLOBS: [(&str, Meant); 7] = [
    ("/**", |_| true),
    ("/*", |_| true),
    ("/", str::is_empty),
    ("/a/*", |path| path == "a" || path.starts_with("a/")),
    ("/a/**", |path| path == "a" || path.starts_with("a/")),
    ("/*/b", |path| path.ends_with("/b") && path.matches('/').count() == 1),
    ("**/b", |path| path == "b" || path.ends_with("/b")),
];

fn some_path() -> impl Strategy<Value = String> {
    "([abc](/[abc]){0,2})?"
}

proptest! {
    #[test]
    fn glob_matches_what_it_is_meant_to(path in some_path()) {
        for (glob, is_meant) in GLOBS {
            let rules = compiled([HeaderRule::new(glob).set("x-a", "1")]);
            let is_set = !of_file(&rules, &format!("/{path}"), "").is_empty();
            prop_assert_eq!(is_set, is_meant(&path), "{} for {}", glob, path);
        }
    }

    /// The model applies rule by rule, in one loop.
    #[test]
    fn rules_agree_with_a_loop_over_them(
        rules in prop::collection::vec(
            (0..GLOBS.len(), prop::collection::vec((0..3u8, any::<bool>()), 0..4), any::<bool>()),
            0..6,
        ),
        requested in some_path(),
        file in some_path(),
    ) {
        let built = rules.iter().enumerate().map(|(at, (glob, fields, always))| {
            let rule = HeaderRule::new(GLOBS[*glob].0).always(*always);
            fields.iter().fold(rule, |rule, (field, is_set)| {
                let name = format!("x-{field}");
                if *is_set { rule.set(name, at.to_string()) } else { rule.unset(name) }
            })
        });
        let built = compiled(built);
        for kind in KINDS {
            let mut model = std::collections::BTreeMap::from([("x-0".to_owned(), "own".to_owned())]);
            for (at, (glob, fields, always)) in rules.iter().enumerate() {
                let (of_request, of_file) = (GLOBS[*glob].1(&requested), GLOBS[*glob].1(&file));
                let of_file = of_file && !file.is_empty();
                let applies = match kind {
                    ResponseKind::Page => of_file || (*always && of_request),
                    ResponseKind::Other => *always && (of_request || of_file),
                    _ => of_request || of_file,
                };
                if !applies {
                    continue;
                }
                for (field, _) in fields.iter().filter(|(_, is_set)| !is_set) {
                    model.remove(&format!("x-{field}"));
                }
                for field in 0..3u8 {
                    let lines = fields.iter().filter(|own| **own == (field, true)).count();
                    if lines > 0 {
                        model.insert(format!("x-{field}"), vec![at.to_string(); lines].join(", "));
                    }
                }
            }
            let requested = format!("/{requested}");
            let actual = applied(&built, kind, &requested, &file, &[("x-0", "own")]);
            prop_assert_eq!(actual, model.into_iter().collect::<Vec<_>>(), "{:?}", kind);
        }
    }
}
