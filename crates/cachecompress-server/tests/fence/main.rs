//! A fence around what a warm request costs the shipped program: system calls, and instructions.
//!
//! Both are counted, not timed, so a busy machine changes neither. `table.txt` has the figures;
//! `cargo xtask fence` builds the program and holds it against them, and with `--update` writes
//! them anew. A request that has become cheaper fails as well, or the fence would stand too far
//! out to keep the next one in.
//!
//! The figures are those of one architecture's instructions and system calls, and so is this.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod instructions;
mod table;

use cachecompress_test::tools::{release, require};
use common::{
    Connection, Duration, Launch, PATIENT, Path, Request, Server, Site, eventually, site,
};
use table::{Cost, Table};

/// What the requests of all kinds have in common with a browser's.
const ACCEPT: &str = "gzip, deflate, br, zstd";
/// A request that is fenced in.
struct Kind {
    name: &'static str,
    request: Request,
    status: u16,
    /// Whether the client's speed has a part in the number of instructions: a socket that is full has
    /// to be waited for. Only its system calls are counted then, at their fewest.
    paced: bool,
    /// Whether another thread has a part in the answer: who then waits for whom, and how often, is
    /// a matter of luck, within bounds.
    shared: bool,
}

/// A site, and a cache that has all of it, filled by the very program under test: none encodes
/// while it is watched.
struct Stage {
    site: Site,
    cache: tempfile::TempDir,
    program: std::path::PathBuf,
    kinds: Vec<Kind>,
}

impl Stage {
    fn set(program: &Path) -> Self {
        let site = Site::new();
        // 1.4 KB, which comes from memory, and 400 KB, which goes by `sendfile`; both coded.
        site.write("small.js", &site::text(1, 3_900));
        site.write("large.js", &site::text(2, 1_400_000));
        let cache = tempfile::tempdir().unwrap();
        let mut server = launch(program, &site, cache.path()).start();
        let small = server.until_hit(&Request::get("/small.js").accept(ACCEPT));
        let large = server.until_hit(&Request::get("/large.js").accept(ACCEPT));
        assert!((1_200..1_600).contains(&small.body.len()), "{} bytes", small.body.len());
        assert!((350_000..500_000).contains(&large.body.len()), "{} bytes", large.body.len());
        let tag = small.etag().to_owned();
        server.until_idle();
        server.stop();
        Self { site, cache, program: program.into(), kinds: kinds(&tag) }
    }

    /// How the program is started to be watched.
    fn launch(&self) -> Launch {
        launch(&self.program, &self.site, self.cache.path())
    }
}

fn launch(program: &Path, site: &Site, cache: &Path) -> Launch {
    // Files are not looked at again while something is counted: that is another thread's work, once
    // a second, and no request's.
    Launch::new(program, site.path()).cache(cache).args(PATIENT).args("--threads 1 --revalidate 1h")
}

fn kinds(tag: &str) -> Vec<Kind> {
    let small = || Request::get("/small.js").accept(ACCEPT);
    let kind = |name, request, status| Kind { name, request, status, paced: false, shared: false };
    vec![
        kind("small", small(), 200),
        Kind { paced: true, ..kind("large", Request::get("/large.js").accept(ACCEPT), 200) },
        kind("not-modified", small().header("if-none-match", tag), 304),
        // What follows is negotiated and put together each time.
        kind("head", small().method("HEAD"), 200),
        kind("range", small().range("bytes=100-299"), 206),
        Kind { shared: true, ..kind("not-found", Request::get("/nothing.js").accept(ACCEPT), 404) },
    ]
}

/// One connection on which requests of one kind are made, one after the other.
struct Asker<'a> {
    kind: &'a Kind,
    connection: Connection,
    asked: usize,
}

impl Asker<'_> {
    fn ask(&mut self, count: usize) {
        for _ in 0..count {
            self.asked += 1;
            let mut request = self.kind.request.clone();
            if self.kind.shared {
                // Each path is looked up once; the look-up of a moment ago may not do for two.
                request.target = format!("{}-{:06}", request.target, self.asked);
            }
            self.connection.send(&request).unwrap();
            let response = self.connection.receive(&request.method).unwrap();
            assert_eq!(response.status(), self.kind.status, "{}", self.kind.name);
            assert!(response.is_clean(), "{}: {:?}", self.kind.name, response.end);
        }
    }
}

/// Asks a server that has warmed up for requests of this kind.
fn warm<'a>(server: &Server, kind: &'a Kind) -> Asker<'a> {
    // Its files are hashed first, and its entries opened.
    eventually(Duration::from_secs(60), kind.name, || {
        let response = server.fetch(&kind.request);
        let hit = response.is_hit() || kind.status >= 300;
        (response.status() == kind.status && hit).then_some(())
    });
    let connection = Connection::open(server.address()).unwrap();
    let mut asker = Asker { kind, connection, asked: 0 };
    asker.ask(30);
    asker
}

#[test]
fn no_request_costs_more_than_the_table_says() {
    let (Some(program), Some(strace), Some(valgrind)) =
        (release(), require("strace"), require("valgrind"))
    else {
        return;
    };
    let stage = Stage::set(&program);
    let calls = calls::count(&stage, &strace);
    let instructions = instructions::count(&stage, &valgrind);
    let costs = stage.kinds.iter().zip(calls.into_iter().zip(instructions));
    let found = Table::new(costs.map(|(kind, (calls, instructions))| {
        (kind.name.to_owned(), Cost { instructions, rough: kind.shared, calls })
    }));
    println!("{found}");
    if std::env::var_os("CACHECOMPRESS_TEST_FENCE_UPDATE").is_some() {
        found.write();
        return;
    }
    let complaints = found.held_against(&Table::read());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
