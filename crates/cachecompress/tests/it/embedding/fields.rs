//! Header fields that rules and request options set.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use cachecompress::{Cache, ErrorKind, Memory, Outcome, RequestOptions, ServeCompressed, Served};
use cachecompress_test::pack::Pack;
use cachecompress_test::service::{get, head, read, request, run, send};
use cachecompress_test::site::hex;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, TRANSFER_ENCODING,
};
use http::{HeaderName, HeaderValue};

use crate::fixture::stored::{PACK, builder, service};

/// A rule for `Content-Type` was taken, and then overwritten with what the file's name suggests.
#[test]
fn rule_sets_the_content_type() {
    run(async {
        let source = hex(9_000, 1);
        let feed = HeaderValue::from_static("application/atom+xml");
        let files: [(&str, &[u8]); 2] = [("feed.xml", &source), ("other.xml", &source)];
        let service = builder(&Pack::new(), &files, &Cache::in_memory(1 << 20));
        let service = service.header("feed.xml", CONTENT_TYPE, feed).build().unwrap();
        for fields in [&[][..], &[PACK], &[PACK], &[("range", "bytes=0-9")]] {
            for answer in [
                get(&service, "/feed.xml", fields).await,
                head(&service, "/feed.xml", fields).await,
            ] {
                assert!(answer.status.is_success());
                assert_eq!(answer.field("content-type"), "application/atom+xml");
                assert_eq!(answer.headers.get_all(CONTENT_TYPE).iter().count(), 1);
            }
        }
        let other = get(&service, "/other.xml", &[]).await;
        assert!(other.field("content-type").starts_with("text/xml"), "the type follows the name");
    });
}

/// A rule for a field that follows from the representation was taken too, and either ignored or
/// sent beside the right one.
#[test]
fn build_refuses_rules_for_the_services_own_fields() {
    let own: [HeaderName; 5] =
        [ETAG, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, TRANSFER_ENCODING];
    for name in own {
        let builder = ServeCompressed::builder(Memory::new());
        let built = builder.header("**", name.clone(), HeaderValue::from_static("1")).build();
        let error = built.expect_err(name.as_str());
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(name.as_str()), "{error}");
    }
}

/// A request's options for fields of the representation contradicted it.
#[test]
fn request_options_cannot_contradict_the_representation() {
    run(async {
        let source = hex(9_000, 77);
        let service = service(&[("a.txt", &source)], &Cache::in_memory(1 << 20));
        let plain = get(&service, "/a.txt", &[]).await;
        let mut request = request("GET", "/a.txt", &[]);
        let options = ["etag", "content-length", "content-encoding", "content-range"]
            .into_iter()
            .fold(RequestOptions::new(), |options, name| {
                options.header(name.parse().unwrap(), HeaderValue::from_static("7"))
            });
        request.extensions_mut().insert(options);
        let told = read(send(&service, request).await).await;
        assert_eq!(told.headers, plain.headers);
        assert!(told.bytes() == source);
    });
}

#[test]
fn cache_control_comes_from_the_most_specific_setting() {
    run(async {
        let files = Memory::new()
            .file("index.html", "page")
            .file("assets/app.3f9c2b1a.js", "run()")
            .file("_app/start.js", "run()")
            .file("_app/latest.js", "run()");
        let service = ServeCompressed::builder(files)
            .header("**/latest.js", "Cache-Control", "max-age=5")
            .default_cache_control(String::from("no-cache"))
            .immutable(true)
            .immutable_paths("/_app/**")
            .build()
            .unwrap();
        let immutable = "public, max-age=31536000, immutable";
        for (path, expected) in [
            ("/", "no-cache"),
            ("/assets/app.3f9c2b1a.js", immutable),
            ("/_app/start.js", immutable),
            ("/_app/latest.js", "max-age=5"),
        ] {
            assert_eq!(get(&service, path, &[]).await.field("cache-control"), expected, "{path}");
        }
    });
}

/// A router hides the type of the body, and with it `Body::served`.
#[test]
fn extension_tells_how_a_response_was_served_if_wanted() {
    run(async {
        let builder = || ServeCompressed::builder(Memory::new().file("a.txt", hex(9_000, 1)));
        let service = builder().served_extension(true).build().unwrap();
        for (path, outcome) in [
            ("/a.txt", Some(Outcome::Identity)),
            // The second response is a copy of the first.
            ("/a.txt", Some(Outcome::Identity)),
            ("/nowhere", Some(Outcome::Error)),
        ] {
            let response = send(&service, request("GET", path, &[])).await;
            let served = response.extensions().get::<Served>().expect(path);
            assert_eq!(served.outcome, outcome, "{path}");
        }
        let (parts, ()) = request("GET", "/x", &[]).into_parts();
        assert!(service.serve("a.txt", &parts).await.extensions().get::<Served>().is_some());
        let plain = builder().build().unwrap();
        let response = send(&plain, request("GET", "/a.txt", &[])).await;
        assert!(response.extensions().is_empty() && response.body().served().is_some());
    });
}

/// The service's own field came last, and replaced that of the request.
#[test]
fn request_options_overrule_nosniff() {
    run(async {
        let service =
            ServeCompressed::builder(Memory::new().file("a.txt", "four")).build().unwrap();
        for fields in [&[][..], &[("range", "bytes=0-1")]] {
            let mut request = request("GET", "/a.txt", fields);
            let (name, value) = ("x-content-type-options", HeaderValue::from_static("own"));
            let options = RequestOptions::new().header(HeaderName::from_static(name), value);
            request.extensions_mut().insert(options);
            assert_eq!(read(send(&service, request).await).await.field(name), "own");
        }
    });
}

#[test]
fn request_options_overrule_the_original_length() {
    run(async {
        for always in [true, false] {
            let builder = ServeCompressed::builder(Memory::new().file("a.txt", "four"));
            let service = builder.original_length(always).build().unwrap();
            for (options, expected) in [
                (RequestOptions::new(), always),
                (RequestOptions::new().original_length(true), true),
                (RequestOptions::new().original_length(false), false),
            ] {
                let mut request = request("GET", "/a.txt", &[]);
                request.extensions_mut().insert(options);
                let answer = read(send(&service, request).await).await;
                let field = answer.field("x-original-content-length");
                assert_eq!(field, if expected { "4" } else { "" });
            }
        }
    });
}
