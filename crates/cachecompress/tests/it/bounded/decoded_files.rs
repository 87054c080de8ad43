//! The memory of decoded files, whatever the number of their clients.

#![cfg(feature = "gzip")]

use std::io::Write as _;
use std::time::Duration;

use cachecompress::{Body, Cache, Memory, ServeCompressed};
use cachecompress_test::service::{LONG, get, get_as, open, read, run};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Response;

const LEN: usize = 15 << 20;

/// Asks for a file that has room. A busy machine may take longer to decode it than a request waits, and
/// goes on meanwhile.
async fn open_decoded(service: &ServeCompressed, path: &str) -> Response<Body> {
    for _ in 0..20 {
        let response = open(service, path, &[]).await;
        if response.status() != 503 {
            return response;
        }
    }
    panic!("{path} is 503");
}

/// Returns the length of a file that has room.
async fn decoded_len(service: &ServeCompressed, path: &str) -> usize {
    read(open_decoded(service, path).await).await.bytes().len()
}

/// Every response to a slow client held a decoded copy of its own: 60 connections took 700 MB.
#[test]
fn slow_clients_of_decoded_files_share_their_bytes() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&vec![b' '; LEN]).unwrap();
    let gzip = gzip.finish().unwrap();
    let path = |number: usize| format!("/{number}.svgz");
    let source = (0..6).fold(Memory::new(), |source, number| {
        source.file(path(number).trim_start_matches('/'), gzip.clone())
    });
    let service = ServeCompressed::builder(source).revalidate(Duration::ZERO).build().unwrap();
    run(async {
        let mut responses = Vec::new();
        // More than 32 MiB, so that not all of them are kept.
        for number in (0..10).flat_map(|_| 0..3).chain(3..5) {
            let response = open_decoded(&service, &path(number)).await;
            assert_eq!(response.status(), 200, "{number}");
            responses.push(response);
        }
        // More than 64 MiB go out.
        let refused = get(&service, &path(5), &[]).await;
        assert_eq!((refused.status.as_u16(), refused.field("retry-after")), (503, "1"));
        for number in 0..5 {
            assert_eq!(decoded_len(&service, &path(number)).await, LEN, "{number}");
        }
        drop(responses);
        assert_eq!(decoded_len(&service, &path(5)).await, LEN);
    });
}

/// Clients that accept the coding need no decoded bytes, and had 503 like the others.
#[test]
fn coded_file_goes_out_as_stored_while_decoded_ones_take_all_room() {
    const LEN: usize = 24 << 20;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&vec![b' '; LEN]).unwrap();
    let gzip = gzip.finish().unwrap();
    let source = (0..12).fold(Memory::new(), |source, number| {
        source.file(format!("{number}.wasm.gz"), gzip.clone())
    });
    let builder = ServeCompressed::builder(source).revalidate(Duration::ZERO).patience(LONG);
    // The cache takes a file of up to a quarter of its bound.
    let builder = builder.encoded_names(true).cache(Cache::in_memory(1 << 30));
    let service = builder.build().unwrap();
    run(async {
        let mut responses = Vec::new();
        for number in 0..11 {
            let response = open_decoded(&service, &format!("/{number}.wasm")).await;
            assert_eq!(response.status(), 200, "{number}");
            responses.push(response);
        }
        // More than 256 MiB go out.
        for path in ["/11.wasm", "/11.wasm.gz"] {
            let coded = get_as(&service, path, "br, gzip").await;
            assert_eq!((coded.status.as_u16(), coded.coding()), (200, "gzip"), "{path}");
            assert!(coded.bytes() == gzip, "{path}");
            assert_eq!(coded.field("content-type"), "application/wasm", "{path}");
            assert_eq!(coded.field("vary"), "Accept-Encoding", "{path}");
            for accept in ["", "br"] {
                let refused = get_as(&service, path, accept).await;
                let shown = (refused.status.as_u16(), refused.field("retry-after"));
                assert_eq!(shown, (503, "1"), "{path}");
                assert_eq!(refused.field("vary"), "Accept-Encoding", "{path}");
            }
        }
        drop(responses);
        for path in ["/11.wasm", "/11.wasm.gz"] {
            assert_eq!(decoded_len(&service, path).await, LEN);
            let coded = get_as(&service, path, "gzip").await;
            assert_eq!((coded.coding(), coded.bytes() == gzip), ("gzip", true));
        }
    });
}
