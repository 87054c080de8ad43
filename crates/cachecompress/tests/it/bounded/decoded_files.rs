//! The memory of decoded files, whatever the number of their clients.

#![cfg(feature = "gzip")]

use std::io::Write as _;
use std::time::Duration;

use cachecompress::{Memory, ServeCompressed};
use cachecompress_test::service::{get, open, run};
use flate2::Compression;
use flate2::write::GzEncoder;

const LEN: usize = 15 << 20;

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
            let response = open(&service, &path(number), &[]).await;
            assert_eq!(response.status(), 200, "{number}");
            responses.push(response);
        }
        // More than 64 MiB go out.
        let refused = get(&service, &path(5), &[]).await;
        assert_eq!((refused.status.as_u16(), refused.field("retry-after")), (503, "1"));
        for number in 0..5 {
            let answer = get(&service, &path(number), &[]).await;
            assert_eq!((answer.status.as_u16(), answer.bytes().len()), (200, LEN), "{number}");
        }
        drop(responses);
        assert_eq!(get(&service, &path(5), &[]).await.bytes().len(), LEN);
    });
}
