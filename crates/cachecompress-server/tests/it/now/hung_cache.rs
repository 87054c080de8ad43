//! A cache on a real file system that hangs, which costs no more than the compression.

#![cfg(all(target_os = "linux", not(cachecompress_portable)))]

use std::net::TcpStream;

use cachecompress_test::mount::{HangingMount, Kind};
use rustix::process::Signal;

use crate::common::*;

/// Files whose stored bytes go out from memory, by reads, and by `sendfile`.
fn some_files() -> (Site, Vec<(&'static str, Vec<u8>)>) {
    let files = vec![
        ("small.js", site::text(1, 20_000)),
        ("middle.css", site::text(2, 400_000)),
        ("large.json", site::text(3, 2_000_000)),
        ("noise.bin", site::random(4, 200_000)),
    ];
    let site = Site::new();
    for (name, bytes) in &files {
        site.write(name, bytes);
    }
    (site, files)
}

fn launch_on(site: &Site, mount: &HangingMount) -> Launch {
    Launch::new(PROGRAM, site.path()).cache(&mount.path().join("cache"))
}

/// Asserts that each file is served, over both protocols, with the reason for identity.
fn assert_serves(server: &Server, files: &[(&str, Vec<u8>)]) {
    for (name, source) in files {
        for accept in ["gzip", "br", "identity"] {
            for protocol in Protocol::ALL {
                let request = Request::get(&format!("/{name}")).accept(accept);
                let response = server.fetch_over(protocol, &request);
                assert_eq!(response.status(), 200, "{:?}", response.head);
                assert!(response.decoded() == *source, "{:?}", response.head);
            }
        }
    }
    assert_eq!(server.fetch(&Request::get("/missing")).status(), 404);
}

fn is_available(server: &Server) -> bool {
    server.metric("cachecompress_cache_available", &[]) > 0.5
}

/// One request after the disk hung, every serving thread waited for an `fstat`, and nothing was
/// answered any more.
#[test]
fn cache_that_hangs_is_out_of_use_until_it_answers() {
    for mount in Kind::ALL.into_iter().filter_map(HangingMount::new) {
        let (site, files) = some_files();
        let server = launch_on(&site, &mount).args("--threads 1").start();
        server.until_hit(&Request::get("/small.js").accept("gzip"));
        server.until_idle();
        {
            let _hang = mount.hang();
            eventually("the breaker opens", || {
                // The files are asked for in codings that they are not stored in.
                assert_serves(&server, &files[..1]);
                let _ = server.get("/middle.css", "zstd");
                (!is_available(&server)).then_some(())
            });
            for _ in 0..3 {
                assert_serves(&server, &files);
            }
            let cold = server.get("/large.json", "gzip");
            assert_eq!(cold.header("cache-status"), Some("cachecompress; fwd=bypass; detail=disk"));
            assert!(server.stderr().contains("does not answer"), "{}", server.stderr());
        }
        server.until_hit(&Request::get("/large.json").accept("gzip"));
        assert!(is_available(&server));
        assert_serves(&server, &files);
    }
}

/// Nothing was accepted before the cache's directory had answered.
#[test]
fn server_starts_when_its_cache_hangs() {
    for mount in Kind::ALL.into_iter().filter_map(HangingMount::new) {
        let (site, files) = some_files();
        let server;
        {
            let _hang = mount.hang();
            server = launch_on(&site, &mount).start();
            assert_serves(&server, &files);
            assert!(!is_available(&server));
        }
        server.until_hit(&Request::get("/large.json").accept("gzip"));
        assert!(is_available(&server));
    }
}

/// The end waited for the disk. A thread in the kernel cannot be ended, but all else can.
#[test]
fn sigterm_closes_all_sockets_when_the_cache_hangs() {
    for mount in Kind::ALL.into_iter().filter_map(HangingMount::new) {
        let (site, _) = some_files();
        let mut server = launch_on(&site, &mount).start();
        server.until_hit(&Request::get("/small.js").accept("gzip"));
        server.until_idle();
        {
            let _hang = mount.hang();
            let mut idle = TcpStream::connect(server.address()).unwrap();
            assert_eq!(server.get("/middle.css", "gzip").status(), 200);
            server.signal(Signal::TERM);
            eventually("both listeners are closed", || {
                let addresses = [server.address(), server.admin()];
                let is_closed = |address| TcpStream::connect(address).is_err();
                addresses.into_iter().all(is_closed).then_some(())
            });
            assert_eq!(std::io::Read::read(&mut idle, &mut [0]).unwrap(), 0, "it is closed");
            let line = eventually("a line names the call", || {
                let stderr = server.stderr();
                let line = stderr.lines().find(|line| line.contains("has not returned"));
                line.map(str::to_owned)
            });
            assert!(line.contains("call=") && line.contains("cache/v1"), "{line}");
        }
        assert!(server.wait().success(), "{}", server.stderr());
    }
}
