//! The difference to an earlier version (RFC 9842), over sockets and across restarts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cachecompress_test::decode::decode_delta;
use sha2::Digest as _;

use crate::common::*;

const ONE: &str = "/assets/app-8e2f3d1c.js";
const TWO: &str = "/assets/app-1b9a70f2.js";
const FLAGS: &str = "--immutable-paths assets/**";

/// A request of a client that has `dictionary`.
fn with(dictionary: &[u8], path: &str, codings: &str) -> Request {
    let digest = STANDARD.encode(sha2::Sha256::digest(dictionary));
    Request::get(path).accept(codings).header("available-dictionary", &format!(":{digest}:"))
}

fn versions() -> (Vec<u8>, Vec<u8>) {
    let one = site::text(1, 120_000);
    let two = [&one[..50_000], &site::text(2, 300), &one[50_100..]].concat();
    (one, two)
}

#[test]
fn client_of_the_first_deploy_gets_the_difference_from_the_second() {
    let (one, two) = versions();
    let site = Site::with(&ONE[1..], &one);
    let cache = tempfile::tempdir().unwrap();
    let restart = || launch(&site).args(FLAGS).cache(cache.path()).start();
    let mut first = restart();
    let response = first.until_hit(&Request::get(ONE).accept("br"));
    assert_eq!(response.header("use-as-dictionary"), Some("match=\"/assets/app-*.js\""));
    assert_eq!(response.header("vary"), Some("Accept-Encoding, Available-Dictionary"));
    first.stop();

    std::fs::remove_file(site.path().join(&ONE[1..])).unwrap();
    site.write(&TWO[1..], &two);
    let second = restart();
    for coding in ["dcb", "dcz"] {
        let request = with(&one, TWO, coding);
        let stored = second.until_hit(&request);
        for protocol in Protocol::ALL {
            let response = second.fetch_over(protocol, &request);
            assert_eq!((response.status(), response.coding()), (200, coding));
            assert!(decode_delta(coding, &response.body, &one) == two, "{coding}");
            assert!(response.body == stored.body && response.body.len() < 3_000);
        }
    }
    let plain = second.until_hit(&with(&one, TWO, "br, gzip"));
    assert_eq!(plain.coding(), "br");
    let elsewhere = with(&one, TWO, "br, dcb").to_host("example.com");
    assert_eq!(second.fetch(&elsewhere).coding(), "br", "it may come from a proxy without TLS");
}

#[test]
fn flag_switches_deltas_off_or_believes_in_https() {
    let (one, two) = versions();
    let site = Site::with(&ONE[1..], &one);
    site.write(&TWO[1..], &two);
    let off = start_with(&site, &format!("{FLAGS} --deltas off"));
    let response = off.until_hit(&Request::get(ONE).accept("br"));
    assert_eq!(response.header("use-as-dictionary"), None);
    assert_eq!(response.header("vary"), Some("Accept-Encoding"));
    let assumed = start_with(&site, &format!("{FLAGS} --deltas assume-https"));
    assumed.until_hit(&Request::get(ONE).accept("br"));
    let delta = assumed.until_hit(&with(&one, TWO, "dcb").to_host("example.com"));
    assert_eq!(delta.coding(), "dcb");
    assert!(decode_delta("dcb", &delta.body, &one) == two);
}
