//! Programs with a cache each and one store, which is a directory.

mod admin;
mod faults;
mod keys;
mod replicas;
mod verify;

use cachecompress_test::server::command;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::*;

/// The Cache-Status of a representation that came from the store.
const IMPORTED: &str = "cachecompress; fwd=miss; stored; detail=tier";

/// The level at which the encode of [`LONG`] bytes takes so long that the store is asked before it begins.
const SLOW: &str = "--level br=7";
const LONG: usize = 8 << 20;

/// A site with one file, and an empty store.
struct Fleet {
    site: Site,
    source: Vec<u8>,
    store: TempDir,
}

impl Fleet {
    fn new() -> Self {
        let source = site::text(16, LONG);
        let site = Site::with("app.js", &source);
        Self { site, source, store: tempfile::tempdir().unwrap() }
    }

    /// A replica with an empty cache.
    fn replica(&self) -> Launch {
        launch(&self.site).args(SLOW).arg("--tier").arg(self.store.path())
    }

    fn request() -> Request {
        Request::get("/app.js").accept("br")
    }

    /// Has `server` encode the file, and waits until the store has it.
    #[track_caller]
    fn fill(&self, server: &Server) {
        assert_is(&server.fetch(&Self::request()), &self.source, "br");
        eventually("an upload", || (uploads(server, "stored") == 1.0).then_some(()));
    }

    /// Asks new replicas until one has the file from the store. On a busy machine the answer of the store
    /// may come too late for one.
    #[track_caller]
    fn until_imported(&self, replica: impl Fn() -> Launch) -> (Server, Response) {
        eventually("a replica that imports", || {
            let server = replica().start();
            let response = server.fetch(&Self::request());
            assert_is(&response, &self.source, "br");
            (response.cache_status() == IMPORTED).then_some((server, response))
        })
    }

    /// Asks new replicas until one has refused the object of the store.
    #[track_caller]
    fn until_refused(&self, replica: impl Fn() -> Launch) -> Server {
        eventually("a replica that refuses", || {
            let server = replica().start();
            let response = server.fetch(&Self::request());
            assert_is(&response, &self.source, "br");
            assert_ne!(response.cache_status(), IMPORTED);
            (requests(&server, "disproved") == 1.0).then_some(server)
        })
    }

    /// The files in the store.
    fn files(&self) -> Vec<PathBuf> {
        site::files_below(self.store.path())
    }

    /// The only object of the store.
    #[track_caller]
    fn object(&self) -> PathBuf {
        let below = self.store.path().join("v1/e");
        let objects = site::files_below(&below);
        let [object] = objects.as_slice() else { panic!("one object: {objects:?}") };
        object.clone()
    }
}

fn requests(server: &Server, outcome: &str) -> f64 {
    server.metric("cachecompress_tier_requests_total", &[("outcome", outcome)])
}

fn uploads(server: &Server, outcome: &str) -> f64 {
    server.metric("cachecompress_tier_uploads_total", &[("outcome", outcome)])
}

fn leases(server: &Server, outcome: &str) -> f64 {
    server.metric("cachecompress_tier_leases_total", &[("outcome", outcome)])
}
