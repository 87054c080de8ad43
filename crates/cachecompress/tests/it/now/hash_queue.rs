//! Files whose hashes wait for a thread.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::Arc;
use std::time::Duration;

use cachecompress::source::Found;
use cachecompress::{Error, ServeCompressed, Source, SourcePath};
use cachecompress_test::gate::Gate;
use cachecompress_test::made::MadeFile;
use cachecompress_test::service::{Answer, LONG, get, get_as, head, read, request, run};
use cachecompress_test::wait::until;
use tokio::task::JoinHandle;

const SHORT: Duration = Duration::from_millis(30);
const LARGE: u64 = 250 << 20;
const MEDIUM: u64 = 2 << 20;

/// Large files whose first byte a gate holds, and a shorter file `a.txt`.
#[derive(Debug)]
struct Files {
    large: Vec<Arc<MadeFile>>,
    medium: Arc<MadeFile>,
}

impl Files {
    fn new(large: u64, gate: &Arc<Gate>) -> Arc<Self> {
        let held = |at| MadeFile::repeated(b'a', LARGE).inode(at).held(Some(Arc::clone(gate)));
        Arc::new(Self {
            large: (0..large).map(|at| Arc::new(held(at + 2))).collect(),
            medium: Arc::new(MadeFile::repeated(b'b', MEDIUM)),
        })
    }

    fn large_bytes_read(&self) -> u64 {
        self.large.iter().map(|file| file.bytes_read()).sum()
    }
}

impl Source for Files {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        let name = path.to_string_lossy();
        let file = match name.parse::<usize>() {
            Ok(at) => &self.large[at],
            Err(_) => &self.medium,
        };
        Ok(Found::File(file.source()))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

fn service(files: &Arc<Files>, patience: Duration) -> ServeCompressed {
    let builder = ServeCompressed::builder(Arc::clone(files)).patience(patience);
    builder.revalidate(Duration::ZERO).build().unwrap()
}

/// Asks for the hash of a large file, on a task of its own.
fn ask(service: &ServeCompressed, at: u64) -> JoinHandle<Answer> {
    let service = service.clone();
    tokio::spawn(async move { head(&service, &format!("/{at}"), &[]).await })
}

/// 23 requests of a client that left had 5.7 GB hashed before any other file over 1 MiB.
#[test]
fn hashes_that_nobody_waits_for_are_given_up() {
    run(async {
        let gate = Gate::new();
        let files = Files::new(23, &gate);
        let service = service(&files, LONG);
        let leaving: Vec<_> = (0..23).map(|at| ask(&service, at)).collect();
        until(|| gate.arrived() > 0).await;
        tokio::time::sleep(SHORT).await;
        for leaving in leaving {
            leaving.abort();
            assert!(leaving.await.is_err());
        }
        gate.open_wide();
        let other = get(&service, "/a.txt", &[]).await;
        assert!(!other.field("etag").is_empty());
        let read = files.large_bytes_read();
        assert!(read < LARGE / 10, "{read} bytes were read for nobody");
        // Spare threads begin further ones if the clients stay for a second, up to a device's share.
        assert!(gate.arrived() <= 4, "{} hashes began", gate.arrived());
    });
}

#[test]
fn hash_goes_on_while_one_of_its_clients_stays() {
    run(async {
        let gate = Gate::new();
        let files = Files::new(1, &gate);
        let service = service(&files, LONG);
        let (leaving, staying) = (ask(&service, 0), ask(&service, 0));
        until(|| gate.arrived() > 0).await;
        tokio::time::sleep(SHORT).await;
        leaving.abort();
        assert!(leaving.await.is_err());
        gate.open_wide();
        let staying = staying.await.unwrap();
        assert_eq!((staying.status.as_u16(), staying.field("etag").is_empty()), (200, false));
        assert_eq!(files.large_bytes_read(), LARGE, "hashed once");
    });
}

/// A file behind a long hash was not answered before that had ended.
#[test]
fn file_goes_out_without_a_tag_when_its_hash_does_not_begin_within_patience() {
    run(async {
        let gate = Gate::new();
        let files = Files::new(1, &gate);
        let service = service(&files, SHORT);
        let first = ask(&service, 0);
        until(|| gate.arrived() > 0).await;
        let answer = get_as(&service, "/a.txt", "gzip").await;
        assert_eq!((answer.status.as_u16(), answer.cache()), (200, "unhashed"));
        assert_eq!((answer.field("etag"), answer.coding()), ("", ""));
        assert_ne!(answer.field("last-modified"), "");
        assert!(answer.bytes() == vec![b'b'; 2 << 20]);
        let refuses = ("/b.txt", ("accept-encoding", "gzip, identity;q=0"));
        let waiting: Vec<_> = [refuses, ("/c.txt", ("if-match", "\"a\""))]
            .map(|(path, field)| {
                let service = service.clone();
                tokio::spawn(async move { get(&service, path, &[field]).await })
            })
            .into();
        tokio::time::sleep(SHORT * 3).await;
        assert!(!waiting.iter().any(JoinHandle::is_finished));
        assert!(!first.is_finished(), "a hash that has begun is waited for");
        gate.open_wide();
        assert_ne!(first.await.unwrap().field("etag"), "");
        let mut statuses = Vec::new();
        for waiting in waiting {
            statuses.push(waiting.await.unwrap().status.as_u16());
        }
        assert_eq!(statuses, [200, 412]);
    });
}

/// The hash of a file that went out without it is not given up.
#[test]
fn hash_is_made_in_the_background_when_its_client_did_not_wait() {
    run(async {
        let gate = Gate::new();
        let files = Files::new(1, &gate);
        let service = service(&files, SHORT);
        let _first = ask(&service, 0);
        until(|| gate.arrived() > 0).await;
        assert_eq!(
            head(&service, "/a.txt", &[("accept-encoding", "gzip")]).await.cache(),
            "unhashed"
        );
        until(|| files.medium.bytes_read() >= MEDIUM).await;
        assert!(files.large_bytes_read() == 0, "the other hash still waits");
        gate.open_wide();
    });
}

#[test]
fn brought_file_goes_out_without_a_tag_when_its_hash_does_not_begin_within_patience() {
    run(async {
        let gate = Gate::new();
        let files = Files::new(1, &gate);
        let service = service(&files, SHORT);
        let _first = ask(&service, 0);
        until(|| gate.arrived() > 0).await;
        let (parts, ()) = request("GET", "/", &[]).into_parts();
        let answer = read(service.serve_source("b.txt", files.medium.source(), &parts).await).await;
        assert_eq!((answer.status.as_u16(), answer.field("etag")), (200, ""));
        assert!(answer.bytes() == vec![b'b'; 2 << 20]);
        gate.open_wide();
    });
}
