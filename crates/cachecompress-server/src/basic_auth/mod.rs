//! Passwords for a site: `--basic-auth`, by RFC 7617.
//!
//! The check of a password is made to be slow. It runs on a few threads of its own, and a client whose
//! password was right is known by a keyed hash from then on.

mod credentials;
mod memory;
mod users;
mod verifier;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};

pub(crate) use self::users::Users;
pub(crate) use self::verifier::{Check, Pending, Verdict, Verifier};

/// The challenge of a 401.
pub(crate) const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"restricted\", charset=\"UTF-8\"");

/// Forbids shared caches to store a response that one user got.
///
/// `public` and `s-maxage` would permit it (RFC 9111 §3.5), so they are left out.
pub(crate) fn keep_private(fields: &mut HeaderMap) {
    let lines = fields.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let directives = lines.flat_map(|line| line.split(',')).map(str::trim);
    let is = |directive: &str, name: &str| {
        let named = directive.split_once('=').map_or(directive, |(named, _)| named);
        named.trim().eq_ignore_ascii_case(name)
    };
    let mut kept: Vec<_> = directives
        .filter(|directive| !directive.is_empty())
        .filter(|directive| !is(directive, "public") && !is(directive, "s-maxage"))
        .collect();
    // `private="Set-Cookie"` is about a field.
    let forbids = |directive: &&str| {
        directive.eq_ignore_ascii_case("private") || directive.eq_ignore_ascii_case("no-store")
    };
    if !kept.iter().any(forbids) {
        kept.insert(0, "private");
    }
    let value = HeaderValue::try_from(kept.join(", "));
    fields.insert(CACHE_CONTROL, value.unwrap_or(HeaderValue::from_static("private")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_of_a_user_is_kept_from_shared_caches() {
        for (lines, expected) in [
            (&[][..], "private"),
            (&["no-cache"], "private, no-cache"),
            (&["public, max-age=31536000, immutable"], "private, max-age=31536000, immutable"),
            (&["PUBLIC", "S-MaxAge = 3, max-age=9"], "private, max-age=9"),
            (&["max-age=3, private"], "max-age=3, private"),
            (&["no-store"], "no-store"),
            (&["private=\"x-a\", must-revalidate"], "private, private=\"x-a\", must-revalidate"),
        ] {
            let mut fields = HeaderMap::new();
            for line in lines {
                fields.append(CACHE_CONTROL, HeaderValue::from_static(line));
            }
            keep_private(&mut fields);
            assert_eq!(fields.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(), [expected]);
        }
    }
}
