//! Deltas (RFC 9842): which answers announce a dictionary, and which requests get one.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};

use super::exchange::Exchange;
use super::site::Site;
use crate::codec::Codec;
use crate::http::{
    AcceptEncoding, ContentCoding, DictionaryPattern, available_dictionary, readability,
};
use crate::limits::DICTIONARY_SOURCES;
use crate::rules::headers::ResponseKind;

const USE_AS_DICTIONARY: HeaderName = HeaderName::from_static("use-as-dictionary");

/// Returns the pattern of the resource's versions, if it may be a dictionary or have one.
pub(super) fn pattern_of(site: &Site, exchange: &Exchange<'_>) -> Option<DictionaryPattern> {
    let resource = &exchange.resource;
    let is_possible = site.deltas.is_some()
        && exchange.is_negotiable()
        && exchange.page_of.is_none()
        && resource.in_coding.is_none()
        && resource.precompressed.is_none()
        && resource.brought.is_none()
        && DICTIONARY_SOURCES.contains(&resource.len);
    let path = exchange.requested.filter(|_| is_possible)?;
    DictionaryPattern::of(path, resource.is_named_by_content())
}

/// Returns the codecs for a client that has an earlier version of the resource, the best first. There are
/// none unless the request names their codings, comes from a secure context, and may read the response.
pub(super) fn codecs_for(site: &Site, exchange: &Exchange<'_>) -> Vec<Codec> {
    find(site, exchange).unwrap_or_default()
}

fn find(site: &Site, exchange: &Exchange<'_>) -> Option<Vec<Codec>> {
    let deltas = site.deltas.as_ref()?;
    let pattern = exchange.pattern.as_ref()?;
    let headers = exchange.head.headers;
    let chooses_codings = exchange.options.is_some_and(|options| options.codings.is_some());
    if chooses_codings || !exchange.may_use_dictionary {
        return None;
    }
    let accept = AcceptEncoding::from_headers(headers);
    if !accept.accepts(&ContentCoding::DCB) && !accept.accepts(&ContentCoding::DCZ) {
        return None;
    }
    let shared = || {
        let mut fields = HeaderMap::new();
        site.rules.headers.apply(ResponseKind::File, exchange.paths(), &mut fields);
        fields
    };
    if !readability(headers).is_given(headers, shared) {
        return None;
    }
    let ledger = deltas.earlier.cache.dictionaries();
    let digest = available_dictionary(headers)?;
    let versions = ledger.versions(&deltas.name, pattern.as_str(), &digest)?;
    let dictionary = deltas.earlier.dictionary(&versions)?;
    Some(deltas.earlier.deltas.codecs(&dictionary, exchange.resource.len))
}

/// Announces the resource as a dictionary for its later versions, if a response with these `fields` will be
/// fresh. Clients keep no other one.
pub(super) fn announce(site: &Site, exchange: &Exchange<'_>, fields: &mut HeaderMap) {
    if let Some(deltas) = &site.deltas
        && let Some(pattern) = &exchange.pattern
        && let Some(digest) = exchange.resource.digest()
        && will_be_fresh(fields)
        && deltas.earlier.cache.dictionaries().note(
            &deltas.name,
            pattern.as_str(),
            digest,
            exchange.resource.len,
        )
    {
        fields.insert(USE_AS_DICTIONARY, pattern.to_header_value());
    }
}

/// Whether Cache-Control gives a response a lifetime, and no reason to ask again within it.
fn will_be_fresh(fields: &HeaderMap) -> bool {
    let values = fields.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(',')).map(str::trim);
    let mut lasts = false;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match &*name.to_ascii_lowercase() {
            "no-store" | "no-cache" | "must-revalidate" => return false,
            "max-age" => lasts = value.trim_matches('"').parse::<u64>().is_ok_and(|age| age > 0),
            _ => {}
        }
    }
    lasts
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn response_is_fresh_with_a_lifetime_and_no_need_to_ask() {
        for (value, expected) in [
            ("public, max-age=31536000, immutable", true),
            ("max-age=1", true),
            ("Max-Age=60", true),
            ("max-age=0", false),
            ("max-age=x", false),
            ("public", false),
            ("max-age=60, no-cache", false),
            ("no-store, max-age=60", false),
            ("max-age=60, must-revalidate", false),
            ("s-maxage=60", false),
            ("", false),
        ] {
            let mut fields = HeaderMap::new();
            assert!(!will_be_fresh(&fields));
            fields.insert(CACHE_CONTROL, HeaderValue::from_static(value));
            assert_eq!(will_be_fresh(&fields), expected, "{value:?}");
        }
    }
}
