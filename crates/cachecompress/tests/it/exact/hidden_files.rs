//! Files that are never served, whatever leads to them.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "the tests change files as an operator would")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cachecompress::source::Overlay;
use cachecompress::{Builder, Directory, Memory, ServeCompressed, Source, Symlinks};
use cachecompress_test::service::{get, run};
use tempfile::TempDir;

const SECRET: &str = "token = \"hunter2\"\n";

fn service(root: &Path, hidden: &[&Path]) -> ServeCompressed {
    let source = Directory::new(root).unwrap().symlinks(Symlinks::Follow);
    let builder = ServeCompressed::builder(source).revalidate(Duration::ZERO);
    hidden.iter().fold(builder, Builder::hide_file).build().unwrap()
}

/// A directory with a site, a file that is hidden, and names of the latter in the site.
fn outer() -> TempDir {
    let outer = tempfile::tempdir().unwrap();
    let (site, secret) = (outer.path().join("site"), outer.path().join("etc/server.toml"));
    fs::create_dir_all(outer.path().join("etc")).unwrap();
    fs::create_dir_all(site.join("dir")).unwrap();
    fs::write(&secret, SECRET).unwrap();
    fs::write(site.join("a.txt"), "a").unwrap();
    symlink(&secret, site.join("link.toml")).unwrap();
    symlink(outer.path().join("etc"), site.join("dir/etc")).unwrap();
    fs::hard_link(&secret, site.join("hard.toml")).unwrap();
    outer
}

/// The statuses of the names of [`outer`].
async fn statuses(service: &ServeCompressed) -> Vec<u16> {
    let mut statuses = Vec::new();
    for path in ["/link.toml", "/dir/etc/server.toml", "/hard.toml", "/a.txt"] {
        statuses.push(get(service, path, &[]).await.status.as_u16());
    }
    statuses
}

#[test]
fn hidden_file_is_found_by_none_of_its_names() {
    run(async {
        let outer = outer();
        let (site, etc) = (outer.path().join("site"), outer.path().join("etc"));
        let open = service(&site, &[]);
        assert_eq!(statuses(&open).await, [200, 200, 200, 200]);
        let named = outer.path().join("site/../etc/server.toml");
        let served_itself = service(&etc, &[&etc.join("server.toml")]);
        assert_eq!(get(&served_itself, "/server.toml", &[]).await.status, 404);
        for hidden in [etc.join("server.toml"), named] {
            let service = service(&site, &[&etc.join("missing.toml"), &hidden]);
            for _ in 0..3 {
                assert_eq!(statuses(&service).await, [404, 404, 404, 200], "{hidden:?}");
            }
            assert_eq!(service.paths().unwrap(), ["a.txt".parse().unwrap()], "nor is it warmed");
        }
    });
}

#[test]
fn hidden_file_that_is_replaced_hides_what_takes_its_place() {
    run(async {
        let outer = outer();
        let (site, secret) = (outer.path().join("site"), outer.path().join("etc/server.toml"));
        let service = service(&site, &[&secret]);
        assert_eq!(statuses(&service).await, [404, 404, 404, 200]);
        for time in 0..10 {
            // As editors do it. The hard link keeps the earlier file, whose state it changes.
            let next = outer.path().join("etc/next");
            fs::write(&next, format!("{SECRET}{time}")).unwrap();
            fs::rename(&next, &secret).unwrap();
            let found = statuses(&service).await;
            assert_eq!((found[0], found[1], found[3]), (404, 404, 200), "{time}");
            fs::remove_file(site.join("hard.toml")).unwrap();
            fs::hard_link(&secret, site.join("hard.toml")).unwrap();
            assert_eq!(statuses(&service).await, [404, 404, 404, 200], "{time}");
        }
    });
}

/// Kubernetes and certbot change a symlink on the way to the file.
#[test]
fn hidden_file_behind_a_symlink_that_is_turned_stays_hidden() {
    run(async {
        let outer = tempfile::tempdir().unwrap();
        let at = |name: &str| outer.path().join(name);
        fs::create_dir(at("site")).unwrap();
        let write = |generation| {
            fs::create_dir(at(&format!("{generation}"))).unwrap();
            fs::write(at(&format!("{generation}/key.pem")), format!("{generation}")).unwrap();
        };
        write(0);
        symlink("0", at("data")).unwrap();
        symlink(at("data/key.pem"), at("site/key.pem")).unwrap();
        let service = service(&at("site"), &[&at("data/key.pem")]);
        for generation in 1..5 {
            assert_eq!(get(&service, "/key.pem", &[]).await.status, 404, "{generation}");
            write(generation);
            symlink(format!("{generation}"), at("next")).unwrap();
            fs::rename(at("next"), at("data")).unwrap();
        }
    });
}

/// A build step that compresses every file leaves the configuration beside itself, in a coding.
#[test]
fn hidden_file_hides_its_coded_copies() {
    run(async {
        let outer = outer();
        let (site, etc) = (outer.path().join("site"), outer.path().join("etc"));
        for name in ["server.toml.br", "server.toml.ZST", "server.toml.gz", "server.toml.txt"] {
            fs::write(etc.join(name), SECRET).unwrap();
        }
        fs::write(site.join("hard.toml.gz"), SECRET).unwrap();
        symlink(&etc, outer.path().join("linked")).unwrap();
        let hidden = etc.join("server.toml");
        let on = |root: &Path| {
            let source = Directory::new(root).unwrap().symlinks(Symlinks::Follow);
            let builder = ServeCompressed::builder(source).revalidate(Duration::ZERO);
            builder.encoded_names(true).hide_file(&hidden).build().unwrap()
        };
        let found = async |service: &ServeCompressed, path: &str| {
            let answers = [get(service, path, &[]).await, get(service, path, &[]).await];
            answers.map(|answer| answer.status.as_u16())
        };
        for root in [etc.clone(), outer.path().join("linked")] {
            let services = [service(&root, &[&hidden]), on(&root)];
            for service in &services {
                for end in ["", ".br", ".ZST", ".gz"] {
                    let path = format!("/server.toml{end}");
                    assert_eq!(found(service, &path).await, [404, 404], "{path}");
                }
                assert_eq!(found(service, "/server.toml.txt").await, [200, 200]);
            }
        }
        let service = on(&site);
        for path in ["/hard.toml", "/hard.toml.gz", "/dir/etc/server.toml.br"] {
            assert_eq!(found(&service, path).await, [404, 404], "{path}");
        }
        // A copy stays hidden by its name if it is all that is left.
        fs::remove_file(&hidden).unwrap();
        for path in ["/server.toml", "/server.toml.br", "/server.toml.ZST"] {
            assert_eq!(found(&on(&etc), path).await, [404, 404], "{path}");
        }
    });
}

/// A file system gives the number of a removed file to the next one.
#[test]
fn new_file_with_the_number_of_a_hidden_one_is_served() {
    run(async {
        let outer = tempfile::tempdir().unwrap();
        let at = |name: &str| outer.path().join(name);
        fs::write(at("server.toml"), SECRET).unwrap();
        let service = service(outer.path(), &[&at("server.toml")]);
        for n in 0..50 {
            assert_eq!(get(&service, "/server.toml", &[]).await.status, 404);
            fs::write(at("next"), SECRET).unwrap();
            fs::rename(at("next"), at("server.toml")).unwrap();
            let page = format!("{n}.txt");
            fs::write(at(&page), SECRET).unwrap();
            assert_eq!(get(&service, &format!("/{page}"), &[]).await.status, 200, "{n}");
        }
        fs::remove_file(at("server.toml")).unwrap();
        assert_eq!(get(&service, "/server.toml", &[]).await.status, 404);
    });
}

#[test]
fn file_in_a_layer_of_an_overlay_is_hidden() {
    run(async {
        let outer = outer();
        let directory = Directory::new(outer.path().join("site")).unwrap();
        let source: Arc<dyn Source> =
            Arc::new(Overlay::new().layer(Memory::new()).layer(directory));
        let builder = ServeCompressed::builder(source);
        let service = builder.hide_file(outer.path().join("etc/server.toml")).build().unwrap();
        assert_eq!(get(&service, "/hard.toml", &[]).await.status, 404);
        assert_eq!(get(&service, "/a.txt", &[]).await.status, 200);
    });
}
