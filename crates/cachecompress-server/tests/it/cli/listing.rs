//! `--list`: directories without an index.

use crate::common::*;

const HTML: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

#[test]
fn directory_is_listed_as_html_and_as_json() {
    let site = Site::new();
    for (name, len) in [("d/b.bin", 2048), ("d/C.txt", 3), ("d/sub/x", 1), ("d/.env", 9)] {
        site.write(name, &vec![b'x'; len]);
    }
    site.write("index.html", b"Welcome");
    let server = start_with(&site, "--list");
    for protocol in Protocol::ALL {
        let moved = server.fetch_over(protocol, &Request::get("/d"));
        assert_eq!((moved.status(), moved.header("location")), (301, Some("./d/")));
        let page = server.fetch_over(protocol, &Request::get("/d/").header("accept", HTML));
        assert_eq!(page.status(), 200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        let text = String::from_utf8(page.body.clone()).unwrap();
        let places: Vec<_> = ["./sub/", "./b.bin", "./C.txt"]
            .iter()
            .map(|link| text.find(&format!("href=\"{link}\"")).unwrap())
            .collect();
        assert!(places.is_sorted() && !text.contains(".env"), "{text}");
        assert!(text.contains("title=\"2048 bytes\">2.0 KiB<"), "{text}");

        let request = Request::get("/d/?sort=size&order=desc").header("accept", "application/json");
        let json = server.fetch_over(protocol, &request);
        assert_eq!(json.header("content-type"), Some("application/json"));
        for answer in [&page, &json] {
            assert!(answer.head.all("vary").contains(&"Accept"), "{:?}", answer.head);
        }
        let json_value: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
        let entries = json_value.as_array().unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["sub", "b.bin", "C.txt"]);
        assert_eq!((&entries[0]["type"], &entries[0]["size"]), (&"directory".into(), &().into()));
        assert_eq!((&entries[1]["type"], &entries[1]["size"]), (&"file".into(), &2048.into()));
        assert!(entries[1]["mtime"].as_str().unwrap().ends_with('Z'));

        let tag = json.header("etag").unwrap();
        let known = server.fetch_over(protocol, &request.header("if-none-match", tag));
        assert_eq!((known.status(), known.header("etag")), (304, Some(tag)));
        let head = server.fetch_over(protocol, &Request::new("HEAD", "/d/").header("accept", HTML));
        assert_eq!((head.status(), head.header("etag")), (200, page.header("etag")));
        assert!(head.body.is_empty());
        assert_eq!(server.fetch_over(protocol, &Request::get("/")).body, b"Welcome");
    }
    let unlisted = start_with(&site, "");
    assert_eq!(unlisted.get("/d/", "").status(), 404);
}

#[test]
fn listing_of_many_files_ends_and_says_so() {
    let site = Site::new();
    for n in 0..10_001 {
        site.write(&format!("file-{n}"), b"");
    }
    let server = start_with(&site, "--list");
    let page = server.fetch_over(Protocol::ALL[0], &Request::get("/"));
    let text = String::from_utf8(page.body).unwrap();
    assert!(text.contains("Only 10000 entries are shown. The directory has more."));
    assert_eq!(text.matches("<th scope=\"row\">").count(), 10_000);
    let request = Request::get("/").header("accept", "application/json");
    let json = server.fetch_over(Protocol::ALL[0], &request);
    assert_eq!(json.header("x-listing-truncated"), Some("10000"));
    let entries: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 10_000);
}
