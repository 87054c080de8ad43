//! `warm`: encodes ahead of any request.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use cachecompress::codec::PIECE;
use cachecompress::{ContentCoding, Preference};
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{encodes, get_as, run};
use cachecompress_test::site::{hex, random};

use crate::fixture::stored::{borrowed, in_memory};

#[test]
fn warm_fills_the_cache_and_tells_about_it() {
    run(async {
        let text = hex(20_000, 15);
        let dull = random(16, 3 * PIECE);
        let files: [(&str, &[u8]); 4] =
            [("a.txt", &text), ("b.bin", &dull), ("c.png", &text), ("d.txt", b"short")];
        let list = Preference::List(vec![ContentCoding::GZIP, coding()]);
        let service = in_memory(&Pack::new(), &files).preference(list).build().unwrap();
        let mut seen = Vec::new();
        let summary = service
            .warm(service.paths().unwrap(), |warmed| {
                let path = warmed.path.to_string_lossy().into_owned();
                seen.push((path, warmed.coding.to_string(), warmed.source_len, warmed.encoded_len));
            })
            .await;
        assert_eq!((summary.stored, summary.unprofitable, summary.failed), (2, 2, 0), "{seen:?}");
        assert_eq!(seen.len(), 4, "{seen:?}");
        let dull = |(path, _, _, len): &&(String, String, u64, Option<u64>)| {
            path == "b.bin" && len.is_none()
        };
        assert_eq!(seen.iter().filter(dull).count(), 2, "{seen:?}");
        for name in ["gzip", "x-pack"] {
            let hit = get_as(&service, "/a.txt", name).await;
            assert_eq!(hit.cache(), "hit");
            assert!(seen.contains(&(
                "a.txt".to_owned(),
                name.to_owned(),
                20_000,
                Some(hit.bytes().len() as u64)
            )));
        }
        let missing = cachecompress::SourcePath::parse(b"gone.txt").unwrap();
        let summary = service.warm([missing], |_| panic!("nothing was done")).await;
        assert_eq!(summary.failed, 1);
        let encodes_before = encodes(&service, "*");
        service.warm(service.paths().unwrap(), |_| {}).await;
        assert_eq!(encodes(&service, "*"), encodes_before, "a second time costs nothing");
    });
}

#[test]
fn warm_ends_whatever_the_length_of_the_queue() {
    run(async {
        let files: Vec<_> = (0..24).map(|n| (format!("{n}.txt"), hex(20_000, n))).collect();
        let list = borrowed(&files);
        let list_of_one = Preference::List(vec![coding()]);
        let service = in_memory(&Pack::new(), &list).queue(2).preference(list_of_one);
        let service = service.build().unwrap();
        let summary = service.warm(service.paths().unwrap(), |_| {}).await;
        assert_eq!((summary.stored, summary.failed), (24, 0));
    });
}

#[test]
fn warm_counts_unprofitable_encodes_apart_from_stored_ones() {
    run(async {
        let source = random(17, 20_000);
        let list = Preference::List(vec![coding()]);
        let service = in_memory(&Pack::new(), &[("a.bin", &source)]).preference(list);
        let service = service.build().unwrap();
        let summary = service.warm(service.paths().unwrap(), |_| {}).await;
        assert_eq!((summary.stored, summary.unprofitable, summary.failed), (0, 1, 0));
    });
}
