use std::net::IpAddr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderValue;
use http::header::AUTHORIZATION;

use super::*;

fn users(lines: &[(&str, &str, u32)]) -> Users {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = |(user, password, cost): &(&str, &str, u32)| {
        format!("{user}:{}\n", bcrypt::hash_with_result(password, *cost).unwrap())
    };
    std::fs::write(file.path(), lines.iter().map(line).collect::<String>()).unwrap();
    Users::read(file.path()).unwrap()
}

fn client(number: u8) -> ClientAddress {
    IpAddr::from([127, 0, 0, number]).into()
}

fn credentials(text: &str) -> HeaderMap {
    let line = format!("Basic {}", BASE64_STANDARD.encode(text));
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(line).unwrap())])
}

async fn verdict(verifier: &Verifier, users: &Users, text: &str) -> Verdict {
    match verifier.check(users, &credentials(text), client(1)) {
        Check::Done(verdict) => verdict,
        Check::Pending(pending) => pending.verdict().await,
    }
}

fn checks(verifier: &Verifier) -> usize {
    verifier.0.lock().checks
}

/// A verifier whose checks wait for ever, because it has no thread and thinks that it has one.
fn stuck() -> Verifier {
    let verifier = Verifier::new().unwrap();
    verifier.0.lock().threads = verifier.0.most_threads;
    verifier
}

#[tokio::test]
async fn right_password_is_checked_once_and_wrong_ones_are_wrong() {
    let users = users(&[("ann", "secret", 4), ("bob", "other", 5)]);
    let verifier = Verifier::new().unwrap();
    for _ in 0..3 {
        assert_eq!(verdict(&verifier, &users, "ann:secret").await, Verdict::Right("ann".into()));
    }
    assert_eq!(checks(&verifier), 1);
    for wrong in ["ann:other", "bob:secret", "eve:secret", "ann:", ":secret", "ann:Secret"] {
        for _ in 0..3 {
            assert_eq!(verdict(&verifier, &users, wrong).await, Verdict::Wrong, "{wrong}");
        }
    }
    assert_eq!(checks(&verifier), 7);
    assert_eq!(verdict(&verifier, &users, "bob:other").await, Verdict::Right("bob".into()));
}

#[tokio::test]
async fn memory_ends_with_the_hash_or_the_user() {
    let verifier = Verifier::new().unwrap();
    let before = users(&[("ann", "secret", 4)]);
    assert_eq!(verdict(&verifier, &before, "ann:secret").await, Verdict::Right("ann".into()));
    let changed = users(&[("ann", "new", 4)]);
    assert_eq!(verdict(&verifier, &changed, "ann:secret").await, Verdict::Wrong);
    let gone = users(&[("bob", "secret", 4)]);
    assert_eq!(verdict(&verifier, &gone, "ann:secret").await, Verdict::Wrong);
    assert_eq!(verdict(&verifier, &before, "ann:secret").await, Verdict::Right("ann".into()));
    assert_eq!(checks(&verifier), 3);
}

#[tokio::test]
async fn password_counts_as_far_as_bcrypt_reads_it() {
    let long = "x".repeat(72);
    let users = users(&[("ann", &long, 4)]);
    let verifier = Verifier::new().unwrap();
    for tail in ["", "y", "and more"] {
        let right = verdict(&verifier, &users, &format!("ann:{long}{tail}")).await;
        assert_eq!(right, Verdict::Right("ann".into()));
    }
    assert_eq!(checks(&verifier), 1);
    assert_eq!(verdict(&verifier, &users, &format!("ann:{}", &long[1..])).await, Verdict::Wrong);
}

#[test]
fn checks_are_bounded_for_each_client_and_for_all() {
    let users = users(&[("ann", "secret", 4)]);
    let verifier = stuck();
    let mut pending = Vec::new();
    let mut begin =
        |number: u8, text: &str| match verifier.check(&users, &credentials(text), client(number)) {
            Check::Done(Verdict::Busy) => false,
            Check::Done(verdict) => panic!("{verdict:?}"),
            Check::Pending(waits) => {
                pending.push(waits);
                true
            }
        };
    for number in 0..5 {
        for password in 0..PASSWORD_CHECKS_PER_CLIENT + 1 {
            let has_place =
                password < PASSWORD_CHECKS_PER_CLIENT && usize::from(number) * 8 < PASSWORD_CHECKS;
            let begun = begin(number, &format!("ann:{number}-{password}"));
            assert_eq!(begun, has_place, "{number} {password}");
        }
    }
    let waiters = (0..).take_while(|_| begin(9, "ann:0-0")).take(PASSWORD_WAITERS).count();
    assert_eq!(waiters, PASSWORD_WAITERS - PASSWORD_CHECKS);
}

#[tokio::test]
async fn check_for_which_nobody_waits_is_left_out() {
    let users = users(&[("ann", "secret", 4)]);
    let verifier = stuck();
    for password in 0..5 {
        let headers = credentials(&format!("ann:{password}"));
        assert!(matches!(verifier.check(&users, &headers, client(1)), Check::Pending(_)));
    }
    verifier.0.lock().threads = 0;
    assert_eq!(verdict(&verifier, &users, "ann:secret").await, Verdict::Right("ann".into()));
    assert_eq!(checks(&verifier), 1);
    assert_eq!(verifier.0.lock().waiters, 0);
}
