//! Tests of the renderer.

use std::time::{Duration, SystemTime};

use cachecompress::source::ListingEntry;
use http::HeaderValue;
use http::header::ACCEPT;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::*;

fn page(names: &[&[u8]]) -> String {
    let entries: Vec<_> = names.iter().map(|name| ListingEntry::file(*name, 1)).collect();
    let directory = "a/b".parse().unwrap();
    let order = Order::of(None);
    html::render(&directory, &order.sort(&entries), order, false)
}

/// Splits a page into its tags and the texts between them. A `<` begins a tag in any text but that of
/// `style`.
fn tags(page: &str) -> Vec<(&str, &str)> {
    let (head, rest) = page.split_once("<style>").unwrap();
    let (style, body) = rest.split_once("</style>").unwrap();
    assert_eq!(style, html::STYLE);
    let parts = head.split('<').chain(body.split('<').skip(1)).filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('>').unwrap_or((part, ""))).collect()
}

/// Checks that every tag is one of the template's, and returns the links of the entries.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    for (tag, text) in tags(page) {
        let name = tag.split(' ').next().unwrap();
        let known = [
            "!DOCTYPE", "html", "head", "meta", "title", "link", "body", "nav", "ol", "li", "a",
            "bdi", "main", "h1", "p", "table", "caption", "thead", "tbody", "tr", "th", "td",
            "span", "data", "time",
        ];
        assert!(known.contains(&name.trim_start_matches('/')), "<{tag}> in {page}");
        assert!(!tag.contains(" on"), "<{tag}>");
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        assert!(!text.chars().any(char::is_control), "{text:?}");
        if let Some(link) = tag.strip_prefix("a href=\"") {
            let link = link.split('"').next().unwrap();
            assert!(["./", "../", "?sort="].iter().any(|start| link.starts_with(start)), "{link}");
            links.push(link.to_owned());
        }
    }
    links
}

proptest! {
    #[test]
    fn names_of_any_bytes_stay_texts_and_lead_to_themselves(
        names in prop::collection::vec("([<>\"'&/: \n\r\u{202e}\u{2066}jav?#%.\\\\]|[^/])+", 0..6)
            .prop_map(|names| names.into_iter().map(String::into_bytes).collect::<Vec<_>>()),
        raw in prop::collection::vec(1_u8.., 1..20),
    ) {
        let mut names: Vec<_> = names.into_iter().chain([raw]).collect();
        names.iter_mut().for_each(|name| name.retain(|byte| *byte != b'/'));
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        names.dedup();
        let slices: Vec<_> = names.iter().map(|name| &**name).collect();
        let page = page(&slices);
        let all = links(&page);
        // Three breadcrumbs and three columns come first.
        let mut found: Vec<_> = all[6..]
            .iter()
            .map(|link| percent_decode_str(link.strip_prefix("./").unwrap()).collect::<Vec<u8>>())
            .collect();
        found.sort_unstable();
        prop_assert_eq!(found, names);
    }
}

#[test]
fn hostile_names_are_shown_escaped() {
    let page = page(&[
        b"<script>alert(1)</script>",
        b"\"onmouseover=alert(1)",
        b"javascript:alert(1)",
        b"//evil.example",
        b"new\nline",
        b"\xff\xfe",
        "txt.\u{202e}exe".as_bytes(),
        b"100%?#",
    ]);
    for expected in [
        "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>",
        "<bdi>&quot;onmouseover=alert(1)</bdi>",
        "href=\"./javascript%3Aalert%281%29\"",
        "href=\"./%2F%2Fevil.example\"",
        "<bdi>new\\nline</bdi>",
        "href=\"./%FF%FE\"><bdi>\u{fffd}\u{fffd}</bdi>",
        "<bdi>txt.\\u{202e}exe</bdi>",
        "href=\"./100%25%3F%23\"",
        "<a href=\"../../\"><bdi>Root</bdi></a>",
        "<a href=\"./\" aria-current=\"page\"><bdi>b</bdi></a>",
        "<title>Index of /a/b/</title>",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
}

#[test]
fn json_is_for_those_who_prefer_it() {
    let prefers = |accept: &str| {
        let mut fields = HeaderMap::new();
        fields.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        accept::prefers_json(&fields)
    };
    for json in [
        "application/json",
        "application/json, text/plain, */*",
        "text/html;q=0.9, application/json",
        "application/*",
        "text/html;q=0, application/json;q=0.1",
        "APPLICATION/JSON;Q=0.5",
    ] {
        assert!(prefers(json), "{json}");
    }
    for html in [
        "text/html, application/json",
        "*/*",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "image/png",
        "application/json;q=0",
        "application/json;q=0.5, */*",
        "application/json;q=x",
        "",
    ] {
        assert!(!prefers(html), "{html}");
    }
    assert!(!accept::prefers_json(&HeaderMap::new()));
}

#[test]
fn order_is_read_from_the_query_and_directories_come_first() {
    let at = |secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
    let entries = [
        ListingEntry::file(*b"b", 3).modified(at(1)),
        ListingEntry::file(*b"A", 5).modified(at(3)),
        ListingEntry::directory(*b"y").modified(at(2)),
        ListingEntry::file(*b"c", 1).modified(at(2)),
        ListingEntry::directory(*b"x").modified(at(9)),
    ];
    for (query, expected) in [
        (None, "xyAbc"),
        (Some("sort=name&order=desc"), "yxcbA"),
        (Some("sort=size"), "xycbA"),
        (Some("order=desc&sort=size"), "xyAbc"),
        (Some("sort=time"), "yxbcA"),
        (Some("sort=time&order=desc&x=y"), "xyAcb"),
        (Some("sort=owner&order=up"), "xyAbc"),
        (Some("v=1"), "xyAbc"),
    ] {
        let order = Order::of(query);
        assert_eq!(Order::from_number(order.number()), order);
        let names: Vec<_> = order.sort(&entries).iter().map(|entry| entry.name[0]).collect();
        assert_eq!(String::from_utf8(names).unwrap(), expected, "{query:?}");
    }
}

#[test]
fn times_that_no_date_has_room_for_are_left_out() {
    let timestamp = |time| html::timestamp(&ListingEntry::file(*b"a", 1).modified(time));
    let epoch = SystemTime::UNIX_EPOCH;
    assert_eq!(timestamp(epoch).unwrap(), "1970-01-01T00:00:00Z");
    assert_eq!(
        timestamp(epoch + Duration::from_secs(253_402_300_799)).unwrap(),
        "9999-12-31T23:59:59Z"
    );
    assert_eq!(timestamp(epoch + Duration::from_secs(253_402_300_800)), None);
    assert_eq!(timestamp(epoch - Duration::from_secs(1)), None);
}
