//! Listings of directories without an index.
#![allow(clippy::disallowed_methods, reason = "the tests fill a directory as an operator would")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cachecompress::source::{Listing, ListingEntry, Overlay, SourceFile};
use cachecompress::{
    Builder, Directory, Embedded, ListingPage, Memory, Redirect, RenderListing, ServeCompressed,
    Source, SourcePath, Symlinks, TrailingSlash,
};
use cachecompress_test::service::{LONG, encodes, get, get_as, head, run};
use http::{HeaderMap, HeaderValue, header};

/// Renders a line for each entry, and `…` for those that are left out.
fn lines(directory: &SourcePath, listing: &Listing) -> ListingPage {
    let mut lines: Vec<_> = listing.entries.iter().map(line).collect();
    lines.sort_unstable();
    lines.extend(listing.is_cut.then(|| "…".to_owned()));
    let text = format!("/{directory}:{}", lines.join(","));
    ListingPage::new(SourceFile::from_bytes(text).media_type("text/plain"))
}

fn line(entry: &ListingEntry) -> String {
    let name = String::from_utf8_lossy(&entry.name);
    match entry.len {
        Some(len) => format!("{name} {len}"),
        None => format!("{name}/"),
    }
}

fn site() -> Memory {
    Memory::new()
        .file("index.html", "Welcome")
        .file("d/b.txt", "bb")
        .file("d/sub/x", "x")
        .file("d/sub/y", "y")
        .file("d/sub-x", "")
        .file("d/a.js", "a")
        .file("e/index.html", "An index")
}

fn with(source: impl Source) -> Builder {
    ServeCompressed::builder(source).list(lines).patience(LONG)
}

const D: &str = "/d:a.js 1,b.txt 2,sub-x 0,sub/";

#[test]
fn directory_without_an_index_is_listed_at_its_slash() {
    run(async {
        for slash in [TrailingSlash::Auto, TrailingSlash::Always, TrailingSlash::Never] {
            let service = with(site()).trailing_slash(slash).spa(true).build().unwrap();
            let answer = get(&service, "/d/?sort=name", &[]).await;
            assert_eq!(String::from_utf8_lossy(answer.bytes()), D, "{slash:?}");
            assert_eq!(answer.field("content-type"), "text/plain");
            assert_eq!(answer.field("cache-control"), "no-cache");
            let moved = get(&service, "/d?q", &[]).await;
            assert_eq!(
                (moved.status.as_u16(), moved.field("location")),
                (301, "./d/?q"),
                "{slash:?}"
            );
            assert_eq!(get(&service, "/", &[]).await.bytes(), b"Welcome");
            assert_eq!(get(&service, "/d/a.js", &[]).await.bytes(), b"a");
            let missing = get(&service, "/none/", &[("accept", "image/png")]).await;
            assert_eq!(missing.status, 404, "{slash:?}");
        }
        let unlisted = ServeCompressed::builder(site()).build().unwrap();
        assert_eq!(get(&unlisted, "/d/", &[]).await.status, 404);
    });
}

#[test]
fn listing_is_validated_and_compressed_as_a_file() {
    run(async {
        let many = (0..200).fold(site(), |site, n| site.file(format!("many/file-{n}.txt"), "text"));
        let service = with(many).build().unwrap();
        let first = get_as(&service, "/many/", "gzip, identity;q=0").await;
        assert_eq!((first.coding(), first.cache()), ("gzip", "stored"));
        assert!(first.decoded().starts_with(b"/many:file-0.txt 4,"));
        let second = get_as(&service, "/many/", "gzip").await;
        assert_eq!((second.coding(), second.cache()), ("gzip", "hit"));
        assert_eq!(encodes(&service, "*"), 1);
        assert_eq!(second.field("vary"), "Accept-Encoding");
        let tag = second.field("etag");
        let fields = [("accept-encoding", "gzip"), ("if-none-match", tag)];
        let known = get(&service, "/many/", &fields).await;
        assert_eq!((known.status.as_u16(), known.field("etag")), (304, tag));
        let head = head(&service, "/many/", &[("accept-encoding", "gzip")]).await;
        assert_eq!((head.status.as_u16(), head.field("etag")), (200, tag));
        assert_eq!(head.field("content-length"), second.field("content-length"));
        assert_eq!(second.field("last-modified"), "");
    });
}

#[test]
fn listing_goes_before_redirects_that_are_not_forced_and_after_those_that_are() {
    run(async {
        let to = |from, force| Redirect::new(from, "/moved").status(302).force(force);
        let service =
            with(site()).redirect(to("/d/*", false)).redirect(to("/d", false)).build().unwrap();
        assert_eq!(get(&service, "/d/", &[]).await.bytes(), D.as_bytes());
        assert_eq!(get(&service, "/d", &[]).await.status, 301);
        assert_eq!(get(&service, "/d/none", &[]).await.status, 302);
        let forced = with(site()).redirect(to("/d/*", true)).build().unwrap();
        assert_eq!(get(&forced, "/d/", &[]).await.status, 302);
    });
}

#[test]
fn excluded_entries_and_directories_are_not_listed() {
    run(async {
        let service = with(site()).exclude("**/*.js").exclude("d/sub/**").build().unwrap();
        assert_eq!(get(&service, "/d/", &[]).await.bytes(), b"/d:b.txt 2,sub-x 0");
        assert_eq!(get(&service, "/d/sub/", &[]).await.status, 404);
    });
}

#[test]
fn sources_in_memory_and_overlays_list_what_lookup_finds() {
    static FILES: &[(&str, &[u8])] =
        &[("d/.env", b"hidden"), ("d/a", b"lower"), ("d/c", b"c"), (".well-known/x", b"")];
    let list = |source: &dyn Source, path: &str, most| {
        let listing = source.list(&path.parse().unwrap(), most).unwrap()?;
        let mut lines: Vec<_> = listing.entries.iter().map(line).collect();
        lines.sort_unstable();
        Some((lines.join(","), listing.is_cut))
    };
    let all = |text: &str| Some((text.to_owned(), false));
    let embedded = Embedded::new(FILES);
    assert_eq!(list(&embedded, "d", 9), all("a 5,c 1"));
    assert_eq!(list(&embedded, "", 9), all(".well-known/,d/"));
    assert_eq!(list(&embedded.clone().dotfiles(true), "d", 9), all(".env 6,a 5,c 1"));
    assert_eq!(list(&embedded, "d/a", 9), None);
    assert_eq!(list(&embedded, "none", 9), None);
    assert_eq!(list(&site(), "d", 2), Some(("a.js 1,b.txt 2".to_owned(), true)));
    assert_eq!(list(&site(), "d", 4), all("a.js 1,b.txt 2,sub-x 0,sub/"));
    // A file goes before a directory of the same path.
    assert_eq!(list(&Memory::new().file("x", "x").file("x/y", ""), "", 9), all("x 1"));
    let overlay = Overlay::new().layer(Memory::new().file("d/a/deep", "")).layer(embedded);
    assert_eq!(list(&overlay, "d", 9), all("a/,c 1"));
    assert!(list(&overlay, "d", 1).unwrap().1);
    let hiding = Overlay::new().layer(Memory::new().file("d", "")).layer(Embedded::new(FILES));
    assert_eq!(list(&hiding, "d", 9), None);
}

#[cfg(unix)]
#[test]
fn directory_lists_what_it_serves() {
    use std::os::unix::fs::symlink;

    let temp = tempfile::tempdir().unwrap();
    let (root, outside) = (temp.path().join("root"), temp.path().join("secret"));
    std::fs::create_dir_all(root.join("d/sub")).unwrap();
    std::fs::create_dir_all(root.join("d/.git")).unwrap();
    std::fs::create_dir_all(root.join("d/cache")).unwrap();
    std::fs::create_dir_all(root.join(".well-known")).unwrap();
    for name in ["d/a", "d/.env", "d/key.pem", "d/back\\slash", "d/new\nline"] {
        std::fs::write(root.join(name), "text").unwrap();
    }
    std::fs::write(&outside, "secret").unwrap();
    symlink("a", root.join("d/inside")).unwrap();
    symlink(&outside, root.join("d/outside")).unwrap();
    symlink("nowhere", root.join("d/dangling")).unwrap();
    std::fs::hard_link(root.join("d/key.pem"), root.join("d/hard-key")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("d/socket")).unwrap();
    let list = |source: &Directory, path: &str| {
        let listing = source.list(&path.parse().unwrap(), 100).unwrap()?;
        assert!(listing.entries.iter().all(|entry| entry.modified.is_some()));
        let mut lines: Vec<_> = listing.entries.iter().map(line).collect();
        lines.sort_unstable();
        Some(lines.join(","))
    };
    let open = || {
        let directory = Directory::new(&root).unwrap();
        assert!(directory.hide_directory(&root.join("d/cache")));
        directory.hide_file(&root.join("d/key.pem"));
        directory
    };
    assert_eq!(list(&open(), "d").unwrap(), "a 4,inside 4,new\nline 4,sub/");
    assert_eq!(list(&open(), "").unwrap(), ".well-known/,d/");
    let denied = open().symlinks(Symlinks::Deny);
    assert_eq!(list(&denied, "d").unwrap(), "a 4,new\nline 4,sub/");
    let followed = open().symlinks(Symlinks::Follow);
    assert_eq!(list(&followed, "d").unwrap(), "a 4,inside 4,new\nline 4,outside 6,sub/");
    let open_to_all = open().dotfiles(true);
    assert_eq!(list(&open_to_all, "d").unwrap(), ".env 4,.git/,a 4,inside 4,new\nline 4,sub/");
    for nothing in ["d/a", "d/cache", "d/.git", "d/none", "d/a/b"] {
        assert_eq!(list(&open(), nothing), None, "{nothing}");
    }
}

#[test]
fn listing_of_more_than_10_000_entries_or_1_mib_of_names_is_cut() {
    run(async {
        let ends = |service, path: &'static str| async move {
            let answer = get(&service, path, &[]).await;
            let text = String::from_utf8(answer.bytes().to_vec()).unwrap();
            (text.split(',').filter(|line| *line != "…").count(), text.ends_with('…'))
        };
        let fill = |files: Memory, dir: &str, count: usize, len: usize| {
            (0..count).fold(files, |files, n| files.file(format!("{dir}/{n:0len$}"), ""))
        };
        let files = fill(Memory::new(), "full", 10_000, 5);
        let files = fill(files, "more", 10_001, 5);
        let files = fill(files, "long", 5000, 250);
        let service = with(files).build().unwrap();
        assert_eq!(ends(service.clone(), "/full/").await, (10_000, false));
        assert_eq!(ends(service.clone(), "/more/").await, (10_000, true));
        assert_eq!(ends(service, "/long/").await, ((1 << 20) / 250, true));
    });
}

/// A renderer that counts its calls, by form.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>, Arc<Mutex<Vec<u32>>>);

impl RenderListing for Counting {
    fn form(&self, query: Option<&str>, fields: &HeaderMap) -> u32 {
        u32::from(query == Some("b")) + 2 * u32::from(fields.contains_key("accept"))
    }

    fn render(&self, _: &SourcePath, listing: &Listing, form: u32) -> ListingPage {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.lock().unwrap().push(form);
        std::thread::sleep(Duration::from_millis(30));
        let text = format!("{form}: {}", listing.entries.len());
        ListingPage::new(text).header(header::VARY, HeaderValue::from_static("Accept"))
    }
}

/// Requests for one huge directory would otherwise take all threads that read.
#[test]
fn listing_is_made_once_for_many_requests() {
    run(async {
        let renderer = Counting::default();
        let builder = ServeCompressed::builder(site()).list(renderer.clone());
        let service = builder.revalidate(LONG).build().unwrap();
        let requests = (0..50).map(|_| {
            let service = service.clone();
            tokio::spawn(async move { get(&service, "/d/", &[]).await.bytes().to_vec() })
        });
        for request in requests.collect::<Vec<_>>() {
            assert_eq!(request.await.unwrap(), b"0: 4");
        }
        assert_eq!(renderer.0.load(Ordering::SeqCst), 1);
        let other = get(&service, "/d/?b", &[("accept", "x/y")]).await;
        assert_eq!(other.bytes(), b"3: 4");
        assert!(other.field("vary").contains("Accept"));
        let vary = other.headers.get_all("vary").iter().any(|vary| vary == "Accept");
        assert!(vary, "{:?}", other.headers);
        let known = [("if-none-match", other.field("etag")), ("accept", "x/y")];
        let known = get(&service, "/d/?b", &known).await;
        assert_eq!(known.status, 304);
        assert!(known.headers.get_all("vary").iter().any(|vary| vary == "Accept"));
        assert_eq!(*renderer.1.lock().unwrap(), [0, 3]);
    });
}

#[test]
fn new_file_is_listed_after_revalidate() {
    run(async {
        let temp = tempfile::tempdir().unwrap();
        let source = Directory::new(temp.path()).unwrap();
        let service = with(source).revalidate(Duration::ZERO).build().unwrap();
        assert_eq!(get(&service, "/", &[]).await.bytes(), b"/:");
        std::fs::write(temp.path().join("a"), "a").unwrap();
        let first = get(&service, "/", &[]).await;
        assert_eq!(first.bytes(), b"/:a 1");
        std::fs::remove_file(temp.path().join("a")).unwrap();
        let fields = [("if-none-match", first.field("etag"))];
        assert_eq!(get(&service, "/", &fields).await.bytes(), b"/:");
    });
}
