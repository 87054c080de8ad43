//! The cache through the API: its entries, and their removal.

use super::*;

/// A server with an entry for each of these files in br, of descending size, and one in gzip.
fn filled(site: &Site, secret: &Secret) -> Server {
    let server = with_token(site, secret).start();
    for file in ["a.js", "b.js", "c.css"] {
        let path = format!("/{file}");
        server.until_hit(&Request::get(&path).accept("br"));
    }
    server.until_hit(&Request::get("/c.css").accept("gzip"));
    server.until_idle();
    server
}

fn site() -> Site {
    let site = Site::with("a.js", &site::text(1, 90_000));
    site.write("b.js", &site::text(2, 60_000));
    site.write("c.css", &site::text(3, 30_000));
    site
}

fn digest(site: &Site, file: &str) -> String {
    let bytes = fs::read(site.path().join(file)).unwrap();
    cachecompress::Digest::of(&bytes).hex()
}

#[test]
fn entries_are_listed_by_pages_in_their_order() {
    let (site, secret) = (site(), Secret::new());
    let server = filled(&site, &secret);
    let list = get(&server, "/api/v1/entries");
    assert_eq!((list["entries"].as_array().unwrap().len(), &list["next"]), (4, &Value::Null));
    let first = &list["entries"][0];
    assert_eq!(first["digest"], digest(&site, "a.js"));
    assert_eq!((&first["coding"], &first["source_bytes"]), (&"br".into(), &90_000.into()));
    let sent = server.get("/a.js", "br").body.len();
    assert_eq!(first["encoded_bytes"], sent);
    assert_eq!(list["totals"]["entries"], 4);
    assert_eq!(list["totals"]["source_bytes"], 90_000 + 60_000 + 2 * 30_000);
    assert_eq!(list["totals"]["bytes"], get(&server, "/api/v1/status")["cache"]["bytes"]);

    let (mut pages, mut next) = (Vec::new(), Some(String::new()));
    while let Some(after) = next {
        let page = get(&server, &format!("/api/v1/entries?limit=1{after}"));
        assert_eq!(page["totals"], list["totals"]);
        pages.extend(page["entries"].as_array().unwrap().iter().map(|e| e["digest"].clone()));
        next = page["next"].as_str().map(|next| format!("&after={next}"));
    }
    let all = list["entries"].as_array().unwrap().iter().map(|e| e["digest"].clone());
    assert_eq!(pages, all.collect::<Vec<_>>());

    let start = &digest(&site, "c.css")[..9];
    let filtered = get(&server, &format!("/api/v1/entries?filter={start}&sort=ratio"));
    assert_eq!(filtered["totals"]["entries"], 2);
    assert!(filtered["entries"][0]["ratio"].as_f64() >= filtered["entries"][1]["ratio"].as_f64());
    let refusal = ask(&server, &Request::get("/api/v1/entries?sort=name"));
    assert_eq!(refusal.status(), 400);
    assert!(json(&refusal)["error"].as_str().unwrap().contains("`sort`"));
}

#[test]
fn purge_removes_what_all_conditions_choose() {
    let (site, secret) = (site(), Secret::new());
    let server = filled(&site, &secret);
    let purge = |body: &str| {
        let done = post(&server, "/api/v1/purge", TOKEN, body);
        assert_eq!(done.status(), 200, "{body}: {done:?}");
        json(&done)["entries"].as_u64().unwrap()
    };
    assert_eq!(purge(r#"{"paths":["/*.js"],"dry_run":true}"#), 2);
    assert_eq!(server.entries(), 4, "a dry run removes nothing");
    assert_eq!(purge(r#"{"paths":["/*.js"],"coding":"gzip"}"#), 0);
    assert_eq!(purge(r#"{"older_than":3600}"#), 0);
    assert_eq!(purge(r#"{"paths":["/missing.js"]}"#), 0);
    let gzip = server.get("/c.css", "gzip");
    assert_eq!(purge(r#"{"paths":["/c.css"],"coding":"gzip"}"#), 1);
    assert_eq!(purge(&format!(r#"{{"digest":"{}"}}"#, &digest(&site, "a.js")[..8])), 1);
    assert_eq!(server.entries(), 2);
    assert_eq!(purge(r#"{"all":true}"#), 2);
    assert_eq!(server.entries(), 0);
    // A ready response is repeated until the file is looked at again.
    let again = eventually("one more encode", || {
        let answer = server.get("/c.css", "gzip");
        (server.encodes() == 5).then_some(answer)
    });
    assert_eq!((again.decoded(), again.head.get("etag")), (gzip.decoded(), gzip.head.get("etag")));
}

#[test]
fn purge_without_a_clear_choice_is_refused() {
    let (site, secret) = (site(), Secret::new());
    let server = filled(&site, &secret);
    for (body, reason) in [
        ("{}", "or say `all`"),
        (r#"{"dry_run":true}"#, "or say `all`"),
        (r#"{"all":true,"coding":"br"}"#, "`all` alone"),
        (r#"{"older_than":-1}"#, "`older_than` is a time"),
        (r#"{"digest":"abc"}"#, "8 to 64 hexadecimal digits"),
        (r#"{"paths":["/a{"]}"#, "a{"),
    ] {
        let refusal = post(&server, "/api/v1/purge", TOKEN, body);
        assert_eq!(refusal.status(), 422, "{body}");
        let sentence = json(&refusal)["error"].to_string();
        assert!(sentence.contains(reason), "{body}: {sentence}");
    }
    let by_position = post(&server, "/api/v1/purge", TOKEN, "[[],null,null,null,true,false]");
    assert_eq!(by_position.status(), 400);
    assert_eq!(server.entries(), 4);
    assert_eq!(
        post(&server, "/api/v1/purge", "a-wrong-token-of-tests", r#"{"all":true}"#).status(),
        401
    );
    assert_eq!(server.entries(), 4);
}

/// The two requests had globs of their own each, and `/docs/` warmed nothing.
#[test]
fn warm_and_purge_read_the_same_paths() {
    let (site, secret) = (Site::new(), Secret::new());
    let files = ["docs/index.html", "caf \u{e9}.js", "pages/[id].js", "pages/i.js"];
    for (seed, file) in (0..).zip(files) {
        site.write(file, &site::text(seed, 9_000));
    }
    let server = with_token(&site, &secret).start();
    for (paths, count) in [
        (r#""/docs/""#, 1),
        (r#""/caf%20%C3%A9.js""#, 1),
        (r#""/pages/%5Bid%5D.js""#, 1),
        (r#""/pages/[id].js""#, 1),
        (r#""/pages/[i].js", "/pages/i.js""#, 1),
        (r#""/pages/*""#, 2),
        (r#""/missing""#, 0),
    ] {
        let body = format!(r#"{{"paths":[{paths}],"codings":["br"]}}"#);
        let begun = eventually("the last warming's end", || {
            Some(post(&server, "/api/v1/warm", TOKEN, &body)).filter(|begun| begun.status() != 409)
        });
        assert_eq!((begun.status(), &json(&begun)["files"]), (202, &count.into()), "{paths}");
        eventually("the entries", || (server.entries() == count).then_some(()));
        server.until_idle();
        let done = post(&server, "/api/v1/purge", TOKEN, &format!(r#"{{"paths":[{paths}]}}"#));
        assert_eq!(json(&done)["entries"], count, "{paths}");
        assert_eq!(server.entries(), 0, "{paths}");
    }
    for wrong in ["/a{b", "/%zz", "/["] {
        let body = format!(r#"{{"paths":["{wrong}"]}}"#);
        for path in ["/api/v1/warm", "/api/v1/purge"] {
            assert_eq!(post(&server, path, TOKEN, &body).status(), 422, "{path} {wrong}");
        }
    }
}

#[test]
fn globs_without_a_file_are_told_apart() {
    let (site, secret) = (site(), Secret::new());
    let server = filled(&site, &secret);
    let paths = r#""paths":["/nope","/c.*","/none/**"]"#;
    let missing = serde_json::json!(["/nope", "/none/**"]);
    let counted =
        json(&post(&server, "/api/v1/purge", TOKEN, &format!(r#"{{{paths},"dry_run":true}}"#)));
    assert_eq!((&counted["entries"], &counted["unmatched"]), (&2.into(), &missing));
    let begun = json(&post(&server, "/api/v1/warm", TOKEN, &format!("{{{paths}}}")));
    assert_eq!(begun, serde_json::json!({ "files": 1, "unmatched": missing }));
    let all = json(&post(&server, "/api/v1/purge", TOKEN, r#"{"all":true,"dry_run":true}"#));
    assert_eq!(all["unmatched"], serde_json::json!([]));
}

/// A page counted the entries before it, up to a number that its own `next` went beyond.
#[test]
fn next_page_begins_behind_the_last_entry_whatever_is_removed_before_it() {
    let (site, secret) = (site(), Secret::new());
    let server = filled(&site, &secret);
    for sort in ["size", "ratio", "age", "last_use"] {
        let whole = get(&server, &format!("/api/v1/entries?sort={sort}"));
        let keys = |page: &Value| -> Vec<(Value, Value)> {
            let entries = page["entries"].as_array().unwrap().iter();
            entries.map(|entry| (entry["digest"].clone(), entry["coding"].clone())).collect()
        };
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let page = get(&server, &format!("/api/v1/entries?limit=1&sort={sort}{next}"));
            all.extend(keys(&page));
            let Some(after) = page["next"].as_str() else { break };
            next = format!("&after={after}");
        }
        assert_eq!(all, keys(&whole), "{sort}");
    }
    let first = get(&server, "/api/v1/entries?limit=2");
    let second = get(&server, "/api/v1/entries?limit=2&sort=size");
    let body = format!(r#"{{"digest":{}}}"#, first["entries"][0]["digest"]);
    assert_eq!(post(&server, "/api/v1/purge", TOKEN, &body).status(), 200);
    let after = first["next"].as_str().unwrap();
    let rest = get(&server, &format!("/api/v1/entries?after={after}"));
    assert_eq!(rest["entries"].as_array().unwrap().len(), 2, "{rest}");
    assert_eq!((&first, &rest["next"]), (&second, &Value::Null));
    for wrong in ["7", "x", &after[1..], &"g".repeat(48)] {
        let refusal = ask(&server, &Request::get(&format!("/api/v1/entries?after={wrong}")));
        assert_eq!(refusal.status(), 400, "{wrong}");
        assert!(json(&refusal)["error"].as_str().unwrap().contains("`after`"));
    }
}
