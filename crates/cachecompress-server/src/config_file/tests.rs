//! The configuration file as a whole: keys, mistakes, and what is printed.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::document::Document;
use super::key::{Key, Keys, Kind};
use super::mistake::{Mistakes, SourceText};
use super::resolve::{InForce, Origin, TOGETHER, resolve};
use super::{print, schema};
use crate::exit::Failure;

/// Texts of which each flag takes one. A new flag with a form of its own adds one here.
const SAMPLES: &[&str] = &[
    "off",
    "br",
    "7",
    "64KiB",
    "2m",
    "0.5",
    "br=5",
    ".usdz=a/b",
    "127.0.0.1:81",
    "/x",
    "https://a.example",
    "a.example",
    "https://a.example",
    "10.0.0.0/8",
    "on",
    "off",
];

fn parse(text: &str) -> Result<Document, Mistakes> {
    let source = SourceText::new(PathBuf::from("cachecompress.toml"), text.to_owned());
    Document::parse(source, &Keys::of_serve())
}

#[track_caller]
fn mistakes(text: &str) -> Mistakes {
    match parse(text) {
        Ok(document) => panic!("{text} has no mistake: {document:?}"),
        Err(mistakes) => mistakes,
    }
}

/// The first mistake, whose sentence must have all of `words`.
#[track_caller]
fn assert_mistake(text: &str, words: &[&str]) {
    let sentence = mistakes(text).to_string();
    for word in words {
        assert!(sentence.contains(word), "{word:?} is not in {sentence:?}");
    }
}

/// Resolves `text` and the `flags` of `serve`.
fn in_force(text: &str, flags: &[&str]) -> Result<InForce, Failure> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cachecompress.toml");
    std::fs::write(&file, text).unwrap();
    in_force_of(&file, flags)
}

fn in_force_of(file: &Path, flags: &[&str]) -> Result<InForce, Failure> {
    let arguments = ["cachecompress", "serve"].into_iter().chain(flags.iter().copied());
    resolve(&arguments.map(OsString::from).collect::<Vec<_>>(), Some(file))
}

/// A value of `key` that is not its default, as a line of TOML.
fn sample(key: &Key) -> String {
    let choices = key.choices();
    let texts = SAMPLES.iter().copied().chain(choices.iter().map(String::as_str));
    let text =
        { texts }.find(|text| key.accepts(text.as_ref()).is_ok() && key.default() != [*text]);
    let text = text.unwrap_or_else(|| panic!("no sample for {}", key.flag()));
    let value = match (key.kind(), key.takes_text()) {
        (Kind::Map, _) => text
            .split_once('=')
            .map(|(name, value)| format!("{{ \"{name}\" = \"{value}\" }}"))
            .unwrap(),
        (Kind::List, _) => format!("[\"{text}\"]"),
        (Kind::Single, true) if key.is_switch() => (key.default() != ["on"]).to_string(),
        (Kind::Single, true) => format!("\"{text}\""),
        (Kind::Single, false) => text.to_owned(),
    };
    format!("{key} = {value}\n")
}

#[test]
fn every_flag_is_a_key() {
    let keys = Keys::of_serve();
    let mut count = 0;
    for key in keys.iter() {
        let needed = TOGETHER.iter().filter(|(id, _)| *id == key.id());
        let needed = needed.filter_map(|(_, id)| keys.iter().find(|key| key.id() == *id));
        let line = sample(key) + &needed.map(sample).collect::<String>();
        let in_force = in_force(&line, &[]).unwrap_or_else(|error| panic!("{line}: {error}"));
        let (texts, origin) = in_force.value(key);
        assert_eq!(origin, Origin::File { line: 1 }, "{line}");
        assert_eq!(texts.len(), 1, "{line}: {texts:?}");
        count += 1;
    }
    assert!(count > 30, "{count}");
    assert_eq!(keys.find(Some("access-log"), "file").unwrap().flag(), "--access-log");
    assert_eq!(keys.find(None, "root").unwrap().flag(), "DIR");
}

#[test]
fn site_takes_the_keys_of_sites_and_no_other() {
    for key in Keys::of_serve().iter() {
        let text = format!("[[sites]]\nhosts = [\"a\"]\n{}", sample(key));
        match key.of_site {
            true => assert_eq!(parse(&text).unwrap().sites[0].flags.len(), 1, "{text}"),
            false => assert_mistake(&text, &[":3:", "is a key of the whole server"]),
        }
    }
}

#[test]
fn flag_wins_over_the_site_and_that_over_the_top_of_the_file() {
    let text = "spa = true\nsymlinks = \"follow\"\n\
        [[sites]]\nhosts = [\"a\"]\nsymlinks = \"deny\"\n[[sites]]\nhosts = [\"b\"]\nspa = false\n";
    let roots = |flags: &[&str]| {
        let sites = in_force(text, flags).unwrap().sites().unwrap();
        sites
            .iter()
            .map(|(args, tables)| format!("{:?} {:?} {:?}", tables.hosts, args.spa, args.symlinks))
            .collect::<Vec<_>>()
    };
    assert_eq!(roots(&[]), ["[\"a\"] Index Deny", "[\"b\"] Off Follow"]);
    assert_eq!(roots(&["--symlinks", "within"]), ["[\"a\"] Index Within", "[\"b\"] Off Within"]);
}

#[test]
fn tables_of_a_site_replace_those_of_the_top() {
    let text = "[[headers]]\nfor = \"/a\"\nvalues = { X = [\"1\", \"2\"] }\n[error-pages]\n404 = \"/x\"\n\
        [site-rules]\nstrict = true\n\
        [[sites]]\nhosts = [\"A\"]\nheaders = []\n[sites.site-rules]\ndialect = \"cloudflare\"\n";
    let sites = in_force(text, &[]).unwrap().sites().unwrap();
    let (_, tables) = &sites[0];
    assert_eq!(tables.hosts, ["a"], "hosts have no case");
    assert!(tables.headers.is_empty() && tables.site_rules.strict, "{tables:?}");
    assert_eq!(tables.error_pages.get(&404).unwrap(), "/x");
    let top = in_force(text, &[]).unwrap().tables;
    let fields: Vec<_> =
        top.headers[0].values.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(fields, ["X: 1", "X: 2"]);
}

#[test]
fn paths_count_from_the_directory_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    let text = "root = \"dist\"\ncache-dir = \"/cache\"\naccess-log.file = \"-\"\n";
    std::fs::write(&file, text).unwrap();
    let in_force = in_force_of(&file, &[]).unwrap();
    let value = |section, name| {
        let texts = in_force.value(in_force.keys.find(section, name).unwrap()).0;
        PathBuf::from(&texts[0])
    };
    assert_eq!(value(None, "root"), directory.path().join("dist"));
    assert_eq!(value(None, "cache-dir"), Path::new("/cache"));
    assert_eq!(value(Some("access-log"), "file"), Path::new("-"));
    assert_eq!(in_force.files_in_force(), [file]);
}

#[test]
fn printed_configuration_has_the_same_effect() {
    let mut text = String::new();
    let keys = Keys::of_serve();
    keys.iter().for_each(|key| text.push_str(&sample(key)));
    text.push_str("error-pages = { 404 = \"/lost.html\" }\nsite-rules.strict = true\n");
    text.push_str("[[headers]]\nfor = \"/**\"\nvalues = { A = \"\\\"#\", b = [\"c\", \"d\"] }\n");
    text.push_str("[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nstatus = 308\n");
    text.push_str("[[sites]]\nhosts = [\"a\"]\nroot = \"a\"\n");
    keys.iter()
        .filter(|key| key.of_site && key.name != "root")
        .for_each(|key| text.push_str(&sample(key)));
    text.push_str("[[sites.headers]]\nfor = \"/a\"\nunset = [\"b\"]\n");
    for text in [text.as_str(), ""] {
        let once = print(&in_force(text, &["--threads", "3"]).unwrap());
        assert!(once.contains("threads = 3  # flag --threads\n"), "{once}");
        let again = print(&in_force(&once, &[]).unwrap());
        let bare = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
        };
        assert_eq!(bare(&once), bare(&again));
        assert!(!again.contains("# default") && !again.contains("# flag"), "{again}");
        let table: toml::Table = once.parse().unwrap();
        assert_fits(&serde_json::to_value(table).unwrap(), &schema_value(), "");
    }
}

#[test]
fn every_command_resolves_a_file_with_every_key() {
    let keys = Keys::of_serve();
    let mut text: String = keys.iter().map(sample).collect();
    text.push_str("[[sites]]\nhosts = [\"a\"]\n");
    keys.iter().filter(|key| key.of_site).for_each(|key| text.push_str(&sample(key)));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    std::fs::write(&file, text).unwrap();
    for command in [
        &["serve"][..],
        &["warm", "a"],
        &["verify"],
        &["gc"],
        &["inspect"],
        &["purge", "--all"],
        &["config", "check"],
        &["config", "print"],
        &["healthcheck"],
    ] {
        let arguments = ["cachecompress"].iter().chain(command).map(OsString::from);
        let in_force = resolve(&arguments.collect::<Vec<_>>(), Some(&file));
        let in_force = in_force.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let files = in_force.files_of_serve().unwrap();
        let named = |name: &str| files.contains(&directory.path().join(name));
        // Every sample of a path is this one.
        assert!(named("c.toml") && named("off"), "{command:?}: {files:?}");
    }
}

fn schema_value() -> Value {
    serde_json::from_str(&schema(&Keys::of_serve())).unwrap()
}

/// Asserts that the JSON Schema allows `value`, by the keywords that ours has.
fn assert_fits(value: &Value, schema: &Value, place: &str) {
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "type" => {
                let names = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                let is_one = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    other => panic!("{other}"),
                };
                assert!(names.iter().any(is_one), "{place} is no {rule}: {value}");
            }
            "enum" => assert!(rule.as_array().unwrap().contains(value), "{place}: {value}"),
            "properties" => {
                let known = rule.as_object().unwrap();
                for (name, value) in value.as_object().unwrap() {
                    match (known.get(name), schema.get("additionalProperties")) {
                        (Some(schema), _) => assert_fits(value, schema, &format!("{place}.{name}")),
                        (None, Some(Value::Bool(false))) => panic!("{place}.{name} is unknown"),
                        (None, _) => {}
                    }
                }
            }
            "additionalProperties" if rule.is_object() => {
                value
                    .as_object()
                    .unwrap()
                    .values()
                    .for_each(|value| assert_fits(value, rule, place));
            }
            "items" => {
                value.as_array().unwrap().iter().for_each(|value| assert_fits(value, rule, place));
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    assert!(value.get(name.as_str().unwrap()).is_some(), "{place} has no {name}");
                }
            }
            "minItems" => assert!(value.as_array().unwrap().len() as u64 >= rule.as_u64().unwrap()),
            "anyOf" => {
                let text_or_array = value.is_string() || value.is_array();
                assert!(text_or_array, "{place}: {value}");
            }
            "$schema"
            | "title"
            | "description"
            | "default"
            | "format"
            | "minimum"
            | "maximum"
            | "additionalProperties" => {}
            other => panic!("the keyword {other} is new"),
        }
    }
}

#[test]
fn schema_in_the_docs_is_that_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cachecompress.schema.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let now = schema(&Keys::of_serve());
    let differs = now.lines().zip(committed.lines()).find(|(now, then)| now != then);
    assert!(
        committed == now,
        "run `cachecompress config schema > docs/cachecompress.schema.json`: {differs:?}"
    );
}

#[test]
fn report_shows_the_place_the_finding_and_the_remedy() {
    let text = "\u{feff}lisen = [\":80\"]\r\nthreads = 0\r\ncache-size = \"1XB\"\r\nsendfile = true\r\n\
        dir = \"a\"\r\naccess-log = \"x\"\r\n[[redirects]]\r\nfrom = \"/a\"\r\nto = \"/b\"\r\nfroce = true\r\n\
        [[sites]]\r\nroot = \"a\"\r\n";
    let expected = include_str!("report.txt");
    let report = mistakes(text).report();
    assert_eq!(report.trim_end(), expected.trim_end(), "\n{report}");
}

#[test]
fn mistake_in_a_file_is_one_sentence() {
    let is_wrong = assert_mistake;
    is_wrong("lisen = []", &["cachecompress.toml:1:1: unknown key `lisen`", "`listen`"]);
    is_wrong("types = { \".a\" = 5 }", &[":1:18:", "`5`", "write a text"]);
    is_wrong("listen = \":80\"", &["write an array of texts, such as [\"127.0.0.1:8080\"]"]);
    is_wrong("listen = []", &["`listen` cannot be empty"]);
    is_wrong("listen = [\":80,:81\"]", &["a comma ends a value"]);
    is_wrong("immutable = 1979-05-27", &["`immutable` cannot be a date", "true or false"]);
    is_wrong("threads = nan", &["`nan`", "whole number"]);
    is_wrong("threads = inf", &["`inf`", "whole number"]);
    is_wrong("threads = \"2\"", &["whole number"]);
    is_wrong("threads = 99999999999999999999999999999999999999999999", &["`threads` cannot be"]);
    is_wrong("cache-size = -1", &["`-1`", "number of bytes"]);
    is_wrong("cache-size = 1e3", &["`1e3`", "1GiB"]);
    is_wrong("root = \"\"", &["not empty"]);
    is_wrong("root = 5", &["`5`", "write a text"]);
    is_wrong("root = true", &["`true`", "write a text"]);
    is_wrong("spa = true\nspa = false", &[":2:1", "duplicate key"]);
    is_wrong("a = [", &["no TOML"]);
    is_wrong("\u{0}", &["no TOML"]);
    is_wrong("sites = 1", &["[[sites]]"]);
    is_wrong("[[sites]]\nhosts = []", &["list of hosts"]);
    is_wrong("[[sites]]\nhosts = [\"a\"]\n[[sites]]\nhosts = [\"A\"]", &["`a` stands there twice"]);
    is_wrong("[[sites]]\nhosts = [\"a:80\"]", &[":2:10", "leave the port out"]);
    is_wrong(
        "[[headers]]\nfor = \"a\"\nvalues = { a = 1 }",
        &["write a text, or an array of texts"],
    );
    is_wrong("[error-pages]\n404 = 5", &[":2:7: `5` is wrong here"]);
    is_wrong("[site-rules]\ndialect = \"vercel\"", &["netlify", "cloudflare"]);
    is_wrong("hosts = [\"a\"]", &["unknown key `hosts`"]);
    is_wrong(&"[".repeat(4000), &["no TOML"]);
    is_wrong(&format!("root = {}1{}", "[".repeat(4000), "]".repeat(4000)), &["no TOML"]);
    is_wrong(&"a.".repeat(4000), &["no TOML"]);
}

#[test]
fn certificate_needs_its_key_where_it_is_named() {
    let wrong = |text: &str, flags: &[&str]| in_force(text, flags).unwrap_err().to_string();
    let cert = wrong("\ntls.cert = \"a\"", &[]);
    assert!(cert.contains(":2:5: `tls.cert` is set and `tls.key` is not: write both"), "{cert}");
    let key = wrong("[[sites]]\nhosts = [\"a\"]\n[sites.tls]\nkey = \"a\"", &[]);
    assert!(key.contains(":4:1: `tls.key` is set and `tls.cert` is not"), "{key}");
    // Another source may have the other half.
    let both = in_force("tls.cert = \"a\"", &["--tls-key", "b"]).unwrap();
    assert!(both.files_in_force().contains(&PathBuf::from("b")), "{:?}", both.files_in_force());
    in_force("tls.cert = \"a\"\n[[sites]]\nhosts = [\"a\"]\ntls.cert = \"c\"", &["--tls-key", "b"])
        .unwrap();
}

#[test]
fn header_rule_is_judged_where_it_stands() {
    let values = "[[headers]]\nfor = \"/**\"\nvalues = { X = \"y\", ";
    assert_mistake("[[headers]]\nfor = \"a{b\"", &[":2:7: these are no paths", "no glob"]);
    let own = format!("{values}Content-Length = \"5\" }}");
    assert_mistake(&own, &[":3:21: the field `Content-Length`", "follows from the bytes"]);
    assert_mistake(&format!("{values}\"a b\" = \"\" }}"), &[":3:21: the field `a b`"]);
    let unset = "[[headers]]\nfor = \"/**\"\nunset = [\"Server\", \"ETag\"]";
    assert_mistake(unset, &[":3:20: this field cannot be left out"]);
    let two = format!("{own}\n{unset}");
    assert!(mistakes(&two).to_string().ends_with("(and 1 more)"), "{}", mistakes(&two).report());
}

#[test]
fn redirect_is_judged_where_it_stands() {
    let wrong = |from: &str, to: &str, rest: &str, words: &[&str]| {
        let text = format!("[[redirects]]\nfrom = \"{from}\"\nto = \"{to}\"\n{rest}");
        assert_mistake(&text, words);
    };
    wrong("/x", "/x/", "", &[":3:6: the rule cannot lead there", "leads to itself"]);
    wrong("/x", "/:name", "", &[":3:6: the rule cannot lead there"]);
    wrong("/*/*", "/y", "", &[":2:8: this is no path of a rule"]);
    wrong("/x", "/y", "status = 305", &[":4:10: no rule has this status: ", "305", "308"]);
    let two = "[[redirects]]\nfrom = \"/x\"\nto = \"/x\"\n".repeat(2);
    assert!(mistakes(&two).to_string().ends_with("(and 1 more)"), "{}", mistakes(&two).report());
}

#[test]
fn ring_of_redirects_is_shown_at_the_first_of_them() {
    let rules = |rules: &[(&str, &str)]| -> String {
        let rule = |(from, to): &(&str, &str)| {
            format!("[[redirects]]\nfrom = \"{from}\"\nto = \"{to}\"\n")
        };
        rules.iter().map(rule).collect()
    };
    let two = rules(&[("/x", "/a"), ("/a", "/b"), ("/b", "/a")]);
    let report = mistakes(&two).report();
    let expected = "error: this redirect and that of line 7 lead in a ring\n \
        --> cachecompress.toml:6:6\n  |\n6 | to = \"/b\"\n  |      ^^^^ let one of them lead elsewhere\n\n";
    assert_eq!(report, expected);
    let three = rules(&[("/a", "/b"), ("/b", "/c/"), ("/c", "/a?x")]);
    assert_mistake(
        &three,
        &[":3:6: this redirect and those of the lines 4, 7 lead in a ring: let"],
    );
    let site = format!("[[sites]]\nhosts = [\"a\"]\n{}", three.replace("[[", "[[sites."));
    assert_mistake(&site, &[":5:6: this redirect and those of the lines 6, 9 lead in a ring"]);
    // A rule that is wrong is the only mistake.
    let wrong = format!("{two}{}", rules(&[("/y", "/y")]));
    assert_eq!(mistakes(&wrong).report().matches("error: ").count(), 1);
    parse(&rules(&[("/a", "/b"), ("/b", "/c"), ("/c", "/d")])).unwrap();
}

#[test]
fn error_page_is_judged_where_it_stands() {
    let text = "[error-pages]\n404 = \"/a.html\"\n200 = \"/b.html\"\n503 = \"/\"\nx = \"/c\"\n";
    assert_mistake(text, &[":3:1: `200` is no status of an error: write one of 400 to 599"]);
    let report = mistakes(text).report();
    for place in [":4:7", ":5:1"] {
        assert!(report.contains(place), "{report}");
    }
    assert_mistake("[error-pages]\n404 = \"a/../b\"", &[":2:7: this is no page of a 404: write"]);
    let site = "[[sites]]\nhosts = [\"a\"]\n[sites.error-pages]\n600 = \"/a\"";
    assert_mistake(site, &[":4:1: `600` is no status"]);
}

#[test]
fn every_rule_with_a_mistake_is_named_beside_those_of_flags() {
    let mut text = String::new();
    for number in 0..5 {
        let _ = writeln!(text, "[[headers]]\nfor = {number}");
    }
    let text = format!("lisen = 1\n{text}form = 5\n");
    assert!(mistakes(&text).to_string().ends_with("(and 5 more)"), "{}", mistakes(&text).report());
}

#[test]
fn file_of_a_mebibyte_is_read() {
    let mut text = String::new();
    while text.len() < 1 << 20 {
        text.push_str("[[redirects]]\nfrom = \"/old/path/of/a/page\"\nto = \"/new/path/of/it\"\n");
    }
    assert!(parse(&text).unwrap().top.tables.redirects.unwrap().len() > 10_000);
    // The mistakes of such a file are shown, too.
    let report = mistakes(&text.replace("from", "form")).report();
    assert!(report.ends_with(" more\n\n"), "{}", &report[report.len() - 100..]);
}

fn toml_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("-0".to_owned()),
        Just("nan".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        ".*".prop_map(|text| toml::Value::String(text).to_string()),
        "[0-9]{1,5}[a-zA-Z]{0,3}".prop_map(|text| format!("'{text}'")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(inner, 0..4).prop_map(|all| {
                let entries: Vec<_> = all
                    .iter()
                    .zip(["for", "values", "x", "\"é\""])
                    .map(|(value, name)| format!("{name}={value}"))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

fn toml_line() -> impl Strategy<Value = String> {
    let mut names: Vec<String> = Keys::of_serve().iter().map(ToString::to_string).collect();
    let others = [
        "sites",
        "headers",
        "redirects",
        "error-pages.404",
        "site-rules.strict",
        "tls",
        "ü",
        "hosts",
        "values",
        "for",
    ];
    names.extend(others.map(str::to_owned));
    let line = (prop::sample::select(names), toml_value());
    prop_oneof![
        8 => line.prop_map(|(name, value)| format!("{name} = {value}")),
        1 => prop::sample::select(vec!["[[sites]]", "[[headers]]", "[[sites.headers]]", "[tls]"]).prop_map(str::to_owned),
        1 => ".{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each file is read, or its mistakes are told, each at a place of the file.
    #[test]
    fn any_file_is_read_or_explained(lines in prop::collection::vec(toml_line(), 0..6), newline in "\r?\n") {
        let text = lines.join(&newline);
        match parse(&text) {
            Ok(_) => {}
            Err(mistakes) => {
                prop_assert!(mistakes.report().contains("error: "));
                prop_assert!(mistakes.to_string().starts_with("cachecompress.toml:"));
            }
        }
    }

    #[test]
    fn any_text_is_read_or_explained(text in "(?s).{0,200}") {
        if let Err(mistakes) = parse(&text) {
            prop_assert!(mistakes.report().contains("error: "));
        }
    }
}
