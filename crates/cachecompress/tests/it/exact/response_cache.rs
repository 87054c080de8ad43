//! Two services over one site give the same responses, though only one remembers them.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "edits files as people do")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use cachecompress::{CleanUrls, Directory, Metrics, ServeCompressed};
use cachecompress_test::service::{Answer, LONG, read, request, run, send, settled};
use cachecompress_test::site::{hex, random};
use proptest::prelude::*;
use proptest::sample::select;
use tempfile::TempDir;

const FILES: [&str; 8] = [
    "a.txt",
    "b.txt",
    "long.css",
    "picture.png",
    "docs/index.htm",
    "docs/index.html",
    "page.html",
    "page",
];
const PATHS: [&str; 10] = [
    "/a.txt",
    "/a.txt?v=2",
    "/b.txt",
    "/long.css",
    "/picture.png",
    "/docs/",
    "/docs",
    "/page",
    "/page.html",
    "/users/7",
];
const ACCEPTS: [Option<&str>; 7] = [
    None,
    Some("gzip"),
    Some("br, gzip;q=0.5"),
    Some("zstd, *;q=0.1"),
    Some("identity;q=0, deflate"),
    Some("*;q=0"),
    Some("GZIP;q=1.000, , x-other"),
];
/// A time so short that a story of many edits takes little. Answers are kept for half of it.
const REVALIDATE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
enum Step {
    /// A request, repeated so that later answers may come from memory.
    Ask(Ask, usize),
    /// A change after which no request is sent until it must show.
    Write(&'static str, u64, usize),
    Remove(&'static str),
}

#[derive(Clone, Debug)]
struct Ask {
    method: &'static str,
    path: &'static str,
    accept: Option<&'static str>,
    condition: Condition,
    other: Option<(&'static str, &'static str)>,
}

/// A condition, with the number of answers since the one that its tag is of.
#[derive(Clone, Debug)]
enum Condition {
    None,
    Tag(usize),
    Weak(usize),
    Any,
    /// A tag with a date beside it, which does not count.
    Dated(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let condition = prop_oneof![
        4 => Just(Condition::None),
        3 => (0..3_usize).prop_map(Condition::Tag),
        1 => (0..3_usize).prop_map(Condition::Weak),
        1 => Just(Condition::Any),
        1 => (0..3_usize).prop_map(Condition::Dated),
    ];
    let other = prop_oneof![
        6 => Just(None),
        1 => Just(Some(("accept", "text/html"))),
        1 => Just(Some(("range", "bytes=5-99"))),
        1 => Just(Some(("if-modified-since", "Fri, 01 Jan 2038 00:00:00 GMT"))),
    ];
    let method = prop_oneof![8 => Just("GET"), 1 => Just("HEAD")];
    let ask = (method, select(&PATHS[..]), select(&ACCEPTS[..]), condition, other).prop_map(
        |(method, path, accept, condition, other)| Ask { method, path, accept, condition, other },
    );
    prop_oneof![
        20 => (ask, 1..4_usize).prop_map(|(ask, times)| Step::Ask(ask, times)),
        1 => (select(&FILES[..]), 0..4_u64, select(vec![50, 3000, 90_000]))
            .prop_map(|(file, seed, len)| Step::Write(file, seed, len)),
        1 => select(&FILES[..]).prop_map(Step::Remove),
    ]
}

/// A site and its two services, the first of which keeps answers.
struct World {
    dir: TempDir,
    services: [ServeCompressed; 2],
    tags: Vec<String>,
    /// The number of writes so far.
    writes: u64,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("docs")).unwrap();
        let services = [None, Some(0)].map(|memory| {
            let mut builder = ServeCompressed::builder(Directory::new(dir.path()).unwrap())
                .revalidate(REVALIDATE)
                .patience(LONG)
                .index(["index.html", "index.htm"])
                .clean_urls(CleanUrls::Serve)
                .spa(true);
            if let Some(memory) = memory {
                builder = builder.memory_cache(memory);
            }
            builder.build().unwrap()
        });
        let mut world = Self { dir, services, tags: Vec::new(), writes: 0 };
        for (seed, file) in FILES.into_iter().enumerate() {
            let bytes =
                if file == "picture.png" { random(1, 5000) } else { hex(3000, seed as u64) };
            world.write(file, &bytes);
        }
        world.write("long.css", &hex(200_000, 1));
        world
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the file under a date of its own. With the present time as its date it would depend on
    /// the second in which each service notices it.
    fn write(&mut self, file: &str, bytes: &[u8]) {
        let new = self.file("new");
        fs::write(&new, bytes).unwrap();
        self.writes += 1;
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + self.writes);
        fs::File::options().append(true).open(&new).unwrap().set_modified(date).unwrap();
        fs::rename(new, self.file(file)).unwrap();
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Ask(ask, times) => {
                for _ in 0..*times {
                    self.ask(ask).await;
                }
            }
            Step::Write(file, seed, len) => {
                self.write(file, &hex(*len, *seed));
                tokio::time::sleep(REVALIDATE).await;
            }
            Step::Remove(file) => {
                let _ = fs::remove_file(self.file(file));
                tokio::time::sleep(REVALIDATE).await;
            }
        }
    }

    async fn ask(&mut self, ask: &Ask) {
        let tag = |ago: usize| {
            let place = self.tags.len().checked_sub(1 + ago);
            place.map_or("\"none\"".to_owned(), |place| self.tags[place].clone())
        };
        let mut fields = Vec::new();
        fields.extend(ask.accept.map(|accept| ("accept-encoding", accept.to_owned())));
        match ask.condition {
            Condition::None => {}
            Condition::Tag(ago) => fields.push(("if-none-match", tag(ago))),
            Condition::Weak(ago) => {
                fields.push(("if-none-match", format!("\"x\", W/{}", tag(ago))));
            }
            Condition::Any => fields.push(("if-none-match", "*".to_owned())),
            Condition::Dated(ago) => {
                fields.push(("if-none-match", tag(ago)));
                fields.push(("if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT".to_owned()));
            }
        }
        fields.extend(ask.other.map(|(name, value)| (name, value.to_owned())));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();

        let [kept, fresh] = &self.services;
        let mut kept = answer(kept, ask, &fields).await;
        let mut fresh = answer(fresh, ask, &fields).await;
        if kept.field("cache-status").contains("fwd=miss") {
            // An encode may end before or after its first answer begins.
            kept.headers.remove("content-length");
            fresh.headers.remove("content-length");
        }
        assert_eq!(kept.status, fresh.status, "{fields:?}");
        assert_eq!(kept.headers, fresh.headers, "{fields:?}");
        assert!(kept.body.as_ref().unwrap() == fresh.body.as_ref().unwrap(), "{fields:?}");
        let told = |answer: &Answer| format!("{:?}", answer.served);
        assert_eq!(told(&kept), told(&fresh), "{fields:?}");
        if !kept.field("etag").is_empty() {
            self.tags.push(kept.field("etag").to_owned());
        }
    }

    /// The metrics without the times.
    fn counted(&self) -> [impl PartialEq + std::fmt::Debug; 2] {
        self.services.each_ref().map(|service| {
            let Metrics { requests, source_bytes, sent_bytes, encodes, entries, .. } =
                service.metrics();
            let encodes: Vec<_> =
                encodes.into_iter().map(|encode| (encode.coding, encode.started)).collect();
            (requests, source_bytes, sent_bytes, encodes, entries)
        })
    }
}

async fn answer(service: &ServeCompressed, ask: &Ask, fields: &[(&str, &str)]) -> Answer {
    let answer = read(send(service, request(ask.method, ask.path, fields)).await).await;
    settled(service).await;
    answer
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn remembered_responses_equal_assembled_ones(steps in prop::collection::vec(step(), 1..60)) {
        run(async {
            let mut world = World::new();
            for step in &steps {
                world.take(step).await;
            }
            let [kept, fresh] = world.counted();
            assert_eq!(kept, fresh);
        });
    }
}
